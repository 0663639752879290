//! Consumers of other shards, and the deliveries that their channels hold.

use leveret_model::{ChannelKey, ConsumerNumber, ConsumerTerms, Position, Unread};

/// A delivery that an egress shard holds, as RESUB lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldDelivery {
    /// The channel that holds it.
    pub channel: ChannelKey,
    /// The consumer it came to; [`ConsumerNumber::OF_GET`] for `basic.get`.
    pub consumer: ConsumerNumber,
    /// Its place in the queue.
    pub position: Position,
}

/// A consumer of a channel elsewhere, as the home of its queue is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteConsumer {
    /// The channel.
    pub channel: ChannelKey,
    /// The consumer in it.
    pub number: ConsumerNumber,
    /// How it wants to be served.
    pub terms: ConsumerTerms,
}

/// A consumer as RESUB names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedConsumer {
    /// Who and how.
    pub consumer: RemoteConsumer,
    /// What it was sent on links before and its client has not read: a credit follows when it has.
    pub unread: Unread,
}
