//! How long the oldest delivery of a channel is held (RabbitMQ: delivery acknowledgement timeout).
//!
//! Only the oldest delivery of a channel is looked at, as RabbitMQ does, and no delivery keeps a time: a
//! channel that holds some when its connection looks ([`Ages::look`]) notes the last delivery tag and when that
//! was. The first note that is not below the oldest tag tells since when at least that one is held.
//!
//! Invariants: notes rise in tag and in time; there are no more than [`NOTES_MAX`]; a channel that holds
//! nothing keeps none.

use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::limits::ACK_AGE_NOTES_MAX as NOTES_MAX;
use leveret_model::{DeliveryTag, Instant};

/// How long deliveries of one channel are held, about.
#[derive(Debug, Default)]
pub(super) struct Ages(Vec<(DeliveryTag, Instant)>);

impl Ages {
    /// `oldest` is held now, and the last delivery was `last`. Gives how long `oldest` is held at least.
    pub(super) fn look(&mut self, now: Instant, oldest: DeliveryTag, last: DeliveryTag) -> Duration {
        let below = self.0.partition_point(|(tag, _)| *tag < oldest);
        self.0.drain(..below);
        if self.0.last().is_none_or(|(tag, _)| *tag < last) {
            if self.0.len() == NOTES_MAX {
                // the ages in between are known less well; the oldest stays
                let mut at = 0;
                self.0.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
            }
            self.0.push((last, now));
        }
        self.0.first().map_or(Duration::ZERO, |(_, since)| now.since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn at(s: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(s)
    }

    #[test]
    fn a_delivery_is_as_old_as_the_first_look_that_met_it() {
        let mut ages = Ages::default();
        assert_eq!(ages.look(at(10), DeliveryTag(1), DeliveryTag(3)), Duration::ZERO);
        assert_eq!(ages.look(at(20), DeliveryTag(2), DeliveryTag(7)), Duration::from_secs(10));
        assert_eq!(ages.look(at(30), DeliveryTag(4), DeliveryTag(7)), Duration::from_secs(10));
        assert_eq!(ages.look(at(40), DeliveryTag(8), DeliveryTag(8)), Duration::ZERO);
    }

    proptest! {
        /// Never older than it is, and with room for all notes at most one look younger.
        #[test]
        fn no_delivery_is_thought_to_be_older_than_it_is(
            steps in proptest::collection::vec((0..4_u64, 0..4_usize), 1..200)
        ) {
            let (mut ages, mut held, mut last) = (Ages::default(), VecDeque::new(), 0);
            for (second, (delivered, settled)) in (1_u64..).zip(steps) {
                for _ in 0..delivered {
                    last += 1;
                    held.push_back((DeliveryTag(last), second));
                }
                held.drain(..settled.min(held.len()));
                if let Some((oldest, since)) = held.front() {
                    let age = ages.look(at(second), *oldest, DeliveryTag(last)).as_secs();
                    prop_assert!(age <= second - since);
                    prop_assert!(ages.0.len() <= NOTES_MAX);
                    if second < NOTES_MAX as u64 {
                        prop_assert_eq!(age, second - since);
                    }
                } else {
                    ages = Ages::default();
                }
            }
        }
    }
}
