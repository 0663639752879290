//! Nil is never false: nobody is told that a session is missing which was answered to be there and has not
//! ended.

use leveret_model::session::KeptAnswer;

use crate::clients::{Entry, Op, TTL_MS, written_alone};

/// Between the deadline at the home and what a client counts from its own request.
const SLACK_MS: u64 = 4_000;

pub(crate) fn check(record: &[Entry]) -> Result<(), String> {
    for nil in record {
        let missing = match nil.op {
            Op::Get => nil.is(&KeptAnswer::Nil),
            // a new life where one is alive
            Op::SetNx => nil.is(&KeptAnswer::Ok),
            Op::Touch => nil.is(&KeptAnswer::Integer(0)),
            Op::Set | Op::Del => false,
        };
        if !missing || nil.alone || written_alone(record, nil.key) {
            continue;
        }
        let answered = nil.answered.expect("it is done");
        let ended = |entry: &Entry| entry.key == nil.key && entry.op == Op::Del && entry.asked <= answered;
        if record.iter().any(ended) {
            continue;
        }
        let alive = |entry: &&Entry| {
            entry.key == nil.key
                && matches!(entry.op, Op::Set | Op::SetNx)
                && entry.is(&KeptAnswer::Ok)
                && entry.answered.is_some_and(|at| at < nil.asked)
                && answered < entry.asked + TTL_MS - SLACK_MS
        };
        if let Some(alive) = record.iter().find(alive) {
            return Err(format!("a false nil: {nil:?}, but {alive:?}"));
        }
    }
    Ok(())
}
