//! The door's monotonic clock, as the pure crates want it.

use std::time::Duration;

use leveret_model::Instant;

/// Counts from its making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn now(self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }

    /// Time until a deadline.
    pub(crate) fn until(self, deadline: Instant) -> Duration {
        deadline.since(self.now())
    }
}
