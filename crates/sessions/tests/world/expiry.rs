//! A session that nobody uses expires, and no later than the longest that a lost home may have lengthened it.

use crate::clients::{Entry, Op, TTL_MS};

/// A request may be applied 4 s after it was asked; each takeover adds a second.
const SLACK_MS: u64 = 10_000;

pub(crate) fn check(record: &[Entry]) -> Result<(), String> {
    for load in record.iter().filter(|entry| entry.op == Op::Get && entry.value.is_some()) {
        let used = |entry: &&Entry| {
            entry.key == load.key
                && matches!(entry.op, Op::Set | Op::SetNx | Op::Touch)
                && entry.asked <= load.answered.unwrap_or(u64::MAX)
        };
        let last = record.iter().filter(used).map(|entry| entry.asked).max().unwrap_or(0);
        if load.asked > last + TTL_MS + SLACK_MS {
            return Err(format!("nobody used it since {last} ms, and it lives: {load:?}"));
        }
    }
    Ok(())
}
