//! T6: whether a request that failed at one instance may be tried at another. T9: whether a connection may be
//! used again.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use leveret_model::limits::{
    RETRIES_MAX, RETRY_BUDGET_MAX, RETRY_BUDGET_PER_SECOND, RETRY_BUDGET_PERCENT, UPSTREAM_IDLE_MAX,
};

use crate::planted::{Planted, planted};

/// How far a failed request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No byte of it was written.
    NotSent,
    /// It may have been read, and no byte came back.
    SentUnanswered,
    /// A response began.
    Answered,
}

/// What is left of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It has none.
    Absent,
    /// It is kept, up to 64 KiB.
    Whole,
    /// It streams from the client, and what was sent is gone.
    Streamed,
}

/// Whether `method` may be executed twice: RFC 9110 §9.2.2.
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// The rule itself, the budget apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    planted: Planted,
}

impl Policy {
    /// One with a bug, for the test that must find it.
    #[must_use]
    pub fn planted(planted: Planted) -> Self {
        Self { planted }
    }

    /// Whether another try is allowed after so many.
    #[must_use]
    pub fn allows(&self, method: &str, body: Body, progress: Progress, tries: u32) -> bool {
        if tries > RETRIES_MAX {
            return false;
        }
        let repeatable = is_idempotent(method) || planted!(self.planted, PostRetried);
        match progress {
            Progress::NotSent => true,
            Progress::SentUnanswered => repeatable && body != Body::Streamed,
            Progress::Answered => false,
        }
    }
}

/// T9: whether a connection that was idle for so long may carry another request.
#[must_use]
pub fn may_reuse(idle: Duration, keep_alive_ms: u32) -> bool {
    idle < UPSTREAM_IDLE_MAX.min(Duration::from_millis(keep_alive_ms.into()) / 2)
}

/// Retries that may still be made, so that a sick service is not asked three times as much. Starts with ten
/// seconds' worth.
#[derive(Debug)]
pub struct Budget {
    /// Hundredths of a retry.
    hundredths: AtomicU32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { hundredths: AtomicU32::new(10 * 100 * RETRY_BUDGET_PER_SECOND) }
    }
}

impl Budget {
    /// A request came: a share of a retry.
    pub fn on_request(&self) {
        self.add(RETRY_BUDGET_PERCENT);
    }

    /// So much time went by.
    pub fn on_time(&self, elapsed: Duration) {
        let hundredths = elapsed.as_millis() * u128::from(RETRY_BUDGET_PER_SECOND) / 10;
        self.add(u32::try_from(hundredths).unwrap_or(u32::MAX));
    }

    /// Takes one, if there is one.
    pub fn take(&self) -> bool {
        let take = |hundredths: u32| hundredths.checked_sub(100);
        self.hundredths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn add(&self, hundredths: u32) {
        let most = 100 * RETRY_BUDGET_MAX;
        // At the bound nothing is written: that is the usual case, and every core reads the word.
        let add = |before: u32| (before < most).then(|| before.saturating_add(hundredths).min(most));
        let _ = self.hundredths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sent_post_is_never_tried_again_and_an_unsent_one_is() {
        for (method, body, progress, tries, verdict) in [
            ("POST", Body::Absent, Progress::SentUnanswered, 1, false),
            ("PATCH", Body::Whole, Progress::SentUnanswered, 1, false),
            ("POST", Body::Streamed, Progress::NotSent, 1, true),
            ("GET", Body::Absent, Progress::SentUnanswered, 1, true),
            ("PUT", Body::Whole, Progress::SentUnanswered, 2, true),
            ("PUT", Body::Streamed, Progress::SentUnanswered, 1, false),
            ("GET", Body::Absent, Progress::Answered, 1, false),
            ("GET", Body::Absent, Progress::NotSent, RETRIES_MAX + 1, false),
            ("get", Body::Absent, Progress::SentUnanswered, 1, false),
        ] {
            assert_eq!(
                Policy::default().allows(method, body, progress, tries),
                verdict,
                "{method} {body:?} {progress:?} {tries}"
            );
        }
    }

    #[test]
    fn the_budget_is_a_fifth_of_the_requests_and_ten_a_second() {
        let budget = Budget::default();
        let spend = || (0..).take_while(|_| budget.take()).count();
        spend();
        (0..50).for_each(|_| budget.on_request());
        assert_eq!(spend(), 10);
        budget.on_time(Duration::from_secs(3));
        assert_eq!(spend(), 30);
        budget.on_time(Duration::from_secs(1_000_000));
        assert_eq!(spend(), RETRY_BUDGET_MAX as usize);
    }

    #[test]
    fn a_connection_is_not_used_again_when_the_application_may_close_it() {
        assert!(may_reuse(Duration::from_millis(900), 5_000));
        assert!(!may_reuse(Duration::from_millis(1_000), 5_000));
        assert!(!may_reuse(Duration::from_millis(500), 1_000));
        assert!(!may_reuse(Duration::ZERO, 0), "it closes after each response");
    }
}
