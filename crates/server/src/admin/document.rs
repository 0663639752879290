//! The document that `leveret status` reads.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use leveret_cluster::{NodeStatus, Standing};
use leveret_model::{Instant, NodeId};
use leveret_shard::{Pressure, ShardReport, Traffic};
use serde_json::{Value, json};

use super::Overview;
use crate::clock;
use crate::memory::NodeMemory;

/// What does not change while the node runs.
#[derive(Debug)]
pub(crate) struct NodeFacts {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) listen: SocketAddr,
    pub(crate) cluster_listen: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) started: Instant,
}

pub(super) fn of(
    facts: &NodeFacts,
    memory: &NodeMemory,
    reports: &[ShardReport],
    overview: &Overview,
) -> Value {
    let sum = |of: fn(&Traffic) -> u64| -> u64 { reports.iter().map(|report| of(&report.traffic)).sum() };
    json!({
        "node": {
            "id": whole(facts.id), "name": facts.name, "version": env!("CARGO_PKG_VERSION"),
            "uptime_s": clock::now().since(facts.started).as_secs(),
            "listen": facts.listen.to_string(), "cluster_listen": facts.cluster_listen,
            "data_dir": facts.data_dir,
        },
        "nodes": nodes(facts, &overview.nodes),
        "queues": queues(facts, reports, overview),
        "connections": connections(reports),
        "memory": { "used": memory.used(), "limit": memory.limit() },
        "messages": {
            "routed": sum(|traffic| traffic.published_here + traffic.published_away),
            "crossed_shards": sum(|traffic| traffic.published_away),
            "unroutable": sum(|traffic| traffic.unroutable),
            "given_up": sum(|traffic| traffic.given_up),
        },
        "warnings": warnings(memory, overview),
    })
}

/// All digits: for programs, which compare and keep ids; people see the first eight.
fn whole(id: NodeId) -> String {
    format!("{:032x}", id.0)
}

fn nodes(facts: &NodeFacts, others: &[NodeStatus]) -> Vec<Value> {
    let own = json!({
        "id": whole(facts.id), "name": facts.name, "standing": "this node", "address": facts.cluster_listen,
    });
    let others = others.iter().map(|node| {
        let standing = match node.standing {
            Standing::Alive if node.ready => "alive",
            Standing::Alive => "joining",
            Standing::Unreachable => "unreachable",
            Standing::Down { .. } => "down",
        };
        json!({
            "id": whole(node.node), "name": node.name.as_str(), "standing": standing, "address": node.address,
        })
    });
    std::iter::once(own).chain(others).collect()
}

/// This node's queues with their counts, then those that live elsewhere: only their homes can count them.
fn queues(facts: &NodeFacts, reports: &[ShardReport], overview: &Overview) -> Vec<Value> {
    let own = reports.iter().flat_map(|report| &report.queues).map(|queue| {
        json!({
            "name": queue.name.as_str(), "vhost": queue.vhost.as_str(), "home": whole(queue.home.node),
            "shard": queue.home.shard.0, "ready": queue.ready, "unacked": queue.unacked,
            "consumers": queue.consumers, "durable": queue.durable, "away": false,
        })
    });
    let elsewhere = overview.queues.iter().filter(|queue| queue.record.home.node != facts.id);
    let elsewhere = elsewhere.map(|queue| {
        let record = &queue.record;
        json!({
            "name": record.name.as_str(), "vhost": record.vhost.as_str(), "home": whole(record.home.node),
            "shard": record.home.shard.0, "ready": null, "unacked": null, "consumers": null,
            "durable": record.durable, "away": queue.masked,
        })
    });
    own.chain(elsewhere).collect()
}

fn connections(reports: &[ShardReport]) -> Vec<Value> {
    let each = reports.iter().enumerate().flat_map(|(shard, report)| {
        report.connections.iter().map(move |connection| {
            json!({
                "name": connection.name, "user": connection.user.as_str(), "vhost": connection.vhost.as_str(),
                "channels": connection.channels, "state": connection.state, "shard": shard,
            })
        })
    });
    each.collect()
}

fn warnings(memory: &NodeMemory, overview: &Overview) -> Vec<Cow<'static, str>> {
    let mut warnings: Vec<Cow<'static, str>> =
        vec!["durable queues and persistent messages are kept in memory only".into()];
    if !overview.open {
        warnings.push("no client is let in yet: this node has not joined; its log says why".into());
    }
    if !overview.renamed.is_empty() {
        let there: BTreeSet<&str> = overview.queues.iter().map(|queue| queue.record.name.as_str()).collect();
        for (renamed, name) in overview.renamed.iter().filter(|(renamed, _)| there.contains(renamed.as_str()))
        {
            let text =
                format!("two queues named '{name}' met, another keeps the name: ours is '{renamed}' now");
            warnings.push(text.into());
        }
    }
    match memory.pressure() {
        Pressure::Calm => {}
        Pressure::Tight => warnings.push("memory is tight: publishers of long queues wait".into()),
        Pressure::Full | Pressure::Over => warnings.push("memory is full: all publishers wait".into()),
    }
    warnings
}
