//! Sessions of data links: all links between two nodes come up together and go down together, so that what a
//! shard says on a new link (RESUB) and what homes send back are never of two minds about which link is new.
//!
//! ```text
//!   node with the smaller id: dials `count` links, one round      the other: gathers links of one round
//!     Apart ──timer──▶ Gathering ──all there──▶ Up                  Apart ─▶ Gathering ─▶ Up
//!       ▲                │ one failed              │                  a link of a later round: what was is over
//!       └── Failed ◀─────┘        ◀────lost────────┘                  a link of an earlier one: closed
//! ```
//! Two machines, for both drivers: [`Sessions`] lives with the control machine and owns links until all of them
//! are there; [`Arrivals`] lives with each shard and knows to which session a batch belongs.
//!
//! Invariants: a round has its number from its dialler, who uses none twice, and says it in each hello
//! ([`crate::handshake::Purpose`]), so both ends of a session hold the same links; a link of a round that is
//! over never enters a session; a session is told Up once and Down once, and Down comes before the next Up.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use leveret_model::{Boot, Instant, NodeId, limits};

mod arrivals;

pub use arrivals::Arrivals;

/// All dials of a session together, numbered by their dialler for as long as it runs, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(pub u64);

/// A session, numbered by this node for its threads, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(pub u64);

/// Which data link: said in its hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLinkKey {
    /// Of which dial of all links.
    pub round: Round,
    /// Which of them, from 0; it belongs to the shard `index % shards` of each end.
    pub index: u8,
}

/// What the driver is to do, in order.
#[derive(Debug)]
pub enum Deed<L> {
    /// Dial a data link. Answered once, by [`Sessions::on_dialled`] or [`Sessions::on_dial_failed`].
    Dial {
        /// To whom.
        node: NodeId,
        /// Where that is.
        address: String,
        /// Which link.
        key: DataLinkKey,
    },
    /// Close the link.
    Close(L),
    /// A session begins: tell every shard, and give it its links.
    Up {
        /// With whom.
        node: NodeId,
        /// Which start of it.
        boot: Boot,
        /// Which session.
        session: SessionNumber,
        /// All links.
        links: Vec<(u8, L)>,
    },
    /// The session is over: tell every shard, which closes its links.
    Down {
        /// With whom.
        node: NodeId,
    },
}

#[derive(Debug)]
enum Phase<L> {
    /// No link, and no dial under way.
    Apart,
    /// Some links of the round, and dials under way if this end dials.
    Gathering { links: BTreeMap<u8, L>, dialling: usize },
    /// A dial of the round came to nothing; the others are waited for, for they are bounded and a second round
    /// beside them would only add to what the network does not carry.
    Failed { dialling: usize },
    /// The shards have the links.
    Up(SessionNumber),
}

#[derive(Debug)]
struct Peer<L> {
    boot: Boot,
    address: String,
    /// Links of a session.
    count: u8,
    /// The last one that was heard of.
    round: Round,
    phase: Phase<L>,
    /// When the next round may begin.
    redial_at: Instant,
}

/// All sessions of a node, with links of the driver's own kind.
#[derive(Debug)]
pub struct Sessions<L> {
    own: NodeId,
    own_shards: u8,
    last_round: Round,
    last_session: SessionNumber,
    peers: BTreeMap<NodeId, Peer<L>>,
    deeds: Vec<Deed<L>>,
}

impl<L> Sessions<L> {
    /// None yet, for a node with so many shards.
    #[must_use]
    pub fn new(own: NodeId, own_shards: u8) -> Self {
        Self {
            own,
            own_shards,
            last_round: Round(0),
            last_session: SessionNumber(0),
            peers: BTreeMap::new(),
            deeds: Vec::new(),
        }
    }

    /// What is to be done now.
    #[must_use]
    pub fn take_deeds(&mut self) -> Vec<Deed<L>> {
        mem::take(&mut self.deeds)
    }

    /// A peer is a member that lives: a session with it is wanted.
    pub fn want(&mut self, now: Instant, node: NodeId, boot: Boot, shards: u8, address: &str) {
        if let Some(peer) = self.peers.get_mut(&node)
            && peer.boot == boot
        {
            return address.clone_into(&mut peer.address);
        }
        self.unwant(node);
        let peer = Peer {
            boot,
            address: address.to_owned(),
            count: shards.max(self.own_shards),
            round: Round(0),
            phase: Phase::Apart,
            redial_at: now,
        };
        self.peers.insert(node, peer);
        self.on_timer(now);
    }

    /// A peer is no member, or is Down: no session with it is wanted.
    pub fn unwant(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.remove(&node) {
            end(node, peer.phase, &mut self.deeds);
        }
    }

    /// A dial was answered, and the answer is authenticated.
    pub fn on_dialled(&mut self, node: NodeId, answered_by: (NodeId, Boot), key: DataLinkKey, link: L) {
        let known = self.peers.get(&node).filter(|peer| peer.round == key.round);
        if known.is_some_and(|peer| (node, peer.boot) == answered_by) {
            self.dial_ended(node, key, Some(link));
        } else {
            // another node or another start of it lives at that address, or the round is over
            self.deeds.push(Deed::Close(link));
            self.dial_ended(node, key, None);
        }
    }

