//! First deliveries come in publish order per publishing channel, queue and consumer.
//!
//! Judged as deliveries come, in `Oracle::delivered`: the numbers that one consumer sees of one publishing channel rise,
//! `redelivered` ones left out. What is requeued goes to its old place in front: judged in `Channel::on_message` where a
//! lone consumer that held all of its prefetch gave one back. Here is what can be judged at the end.

use std::collections::BTreeMap;

use leveret_model::Instant;

use crate::oracle::Oracle;

/// The last first delivery of each publisher that each consumer saw.
#[derive(Debug, Default)]
pub(crate) struct Order {
    last: BTreeMap<(u32, u32), u64>,
}

impl Order {
    /// Notes a first delivery; answers the number before it if that was not smaller.
    pub(crate) fn note(&mut self, consumer: u32, publisher: u32, number: u64) -> Option<u64> {
        let last = self.last.insert((consumer, publisher), number).unwrap_or(0);
        (number <= last).then_some(last)
    }
}

/// How many pairs of consumer and publisher were judged: an order over nothing proves nothing.
pub(crate) fn judged(oracle: &Oracle) -> usize {
    oracle.order.last.len()
}

/// A run in which nobody consumed from anybody judged nothing.
pub(crate) fn check(now: Instant, oracle: &mut Oracle) {
    if judged(oracle) == 0 {
        oracle.violation(now, "order", "no consumer ever saw a message: nothing was judged".into());
    }
}
