//! What a consumer asks for, and what becomes of a delivery.

use core::time::Duration;

use crate::ConsumerKey;

/// How a consumer wants to be served: from `basic.consume` to the home of its queue.
///
/// Its other arguments mean nothing to a home, and stay in the channel that checked them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ConsumerTerms {
    /// A message leaves the queue as it is delivered.
    pub no_ack: bool,
    /// The only consumer.
    pub exclusive: bool,
    /// Messages that it may hold; 0 is no limit of the client's.
    pub prefetch: u16,
    /// Higher is served first (RabbitMQ: x-priority of basic.consume).
    pub priority: i32,
}

/// Deliveries of a consumer that have not left through its socket: so much of its window at a home elsewhere is
/// in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Unread {
    /// How many.
    pub messages: u32,
    /// What they weigh: address, header and body, bytes.
    pub bytes: u64,
}

/// How a message stands in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// Ready, and never delivered.
    Fresh,
    /// Ready, and delivered before.
    Returned,
    /// Delivered and not settled, by the consumer or channel that holds it.
    Held(ConsumerKey),
}

/// What the rules of a queue have made of a message: priorities, times to live, returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRule {
    /// Until it may be delivered, if it expires.
    pub left: Option<Duration>,
    /// Its level; higher ones go first.
    pub level: u8,
    /// How often it came back.
    pub returns: u32,
}

/// What becomes of a delivery that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done with (`basic.ack`): it leaves.
    Ack,
    /// Back to its place, redelivered (`basic.nack`/`basic.reject` with requeue, `basic.recover`, or the
    /// channel closed).
    Requeue,
    /// Not wanted (`basic.nack`/`basic.reject` without requeue): it leaves; there are no dead letters yet.
    Reject,
}
