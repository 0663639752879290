//! A persistent message is confirmed when each durable queue that has it has stored it, and not when it was
//! appended.
//!
//! Judged as the client reads the confirm. Exempt: queues that somebody asked to delete, which count as not
//! matched.

use leveret_model::Instant;

use crate::message_id::MessageId;
use crate::oracle::Oracle;

/// A client reads the confirm of a message.
pub(crate) fn check(now: Instant, oracle: &mut Oracle, id: MessageId) {
    let Some(sent) = oracle.message(id).filter(|sent| sent.persistent) else { return };
    let owes = |queue: &&leveret_model::QueueId| {
        oracle.lives.get(queue).is_some_and(|life| {
            life.durable
                && life.dropped.is_none()
                && !oracle.removals.deleted_since(life.base, sent.sent_at)
                && !oracle.stores.has(**queue, id)
        })
    };
    if let Some(queue) = sent.routed.iter().find(owes) {
        let text = format!("{id:?} was confirmed, and {queue:?} had not stored it");
        oracle.violation(now, "stored_first", text);
    }
}
