//! R1: an ok goes out when everyone acts on it, or holds no lease that rests on an echo from before it.
//!
//! Everyone = each node whose ping this node echoed in the last 2 s, whatever was judged since. A silent one is
//! awaited until 2 s after the last echo that did not name the change. No verdict excuses anyone: with a
//! verdict that does, a confirmed publish can skip a binding whose ok went out.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, limits};

use super::map::Version;

/// A wait for one version of the own map.
#[derive(Clone, Debug)]
struct Wait {
    version: Version,
    sequence: u64,
    nodes: BTreeMap<NodeId, Instant>,
    /// Voters that said that a rival has their vote.
    conflicts: BTreeSet<NodeId>,
}

/// Who must still act on what. `T` names what is waiting.
#[derive(Debug)]
pub(crate) struct Visible<T> {
    waits: BTreeMap<T, Wait>,
    echoed: BTreeMap<NodeId, Instant>,
    acked: BTreeMap<NodeId, Version>,
}

impl<T: Ord + Clone> Visible<T> {
    pub(crate) fn new() -> Self {
        Self { waits: BTreeMap::new(), echoed: BTreeMap::new(), acked: BTreeMap::new() }
    }

    /// A ping of `node` is echoed now.
    pub(crate) fn on_echoed(&mut self, now: Instant, node: NodeId) {
        self.echoed.insert(node, now);
    }

    /// Every shard of `node` routes by our map up to `version`.
    pub(crate) fn on_ack(&mut self, node: NodeId, version: Version) {
        let acked = self.acked.entry(node).or_default();
        *acked = (*acked).max(version);
        for wait in self.waits.values_mut().filter(|wait| wait.version <= version) {
            wait.nodes.remove(&node);
        }
    }

    /// A voter has a rival.
    pub(crate) fn on_conflict(&mut self, what: &T, node: NodeId) {
        if let Some(wait) = self.waits.get_mut(what) {
            wait.conflicts.insert(node);
        }
    }

    /// The voter's rival is gone.
    pub(crate) fn on_agreed(&mut self, what: &T, node: NodeId) {
        if let Some(wait) = self.waits.get_mut(what) {
            wait.conflicts.remove(&node);
        }
    }

    /// On a new link the peer says again what it refuses, then what it acked: votes under way are taken anew.
    pub(crate) fn on_link(&mut self, now: Instant, node: NodeId) {
        self.acked.remove(&node);
        for wait in self.waits.values_mut() {
            if wait.conflicts.remove(&node) {
                wait.nodes.insert(node, now + limits::ECHO_WAIT);
            }
        }
    }

    /// The node is Down: its refusals count no more (its acks are still awaited for their time).
    pub(crate) fn on_down(&mut self, node: NodeId) {
        for wait in self.waits.values_mut() {
            wait.conflicts.remove(&node);
        }
    }

