//! 10 s after the last fault: every publish and request is answered, every client's consumer is known to its
//! home or was cancelled, no message waits for nobody, no queue waits for a shard that is to say what it has of
//! it, and no client is said not to read; a minute later, when those with little credit had their time, no
//! message waits at all.
//!
//! A message does not wait for a consumer with credit, at any time: a shard at rest (nothing in its mailbox, no
//! turn due) has given whatever it could give, whichever faults there are. A consumer whose channel holds as
//! much as it may has no credit until the channel settles something.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_model::Instant;
use leveret_shard::QueueReport;

use crate::client::{Client, Phase};
use crate::oracle::Oracle;
use crate::process::Process;
use crate::topology::ENDING;

/// Longest wait of a request (`limits::OPERATION_WAIT`) and the way there and back.
const REQUEST_MAX: Duration = Duration::from_millis(8_500);
/// Longest wait of a publish (`limits::PUBLISH_WAIT`) and the way there and back.
const PUBLISH_MAX: Duration = Duration::from_secs(3);

/// Judges 10 s after the last fault.
pub(crate) fn check<'a>(
    now: Instant,
    healed_at: Instant,
    clients: &[Client],
    processes: impl Iterator<Item = &'a Process> + Clone,
    oracle: &mut Oracle,
) {
    for client in clients {
        answered(now, healed_at, client, oracle);
    }
    for process in processes.clone() {
        let status = process.control.control.status();
        if !status.ready || status.lease < process.now(now) {
            let text = format!("{} has no lease: {:?}", process.hello.name, status.nodes);
            oracle.violation(now, "liveness", text);
        }
    }
    let shards = processes.clone().flat_map(|p| &p.shards);
    for connection in shards.flat_map(|host| host.shard.report().connections) {
        if connection.state == "not reading" {
            let text = format!("{} is said not to read, and all do", connection.name);
            oracle.violation(now, "liveness", text);
        }
    }
    for host in processes.clone().flat_map(|p| &p.shards) {
        for (queue, awaits) in host.shard.awaiting_queues() {
            let text = format!("{queue:?} waits for {awaits:?}, and cannot move");
            oracle.violation(now, "liveness", text);
        }
    }
    let mut believed: BTreeMap<&str, u32> = BTreeMap::new();
    for consumer in clients.iter().flat_map(|c| c.channels.values()).flat_map(|c| c.consumers.values()) {
        *believed.entry(&consumer.queue).or_default() += 1;
    }
    for queue in processes.flat_map(|p| &p.shards).flat_map(|host| host.shard.report().queues) {
        if queue.name.starts_with(ENDING) {
            continue;
        }
        let clients_here = believed.remove(queue.name.as_str()).unwrap_or(0);
        if queue.consumers != clients_here {
            let text = format!(
                "{} at {:?} knows {} consumers, clients believe in {clients_here}",
                queue.name, queue.home, queue.consumers
            );
            oracle.violation(now, "liveness", text);
        }
        // a window that never opened again is no credit, and nobody is left to open it
        if queue.ready > 0 && queue.unacked == 0 {
            oracle.violation(now, "liveness", left(&queue));
        }
    }
    for (queue, consumers) in believed {
        oracle.violation(now, "liveness", format!("{consumers} consumers of {queue}, which has no home"));
    }
}

/// Judges shards at rest: no message waits while a consumer has credit.
pub(crate) fn look<'a>(now: Instant, processes: impl Iterator<Item = &'a Process>, oracle: &mut Oracle) {
    for process in processes {
        for (shard, host) in process.shards.iter().enumerate() {
            if !process.is_at_rest(shard, now) {
                continue;
            }
            for queue in host.shard.report().queues {
                if queue.ready > 0 && host.shard.has_credit(queue.id) {
                    oracle.violation(now, "liveness", format!("{}, and one has credit", left(&queue)));
                }
            }
        }
    }
}

/// No message waits for a consumer.
pub(crate) fn is_drained<'a>(mut processes: impl Iterator<Item = &'a Process>) -> bool {
    processes
        .all(|p| p.shards.iter().all(|host| host.shard.report().queues.iter().all(|queue| queue.ready == 0)))
}

/// Judges when those with little credit had their time too.
pub(crate) fn check_drained<'a>(
    now: Instant,
    processes: impl Iterator<Item = &'a Process>,
    oracle: &mut Oracle,
) {
    for queue in processes.flat_map(|p| &p.shards).flat_map(|host| host.shard.report().queues) {
        if queue.ready > 0 {
            oracle.violation(now, "liveness", left(&queue));
        }
    }
}

fn left(queue: &QueueReport) -> String {
    let QueueReport { name, home, ready, unacked, consumers, .. } = queue;
    format!("{ready} ready messages in {name} at {home:?}, {unacked} unacked, {consumers} consumers")
}

fn answered(now: Instant, healed_at: Instant, client: &Client, oracle: &mut Oracle) {
    if client.phase != Phase::Open {
        let text = format!("client {} ({:?}) is not connected: {:?}", client.id.0, client.role, client.phase);
        oracle.violation(now, "liveness", text);
    }
    for (number, channel) in &client.channels {
        for id in channel.unanswered.values() {
            let sent_at = oracle.message(*id).map_or(now, |sent| sent.sent_at);
            if sent_at < healed_at || now.since(sent_at) > PUBLISH_MAX {
                let at = sent_at.as_nanos() as f64 / 1e9;
                let text = format!(
                    "client {} channel {number}: {id:?}, sent at {at:.6} s, has no answer",
                    client.id.0
                );
                oracle.violation(now, "liveness", text);
            }
        }
        if let Some(asked_at) = channel.asked_at
            && (asked_at < healed_at || now.since(asked_at) > REQUEST_MAX)
        {
            let at = asked_at.as_nanos() as f64 / 1e9;
            let request = channel.requests.front();
            let text = format!(
                "client {} channel {number}: {request:?}, asked at {at:.6} s, has no answer",
                client.id.0
            );
            oracle.violation(now, "liveness", text);
        }
    }
}
