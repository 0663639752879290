//! Links to other nodes come and go, and nodes with them: what queues here and elsewhere make of it.

use alloc::vec::Vec;

use leveret_link::record::HeldDelivery;
use leveret_model::{NodeId, QueueHandle};

use super::Queues;
use super::places::Place;
use crate::clients::Connections;

/// A delivery that this shard holds of a queue elsewhere, or settles just now.
pub(crate) type HeldThere = (QueueHandle, HeldDelivery);

impl Queues {
    /// The link to a node is gone.
    pub(crate) fn on_link_down(&mut self, node: NodeId) {
        self.fail_moves_with(node);
        self.peers.link_down(node);
        self.forget_link(node);
    }

    /// What was on the old link does not count on a new one: the shards there say it again.
    pub(super) fn forget_link(&mut self, node: NodeId) {
        self.early.forget(node);
        self.forget_throttles(node);
        for handle in self.home_handles() {
            if let Some(mut home) = self.home(handle) {
                home.forget_named(node);
            }
        }
    }

    /// A node will not come back as the start that it was: what was kept for that goes. A lane has nothing to
    /// tell any more, since its ingress has given up what was on it.
    pub(crate) fn on_node_forgotten(&mut self, node: NodeId) {
        self.peers.forget(node);
        for handle in self.home_handles() {
            if let Some(mut home) = self.home(handle) {
                home.forget_lanes(node);
            }
        }
    }

    /// A node is Down: its consumers end and what they held goes back.
    pub(crate) fn on_node_down(&mut self, node: NodeId) {
        self.fail_moves_with(node);
        self.release_leaving(node);
        self.release_arriving(node);
        self.forget_link(node);
        for handle in self.home_handles() {
            if let Some(mut home) = self.home(handle) {
                home.release_node(node);
            }
        }
    }

    /// What this shard's channels hold of queues elsewhere.
    pub(crate) fn held_there(&self, connections: &Connections) -> Vec<HeldThere> {
        let mut held = Vec::new();
        connections.for_each_held(|channel, at| {
            if self.is_away(at.queue) {
                let delivery = HeldDelivery { channel, consumer: at.consumer, position: at.position };
                held.push((at.queue, delivery));
            }
        });
        held
    }

    /// Queues at home here.
    pub(super) fn home_handles(&self) -> Vec<QueueHandle> {
        self.places.homes().map(|(handle, ..)| handle).collect()
    }

    /// Queues at home on a node.
    pub(super) fn away_handles(&self, node: NodeId) -> Vec<QueueHandle> {
        let at_node = |place: &Place| matches!(place, Place::Away(away) if away.home.node == node);
        self.places.iter().filter(|(_, entry)| at_node(&entry.place)).map(|(handle, _)| handle).collect()
    }
}
