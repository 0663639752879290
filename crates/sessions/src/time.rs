//! Milliseconds on the node's own clock: what deadlines are counted in.

use leveret_model::Instant;

/// The clock of a turn. The wall clock serves commands that speak of it; nothing of ours waits by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// The monotonic clock.
    pub now: Instant,
    /// The wall clock at the origin of the monotonic one, ms since 1970; the driver reads it about once a
    /// second, so that a stepped clock is followed.
    pub unix_origin_ms: i64,
}

impl Clock {
    /// Whole milliseconds of the monotonic clock.
    pub(crate) const fn ms(self) -> Ms {
        Ms(self.now.as_nanos() / 1_000_000)
    }

    /// Milliseconds since 1970 of this turn: what a RESP connection is given, so that points in time that
    /// come back are exact.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.unix_origin_ms.saturating_add(self.ms().0 as i64)
    }
}

/// A point on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Ms(pub(crate) u64);

impl Ms {
    /// So much later; past the end of the clock it is as good as never.
    pub(crate) fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms).min(u64::MAX - 1))
    }

    /// Time from `earlier`, 0 if that is later.
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// When a session expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Deadline(u64);

impl Deadline {
    /// It does not. Later than every other one.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// So many milliseconds from `now`; at once if not positive.
    pub(crate) fn after(now: Ms, left_ms: i64) -> Self {
        Self(now.plus(left_ms.max(0).unsigned_abs()).0)
    }

    /// The point, if there is one.
    pub(crate) fn point(self) -> Option<Ms> {
        (self != Self::NEVER).then_some(Ms(self.0))
    }

    /// True once it is over (Redis: at the very millisecond it is not yet).
    pub(crate) const fn is_over(self, now: Ms) -> bool {
        now.0 > self.0
    }

    /// What is left, −1 without a deadline: how a wire says it.
    pub(crate) fn left(self, now: Ms) -> i64 {
        self.point().map_or(-1, |at| at.since(now) as i64)
    }

    /// Later by so much, as when nobody could touch it meanwhile (S8).
    pub(crate) fn grown(self, ms: u64) -> Self {
        self.point().map_or(self, |at| Self(at.plus(ms).0))
    }

    /// From what is left.
    pub(crate) fn from_left(now: Ms, left: i64) -> Self {
        if left < 0 { Self::NEVER } else { Self::after(now, left) }
    }
}
