//! A confirmed message is delivered, or its home died.
//!
//! Judged after all queues were drained, so "still queued" means delivered too. Exempt: messages that could go to a
//! queue that was deleted, and what was under way to a consumer without acknowledgements and got lost (`losses.rs`).
//!
//! One queue that it came from is enough here, for nobody sees which queues a publish was routed to; that it reached all to
//! which it had to go is what `bindings` judges, queue by queue.

use leveret_model::Instant;

use crate::oracle::{Answer, MessageId, Oracle, Sent};
use crate::topology::Base;

/// Judges after all queues were drained.
pub(crate) fn check(now: Instant, oracle: &mut Oracle) {
    let mut lost = Vec::new();
    for (publisher, all) in oracle.sent.iter().enumerate() {
        for (at, sent) in all.iter().enumerate() {
            let id = MessageId { publisher: publisher as u32, number: at as u64 + 1 };
            let Answer::Confirmed(confirmed_at) = sent.answer else { continue };
            if !sent.returned && !came(oracle, id) && must_have_come(oracle, id, sent, confirmed_at) {
                lost.push(format!(
                    "{id:?} to {:?} \"{}\", sent at {:.6} s, confirmed at {:.6} s, never came",
                    sent.exchange,
                    sent.key,
                    sent.sent_at.as_nanos() as f64 / 1e9,
                    confirmed_at.as_nanos() as f64 / 1e9,
                ));
            }
        }
    }
    for text in lost {
        oracle.violation(now, "confirmed_kept", text);
    }
}

fn came(oracle: &Oracle, id: MessageId) -> bool {
    Base::ALL.iter().any(|base| oracle.deliveries.contains_key(&(id, *base)))
}

/// None of the queues that it can have gone to is exempt.
fn must_have_come(oracle: &Oracle, id: MessageId, sent: &Sent, confirmed_at: Instant) -> bool {
    let could = |base: &Base| {
        oracle.bounds.keys().any(|(exchange, key, to)| {
            *to == *base && *exchange == sent.exchange.behind() && exchange.matches(key, &sent.key)
        })
    };
    Base::ALL.iter().filter(|base| could(base)).all(|base| {
        !oracle.excused.contains(&(id, *base))
            && !oracle.deleted_since(*base, sent.sent_at)
            && !oracle.home_ended_since(*base, sent.sent_at, confirmed_at)
    })
}
