//! The queues of the cluster, by id and by name.
//!
//! Two records can have one name for a while: a masked one and the one that was declared anew, or the two sides of a merge.
//! A [`Label`] is the name; its records are chained, the one that serves it first.

use alloc::vec::Vec;
use core::cell::Cell;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use leveret_model::directory::QueueRecord;
use leveret_model::{Address, Name, QueueId};

use crate::bindings::Bound;
use crate::slots::{Slot, Slots};
use crate::table::VhostId;

/// A queue as the table knows it.
#[derive(Debug)]
pub struct QueueEntry {
    /// Its record.
    pub record: QueueRecord,
    /// Where it lives, seen from here.
    pub address: Address,
    /// Its home is Down: routes leave it out (R5).
    pub masked: bool,
    pub(crate) label: Slot<Label>,
    /// The next record of the same name.
    next: Option<Slot<QueueEntry>>,
}

/// The name of a queue, or of one that only bindings know so far.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) vhost: VhostId,
    pub(crate) name: Name,
    /// The records of this name: unmasked before masked, then in the order of R3.
    pub(crate) first: Option<Slot<QueueEntry>>,
    /// Bindings to here.
    pub(crate) to: Vec<Slot<Bound>>,
    /// The last walk that came by.
    pub(crate) visited: Cell<u64>,
}

/// All queues and labels.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) entries: Slots<QueueEntry>,
    pub(crate) labels: Slots<Label>,
    by_id: HashTable<Slot<QueueEntry>>,
    by_name: HashTable<Slot<Label>>,
    state: FixedState,
}

impl Queues {
    pub(crate) fn new(state: FixedState) -> Self {
        Self {
            entries: Slots::new(),
            labels: Slots::new(),
            by_id: HashTable::new(),
            by_name: HashTable::new(),
            state,
        }
    }

    pub(crate) fn find(&self, id: QueueId) -> Option<Slot<QueueEntry>> {
        self.by_id.find(self.state.hash_one(id), |slot| self.entries[*slot].record.id == id).copied()
    }

    pub(crate) fn find_label(&self, vhost: VhostId, name: &[u8]) -> Option<Slot<Label>> {
        let is_it = |slot: &Slot<Label>| {
            let label = &self.labels[*slot];
            label.vhost == vhost && label.name.as_bytes() == name
        };
        self.by_name.find(name_hash(&self.state, vhost, name), is_it).copied()
    }

    pub(crate) fn label(&mut self, vhost: VhostId, name: &Name) -> Slot<Label> {
        if let Some(slot) = self.find_label(vhost, name.as_bytes()) {
            return slot;
        }
        let label = Label { vhost, name: name.clone(), first: None, to: Vec::new(), visited: Cell::new(0) };
        let slot = self.labels.insert(label);
        let (labels, state) = (&self.labels, &self.state);
        let rehash =
            |slot: &Slot<Label>| name_hash(state, labels[*slot].vhost, labels[*slot].name.as_bytes());
        self.by_name.insert_unique(name_hash(state, vhost, name.as_bytes()), slot, rehash);
        slot
    }

    pub(crate) fn insert(&mut self, record: QueueRecord, address: Address, label: Slot<Label>) {
        let hash = self.state.hash_one(record.id);
        let slot = self.entries.insert(QueueEntry { record, address, masked: false, label, next: None });
        let (entries, state) = (&self.entries, &self.state);
        self.by_id.insert_unique(hash, slot, |slot| state.hash_one(entries[*slot].record.id));
        self.attach(slot);
    }

    /// Removes a queue that has left its label.
    pub(crate) fn remove(&mut self, slot: Slot<QueueEntry>) {
        let hash = self.state.hash_one(self.entries[slot].record.id);
        if let Ok(entry) = self.by_id.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.entries.remove(slot);
    }

    /// Enters the chain of its label at its place.
    pub(crate) fn attach(&mut self, slot: Slot<QueueEntry>) {
        let rank = |entry: &QueueEntry| (entry.masked, entry.record.id);
        let (label, own) = (self.entries[slot].label, rank(&self.entries[slot]));
        let mut before = None;
        let mut next = self.labels[label].first;
        while let Some(other) = next.filter(|other| rank(&self.entries[*other]) < own) {
            before = Some(other);
            next = self.entries[other].next;
        }
        self.entries[slot].next = next;
        self.relink(label, before, Some(slot));
    }

    /// Leaves the chain of its label.
    pub(crate) fn detach(&mut self, slot: Slot<QueueEntry>) {
        let label = self.entries[slot].label;
        let mut before = None;
        let mut at = self.labels[label].first;
        while let Some(other) = at.filter(|other| *other != slot) {
            before = Some(other);
            at = self.entries[other].next;
        }
        let next = self.entries[slot].next.take();
        self.relink(label, before, next);
    }

    fn relink(
        &mut self,
        label: Slot<Label>,
        before: Option<Slot<QueueEntry>>,
        next: Option<Slot<QueueEntry>>,
    ) {
        match before {
            Some(before) => self.entries[before].next = next,
            None => self.labels[label].first = next,
        }
    }

    /// Forgets a name that has neither record nor binding.
    pub(crate) fn release_label(&mut self, slot: Slot<Label>) {
        let Some(label) = self.labels.get(slot).filter(|label| label.first.is_none() && label.to.is_empty())
        else {
            return;
        };
        let hash = name_hash(&self.state, label.vhost, label.name.as_bytes());
        if let Ok(entry) = self.by_name.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.labels.remove(slot);
    }
}

/// The hash of a name in a vhost.
pub(crate) fn name_hash(state: &FixedState, vhost: VhostId, name: &[u8]) -> u64 {
    state.hash_one((vhost, name))
}
