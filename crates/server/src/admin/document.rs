//! The document that `leveret status` reads.

mod sessions;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use leveret_cluster::{NodeStatus, QueueStatus, Standing};
use leveret_model::definition::QueueDefinition;
use leveret_model::policy::Policies;
use leveret_model::{Instant, NodeId, QueueId};
use leveret_shard::{Pressure, QueueCounts, ShardReport, Traffic};
use serde_json::{Value, json};

use super::load::Load;
use super::settings_json::of_queue;
use super::{NodeState, Overview};
use crate::clock;
use crate::disk::StoreReports;
use crate::memory::{DISK_IS_LOW, NodeMemory};
use crate::registries::RegistryStatus;

/// What does not change while the node runs.
#[derive(Debug)]
pub(crate) struct NodeFacts {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) cluster_listen: String,
    /// Where RESP clients connect, and `session_memory`, if sessions are on.
    pub(crate) sessions: Option<(SocketAddr, u64)>,
    pub(crate) data_dir: PathBuf,
    /// Damage, repairs, and what is kept.
    pub(crate) store: StoreReports,
    pub(crate) started: Instant,
}

pub(super) fn of(
    facts: &NodeFacts,
    (memory, load): (&NodeMemory, Load),
    reports: &[ShardReport],
    overview: &Overview,
    registries: &[RegistryStatus],
) -> Value {
    let sum = |of: fn(&Traffic) -> u64| -> u64 { reports.iter().map(|report| of(&report.traffic)).sum() };
    json!({
        "node": {
            "id": whole(facts.id), "name": facts.name, "version": env!("CARGO_PKG_VERSION"),
            "state": match overview.state {
                NodeState::Joining => "joining",
                NodeState::Ready => "ready",
                NodeState::Leaving => "leaving",
                NodeState::Stopped => "stopped",
            },
            "uptime_s": clock::now().since(facts.started).as_secs(),
            "listen": listen(facts), "cluster_listen": facts.cluster_listen,
            "data_dir": facts.data_dir,
        },
        "nodes": nodes(facts, &overview.nodes, clock::now()),
        "queues": queues(facts, reports, overview),
        "connections": connections(reports),
        "load": load.to_json(),
        "memory": { "used": memory.used(), "limit": memory.limit(), "paged_out": paged_out(reports) },
        "messages": {
            "routed": sum(|traffic| traffic.published_here + traffic.published_away),
            "crossed_shards": sum(|traffic| traffic.published_away),
            "unroutable": sum(|traffic| traffic.unroutable),
            "given_up": sum(|traffic| traffic.given_up),
            "expired": sum(|traffic| traffic.expired),
            "over_length": sum(|traffic| traffic.over_length),
            "duplicates": sum(|traffic| traffic.duplicates),
            "replies": sum(|traffic| traffic.replies),
            "replies_dropped": sum(|traffic| traffic.replies_dropped),
            "returned_too_often": sum(|traffic| traffic.returned_too_often),
            "rejected": sum(|traffic| traffic.rejected),
            "refused": sum(|traffic| traffic.refused),
            "dead_letters": {
                "delivered": sum(|traffic| traffic.dead_lettered),
                "unroutable": sum(|traffic| traffic.dead_letters_unroutable),
                "past_away": sum(|traffic| traffic.dead_letters_past_away),
            },
            "unknown_records": sum(|traffic| traffic.unknown_records),
        },
        "registries": registries.iter().map(registry).collect::<Vec<Value>>(),
        "sessions": sessions::of(facts.sessions, reports),
        "store": { "reports": facts.store.all() },
        "warnings": warnings(facts, memory, overview, registries),
    })
}

fn registry(status: &RegistryStatus) -> Value {
    json!({
        "what": status.what, "seeds": status.seeds, "registered": status.registered,
        "problems": status.problems,
    })
}

/// The addresses in one text, as `status` shows them.
fn listen(facts: &NodeFacts) -> String {
    let addresses: Vec<String> = facts.listen.iter().map(SocketAddr::to_string).collect();
    addresses.join(" and ")
}

/// All digits: for programs, which compare and keep ids; people see the first eight.
pub(super) fn whole(id: NodeId) -> String {
    format!("{:032x}", id.0)
}

/// The name of each node, by its id.
pub(super) fn names(facts: &NodeFacts, others: &[NodeStatus]) -> Value {
    let own = (whole(facts.id), facts.name.clone().into());
    let others = others.iter().map(|node| (whole(node.node), node.name.as_str().into()));
    Value::Object(std::iter::once(own).chain(others).collect())
}

