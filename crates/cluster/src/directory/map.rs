//! One node's map: the records that it alone writes, under a version.
//!
//! Invariants: a map's records follow from its versions in order, so two holders of one version hold the same records;
//! versions carry the incarnation, so a restart that lost unsynced changes never uses a number again.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use leveret_model::definition::{Binding, DestinationKind, ExchangeDefinition};
use leveret_model::directory::QueueRecord;
use leveret_model::{Arguments, Incarnation, Name, NodeId, QueueId, RoutingKey, Ulid, Value};

/// The version of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// The writer's start.
    pub incarnation: Incarnation,
    /// Changes since then.
    pub counter: u64,
}

/// When a register was written: a Lamport counter and its writer, never a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Stamp {
    /// The writer's Lamport counter.
    pub lamport: u64,
    /// The writer.
    pub node: NodeId,
}

/// The name of an exchange or a queue in its vhost.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct ObjectName {
    /// The vhost.
    pub vhost: Name,
    /// The name in it.
    pub name: Name,
}

impl ObjectName {
    /// The name of `name` in `vhost`.
    #[must_use]
    pub(crate) fn new(vhost: &Name, name: &Name) -> Self {
        Self { vhost: vhost.clone(), name: name.clone() }
    }

    /// The name of a queue.
    #[must_use]
    pub(crate) fn of_queue(record: &QueueRecord) -> Self {
        Self::new(&record.definition.vhost, &record.definition.name)
    }
}

impl fmt::Display for ObjectName {
    /// As RabbitMQ writes resources: `'q' in vhost '/'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' in vhost '{}'", self.name, self.vhost)
    }
}

/// A binding's identity, ordered. Arguments are in a canonical form, so equivalent ones are equal here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct BindingKey {
    /// The vhost.
    pub vhost: Name,
    /// The source exchange.
    pub source: Name,
    /// What the destination is.
    pub kind: DestinationKind,
    /// The destination.
    pub destination: Name,
    /// The binding key.
    pub key: RoutingKey,
    /// The arguments, canonical.
    pub arguments: Box<[u8]>,
}

impl BindingKey {
    /// The smallest key.
    #[must_use]
    pub(crate) fn first() -> Self {
        Self {
            vhost: Name::default(),
            source: Name::default(),
            kind: DestinationKind::Queue,
            destination: Name::default(),
            key: RoutingKey::default(),
            arguments: Box::default(),
        }
    }

    /// The identity of `binding`.
    #[must_use]
    pub(crate) fn of(binding: &Binding) -> Self {
        Self {
            vhost: binding.vhost.clone(),
            source: binding.source.clone(),
            kind: binding.kind,
            destination: binding.destination.clone(),
            key: binding.key.clone(),
            arguments: canonical(&binding.arguments).into(),
        }
    }

    /// The source exchange.
    #[must_use]
    pub(crate) fn source(&self) -> ObjectName {
        ObjectName::new(&self.vhost, &self.source)
    }

    /// The destination.
    #[must_use]
    pub(crate) fn destination(&self) -> ObjectName {
        ObjectName::new(&self.vhost, &self.destination)
    }

    /// It leads from `source`.
    fn is_from(&self, source: &ObjectName) -> bool {
        self.source == source.name && self.vhost == source.vhost
    }

    /// The smallest key from `source` to a destination: keys of one source are neighbours.
    fn first_between(source: &ObjectName, (kind, destination): &(DestinationKind, ObjectName)) -> Self {
        let (vhost, source) = (source.vhost.clone(), source.name.clone());
        Self { vhost, source, kind: *kind, destination: destination.name.clone(), ..Self::first() }
    }

    /// Of `keys` that lead to `destination`, those that come from `source`.
    pub(crate) fn between<'a, T>(
        keys: &'a BTreeMap<Self, T>,
        source: &'a ObjectName,
        destination: &(DestinationKind, ObjectName),
    ) -> impl Iterator<Item = &'a Self> {
        let keys = keys.range(Self::first_between(source, destination)..).map(|(key, _)| key);
        keys.take_while(move |key| key.is_from(source))
    }
}

