//! Control links that are up, and links that are closed as soon as the peer has read why.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, limits};

use crate::effects::LinkKey;
use crate::membership::dial::Dials;

/// A control link that is up.
#[derive(Clone, Debug)]
pub(crate) struct ControlLink {
    pub(crate) peer: NodeId,
    /// The dialler: of two links to one peer the one stays that the smaller node id dialled.
    pub(crate) dialler: NodeId,
    /// The address that this node dialled for it.
    pub(crate) dialled: Option<String>,
    /// When its last frame came.
    pub(crate) last_frame: Instant,
}

/// All control links, and the addresses to dial for more.
#[derive(Debug)]
pub(crate) struct ControlLinks {
    up: BTreeMap<LinkKey, ControlLink>,
    /// Links of peers that were turned away.
    to_hang_up: Vec<LinkKey>,
    pub(crate) dials: Dials,
}

impl ControlLinks {
    pub(crate) fn new() -> Self {
        Self { up: BTreeMap::new(), to_hang_up: Vec::new(), dials: Dials::new() }
    }

    pub(crate) fn insert(&mut self, key: LinkKey, link: ControlLink) {
        self.up.insert(key, link);
    }

    pub(crate) fn get(&self, key: LinkKey) -> Option<&ControlLink> {
        self.up.get(&key)
    }

    pub(crate) fn remove(&mut self, key: LinkKey) -> Option<ControlLink> {
        self.up.remove(&key)
    }

    pub(crate) fn len(&self) -> usize {
        self.up.len()
    }

    /// No link is up.
    pub(crate) fn is_empty(&self) -> bool {
        self.up.is_empty()
    }

    /// Peers with a link.
    pub(crate) fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.up.values().map(|link| link.peer)
    }

    /// A frame came. Its sender; none if the link is not up any more.
    pub(crate) fn on_frame(&mut self, now: Instant, key: LinkKey) -> Option<NodeId> {
        let link = self.up.get_mut(&key)?;
        link.last_frame = now;
        Some(link.peer)
    }

    /// Links that brought nothing for longer than a lease lasts: dead, or so slow that a new one is better.
    /// The system would try to save them for minutes.
    pub(crate) fn silent(&self, now: Instant) -> Vec<LinkKey> {
        let silent = self.up.iter().filter(|(_, link)| now >= link.last_frame + limits::LEASE_WITHIN);
        silent.map(|(&key, _)| key).collect()
    }

    /// The peer is turned away; it hangs up when it has read that, or this node does with its next pings.
    pub(crate) fn hang_up_later(&mut self, key: LinkKey) {
        self.to_hang_up.push(key);
    }

    pub(crate) fn takes_leave(&self) -> bool {
        !self.to_hang_up.is_empty()
    }

    pub(crate) fn take_hang_ups(&mut self) -> Vec<LinkKey> {
        core::mem::take(&mut self.to_hang_up)
    }
}