    /// The node was forgotten.
    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.echoed.remove(&node);
        self.acked.remove(&node);
    }

    /// Nodes of which something is kept.
    pub(crate) fn node_count(&self) -> usize {
        self.echoed.len().max(self.acked.len())
    }

    /// Nobody would be awaited.
    pub(crate) fn is_alone(&self, now: Instant) -> bool {
        self.echoed.values().all(|at| *at + limits::ECHO_WAIT <= now)
    }

    /// Waits until `version` of the own map is visible, and `sequence` applied by the own shards. `linked`:
    /// counted peers with a link, which may be about to get their first echo.
    pub(crate) fn wait(
        &mut self,
        now: Instant,
        what: T,
        version: Version,
        sequence: u64,
        linked: impl Iterator<Item = NodeId>,
    ) {
        self.echoed.retain(|_, at| *at + limits::ECHO_WAIT > now);
        let mut nodes: BTreeMap<NodeId, Instant> =
            self.echoed.iter().map(|(&node, &at)| (node, at + limits::ECHO_WAIT)).collect();
        for node in linked {
            nodes.entry(node).or_insert(now + limits::ECHO_WAIT);
        }
        nodes.retain(|node, _| self.acked.get(node).is_none_or(|acked| *acked < version));
        self.waits.insert(what, Wait { version, sequence, nodes, conflicts: BTreeSet::new() });
    }

    /// Waits for the own shards alone: everyone else was awaited before.
    pub(crate) fn wait_for_own(&mut self, what: T, version: Version, sequence: u64) {
        self.waits
            .insert(what, Wait { version, sequence, nodes: BTreeMap::new(), conflicts: BTreeSet::new() });
    }

    /// Forgets a wait.
    pub(crate) fn forget(&mut self, what: &T) {
        self.waits.remove(what);
    }

    /// What is visible now: every node acked or was awaited long enough, no voter refuses, own shards applied
    /// it.
    pub(crate) fn poll(&mut self, now: Instant, applied: u64) -> Vec<T> {
        let mut done = Vec::new();
        for (what, wait) in &mut self.waits {
            wait.nodes.retain(|_, until| *until > now);
            if wait.nodes.is_empty() && wait.conflicts.is_empty() && wait.sequence <= applied {
                done.push(what.clone());
            }
        }
        for what in &done {
            self.waits.remove(what);
        }
        done
    }

    /// When a wait may end by time.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.waits.values().flat_map(|wait| wait.nodes.values().copied()).min().unwrap_or(Instant::FAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::iter;
    use core::time::Duration;
    use leveret_model::Incarnation;
    use std::vec;

    const PEER: NodeId = NodeId(2);

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn version(counter: u64) -> Version {
        Version { incarnation: Incarnation(1), counter }
    }

    #[test]
    fn a_silent_node_is_awaited_two_seconds_from_the_last_echo_that_it_got() {
        let mut visible = Visible::new();
        visible.on_echoed(at(900), PEER);
        visible.wait(at(1_000), 'a', version(1), 0, iter::empty());
        // later echoes name the version: they give no more time
        visible.on_echoed(at(1_100), PEER);
        assert_eq!(visible.poll(at(2_899), 0), vec![]);
        assert_eq!(visible.next_deadline(), at(2_900));
        assert_eq!(visible.poll(at(2_900), 0), vec!['a']);
    }

    #[test]
    fn a_node_that_is_judged_down_is_awaited_all_the_same() {
        let mut visible = Visible::new();
        visible.on_echoed(at(900), PEER);
        visible.on_down(PEER);
        visible.wait(at(1_000), 'a', version(1), 0, iter::empty());
        assert_eq!(visible.poll(at(1_001), 0), vec![]);
    }

    #[test]
    fn acks_end_the_wait_and_own_shards_count_too() {
        let mut visible = Visible::new();
        visible.on_echoed(at(900), PEER);
        visible.wait(at(1_000), 'a', version(2), 7, iter::empty());
        visible.on_ack(PEER, version(1));
        assert_eq!(visible.poll(at(1_000), 7), vec![]);
        visible.on_ack(PEER, version(2));
        assert_eq!(visible.poll(at(1_000), 6), vec![]);
        assert_eq!(visible.poll(at(1_000), 7), vec!['a']);
    }

    #[test]
    fn an_echo_of_long_ago_binds_nobody_and_an_acked_version_waits_for_nobody() {
        let mut visible = Visible::new();
        visible.on_echoed(at(0), PEER);
        visible.wait(at(2_001), 'a', version(1), 0, iter::empty());
        assert_eq!(visible.poll(at(2_001), 0), vec!['a']);
        visible.on_echoed(at(2_001), PEER);
        visible.on_ack(PEER, version(5));
        visible.wait(at(2_002), 'b', version(4), 0, iter::empty());
        assert_eq!(visible.poll(at(2_002), 0), vec!['b']);
    }

    #[test]
    fn a_refusal_holds_until_it_is_taken_back_or_its_voter_is_down() {
        let mut visible = Visible::new();
        visible.wait(at(0), 'a', version(1), 0, iter::once(PEER));
        visible.on_conflict(&'a', PEER);
        visible.on_ack(PEER, version(1));
        assert_eq!(visible.poll(at(5_000), 0), vec![]);
        visible.on_agreed(&'a', PEER);
        assert_eq!(visible.poll(at(5_000), 0), vec!['a']);
        visible.wait(at(6_000), 'b', version(2), 0, iter::empty());
        visible.on_conflict(&'b', PEER);
        visible.on_down(PEER);
        assert_eq!(visible.poll(at(6_000), 0), vec!['b']);
    }
}
