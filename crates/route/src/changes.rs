//! What changes do to the table, in any state, and which routes they can have altered.
//!
//! Each deed that can alter a route takes a new generation first, then marks with it every exchange that leads there, and only
//! then removes anything: a link that goes has passed the mark on.

use alloc::boxed::Box;

use leveret_model::definition::{Binding, DestinationKind, ExchangeDefinition};
use leveret_model::directory::{Change, QueueRecord};
use leveret_model::{Address, Name, QueueId};

use crate::bindings::{Bound, Target};
use crate::exchange::{Index, Node};
use crate::hashed::fingerprint;
use crate::queues::Label;
use crate::slots::Slot;
use crate::table::{Table, is_builtin};

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Nothing: it was so already, or it speaks of what is not there.
    Unchanged,
    /// Something is there that was not.
    Added,
    /// Something is otherwise than it was.
    Updated,
    /// A queue has another name: it lost a merge.
    Renamed {
        /// The name before.
        from: Name,
    },
    /// Something is gone, and the bindings at it.
    Removed,
}

impl Table {
    /// Takes a change, in any state.
    ///
    /// A record in a vhost that is not known makes the vhost. The exchanges that every vhost has cannot be changed, and
    /// nothing can be bound from or to the default exchange. How many queues and bindings there may be is checked before,
    /// at the declare and the bind.
    pub fn apply(&mut self, change: &Change) -> Applied {
        match change {
            Change::PutExchange(exchange) => self.put_exchange(exchange),
            Change::DropExchange { vhost, name } => self.drop_exchange(vhost, name),
            Change::PutQueue(record) => self.put_queue(record),
            Change::DropQueue { id } | Change::WithdrawQueue { id } => self.drop_queue(*id),
            Change::MaskQueue { id } => self.mask_queue(*id, true),
            Change::UnmaskQueue { id } => self.mask_queue(*id, false),
            Change::PutBinding(binding) => self.put_binding(binding),
            Change::DropBinding(binding) => self.drop_binding(binding),
            Change::PutPolicy(policy) => self.put_policy(policy),
            Change::DropPolicy { vhost, name } => self.drop_policy(vhost, name),
        }
    }

    fn put_exchange(&mut self, exchange: &ExchangeDefinition) -> Applied {
        if is_builtin(&exchange.name) {
            return Applied::Unchanged;
        }
        let vhost = self.enter_vhost(&exchange.vhost);
        let slot = self.enter_exchange(vhost, &exchange.name);
        self.define(slot, exchange)
    }

    /// Gives an exchange its definition. A merge can change its kind: then its bindings are indexed anew.
    pub(crate) fn define(&mut self, slot: Slot<Node>, exchange: &ExchangeDefinition) -> Applied {
        let node = &mut self.exchanges[slot];
        let old = node.definition.as_deref();
        if old == Some(exchange) {
            return Applied::Unchanged;
        }
        let (was_there, same_kind) = (old.is_some(), old.is_some_and(|old| old.kind == exchange.kind));
        node.definition = Some(Box::new(exchange.clone()));
        if !same_kind {
            let from = core::mem::take(&mut node.from);
            node.index = Index::new(exchange.kind, &self.state);
            for binding in from {
                self.bindings.enter_source(&mut node.from, binding);
                node.index.insert(&mut self.bindings, binding);
            }
        }
        self.link_alternate(slot);
        self.generation += 1;
        self.touch(slot);
        if was_there { Applied::Updated } else { Applied::Added }
    }

    /// Links an exchange with its alternate, by its declaration and its policy. True if it is another one now.
    pub(crate) fn link_alternate(&mut self, slot: Slot<Node>) -> bool {
        let (vhost, before) = (self.exchanges[slot].vhost, self.exchanges[slot].alternate);
        // an empty name is no exchange (RabbitMQ: it is accepted, and routes nothing)
        let alternate = self.alternate_of(slot).filter(|name| !name.is_empty());
        let alternate = alternate.map(|name| self.enter_exchange(vhost, &name));
        self.set_alternate(slot, alternate);
        before != alternate
    }

