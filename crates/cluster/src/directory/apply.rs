//! Changes of the directory: writes to the own map, deltas and whole maps of other nodes, verdicts. The indices
//! follow each record.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::definition::{Binding, DestinationKind};
use leveret_model::{NodeId, QueueId};

use super::known_registers::{self, Subject};
use super::map::{Dropped, Op, Record, RecordKey, Version};
use super::names::{BindingKey, ObjectName};
use super::register::{Register, RegisterKey};
use super::state::Directory;
use crate::membership::Standing;

impl Directory {
    /// Writes to the own map.
    pub(crate) fn write(&mut self, op: Op) {
        self.step(self.own, op.clone());
        if let Some(map) = self.maps.get_mut(&self.own) {
            map.version.counter += 1;
        }
        self.output.steps.push(op);
    }

    /// Drops all bindings of a queue of this node; their source exchanges.
    pub(crate) fn drop_bindings(&mut self, queue: QueueId) -> BTreeSet<ObjectName> {
        let bindings: Vec<Binding> = self.maps[&self.own]
            .bindings_of(queue)
            .filter_map(|(_, record)| match record {
                Record::Binding { binding, .. } => Some(binding.clone()),
                _ => None,
            })
            .collect();
        let sources =
            bindings.iter().map(|binding| ObjectName::new(&binding.vhost, &binding.source)).collect();
        for binding in bindings {
            self.write(Op::Drop(Dropped::Binding(queue, binding.into())));
        }
        sources
    }

    /// A delta of another node's map. False on a gap: the whole map is needed.
    pub(crate) fn on_delta(&mut self, node: NodeId, from: Version, to: Version, ops: Vec<Op>) -> bool {
        let have = self.version_of(node);
        if node == self.own || to <= have {
            return true;
        }
        if from != have && !(have == Version::default() && from.counter == 0) {
            return false;
        }
        for op in ops {
            self.step(node, op);
        }
        self.maps.entry(node).or_default().version = to;
        self.take_postponed();
        true
    }

    /// The whole map of another node; an older one than this node has is left alone.
    pub(crate) fn on_map(&mut self, node: NodeId, version: Version, records: Vec<Record>) {
        let have = self.version_of(node);
        if node == self.own || version <= have {
            return;
        }
        let started_again = have.incarnation < version.incarnation && have != Version::default();
        let mut gone: BTreeSet<RecordKey> =
            self.maps.get(&node).map(|map| map.records.keys().cloned().collect()).unwrap_or_default();
        for record in records {
            gone.remove(&record.key());
            self.step(node, Op::Put(record));
        }
        if started_again {
            // Registers have no owner: those that only the former start had written stay, in this node's map.
            // Every node that sees the map change adopts them, so that none is without them for a moment.
            let mut orphans = self.orphans(node);
            orphans.retain(|register| gone.contains(&RecordKey::Register(register.key.clone())));
            self.adopt(orphans);
        }
        for key in gone {
            if started_again {
                self.lose(node, &key);
            } else {
                self.remove(node, &key);
            }
        }
        self.maps.entry(node).or_default().version = version;
        self.take_postponed();
    }

    fn step(&mut self, node: NodeId, op: Op) {
        match op {
            Op::Put(record) => {
                self.remove(node, &record.key());
                self.lamport = self.lamport.max(record.lamport());
                self.index(node, &record, true);
                self.maps.entry(node).or_default().records.insert(record.key(), record);
            }
            Op::Drop(dropped) => self.remove(node, &dropped.key()),
        }
    }

    pub(super) fn remove(&mut self, node: NodeId, key: &RecordKey) {
        if let Some(record) = self.maps.get_mut(&node).and_then(|map| map.records.remove(key)) {
            self.index(node, &record, false);
        }
    }

    fn index(&mut self, node: NodeId, record: &Record, add: bool) {
        self.size.count(record, add);
        self.unknown.count(node, record, add);
        match record {
            Record::Queue { record, standing } => {
                let name = ObjectName::of_queue(record);
                if add {
                    self.add_life(node, record);
                    self.queues.count += 1;
                } else {
                    self.remove_life(node, record);
                    self.queues.count -= 1;
                }
                let ballot = self.queues.ballots.entry(name.clone()).or_default();
                if !add {
                    ballot.pending.remove(&record.id.ulid);
                } else if !standing {
                    ballot.pending.insert(record.id.ulid, node);
                }
                self.dirty.queues.insert(name);
            }
            Record::Binding { binding, .. } => {
                let key = BindingKey::of(binding);
                let destination = (DestinationKind::Queue, key.destination());
                self.bindings.count(&key.source(), &destination, add);
                self.dirty.bindings.insert(key);
            }
            Record::Register(register) => self.index_register(node, register, add),
            Record::Proposal { id, name, value: Some(_) } => {
                let ballot = self.exchanges.ballots.entry(name.clone()).or_default();
                if add {
                    ballot.pending.insert(*id, node);
                } else {
                    ballot.pending.remove(id);
                }
                self.dirty.exchanges.insert(name.clone());
            }
            Record::Proposal { id, name, value: None } => {
                let removals = self.exchanges.removals.entry(name.clone()).or_default();
                if add {
                    removals.insert(*id, (node, false));
                } else {
                    removals.remove(id);
                }
                self.dirty.exchanges.insert(name.clone());
            }
            Record::Unknown { .. } => {}
        }
    }

    fn index_register(&mut self, node: NodeId, register: &Register, add: bool) {
        let key = &register.key;
        let stood = self.is_present(key);
        if add {
            self.registers.put(node, register);
        } else {
            self.registers.remove(node, key);
        }
        match known_registers::subject(key) {
            Some(Subject::Exchange(name)) => {
                self.dirty.exchanges.insert(name);
            }
            Some(Subject::ExchangeBinding(binding)) => {
                let stands = self.is_present(key);
                if stood != stands {
                    let destination = (DestinationKind::Exchange, binding.destination());
                    self.bindings.count(&binding.source(), &destination, stands);
                }
                let written = self.registers.latest(key).is_some();
                // an unbound register stays, and counts for nothing
                self.bindings.set_register(binding.clone(), written.then(|| key.clone()));
                self.dirty.bindings.insert(binding);
            }
            Some(Subject::Policy(name)) => {
                self.dirty.policies.insert(name);
            }
            None => {}
        }
    }

    fn is_present(&self, key: &RegisterKey) -> bool {
        self.registers.latest(key).is_some_and(|latest| latest.present)
    }

    /// A verdict.
    pub(crate) fn set_standing(&mut self, node: NodeId, standing: Standing) {
        if self.standings.insert(node, standing) == Some(standing) {
            return;
        }
        self.take_postponed();
        let Some(map) = self.maps.get(&node) else { return };
        for record in map.records.values() {
            match record {
                Record::Queue { record, .. } => {
                    self.dirty.queues.insert(ObjectName::of_queue(record));
                }
                Record::Proposal { name, .. } => {
                    self.dirty.exchanges.insert(name.clone());
                }
                _ => {}
            }
        }
    }
}
