//! After an answered destroy no load that begins later says live, on any node.

use leveret_model::session::KeptAnswer;

use crate::clients::{Entry, Op};

pub(crate) fn check(record: &[Entry]) -> Result<(), String> {
    let done = |entry: &&Entry| entry.op == Op::Del && !entry.alone && entry.is(&KeptAnswer::Integer(1));
    for destroyed in record.iter().filter(done) {
        let at = destroyed.answered.expect("it is done");
        let later = |entry: &&Entry| {
            entry.key == destroyed.key && entry.op == Op::Get && !entry.alone && entry.asked > at
        };
        if let Some(live) = record.iter().filter(later).find(|entry| entry.value.is_some()) {
            return Err(format!("a logout is undone: {destroyed:?}, then {live:?}"));
        }
    }
    Ok(())
}
