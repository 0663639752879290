//! What connections keep in memory beside the queues, and who goes when that is too much for the node.
//!
//! A client decides how long a message that it began is unfinished, and how long output that it asked for is unread. So
//! the node has a share of its memory for that. When half of the share is taken outputs are kept short; past it the shard
//! closes those that keep most for longest: the product of bytes and their age. Who sends or reads fast keeps much, but
//! what it keeps is young; a crowd that begins large messages, or never reads, grows old with them.
//!
//! Read first: [`Shard::on_carried`], then [`Shard::evict`]. Invariant: `Broker::kept` is the sum over all connections of
//! what was counted when their output was last carried.

use alloc::format;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use leveret_model::{ConnectionKey, Instant, ReplyCode, limits};

use crate::broker::Broker;
use crate::host::View;
use crate::shard::Shard;

/// What a connection keeps, as it was last counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeptBytes {
    /// All of it.
    all: u64,
    /// Of that, what stays as long as the client likes.
    at_will: u64,
    /// When an average byte of that came.
    since: Instant,
}

impl KeptBytes {
    /// What is kept at will has changed. New bytes have no age; which ones left is not known, so the age of those that are
    /// left shrinks with their number: who empties half of it is half forgiven.
    fn age(&mut self, at_will: u64, now: Instant) {
        let (before, after) = (self.at_will, at_will);
        self.at_will = at_will;
        if after <= limits::KEPT_BYTES_FREE {
            self.since = now;
            return;
        }
        let age = now.since(self.since).as_micros() as u64;
        // bytes fit 40 bits, a day in microseconds 37
        let share = |part: u64, whole: u64| (u128::from(age) * u128::from(part) / u128::from(whole)) as u64;
        let younger =
            if after < before { share(before - after, before) } else { share(after - before, after) };
        self.since = self.since + Duration::from_micros(younger);
    }
}

impl Shard {
    /// The driver wrote what the connection's socket takes, and keeps so many bytes of its input itself: what it keeps is
    /// counted. True if somebody waited for room in its output, and goes on in the next turn. hot.
    pub fn on_carried(&mut self, key: ConnectionKey, unread_bytes: usize) -> bool {
        let Some(connection) = self.connections.get(key) else { return false };
        let (kept, output) = (connection.kept(), connection.output_len());
        // one write may take an output from full to empty, and nothing else would wake who waited
        let has_room = connection.has_room_again();
        let at_will = (kept.begun + kept.unwritten + unread_bytes) as u64;
        self.broker.count_kept(key, at_will + kept.waiting as u64, at_will);
        let (low, meta) = (self.broker.output_low(), self.broker.meta(key));
        let goes_on = output < low && !(meta.credit.is_empty() && meta.parked.is_empty());
        if goes_on {
            self.connections.touch(key);
        }
        if has_room {
            self.on_written(key);
        }
        goes_on || has_room
    }

    /// What connections keep as long as their clients like, bytes.
    #[must_use]
    pub fn kept_at_will(&self) -> u64 {
        self.broker.kept.at_will
    }

    /// Connections of the node keep much: outputs are kept short, or not any more. True if somebody who waited for room goes
    /// on in the next turn.
    pub fn on_crowd(&mut self, crowded: bool) -> bool {
        self.broker.crowded = crowded;
        let mut goes_on = false;
        for key in self.connections.keys() {
            let meta = self.broker.meta(key);
            let waits = !meta.credit.is_empty() || !meta.parked.is_empty();
            if waits && !crowded {
                self.connections.touch(key);
                goes_on = true;
            }
        }
        goes_on
    }

    /// Closes connections until no more than `bytes_max` are kept at their clients' will; gives how many.
    pub fn evict(&mut self, bytes_max: u64) -> usize {
        let now = self.broker.now;
        let mut all: Vec<_> = self
            .connections
            .keys()
            .into_iter()
            .filter(|key| self.broker.meta(*key).kept.at_will > 0)
            .map(|key| Reverse((self.burden(key, now), self.broker.meta(key).kept.at_will, key)))
            .collect();
        all.sort_unstable();
        let mut evicted = 0;
        for Reverse((_, bytes, key)) in all {
            if self.broker.kept.at_will <= bytes_max {
                break;
            }
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let text =
                format!("kept {bytes} bytes of unfinished messages or unread output while memory was short");
            let mut view = View { broker: &mut self.broker, connection: key };
            connection.evict(now, ReplyCode::ConnectionForced, &text, &mut view);
            self.connections.touch(key);
            self.broker.count_kept(key, 0, 0);
            evicted += 1;
        }
        self.hand_out_results();
        evicted
    }

    /// Bytes times age. Of a connection that is not read because it waits, only its output: that the rest is not finished is
    /// not its fault.
    fn burden(&self, key: ConnectionKey, now: Instant) -> u64 {
        let meta = self.broker.meta(key);
        let bytes = match meta.waits_since {
            Some(_) => self.connections.get(key).map_or(0, |connection| connection.kept().unwritten as u64),
            None => meta.kept.at_will,
        };
        bytes.saturating_mul(now.since(meta.kept.since).as_millis() as u64)
    }
}

/// What all connections keep.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AllKept {
    pub(crate) bytes: u64,
    pub(crate) at_will: u64,
}

impl Broker {
    /// Counts anew what a connection keeps. hot.
    pub(crate) fn count_kept(&mut self, key: ConnectionKey, all: u64, at_will: u64) {
        let now = self.now;
        let kept = &mut self.metas[key.slot as usize].kept;
        self.kept.bytes = self.kept.bytes - kept.all + all;
        self.kept.at_will = self.kept.at_will - kept.at_will + at_will;
        kept.all = all;
        kept.age(at_will, now);
    }

    /// It was not read, and is again: what it has not finished is young.
    pub(crate) fn forgive_kept(&mut self, key: ConnectionKey) {
        let now = self.now;
        self.meta_mut(key).kept.since = now;
    }

    /// Output of a connection above which it gets no deliveries.
    pub(crate) fn output_high(&self) -> usize {
        let high = self.bounds.output_bytes_high;
        if self.crowded { high.min(self.bounds.output_bytes_crowded) } else { high }
    }

    /// Output of a connection below which who waits for room goes on.
    pub(crate) fn output_low(&self) -> usize {
        self.output_high() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(u64, u64)]) -> u64 {
        let mut kept = KeptBytes::default();
        for (at, bytes) in steps {
            kept.age(*bytes, Instant::ZERO + Duration::from_secs(*at));
        }
        Instant::ZERO.since(kept.since).as_secs() + kept.since.as_nanos() / 1_000_000_000
    }

    #[test]
    fn bytes_grow_old_and_are_forgiven_as_they_leave() {
        assert_eq!(after(&[(0, 1_000_000), (100, 1_000_000)]), 0, "untouched");
        assert_eq!(after(&[(0, 1_000_000), (100, 2_000_000)]), 50, "as much again that is new");
        assert_eq!(after(&[(0, 1_000_000), (100, 500_000)]), 50, "half of it left");
        assert_eq!(after(&[(0, 1_000_000), (100, 0), (200, 1_000_000)]), 200, "emptied meanwhile");
        assert_eq!(after(&[(0, 1_000_000), (100, 999_999), (101, 1_000_000)]), 0, "a byte forgives nothing");
    }
}
