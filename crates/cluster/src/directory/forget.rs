//! The map of a node that is gone for good: its registers are taken over, the rest goes.

use alloc::vec::Vec;

use leveret_model::NodeId;

use super::Directory;
use super::map::{Op, Record, RecordKey};

impl Directory {
    /// Registers of a node's map that would be gone with it: no other map says the same or later.
    pub(crate) fn orphans(&self, node: NodeId) -> Vec<Record> {
        let Some(map) = self.maps.get(&node) else { return Vec::new() };
        let registers = map.records.iter().filter(|(_, record)| record.is_register());
        registers
            .filter(|(key, record)| {
                let others = self.maps.iter().filter(|(other, _)| **other != node);
                let others = || others.clone().filter_map(|(_, map)| map.records.get(*key));
                let later = others().any(|other| stamp(other) >= stamp(record));
                // a later write may not have known of the deletion that this one remembers
                !(later && others().any(|other| deleted(other) >= deleted(record)))
            })
            .map(|(_, record)| record.clone())
            .collect()
    }

    /// Takes registers over into the own map, under the stamps that they have.
    pub(crate) fn adopt(&mut self, registers: Vec<Record>) {
        for register in registers {
            let own = self.maps[&self.own].records.get(&register.key());
            let merged = match own {
                Some(own) => later_of(own, &register),
                None => register,
            };
            self.write(Op::Put(merged));
        }
    }

    /// Forgets the map of a node that has no disk to come back with.
    pub(crate) fn forget(&mut self, node: NodeId) {
        let records = self.maps.get(&node).map(|map| map.records.keys().cloned());
        let keys: Vec<RecordKey> = records.into_iter().flatten().collect();
        for key in keys {
            self.remove(node, &key);
        }
        self.maps.remove(&node);
        self.standings.remove(&node);
        for map in self.maps.values_mut() {
            map.rests_on.remove(&node);
        }
    }

    /// Nodes of which a map or a verdict is here.
    pub(crate) fn writers(&self) -> impl Iterator<Item = NodeId> + '_ {
        let judged = self.standings.keys().filter(|node| !self.maps.contains_key(node));
        self.maps.keys().chain(judged).copied()
    }

    /// Maps that are here.
    pub(crate) fn map_count(&self) -> usize {
        self.maps.len().max(self.standings.len())
    }

    /// The most maps that one rests on.
    pub(crate) fn rests_on_count(&self) -> usize {
        self.maps.values().map(|map| map.rests_on.len()).max().unwrap_or(0)
    }
}

fn stamp(record: &Record) -> Option<super::map::Stamp> {
    match record {
        Record::Exchange { stamp, .. } | Record::ExchangeBinding { stamp, .. } => Some(*stamp),
        Record::Queue { .. } | Record::Binding { .. } | Record::Proposal { .. } => None,
    }
}

fn deleted(record: &Record) -> u64 {
    if let Record::Exchange { deleted, .. } = record { *deleted } else { 0 }
}

/// The later write, with the last deletion that either knows of.
fn later_of(a: &Record, b: &Record) -> Record {
    let mut later = if stamp(a) >= stamp(b) { a.clone() } else { b.clone() };
    if let Record::Exchange { deleted: last, .. } = &mut later {
        *last = deleted(a).max(deleted(b));
    }
    later
}
