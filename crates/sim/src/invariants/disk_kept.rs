//! In runs with disks: a persistent message that was confirmed was delivered from each durable queue that it
//! was routed to, or is on a disk, whatever ended in between.
//!
//! A queue that lost its name to another one keeps its messages, and counts. Exempt: queues that somebody asked
//! to delete or to purge, and those with consumers without acknowledgements.

use std::collections::BTreeSet;

use leveret_model::Instant;

use crate::message_id::MessageId;
use crate::oracle::{Answer, Oracle};
use crate::topology::Base;

/// Judges after all queues were drained; answers how many pairs of message and queue were judged.
pub(crate) fn check(now: Instant, oracle: &mut Oracle) -> u64 {
    let base_of = |queue| oracle.lives.get(&queue).map(|life| life.base);
    let stored = oracle.stores.disks.messages();
    let stored: BTreeSet<(MessageId, Base)> =
        stored.into_iter().filter_map(|(queue, id)| Some((id, base_of(queue)?))).collect();
    let (mut lost, mut judged) = (Vec::new(), 0);
    for (publisher, all) in oracle.sent.iter().enumerate() {
        for (at, sent) in all.iter().enumerate() {
            let id = MessageId { publisher: publisher as u32, number: at as u64 + 1 };
            let Answer::Confirmed(confirmed_at) = sent.answer else { continue };
            if sent.returned || !sent.persistent {
                continue;
            }
            for life in sent.routed.iter().filter_map(|queue| oracle.lives.get(queue)) {
                let base = life.base;
                let exempt = !life.durable
                    || base.may_lose()
                    || oracle.removals.deleted_since(base, sent.sent_at)
                    || oracle.removals.purged_since(base, sent.sent_at);
                if exempt {
                    continue;
                }
                judged += 1;
                if !oracle.deliveries.contains_key(&(id, base)) && !stored.contains(&(id, base)) {
                    lost.push(format!(
                        "{id:?} to {base:?}, sent at {:.6} s, confirmed at {:.6} s, never came and is on no disk: {life:?}",
                        sent.sent_at.as_nanos() as f64 / 1e9,
                        confirmed_at.as_nanos() as f64 / 1e9,
                    ));
                }
            }
        }
    }
    for text in lost {
        oracle.violation(now, "disk_kept", text);
    }
    judged
}
