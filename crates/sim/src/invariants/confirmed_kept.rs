//! A confirmed message is delivered by each queue that it was routed to, or that queue's home died.
//!
//! Judged after all queues were drained, so "still queued" means delivered too. Its ingress says which queues a
//! publish was routed to (`Shard::watch_routes`); that it was routed to all to which it had to go is what
//! `bindings` judges, and that it was routed at all is judged here by what was bound. Exempt: queues that were
//! deleted or purged, and what was under way to a consumer without acknowledgements and got lost (`losses.rs`).

use leveret_model::{Instant, QueueId};

use crate::message_id::MessageId;
use crate::oracle::{Answer, Oracle, Sent};
use crate::topology::Base;

/// Judges after all queues were drained; answers how many pairs of message and queue were judged.
pub(crate) fn check(now: Instant, oracle: &mut Oracle) -> u64 {
    let (mut lost, mut judged) = (Vec::new(), 0);
    for (publisher, all) in oracle.sent.iter().enumerate() {
        for (at, sent) in all.iter().enumerate() {
            let id = MessageId { publisher: publisher as u32, number: at as u64 + 1 };
            let Answer::Confirmed(confirmed_at) = sent.answer else { continue };
            if sent.returned {
                continue;
            }
            for queue in sent.routed.iter().filter(|queue| must_keep(oracle, id, sent, **queue)) {
                judged += 1;
                let life = oracle.lives.get(queue);
                if life.is_none_or(|life| !oracle.deliveries.contains_key(&(id, life.base))) {
                    lost.push(text(id, sent, confirmed_at, &format!("from {queue:?}, {life:?}")));
                }
            }
            if !came(oracle, id) && must_have_come(oracle, id, sent, confirmed_at) {
                lost.push(text(id, sent, confirmed_at, "from anywhere"));
            }
        }
    }
    for text in lost {
        oracle.violation(now, "confirmed_kept", text);
    }
    judged
}

fn text(id: MessageId, sent: &Sent, confirmed_at: Instant, from: &str) -> String {
    format!(
        "{id:?} to {:?} \"{}\", sent at {:.6} s, confirmed at {:.6} s, never came {from}",
        sent.exchange,
        sent.key,
        sent.sent_at.as_nanos() as f64 / 1e9,
        confirmed_at.as_nanos() as f64 / 1e9,
    )
}

/// The queue had it for good: its home lived on, nobody deleted or purged it, and no consumer without
/// acknowledgements had it.
fn must_keep(oracle: &Oracle, id: MessageId, sent: &Sent, queue: QueueId) -> bool {
    oracle.lives.get(&queue).is_none_or(|life| {
        life.died.is_empty()
            && life.dropped.is_none()
            && !oracle.removals.purged_since(life.base, sent.sent_at)
            && !oracle.excused.contains(&(id, life.base))
    })
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
            && !oracle.removals.deleted_since(*base, sent.sent_at)
            && !oracle.removals.purged_since(*base, sent.sent_at)
            && !oracle.home_ended_since(*base, sent.sent_at, confirmed_at)
    })
}
