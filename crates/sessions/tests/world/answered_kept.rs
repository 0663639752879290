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
        // a repeat that was applied anew answers as if the first had not been
        if written.op == Op::SetNx && written.is(&KeptAnswer::Nil) {
            return Err(format!("a load shows what was refused: {load:?} {written:?}"));
        }
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
        // what was shown must not be lost either (S6)
        let shown = |entry: &Entry| {
            let shows = |other: &Entry| {
                other.op == Op::Get && !other.alone && other.value.is_some() && other.value == entry.value
            };
            record.iter().any(|other| {
                other.key == entry.key && shows(other) && other.answered.is_some_and(|at| at < load.asked)
            })
        };
        let newer = |entry: &&Entry| {
            let commit = matches!(entry.op, Op::Set | Op::SetNx);
            let answered = entry.is(&KeptAnswer::Ok) && entry.answered.is_some_and(|at| at < load.asked);
            commit
                && entry.key == load.key
                && entry.asked > ended
                && !late(entry)
                && (answered || shown(entry))
        };
        if let Some(missing) = record.iter().find(newer) {
            return Err(format!(
                "an answered commit is missing: {missing:?} in {load:?}, which has {written:?}"
            ));
        }
    }
    Ok(())
}
