//! Other nodes that keep sessions: who they are, whether there is a link, and the records to and from them.
//!
//! The machines hear of a new link once, before its first record, and only if the node at its other end keeps
//! sessions: that is known from its hello on the control link, which comes before any data link.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::directory::SessionPeer;
use leveret_model::{Boot, NodeId, ShardId};
use leveret_sessions::Home;

use super::parts::Part;

/// Those of one shard.
#[derive(Debug, Default)]
pub(super) struct SessionPeers {
    pub(super) known: BTreeMap<NodeId, SessionPeer>,
    /// Starts that there are data links to; true once the machines were told.
    pub(super) links: BTreeMap<NodeId, (Boot, bool)>,
    /// The lease that the machines were told last; none yet.
    pub(super) lease: Option<bool>,
}

impl SessionPeers {
    /// Nodes that keep sessions and can be asked.
    pub(super) fn linked(&self) -> Vec<NodeId> {
        self.links
            .iter()
            .filter(|(node, (_, told))| *told && self.known.contains_key(node))
            .map(|(node, _)| *node)
            .collect()
    }

    /// The shard there that keeps a part.
    pub(super) fn shard_of(&self, node: NodeId, part: Part) -> Option<ShardId> {
        self.known.get(&node).map(|peer| ShardId(part.0 % peer.shards.max(1)))
    }

    /// A link that is up and of which the machines are to be told now.
    pub(super) fn untold(&mut self, node: NodeId) -> Option<Home> {
        let peer = self.known.get(&node)?;
        let (boot, told) = self.links.get_mut(&node)?;
        let new = *boot == peer.boot && !core::mem::replace(told, true);
        new.then_some(Home { node, boot: *boot })
    }
}
