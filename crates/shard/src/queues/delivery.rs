//! Deliveries between queues and the consumers of this shard's clients.

use leveret_model::{ChannelKey, ConsumerKey, ConsumerNumber, Message, Position, QueueHandle, QueueId};
use leveret_queue::Delivered;

/// The consumers of this shard's clients.
pub(crate) trait LocalConsumers {
    /// Takes a message for a consumer of this shard, or not. hot.
    fn deliver(
        &mut self,
        queue: QueueHandle,
        consumer: &ConsumerKey,
        position: Position,
        redelivered: bool,
        message: &Message<'_>,
    ) -> Delivered;
}

/// A delivery that a home elsewhere sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromElsewhere<'a> {
    pub(crate) queue: QueueId,
    pub(crate) channel: ChannelKey,
    pub(crate) consumer: ConsumerNumber,
    pub(crate) position: Position,
    pub(crate) redelivered: bool,
    pub(crate) message: Message<'a>,
}

/// Deliveries from elsewhere that are on their way through a socket here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credit {
    pub(crate) queue: QueueHandle,
    pub(crate) channel: ChannelKey,
    pub(crate) consumer: ConsumerNumber,
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
}
