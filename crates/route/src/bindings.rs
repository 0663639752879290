//! The set of all bindings. Identity is all of a binding (`Binding::same`): the same key with other arguments is another.
//!
//! A binding stands in three lists: that of its source, that of its target, and, in direct and topic exchanges, the chain of
//! the bindings with the same key. It knows its place in each, so it leaves all of them in constant time.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use leveret_model::definition::{Binding, DestinationKind};
use leveret_model::{Arguments, Name, RoutingKey, Value};
use leveret_wire::encode_arguments;

use crate::exchange::Node;
use crate::queues::Label;
use crate::slots::{Slot, Slots};

/// A binding of the table, to look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BindingRef<'a> {
    /// Its vhost.
    pub vhost: &'a Name,
    /// The exchange that messages come from.
    pub source: &'a Name,
    /// Queue or exchange.
    pub kind: DestinationKind,
    /// The queue or exchange that they go to.
    pub destination: &'a Name,
    /// The binding key.
    pub key: &'a RoutingKey,
    /// The arguments.
    pub arguments: &'a Arguments,
}

impl BindingRef<'_> {
    /// The same as a record.
    #[must_use]
    pub fn to_binding(&self) -> Binding {
        Binding {
            vhost: self.vhost.clone(),
            source: self.source.clone(),
            kind: self.kind,
            destination: self.destination.clone(),
            key: self.key.clone(),
            arguments: self.arguments.clone(),
        }
    }
}

/// Where a binding leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To whichever queue has the name.
    Queue(Slot<Label>),
    /// To another exchange.
    Exchange(Slot<Node>),
}

/// A binding in the table.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) source: Slot<Node>,
    pub(crate) target: Target,
    pub(crate) key: RoutingKey,
    pub(crate) arguments: Arguments,
    /// The same in every table and in every start, whatever the order of changes: hash exchanges choose by it.
    pub(crate) fingerprint: u64,
    /// Index in the source's list.
    pub(crate) at_source: u32,
    /// Index in the target's list.
    pub(crate) at_target: u32,
    /// Neighbours in the chain of the same key.
    pub(crate) next: Option<Slot<Bound>>,
    pub(crate) previous: Option<Slot<Bound>>,
}

/// All bindings, found by identity.
#[derive(Debug)]
pub(crate) struct Bindings {
    slots: Slots<Bound>,
    by_identity: HashTable<Slot<Bound>>,
    state: FixedState,
}

