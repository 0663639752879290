//! A node that leaves closes its clients one after the other, so that they do not all reconnect at once.

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::Sender;
use leveret_model::{ConnectionKey, Instant, limits};

/// How far a shard is with its end.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    /// The thread ends then at the latest.
    pub(crate) at: Option<Instant>,
    /// Before that: clients are closed over a while.
    pub(crate) closing: Option<Closing>,
}

impl Stopping {
    /// When something is due.
    pub(crate) fn next_deadline(&self) -> Instant {
        let closing = self.closing.as_ref().map_or(Instant::FAR, Closing::next_deadline);
        self.at.unwrap_or(Instant::FAR).min(closing)
    }
}

/// Which clients are left, and until when.
#[derive(Debug)]
pub(crate) struct Closing {
    began: Instant,
    window: Duration,
    /// Not told yet.
    left: VecDeque<ConnectionKey>,
    /// At the beginning.
    total: usize,
    done: Sender<()>,
}

impl Closing {
    /// Few clients need less than the whole window.
    pub(crate) fn begin(
        now: Instant,
        window: Duration,
        (left, shards): (Vec<ConnectionKey>, usize),
        done: Sender<()>,
    ) -> Self {
        let left: VecDeque<ConnectionKey> = left.into();
        let window = window.min(limits::LEAVE_CLIENT_GAP_MAX * (left.len() * shards) as u32);
        Self { began: now, window, total: left.len(), left, done }
    }

    /// The next client whose turn it is.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<ConnectionKey> {
        if self.next_deadline() <= now { self.left.pop_front() } else { None }
    }

    /// Says that the clients are gone, or had their time.
    pub(crate) fn end(self) {
        let _ = self.done.try_send(());
    }

    /// When the next client's turn is, or, behind the last one, until when the sockets have time to end.
    pub(crate) fn next_deadline(&self) -> Instant {
        match self.total - self.left.len() {
            _ if self.left.is_empty() => self.began + self.window + limits::STOP_GRACE,
            told => self.began + self.window * told as u32 / self.total as u32,
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