    /// A dial came to nothing.
    pub fn on_dial_failed(&mut self, node: NodeId, key: DataLinkKey) {
        self.dial_ended(node, key, None);
    }

    fn dial_ended(&mut self, node: NodeId, key: DataLinkKey, link: Option<L>) {
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| peer.round == key.round) else {
            return self.deeds.extend(link.map(Deed::Close));
        };
        match (&mut peer.phase, link) {
            (Phase::Gathering { links, dialling }, Some(link)) => {
                *dialling = dialling.saturating_sub(1);
                self.deeds.extend(links.insert(key.index, link).map(Deed::Close));
                self.check_gathered(node);
            }
            (Phase::Gathering { dialling, .. } | Phase::Failed { dialling }, link) => {
                let left = dialling.saturating_sub(1);
                let phase = if left == 0 { Phase::Apart } else { Phase::Failed { dialling: left } };
                end(node, mem::replace(&mut peer.phase, phase), &mut self.deeds);
                self.deeds.extend(link.map(Deed::Close));
            }
            (Phase::Apart | Phase::Up(_), link) => self.deeds.extend(link.map(Deed::Close)),
        }
    }

    /// Somebody dialled a data link to this node and is authenticated.
    pub fn on_accepted(&mut self, node: NodeId, boot: Boot, key: DataLinkKey, link: L) {
        let believed =
            |peer: &&mut Peer<L>| peer.boot == boot && key.index < peer.count && key.round >= peer.round;
        // Of a peer that is not wanted here yet the next round, in 250 ms, finds us ready.
        let Some(peer) = self.peers.get_mut(&node).filter(believed).filter(|_| node < self.own) else {
            return self.deeds.push(Deed::Close(link));
        };
        if key.round > peer.round {
            // the other side gave up what was before
            peer.round = key.round;
            let gathering = Phase::Gathering { links: BTreeMap::new(), dialling: 0 };
            end(node, mem::replace(&mut peer.phase, gathering), &mut self.deeds);
        }
        match &mut peer.phase {
            Phase::Gathering { links, .. } => {
                self.deeds.extend(links.insert(key.index, link).map(Deed::Close));
                self.check_gathered(node);
            }
            Phase::Apart | Phase::Failed { .. } | Phase::Up(_) => self.deeds.push(Deed::Close(link)),
        }
    }

    fn check_gathered(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let Phase::Gathering { links, .. } = &mut peer.phase else { return };
        if links.len() < usize::from(peer.count) {
            return;
        }
        let links = mem::take(links).into_iter().collect();
        self.last_session.0 += 1;
        let session = self.last_session;
        peer.phase = Phase::Up(session);
        self.deeds.push(Deed::Up { node, boot: peer.boot, session, links });
    }

    /// A shard lost a link of a session, or does not believe what came over it. Nothing if that session is
    /// over.
    pub fn on_lost(&mut self, now: Instant, node: NodeId, session: SessionNumber) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if matches!(peer.phase, Phase::Up(current) if current == session) {
            peer.redial_at = now + limits::REDIAL_EVERY;
            end(node, mem::replace(&mut peer.phase, Phase::Apart), &mut self.deeds);
        }
    }

    /// Dials what is apart.
    pub fn on_timer(&mut self, now: Instant) {
        for (node, peer) in &mut self.peers {
            if !may_dial(self.own, *node, peer) || peer.redial_at > now {
                continue;
            }
            self.last_round.0 += 1;
            peer.round = self.last_round;
            peer.redial_at = now + limits::REDIAL_EVERY;
            peer.phase = Phase::Gathering { links: BTreeMap::new(), dialling: usize::from(peer.count) };
            for index in 0..peer.count {
                let key = DataLinkKey { round: peer.round, index };
                self.deeds.push(Deed::Dial { node: *node, address: peer.address.clone(), key });
            }
        }
    }

    /// When [`Sessions::on_timer`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let apart = self.peers.iter().filter(|(node, peer)| may_dial(self.own, **node, peer));
        apart.map(|(_, peer)| peer.redial_at).min().unwrap_or(Instant::FAR)
    }
}

/// Of two nodes the one with the smaller id dials.
fn may_dial<L>(own: NodeId, node: NodeId, peer: &Peer<L>) -> bool {
    own < node && matches!(peer.phase, Phase::Apart)
}

fn end<L>(node: NodeId, phase: Phase<L>, deeds: &mut Vec<Deed<L>>) {
    match phase {
        Phase::Apart | Phase::Failed { .. } => {}
        Phase::Gathering { links, .. } => deeds.extend(links.into_values().map(Deed::Close)),
        Phase::Up(_) => deeds.push(Deed::Down { node }),
    }
}

#[cfg(test)]
mod tests;
