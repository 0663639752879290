//! From maps and verdicts to changes for the shards: derive anew what is dirty, compare with what was told, emit the
//! difference.
//!
//! Invariants: bindings come after both their ends and go before them; a queue that this node is home of is never
//! dropped at the shards while its record stands; an own proposal is not told to the own shards before it stands, so no
//! message is ever stored in a queue that may be withdrawn.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::definition::{Binding, DestinationKind, Exchange};
use leveret_model::directory::{Change, QueueRecord};
use leveret_model::{NodeId, QueueId};

use super::map::{BindingKey, Dropped, ObjectName, Op, Record, RecordKey, Stamp};
use super::mask::{self, Rank};
use super::proposal::Notice;
use super::register::{self, ExchangeRegister};
use super::{Destination, Directory, ExchangeName};

/// What the shards of this node were told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) exchanges: BTreeMap<ObjectName, Exchange>,
    /// Each queue, and whether it is masked.
    pub(crate) queues: BTreeMap<QueueId, (QueueRecord, bool)>,
    /// Queues that were more than proposals.
    stood: BTreeSet<QueueId>,
    names: BTreeMap<ObjectName, BTreeSet<QueueId>>,
    pub(crate) bindings: BTreeMap<Destination, BTreeMap<BindingKey, Binding>>,
}

impl Told {
    /// Bindings between two ends that are routed by.
    pub(crate) fn bindings_between(&self, source: &ObjectName, destination: &Destination) -> usize {
        self.bindings.get(destination).map_or(0, |bindings| {
            bindings.keys().filter(|key| key.source == source.name && key.vhost == source.vhost).count()
        })
    }
}

/// The changes of one refresh, by their place in the order.
#[derive(Default)]
struct Batch {
    binding_drops: Vec<Change>,
    queue_drops: Vec<Change>,
    exchange_drops: Vec<Change>,
    masks: Vec<Change>,
    renames: Vec<Change>,
    exchange_puts: Vec<Change>,
    queue_puts: Vec<Change>,
    new_masks: Vec<Change>,
    unmasks: Vec<Change>,
    binding_puts: Vec<Change>,
}

impl Directory {
    /// Brings what is told up to date. Void bindings of this node's queues are dropped from its map on the way.
    pub(crate) fn refresh(&mut self) {
        loop {
            let mut batch = Batch::default();
            while let Some(name) = self.dirty_exchanges.pop_first() {
                self.refresh_exchange(&name, &mut batch);
            }
            while let Some(name) = self.dirty_queues.pop_first() {
                self.refresh_queue(&name, &mut batch);
            }
            while let Some(destination) = self.dirty_destinations.pop_first() {
                self.refresh_bindings(&destination, &mut batch);
            }
            self.emit(batch);
            if self.dirty_exchanges.is_empty()
                && self.dirty_queues.is_empty()
                && self.dirty_destinations.is_empty()
            {
                break;
            }
        }
    }

    fn emit(&mut self, batch: Batch) {
        for part in [
            batch.binding_drops,
            batch.queue_drops,
            batch.exchange_drops,
            batch.masks,
            batch.renames,
            batch.exchange_puts,
            batch.queue_puts,
            batch.new_masks,
            batch.unmasks,
            batch.binding_puts,
        ] {
            self.changes.extend(part);
        }
    }

    fn refresh_exchange(&mut self, name: &ObjectName, batch: &mut Batch) {
        let register = ExchangeRegister::read(&self.maps, name);
        let standing = register.value.is_some();
        let value = register.value;
        if let Some(mut ballot) = self.exchange_ballots.remove(name) {
            let mut notices = core::mem::take(&mut self.notices);
            ballot.count(self.own, standing, |node| self.standing(node).is_down(), &mut notices);
            self.notices = notices;
            if !ballot.is_empty() {
                self.exchange_ballots.insert(name.clone(), ballot);
            }
        }
        let written = register.stamp.is_some();
        let known = ExchangeName { value: value.clone(), deleted: register.deleted, written };
        let old = self.exchanges.insert(name.clone(), known).unwrap_or_default();
        let told = self.told.exchanges.get(name);
        if told != value.as_ref() {
            if told.is_some() {
                self.untell_bindings_at(name, batch);
                self.told.exchanges.remove(name);
                batch
                    .exchange_drops
                    .push(Change::DropExchange { vhost: name.vhost.clone(), name: name.name.clone() });
            }
            if let Some(exchange) = value {
                self.told.exchanges.insert(name.clone(), exchange.clone());
                batch.exchange_puts.push(Change::PutExchange(exchange));
            }
            self.dirty_ends_of(name);
        } else if old.deleted != register.deleted {
            self.dirty_ends_of(name);
        }
        self.vote_on_removals(name);
    }

