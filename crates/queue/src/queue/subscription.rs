//! How a consumer comes to a queue, and what bounds the deliveries under way to it.

use leveret_model::{ConsumerKey, ConsumerTerms, Unread};

/// What bounds the deliveries under way to a consumer, beside its prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The room in its connection's output, which [`Egress`](super::Egress) knows: a consumer of this shard.
    Output,
    /// So much, until [`Queue::credit`](super::Queue::credit) opens it again: a consumer elsewhere.
    Credit {
        /// Messages under way at most.
        messages: u32,
        /// Bytes under way at which it closes.
        bytes: u64,
    },
}

/// A consumer that comes to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Who.
    pub key: ConsumerKey,
    /// How; a prefetch of 0 is no limit.
    pub terms: ConsumerTerms,
    /// What bounds the deliveries under way.
    pub window: Window,
}

/// Why a consumer is refused. The queue is as it was; the client gets 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeRefused {
    /// Another consumer is exclusive.
    #[error("queue has an exclusive consumer")]
    Exclusive,
    /// It wants to be the only one and is not.
    #[error("exclusive use refused, queue has other consumers")]
    NotAlone,
    /// One consumer of this queue is served at a time anyway (RabbitMQ: x-single-active-consumer).
    #[error("exclusive use refused, queue has a single active consumer")]
    SingleActive,
}

/// An open window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    messages: u32,
    /// Below zero after a message that was larger than what was left.
    bytes: i64,
    messages_max: u32,
    bytes_max: i64,
}

impl Credit {
    /// All of it but what is in use.
    pub(super) fn new(messages: u32, bytes: u64, unread: Unread) -> Self {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let unread_bytes = i64::try_from(unread.bytes).unwrap_or(i64::MAX);
        Self {
            messages: messages.saturating_sub(unread.messages),
            bytes: bytes.saturating_sub(unread_bytes),
            messages_max: messages,
            bytes_max: bytes,
        }
    }

    /// So much of it opens again.
    pub(super) fn open(&mut self, messages: u32, bytes: u64) {
        self.messages = self.messages.saturating_add(messages).min(self.messages_max);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.bytes = self.bytes.saturating_add(bytes).min(self.bytes_max);
    }

    /// A message of so many bytes is under way. hot.
    #[inline]
    pub(super) fn spend(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes as i64;
    }

    /// Open as far as bytes go. hot.
    #[inline]
    pub(super) fn has_bytes(&self) -> bool {
        self.bytes > 0
    }

    /// Messages that may go.
    pub(super) fn messages(&self) -> u32 {
        if self.has_bytes() { self.messages } else { 0 }
    }
}
