//! From maps and verdicts to changes for the shards: derives again what is dirty, compares it with
//! `published_state`, and emits the difference. Bindings are derived in `bindings`.
//!
//! Invariants:
//! - A binding is published after both of its ends and withdrawn before them.
//! - A queue whose home is this node is never dropped at the shards while its record stands.
//! - An own proposal is not published to the own shards before it stands, so no message is ever stored in a
//!   queue that may be withdrawn.

use alloc::vec::Vec;

use leveret_model::QueueId;
use leveret_model::definition::{DestinationKind, ExchangeDefinition, ExchangeKind};
use leveret_model::directory::{Change, QueueRecord};

use super::choice::{self, Rank};
use super::indices::ExchangeName;
use super::known_registers::{self, Retyped};
use super::map::{Record, RecordKey};
use super::names::{BindingKey, ObjectName};
use super::proposal::{Ballot, Notice};
use super::register::{Latest, RegisterKey};
use super::state::Directory;

/// The changes of one refresh, by their place in the order.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) binding_drops: Vec<Change>,
    queue_drops: Vec<Change>,
    exchange_drops: Vec<Change>,
    renames: Vec<Change>,
    exchange_puts: Vec<Change>,
    queue_puts: Vec<Change>,
    new_masks: Vec<Change>,
    unmasks: Vec<Change>,
    /// After what takes their names: a shard may read its sockets in between.
    masks: Vec<Change>,
    /// After what takes their names too: who waits for one asks for the name again.
    withdrawals: Vec<Change>,
    pub(super) binding_puts: Vec<Change>,
}

impl Directory {
    /// Brings what is told up to date. Void bindings of this node's queues are dropped from its map on the way.
    pub(crate) fn refresh(&mut self) {
        loop {
            let mut batch = Batch::default();
            while let Some(name) = self.dirty.exchanges.pop_first() {
                self.refresh_exchange(&name, &mut batch);
            }
            while let Some(name) = self.dirty.queues.pop_first() {
                self.refresh_queue(&name, &mut batch);
            }
            self.refresh_bindings(&mut batch);
            self.emit(batch);
            if !self.is_dirty() {
                break;
            }
        }
    }

    fn emit(&mut self, batch: Batch) {
        for part in [
            batch.binding_drops,
            batch.queue_drops,
            batch.exchange_drops,
            batch.renames,
            batch.exchange_puts,
            batch.queue_puts,
            batch.new_masks,
            batch.unmasks,
            batch.masks,
            batch.withdrawals,
            batch.binding_puts,
        ] {
            self.output.changes.extend(part);
        }
    }

    fn refresh_exchange(&mut self, name: &ObjectName, batch: &mut Batch) {
        let was_gone = self.is_gone(name);
        let known = self.read_exchange(name);
        let (standing, deleted, value) =
            (known.written && known.value.is_some(), known.deleted, known.value.clone());
        if let Some(mut ballot) = self.exchanges.ballots.remove(name) {
            let mut notices = core::mem::take(&mut self.output.notices);
            ballot.count(self.own, standing, |node| self.standing(node).is_down(), &mut notices);
            self.output.notices = notices;
            if !ballot.is_empty() {
                self.exchanges.ballots.insert(name.clone(), ballot);
            }
        }
        // no 404 for what is there: the shards refuse publishes to it by its type
        let later = || ExchangeDefinition::new(name.vhost.clone(), name.name.clone(), ExchangeKind::Later);
        let value = value.or_else(|| known.not_understood.then(later));
        let old = self.exchanges.known.insert(name.clone(), known).unwrap_or_default();
        let told = self.published.exchanges.get(name);
        if told != value.as_ref() {
            let was = told.map(|told| told.kind);
            if was.is_some() {
                self.untell_bindings_at(name, batch);
                self.published.exchanges.remove(name);
                batch
                    .exchange_drops
                    .push(Change::DropExchange { vhost: name.vhost.clone(), name: name.name.clone() });
            }
            if let Some(exchange) = value {
                let is_known = |kind: ExchangeKind| kind != ExchangeKind::Later;
                if let Some(was) = was.filter(|was| *was != exchange.kind && old.deleted == deleted)
                    && is_known(was)
                    && is_known(exchange.kind)
                {
                    self.output.retyped.push(Retyped { name: name.clone(), was, is: exchange.kind });
                }
                self.published.exchanges.insert(name.clone(), exchange.clone());
                batch.exchange_puts.push(Change::PutExchange(exchange));
            }
            self.dirty_ends_of(name);
        } else if old.deleted != deleted || was_gone != self.is_gone(name) {
            self.dirty_ends_of(name);
        }
        self.vote_on_removals(name);
    }

    /// What the register of an exchange says over all maps.
    fn read_exchange(&self, name: &ObjectName) -> ExchangeName {
        let key = known_registers::exchange_key(name);
        let Some(latest) = self.registers.latest(&key) else { return ExchangeName::default() };
        let value = self.register_value(&key, latest).and_then(known_registers::exchange_in);
        let not_understood = latest.present && value.is_none();
        ExchangeName { value, deleted: latest.deleted, written: true, not_understood }
    }

    /// The bytes of a register's value; none if it is deleted.
    pub(super) fn register_value(&self, key: &RegisterKey, latest: Latest) -> Option<&[u8]> {
        match self.maps.get(&latest.holder)?.records.get(&RecordKey::Register(key.clone()))? {
            Record::Register(register) => register.value.as_deref(),
            _ => None,
        }
    }

