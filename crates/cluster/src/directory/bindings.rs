//! Which bindings are routed by: one key is derived at a time from the maps, and compared with what was told.
//!
//! Read first: `effective`, which calls this last. Invariant: a change of one binding costs the work of one binding,
//! however many others its ends have; all bindings of an end are looked at only when that end itself changes (a queue's
//! life or epoch, an exchange).

use alloc::vec::Vec;

use leveret_model::definition::{Binding, DestinationKind};
use leveret_model::directory::Change;

use super::effective::Batch;
use super::map::{BindingKey, Dropped, ObjectName, Op, Record, RecordKey, Stamp};
use super::{Destination, Directory, register};

impl Directory {
    /// Brings the bindings that are dirty up to date.
    pub(super) fn refresh_bindings(&mut self, batch: &mut Batch) {
        while let Some(destination) = self.dirty_destinations.pop_first() {
            self.dirty_all_to(&destination);
        }
        while let Some(key) = self.dirty_bindings.pop_first() {
            self.refresh_binding(key, batch);
        }
    }

    /// Everything that leads to the destination is looked at again.
    fn dirty_all_to(&mut self, destination: &Destination) {
        let (kind, name) = destination;
        let dirty = &mut self.dirty_bindings;
        dirty.extend(self.told.bindings.to(destination).cloned());
        match kind {
            DestinationKind::Queue => {
                for (&id, home) in self.queues.get(name).into_iter().flatten() {
                    dirty.extend(self.maps[home].bindings_of(id).map(|(key, _)| key.clone()));
                }
            }
            DestinationKind::Exchange => {
                let keys = self.exchange_bindings.get(name).into_iter().flatten();
                dirty.extend(keys.map(|(key, _)| key.clone()));
            }
        }
    }

    /// Everything that is bound from or to the exchange is looked at again.
    pub(super) fn dirty_ends_of(&mut self, name: &ObjectName) {
        let dirty = &mut self.dirty_bindings;
        for destination in self.sources.get(name).into_iter().flatten().map(|(destination, _)| destination) {
            match destination.0 {
                DestinationKind::Queue => {
                    for (&id, home) in self.queues.get(&destination.1).into_iter().flatten() {
                        let keys = self.maps[home].bindings_between(id, name, destination);
                        dirty.extend(keys.map(|(key, _)| key.clone()));
                    }
                }
                DestinationKind::Exchange => {
                    if let Some(keys) = self.exchange_bindings.get(&destination.1) {
                        dirty.extend(BindingKey::between(keys, name, destination).cloned());
                    }
                }
            }
        }
        self.dirty_destinations.insert((DestinationKind::Exchange, name.clone()));
    }

    /// Drops all told bindings from and to an exchange that goes or changes; they are put again if they still hold.
    pub(super) fn untell_bindings_at(&mut self, name: &ObjectName, batch: &mut Batch) {
        let told = &mut self.told.bindings;
        let to = told.remove_to(&(DestinationKind::Exchange, name.clone()));
        batch.binding_drops.extend(to.into_iter().map(Change::DropBinding));
        for destination in self.sources.get(name).into_iter().flatten().map(|(destination, _)| destination) {
            let from = told.remove_between(name, destination);
            batch.binding_drops.extend(from.into_iter().map(Change::DropBinding));
        }
    }

    fn refresh_binding(&mut self, key: BindingKey, batch: &mut Batch) {
        #[cfg(test)]
        {
            self.derived += 1;
        }
        self.merges.on_binding(&key);
        let wanted = match key.kind {
            DestinationKind::Queue => self.queue_binding(&key),
            DestinationKind::Exchange => self.exchange_binding(&key),
        };
        match wanted {
            Some(binding) if !self.told.bindings.contains(&key) => {
                batch.binding_puts.push(Change::PutBinding(binding.clone()));
                self.told.bindings.insert(key, binding);
            }
            Some(_) => {}
            None => {
                if let Some(binding) = self.told.bindings.remove(&key) {
                    batch.binding_drops.push(Change::DropBinding(binding));
                }
            }
        }
    }

    /// The binding of the life that counts, or of another that it merges with (R3): of its epoch, from an exchange that is
    /// there, made after its last deletion. Void ones of this node's queues are dropped from its map.
    fn queue_binding(&mut self, key: &BindingKey) -> Option<Binding> {
        let (source, name) = (key.source(), key.destination());
        let chosen = self.choose(&name, false).map(|(_, id)| id);
        let (deleted, gone) = (self.deleted(&source), self.is_gone(&source));
        let mut wanted = None;
        let mut void = Vec::new();
        for (&id, &home) in self.queues.get(&name)? {
            let at = RecordKey::Binding(id, key.clone());
            let Some(Record::Binding { epoch, lamport, binding, .. }) = self.maps[&home].records.get(&at)
            else {
                continue;
            };
            if *lamport <= deleted || gone {
                if home == self.own {
                    void.push(Dropped::Binding(id, binding.clone().into()));
                }
            } else if self.queue_record(home, id).is_some_and(|(record, standing)| {
                let counts = chosen == Some(id) || standing && !self.standing(home).is_down();
                counts && record.epoch == *epoch
            }) && self.is_routed(&source)
            {
                wanted = Some(binding.clone());
            }
        }
        for dropped in void {
            self.write(Op::Drop(dropped));
        }
        wanted
    }

    /// The exchange was there, was deleted, and nobody proposes it anew.
    pub(super) fn is_gone(&self, name: &ObjectName) -> bool {
        self.exchanges.get(name).is_some_and(|known| known.value.is_none() && known.written)
            && !self.exchange_ballots.contains_key(name)
    }

    /// Messages can come from it or go to it.
    fn is_routed(&self, name: &ObjectName) -> bool {
        register::predeclared(name).is_some()
            || self.exchanges.get(name).is_some_and(|known| known.value.is_some())
    }

    /// The last write of a binding between exchanges, and the binding unless that unbound it.
    pub(super) fn latest_exchange_binding(&self, key: &BindingKey) -> Option<(Stamp, Option<&Binding>)> {
        let writers = self.exchange_bindings.get(&key.destination())?.get(key)?;
        let (node, &(stamp, present)) = writers.iter().max_by_key(|(_, (stamp, _))| *stamp)?;
        match self.maps.get(node)?.records.get(&RecordKey::ExchangeBinding(key.clone()))? {
            Record::ExchangeBinding { binding, .. } => Some((stamp, present.then_some(binding))),
            _ => None,
        }
    }

    /// The last write of a binding between exchanges bound it.
    pub(super) fn is_exchange_bound(&self, key: &BindingKey) -> bool {
        let writers = self.exchange_bindings.get(&key.destination()).and_then(|keys| keys.get(key));
        writers.and_then(|writers| writers.values().max()).is_some_and(|(_, present)| *present)
    }

    /// The binding between exchanges as it was written last, made after the last deletion of both its ends. A void one of
    /// this node is unbound under its old stamp: it says no more than the deletion, so it beats nothing that came after.
    fn exchange_binding(&mut self, key: &BindingKey) -> Option<Binding> {
        let (source, name) = (key.source(), key.destination());
        let (stamp, binding) = self.latest_exchange_binding(key)?;
        let binding = binding?.clone();
        if stamp.lamport <= self.deleted(&source).max(self.deleted(&name)) {
            if stamp.node == self.own {
                self.write(Op::Put(Record::ExchangeBinding { binding, stamp, present: false }));
            }
            return None;
        }
        (self.is_routed(&source) && self.is_routed(&name)).then_some(binding)
    }
}

#[cfg(test)]
mod tests;
