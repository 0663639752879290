//! A confirmed publish misses no binding if, from 2 s before the bind-ok until the publish, home and ingress
//! could exchange frames both ways, directly or through one same live node.
//!
//! "The publish" is when the ingress has read it. It may hold it for want of a lease (R4) and route it up to
//! two seconds later; when a home was found Down meanwhile (R5) it answers with a nack, so that no confirm
//! rests on a map that changed.
//!
//! A declared queue counts as bound to the default exchange. Exempt: publishes sent before the ok, unbinds,
//! homes that died or lost a merge, purges, what was under way to a consumer without acknowledgements and got
//! lost (`losses.rs`).

use std::time::Duration;

use leveret_model::{Instant, NodeId};

use crate::event::HostId;
use crate::message_id::MessageId;
use crate::oracle::{Answer, Bound, Oracle, Sent};
use crate::topology::Base;
use crate::truth::Truth;

const BEFORE: Duration = Duration::from_secs(2);

/// Judges after all queues were drained; answers how many pairs of publish and binding were judged.
pub(crate) fn check(now: Instant, truth: &Truth, oracle: &mut Oracle) -> u64 {
    let (mut missed, mut judged) = (Vec::new(), 0);
    for (publisher, all) in oracle.sent.iter().enumerate() {
        for (at, sent) in all.iter().enumerate() {
            let id = MessageId { publisher: publisher as u32, number: at as u64 + 1 };
            let Answer::Confirmed(confirmed_at) = sent.answer else { continue };
            for ((exchange, key, base), bounds) in &oracle.bounds {
                if *exchange != sent.exchange.behind() || !exchange.matches(key, &sent.key) {
                    continue;
                }
                let Some(bound) = bounds.iter().find(|bound| holds(oracle, truth, bound, sent, confirmed_at))
                else {
                    continue;
                };
                judged += 1;
                let excused = oracle.excused.contains(&(id, *base))
                    || oracle.removals.purged_since(*base, sent.sent_at);
                if !oracle.deliveries.contains_key(&(id, *base)) && !excused {
                    missed.push(text(id, sent, (*base, key, bound), confirmed_at));
                }
            }
        }
    }
    for text in missed {
        oracle.violation(now, "bindings", text);
    }
    judged
}

fn text(
    id: MessageId,
    sent: &Sent,
    (base, key, bound): (Base, &str, &Bound),
    confirmed_at: Instant,
) -> String {
    let seconds = |at: Instant| at.as_nanos() as f64 / 1e9;
    format!(
        "{id:?} to {:?} \"{}\", sent at {:.6} s on host {}, confirmed at {:.6} s{}, missed {base:?}, bound by \"{key}\" at {:.6} s, home {:?}",
        sent.exchange,
        sent.key,
        seconds(sent.sent_at),
        sent.ingress.1.0,
        seconds(confirmed_at),
        if sent.returned { " and returned" } else { "" },
        seconds(bound.ok_at),
        bound.queue,
    )
}

/// The binding was there for this publish, without any doubt.
fn holds(oracle: &Oracle, truth: &Truth, bound: &Bound, sent: &Sent, confirmed_at: Instant) -> bool {
    let Some(life) = bound.queue.and_then(|id| oracle.lives.get(&id)) else { return false };
    let Some(read_at) = sent.read_at else { return false };
    let home = life.home.node;
    let from = bound.ok_at - BEFORE;
    bound.ok_at < sent.sent_at
        && bound.ended.is_none_or(|ended| ended > confirmed_at)
        && life.renamed.is_none()
        && life.dropped.is_none()
        && life.died.is_empty()
        && oracle.lifetimes.ended_after(home, life.born).is_none()
        && oracle.lifetimes.ran(sent.ingress.0, from, read_at)
        // whoever had the queue, and whoever told of it, was in reach
        && life.homes.iter().all(|home| in_reach(oracle, truth, *home, sent.ingress.0, (from, read_at)))
}

fn in_reach(
    oracle: &Oracle,
    truth: &Truth,
    home: NodeId,
    ingress: NodeId,
    (from, to): (Instant, Instant),
) -> bool {
    let host = |node: NodeId| oracle.hosts.get(&node).copied();
    let (Some(a), Some(b)) = (host(home), host(ingress)) else { return false };
    let direct = |a: HostId, b: HostId| truth.direct(a, b, from, to);
    if a == b || direct(a, b) {
        return true;
    }
    oracle.hosts.iter().any(|(node, through)| {
        *through != a
            && *through != b
            && oracle.lifetimes.ran(*node, from, to)
            && direct(a, *through)
            && direct(*through, b)
    })
}
