//! Sessions of data links: gathered here until all are there, then handed to the shards.

use std::collections::BTreeMap;

use leveret_link::handshake::{Hello, Purpose};
use leveret_model::{Boot, Instant, NodeId, limits};

use super::{DataLink, DataPeer, LinkEvent, LinkSocket, Links};

impl Links {
    /// A peer is Alive: its data links are wanted. The node with the smaller id dials.
    pub(crate) fn want_data(&mut self, now: Instant, node: NodeId, boot: Boot, shards: u8, address: &str) {
        let count = shards.max(self.identity.hello.shards);
        if let Some(peer) = self.peers.get_mut(&node)
            && peer.boot == boot
        {
            peer.count = count;
            address.clone_into(&mut peer.address);
            return self.check_gathered(node);
        }
        let peer = DataPeer {
            boot,
            address: address.to_owned(),
            count,
            gathered: BTreeMap::new(),
            up: false,
            redial_at: now,
        };
        self.peers.insert(node, peer);
        self.on_timer(now);
    }

    /// A peer is Down: its data links are not wanted.
    pub(crate) fn unwant_data(&mut self, node: NodeId) {
        self.peers.remove(&node);
    }

    /// A data link broke, so its session did. True if one was up.
    pub(crate) fn data_lost(&mut self, now: Instant, node: NodeId) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        peer.gathered.clear();
        peer.redial_at = now + limits::REDIAL_EVERY;
        std::mem::take(&mut peer.up)
    }

    pub(super) fn drop_gathered(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.gathered.clear();
        }
    }

    pub(super) fn gather(&mut self, hello: &Hello, link: DataLink) {
        let Some(peer) = self.peers.get_mut(&hello.node) else {
            // The other side judged us Alive first: its next dial, in 250 ms, will find us ready.
            return;
        };
        if peer.boot != hello.boot {
            return;
        }
        if peer.up || peer.gathered.contains_key(&link.index) {
            // a new session begins: the other side gave up the one before
            peer.gathered.clear();
            if std::mem::take(&mut peer.up) {
                self.events.push(LinkEvent::DataUp { node: hello.node, boot: hello.boot, links: Vec::new() });
            }
        }
        let Some(peer) = self.peers.get_mut(&hello.node) else { return };
        peer.gathered.insert(link.index, link);
        self.check_gathered(hello.node);
    }

    fn check_gathered(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if peer.up || peer.gathered.len() < usize::from(peer.count) {
            return;
        }
        peer.up = true;
        let links = std::mem::take(&mut peer.gathered).into_values().collect();
        self.events.push(LinkEvent::DataUp { node, boot: peer.boot, links });
    }

    /// The node that dials, for peers without a session and without a dial under way: over a long line a handshake takes
    /// longer than the time between two dials.
    fn to_redial(&self) -> impl Iterator<Item = (&NodeId, &DataPeer)> {
        let own = self.identity.hello.node;
        self.peers.iter().filter(move |(node, peer)| own < **node && !peer.up && !self.is_dialling(**node))
    }

    fn is_dialling(&self, node: NodeId) -> bool {
        let of_node = |socket: &LinkSocket| matches!(socket, LinkSocket::Shaking(s) if s.peer == Some(node));
        self.sockets.values().any(of_node)
    }

    /// Dials sessions that are not up.
    pub(super) fn redial(&mut self, now: Instant) {
        let due: Vec<(NodeId, String, u8)> = self
            .to_redial()
            .filter(|(_, peer)| peer.redial_at <= now)
            .map(|(node, peer)| (*node, peer.address.clone(), peer.count))
            .collect();
        for (node, address, count) in due {
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.gathered.clear();
                peer.redial_at = now + limits::REDIAL_EVERY;
            }
            for index in 0..count {
                self.dial_for(now, &address, Purpose::Data(index), Some(node));
            }
        }
    }

    /// When the next dial is due.
    pub(super) fn next_redial(&self) -> Instant {
        self.to_redial().map(|(_, peer)| peer.redial_at).min().unwrap_or(Instant::FAR)
    }
}
