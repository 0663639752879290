//! The thread's part in the end of its clients.

use std::time::Duration;

use crossbeam_channel::Sender;
use leveret_model::{Instant, ReplyCode};

use super::ShardThread;
use crate::closing::Closing;

impl ShardThread {
    pub(super) fn begin_closing(&mut self, now: Instant, window: Duration, done: Sender<()>) {
        let clients = (self.shard.connection_keys(), self.ways.shards.len());
        self.stopping.closing = Some(Closing::begin(now, window, clients, done));
    }

    /// Closes the clients whose turn it is, and says when all are gone.
    pub(super) fn close_some(&mut self, now: Instant) {
        let Some(mut closing) = self.stopping.closing.take() else { return };
        while let Some(key) = closing.pop_due(now) {
            // nothing happens to one that has gone meanwhile
            self.shard.close(key, ReplyCode::ConnectionForced, "this node leaves: connect to another one");
        }
        if self.open == 0 || closing.next_deadline() <= now {
            closing.end();
        } else {
            self.stopping.closing = Some(closing);
        }
    }
}
