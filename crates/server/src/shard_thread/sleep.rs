//! How long the thread may sleep.

use std::cmp::Reverse;
use std::time::Duration;

use leveret_model::Instant;

use super::ShardThread;

impl ShardThread {
    /// Until something is due, if nothing comes before; `None` for ever.
    pub(super) fn timeout(&self, more: bool, now: Instant) -> Option<Duration> {
        if more
            || !self.to_read.is_empty()
            || self.links.has_unread()
            || self.sessions.has_more()
            || !self.mailbox.may_sleep()
        {
            return Some(Duration::ZERO);
        }
        let mut deadline = self.shard.next_deadline().min(self.client_log.next_deadline());
        deadline = deadline.min(self.memory_log.next_deadline()).min(self.sessions.next_deadline());
        if let Some(acceptor) = &self.acceptor {
            deadline = deadline.min(acceptor.watch_at);
        }
        deadline = deadline.min(self.stopping.next_deadline());
        if let Some(Reverse((at, _))) = self.trickling.peek() {
            deadline = deadline.min(*at);
        }
        (deadline < Instant::FAR).then(|| deadline.since(now))
    }
}
