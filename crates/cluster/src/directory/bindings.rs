//! Which bindings are routed by: one key is derived at a time from the maps, and compared with what was told.
//!
//! Read first: `effective`, which calls this last. Invariant: a change of one binding costs the work of one
//! binding, however many others its ends have; all bindings of an end are looked at only when that end itself
//! changes (a queue's life or epoch, an exchange).

use alloc::vec::Vec;

use leveret_model::definition::{Binding, DestinationKind};
use leveret_model::directory::Change;

use super::effective::{Batch, predeclared};
use super::indices::ExchangeName;
use super::known_registers;
use super::map::{Dropped, Op, Record, RecordKey};
use super::names::{BindingKey, Destination, ObjectName};
use super::register::RegisterKey;
use super::state::Directory;

impl Directory {
    /// Brings the bindings that are dirty up to date.
    pub(super) fn refresh_bindings(&mut self, batch: &mut Batch) {
        while let Some(destination) = self.dirty.destinations.pop_first() {
            self.dirty_all_to(&destination);
        }
        while let Some(key) = self.dirty.bindings.pop_first() {
            self.refresh_binding(key, batch);
        }
    }

    /// Everything that leads to the destination is looked at again.
    fn dirty_all_to(&mut self, destination: &Destination) {
        let (kind, name) = destination;
        let dirty = &mut self.dirty.bindings;
        dirty.extend(self.published.bindings.to(destination).cloned());
        match kind {
            DestinationKind::Queue => {
                for (&id, home) in self.queues.lives.get(name).into_iter().flatten() {
                    dirty.extend(self.maps[home].bindings_of(id).map(|(key, _)| key.clone()));
                }
            }
            DestinationKind::Exchange => {
                let keys = self.bindings.to_exchange.get(name).into_iter().flatten();
                dirty.extend(keys.map(|(key, _)| key.clone()));
            }
        }
    }

    /// Everything that is bound from or to the exchange is looked at again.
    pub(super) fn dirty_ends_of(&mut self, name: &ObjectName) {
        let dirty = &mut self.dirty.bindings;
        for destination in
            self.bindings.from.get(name).into_iter().flatten().map(|(destination, _)| destination)
        {
            match destination.0 {
                DestinationKind::Queue => {
                    for (&id, home) in self.queues.lives.get(&destination.1).into_iter().flatten() {
                        let keys = self.maps[home].bindings_between(id, name, destination);
                        dirty.extend(keys.map(|(key, _)| key.clone()));
                    }
                }
                DestinationKind::Exchange => {
                    if let Some(keys) = self.bindings.to_exchange.get(&destination.1) {
                        dirty
                            .extend(BindingKey::between(keys, name, destination).map(|(key, _)| key.clone()));
                    }
                }
            }
        }
        self.dirty.destinations.insert((DestinationKind::Exchange, name.clone()));
    }

    /// Drops all told bindings from and to an exchange that goes or changes; they are put again if they still
    /// hold.
    pub(super) fn untell_bindings_at(&mut self, name: &ObjectName, batch: &mut Batch) {
        let told = &mut self.published.bindings;
        let to = told.remove_to(&(DestinationKind::Exchange, name.clone()));
        batch.binding_drops.extend(to.into_iter().map(Change::DropBinding));
        for destination in
            self.bindings.from.get(name).into_iter().flatten().map(|(destination, _)| destination)
        {
            let from = told.remove_between(name, destination);
            batch.binding_drops.extend(from.into_iter().map(Change::DropBinding));
        }
    }

    fn refresh_binding(&mut self, key: BindingKey, batch: &mut Batch) {
        #[cfg(test)]
        {
            self.derived += 1;
        }
        self.contested.on_binding(&key);
        let wanted = match key.kind {
            DestinationKind::Queue => self.queue_binding(&key),
            DestinationKind::Exchange => self.exchange_binding(&key),
        };
        match wanted {
            Some(binding) if !self.published.bindings.contains(&key) => {
                batch.binding_puts.push(Change::PutBinding(binding.clone()));
                self.published.bindings.insert(key, binding);
            }
            Some(_) => {}
            None => {
                if let Some(binding) = self.published.bindings.remove(&key) {
                    batch.binding_drops.push(Change::DropBinding(binding));
                }
            }
        }
    }

    /// The binding of the life that counts, or of another that it merges with (R3): of its epoch, from an
    /// exchange that is there, made after its last deletion. Void ones of this node's queues are dropped from
    /// its map.
    fn queue_binding(&mut self, key: &BindingKey) -> Option<Binding> {
        let (source, name) = (key.source(), key.destination());
        let chosen = self.choose(&name, false).map(|(_, id)| id);
        let (deleted, gone) = (self.deleted(&source), self.is_gone(&source));
        let mut wanted = None;
        let mut void = Vec::new();
        for (&id, &home) in self.queues.lives.get(&name)? {
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
        self.exchanges.known.get(name).is_some_and(ExchangeName::is_deleted)
            && !self.exchanges.ballots.contains_key(name)
    }

    /// Messages can come from it or go to it.
    fn is_routed(&self, name: &ObjectName) -> bool {
        predeclared(name).is_some()
            || self.exchanges.known.get(name).is_some_and(|known| known.value.is_some())
    }

    /// The binding between exchanges as it was written last, made after the last deletion of both its ends. A
    /// void one of this node is unbound under its old stamp: it says no more than the deletion, so it beats
    /// nothing that came after.
    fn exchange_binding(&mut self, key: &BindingKey) -> Option<Binding> {
        let (source, name) = (key.source(), key.destination());
        let register = known_registers::exchange_binding_key(key);
        let latest = self.registers.latest(&register)?;
        let value = self.register_value(&register, latest)?;
        if latest.stamp.lamport <= self.deleted(&source).max(self.deleted(&name)) {
            // another map may hold the same write: this node unbinds what its own map holds, once
            if latest.stamp.node == self.own && self.holds_present(&register) {
                let void = known_registers::exchange_binding(key, latest.stamp, None);
                self.write(Op::Put(Record::Register(void)));
            }
            return None;
        }
        let binding = known_registers::exchange_binding_in(value)?;
        (self.is_routed(&source) && self.is_routed(&name)).then_some(binding)
    }

    fn holds_present(&self, key: &RegisterKey) -> bool {
        let own = self.maps[&self.own].records.get(&RecordKey::Register(key.clone()));
        matches!(own, Some(Record::Register(register)) if register.value.is_some())
    }
}

#[cfg(test)]
mod tests;
