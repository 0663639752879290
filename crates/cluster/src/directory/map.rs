//! One node's map: the records that it alone writes, under a version.
//!
//! Invariants: a map's records follow from its versions in order, so two holders of one version hold the same
//! records; versions carry the incarnation, so a restart that lost unsynced changes never uses a number
//! again.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::definition::{Binding, DestinationKind, ExchangeDefinition};
use leveret_model::directory::QueueRecord;
use leveret_model::{Incarnation, NodeId, QueueId, Ulid};

use super::names::{BindingKey, ObjectName};
use super::register::{Register, RegisterKey};

/// The version of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// The writer's start.
    pub incarnation: Incarnation,
    /// Changes since then.
    pub counter: u64,
}

/// Versions of several maps.
pub(crate) type Versions = Vec<(NodeId, Version)>;

/// What a record is about; the map is ordered by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum RecordKey {
    /// A queue that lives at the writer.
    Queue(QueueId),
    /// A binding to a queue that lives at the writer.
    Binding(QueueId, BindingKey),
    /// What the writer last wrote to a register.
    Register(RegisterKey),
    /// A proposal about an exchange name.
    Proposal(Ulid),
    /// A record of a later version: its kind and its key there.
    Unknown(u32, Box<[u8]>),
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
    /// What the writer last wrote to a register, of whatever kind.
    Register(Register),
    /// The writer proposes to create an exchange, or to delete an unused auto-delete one (R2).
    Proposal {
        /// Orders rivals: the older wins.
        id: Ulid,
        /// The exchange's name.
        name: ObjectName,
        /// The exchange to create; none to delete.
        value: Option<ExchangeDefinition>,
    },
    /// A record of a kind that a later version has: kept and handed on, never acted on (P8).
    Unknown {
        /// The kind's number.
        kind: u32,
        /// What it is about.
        key: Box<[u8]>,
        /// What it says.
        value: Box<[u8]>,
    },
}

impl Record {
    /// What it is about.
    #[must_use]
    pub(crate) fn key(&self) -> RecordKey {
        match self {
            Self::Queue { record, .. } => RecordKey::Queue(record.id),
            Self::Binding { queue, binding, .. } => RecordKey::Binding(*queue, BindingKey::of(binding)),
            Self::Register(register) => RecordKey::Register(register.key.clone()),
            Self::Proposal { id, .. } => RecordKey::Proposal(*id),
            Self::Unknown { kind, key, .. } => RecordKey::Unknown(*kind, key.clone()),
        }
    }

    /// The Lamport counter in it.
    #[must_use]
    pub(crate) fn lamport(&self) -> u64 {
        match self {
            Self::Binding { lamport, .. } => *lamport,
            Self::Register(register) => register.stamp.lamport,
            Self::Queue { .. } | Self::Proposal { .. } | Self::Unknown { .. } => 0,
        }
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
    /// A record of a later version.
    Unknown(u32, Box<[u8]>),
}

impl Dropped {
    /// The key of the record.
    #[must_use]
    pub(crate) fn key(&self) -> RecordKey {
        match self {
            Self::Queue(id) => RecordKey::Queue(*id),
            Self::Binding(id, binding) => RecordKey::Binding(*id, BindingKey::of(binding)),
            Self::Proposal(id) => RecordKey::Proposal(*id),
            Self::Unknown(kind, key) => RecordKey::Unknown(*kind, key.clone()),
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