/// Bytes that are equal for tables that are equivalent (`Arguments::equivalent`).
fn canonical(table: &Arguments) -> Vec<u8> {
    let mut entries: Vec<(&[u8], Vec<u8>)> =
        table.0.iter().map(|(key, value)| (&key[..], encode(value))).collect();
    entries.sort();
    let mut out = Vec::new();
    for (key, value) in entries {
        chunk(&mut out, key);
        chunk(&mut out, &value);
    }
    out
}

fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn encode(value: &Value) -> Vec<u8> {
    let tagged = |tag: u8, bytes: &[u8]| {
        let mut out = Vec::with_capacity(bytes.len() + 1);
        out.push(tag);
        out.extend_from_slice(bytes);
        out
    };
    if let Some(number) = value.as_integer() {
        return tagged(b'i', &number.to_be_bytes());
    }
    match value {
        Value::Bool(on) => tagged(b'b', &[u8::from(*on)]),
        Value::F32(number) => tagged(b'f', &f64::from(*number).to_bits().to_be_bytes()),
        Value::F64(number) => tagged(b'f', &number.to_bits().to_be_bytes()),
        Value::Decimal(scale, unscaled) => {
            let mut out = tagged(b'd', &[*scale]);
            out.extend_from_slice(&unscaled.to_be_bytes());
            out
        }
        Value::LongString(bytes) => tagged(b's', bytes),
        Value::Bytes(bytes) => tagged(b'x', bytes),
        Value::Array(items) => {
            let mut out = tagged(b'a', &[]);
            for item in items {
                chunk(&mut out, &encode(item));
            }
            out
        }
        Value::Timestamp(seconds) => tagged(b't', &seconds.to_be_bytes()),
        Value::Table(table) => tagged(b'T', &canonical(table)),
        // integers were taken above
        _ => tagged(b'v', &[]),
    }
}

/// What a record is about; the map is ordered by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum RecordKey {
    /// A queue that lives at the writer.
    Queue(QueueId),
    /// A binding to a queue that lives at the writer.
    Binding(QueueId, BindingKey),
    /// The exchange register.
    Exchange(ObjectName),
    /// The register of a binding from exchange to exchange.
    ExchangeBinding(BindingKey),
    /// A proposal about an exchange name.
    Proposal(Ulid),
}

/// A record of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// A queue, by its home.
    Queue {
        /// The queue.
        record: QueueRecord,
        /// False while its name is a proposal (R2).
        standing: bool,
    },
    /// A binding, by the home of its queue; valid for that incarnation and epoch alone.
    Binding {
        /// The queue.
        queue: QueueId,
        /// Its epoch when it was bound.
        epoch: u64,
        /// The writer's Lamport counter: void if the exchange was deleted at it or later.
        lamport: u64,
        /// The binding.
        binding: Binding,
    },
    /// What the writer last said about an exchange.
    Exchange {
        /// Its name.
        name: ObjectName,
        /// When.
        stamp: Stamp,
        /// Lamport counter of the last deletion that the writer knew of; 0 for none.
        deleted: u64,
        /// The exchange; none if deleted.
        value: Option<ExchangeDefinition>,
    },
    /// What the writer last said about a binding from exchange to exchange.
    ExchangeBinding {
        /// The binding.
        binding: Binding,
        /// When.
        stamp: Stamp,
        /// Bound or unbound.
        present: bool,
    },
    /// The writer proposes to create an exchange, or to delete an unused auto-delete one (R2).
    Proposal {
        /// Orders rivals: the older wins.
        id: Ulid,
        /// The exchange's name.
        name: ObjectName,
        /// The exchange to create; none to delete.
        value: Option<ExchangeDefinition>,
    },
}

