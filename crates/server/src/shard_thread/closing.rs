//! A node that leaves closes its clients one after the other, so that they do not all reconnect at once.

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::Sender;
use leveret_model::{ConnectionKey, Instant, ReplyCode, limits};

use super::ShardThread;

/// Which clients are left, and until when.
#[derive(Debug)]
pub(super) struct Closing {
    began: Instant,
    window: Duration,
    /// Not told yet.
    left: VecDeque<ConnectionKey>,
    /// At the beginning.
    total: usize,
    done: Sender<()>,
}

impl Closing {
    /// When the next client's turn is, or, behind the last one, until when the sockets have time to end.
    pub(super) fn next_deadline(&self) -> Instant {
        match self.total - self.left.len() {
            _ if self.left.is_empty() => self.began + self.window + limits::STOP_GRACE,
            told => self.began + self.window * told as u32 / self.total as u32,
        }
    }
}

impl ShardThread {
    /// Few clients need less than the whole window.
    pub(super) fn begin_closing(&mut self, now: Instant, window: Duration, done: Sender<()>) {
        let left: VecDeque<ConnectionKey> = self.shard.connection_keys().into();
        let of_node = left.len() * self.ways.shards.len();
        let window = window.min(limits::LEAVE_CLIENT_GAP_MAX * of_node as u32);
        self.closing = Some(Closing { began: now, window, total: left.len(), left, done });
    }

    /// Closes the clients whose turn it is, and says when all are gone.
    pub(super) fn close_some(&mut self, now: Instant) {
        let Some(mut closing) = self.closing.take() else { return };
        while closing.next_deadline() <= now
            && let Some(key) = closing.left.pop_front()
        {
            // nothing happens to one that has gone meanwhile
            self.shard.close(key, ReplyCode::ConnectionForced, "this node leaves: connect to another one");
        }
        if self.open == 0 || closing.next_deadline() <= now {
            let _ = closing.done.try_send(());
        } else {
            self.closing = Some(closing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_spread_over_the_window_and_the_last_has_time_to_end() {
        let (done, _told) = crossbeam_channel::bounded(1);
        let key = |slot| ConnectionKey { slot, generation: 0 };
        let (began, window) = (Instant::ZERO + Duration::from_secs(7), Duration::from_secs(4));
        let mut closing = Closing { began, window, left: (0..4).map(key).collect(), total: 4, done };
        for second in 0..4 {
            assert_eq!(closing.next_deadline(), began + Duration::from_secs(second));
            closing.left.pop_front();
        }
        assert_eq!(closing.next_deadline(), began + window + limits::STOP_GRACE);
    }
}
