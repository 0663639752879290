//! What a name means in this node's view: the questions that commands ask the directory.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::definition::{DestinationKind, ExchangeDefinition};
use leveret_model::directory::QueueRecord;
use leveret_model::{Name, NodeId, QueueId, Ulid, limits};

use super::choice::Rank;
use super::effective::predeclared;
use super::known_registers;
use super::map::{Record, RecordKey, Version};
use super::names::{BindingKey, ObjectName};
use super::state::Directory;
use crate::membership::Standing;

/// What a name is in this node's view.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Lookup<T> {
    /// Nothing of that name.
    Nothing,
    /// Somebody proposes it, or a later version defined it in a way that this one cannot hold: nothing can be
    /// said or done about it now.
    Undecided,
    /// It is there.
    There(T),
}

/// A queue name, as commands need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueueLookup {
    /// The life that counts.
    pub(crate) record: QueueRecord,
    /// How its home stands.
    pub(crate) home: Standing,
}

impl Directory {
    /// What a queue name is.
    pub(crate) fn queue(&self, name: &ObjectName) -> Lookup<QueueLookup> {
        let Some((rank, id)) = self.choose(name, true) else { return Lookup::Nothing };
        let home = self.queues.lives[name][&id];
        match (rank, self.queue_record(home, id)) {
            (Rank::Proposed, _) | (_, None) => Lookup::Undecided,
            // it ended with its connection: the name is free at once, and nobody waits for the node
            (_, Some((record, _)))
                if record.definition.exclusive.is_some() && self.standing(home).is_down() =>
            {
                Lookup::Nothing
            }
            (_, Some((record, _))) => {
                Lookup::There(QueueLookup { record: record.clone(), home: self.standing(home) })
            }
        }
    }

    /// A queue of this node by its id.
    pub(crate) fn own_queue(&self, id: QueueId) -> Option<&QueueRecord> {
        self.queue_record(self.own, id).map(|(record, _)| record)
    }

    /// What an exchange name is.
    pub(crate) fn exchange(&self, name: &ObjectName) -> Lookup<ExchangeDefinition> {
        if let Some(exchange) = predeclared(name) {
            return Lookup::There(exchange);
        }
        let known = self.exchanges.known.get(name);
        if let Some(value) = known.and_then(|known| known.value.clone()) {
            return Lookup::There(value);
        }
        let voted = self.exchanges.ballots.get(name).is_some_and(|ballot| ballot.voted().is_some());
        if voted || known.is_some_and(|known| known.not_understood) {
            Lookup::Undecided
        } else {
            Lookup::Nothing
        }
    }

    /// What is routed by under an exchange name.
    pub(crate) fn routed_exchange(&self, name: &ObjectName) -> Option<ExchangeDefinition> {
        predeclared(name).or_else(|| self.exchanges.known.get(name)?.value.clone())
    }

    /// The exchange register of that name was written before.
    pub(crate) fn was_exchange(&self, name: &ObjectName) -> bool {
        self.exchanges.known.get(name).is_some_and(|known| known.written)
    }

    /// Lamport counter of the last deletion of an exchange.
    pub(crate) fn deleted(&self, name: &ObjectName) -> u64 {
        self.exchanges.known.get(name).map_or(0, |known| known.deleted)
    }

    /// Somebody that is not Down proposes to delete the exchange because nothing is bound to it.
    pub(crate) fn is_being_removed(&self, name: &ObjectName) -> bool {
        self.exchanges
            .removals
            .get(name)
            .is_some_and(|all| all.values().any(|(node, _)| !self.standing(*node).is_down()))
    }

    /// Bindings from this exchange that are routed by.
    pub(crate) fn bindings_from(&self, source: &ObjectName) -> usize {
        self.published.bindings.count_from(source)
    }

    /// Exchanges that lead to this one: they lose a binding when it goes.
    pub(crate) fn sources_bound_to(&self, name: &ObjectName) -> BTreeSet<ObjectName> {
        let destination = (DestinationKind::Exchange, name.clone());
        self.published.bindings.to(&destination).map(BindingKey::source).collect()
    }

    /// The binding is in the own map, and its exchange was not deleted since.
    pub(crate) fn has_queue_binding(&self, queue: QueueId, key: &BindingKey) -> bool {
        let key = RecordKey::Binding(queue, key.clone());
        let record = self.maps[&self.own].records.get(&key);
        record.is_some_and(|record| match &key {
            RecordKey::Binding(_, key) => record.lamport() > self.deleted(&key.source()),
            _ => false,
        })
    }