    /// Links an exchange with its alternate, which may be a name without a definition so far.
    fn set_alternate(&mut self, slot: Slot<Node>, alternate: Option<Slot<Node>>) {
        let old = core::mem::replace(&mut self.exchanges[slot].alternate, alternate);
        if old == alternate {
            return;
        }
        if let Some(alternate) = alternate {
            self.exchanges[alternate].alternate_of.push(slot);
        }
        if let Some(old) = old {
            self.exchanges[old].alternate_of.retain(|other| *other != slot);
            self.release_exchange(old);
        }
    }

    fn drop_exchange(&mut self, vhost: &Name, name: &Name) -> Applied {
        let slot = self.vhost(vhost).and_then(|vhost| self.find_exchange(vhost, name.as_bytes()));
        let Some(slot) = slot.filter(|_| !is_builtin(name)) else { return Applied::Unchanged };
        let node = &self.exchanges[slot];
        if node.definition.is_none() && node.from.is_empty() && node.to.is_empty() {
            // a name that only an alternate speaks of
            return Applied::Unchanged;
        }
        self.generation += 1;
        self.touch(slot);
        // a name without a definition goes with its last binding, inside the loop
        while let Some(binding) =
            self.exchanges.get(slot).and_then(|node| node.from.last().or(node.to.last())).copied()
        {
            self.unlink(binding);
        }
        if self.exchanges.get(slot).is_some() {
            self.exchanges[slot].definition = None;
            self.exchanges[slot].index = Index::Unknown;
            // its own alternate can be itself, and then the last that spoke of it
            self.set_alternate(slot, None);
            if self.exchanges.get(slot).is_some() {
                self.release_exchange(slot);
            }
            // another's alternate may keep the name, but nobody is to take it for the exchange that it was
            if self.exchanges.get(slot).is_some() {
                self.exchanges[slot].generation = 0;
            }
        }
        Applied::Removed
    }

    fn put_queue(&mut self, record: &QueueRecord) -> Applied {
        let vhost = self.enter_vhost(&record.definition.vhost);
        let address = Address::seen_from(self.own, record.home);
        let Some(slot) = self.queues.find(record.id) else {
            let label = self.queues.label(vhost, &record.definition.name);
            self.queues.insert(record.clone(), address, label);
            self.generation += 1;
            self.touch_label(label);
            return Applied::Added;
        };
        let entry = &mut self.queues.entries[slot];
        if entry.record == *record {
            return Applied::Unchanged;
        }
        let label = entry.label;
        let (was, is) = (&entry.record.definition, &record.definition);
        let renamed = was.name != is.name || was.vhost != is.vhost;
        let old = core::mem::replace(&mut entry.record, record.clone());
        entry.address = address;
        self.generation += 1;
        self.touch_label(label);
        if !renamed {
            return Applied::Updated;
        }
        // the bindings stay with the old name: the merge's winner has it, now or by the next change
        self.queues.detach(slot);
        let new_label = self.queues.label(vhost, &record.definition.name);
        self.queues.entries[slot].label = new_label;
        self.queues.attach(slot);
        self.touch_label(new_label);
        self.queues.release_label(label);
        Applied::Renamed { from: old.definition.name.clone() }
    }

    fn drop_queue(&mut self, id: QueueId) -> Applied {
        let Some(slot) = self.queues.find(id) else { return Applied::Unchanged };
        let label = self.queues.entries[slot].label;
        self.generation += 1;
        self.touch_label(label);
        self.queues.detach(slot);
        self.queues.remove(slot);
        if self.queues.labels[label].first.is_none() {
            // the label goes with its last binding, inside the loop, or below if it had none
            while let Some(binding) = self.queues.labels.get(label).and_then(|label| label.to.last()).copied()
            {
                self.unlink(binding);
            }
            self.queues.release_label(label);
        }
        Applied::Removed
    }

    fn mask_queue(&mut self, id: QueueId, masked: bool) -> Applied {
        let Some(slot) = self.queues.find(id).filter(|slot| self.queues.entries[*slot].masked != masked)
        else {
            return Applied::Unchanged;
        };
        self.queues.detach(slot);
        self.queues.entries[slot].masked = masked;
        self.queues.attach(slot);
        self.generation += 1;
        self.touch_label(self.queues.entries[slot].label);
        Applied::Updated
    }

