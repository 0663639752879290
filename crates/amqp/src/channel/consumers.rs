//! The consumers of one channel: tag to number and back.
//!
//! Invariant: entries rise by number (numbers are drawn in order and never reused), so a delivery finds its
//! consumer by binary search. By tag is a scan: only consume and cancel need it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::{ConsumerNumber, Name};

/// A consumer of this channel.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) number: ConsumerNumber,
    pub(crate) tag: Name,
    pub(crate) no_ack: bool,
    /// For how long it may hold a delivery, if it said so (`x-consumer-timeout`).
    pub(crate) ack_timeout: Option<Duration>,
}

/// A channel's consumer of replies (direct reply-to), which is among the others too.
#[derive(Debug)]
pub(crate) struct ReplyConsumer {
    pub(crate) number: ConsumerNumber,
    /// The routing key of its replies.
    pub(crate) address: Name,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    all: Vec<Consumer>,
    /// A box, because few channels have one.
    replies: Option<Box<ReplyConsumer>>,
}

impl Consumers {
    /// The consumer with that number. hot.
    pub(crate) fn get(&self, number: ConsumerNumber) -> Option<&Consumer> {
        let at = self.all.binary_search_by_key(&number, |consumer| consumer.number).ok()?;
        Some(&self.all[at])
    }

    /// The consumer with that tag.
    pub(crate) fn by_tag(&self, tag: &str) -> Option<&Consumer> {
        self.all.iter().find(|consumer| &*consumer.tag == tag)
    }

    /// One more; its number is above all earlier ones.
    pub(crate) fn add(&mut self, consumer: Consumer) {
        self.all.push(consumer);
    }

    /// Forgets one.
    pub(crate) fn remove(&mut self, number: ConsumerNumber) -> Option<Consumer> {
        let at = self.all.binary_search_by_key(&number, |consumer| consumer.number).ok()?;
        Some(self.all.remove(at))
    }

    /// The consumer of replies.
    pub(crate) fn replies(&self) -> Option<&ReplyConsumer> {
        self.replies.as_deref()
    }

    /// There is another consumer of replies, or none any more.
    pub(crate) fn set_replies(&mut self, replies: Option<ReplyConsumer>) {
        self.replies = replies.map(Box::new);
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = ConsumerNumber> {
        self.all.iter().map(|consumer| consumer.number)
    }
}
