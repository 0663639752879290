//! What connections keep in memory beside the queues, and who goes when that is too much for the node.
//!
//! A client decides how long a message that it began is unfinished, and how long output that it asked for is
//! unread. So the node has a share of its memory for that. When half of the share is taken outputs are kept
//! short; past it the shard closes those that keep most for longest: the product of bytes and their age. Who
//! sends or reads fast keeps much, but what it keeps is young; a crowd that begins large messages, or never
//! reads, grows old with them.
//!
//! Read first: [`ClientMemory::count`], which the shard calls when a connection's output was carried, then
//! [`ClientMemory::greediest_first`]. Invariant: the sums are those of what was counted last for each
//! connection.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use leveret_model::{ConnectionKey, Instant, limits};

use super::Connections;
use crate::bounds::Bounds;

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
    /// What is kept at will has changed. New bytes have no age; which ones left is not known, so the age of
    /// those that are left shrinks with their number: who empties half of it is half forgiven.
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

/// What all clients of a shard keep.
#[derive(Debug, Default)]
pub(crate) struct ClientMemory {
    /// By the connection's slot.
    kept: Vec<KeptBytes>,
    /// The sum over `kept` of all bytes, and of those that stay as long as their client likes.
    bytes: u64,
    at_will: u64,
    /// Connections of the node keep much: outputs are kept short.
    crowded: bool,
    bounds: Bounds,
}

impl ClientMemory {
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// All of it, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What connections keep as long as their clients like, bytes.
    pub(crate) fn at_will(&self) -> u64 {
        self.at_will
    }

    pub(crate) fn set_crowded(&mut self, crowded: bool) {
        self.crowded = crowded;
    }

    /// A slot has a new connection, or none any more.
    pub(crate) fn reset(&mut self, connection: ConnectionKey, now: Instant) {
        let slot = connection.slot as usize;
        if self.kept.len() <= slot {
            self.kept.resize_with(slot + 1, KeptBytes::default);
        }
        self.count(connection, 0, 0, now);
        self.kept[slot] = KeptBytes::default();
    }

    /// Counts anew what a connection keeps. hot.
    pub(crate) fn count(&mut self, connection: ConnectionKey, all: u64, at_will: u64, now: Instant) {
        let kept = &mut self.kept[connection.slot as usize];
        self.bytes = self.bytes - kept.all + all;
        self.at_will = self.at_will - kept.at_will + at_will;
        kept.all = all;
        kept.age(at_will, now);
    }

    /// The connection was not read, and is again: what it has not finished is young.
    pub(crate) fn forgive(&mut self, connection: ConnectionKey, now: Instant) {
        self.kept[connection.slot as usize].since = now;
    }

    /// Output of a connection above which it gets no deliveries, bytes.
    pub(crate) fn output_high(&self) -> usize {
        let high = self.bounds.output_bytes_high;
        if self.crowded { high.min(self.bounds.output_bytes_crowded) } else { high }
    }

    /// Output of a connection below which who waits for room goes on, bytes.
    pub(crate) fn output_low(&self) -> usize {
        self.output_high() / 2
    }

    /// Connections that keep bytes at their client's will, those first that keep most for longest, each with
    /// what it keeps. Of a connection that is not read because it `waits`, only its output counts: that the
    /// rest is not finished is not its client's fault.
    pub(crate) fn greediest_first(
        &self,
        connections: &Connections,
        now: Instant,
        waits: impl Fn(ConnectionKey) -> bool,
    ) -> Vec<(ConnectionKey, u64)> {
        let burden = |key: ConnectionKey, kept: &KeptBytes| {
            let bytes = if waits(key) {
                connections.get(key).map_or(0, |connection| connection.kept().unwritten as u64)
            } else {
                kept.at_will
            };
            bytes.saturating_mul(now.since(kept.since).as_millis() as u64)
        };
        let mut all: Vec<_> = connections
            .keys()
            .into_iter()
            .map(|key| (key, &self.kept[key.slot as usize]))
            .filter(|(_, kept)| kept.at_will > 0)
            .map(|(key, kept)| Reverse((burden(key, kept), kept.at_will, key)))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|Reverse((_, bytes, key))| (key, bytes)).collect()
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
