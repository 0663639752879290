//! Every request is answered within 4 s, and nearly all are done.

use crate::clients::Entry;

/// What a request may take, and what the world's steps add.
const WAIT_MS: u64 = 4_000 + 30;

pub(crate) fn check(record: &[Entry]) -> Result<(), String> {
    for entry in record.iter().filter(|entry| !entry.node_died) {
        let Some(answered) = entry.answered else {
            return Err(format!("never answered: {entry:?}"));
        };
        if answered - entry.asked > WAIT_MS {
            return Err(format!("answered after {} ms: {entry:?}", answered - entry.asked));
        }
    }
    let refused = record.iter().filter(|entry| entry.answered.is_some() && !entry.is_done()).count();
    if refused * 20 > record.len() {
        return Err(format!("{refused} of {} requests were refused", record.len()));
    }
    Ok(())
}
