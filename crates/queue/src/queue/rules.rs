//! What the arguments of a queue ask of its messages, and how a message leaves when nobody took it.

use core::time::Duration;

use leveret_model::settings::{Overflow, QueueSettings};
use leveret_model::{Instant, Position, Terms};

use crate::MessageRef;

/// Why a message left a queue without an acknowledgement. The first four make dead letters (RabbitMQ: the
/// `reason` in x-death).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its time to live ended at the head of the queue.
    Expired,
    /// The queue was over its length, or refused it with `x-overflow` = `reject-publish-dlx`.
    MaxLength,
    /// Its consumer did not want it, nor is another to have it.
    Rejected,
    /// It was returned more often than `x-delivery-limit` allows.
    DeliveryLimit,
    /// The queue was at its length and refuses publishes: the publisher hears it, nobody else.
    Refused,
}

/// A message that left; whoever takes this owns its reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Departure {
    /// The message.
    pub message: MessageRef,
    /// The place that it had; `None` if the queue never took it.
    pub position: Option<Position>,
    /// Why it left.
    pub cause: Cause,
}

/// The settings of a queue that concern its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Rules {
    ttl: Option<Duration>,
    max_length: Option<u64>,
    max_bytes: Option<u64>,
    pub(super) overflow: Overflow,
    delivery_limit: Option<u64>,
    max_priority: Option<u8>,
    /// The shard looks at each message before it comes, so none is plain.
    deduplicates: bool,
}

impl Rules {
    /// `None` for a queue that treats its messages as any other does.
    pub(super) fn of(settings: &QueueSettings) -> Option<Self> {
        let rules = Self {
            ttl: settings.message_ttl,
            max_length: settings.max_length,
            max_bytes: settings.max_length_bytes,
            overflow: settings.overflow,
            delivery_limit: settings.delivery_limit,
            // a single level is a plain queue
            max_priority: settings.max_priority.filter(|&max| max > 0),
            deduplicates: settings.deduplication.on,
        };
        // without a length there is nothing that could overflow
        let unbounded = Self { overflow: Overflow::default(), ..rules } == Self::default();
        (!unbounded).then_some(rules)
    }

    /// When a message that comes now expires: the smaller of the queue's and its own time counts (RabbitMQ:
    /// TTL). Never is [`Instant::FAR`].
    pub(super) fn deadline(&self, terms: Terms, now: Instant) -> Instant {
        let own = terms.expiration_ms().map(Duration::from_millis);
        let ttl = [self.ttl, own].into_iter().flatten().min();
        ttl.map_or(Instant::FAR, |ttl| now + ttl)
    }

    /// Its level: the lowest without priorities; a higher one than the queue tells apart is its highest
    /// (RabbitMQ: priority queues).
    pub(super) fn level(&self, terms: Terms) -> u8 {
        self.max_priority.map_or(0, |max| terms.priority().min(max))
    }

    /// So many ready messages and bytes are more than the queue may have.
    pub(super) fn is_over(&self, messages: u64, bytes: u64) -> bool {
        self.max_length.is_some_and(|max| messages > max) || self.max_bytes.is_some_and(|max| bytes > max)
    }

    /// The queue has no room for any message, whoever waits for it (RabbitMQ counts before it looks for a
    /// consumer).
    pub(super) fn takes_none(&self) -> bool {
        self.max_length == Some(0)
    }

    /// It has been returned so often that it may not be delivered again.
    pub(super) fn is_spent(&self, returns: u32) -> bool {
        self.delivery_limit.is_some_and(|limit| u64::from(returns) > limit)
    }

    /// A message's returns are counted.
    pub(super) fn counts_returns(&self) -> bool {
        self.delivery_limit.is_some()
    }
}
