//! How far this node acts on the maps of others. A version is stored first, then routed by, then applied.
//!
//! Invariant: a version is applied, and acknowledged to its writer, only when every shard routes by it and by
//! the versions that it rests on. The lease asks for applied versions (R4); acknowledgements are votes (R1,
//! R2).

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use leveret_model::NodeId;

use crate::directory::map::{Version, Versions};

/// How far each map is.
#[derive(Debug, Default)]
pub(crate) struct AppliedMaps {
    /// Changed since the shards were told last.
    stored: BTreeSet<NodeId>,
    /// Every shard routes by these.
    routed: BTreeMap<NodeId, Version>,
    /// Routed by, but not all that they rest on; oldest first.
    resting: BTreeMap<NodeId, VecDeque<(Version, Versions)>>,
    applied: BTreeMap<NodeId, Version>,
}

impl AppliedMaps {
    /// A delta or a map of the node came.
    pub(crate) fn on_stored(&mut self, node: NodeId) {
        self.stored.insert(node);
    }

    /// Maps whose changes the shards are told now.
    pub(crate) fn take_stored(&mut self) -> BTreeSet<NodeId> {
        core::mem::take(&mut self.stored)
    }

    /// Every shard routes by this version of the node's map.
    pub(crate) fn on_routed(&mut self, node: NodeId, version: Version, rests_on: Versions) {
        self.routed.insert(node, version);
        self.resting.entry(node).or_default().push_back((version, rests_on));
    }

    /// Versions that are applied now, each to be acknowledged. What a writer that is Down rested on may have
    /// died with it, and what rests on a forgotten node rests on nothing: neither is waited for.
    pub(crate) fn take_acks(
        &mut self,
        is_down: impl Fn(NodeId) -> bool,
        is_forgotten: impl Fn(NodeId) -> bool,
    ) -> Versions {
        let mut acks = Versions::new();
        let routed = &self.routed;
        // a map that its holder knows nothing of yet is at the default version everywhere
        let is_routed = |&(node, version): &(NodeId, Version)| {
            routed.get(&node).copied().unwrap_or_default() >= version || is_forgotten(node)
        };
        for (&node, queue) in &mut self.resting {
            let down = is_down(node);
            while let Some((version, rests_on)) = queue.front()
                && (down || rests_on.iter().all(is_routed))
            {
                acks.push((node, *version));
                queue.pop_front();
            }
        }
        self.applied.extend(acks.iter().copied());
        acks
    }

    /// The applied version; none before the first.
    pub(crate) fn get(&self, node: NodeId) -> Option<Version> {
        self.applied.get(&node).copied()
    }

    /// The applied version of a map; that of the own one is `own`, because it is applied before anything is
    /// said of it.
    pub(crate) fn version(&self, (own, own_version): (NodeId, Version), node: NodeId) -> Version {
        if node == own { own_version } else { self.get(node).unwrap_or_default() }
    }

    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.stored.remove(&node);
        self.routed.remove(&node);
        self.resting.remove(&node);
        self.applied.remove(&node);
    }

    /// Versions that are kept.
    pub(crate) fn version_count(&self) -> usize {
        self.routed.len().max(self.applied.len())
    }

    /// Nodes with maps that were routed by.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.resting.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::Incarnation;
    use std::vec;

    const A: NodeId = NodeId(2);
    const B: NodeId = NodeId(3);

    fn version(counter: u64) -> Version {
        Version { incarnation: Incarnation(1), counter }
    }

    fn acks(maps: &mut AppliedMaps) -> Versions {
        maps.take_acks(|_| false, |_| false)
    }

    #[test]
    fn a_version_is_applied_once_all_that_it_rests_on_is_routed_by() {
        let mut maps = AppliedMaps::default();
        maps.on_routed(A, version(1), vec![(B, version(4))]);
        maps.on_routed(A, version(2), vec![]);
        assert_eq!(acks(&mut maps), vec![], "the second waits behind the first");
        maps.on_routed(B, version(4), vec![]);
        assert_eq!(acks(&mut maps), vec![(A, version(1)), (A, version(2)), (B, version(4))]);
        assert_eq!(maps.get(A), Some(version(2)));
        assert_eq!(acks(&mut maps), vec![]);
    }

    #[test]
    fn a_writer_that_is_down_and_a_node_that_is_forgotten_are_not_waited_for() {
        for (down, forgotten) in [(true, false), (false, true)] {
            let mut maps = AppliedMaps::default();
            maps.on_routed(A, version(1), vec![(B, version(4))]);
            let acks = maps.take_acks(|node| down && node == A, |node| forgotten && node == B);
            assert_eq!(acks, vec![(A, version(1))]);
        }
    }
}
