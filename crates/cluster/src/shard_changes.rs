//! Changes on their way to the shards of this node. When every shard has applied one, peers are told what
//! depended on it.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use leveret_model::directory::SessionPeer;
use leveret_model::{NodeId, ShardId, Ulid};

use crate::directory::map::Version;

/// Something that is said to a peer once every shard applied a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterApplied {
    /// The map of that node is routed by.
    Map(NodeId, Version),
    /// A proposal of that node has the vote after all.
    Agreed(NodeId, Ulid),
}

/// How far the shards are.
#[derive(Debug)]
pub(crate) struct ShardChanges {
    /// Of the last change.
    sequence: u64,
    /// The last change that each shard applied.
    applied: Vec<u64>,
    waiting: VecDeque<(u64, AfterApplied)>,
    /// Votes that moved to a proposal by changes that are not numbered yet: the proposer and its proposal.
    agreed: Vec<(NodeId, Ulid)>,
    /// The peers that keep sessions, as the shards know them.
    session_peers: Vec<SessionPeer>,
}

impl ShardChanges {
    pub(crate) fn new(shards: u8) -> Self {
        Self {
            sequence: 0,
            applied: vec![0; shards.into()],
            waiting: VecDeque::new(),
            agreed: Vec::new(),
            session_peers: Vec::new(),
        }
    }

    /// The peers that keep sessions; true if the shards do not know that yet.
    pub(crate) fn on_session_peers(&mut self, peers: &[SessionPeer]) -> bool {
        let changed = self.session_peers != peers;
        if changed {
            self.session_peers = peers.to_vec();
        }
        changed
    }

    /// The number of the next change.
    pub(crate) const fn number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// The number of the last change.
    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn on_applied(&mut self, shard: ShardId, sequence: u64) {
        if let Some(applied) = self.applied.get_mut(usize::from(shard.0)) {
            *applied = (*applied).max(sequence);
        }
    }

    /// The last change that every shard applied.
    pub(crate) fn applied_by_all(&self) -> u64 {
        self.applied.iter().copied().min().unwrap_or(self.sequence)
    }

    /// A map is routed by once all changes up to here are applied.
    pub(crate) fn on_map(&mut self, node: NodeId, version: Version) {
        self.waiting.push_back((self.sequence, AfterApplied::Map(node, version)));
    }

    /// The vote moved to this proposal; the changes that follow from it are not numbered yet.
    pub(crate) fn on_agreed(&mut self, proposer: NodeId, proposal: Ulid) {
        self.agreed.push((proposer, proposal));
    }

    /// The vote moved away again.
    pub(crate) fn on_conflict(&mut self, proposer: NodeId, proposal: Ulid) {
        self.agreed.retain(|agreed| *agreed != (proposer, proposal));
    }

    /// The changes that votes moved by are numbered.
    pub(crate) fn number_agreed(&mut self) {
        let sequence = self.sequence;
        let agreed = self.agreed.drain(..);
        self.waiting.extend(agreed.map(|(node, proposal)| (sequence, AfterApplied::Agreed(node, proposal))));
    }

    /// The next that may be said, now that every shard applied the changes up to `applied`.
    pub(crate) fn take_due(&mut self, applied: u64) -> Option<AfterApplied> {
        let due = self.waiting.pop_front_if(|(sequence, _)| *sequence <= applied);
        due.map(|(_, what)| what)
    }

    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.agreed.retain(|(of, _)| *of != node);
        self.waiting.retain(|(_, what)| match what {
            AfterApplied::Map(of, _) | AfterApplied::Agreed(of, _) => *of != node,
        });
    }
}