    /// Another life of the queue's name, whose home is not Down, has the binding.
    pub(crate) fn is_bound_in_another_life(&self, queue: QueueId, key: &BindingKey) -> bool {
        let deleted = self.deleted(&key.source());
        self.queues.lives.get(&key.destination()).is_some_and(|lives| {
            lives.iter().filter(|&(&id, &home)| id != queue && !self.standing(home).is_down()).any(
                |(&id, home)| {
                    let record = self.maps[home].records.get(&RecordKey::Binding(id, key.clone()));
                    record.is_some_and(|record| record.lamport() > deleted)
                },
            )
        })
    }

    /// Another life of the name stands, whose home is not Down.
    pub(crate) fn has_rival(&self, name: &ObjectName, queue: QueueId) -> bool {
        self.queues.lives.get(name).is_some_and(|lives| {
            lives.iter().any(|(&id, &home)| {
                let stands = self.queue_record(home, id).is_some_and(|(_, standing)| standing);
                id != queue && stands && !self.standing(home).is_down()
            })
        })
    }

    /// Somebody wrote the register of this binding between exchanges.
    pub(crate) fn was_exchange_bound(&self, key: &BindingKey) -> bool {
        self.registers.latest(&known_registers::exchange_binding_key(key)).is_some()
    }

    /// A standing life of the name whose home is Down, though something else may serve the name.
    pub(crate) fn masked(&self, name: &ObjectName) -> Option<&QueueRecord> {
        self.queues.lives.get(name)?.iter().find_map(|(&id, &home)| match self.queue_record(home, id)? {
            (record, true) if self.standing(home).is_down() => Some(record),
            _ => None,
        })
    }

    /// What a map rests on, beside what was said before.
    pub(crate) fn rest_on(&mut self, node: NodeId, versions: Vec<(NodeId, Version)>) {
        let own = self.own;
        let rests_on = &mut self.maps.entry(node).or_default().rests_on;
        for (other, version) in versions.into_iter().filter(|(other, _)| *other != own && *other != node) {
            let known = rests_on.entry(other).or_default();
            *known = (*known).max(version);
        }
    }

    /// What a map rests on.
    pub(crate) fn rests_on(&self, node: NodeId) -> Vec<(NodeId, Version)> {
        if node == self.own {
            return self.versions().into_iter().filter(|(other, _)| *other != node).collect();
        }
        self.maps.get(&node).map_or_else(Vec::new, |map| map.rests_on.iter().map(|(&n, &v)| (n, v)).collect())
    }

    /// Queues that live at a node: how many, and the names of the first ones.
    pub(crate) fn queues_at(&self, node: NodeId) -> (usize, Vec<(Name, Name)>) {
        let mut names = Vec::new();
        let records = self.maps.get(&node).into_iter().flat_map(|map| map.records.values());
        let queues = records.filter_map(|record| match record {
            Record::Queue { record, standing: true } => Some(record),
            _ => None,
        });
        let count = queues.inspect(|queue| {
            if names.len() < limits::NAMES_SAID {
                names.push((queue.definition.vhost.clone(), queue.definition.name.clone()));
            }
        });
        (count.count(), names)
    }

    /// Bindings, over all maps.
    #[cfg(test)]
    pub(crate) const fn binding_count(&self) -> usize {
        self.bindings.count
    }

    /// Refusals that stand against proposals of `proposer`.
    pub(crate) fn refused(&self, proposer: NodeId) -> Vec<(Ulid, bool)> {
        let ballots = self.queues.ballots.values().chain(self.exchanges.ballots.values());
        let mut ids: Vec<(Ulid, bool)> = ballots.flat_map(|ballot| ballot.refused(proposer)).collect();
        for removals in self.exchanges.removals.values() {
            ids.extend(removals.iter().filter(|(_, at)| **at == (proposer, true)).map(|(&id, _)| (id, true)));
        }
        ids
    }

    /// A queue in the map of its home, and whether it stands.
    pub(super) fn queue_record(&self, node: NodeId, id: QueueId) -> Option<(&QueueRecord, bool)> {
        match self.maps.get(&node)?.records.get(&RecordKey::Queue(id))? {
            Record::Queue { record, standing } => Some((record, *standing)),
            _ => None,
        }
    }
}
