//! The deliveries that a channel holds until the client settles them, by delivery tag.
//!
//! Invariants: tags rise from front to back; an entry that was settled out of order stays as a hole until it
//! reaches an end or the holes are the larger half, so each settle costs O(log n) and the table stays within
//! twice of what is held.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use leveret_model::limits::UNACKED_HOLES_FREE;
use leveret_model::{DeliveryTag, Held, Instant};

use super::ages::Ages;

/// One delivery; `held` is empty in a hole.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: DeliveryTag,
    held: Option<Held>,
}

/// What a channel holds.
#[derive(Debug, Default)]
pub(crate) struct Unacked {
    entries: VecDeque<Entry>,
    holes: usize,
    /// Since when they are held, about; none before anybody asked.
    ages: Option<Box<Ages>>,
}

impl Unacked {
    /// Remembers a delivery; its tag is above all earlier ones. hot.
    pub(crate) fn hold(&mut self, tag: DeliveryTag, held: Held) {
        self.entries.push_back(Entry { tag, held: Some(held) });
    }

    /// All that is held, in the order of the tags.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Held> + '_ {
        self.entries.iter().filter_map(|entry| entry.held)
    }

    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.holes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one out. hot.
    pub(crate) fn take(&mut self, tag: DeliveryTag) -> Option<Held> {
        // the common case: the client settles in order
        if self.holes == 0 && self.entries.front()?.tag == tag {
            return self.take_first();
        }
        let at = self.find(tag)?;
        let held = self.entries[at].held.take()?;
        self.holes += 1;
        self.tidy();
        Some(held)
    }

    /// The oldest one, and for how long it is held at least, as far as this was asked before. The last delivery
    /// was `last`.
    pub(crate) fn oldest(&mut self, now: Instant, last: DeliveryTag) -> Option<(Held, Duration)> {
        let Some((oldest, held)) = self.entries.iter().find_map(|entry| Some((entry.tag, entry.held?)))
        else {
            self.ages = None;
            return None;
        };
        let age = self.ages.get_or_insert_with(Box::default).look(now, oldest, last);
        Some((held, age))
    }

    /// True if `tag` is held.
    pub(crate) fn contains(&self, tag: DeliveryTag) -> bool {
        self.find(tag).is_some_and(|at| self.entries[at].held.is_some())
    }

    /// Takes out the first one, in order of tags. hot.
    pub(crate) fn take_first(&mut self) -> Option<Held> {
        self.take_first_through(DeliveryTag(u64::MAX))
    }

    /// Takes out the first one if its tag is not above `last`. hot.
    pub(crate) fn take_first_through(&mut self, last: DeliveryTag) -> Option<Held> {
        while let Some(front) = self.entries.front()
            && front.tag <= last
        {
            let entry = self.entries.pop_front()?;
            match entry.held {
                Some(held) => {
                    self.release();
                    return Some(held);
                }
                None => self.holes -= 1,
            }
        }
        None
    }

    /// Takes out the first one, with its tag, if that is not above `last`.
    pub(crate) fn take_first_tagged(&mut self, last: DeliveryTag) -> Option<(DeliveryTag, Held)> {
        // holes in front are left behind by nobody but the last settle out of order
        let tag = self.entries.iter().find(|entry| entry.held.is_some())?.tag;
        (tag <= last).then(|| self.take_first_through(tag)).flatten().map(|held| (tag, held))
    }

    /// Holds deliveries again that were taken out.
    pub(crate) fn hold_again(&mut self, deliveries: impl Iterator<Item = (DeliveryTag, Held)>) {
        let before = self.entries.len();
        self.entries.extend(deliveries.map(|(tag, held)| Entry { tag, held: Some(held) }));
        if self.entries.len() > before {
            self.entries.retain(|entry| entry.held.is_some());
            self.holes = 0;
            self.entries.make_contiguous().sort_by_key(|entry| entry.tag);
        }
    }

    fn find(&self, tag: DeliveryTag) -> Option<usize> {
        self.entries.binary_search_by_key(&tag, |entry| entry.tag).ok()
    }

    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.held.is_none()) {
            self.entries.pop_front();
            self.holes -= 1;
        }
        while self.entries.back().is_some_and(|entry| entry.held.is_none()) {
            self.entries.pop_back();
            self.holes -= 1;
        }
        if self.holes > UNACKED_HOLES_FREE && self.holes > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.held.is_some());
            self.holes = 0;
        }
        self.release();
    }

    /// Gives a large table back once it is empty: an idle channel keeps no buffer.
    fn release(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > UNACKED_HOLES_FREE {
            self.entries = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use leveret_model::QueueHandle;
    use leveret_model::{ConsumerNumber, Position};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn held(position: u64) -> Held {
        Held { queue: QueueHandle::default(), position: Position(position), consumer: ConsumerNumber(1) }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map(operations in proptest::collection::vec((0u8..5, 0u64..300), 0..600)) {
            let (mut unacked, mut map) = (Unacked::default(), BTreeMap::new());
            let mut next = 1;
            for (kind, tag) in operations {
                match kind {
                    0..3 => {
                        unacked.hold(DeliveryTag(next), held(next));
                        map.insert(next, held(next));
                        next += 1 + tag % 2;
                    }
                    3 => {
                        prop_assert_eq!(unacked.contains(DeliveryTag(tag)), map.contains_key(&tag));
                        prop_assert_eq!(unacked.take(DeliveryTag(tag)), map.remove(&tag));
                    }
                    _ => {
                        let last = DeliveryTag(tag / 3);
                        let mut taken = Vec::new();
                        while let Some(one) = unacked.take_first_through(last) {
                            taken.push(one);
                        }
                        let rest = map.split_off(&(last.0 + 1));
                        prop_assert_eq!(taken, map.into_values().collect::<Vec<_>>());
                        map = rest;
                    }
                }
                prop_assert_eq!(unacked.len(), map.len());
            }
        }
    }
}
