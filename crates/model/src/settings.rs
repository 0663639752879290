//! What the arguments of a definition mean, as types: the fields that the table of [`known_arguments`] fills.
//!
//! [`known_arguments`]: crate::known_arguments

use core::time::Duration;

use crate::{Name, RoutingKey};

/// The type of a queue (`x-queue-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QueueKind {
    /// One home, in memory or on its disk.
    #[default]
    Classic,
    /// Replicated by a log that a majority agrees to.
    Quorum,
    /// A log that consumers read from any offset.
    Stream,
}

impl QueueKind {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Classic, "classic"), (Self::Quorum, "quorum"), (Self::Stream, "stream")];

    /// The type with this name on the wire.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, text)| text.as_bytes() == name).map(|(kind, _)| kind)
    }
}

/// What happens to a publish for a queue that has reached its length (`x-overflow`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest message makes room.
    #[default]
    DropHead,
    /// The new message is refused with `basic.nack`.
    RejectPublish,
    /// The same, and the refused message goes to the dead letter exchange.
    RejectPublishDeadLetter,
}

impl Overflow {
    /// The value with this name on the wire.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"drop-head" => Some(Self::DropHead),
            b"reject-publish" => Some(Self::RejectPublish),
            b"reject-publish-dlx" => Some(Self::RejectPublishDeadLetter),
            _ => None,
        }
    }
}

/// The settings that the arguments of a queue give. `None` is no limit.
///
/// A setting whose argument is [`Later`](crate::surface::Status::Later) is empty in every queue of this node,
/// because clients cannot declare it yet. It is read all the same: the queue may live at a node of a later
/// version.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct QueueSettings {
    pub kind: QueueKind,
    /// A message that has waited for longer is dropped or becomes a dead letter.
    pub message_ttl: Option<Duration>,
    /// The queue is deleted when it was not used for so long.
    pub expires: Option<Duration>,
    /// Most ready messages.
    pub max_length: Option<u64>,
    /// Most bytes of ready bodies.
    pub max_length_bytes: Option<u64>,
    pub overflow: Overflow,
    pub dead_letter_exchange: Option<Name>,
    /// `None`: dead letters keep the key that they were published with.
    pub dead_letter_routing_key: Option<RoutingKey>,
    /// Deliveries of one message before it is dropped or becomes a dead letter.
    pub delivery_limit: Option<u64>,
    /// The highest priority that the queue tells apart; `None` for a queue without priorities.
    pub max_priority: Option<u8>,
    pub single_active_consumer: bool,
    /// How long a client may hold a delivery; zero is for ever, `None` as the node says.
    pub consumer_timeout: Option<Duration>,
    pub deduplication: Deduplication,
}

/// Which messages are duplicates of others (LavinMQ: message deduplication).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Deduplication {
    /// Duplicates are dropped.
    pub on: bool,
    /// The header whose values are compared; [`Deduplication::HEADER`] by default.
    pub header: Option<RoutingKey>,
    /// Most values that are remembered; [`Deduplication::CACHE_SIZE`] by default.
    pub cache_size: Option<usize>,
    /// How long a value is remembered; `None` is for ever.
    pub cache_ttl: Option<Duration>,
}

impl Deduplication {
    /// LavinMQ's default.
    pub const HEADER: &'static [u8] = b"x-deduplication-header";
    /// LavinMQ's default.
    pub const CACHE_SIZE: usize = 128;
}

/// Where the dead letters of a queue go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterTarget {
    /// An exchange of the queue's vhost; it need not be there.
    pub exchange: Name,
    /// `None`: dead letters keep the keys that they were published with.
    pub routing_key: Option<RoutingKey>,
}

impl QueueSettings {
    /// Where its dead letters go; `None` drops them.
    #[must_use]
    pub fn dead_letter_target(&self) -> Option<DeadLetterTarget> {
        let exchange = self.dead_letter_exchange.clone()?;
        Some(DeadLetterTarget { exchange, routing_key: self.dead_letter_routing_key.clone() })
    }
}

/// The settings that the arguments of an exchange give.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ExchangeSettings {
    /// Takes what no binding takes (RabbitMQ: alternate exchanges).
    pub alternate_exchange: Option<Name>,
    /// What a consistent hash exchange hashes.
    pub hash_on: HashOn,
}

/// What a consistent hash exchange hashes. Messages that lack it all go to one queue.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HashOn {
    /// The routing key.
    #[default]
    RoutingKey,
    /// The header of this name (`hash-header`).
    Header(RoutingKey),
    /// A property of the message (`hash-property`).
    Property(HashProperty),
}

/// The properties that can be hashed (RabbitMQ: the same three).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum HashProperty {
    CorrelationId,
    MessageId,
    Timestamp,
}

impl HashProperty {
    /// The property with this name on the wire.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"correlation_id" => Some(Self::CorrelationId),
            b"message_id" => Some(Self::MessageId),
            b"timestamp" => Some(Self::Timestamp),
            _ => None,
        }
    }
}