/// This node, then those that live, then those that are down, the latest first.
fn nodes(facts: &NodeFacts, others: &[NodeStatus], now: Instant) -> Vec<Value> {
    let own = json!({
        "id": whole(facts.id), "name": facts.name, "standing": "this node", "address": facts.cluster_listen,
        "down_s": null,
    });
    let mut others: Vec<&NodeStatus> = others.iter().collect();
    others.sort_by_key(|node| (node.standing.down_for(now), &node.name, node.node));
    let others = others.into_iter().map(|node| {
        let standing = match node.standing {
            Standing::Alive if node.ready => "alive",
            Standing::Alive => "joining",
            Standing::Unreachable => "unreachable",
            Standing::Down { .. } => "down",
        };
        json!({
            "id": whole(node.node), "name": node.name.as_str(), "standing": standing, "address": node.address,
            "down_s": node.standing.down_for(now).map(|down| down.as_secs()),
        })
    });
    std::iter::once(own).chain(others).collect()
}

/// This node's queues with their counts, then those that live elsewhere, which only their homes can count, then
/// those that are away with their homes; by name each.
pub(super) fn queues(facts: &NodeFacts, reports: &[ShardReport], overview: &Overview) -> Vec<Value> {
    let mut policies = Policies::default();
    for policy in &overview.policies {
        policies.put(policy.clone());
    }
    let definitions: BTreeMap<QueueId, &QueueDefinition> =
        overview.queues.iter().map(|queue| (queue.record.id, &*queue.record.definition)).collect();
    // nobody knows the definition of a queue that came or went meanwhile
    let policy_of = |id: &QueueId| {
        definitions.get(id).map_or((Value::Null, json!({})), |queue| of_queue(&policies, queue))
    };
    let mut own: Vec<_> = reports.iter().flat_map(|report| &report.queues).collect();
    own.sort_by_key(|queue| (&queue.vhost, &queue.name));
    let own = own.into_iter().map(|queue| {
        let (policy, effective) = policy_of(&queue.id);
        json!({
            "name": queue.name.as_str(), "vhost": queue.vhost.as_str(), "home": whole(queue.home.node),
            "shard": queue.home.shard.0, "ready": queue.ready, "unacked": queue.unacked,
            "consumers": queue.consumers, "durable": queue.durable, "away": false, "bytes": queue.bytes,
            "oldest_ready_ms": queue.oldest_ready.map(|age| age.as_millis() as u64),
            "policy": policy, "effective_policy_definition": effective,
            "counts": counts(&queue.counts),
        })
    });
    let mut elsewhere: Vec<&QueueStatus> =
        overview.queues.iter().filter(|queue| queue.record.home.node != facts.id).collect();
    elsewhere
        .sort_by_key(|queue| (queue.masked, &queue.record.definition.vhost, &queue.record.definition.name));
    let elsewhere = elsewhere.into_iter().map(|queue| {
        let record = &queue.record;
        let (policy, effective) = of_queue(&policies, &record.definition);
        json!({
            "name": record.definition.name.as_str(), "vhost": record.definition.vhost.as_str(), "home": whole(record.home.node),
            "shard": record.home.shard.0, "ready": null, "unacked": null, "consumers": null,
            "durable": record.definition.durable, "away": queue.masked,
            "policy": policy, "effective_policy_definition": effective,
        })
    });
    own.chain(elsewhere).collect()
}

