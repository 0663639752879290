//! What tests ask of a world.

use leveret_cluster::Standing;
use leveret_model::definition::Binding;
use leveret_model::{NodeId, ShardAddress, ShardId};

use crate::world::{At, World};

impl World {
    pub fn alive(&self) -> Vec<At> {
        (0..self.nodes.len()).filter(|&at| self.nodes[at].alive).collect()
    }

    /// All live nodes have a lease, count all live nodes, and route alike, their shards too.
    pub fn agrees(&self) -> bool {
        let alive = self.alive();
        let mut ids: Vec<NodeId> = alive.iter().map(|&at| self.nodes[at].id).collect();
        ids.sort_unstable();
        let digest = self.nodes[alive[0]].control.digest();
        alive.iter().all(|&at| {
            let node = &self.nodes[at];
            node.listening
                && node.control.counted_set() == ids
                && node.control.status().lease > self.now
                && node.control.digest() == digest
                && node.shards.iter().all(|shard| shard.lease > self.now && shard.follows(&node.control))
        })
    }

    /// No lease, or every shard routes by it.
    pub fn is_honest(&self, at: At, binding: &Binding) -> bool {
        self.nodes[at].shards.iter().all(|shard| {
            let queue = shard.serving(binding.destination.as_str());
            shard.lease <= self.now
                || (queue.is_some() && shard.bindings.iter().any(|known| known.same(binding)))
        })
    }

    /// How `at` sees `other`.
    pub fn standing(&self, at: At, other: At) -> Option<Standing> {
        let status = self.nodes[at].control.status();
        status.nodes.iter().find(|node| node.node == self.nodes[other].id).map(|node| node.standing)
    }

    pub fn home(&self, at: At) -> ShardAddress {
        ShardAddress { node: self.nodes[at].id, shard: ShardId(1) }
    }
}