    /// Everything that is bound from or to the exchange is looked at again.
    fn dirty_ends_of(&mut self, name: &ObjectName) {
        if let Some(destinations) = self.sources.get(name) {
            self.dirty_destinations.extend(destinations.keys().cloned());
        }
        self.dirty_destinations.insert((DestinationKind::Exchange, name.clone()));
    }

    /// Drops all told bindings from and to an exchange that goes or changes; they are put again if they still hold.
    fn untell_bindings_at(&mut self, name: &ObjectName, batch: &mut Batch) {
        let own = (DestinationKind::Exchange, name.clone());
        let others = self.sources.get(name).into_iter().flat_map(BTreeMap::keys);
        for destination in others.chain([&own]) {
            let Some(bindings) = self.told.bindings.get_mut(destination) else { continue };
            bindings.retain(|key, binding| {
                let keep = *destination != own && key.source() != *name;
                if !keep {
                    batch.binding_drops.push(Change::DropBinding(binding.clone()));
                }
                keep
            });
        }
    }

    /// R2 for deletions: this node refuses while a queue of its own, or a register that it wrote, is bound to it.
    fn vote_on_removals(&mut self, name: &ObjectName) {
        let Some(removals) = self.removals.get(name) else { return };
        if removals.is_empty() {
            self.removals.remove(name);
            return;
        }
        let needed = self.holds_binding_on(name);
        let mut removals = removals.clone();
        for (&proposal, (proposer, refused)) in &mut removals {
            if *proposer == self.own || *refused == needed {
                continue;
            }
            *refused = needed;
            let proposer = *proposer;
            self.notices.push(if needed {
                Notice::Conflict { proposer, proposal }
            } else {
                Notice::Agreed { proposer, proposal }
            });
        }
        self.removals.insert(name.clone(), removals);
    }

    /// This node is the writer of a binding from the exchange.
    fn holds_binding_on(&self, source: &ObjectName) -> bool {
        let Some(destinations) = self.sources.get(source) else { return false };
        let deleted = self.deleted(source);
        destinations.keys().any(|destination| match destination.0 {
            DestinationKind::Queue => self.queues.get(&destination.1).is_some_and(|lives| {
                lives.iter().filter(|&(_, &home)| home == self.own).any(|(&id, _)| {
                    self.maps[&self.own]
                        .bindings_of(id)
                        .any(|(key, record)| key.source() == *source && record.lamport() > deleted)
                })
            }),
            DestinationKind::Exchange => self.exchange_bindings.get(&destination.1).is_some_and(|keys| {
                keys.iter().filter(|(key, _)| key.source() == *source).any(|(key, _)| {
                    self.latest_exchange_binding(key).is_some_and(|(stamp, binding)| {
                        stamp.node == self.own && stamp.lamport > deleted && binding.is_some()
                    })
                })
            }),
        })
    }

    /// The life of a queue name that counts. `with_own`: own proposals count as proposals.
    pub(super) fn choose(&self, name: &ObjectName, with_own: bool) -> Option<(Rank, QueueId)> {
        let lives = self.queues.get(name)?;
        let voted = self.queue_ballots.get(name).and_then(super::proposal::Ballot::voted);
        mask::choose(lives.iter().filter_map(|(&id, &home)| {
            let (_, standing) = self.queue_record(home, id)?;
            if standing {
                Some((Rank::of(self.standing(home)), id))
            } else {
                (voted == Some((id.ulid, home)) && (with_own || home != self.own))
                    .then_some((Rank::Proposed, id))
            }
        }))
    }

