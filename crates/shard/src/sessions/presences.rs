//! Names and addresses of this node and others: see `nodes.rs`.

use alloc::collections::BTreeMap;

use leveret_model::{Boot, Name, NodeId, ShardId};

use super::config::SessionConfig;

/// The shard that knows where nodes are: the one that keeps part 0.
pub(super) const PRESENCE_SHARD: ShardId = ShardId(0);

/// A node's name and the address for its clients.
#[derive(Debug)]
pub(super) struct Presence {
    pub(super) name: Name,
    pub(super) address: Name,
}

/// Where this node and others are.
#[derive(Debug)]
pub(super) struct Presences {
    pub(super) own: Presence,
    pub(super) others: BTreeMap<NodeId, (Boot, Presence)>,
    /// This node hands its sessions over.
    pub(super) leaves: bool,
}

impl Presences {
    pub(super) fn new(config: &SessionConfig) -> Self {
        let own = Presence { name: config.name.clone(), address: config.address.clone() };
        Self { own, others: BTreeMap::new(), leaves: false }
    }
}
