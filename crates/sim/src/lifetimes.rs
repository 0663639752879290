//! When each node's processes ran. A node that comes back under its identity has several starts; what it had in
//! memory ended with each.

use std::collections::BTreeMap;

use leveret_model::{Incarnation, Instant, NodeId};

use crate::event::HostId;

/// One start.
#[derive(Clone, Copy, Debug)]
struct Run {
    began: Instant,
    ended: Option<Instant>,
}

/// The starts of all nodes, in order, and which node a host's data directory is of.
#[derive(Debug, Default)]
pub(crate) struct Lifetimes {
    runs: BTreeMap<NodeId, Vec<Run>>,
    directories: BTreeMap<HostId, (NodeId, Incarnation)>,
}

impl Lifetimes {
    /// The node whose data directory the host has, and its last start.
    pub(crate) fn directory(&self, host: HostId) -> Option<(NodeId, Incarnation)> {
        self.directories.get(&host).copied()
    }

    pub(crate) fn begin(&mut self, now: Instant, host: HostId, (node, incarnation): (NodeId, Incarnation)) {
        self.runs.entry(node).or_default().push(Run { began: now, ended: None });
        self.directories.insert(host, (node, incarnation));
    }

    pub(crate) fn end(&mut self, now: Instant, node: NodeId) {
        if let Some(last) = self.runs.get_mut(&node).and_then(|runs| runs.last_mut()) {
            last.ended.get_or_insert(now);
        }
    }

    /// When the start ended that ran at that time, or the first one after it.
    pub(crate) fn ended_after(&self, node: NodeId, since: Instant) -> Option<Instant> {
        let ends = self.runs.get(&node)?.iter().filter_map(|run| run.ended);
        ends.into_iter().find(|ended| *ended >= since)
    }

    /// When its last start but the one that runs ended.
    pub(crate) fn last_end(&self, node: NodeId) -> Option<Instant> {
        self.runs.get(&node)?.iter().filter_map(|run| run.ended).max()
    }

    /// One start ran all that time.
    pub(crate) fn ran(&self, node: NodeId, from: Instant, to: Instant) -> bool {
        let covers = |run: &Run| run.began <= from && run.ended.is_none_or(|ended| ended > to);
        self.runs.get(&node).is_some_and(|runs| runs.iter().any(covers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_came_back_did_not_run_all_the_time() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let (mut lifetimes, node, host) = (Lifetimes::default(), NodeId(1), HostId(0));
        lifetimes.begin(at(1), host, (node, Incarnation(1)));
        lifetimes.end(at(5), node);
        lifetimes.begin(at(7), host, (node, Incarnation(2)));
        assert!(lifetimes.ran(node, at(1), at(4)) && lifetimes.ran(node, at(8), at(90)));
        assert!(!lifetimes.ran(node, at(4), at(8)) && !lifetimes.ran(node, at(0), at(2)));
        assert_eq!(lifetimes.ended_after(node, at(2)), Some(at(5)));
        assert_eq!(lifetimes.ended_after(node, at(6)), None);
        assert_eq!(lifetimes.last_end(node), Some(at(5)));
        assert_eq!(lifetimes.directory(host), Some((node, Incarnation(2))));
    }
}
