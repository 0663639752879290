//! Definitions, names and ids as protobuf messages.

use alloc::string::String;
use alloc::vec::Vec;

/// 128 bits: a node id or a ULID.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Id {
    #[prost(fixed64, tag = "1")]
    pub(crate) high: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) low: u64,
}

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

/// An exchange's definition.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExchangeDefinition {
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// Its type's name on the AMQP wire.
    #[prost(string, tag = "3")]
    pub(crate) kind: String,
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

/// The name of an exchange or a queue; the key of an exchange's register.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ObjectName {
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
}

/// What a binding between exchanges is; the key of its register.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ExchangeBindingKey {
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(string, tag = "3")]
    pub(crate) destination: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) key: Vec<u8>,
    /// The same bytes for all tables that are equivalent; no table can be read from them.
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) arguments: Vec<u8>,
}

/// A policy.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Policy {
    #[prost(string, tag = "1")]
    pub(crate) vhost: String,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// A regular expression.
    #[prost(string, tag = "3")]
    pub(crate) pattern: String,
    /// As RabbitMQ names what policies apply to.
    #[prost(string, tag = "4")]
    pub(crate) apply_to: String,
    #[prost(sint64, tag = "5")]
    pub(crate) priority: i64,
    /// [`super::arguments`].
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) settings: Vec<u8>,
}
