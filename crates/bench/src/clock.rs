//! Clocks: when it is, how long a thread has worked, and waiting for a point in time.

use std::time::Duration;

use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{Timespec, clock_gettime};

/// A point on the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nanos(pub(super) u64);

impl Nanos {
    /// Now. hot.
    pub(super) fn now() -> Self {
        Self(nanos(clock_gettime(ClockId::Monotonic)))
    }

    /// Nanoseconds since `earlier`, zero if that is later.
    pub(super) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Waits until then; at once if it is past.
    pub(super) fn wait(self) {
        let until = Timespec {
            tv_sec: i64::try_from(self.0 / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: (self.0 % 1_000_000_000) as _,
        };
        // an interrupted wait is resumed, as the deadline is absolute
        while clock_nanosleep_absolute(ClockId::Monotonic, &until) == Err(rustix::io::Errno::INTR) {}
    }
}

/// Waits that long.
pub(super) fn wait(duration: Duration) {
    Nanos(Nanos::now().0 + duration.as_nanos() as u64).wait();
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu() -> Duration {
    Duration::from_nanos(nanos(clock_gettime(ClockId::ThreadCPUTime)))
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
