//! One life of a queue name, over all its homes.

use std::collections::BTreeSet;

use leveret_model::directory::QueueRecord;
use leveret_model::{Instant, NodeId, ShardAddress};

use crate::topology::Base;

/// One life of a queue name.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) base: Base,
    /// Where it lives now.
    pub(crate) home: ShardAddress,
    /// Raised by each move.
    epoch: u64,
    /// Every node that was its home.
    pub(crate) homes: BTreeSet<NodeId>,
    /// When the process of its home ended.
    pub(crate) died: Vec<Instant>,
    /// It ended with the process of its home, and no other home has it.
    is_gone: bool,
    pub(crate) durable: bool,
    /// It ends with its connection.
    exclusive: bool,
    pub(crate) born: Instant,
    /// Lost its name in a merge.
    pub(crate) renamed: Option<Instant>,
    pub(crate) dropped: Option<Instant>,
    /// A proposal that never stood.
    withdrawn: bool,
}

impl Life {
    pub(crate) fn new(now: Instant, base: Base, record: &QueueRecord) -> Self {
        Self {
            base,
            home: record.home,
            epoch: record.epoch,
            homes: BTreeSet::from([record.home.node]),
            died: Vec::new(),
            is_gone: false,
            durable: record.definition.durable,
            exclusive: record.definition.exclusive.is_some(),
            born: now,
            renamed: None,
            dropped: None,
            withdrawn: false,
        }
    }

    /// A node acts on this record of it.
    ///
    /// # Errors
    /// The home by another record of the same epoch.
    pub(crate) fn moves(&mut self, record: &QueueRecord) -> Result<(), ShardAddress> {
        if record.epoch > self.epoch {
            (self.home, self.epoch) = (record.home, record.epoch);
            self.is_gone = false;
            self.homes.insert(record.home.node);
        }
        if record.epoch == self.epoch && self.home != record.home { Err(self.home) } else { Ok(()) }
    }

    /// The process of its home ends.
    pub(crate) fn dies(&mut self, now: Instant) {
        self.died.push(now);
        self.is_gone = true;
    }

    pub(crate) fn withdraw(&mut self) {
        self.withdrawn = true;
    }

    /// A node that leaves has to hand it over. What an earlier start of the node took with it nobody can.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.dropped.is_none() && !self.withdrawn && !self.exclusive && !self.is_gone
    }
}
