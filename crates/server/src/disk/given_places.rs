//! Which places of a queue count as given when a store opens: a place stands for one message for ever, and
//! another node's channel may hold one, of a message that was never stored, for longer than this process lived.
//!
//! Invariants: after a stop in order the queues said which place was last. After a crash that is not known, so
//! each queue goes on [`STORE_PLACES_SKIPPED`] places later; how far it went is on the disk before the node
//! serves, because the next crash may come before anything else is stored.

use leveret_model::limits::STORE_PLACES_SKIPPED;
use leveret_model::{Position, QueueId};
use leveret_store::{Effect, Effects, QueueOnDisk, Store, Turn};

use super::Files;
use crate::clock;

/// A mark of a queue: the last place that counts as given, u64.
const GIVEN: &[u8] = b"given";

/// A mark of a queue: the place below which another home has had every message, u64. The queue moved there, or
/// came from there.
const SHARED: &[u8] = b"shared";

/// Places up to this one were given.
pub(super) fn mark_given(turn: &mut Turn, queue: QueueId, last: Position) {
    turn.mark(Some(queue), GIVEN, &last.0.to_le_bytes());
}

/// Another home has all messages below this place.
pub(super) fn mark_shared(turn: &mut Turn, queue: QueueId, below: Position) {
    turn.mark(Some(queue), SHARED, &below.0.to_le_bytes());
    // the other home may serve once this is on the disk
    turn.hurry();
}

fn marked(found: &QueueOnDisk, wanted: &[u8]) -> u64 {
    let mark = found.marks.iter().find(|(key, _)| &key[..] == wanted);
    mark.and_then(|(_, value)| Some(u64::from_le_bytes(value[..].try_into().ok()?))).unwrap_or(0)
}

/// The last place of a queue that counts as given in this life. `clean`: the queue said so itself.
pub(super) fn last_given(found: &QueueOnDisk, clean: bool) -> Position {
    // of what came by a move the disk may have stored nothing
    let moved = marked(found, SHARED).saturating_sub(1);
    let known = found.last.0.max(marked(found, GIVEN)).max(moved);
    Position(if clean { known } else { known.saturating_add(STORE_PLACES_SKIPPED) })
}

/// The place below which another home has had every message.
pub(super) fn shared_below(found: &QueueOnDisk) -> Position {
    Position(marked(found, SHARED))
}

/// Writes down that a life begins, and waits until that is on the disk. Nobody else runs yet.
pub(super) fn begin_life(
    store: &mut Store,
    files: &Files,
    clean: bool,
    clean_mark: &[u8],
) -> Result<(), String> {
    let mut turn = Turn::new();
    if clean {
        // from now on it does not know all deliveries, nor all places
        turn.mark(None, clean_mark, b"");
    } else {
        for id in store.queues() {
            if let Some(found) = store.queue(id) {
                mark_given(&mut turn, id, last_given(&found, clean));
            }
        }
    }
    if turn.is_empty() {
        return Ok(());
    }
    turn.hurry();
    let wanted = store.append(turn.seal(), clock::now());
    let mut effects = Effects::default();
    loop {
        store.end_turn(clock::now(), &mut effects);
        for effect in effects.out.drain(..) {
            match effect {
                Effect::Synced(mark) if mark >= wanted => {
                    effects.ops.drain(..).for_each(|op| store.on_done(&files.execute(&op)));
                    return Ok(());
                }
                Effect::Fatal { what } => return Err(what),
                // reports are asked for before the thread starts
                _ => {}
            }
        }
        effects.ops.drain(..).for_each(|op| store.on_done(&files.execute(&op)));
    }
}
