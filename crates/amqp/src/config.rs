//! What a server offers to its clients, and what a client said about itself.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::limits::{
    BODY_BYTES_MAX, CHANNEL_MAX, CONSUMER_TIMEOUT, DEFERRED_BYTES_MAX, DEFERRED_PER_CONNECTION_BYTES_MAX,
    FRAME_BYTES_MAX, HEARTBEAT_S, HELD_PUBLISH_BYTES_MAX, SHOWN_NAME_BYTES_MAX, UNACKED_PER_CHANNEL_MAX,
};
use leveret_model::{Arguments, Name, RoutingKey, Value};
use leveret_wire::{FieldValue, Table, encode_arguments};

/// What the server offers; one for all connections.
#[derive(Clone, Debug)]
pub struct Config {
    /// Largest frame, bytes.
    pub frame_max: u32,
    /// Highest channel number.
    pub channel_max: u16,
    /// Heartbeat interval that is suggested, seconds; the client's wish counts.
    pub heartbeat_s: u16,
    /// Largest message body, bytes.
    pub body_bytes_max: u64,
    /// Messages that a channel may hold, over all its consumers and gets.
    pub unacked_per_channel_max: usize,
    /// Bytes of frames that a channel keeps while an operation is pending.
    pub deferred_bytes_max: usize,
    /// The same, of all channels of a connection.
    pub deferred_per_connection_bytes_max: usize,
    /// Bytes of whole messages that a connection holds because they cannot be routed now.
    pub held_publish_bytes_max: usize,
    /// The entries of connection.start's `server-properties`, encoded.
    pub server_properties: Vec<u8>,
    /// Quorum queues and streams are taken as classic queues; else they are refused.
    pub substitute_queue_types: bool,
    /// How long a client may hold a delivery, unless its queue or consumer says otherwise; `None` for ever.
    pub consumer_timeout: Option<Duration>,
    /// SASL mechanisms, separated by spaces.
    pub mechanisms: &'static str,
}

/// What we can do, under the names that clients look for (RabbitMQ: capabilities). Only what is here: some
/// clients switch features off when a key is missing, none when one is false.
const CAPABILITIES: &[&str] = &[
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "authentication_failure_close",
    "per_consumer_qos",
    "consumer_priorities",
    "direct_reply_to",
];

impl Config {
    /// The defaults, with the server's version (three numbers: some clients parse it) and the name of its
    /// cluster.
    #[must_use]
    pub fn new(version: &str, cluster_name: &str) -> Self {
        let text = |text: &str| Value::LongString(text.as_bytes().into());
        let key = |key: &str| RoutingKey::new(key.as_bytes());
        let capabilities =
            CAPABILITIES.iter().map(|name| (RoutingKey::new(name.as_bytes()), Value::Bool(true))).collect();
        let properties = Arguments(Vec::from([
            (key("capabilities"), Value::Table(Arguments(capabilities))),
            (key("cluster_name"), text(cluster_name)),
            (key("copyright"), text("The Leveret authors")),
            (key("information"), text("Licensed under the Apache License 2.0")),
            (key("platform"), text("Rust")),
            (key("product"), text("Leveret")),
            (key("version"), text(version)),
        ]));
        let mut server_properties = Vec::new();
        encode_arguments(&properties, &mut server_properties);
        Self {
            frame_max: FRAME_BYTES_MAX,
            channel_max: CHANNEL_MAX,
            heartbeat_s: HEARTBEAT_S,
            body_bytes_max: BODY_BYTES_MAX,
            unacked_per_channel_max: UNACKED_PER_CHANNEL_MAX,
            deferred_bytes_max: DEFERRED_BYTES_MAX,
            deferred_per_connection_bytes_max: DEFERRED_PER_CONNECTION_BYTES_MAX,
            held_publish_bytes_max: HELD_PUBLISH_BYTES_MAX,
            server_properties,
            substitute_queue_types: false,
            consumer_timeout: Some(CONSUMER_TIMEOUT),
            mechanisms: "PLAIN AMQPLAIN",
        }
    }
}

/// What a client said about itself in connection.start-ok, and where it went.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Who is logged in; empty before.
    pub user: Name,
    /// Where; empty before connection.open.
    pub vhost: Name,
    /// `product`
    pub product: Box<str>,
    /// `connection_name`, as people gave it.
    pub connection_name: Box<str>,
    pub(crate) capabilities: Capabilities,
}

/// What the client can take beyond the specification.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Capabilities {
    /// connection.close before it is logged in.
    pub(crate) authentication_failure_close: bool,
    /// connection.blocked and unblocked.
    pub(crate) connection_blocked: bool,
    /// basic.cancel from the server.
    pub(crate) consumer_cancel_notify: bool,
}

impl Client {
    /// From valid client properties.
    pub(crate) fn from_properties(properties: Table<'_>) -> Self {
        let capabilities = match properties.get(b"capabilities") {
            Some(FieldValue::Table(table)) => table,
            _ => Table::EMPTY,
        };
        let can = |name: &[u8]| capabilities.get(name) == Some(FieldValue::Bool(true));
        Self {
            user: Name::default(),
            vhost: Name::default(),
            product: shown(properties.get(b"product")),
            connection_name: shown(properties.get(b"connection_name")),
            capabilities: Capabilities {
                authentication_failure_close: can(b"authentication_failure_close"),
                connection_blocked: can(b"connection.blocked"),
                consumer_cancel_notify: can(b"consumer_cancel_notify"),
            },
        }
    }
}

fn shown(value: Option<FieldValue<'_>>) -> Box<str> {
    match value {
        Some(FieldValue::LongString(bytes)) => {
            let cut = &bytes[..bytes.len().min(SHOWN_NAME_BYTES_MAX)];
            alloc::string::String::from_utf8_lossy(cut).into()
        }
        _ => Box::default(),
    }
}
