//! The real clock: `CLOCK_BOOTTIME`, so that a suspended machine's leases have run out when it wakes (R4).

use leveret_model::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the boot clock. Read once a turn.
#[must_use]
pub(crate) fn now() -> Instant {
    let time = clock_gettime(ClockId::Boottime);
    Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Milliseconds since 1970: for people and for the time part of ULIDs, never for an order or a decision.
#[must_use]
pub(crate) fn unix_ms() -> u64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}