/// Since the queue came to this node; `published` since it was declared.
fn counts(of: &QueueCounts) -> Value {
    json!({
        "published": of.published, "delivered": of.delivered, "redelivered": of.redelivered, "acked": of.acked,
        "requeued": of.requeued, "rejected": of.rejected, "expired": of.expired, "over_length": of.over_length,
        "returned_too_often": of.returned_too_often, "refused": of.refused, "purged": of.purged,
    })
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

/// Messages whose bytes are on the disk alone.
fn paged_out(reports: &[ShardReport]) -> u64 {
    reports.iter().map(|report| report.paged_out).sum()
}

fn warnings(
    facts: &NodeFacts,
    memory: &NodeMemory,
    overview: &Overview,
    registries: &[RegistryStatus],
) -> Vec<Cow<'static, str>> {
    let reports = facts.store.all().into_iter();
    let mut warnings: Vec<Cow<'static, str>> =
        reports.map(|report| Cow::from(format!("store: {report}"))).collect();
    if overview.state == NodeState::Stopped {
        warnings.push(
            "another process has this node's identity, so it serves nothing: stop both, give each a data directory of its own, and start the right one"
                .into(),
        );
    }
    if overview.state == NodeState::Leaving {
        warnings
            .push("no client is let in any more: this node leaves, and its queues go to other nodes".into());
    }
    if overview.state == NodeState::Joining {
        warnings.push("no client is let in yet: this node has not joined; its log says why".into());
    }
    if let Some(why) = &overview.why_alone {
        warnings.push(format!("alone: {why}").into());
    }
    for registry in registries {
        let problems = registry.problems.iter();
        warnings.extend(problems.map(|problem| Cow::from(format!("{}: {problem}", registry.what))));
    }
    if !overview.renamed.is_empty() {
        let there: BTreeSet<&str> =
            overview.queues.iter().map(|queue| queue.record.definition.name.as_str()).collect();
        for (renamed, name) in overview.renamed.iter().filter(|(renamed, _)| there.contains(renamed.as_str()))
        {
            let text =
                format!("two queues named '{name}' met, another keeps the name: ours is '{renamed}' now");
            warnings.push(text.into());
        }
    }
    for (kind, count) in &overview.unknown_records {
        let text = format!(
            "nodes of a later version wrote {count} times what this one cannot act on ({kind}): it is kept and handed on"
        );
        warnings.push(text.into());
    }
    if memory.disk_is_low() {
        warnings.push(DISK_IS_LOW.into());
    }
    match memory.pressure() {
        Pressure::Calm => {}
        Pressure::Tight => warnings.push("memory is tight: publishers of long queues wait".into()),
        Pressure::Disk | Pressure::Full | Pressure::Over => {
            warnings.push("memory is full: all publishers wait".into());
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::directory::QueueRecord;
    use leveret_model::{Boot, Incarnation, Name, ShardAddress, ShardId};
    use std::time::Duration;

    const OWN: NodeId = NodeId(1);

    fn facts() -> NodeFacts {
        let listen = vec![SocketAddr::from(([127, 0, 0, 1], 5672))];
        let (name, cluster_listen) = ("own".into(), "127.0.0.1:25672".into());
        NodeFacts {
            id: OWN,
            name,
            listen,
            cluster_listen,
            sessions: None,
            data_dir: PathBuf::new(),
            store: StoreReports::default(),
            started: Instant::ZERO,
        }
    }

    fn node(name: &str, standing: Standing) -> NodeStatus {
        NodeStatus {
            node: NodeId(7),
            incarnation: Incarnation(1),
            boot: Boot(1),
            name: Name::new(name),
            address: String::new(),
            shards: 1,
            standing,
            counted: true,
            ready: true,
            linked: true,
            version: leveret_cluster::Version::default(),
            unknown_frames: 0,
        }
    }

    fn queue(name: &str, masked: bool) -> QueueStatus {
        let home = ShardAddress { node: NodeId(7), shard: ShardId(0) };
        let id = QueueId::default();
        let definition = QueueDefinition::new(Name::new("/"), Name::new(name)).into();
        let record = QueueRecord { definition, id, home, epoch: 0 };
        QueueStatus { record, masked, stood: true }
    }

    fn names(entries: &[Value]) -> Vec<&str> {
        entries.iter().filter_map(|entry| entry["name"].as_str()).collect()
    }

    #[test]
    fn who_lives_comes_first_and_of_the_dead_it_is_said_for_how_long() {
        let at = |s| Instant::ZERO + Duration::from_secs(s);
        let down = |s| Standing::Down { since: at(s) };
        let others = [
            node("adam", down(10)),
            node("bert", Standing::Alive),
            node("abel", down(40)),
            node("anna", Standing::Unreachable),
        ];
        let nodes = nodes(&facts(), &others, at(100));
        assert_eq!(names(&nodes), ["own", "anna", "bert", "abel", "adam"]);
        assert_eq!(nodes[3]["down_s"], 60);
        assert!(nodes[0]["down_s"].is_null() && nodes[1]["down_s"].is_null());
    }

    #[test]
    fn queues_that_are_away_come_behind_all_others() {
        let queues_there = [queue("a", true), queue("z", false), queue("b", true), queue("c", false)];
        let overview = Overview {
            state: NodeState::Ready,
            nodes: Vec::new(),
            queues: queues_there.into(),
            renamed: Vec::new(),
            policies: Vec::new(),
            unknown_records: Vec::new(),
            why_alone: None,
        };
        let queues = queues(&facts(), &[], &overview);
        assert_eq!(names(&queues), ["c", "z", "a", "b"]);
        assert_eq!(queues.iter().filter(|queue| queue["away"] == true).count(), 2);
    }
}