    fn refresh_queue(&mut self, name: &ObjectName, batch: &mut Batch) {
        let lives = self.queues.get(name).cloned().unwrap_or_default();
        let standing: Vec<QueueId> = lives
            .iter()
            .filter(|&(&id, &home)| self.queue_record(home, id).is_some_and(|(_, standing)| standing))
            .map(|(&id, _)| id)
            .collect();
        let taken = standing.iter().any(|id| !self.standing(lives[id]).is_down());
        if let Some(mut ballot) = self.queue_ballots.remove(name) {
            let mut notices = core::mem::take(&mut self.notices);
            ballot.count(self.own, taken, |node| self.standing(node).is_down(), &mut notices);
            self.notices = notices;
            if !ballot.is_empty() {
                self.queue_ballots.insert(name.clone(), ballot);
            }
        }
        if standing.len() > 1 {
            self.contested.insert(name.clone());
        } else {
            self.contested.remove(name);
        }
        if lives.is_empty() {
            self.queues.remove(name);
        }
        let chosen = self.choose(name, false);
        let told = self.told.names.get(name).cloned().unwrap_or_default();
        for id in told.iter().chain(lives.keys().filter(|id| !told.contains(id))) {
            let mut stood = false;
            let wanted = lives.get(id).and_then(|&home| {
                let (record, stands) = self.queue_record(home, *id)?;
                stood |= stands;
                match chosen {
                    Some((rank, life)) if life == *id => Some((record.clone(), rank == Rank::Masked)),
                    // a life that lost its name for now keeps its contents
                    _ if stands && (told.contains(id) || home == self.own) => Some((record.clone(), true)),
                    _ => None,
                }
            });
            if stood && wanted.is_some() {
                self.told.stood.insert(*id);
            }
            self.tell_queue(name, *id, wanted, batch);
        }
        self.dirty_destinations.insert((DestinationKind::Queue, name.clone()));
    }

    fn tell_queue(
        &mut self,
        name: &ObjectName,
        id: QueueId,
        wanted: Option<(QueueRecord, bool)>,
        batch: &mut Batch,
    ) {
        let known = self.told.queues.get(&id).cloned();
        let Some((record, masked)) = wanted else {
            // dropped, unless it lives on under another name (that name is dirty too)
            let renamed = known.is_some_and(|(old, _)| ObjectName::new(&old.vhost, &old.name) != *name)
                || self.lives_elsewhere(name, id);
            self.untell_name(name, id, batch);
            if !renamed && self.told.queues.remove(&id).is_some() {
                if !self.told.stood.remove(&id) {
                    // withdrawn, not deleted: what is on its way there is not confirmed
                    batch.queue_drops.push(Change::MaskQueue { id });
                }
                batch.queue_drops.push(Change::DropQueue { id });
            }
            return;
        };
        self.told.names.entry(name.clone()).or_default().insert(id);
        match known {
            None => {
                batch.queue_puts.push(Change::PutQueue(record.clone()));
                if masked {
                    batch.new_masks.push(Change::MaskQueue { id });
                }
            }
            Some((old, was_masked)) => {
                let old_name = ObjectName::new(&old.vhost, &old.name);
                if old != record {
                    batch.renames.push(Change::PutQueue(record.clone()));
                }
                if old_name != *name {
                    self.untell_name(&old_name, id, batch);
                }
                if masked && !was_masked {
                    batch.masks.push(Change::MaskQueue { id });
                } else if was_masked && !masked {
                    batch.unmasks.push(Change::UnmaskQueue { id });
                }
            }
        }
        self.told.queues.insert(id, (record, masked));
    }

    /// The name loses a life. Its bindings are told anew after it: a table drops them with the last life of a name.
    fn untell_name(&mut self, name: &ObjectName, id: QueueId, batch: &mut Batch) {
        let destination = (DestinationKind::Queue, name.clone());
        if let Some(bindings) = self.told.bindings.remove(&destination) {
            batch.binding_drops.extend(bindings.into_values().map(Change::DropBinding));
        }
        self.dirty_destinations.insert(destination);
        if let Some(ids) = self.told.names.get_mut(name) {
            ids.remove(&id);
            if ids.is_empty() {
                self.told.names.remove(name);
            }
        }
    }

