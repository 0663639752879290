//! To which session a batch belongs that came to a shard.
//!
//! A batch comes over the shard's own links, or over another shard's, whose thread may have heard of a new
//! session before this one did: then it waits here. What belongs to a session that is over is dropped: its
//! records are repeated.
//!
//! Invariant: sessions are told to each shard in the order of their numbers, so one that is not current and not
//! later than the newest told is over.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;

use leveret_model::{Boot, NodeId, ShardAddress};

use super::SessionNumber;
use crate::Batch;

/// The sessions as one shard's thread knows them.
#[derive(Debug, Default)]
pub struct Arrivals {
    current: BTreeMap<NodeId, (Boot, SessionNumber)>,
    newest: SessionNumber,
    /// Relayed batches of sessions that have not begun here; bounded by their credit, and ended by the mail
    /// that tells of the session, which is under way.
    early: Vec<(ShardAddress, SessionNumber, Batch)>,
}

impl Arrivals {
    /// A session begins; gives the batches that came before, in order.
    #[must_use = "these batches are for the shard"]
    pub fn on_up(&mut self, node: NodeId, boot: Boot, session: SessionNumber) -> Vec<(ShardAddress, Batch)> {
        self.current.insert(node, (boot, session));
        self.newest = self.newest.max(session);
        let mut begun = Vec::new();
        for (from, of, batch) in mem::take(&mut self.early) {
            if of > self.newest {
                self.early.push((from, of, batch));
            } else if of == session && from.node == node {
                begun.push((from, batch));
            }
        }
        begun
    }

    /// The session is over.
    pub fn on_down(&mut self, node: NodeId) {
        self.current.remove(&node);
    }

    /// The session with a node, and which start of it is at the other end. hot.
    #[must_use]
    pub fn current(&self, node: NodeId) -> Option<(Boot, SessionNumber)> {
        self.current.get(&node).copied()
    }

    /// A batch came over another shard's link: if it is for this moment, it is given back. hot.
    #[must_use = "the batch is for the shard"]
    pub fn on_relayed(
        &mut self,
        from: ShardAddress,
        session: SessionNumber,
        batch: Batch,
    ) -> Option<(Boot, Batch)> {
        match self.current(from.node) {
            Some((boot, current)) if current == session => return Some((boot, batch)),
            _ if session > self.newest => self.early.push((from, session, batch)),
            _ => {}
        }
        None
    }
}