impl Record {
    /// What it is about.
    #[must_use]
    pub(crate) fn key(&self) -> RecordKey {
        match self {
            Self::Queue { record, .. } => RecordKey::Queue(record.id),
            Self::Binding { queue, binding, .. } => RecordKey::Binding(*queue, BindingKey::of(binding)),
            Self::Exchange { name, .. } => RecordKey::Exchange(name.clone()),
            Self::ExchangeBinding { binding, .. } => RecordKey::ExchangeBinding(BindingKey::of(binding)),
            Self::Proposal { id, .. } => RecordKey::Proposal(*id),
        }
    }

    /// The Lamport counter in it.
    #[must_use]
    pub(crate) fn lamport(&self) -> u64 {
        match self {
            Self::Binding { lamport, .. } => *lamport,
            Self::Exchange { stamp, .. } | Self::ExchangeBinding { stamp, .. } => stamp.lamport,
            Self::Queue { .. } | Self::Proposal { .. } => 0,
        }
    }

    /// Registers outlive their writer.
    #[must_use]
    pub(crate) fn is_register(&self) -> bool {
        matches!(self, Self::Exchange { .. } | Self::ExchangeBinding { .. })
    }
}

/// One step of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// The record is so.
    Put(Record),
    /// The record is gone.
    Drop(Dropped),
}

/// What is gone; registers never go, they are written over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Dropped {
    /// A queue.
    Queue(QueueId),
    /// A binding to a queue.
    Binding(QueueId, Box<Binding>),
    /// A proposal about an exchange name.
    Proposal(Ulid),
}

impl Dropped {
    /// The key of the record.
    #[must_use]
    pub(crate) fn key(&self) -> RecordKey {
        match self {
            Self::Queue(id) => RecordKey::Queue(*id),
            Self::Binding(id, binding) => RecordKey::Binding(*id, BindingKey::of(binding)),
            Self::Proposal(id) => RecordKey::Proposal(*id),
        }
    }
}

/// A node's map.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeMap {
    /// Its version.
    pub version: Version,
    /// Its records.
    pub records: BTreeMap<RecordKey, Record>,
    /// Versions of other maps that its writer had when it wrote them. Unused for the own map.
    pub rests_on: BTreeMap<NodeId, Version>,
}

impl NodeMap {
    /// The bindings of a queue in this map.
    pub(crate) fn bindings_of(&self, queue: QueueId) -> impl Iterator<Item = (&BindingKey, &Record)> {
        self.bindings_at(queue, BindingKey::first())
    }

    /// The bindings of a queue in this map that come from `source`. `destination` is the queue's name.
    pub(crate) fn bindings_between<'a>(
        &'a self,
        queue: QueueId,
        source: &'a ObjectName,
        destination: &(DestinationKind, ObjectName),
    ) -> impl Iterator<Item = (&'a BindingKey, &'a Record)> {
        let bindings = self.bindings_at(queue, BindingKey::first_between(source, destination));
        bindings.take_while(move |(key, _)| key.is_from(source))
    }

    fn bindings_at(&self, queue: QueueId, from: BindingKey) -> impl Iterator<Item = (&BindingKey, &Record)> {
        self.records.range(RecordKey::Binding(queue, from)..).map_while(move |(key, record)| match key {
            RecordKey::Binding(id, key) if *id == queue => Some((key, record)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn equivalent_arguments_have_equal_bytes() {
        let key = |k: &str| RoutingKey::new(k.as_bytes());
        let a = Arguments(vec![(key("a"), Value::I8(1)), (key("b"), Value::F32(0.5))]);
        let b = Arguments(vec![(key("b"), Value::F64(0.5)), (key("a"), Value::I64(1))]);
        assert!(a.equivalent(&b));
        assert_eq!(canonical(&a), canonical(&b));
    }

    #[test]
    fn strings_and_numbers_differ() {
        let one = |value| canonical(&Arguments(vec![(RoutingKey::new(b"x"), value)]));
        assert_ne!(one(Value::I8(5)), one(Value::LongString(b"5".as_slice().into())));
        assert_ne!(one(Value::Void), one(Value::Bool(false)));
    }
}
