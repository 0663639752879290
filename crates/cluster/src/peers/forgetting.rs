//! What goes when a node was Down for ten minutes: all of it but its registers, which somebody else takes over
//! first.
//!
//! Without disks each start is a new node, so a cluster whose pods restart must not keep the dead for ever: not
//! their records, nor their names, versions and addresses. Registers (exchanges, bindings between them) have no
//! owner and stay.
//!
//! Invariants: nobody forgets a map whose registers are nowhere else; a node that was forgotten here is not
//! learnt anew from a peer that is a moment behind, for the time says when it went down, not when it was heard
//! of; if it lives after all, its own link brings it back whole.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::directory::ToShard;
use leveret_model::{Instant, NodeId, ShardId, limits};

use crate::control::{AfterApplied, Control};
use crate::effects::Event;
use crate::membership::Standing;
use crate::membership::member::Member;

impl Control {
    /// Forgets nodes that were Down too long, and the longest dead ones when there are too many.
    pub(crate) fn forget_due(&mut self, now: Instant) {
        let mut dead: Vec<(Instant, NodeId)> =
            self.members.iter().filter_map(|(&node, member)| Some((down_since(member)?, node))).collect();
        dead.sort_unstable();
        let too_many = dead.len().saturating_sub(limits::DEAD_NODES_MAX);
        for (at, (since, node)) in dead.into_iter().enumerate() {
            let due = since + limits::FORGET_AFTER;
            if at < too_many || due <= now {
                self.forget(now, node, at < too_many || due + limits::ADOPT_WITHIN <= now);
            }
        }
        self.forget_not_before = now + limits::DIGEST_EVERY;
        // what waited for their maps waits no longer
        self.ack_rested();
        self.carry_echoes();
    }

    /// When [`Control::forget_due`] is wanted.
    pub(crate) fn forget_deadline(&self) -> Instant {
        let dead = self.members.values().filter_map(down_since);
        let due = if dead.clone().count() > limits::DEAD_NODES_MAX {
            Instant::ZERO
        } else {
            dead.map(|since| since + limits::FORGET_AFTER).min().unwrap_or(Instant::FAR)
        };
        due.max(self.forget_not_before)
    }

    /// Forgets a node once its registers are in another map. The smallest node that is there takes them over;
    /// if it does not (it may judge the dead one otherwise), everyone does: `anyone`.
    fn forget(&mut self, now: Instant, node: NodeId, anyone: bool) {
        let orphans = self.directory.orphans(node);
        if !orphans.is_empty() {
            let own = self.own();
            let alive = |member: &&Member| member.standing == Standing::Alive && member.counted;
            let first = self.members.values().find(alive).is_none_or(|member| own < member.hello.node);
            if !first && !anyone {
                return;
            }
            self.directory.adopt(orphans);
        }
        let Some(name) = self.members.get(&node).map(|member| member.hello.name.clone()) else { return };
        self.erase(node);
        self.directory.forget(node);
        if self.forgotten.len() >= limits::FORGOTTEN_NODES_KEPT
            && let Some(oldest) =
                self.forgotten.iter().min_by_key(|(_, until)| **until).map(|(&node, _)| node)
        {
            self.forgotten.remove(&oldest);
        }
        self.forgotten.insert(node, now + limits::FORGET_AFTER);
        self.stirred = true;
        self.effects.events.push(Event::Forgotten { node, name });
        for shard in 0..self.config.shards {
            self.effects.to_shards.push((ShardId(shard), ToShard::NodeForgotten { node }));
        }
    }

    /// Maps of nodes that are no members: of a newcomer that went before it was one, or that came late.
    pub(crate) fn forget_strays(&mut self) {
        let own = self.own();
        let strays: Vec<NodeId> = self
            .directory
            .writers()
            .filter(|node| *node != own && !self.members.contains_key(node))
            .collect();
        for node in strays {
            self.forget_stray(node);
        }
    }

    /// A node that never was a member here leaves no trace. Its map goes with what is known of it: if the map
    /// stayed and the node came again, nobody would tell the shards of it, so it would never be routed by, nor
    /// acked, nor leased on.
    pub(crate) fn forget_stray(&mut self, node: NodeId) {
        let orphans = self.directory.orphans(node);
        self.directory.adopt(orphans);
        self.erase(node);
        self.directory.forget(node);
    }

    /// Takes a node out of every table but the directory's.
    fn erase(&mut self, node: NodeId) {
        if let Some(member) = self.members.remove(&node) {
            let address = member.hello.address;
            if !self.members.values().any(|other| other.hello.address == address) {
                self.dials.forget(&address);
            }
        }
        self.served.retain(|(peer, _), _| *peer != node);
        self.visible.forget_node(node);
        self.unknown_frames.forget_node(node);
        self.echoed.remove(&node);
        self.stored.remove(&node);
        self.routed_versions.remove(&node);
        self.applied_versions.remove(&node);
        self.resting.remove(&node);
        self.wanted.remove(&node);
        self.pieces.retain(|(_, of), _| *of != node);
        self.agreed.retain(|(of, _)| *of != node);
        self.after_applied.retain(|(_, what)| match what {
            AfterApplied::Map(of, _) | AfterApplied::Agreed(of, _) => *of != node,
        });
    }

    /// What a peer says of nodes that were forgotten here concerns nobody: the peer is a moment behind.
    pub(crate) fn without_forgotten<T>(&self, mut versions: Vec<(NodeId, T)>) -> Vec<(NodeId, T)> {
        if !self.forgotten.is_empty() {
            versions.retain(|(node, _)| !self.forgotten.contains_key(node));
        }
        versions
    }

    /// Entries of each table that nodes come and go in, by name: what restarts must not let grow.
    #[must_use]
    pub fn table_sizes(&self) -> [(&'static str, usize); 9] {
        let nodes: BTreeSet<NodeId> = self.resting.keys().chain(self.wanted.keys()).copied().collect();
        [
            ("members", self.members.len()),
            ("addresses", self.dials.len()),
            ("maps", self.directory.map_count()),
            ("what maps rest on", self.directory.rests_on_count()),
            ("versions", self.routed_versions.len().max(self.applied_versions.len())),
            ("maps under way", nodes.len()),
            ("echoes and acks", self.visible.node_count().max(self.echoed.len())),
            ("answers kept", self.served.len()),
            ("forgotten", self.forgotten.len()),
        ]
    }
}

fn down_since(member: &Member) -> Option<Instant> {
    match member.standing {
        Standing::Down { since } if member.link.is_none() => Some(since),
        Standing::Down { .. } | Standing::Alive | Standing::Unreachable => None,
    }
}
