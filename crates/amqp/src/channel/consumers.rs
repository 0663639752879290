//! The consumers of one channel: tag to number and back.
//!
//! Invariant: entries rise by number (numbers are drawn in order and never reused), so a delivery finds its
//! consumer by binary search. By tag is a scan: only consume and cancel need it.

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

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Consumers(Vec<Consumer>);

impl Consumers {
    /// The consumer with that number. hot.
    pub(crate) fn get(&self, number: ConsumerNumber) -> Option<&Consumer> {
        let at = self.0.binary_search_by_key(&number, |consumer| consumer.number).ok()?;
        Some(&self.0[at])
    }

    /// The consumer with that tag.
    pub(crate) fn by_tag(&self, tag: &str) -> Option<&Consumer> {
        self.0.iter().find(|consumer| &*consumer.tag == tag)
    }

    /// One more; its number is above all earlier ones.
    pub(crate) fn add(&mut self, consumer: Consumer) {
        self.0.push(consumer);
    }

    /// Forgets one.
    pub(crate) fn remove(&mut self, number: ConsumerNumber) -> Option<Consumer> {
        let at = self.0.binary_search_by_key(&number, |consumer| consumer.number).ok()?;
        Some(self.0.remove(at))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = ConsumerNumber> {
        self.0.iter().map(|consumer| consumer.number)
    }
}