impl Bindings {
    pub(crate) fn new(state: FixedState) -> Self {
        Self { slots: Slots::new(), by_identity: HashTable::new(), state }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn find(
        &self,
        source: Slot<Node>,
        target: Target,
        key: &[u8],
        arguments: &Arguments,
    ) -> Option<Slot<Bound>> {
        let hash = identity_hash(&self.state, source, target, key, arguments);
        let same = |slot: &Slot<Bound>| {
            let bound = &self.slots[*slot];
            bound.source == source
                && bound.target == target
                && bound.key[..] == *key
                && same_arguments(&bound.arguments, arguments)
        };
        self.by_identity.find(hash, same).copied()
    }

    /// Adds a binding that is not there yet, in no list.
    pub(crate) fn insert(
        &mut self,
        source: Slot<Node>,
        target: Target,
        key: RoutingKey,
        arguments: Arguments,
        fingerprint: u64,
    ) -> Slot<Bound> {
        let hash = identity_hash(&self.state, source, target, &key, &arguments);
        let bound = Bound {
            source,
            target,
            key,
            arguments,
            fingerprint,
            at_source: 0,
            at_target: 0,
            next: None,
            previous: None,
        };
        let slot = self.slots.insert(bound);
        let (slots, state) = (&self.slots, &self.state);
        self.by_identity.insert_unique(hash, slot, |slot| bound_hash(state, &slots[*slot]));
        slot
    }

    /// Removes a binding that stands in no list any more.
    pub(crate) fn remove(&mut self, slot: Slot<Bound>) {
        let hash = bound_hash(&self.state, &self.slots[slot]);
        if let Ok(entry) = self.by_identity.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.slots.remove(slot);
    }

    /// Puts a binding before the chain `first`.
    pub(crate) fn chain(&mut self, first: &mut Option<Slot<Bound>>, slot: Slot<Bound>) {
        self.slots[slot].previous = None;
        self.slots[slot].next = *first;
        if let Some(old) = *first {
            self.slots[old].previous = Some(slot);
        }
        *first = Some(slot);
    }

    /// Takes a binding out of its chain `first`.
    pub(crate) fn unchain(&mut self, first: &mut Option<Slot<Bound>>, slot: Slot<Bound>) {
        let (previous, next) = (self.slots[slot].previous, self.slots[slot].next);
        match previous {
            Some(previous) => self.slots[previous].next = next,
            None => *first = next,
        }
        if let Some(next) = next {
            self.slots[next].previous = previous;
        }
    }

    /// The bindings of a chain.
    pub(crate) fn chained(&self, first: Option<Slot<Bound>>) -> impl Iterator<Item = Slot<Bound>> {
        core::iter::successors(first, |slot| self.slots[*slot].next)
    }

    pub(crate) fn enter_source(&mut self, list: &mut Vec<Slot<Bound>>, slot: Slot<Bound>) {
        self.slots[slot].at_source = list.len() as u32;
        list.push(slot);
    }

    pub(crate) fn enter_target(&mut self, list: &mut Vec<Slot<Bound>>, slot: Slot<Bound>) {
        self.slots[slot].at_target = list.len() as u32;
        list.push(slot);
    }

    /// Leaves the source's list; its last binding takes the place.
    pub(crate) fn leave_source(&mut self, list: &mut Vec<Slot<Bound>>, slot: Slot<Bound>) {
        let at = self.slots[slot].at_source;
        list.swap_remove(at as usize);
        if let Some(moved) = list.get(at as usize) {
            self.slots[*moved].at_source = at;
        }
    }

    /// Leaves the target's list; its last binding takes the place.
    pub(crate) fn leave_target(&mut self, list: &mut Vec<Slot<Bound>>, slot: Slot<Bound>) {
        let at = self.slots[slot].at_target;
        list.swap_remove(at as usize);
        if let Some(moved) = list.get(at as usize) {
            self.slots[*moved].at_target = at;
        }
    }
}

impl core::ops::Index<Slot<Bound>> for Bindings {
    type Output = Bound;
    fn index(&self, slot: Slot<Bound>) -> &Bound {
        &self.slots[slot]
    }
}

fn bound_hash(state: &FixedState, bound: &Bound) -> u64 {
    identity_hash(state, bound.source, bound.target, &bound.key, &bound.arguments)
}

/// Equivalent, or the very same bytes: NaN is not equivalent to itself, and would be bound anew with each repeated change.
fn same_arguments(a: &Arguments, b: &Arguments) -> bool {
    let bytes = |arguments| {
        let mut out = Vec::new();
        encode_arguments(arguments, &mut out);
        out
    };
    a.equivalent(b) || bytes(a) == bytes(b)
}

/// Equal for bindings that are the same. Arguments are included, or many headers bindings with the key `""` would
/// share one hash.
fn identity_hash(
    state: &FixedState,
    source: Slot<Node>,
    target: Target,
    key: &[u8],
    arguments: &Arguments,
) -> u64 {
    let target = match target {
        Target::Queue(label) => (0, label.number()),
        Target::Exchange(node) => (1, node.number()),
    };
    state.hash_one((source.number(), target, key, arguments_hash(state, arguments)))
}

/// Equal for equivalent arguments: in any order, integers by value, floats not looked at because their two widths mix.
fn arguments_hash(state: &FixedState, arguments: &Arguments) -> u64 {
    arguments.0.iter().fold(0, |sum: u64, (key, value)| {
        let mut hasher = state.build_hasher();
        key.hash(&mut hasher);
        hash_value(state, value, &mut hasher);
        sum.wrapping_add(hasher.finish())
    })
}

fn hash_value(state: &FixedState, value: &Value, into: &mut impl Hasher) {
    if let Some(number) = value.as_integer() {
        number.hash(into);
        return;
    }
    match value {
        Value::Bool(flag) => flag.hash(into),
        Value::Decimal(scale, unscaled) => (scale, unscaled).hash(into),
        Value::LongString(bytes) | Value::Bytes(bytes) => bytes.hash(into),
        Value::Timestamp(seconds) => seconds.hash(into),
        Value::Array(items) => items.iter().for_each(|item| hash_value(state, item, into)),
        Value::Table(table) => arguments_hash(state, table).hash(into),
        _ => {}
    }
}
