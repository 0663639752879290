//! Nodes that were forgotten. For a while what peers say of them is ignored, because a peer may be a moment
//! behind.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, limits};

/// The table; at most `limits::FORGOTTEN_NODES_KEPT`.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    until: BTreeMap<NodeId, Instant>,
}

impl Forgotten {
    pub(crate) fn contains(&self, node: NodeId) -> bool {
        self.until.contains_key(&node)
    }

    pub(crate) fn len(&self) -> usize {
        self.until.len()
    }

    /// At the bound the one goes whose time is over first.
    pub(crate) fn insert(&mut self, now: Instant, node: NodeId) {
        if self.until.len() >= limits::FORGOTTEN_NODES_KEPT {
            let oldest = self.until.iter().min_by_key(|(_, until)| **until).map(|(&node, _)| node);
            oldest.map(|node| self.until.remove(&node));
        }
        self.until.insert(node, now + limits::FORGET_AFTER);
    }

    /// It lives after all.
    pub(crate) fn remove(&mut self, node: NodeId) {
        self.until.remove(&node);
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.until.retain(|_, until| now < *until);
    }

    /// What a peer says, without what it says of forgotten nodes.
    pub(crate) fn without<T>(&self, mut said: Vec<(NodeId, T)>) -> Vec<(NodeId, T)> {
        if !self.until.is_empty() {
            said.retain(|(node, _)| !self.contains(*node));
        }
        said
    }
}
