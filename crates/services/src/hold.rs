//! T7: requests for which no instance is free wait, counted and bounded. Their order is the driver's queue.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use leveret_model::limits::HELD_REQUESTS_MAX;

use crate::latency::Latency;
use crate::report::ServiceCount;
use crate::retry::Budget;

/// What a door knows of a service as a whole. Shared by all threads, and kept over changes of its instances.
#[derive(Debug, Default)]
pub struct ServiceGate {
    waiting: AtomicU32,
    requests: AtomicU64,
    errors: AtomicU64,
    latency: Latency,
    /// Retries (T6).
    pub budget: Budget,
}

impl ServiceGate {
    /// Counts a request in that waits; false if there are as many as may. [`ServiceGate::wait_over`] must
    /// follow.
    pub fn try_wait(&self) -> bool {
        if self.waiting.fetch_add(1, Ordering::AcqRel) as usize >= HELD_REQUESTS_MAX {
            self.wait_over();
            return false;
        }
        true
    }

    /// A request waits no longer.
    pub fn wait_over(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Requests that wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Acquire)
    }

    /// A request was answered; `error`: by the door itself.
    pub fn answered(&self, micros: u64, error: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.latency.record(micros);
        if error {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// For the report.
    #[must_use]
    pub fn count(&self, inflight: u32) -> ServiceCount {
        ServiceCount {
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            inflight,
            waiting: self.waiting(),
            p50_us: self.latency.permille(500),
            p95_us: self.latency.permille(950),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_wait_than_the_bound() {
        let gate = ServiceGate::default();
        assert!((0..HELD_REQUESTS_MAX).all(|_| gate.try_wait()));
        assert!(!gate.try_wait());
        gate.wait_over();
        assert!(gate.try_wait());
        assert_eq!(gate.waiting() as usize, HELD_REQUESTS_MAX);
    }
}
