//! Records of the directory in control frames, as protobuf: what a writer's map consists of.
//!
//! Read first: `directory::map`, whose records these are on the wire. The rules of change are those of
//! [`message`](super::message).

use alloc::string::String;
use alloc::vec::Vec;

use super::message::Id;

/// One life of a queue name.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct QueueId {
    /// Raised by `recreate` alone.
    #[prost(uint32, tag = "1")]
    pub(crate) generation: u32,
    /// Drawn at its creation.
    #[prost(message, required, tag = "2")]
    pub(crate) ulid: Id,
}

/// A shard of a node.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Shard {
    #[prost(message, required, tag = "1")]
    pub(crate) node: Id,
    #[prost(uint32, tag = "2")]
    pub(crate) shard: u32,
}

/// A client's connection.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Connection {
    #[prost(message, required, tag = "1")]
    pub(crate) at: Shard,
    #[prost(uint32, tag = "2")]
    pub(crate) slot: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) generation: u32,
}

/// A queue's definition.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueueDefinition {
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(bool, tag = "3")]
    pub(crate) durable: bool,
    #[prost(message, optional, tag = "4")]
    pub(crate) exclusive: Option<Connection>,
    #[prost(bool, tag = "5")]
    pub(crate) auto_delete: bool,
    /// [`super::arguments`].
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) arguments: Vec<u8>,
}

/// A queue, written by its home.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Queue {
    #[prost(message, required, tag = "1")]
    pub(crate) definition: QueueDefinition,
    /// Which life.
    #[prost(message, required, tag = "2")]
    pub(crate) id: QueueId,
    #[prost(message, required, tag = "3")]
    pub(crate) home: Shard,
    /// Raised when the home moves.
    #[prost(uint64, tag = "4")]
    pub(crate) epoch: u64,
}

/// An exchange's definition.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExchangeDefinition {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// Its type's name on the AMQP wire.
    #[prost(string, tag = "3")]
    pub(crate) kind: String,
    /// Survives a restart.
    #[prost(bool, tag = "4")]
    pub(crate) durable: bool,
    /// Deleted after its last binding went.
    #[prost(bool, tag = "5")]
    pub(crate) auto_delete: bool,
    /// Clients cannot publish to it.
    #[prost(bool, tag = "6")]
    pub(crate) internal: bool,
    /// [`super::arguments`].
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) arguments: Vec<u8>,
}

/// A binding's definition.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Binding {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    /// The exchange that messages come from.
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    /// The destination is an exchange, not a queue.
    #[prost(bool, tag = "3")]
    pub(crate) to_exchange: bool,
    /// The queue or exchange that they go to.
    #[prost(string, tag = "4")]
    pub(crate) destination: String,
    /// The binding key, any bytes.
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) key: Vec<u8>,
    /// [`super::arguments`].
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) arguments: Vec<u8>,
}

/// A last-writer register: an exchange, or its absence. The higher (lamport, writer) wins.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExchangeRegister {
    /// Its vhost.
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// When it was written.
    #[prost(uint64, tag = "3")]
    pub(crate) lamport: u64,
    /// Who wrote it.
    #[prost(message, required, tag = "4")]
    pub(crate) writer: Id,
    /// Of its last deletion; bindings made at or before it are void.
    #[prost(uint64, tag = "5")]
    pub(crate) deleted_lamport: u64,
    /// The exchange; none if it is deleted.
    #[prost(message, optional, tag = "6")]
    pub(crate) exchange: Option<ExchangeDefinition>,
}

/// A last-writer register of an exchange-to-exchange binding, which has no home.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExchangeBindingRegister {
    /// What is bound.
    #[prost(message, required, tag = "1")]
    pub(crate) binding: Binding,
    /// When it was written.
    #[prost(uint64, tag = "2")]
    pub(crate) lamport: u64,
    /// Who wrote it.
    #[prost(message, required, tag = "3")]
    pub(crate) writer: Id,
    /// False once unbound.
    #[prost(bool, tag = "4")]
    pub(crate) present: bool,
}

/// A proposal about an exchange name.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExchangeProposal {
    /// Orders rivals: the older wins.
    #[prost(message, required, tag = "1")]
    pub(crate) id: Id,
    /// Its vhost.
    #[prost(string, tag = "2")]
    pub(crate) vhost: String,
    /// Its name.
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    /// The exchange to create; none to delete what is there.
    #[prost(message, optional, tag = "4")]
    pub(crate) exchange: Option<ExchangeDefinition>,
}

/// A binding to a queue, written by the queue's home; valid for one incarnation and epoch.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueueBinding {
    /// What is bound.
    #[prost(message, required, tag = "1")]
    pub(crate) binding: Binding,
    /// Which life of the queue.
    #[prost(message, required, tag = "2")]
    pub(crate) queue: QueueId,
    /// Only those of the highest epoch count.
    #[prost(uint64, tag = "3")]
    pub(crate) epoch: u64,
    /// When it was made; void at or before the exchange's last deletion.
    #[prost(uint64, tag = "4")]
    pub(crate) lamport: u64,
}

/// One change of a writer's map, or one record of a whole map.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    /// What; `None` is a kind of a later version: kept as a gap, never routed by.
    #[prost(oneof = "EntryKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub(crate) kind: Option<EntryKind>,
}

/// What an entry says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum EntryKind {
    /// An exchange register.
    #[prost(message, tag = "1")]
    Exchange(ExchangeRegister),
    /// An exchange-to-exchange binding register.
    #[prost(message, tag = "2")]
    ExchangeBinding(ExchangeBindingRegister),
    /// The queue is there, so.
    #[prost(message, tag = "3")]
    PutQueue(Queue),
    /// The queue is gone.
    #[prost(message, tag = "4")]
    DropQueue(QueueId),
    /// The binding is there.
    #[prost(message, tag = "5")]
    PutBinding(QueueBinding),
    /// The binding is gone.
    #[prost(message, tag = "6")]
    DropBinding(QueueBinding),
    /// The queue's name is a proposal (R2); it stands with a later [`EntryKind::PutQueue`], or is dropped.
    #[prost(message, tag = "7")]
    ProposeQueue(Queue),
    /// An exchange is proposed, or the deletion of one that nothing is bound to.
    #[prost(message, tag = "8")]
    ProposeExchange(ExchangeProposal),
    /// That proposal is over: withdrawn, or it stands by a register in the same delta.
    #[prost(message, tag = "9")]
    DropProposal(Id),
}
