//! Time that is good enough to say how old a message is, in four bytes.

use core::time::Duration;

use leveret_model::Instant;

/// A unit is 2^24 ns: 16.8 ms, so that a shift makes it of nanoseconds and it wraps after 2.2 years.
const UNIT_BITS: u32 = 24;

/// A point in time, to a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CoarseTime(pub(super) u32);

impl CoarseTime {
    /// hot.
    #[inline]
    pub(super) fn of(now: Instant) -> Self {
        Self((now.as_nanos() >> UNIT_BITS) as u32)
    }

    /// From `earlier` to here, over a wrap too.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::from(self.0.wrapping_sub(earlier.0)) << UNIT_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_right_to_a_unit_and_over_a_wrap() {
        let at = |nanos: u64| CoarseTime::of(Instant::from_nanos(nanos));
        let second = 1_000_000_000;
        let unit = Duration::from_nanos(1 << UNIT_BITS);
        let age = at(7 * second).since(at(2 * second));
        assert!(age.abs_diff(Duration::from_secs(5)) <= unit, "{age:?}");
        let wraps = 1 << (32 + UNIT_BITS);
        assert!(at(wraps + second).since(at(wraps - second)).abs_diff(Duration::from_secs(2)) <= unit);
    }
}
