//! What the shards of this node know, with the counts that commands ask for.
//!
//! Read first: `effective`. Invariant: everything here is found by its key or by one end; only `status` walks
//! all of it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::QueueId;
use leveret_model::definition::{Binding, ExchangeDefinition};
use leveret_model::directory::QueueRecord;
use leveret_model::policy::Policies;

use super::names::{BindingKey, Destination, ObjectName};

/// What the shards of this node were told.
#[derive(Debug, Default)]
pub(crate) struct PublishedState {
    pub(crate) exchanges: BTreeMap<ObjectName, ExchangeDefinition>,
    /// Each queue, and whether it is masked.
    pub(crate) queues: BTreeMap<QueueId, (QueueRecord, bool)>,
    /// Queues that were more than proposals, and whose home's start is not over: when they go, they were
    /// deleted.
    pub(crate) stood: BTreeSet<QueueId>,
    pub(super) names: BTreeMap<ObjectName, BTreeSet<QueueId>>,
    pub(crate) bindings: PublishedBindings,
    pub(crate) policies: Policies,
}

impl PublishedState {
    /// The queues of one name.
    pub(crate) fn lives_of(&self, name: &ObjectName) -> impl Iterator<Item = &QueueId> + use<'_> {
        self.names.get(name).into_iter().flatten()
    }
}

/// The bindings that are routed by.
#[derive(Debug, Default)]
pub(crate) struct PublishedBindings {
    to: BTreeMap<Destination, BTreeMap<BindingKey, Binding>>,
    /// How many lead from each exchange.
    from: BTreeMap<ObjectName, usize>,
}

impl PublishedBindings {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&BindingKey, &Binding)> {
        self.to.values().flatten()
    }

    /// The bindings to `destination`.
    pub(crate) fn to(&self, destination: &Destination) -> impl Iterator<Item = &BindingKey> {
        self.to.get(destination).into_iter().flat_map(BTreeMap::keys)
    }

    /// How many lead from `source`.
    pub(crate) fn count_from(&self, source: &ObjectName) -> usize {
        self.from.get(source).copied().unwrap_or_default()
    }

    pub(super) fn contains(&self, key: &BindingKey) -> bool {
        self.to.get(&(key.kind, key.destination())).is_some_and(|bindings| bindings.contains_key(key))
    }

    pub(super) fn insert(&mut self, key: BindingKey, binding: Binding) {
        let source = key.source();
        let bindings = self.to.entry((key.kind, key.destination())).or_default();
        if bindings.insert(key, binding).is_none() {
            *self.from.entry(source).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, key: &BindingKey) -> Option<Binding> {
        let destination = (key.kind, key.destination());
        let bindings = self.to.get_mut(&destination)?;
        let binding = bindings.remove(key)?;
        if bindings.is_empty() {
            self.to.remove(&destination);
        }
        self.discount(&key.source());
        Some(binding)
    }

    /// Removes all to `destination`.
    pub(super) fn remove_to(&mut self, destination: &Destination) -> Vec<Binding> {
        let bindings = self.to.remove(destination).unwrap_or_default();
        for key in bindings.keys() {
            self.discount(&key.source());
        }
        bindings.into_values().collect()
    }

    /// Removes all from `source` to `destination`.
    pub(super) fn remove_between(&mut self, source: &ObjectName, destination: &Destination) -> Vec<Binding> {
        let Some(bindings) = self.to.get(destination) else { return Vec::new() };
        let keys: Vec<BindingKey> =
            BindingKey::between(bindings, source, destination).map(|(key, _)| key.clone()).collect();
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }

    fn discount(&mut self, source: &ObjectName) {
        if let Some(count) = self.from.get_mut(source) {
            *count -= 1;
            if *count == 0 {
                self.from.remove(source);
            }
        }
    }
}
