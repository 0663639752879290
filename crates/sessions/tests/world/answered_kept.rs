//! An answered commit is in every later load, unless it was overwritten.

use leveret_model::session::KeptAnswer;

use crate::clients::{Entry, Op, written_alone};

pub(crate) fn check(record: &[Entry]) -> Result<(), String> {
    for load in record.iter().filter(|entry| entry.op == Op::Get && !entry.alone) {
        if written_alone(record, load.key) {
            continue;
        }
        let Some(value) = load.value else { continue };
        let written = &record[value as usize];
        if written.key != load.key {
            return Err(format!("a load of another key's value: {load:?} {written:?}"));
        }
        let Some(ended) = written.answered.filter(|_| written.is_done()) else { continue };
        // a write that meets a logout is answered as if it had come just before it, and dropped (S5)
        let late = |commit: &Entry| {
            record.iter().any(|entry| {
                entry.key == commit.key && entry.op == Op::Del && Some(entry.asked) <= commit.answered
            })
        };
        let newer = |entry: &&Entry| {
            let commit = matches!(entry.op, Op::Set | Op::SetNx) && entry.is(&KeptAnswer::Ok);
            commit
                && entry.key == load.key
                && entry.asked > ended
                && entry.answered.is_some_and(|answered| answered < load.asked)
                && !late(entry)
        };
        if let Some(missing) = record.iter().find(newer) {
            return Err(format!(
                "an answered commit is missing: {missing:?} in {load:?}, which has {written:?}"
            ));
        }
    }
    Ok(())
}