    /// R2 for deletions: this node refuses while a queue of its own, or a register that it wrote, is bound to
    /// it.
    fn vote_on_removals(&mut self, name: &ObjectName) {
        let Some(removals) = self.exchanges.removals.get(name) else { return };
        if removals.is_empty() {
            self.exchanges.removals.remove(name);
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
            self.output.notices.push(if needed {
                Notice::Conflict { proposer, proposal, taken: true }
            } else {
                Notice::Agreed { proposer, proposal }
            });
        }
        self.exchanges.removals.insert(name.clone(), removals);
    }

    /// This node is the writer of a binding from the exchange.
    fn holds_binding_on(&self, source: &ObjectName) -> bool {
        let Some(destinations) = self.bindings.from.get(source) else { return false };
        let deleted = self.deleted(source);
        destinations.keys().any(|destination| match destination.0 {
            DestinationKind::Queue => self.queues.lives.get(&destination.1).is_some_and(|lives| {
                lives.iter().filter(|&(_, &home)| home == self.own).any(|(&id, _)| {
                    self.maps[&self.own]
                        .bindings_between(id, source, destination)
                        .any(|(_, record)| record.lamport() > deleted)
                })
            }),
            DestinationKind::Exchange => self.bindings.to_exchange.get(&destination.1).is_some_and(|keys| {
                BindingKey::between(keys, source, destination).any(|(_, register)| {
                    self.registers.latest(register).is_some_and(|latest| {
                        latest.stamp.node == self.own && latest.stamp.lamport > deleted && latest.present
                    })
                })
            }),
        })
    }

    /// The life of a queue name that counts. `with_own`: own proposals count as proposals.
    pub(super) fn choose(&self, name: &ObjectName, with_own: bool) -> Option<(Rank, QueueId)> {
        let lives = self.queues.lives.get(name)?;
        let voted = self.queues.ballots.get(name).and_then(Ballot::voted);
        choice::choose(lives.iter().filter_map(|(&id, &home)| {
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
        let lives = self.queues.lives.get(name).cloned().unwrap_or_default();
        let standing: Vec<QueueId> = lives
            .iter()
            .filter(|&(&id, &home)| self.queue_record(home, id).is_some_and(|(_, standing)| standing))
            .map(|(&id, _)| id)
            .collect();
        let taken = standing.iter().any(|id| !self.standing(lives[id]).is_down());
        if let Some(mut ballot) = self.queues.ballots.remove(name) {
            let mut notices = core::mem::take(&mut self.output.notices);
            ballot.count(self.own, taken, |node| self.standing(node).is_down(), &mut notices);
            self.output.notices = notices;
            if !ballot.is_empty() {
                self.queues.ballots.insert(name.clone(), ballot);
            }
        }
        self.contested.on_lives(name, standing.len());
        if lives.is_empty() {
            self.queues.lives.remove(name);
        }
        let chosen = self.choose(name, false);
        let told = self.published.names.get(name).cloned().unwrap_or_default();
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
            if wanted.is_none() && self.is_behind(*id) {
                // it may have moved to a map that is not read yet
                self.queues.postponed.insert(name.clone());
                continue;
            }
            if stood && wanted.is_some() {
                self.published.stood.insert(*id);
            }
            self.tell_queue(name, *id, wanted, batch);
        }
        self.dirty.destinations.insert((DestinationKind::Queue, name.clone()));
    }

    fn tell_queue(
        &mut self,
        name: &ObjectName,
        id: QueueId,
        wanted: Option<(QueueRecord, bool)>,
        batch: &mut Batch,
    ) {
        let known = self.published.queues.get(&id).cloned();
        let Some((record, masked)) = wanted else {
            // dropped, unless it lives on under another name (that name is dirty too)
            let renamed = known.is_some_and(|(old, _)| ObjectName::of_queue(&old) != *name)
                || self.lives_elsewhere(name, id);
            self.untell_name(name, id, batch);
            if !renamed && self.published.queues.remove(&id).is_some() {
                if self.published.stood.remove(&id) {
                    batch.queue_drops.push(Change::DropQueue { id });
                } else {
                    batch.withdrawals.push(Change::WithdrawQueue { id });
                }
            }
            return;
        };
        self.published.names.entry(name.clone()).or_default().insert(id);
        match known {
            None => {
                batch.queue_puts.push(Change::PutQueue(record.clone()));
                if masked {
                    batch.new_masks.push(Change::MaskQueue { id });
                }
            }
            Some((old, was_masked)) => {
                let old_name = ObjectName::of_queue(&old);
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
        self.published.queues.insert(id, (record, masked));
    }

    /// The name loses a life. With the last one a table drops its bindings: they are told anew if another
    /// comes.
    fn untell_name(&mut self, name: &ObjectName, id: QueueId, batch: &mut Batch) {
        let destination = (DestinationKind::Queue, name.clone());
        if let Some(ids) = self.published.names.get_mut(name) {
            ids.remove(&id);
            if ids.is_empty() {
                self.published.names.remove(name);
                let bindings = self.published.bindings.remove_to(&destination);
                batch.binding_drops.extend(bindings.into_iter().map(Change::DropBinding));
            }
        }
        self.dirty.destinations.insert(destination);
    }

    fn lives_elsewhere(&self, name: &ObjectName, id: QueueId) -> bool {
        let Some((old, _)) = self.published.queues.get(&id) else { return false };
        self.queue_record(old.home.node, id).is_some_and(|(record, _)| ObjectName::of_queue(record) != *name)
    }
}

/// The exchange of that name that every vhost has from the start; it is never a record.
pub(super) fn predeclared(name: &ObjectName) -> Option<ExchangeDefinition> {
    ExchangeDefinition::predeclared(&name.vhost, &name.name)
}

/// True for the names that only the broker gives (RabbitMQ: reserved prefix `amq.`).
pub(crate) fn is_reserved(name: &ObjectName) -> bool {
    name.name.starts_with("amq.") || predeclared(name).is_some()
}
