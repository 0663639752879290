//! Who else keeps sessions, and who holds the copies of whom (S3).

use alloc::vec::Vec;

use leveret_model::{NodeId, Seed, SplitMix};

use crate::hid::Bucket;
use crate::planted::{Bug, Planted};
use crate::stamp::Home;

/// What membership says about another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Heard, or silent and still awaited: nothing is answered before it acts on it.
    Counted,
    /// The same, and about to leave: it gets no copies.
    Leaving,
    /// Judged Down: not awaited, its sessions are taken over.
    Down,
}

/// Another node of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node and its process.
    pub home: Home,
    /// What membership says.
    pub state: MemberState,
}

/// All other nodes.
pub(crate) struct Members {
    own: Home,
    /// This node leaves: it keeps no copies and takes nothing over.
    leaves: bool,
    bug: Bug,
    others: Vec<Member>,
}

impl Members {
    pub(crate) fn new(own: Home) -> Self {
        Self { own, leaves: false, bug: Bug::default(), others: Vec::new() }
    }

    pub(crate) fn set(&mut self, others: &[Member]) {
        self.others = others.to_vec();
    }

    #[cfg(feature = "planted")]
    pub(crate) const fn plant(&mut self, bug: Bug) {
        self.bug = bug;
    }

    pub(crate) const fn leave(&mut self) {
        self.leaves = true;
    }

    pub(crate) const fn stay(&mut self) {
        self.leaves = false;
    }

    pub(crate) const fn leaves(&self) -> bool {
        self.leaves
    }

    /// It spoke to us: it counts, whatever membership said last.
    pub(crate) fn heard(&mut self, home: Home) {
        match self.others.iter_mut().find(|member| member.home.node == home.node) {
            Some(member) if member.home == home && member.state == MemberState::Leaving => {}
            Some(member) => *member = Member { home, state: MemberState::Counted },
            None => self.others.push(Member { home, state: MemberState::Counted }),
        }
    }

    /// Nodes that must act on something before it is answered.
    pub(crate) fn counted(&self) -> impl Iterator<Item = Home> + '_ {
        self.others.iter().filter(|member| member.state != MemberState::Down).map(|member| member.home)
    }

    pub(crate) fn is_counted(&self, node: NodeId) -> bool {
        self.counted().any(|home| home.node == node)
    }

    /// True for a home that answers no more: Down, another boot, removed.
    pub(crate) fn is_dead(&self, home: Home) -> bool {
        let same =
            |other: Home| other == home || self.bug.is(Planted::RestartUnseen) && other.node == home.node;
        home != self.own && !self.counted().any(same)
    }

    /// Who keeps the copies of a home's bucket: the first living node by rendezvous hash, the home left out.
    pub(crate) fn replicator(&self, home: NodeId, bucket: Bucket) -> Option<NodeId> {
        let living = self.others.iter().filter(|member| member.state == MemberState::Counted);
        let own = Some(self.own.node).filter(|_| !self.leaves);
        let nodes = living.map(|member| member.home.node).chain(own);
        nodes.filter(|node| *node != home).max_by_key(|node| (weight(*node, bucket), *node))
    }
}

fn weight(node: NodeId, bucket: Bucket) -> u64 {
    let seed = (node.0 as u64) ^ ((node.0 >> 64) as u64) ^ (u64::from(bucket.0) << 56);
    SplitMix::new(Seed(seed)).next_u64()
}