    fn put_binding(&mut self, binding: &Binding) -> Applied {
        if touches_default_exchange(binding) {
            return Applied::Unchanged;
        }
        if self.find_binding(binding).is_some() {
            return Applied::Unchanged;
        }
        let vhost = self.enter_vhost(&binding.vhost);
        let source = self.enter_exchange(vhost, &binding.source);
        let target = match binding.kind {
            DestinationKind::Queue => Target::Queue(self.queues.label(vhost, &binding.destination)),
            DestinationKind::Exchange => Target::Exchange(self.enter_exchange(vhost, &binding.destination)),
        };
        let (key, arguments) = (binding.key.clone(), binding.arguments.clone());
        let slot = self.bindings.insert(source, target, key, arguments, fingerprint(binding));
        let node = &mut self.exchanges[source];
        self.bindings.enter_source(&mut node.from, slot);
        node.index.insert(&mut self.bindings, slot);
        match target {
            Target::Queue(label) => self.bindings.enter_target(&mut self.queues.labels[label].to, slot),
            Target::Exchange(node) => self.bindings.enter_target(&mut self.exchanges[node].to, slot),
        }
        self.generation += 1;
        self.touch(source);
        Applied::Added
    }

    fn drop_binding(&mut self, binding: &Binding) -> Applied {
        let Some(slot) = self.find_binding(binding) else { return Applied::Unchanged };
        self.generation += 1;
        self.touch(self.bindings[slot].source);
        self.unlink(slot);
        Applied::Removed
    }

    /// Takes a binding out of every list, and names that only it spoke of with it.
    fn unlink(&mut self, slot: Slot<Bound>) {
        let (source, target) = (self.bindings[slot].source, self.bindings[slot].target);
        let node = &mut self.exchanges[source];
        node.index.remove(&mut self.bindings, slot);
        self.bindings.leave_source(&mut node.from, slot);
        match target {
            Target::Queue(label) => self.bindings.leave_target(&mut self.queues.labels[label].to, slot),
            Target::Exchange(node) => self.bindings.leave_target(&mut self.exchanges[node].to, slot),
        }
        self.bindings.remove(slot);
        self.release_exchange(source);
        match target {
            Target::Queue(label) => self.queues.release_label(label),
            Target::Exchange(node) => self.release_exchange(node),
        }
    }
}

/// Generations: `touch` marks an exchange, and all that lead to it, with the table's generation.
impl Table {
    pub(crate) fn touch(&mut self, slot: Slot<Node>) {
        let generation = self.generation;
        if self.exchanges[slot].generation == generation {
            return;
        }
        let mut upstream = self.walk_list.take();
        upstream.clear();
        self.exchanges[slot].generation = generation;
        upstream.push(slot);
        while let Some(slot) = upstream.pop() {
            for at in 0..self.exchanges[slot].alternate_of.len() {
                let source = self.exchanges[slot].alternate_of[at];
                if self.exchanges[source].generation != generation {
                    self.exchanges[source].generation = generation;
                    upstream.push(source);
                }
            }
            for at in 0..self.exchanges[slot].to.len() {
                let source = self.bindings[self.exchanges[slot].to[at]].source;
                if self.exchanges[source].generation != generation {
                    self.exchanges[source].generation = generation;
                    upstream.push(source);
                }
            }
        }
        self.walk_list.set(upstream);
    }

    /// The same for all that lead to a queue's name.
    fn touch_label(&mut self, label: Slot<Label>) {
        let vhost = self.queues.labels[label].vhost;
        self.touch(self.default_exchange(vhost));
        for at in 0..self.queues.labels[label].to.len() {
            self.touch(self.bindings[self.queues.labels[label].to[at]].source);
        }
    }
}

/// Nothing is bound from or to the default exchange (RabbitMQ: 403).
fn touches_default_exchange(binding: &Binding) -> bool {
    binding.source.is_empty() || (binding.kind == DestinationKind::Exchange && binding.destination.is_empty())
}
