//! Indices beside the maps: names, bindings by their ends, and what is to be derived again. With them no input
//! walks a whole map.

use alloc::collections::{BTreeMap, BTreeSet};

use leveret_model::definition::ExchangeDefinition;
use leveret_model::{NodeId, QueueId, Ulid};

use super::names::{BindingKey, Destination, ObjectName};
use super::proposal::Ballot;
use super::register::RegisterKey;

/// Queues by name, over all maps.
#[derive(Debug, Default)]
pub(super) struct QueueNames {
    /// Lives of each name, proposals too, and whose map has them.
    pub(super) lives: BTreeMap<ObjectName, BTreeMap<QueueId, NodeId>>,
    pub(super) ballots: BTreeMap<ObjectName, Ballot>,
    pub(super) count: usize,
    /// The highest epoch of each queue that has moved, while any map has it.
    pub(super) epochs: BTreeMap<QueueId, u64>,
    /// Names with lives that are gone from a map that rests on others which are not read yet.
    pub(super) postponed: BTreeSet<ObjectName>,
    /// Queues of this node that are about to move.
    pub(super) frozen: BTreeSet<QueueId>,
}

/// What an exchange name is, kept from refresh to refresh.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ExchangeName {
    /// What is routed by. A proposal is not: its vote reserves the name, its register makes it visible.
    pub(super) value: Option<ExchangeDefinition>,
    /// The register's last deletion.
    pub(super) deleted: u64,
    pub(super) written: bool,
    /// It is there, but a later version defined it in a way that this one cannot hold: nothing is said or
    /// done about it.
    pub(super) not_understood: bool,
}

impl ExchangeName {
    /// It was there and was deleted.
    pub(super) const fn is_deleted(&self) -> bool {
        self.written && self.value.is_none() && !self.not_understood
    }
}

/// Proposals to delete one exchange: the proposer of each, and whether this node refused.
pub(super) type Removals = BTreeMap<Ulid, (NodeId, bool)>;

/// Exchanges by name.
#[derive(Debug, Default)]
pub(super) struct ExchangeNames {
    pub(super) known: BTreeMap<ObjectName, ExchangeName>,
    pub(super) ballots: BTreeMap<ObjectName, Ballot>,
    pub(super) removals: BTreeMap<ObjectName, Removals>,
}

/// Bindings by their ends, over all maps.
#[derive(Debug, Default)]
pub(super) struct BindingEnds {
    /// How many bindings from each exchange lead where.
    pub(super) from: BTreeMap<ObjectName, BTreeMap<Destination, u32>>,
    /// Registers of bindings to each exchange.
    pub(super) to_exchange: BTreeMap<ObjectName, BTreeMap<BindingKey, RegisterKey>>,
    /// Bindings to queues, and registers of bindings to exchanges that stand.
    pub(super) count: usize,
}

impl BindingEnds {
    /// A binding between these ends is there now, or no longer.
    pub(super) fn count(&mut self, source: &ObjectName, destination: &Destination, add: bool) {
        let counts = self.from.entry(source.clone()).or_default();
        let count = counts.entry(destination.clone()).or_default();
        if add {
            *count += 1;
            self.count += 1;
            return;
        }
        *count -= 1;
        self.count -= 1;
        if *count == 0 {
            counts.remove(destination);
            if counts.is_empty() {
                self.from.remove(source);
            }
        }
    }

    /// Somebody has a register of this binding between exchanges, or nobody any more.
    pub(super) fn set_register(&mut self, key: BindingKey, register: Option<RegisterKey>) {
        let destination = key.destination();
        let keys = self.to_exchange.entry(destination.clone()).or_default();
        match register {
            Some(register) => {
                keys.insert(key, register);
            }
            None => {
                keys.remove(&key);
            }
        }
        if keys.is_empty() {
            self.to_exchange.remove(&destination);
        }
    }
}

/// What is to be derived anew.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) queues: BTreeSet<ObjectName>,
    pub(super) exchanges: BTreeSet<ObjectName>,
    pub(super) destinations: BTreeSet<Destination>,
    pub(super) bindings: BTreeSet<BindingKey>,
}

impl Dirty {
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.exchanges.is_empty()
            && self.destinations.is_empty()
            && self.bindings.is_empty()
    }
}
