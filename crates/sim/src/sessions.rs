//! The data links of a process: all links between two nodes are one session, up together and down together.
//!
//! The same rules as the real driver's (`server`): the smaller node id dials, each 250 ms while the session is not up.

use std::collections::BTreeMap;

use leveret_cluster::PeerHello;
use leveret_model::{Boot, Instant, NodeId, limits};

use crate::event::End;

/// The data links to one node.
#[derive(Debug)]
struct DataPeer {
    boot: Boot,
    address: String,
    count: u8,
    gathered: BTreeMap<u8, End>,
    dialling: u8,
    up: bool,
    redial_at: Instant,
}

/// What the control thread is to do.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Dial data link `index` to the node.
    Dial { node: NodeId, address: String, index: u8 },
    /// Drop the end.
    Close(End),
    /// All links are there: to the shards.
    Up { node: NodeId, boot: Boot, links: Vec<(u8, End)> },
    /// The session is over: to the shards.
    Down { node: NodeId },
}

/// All sessions of a process.
#[derive(Debug)]
pub(crate) struct Sessions {
    own: NodeId,
    own_shards: u8,
    peers: BTreeMap<NodeId, DataPeer>,
    pub(crate) wishes: Vec<Wish>,
}

impl Sessions {
    pub(crate) fn new(own: NodeId, own_shards: u8) -> Self {
        Self { own, own_shards, peers: BTreeMap::new(), wishes: Vec::new() }
    }

    /// A peer is Alive: its data links are wanted.
    pub(crate) fn want(&mut self, now: Instant, node: NodeId, boot: Boot, shards: u8, address: &str) {
        let count = shards.max(self.own_shards);
        if let Some(peer) = self.peers.get_mut(&node)
            && peer.boot == boot
        {
            peer.count = count;
            address.clone_into(&mut peer.address);
            return self.check(node);
        }
        let (gathered, address) = (BTreeMap::new(), address.to_owned());
        let peer = DataPeer { boot, address, count, gathered, dialling: 0, up: false, redial_at: now };
        self.peers.insert(node, peer);
        self.on_timer(now);
    }

    /// A peer is Down: its data links are not wanted.
    pub(crate) fn unwant(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.remove(&node) {
            self.wishes.extend(peer.gathered.into_values().map(Wish::Close));
        }
    }

    /// A data link broke, so its session did.
    pub(crate) fn lost(&mut self, now: Instant, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        self.wishes.extend(std::mem::take(&mut peer.gathered).into_values().map(Wish::Close));
        peer.redial_at = now + limits::REDIAL_EVERY;
        if std::mem::take(&mut peer.up) {
            self.wishes.push(Wish::Down { node });
        }
    }

    /// A dial of a data link came to nothing.
    pub(crate) fn dial_failed(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.dialling = peer.dialling.saturating_sub(1);
            self.wishes.extend(std::mem::take(&mut peer.gathered).into_values().map(Wish::Close));
        }
    }

    /// A dial of a data link to `node` was answered.
    pub(crate) fn dialled(&mut self, node: NodeId, hello: &PeerHello, index: u8, end: End) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.dialling = peer.dialling.saturating_sub(1);
        }
        self.gather(hello, index, end);
    }

    /// A data link is authenticated.
    pub(crate) fn gather(&mut self, hello: &PeerHello, index: u8, end: End) {
        let Some(peer) = self.peers.get_mut(&hello.node).filter(|peer| peer.boot == hello.boot) else {
            // The other side judged us Alive first: its next dial, in 250 ms, will find us ready.
            return self.wishes.push(Wish::Close(end));
        };
        if peer.up || peer.gathered.contains_key(&index) {
            // a new session begins: the other side gave up the one before
            self.wishes.extend(std::mem::take(&mut peer.gathered).into_values().map(Wish::Close));
            if std::mem::take(&mut peer.up) {
                self.wishes.push(Wish::Down { node: hello.node });
            }
        }
        peer.gathered.insert(index, end);
        self.check(hello.node);
    }

    fn check(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.up || peer.gathered.len() < usize::from(peer.count) {
            return;
        }
        peer.up = true;
        let links = std::mem::take(&mut peer.gathered).into_iter().collect();
        self.wishes.push(Wish::Up { node, boot: peer.boot, links });
    }

    /// Redials sessions that are not up.
    pub(crate) fn on_timer(&mut self, now: Instant) {
        for (node, peer) in &mut self.peers {
            if self.own < *node && !peer.up && peer.dialling == 0 && peer.redial_at <= now {
                self.wishes.extend(std::mem::take(&mut peer.gathered).into_values().map(Wish::Close));
                peer.redial_at = now + limits::REDIAL_EVERY;
                peer.dialling = peer.count;
                for index in 0..peer.count {
                    self.wishes.push(Wish::Dial { node: *node, address: peer.address.clone(), index });
                }
            }
        }
    }

    /// When [`Sessions::on_timer`] has something to do.
    pub(crate) fn next_deadline(&self) -> Instant {
        let due = |(node, peer): (&NodeId, &DataPeer)| {
            (self.own < *node && !peer.up && peer.dialling == 0).then_some(peer.redial_at)
        };
        self.peers.iter().filter_map(due).min().unwrap_or(Instant::FAR)
    }
}
