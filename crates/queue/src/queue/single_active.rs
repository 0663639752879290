//! Which consumer of a queue with `x-single-active-consumer` is served.
//!
//! The active one stays so until it ends; then the one with the highest priority follows, of equals the one
//! that came first (RabbitMQ, classic queues: a higher priority that comes later does not take over). What the
//! one before still holds does not keep the next one waiting.

use alloc::collections::BTreeSet;
use core::cmp::Reverse;

/// Where a consumer stands among those that wait; in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) priority: Reverse<i32>,
    /// Counts the consumers that came.
    pub(super) came: u64,
    pub(super) index: u32,
}

/// The active consumer, by its index, and those that wait.
#[derive(Debug, Default)]
pub(super) struct SingleActive {
    active: Option<u32>,
    waiting: BTreeSet<Place>,
}

impl SingleActive {
    pub(super) fn is_active(&self, index: u32) -> bool {
        self.active == Some(index)
    }

    /// A consumer comes, or is back after [`SingleActive::step_back`].
    pub(super) fn join(&mut self, place: Place) {
        match self.active {
            None => self.active = Some(place.index),
            Some(active) if active == place.index => {}
            Some(_) => {
                self.waiting.insert(place);
            }
        }
    }

    /// A consumer is about to join with other terms; the active one stays so.
    pub(super) fn step_back(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// A consumer ends. Gives the one that follows, if it was the active one.
    pub(super) fn leave(&mut self, place: Place) -> Option<u32> {
        if self.active != Some(place.index) {
            self.waiting.remove(&place);
            return None;
        }
        self.active = self.waiting.pop_first().map(|next| next.index);
        self.active
    }
}