    fn lives_elsewhere(&self, name: &ObjectName, id: QueueId) -> bool {
        let Some((old, _)) = self.told.queues.get(&id) else { return false };
        self.queue_record(old.home.node, id)
            .is_some_and(|(record, _)| ObjectName::new(&record.vhost, &record.name) != *name)
    }

    fn refresh_bindings(&mut self, destination: &Destination, batch: &mut Batch) {
        let wanted = match destination.0 {
            DestinationKind::Queue => self.queue_bindings(&destination.1),
            DestinationKind::Exchange => self.wanted_exchange_bindings(&destination.1),
        };
        let told = self.told.bindings.remove(destination).unwrap_or_default();
        for (key, binding) in &told {
            if !wanted.contains_key(key) {
                batch.binding_drops.push(Change::DropBinding(binding.clone()));
            }
        }
        for (key, binding) in &wanted {
            if !told.contains_key(key) {
                batch.binding_puts.push(Change::PutBinding(binding.clone()));
            }
        }
        if !wanted.is_empty() {
            self.told.bindings.insert(destination.clone(), wanted);
        }
    }

    /// The bindings of the life that counts: of its epoch, from exchanges that are there, made after their last deletion.
    fn queue_bindings(&mut self, name: &ObjectName) -> BTreeMap<BindingKey, Binding> {
        let mut wanted = BTreeMap::new();
        let chosen = self.choose(name, false).map(|(_, id)| id);
        let Some(lives) = self.queues.get(name) else { return wanted };
        let mut void = Vec::new();
        for (&id, &home) in lives {
            let epoch = self.queue_record(home, id).map_or(0, |(record, _)| record.epoch);
            for (key, record) in self.maps[&home].bindings_of(id) {
                let Record::Binding { epoch: bound_in, lamport, binding, .. } = record else { continue };
                let source = key.source();
                if *lamport <= self.deleted(&source) || self.is_gone(&source) {
                    if home == self.own {
                        void.push(Dropped::Binding(id, binding.clone().into()));
                    }
                } else if chosen == Some(id) && *bound_in == epoch && self.routed_exchange(&source).is_some()
                {
                    wanted.insert(key.clone(), binding.clone());
                }
            }
        }
        for dropped in void {
            self.write(Op::Drop(dropped));
        }
        wanted
    }

    /// The exchange was there, was deleted, and nobody proposes it anew.
    fn is_gone(&self, name: &ObjectName) -> bool {
        self.exchanges.get(name).is_some_and(|known| known.value.is_none() && known.written)
            && !self.exchange_ballots.contains_key(name)
    }

    /// The last write of a binding between exchanges, and the binding unless that unbound it.
    pub(super) fn latest_exchange_binding(&self, key: &BindingKey) -> Option<(Stamp, Option<&Binding>)> {
        let writers = self.exchange_bindings.get(&key.destination())?.get(key)?;
        writers
            .iter()
            .filter_map(|node: &NodeId| {
                match self.maps.get(node)?.records.get(&RecordKey::ExchangeBinding(key.clone()))? {
                    Record::ExchangeBinding { binding, stamp, present } => {
                        Some((*stamp, present.then_some(binding)))
                    }
                    _ => None,
                }
            })
            .max_by_key(|(stamp, _)| *stamp)
    }

    fn wanted_exchange_bindings(&self, name: &ObjectName) -> BTreeMap<BindingKey, Binding> {
        let mut wanted = BTreeMap::new();
        let Some(keys) = self.exchange_bindings.get(name) else { return wanted };
        if self.routed_exchange(name).is_none() {
            return wanted;
        }
        for key in keys.keys() {
            let source = key.source();
            let deleted = self.deleted(&source).max(self.deleted(name));
            if let Some((stamp, Some(binding))) = self.latest_exchange_binding(key)
                && stamp.lamport > deleted
                && self.routed_exchange(&source).is_some()
            {
                wanted.insert(key.clone(), binding.clone());
            }
        }
        wanted
    }
}

/// True for the names that only the broker gives (RabbitMQ: reserved prefix `amq.`).
pub(crate) fn is_reserved(name: &ObjectName) -> bool {
    name.name.starts_with("amq.") || register::predeclared(name).is_some()
}
