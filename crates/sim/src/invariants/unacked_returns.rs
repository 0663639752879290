//! What a channel held when it died, or gave back, is delivered again.
//!
//! Exempt: queues that were deleted, or purged after that, homes that died, and messages that another client
//! acked.

use leveret_model::Instant;

use crate::oracle::{Fate, Oracle};

/// Judges after all queues were drained.
pub(crate) fn check(now: Instant, oracle: &mut Oracle) {
    let mut lost = Vec::new();
    for ((id, base), delivered) in &oracle.deliveries {
        let Fate::Returned(since) = delivered.fate else { continue };
        let Some(sent) = oracle.message(*id) else { continue };
        let exempt = delivered.acked
            || oracle.removals.deleted_since(*base, sent.sent_at)
            || oracle.removals.purged_since(*base, since)
            || oracle.home_ended_since(*base, sent.sent_at, since);
        if !exempt {
            let since = since.as_nanos() as f64 / 1e9;
            lost.push(format!("{id:?} of {base:?} was given back at {since:.6} s and never came again"));
        }
    }
    for text in lost {
        oracle.violation(now, "unacked_returns", text);
    }
}
