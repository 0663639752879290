//! Each attribute by itself: a load shows the last answered change of every attribute, whoever changed others
//! meanwhile, on whichever node, also across takeovers and the two sides of a cut; a removed one stays away.

use crate::merging::{MergeEntry, MergeOp};

/// A request may be applied so long after it was asked.
const APPLIED_MS: u64 = 4_100;
/// Of two changes that lie as far apart, the two sides of a cut agree on which is the later.
const APART_MS: u64 = 10_000;
/// Faults last 4.1 s at most; behind them both sides join.
const JOINED_MS: u64 = 9_000;

pub(crate) fn check(record: &[MergeEntry]) -> Result<(), String> {
    let mut judged = 0;
    for load in record.iter().filter(|entry| entry.op == MergeOp::Load && entry.is_done && !entry.alone) {
        // A node that is cut off and holds no copy begins another life, and of two lives the later wins whole
        // (S1).
        let reborn = |entry: &MergeEntry| entry.key == load.key && entry.alone && entry.is_birth;
        if record.iter().any(|entry| reborn(entry) && Some(entry.asked) <= load.answered) {
            continue;
        }
        // both sides wrote, and have perhaps not joined yet (S8: 2 s after the heal)
        let apart_still = |entry: &&MergeEntry| {
            entry.key == load.key
                && entry.alone
                && entry.op != MergeOp::Load
                && entry.asked + JOINED_MS > load.asked
        };
        if record.iter().filter(|entry| Some(entry.asked) <= load.answered).any(|entry| apart_still(&entry)) {
            continue;
        }
        let writes = |field: u64| {
            let same = move |entry: &&MergeEntry| entry.key == load.key && entry.field == field;
            record.iter().enumerate().filter(move |(_, entry)| entry.op != MergeOp::Load && same(entry))
        };
        for (&field, &number) in &load.seen {
            let written = &record[number as usize];
            if (written.key, written.field, written.op) != (load.key, field, MergeOp::Set) {
                return Err(format!("attribute {field} has another one's value: {load:?} {written:?}"));
            }
        }
        let fields: std::collections::BTreeSet<u64> = record.iter().map(|entry| entry.field).collect();
        for field in fields {
            let before = |entry: &MergeEntry| Some(entry.asked) <= load.answered;
            let done = writes(field).filter(|(_, entry)| entry.is_done && before(entry));
            let Some((number, last)) = done.max_by_key(|(_, entry)| entry.answered) else { continue };
            let alone = writes(field).any(|(_, entry)| entry.alone && before(entry));
            let apart = if alone { APART_MS } else { 0 };
            let ended = |entry: &MergeEntry| match entry.answered {
                Some(at) if entry.is_done => at,
                _ => entry.asked + APPLIED_MS,
            };
            let isolated = writes(field)
                .filter(|(at, entry)| *at != number && before(entry))
                .all(|(_, entry)| ended(entry) + apart < last.asked);
            if !isolated || last.answered.is_none_or(|at| at >= load.asked) {
                continue;
            }
            judged += 1;
            let wanted = (last.op == MergeOp::Set).then_some(number as u64);
            let seen = load.seen.get(&field).copied();
            if seen != wanted {
                let seen = seen.map(|number| &record[number as usize]);
                return Err(format!("attribute {field} is {seen:?} and not {last:?} in {load:?}"));
            }
        }
    }
    if judged < 200 { Err(format!("only {judged} attributes were judged")) } else { Ok(()) }
}
