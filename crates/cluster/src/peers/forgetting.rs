//! Forgets a node that was Down for ten minutes, after somebody has adopted its registers.
//!
//! Without disks each start is a new node. A cluster whose pods restart must therefore forget the dead: their
//! records, names, versions and addresses. Registers (exchanges, bindings between them) have no owner and stay.
//!
//! Invariants:
//! - A map is not forgotten while it alone holds a register.
//! - A forgotten node is not learnt again from a peer that is a moment behind: the time counts from when the
//!   node went down, not from when this node heard of it.
//! - If the node lives after all, its own link brings it back whole.
//! - A later start of a node brings its own map; registers of its former start stay.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::directory::ToShard;
use leveret_model::{Instant, NodeId, ShardId, limits};

use crate::control::Control;
use crate::effects::Event;
use crate::frame::Frame;
use crate::membership::Standing;
use crate::membership::member::Member;

/// Why a node cannot be forgotten on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgetRefusal {
    /// No member has that id.
    Unknown,
    /// It is this node.
    Itself,
    /// It is not Down.
    Lives,
}

impl Control {
    /// Somebody says that a node will not come back: it is forgotten here and by all peers, now.
    ///
    /// # Errors
    /// [`ForgetRefusal`]; nothing has changed.
    pub fn forget_node(&mut self, now: Instant, node: NodeId) -> Result<(), ForgetRefusal> {
        self.note_time(now);
        match self.members.get(&node) {
            None if node == self.own() => return Err(ForgetRefusal::Itself),
            None => return Err(ForgetRefusal::Unknown),
            Some(member) if down_since(member).is_none() => return Err(ForgetRefusal::Lives),
            Some(_) => {}
        }
        self.forget(now, node, true);
        // its registers are on their way in this node's map before a peer forgets them
        self.settle_inputs(now);
        for peer in self.peers() {
            self.send(peer, Frame::Forget { node });
        }
        Ok(())
    }

    /// A peer was told that a node will not come back. One that is not Down here is not forgotten.
    pub(super) fn on_forget(&mut self, now: Instant, node: NodeId) {
        if self.members.get(&node).and_then(down_since).is_some() {
            self.forget(now, node, true);
        }
    }

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
        self.schedule.on_forget(now);
        // what waited for their maps waits no longer
        self.ack_applied();
        self.count_echoes();
    }

    /// When [`Control::forget_due`] is wanted.
    pub(crate) fn forget_deadline(&self) -> Instant {
        let dead = self.members.values().filter_map(down_since);
        let due = if dead.clone().count() > limits::DEAD_NODES_MAX {
            Instant::ZERO
        } else {
            dead.map(|since| since + limits::FORGET_AFTER).min().unwrap_or(Instant::FAR)
        };
        due.max(self.schedule.forget_not_before())
    }

    /// Forgets a node once its registers are in another map. The smallest node that is there takes them over;
    /// if it does not (it may judge the dead one otherwise), everyone does: `anyone`.
    fn forget(&mut self, now: Instant, node: NodeId, anyone: bool) {
        let orphans = self.directory.orphans(node);
        if !orphans.is_empty() {
            if !self.is_first_that_stays() && !anyone {
                return;
            }
            self.directory.adopt(orphans);
        }
        let Some(name) = self.members.get(&node).map(|member| member.hello.name.clone()) else { return };
        self.erase(node);
        self.directory.forget(node);
        self.forgotten.insert(now, node);
        self.desk.recheck();
        self.effects.events.push(Event::Forgotten { node, name });
        for shard in 0..self.config.shards {
            self.effects.to_shards.push((ShardId(shard), ToShard::NodeForgotten { node }));
        }
    }

    /// A node said that it leaves, or is Down after that: it takes its disk with it, so its registers go into
    /// the map, and onto the disk, of the smallest node that stays. What it writes while it leaves is adopted
    /// when it is Down.
    pub(crate) fn adopt_from_leaving(&mut self, node: NodeId) {
        if self.moves.is_leaving(node) && self.is_first_that_stays() {
            let orphans = self.directory.orphans(node);
            self.directory.adopt(orphans);
        }
    }

    /// No smaller node is there that could do what one node is to do.
    fn is_first_that_stays(&self) -> bool {
        let stays = |member: &&Member| {
            let alive = member.standing == Standing::Alive && member.counted;
            alive && !self.moves.is_leaving(member.hello.node)
        };
        self.members.values().find(stays).is_none_or(|member| self.own() < member.hello.node)
    }

    /// A later start of a member is here, so its former start is gone, with everything that it had in memory:
    /// what follows is what follows from a verdict, and then its map goes. The new start sends its own.
    pub(super) fn end_former_start(&mut self, now: Instant, node: NodeId) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let link = member.link.take();
        if let Some(link) = link {
            self.links.remove(link);
            self.effects.hang_ups.push(link);
            self.transfers.forget_link(link, node);
        }
        let Some(member) = self.members.get_mut(&node) else { return };
        if member.announced.is_some_and(|standing| !standing.is_down()) {
            let standing = Standing::Down { since: now };
            member.standing = standing;
            self.directory.set_standing(node, standing);
            self.announce(now, node, standing);
        }
        let orphans = self.directory.orphans(node);
        self.directory.adopt(orphans);
        self.erase(node);
        self.directory.forget(node);
        self.desk.recheck();
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
    /// stayed and the node came again, nobody would tell the shards of it, so it would never be routed by,
    /// nor acked, nor leased on.
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
                self.links.dials.forget(&address);
            }
        }
        self.desk.served.forget_node(node);
        self.moves.forget_leaving(node);
        self.desk.visible.forget_node(node);
        self.reports.unknown_frames.forget_node(node);
        self.lease.forget_node(node);
        self.applied.forget_node(node);
        self.transfers.forget_node(node);
        self.shards.forget_node(node);
    }

    /// Entries of each table that nodes come and go in, by name: what restarts must not let grow.
    #[must_use]
    pub fn table_sizes(&self) -> [(&'static str, usize); 9] {
        let nodes: BTreeSet<NodeId> = self.applied.nodes().chain(self.transfers.nodes()).collect();
        [
            ("members", self.members.len()),
            ("addresses", self.links.dials.len()),
            ("maps", self.directory.map_count()),
            ("what maps rest on", self.directory.rests_on_count()),
            ("versions", self.applied.version_count()),
            ("maps under way", nodes.len()),
            ("echoes and acks", self.desk.visible.node_count().max(self.lease.echoed_count())),
            ("answers kept", self.desk.served.len()),
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
