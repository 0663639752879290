//! What a queue does when shards and nodes come and go.

use alloc::vec::Vec;

use leveret_model::{ConsumerKey, NodeId, ShardAddress, Unread};
use leveret_queue::{HeldPlace, Subscription};

use super::AtHome;

impl AtHome<'_> {
    /// A shard names consumers and held deliveries that it has here, over a new link.
    pub(in crate::queues) fn name(
        &mut self,
        from: ShardAddress,
        consumers: &[(Subscription, Unread)],
        held: &[HeldPlace],
    ) {
        self.change_consumers(|queue| queue.name(from, consumers, held));
    }

    /// The shard has named all: what it did not name ended. Gives the consumers that it may not have.
    pub(in crate::queues) fn reconcile(&mut self, from: ShardAddress) -> Vec<ConsumerKey> {
        self.change_consumers(|queue| queue.reconcile(from))
    }

    /// A node's link is gone: what its shards were about to name is void.
    pub(in crate::queues) fn forget_named(&mut self, node: NodeId) {
        self.home.queue.forget_named(node);
    }

    /// A node is Down: its consumers end, and what they held goes back.
    pub(in crate::queues) fn release_node(&mut self, node: NodeId) {
        self.home.awaits.retain(|shard| shard.node != node);
        self.change_consumers(|queue| queue.release_node(node));
    }

    /// A node will not send on its lanes again.
    pub(in crate::queues) fn forget_lanes(&mut self, node: NodeId) {
        self.home.lanes.forget(node);
    }
}
