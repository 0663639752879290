//! Forgets the map of a node that will not come back. Registers that stand nowhere else are adopted first.

use alloc::vec::Vec;

use leveret_model::NodeId;

use super::map::{Op, Record, RecordKey};
use super::register::Register;
use super::state::Directory;

impl Directory {
    /// Registers of a node's map that would be gone with it: no other map says the same or later.
    pub(crate) fn orphans(&self, node: NodeId) -> Vec<Register> {
        let Some(map) = self.maps.get(&node) else { return Vec::new() };
        let registers = map.records.values().filter_map(|record| match record {
            Record::Register(register) => Some(register),
            _ => None,
        });
        registers.filter(|register| self.registers.rests_on(node, &register.key)).cloned().collect()
    }

    /// Takes registers over into the own map, under the stamps that they have.
    pub(crate) fn adopt(&mut self, registers: Vec<Register>) {
        for register in registers {
            let own = self.maps[&self.own].records.get(&RecordKey::Register(register.key.clone()));
            let merged = match own {
                Some(Record::Register(own)) => Register::merged(own, &register),
                _ => register,
            };
            self.write(Op::Put(Record::Register(merged)));
        }
    }

    /// Forgets the map of a node that has no disk to come back with.
    pub(crate) fn forget(&mut self, node: NodeId) {
        let records = self.maps.get(&node).map(|map| map.records.keys().cloned());
        let keys: Vec<RecordKey> = records.into_iter().flatten().collect();
        for key in keys {
            self.lose(node, &key);
        }
        self.maps.remove(&node);
        self.standings.remove(&node);
        for map in self.maps.values_mut() {
            map.rests_on.remove(&node);
        }
    }

    /// A record goes with the start that wrote it. Nobody deleted its queue, so what is on its way there is not
    /// confirmed.
    pub(super) fn lose(&mut self, node: NodeId, key: &RecordKey) {
        if let RecordKey::Queue(id) = key {
            self.published.stood.remove(id);
        }
        self.remove(node, key);
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
