//! A queue incarnation has one home, in every execution; a name has one incarnation while views agree.
//!
//! Views agree when every node of a set counts exactly that set and has its lease, for two seconds (without the
//! lease a node that others hear still counts, though nothing reaches it). Two proposals for one name may meet
//! even then; one is withdrawn before any ok, so proposals are not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leveret_model::{Instant, Name, NodeId, QueueId, ShardAddress};

use crate::oracle::Oracle;
use crate::process::Process;

const AGREED_FOR: Duration = Duration::from_secs(2);

/// Since when which sets of nodes agree.
#[derive(Debug, Default)]
pub(crate) struct OneHome {
    agree_since: BTreeMap<Vec<NodeId>, Instant>,
}

impl OneHome {
    pub(crate) fn look<'a>(
        &mut self,
        now: Instant,
        processes: impl Iterator<Item = &'a Process> + Clone,
        oracle: &mut Oracle,
    ) {
        let mut homes: BTreeMap<QueueId, ShardAddress> = BTreeMap::new();
        for queue in processes.clone().flat_map(|p| &p.shards).flat_map(|host| host.shard.report().queues) {
            if let Some(other) = homes.insert(queue.id, queue.home)
                && other != queue.home
            {
                let text = format!("{:?} lives at {other:?} and at {:?}", queue.id, queue.home);
                oracle.violation(now, "one_home", text);
            }
        }
        let mut sets: BTreeMap<Vec<NodeId>, Vec<&Process>> = BTreeMap::new();
        for process in processes.filter(|process| process.has_lease(now)) {
            sets.entry(process.control.control.counted_set()).or_default().push(process);
        }
        sets.retain(|set, members| {
            members.len() == set.len() && members.iter().all(|p| set.contains(&p.hello.node))
        });
        self.agree_since.retain(|set, _| sets.contains_key(set));
        for (set, members) in sets {
            let since = *self.agree_since.entry(set.clone()).or_insert(now);
            if now.since(since) < AGREED_FOR {
                continue;
            }
            for (name, one, other) in rivals(&set, &members) {
                let text = format!("{name} has two lives while {set:?} agree: {one:?} and {other:?}");
                oracle.violation(now, "one_home", text);
            }
        }
    }
}

/// Names with two lives among homes of the set.
fn rivals(set: &[NodeId], members: &[&Process]) -> Vec<(Name, QueueId, QueueId)> {
    let mut names: BTreeMap<Name, BTreeSet<QueueId>> = BTreeMap::new();
    for member in members {
        let queues = member.control.control.status().queues;
        for queue in queues
            .into_iter()
            .filter(|queue| !queue.masked && queue.stood && set.contains(&queue.record.home.node))
        {
            names.entry(queue.record.definition.name.clone()).or_default().insert(queue.record.id);
        }
    }
    let mut rivals = Vec::new();
    for (name, ids) in names {
        let ids: Vec<QueueId> = ids.into_iter().collect();
        rivals.extend(ids.windows(2).map(|pair| (name.clone(), pair[0], pair[1])));
    }
    rivals
}
