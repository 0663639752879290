//! How busy the event loops of a node are: the part of the time in which a shard's thread does not wait for
//! events. A loop that is starved of CPU counts as busy.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leveret_model::{Instant, ShardId, limits};

/// The share of each loop, in thousandths, as of its last look.
#[derive(Debug)]
pub(crate) struct BusyShares(Vec<AtomicU32>);

impl BusyShares {
    pub(crate) fn new(shards: u8) -> Self {
        Self((0..shards).map(|_| AtomicU32::new(0)).collect())
    }

    pub(crate) fn note(&self, shard: ShardId, permille: u32) {
        self.0[usize::from(shard.0)].store(permille, Ordering::Relaxed);
    }

    /// Of each loop, in thousandths.
    pub(crate) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|share| share.load(Ordering::Relaxed))
    }
}

/// The waits of one loop, over the last one to two spans of `limits::BUSY_SPAN`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    began: Instant,
    waited: Duration,
    /// Time and waits of the span before.
    before: (Duration, Duration),
}

impl Waits {
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, waited: Duration::ZERO, before: (Duration::ZERO, Duration::ZERO) }
    }

    /// The loop has waited between these. hot: once a turn.
    #[inline]
    pub(crate) fn add(&mut self, from: Instant, to: Instant) {
        self.waited += to.since(from);
        if to.since(self.began) >= limits::BUSY_SPAN {
            self.before = (to.since(self.began), self.waited);
            (self.began, self.waited) = (to, Duration::ZERO);
        }
    }

    /// The share of the time in which it did not wait, in thousandths.
    pub(crate) fn busy_permille(&self, now: Instant) -> u32 {
        let time = now.since(self.began) + self.before.0;
        let busy = time.saturating_sub(self.waited + self.before.1);
        (busy.as_nanos() * 1_000).checked_div(time.as_nanos()).unwrap_or(0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn the_share_is_of_the_last_spans_and_a_long_wait_counts_whole() {
        let mut waits = Waits::new(at(0));
        assert_eq!(waits.busy_permille(at(0)), 0);
        waits.add(at(100), at(400));
        assert_eq!(waits.busy_permille(at(400)), 250);
        // busy up to the end of the span
        let span = limits::BUSY_SPAN.as_millis() as u64;
        waits.add(at(span), at(span));
        let first = (span - 300) * 1_000 / span;
        assert_eq!(u64::from(waits.busy_permille(at(span))), first);
        // one long wait, and what was before the last span is forgotten
        waits.add(at(span), at(3 * span));
        assert_eq!(waits.busy_permille(at(3 * span)), 0);
    }
}
