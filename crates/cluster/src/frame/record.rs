//! Records of the directory in control frames, as protobuf: what a writer's map consists of.
//!
//! An entry is a record of its writer or a register, under a kind and a key; kind, key and presence say all
//! that a node needs to keep and to forward an entry whose value it cannot read. So a new kind needs no new
//! form of entry. Read first: `directory::map`, whose records these are. The rules of change are those of
//! [`encoding`](crate::encoding).

use alloc::vec::Vec;

use crate::encoding::messages::{
    Binding, ExchangeDefinition, Id, ObjectName, QueueDefinition, QueueId, Shard,
};

/// One change of a writer's map, or one record of a whole map.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    /// These two forms are all that there ever are.
    #[prost(oneof = "EntryForm", tags = "1, 2")]
    pub(crate) form: Option<EntryForm>,
}

/// What an entry is.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum EntryForm {
    /// What the writer alone knows, and what goes with it.
    #[prost(message, tag = "1")]
    Owned(Owned),
    /// What the writer last said of something that has no owner.
    #[prost(message, tag = "2")]
    Register(Register),
}

/// A record that its writer owns.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Owned {
    /// [`kind`]
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) key: Vec<u8>,
    /// None: the record is gone.
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(crate) value: Option<Vec<u8>>,
}

/// A last-writer register. The higher (lamport, writer) wins.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Register {
    /// `directory::register::RegisterKind`
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) key: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub(crate) lamport: u64,
    #[prost(message, required, tag = "4")]
    pub(crate) writer: Id,
    /// Lamport counter of the last deletion that the writer knew of.
    #[prost(uint64, tag = "5")]
    pub(crate) deleted_lamport: u64,
    /// None: deleted.
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(crate) value: Option<Vec<u8>>,
}

/// Kinds of owned records. A number is never given to another kind.
pub(crate) mod kind {
    /// Key [`QueueId`](super::QueueId), value [`Queue`](super::Queue).
    pub(crate) const QUEUE: u32 = 1;
    /// Key [`BoundQueue`](super::BoundQueue), value [`BindingTime`](super::BindingTime).
    pub(crate) const QUEUE_BINDING: u32 = 2;
    /// Key [`Id`](super::Id), value [`Proposal`](super::Proposal).
    pub(crate) const EXCHANGE_PROPOSAL: u32 = 3;
}

/// A queue, written by its home.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Queue {
    #[prost(message, required, tag = "1")]
    pub(crate) definition: QueueDefinition,
    #[prost(message, required, tag = "2")]
    pub(crate) home: Shard,
    /// Raised when the home moves.
    #[prost(uint64, tag = "3")]
    pub(crate) epoch: u64,
    /// False while its name is a proposal (R2).
    #[prost(bool, tag = "4")]
    pub(crate) standing: bool,
}

/// A binding to a queue: its identity is all of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BoundQueue {
    #[prost(message, required, tag = "1")]
    pub(crate) queue: QueueId,
    #[prost(message, required, tag = "2")]
    pub(crate) binding: Binding,
}

/// When a binding to a queue was made.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct BindingTime {
    /// Only those of the queue's epoch count.
    #[prost(uint64, tag = "1")]
    pub(crate) epoch: u64,
    /// Void at or before the exchange's last deletion.
    #[prost(uint64, tag = "2")]
    pub(crate) lamport: u64,
}

/// A proposal about an exchange name.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Proposal {
    #[prost(message, required, tag = "1")]
    pub(crate) name: ObjectName,
    /// The exchange to create; none to delete what is there.
    #[prost(message, optional, tag = "2")]
    pub(crate) exchange: Option<ExchangeDefinition>,
}
