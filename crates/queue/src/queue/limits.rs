//! What a queue does to messages beside handing them out: it refuses, expires and drops them.
//!
//! The queue has no clock: each call that may let a message expire is told the time. The shard asks
//! [`Queue::next_deadline`] after each turn of a queue that [`Queue::is_ruled`], and gives it a turn at that
//! time ([`Queue::call`]).

use alloc::vec::Vec;

use leveret_model::limits::TURN_DISPATCH_MAX;
use leveret_model::{Instant, Position, Terms};

use super::ready::Entry;
use super::rules::Departure;
use super::{MessageRef, Queue};

impl Queue {
    /// A message that is not for [`Queue::append`]; the queue takes over one of its references. `None` if the
    /// queue refuses it, because it is at its length: then it is among the departures.
    pub fn append_ruled(
        &mut self,
        message: MessageRef,
        body_bytes: usize,
        terms: Terms,
        now: Instant,
    ) -> Option<Position> {
        let entry = Entry { message, body_bytes: body_bytes as u32 };
        let Self { ready, consumers, .. } = self;
        if let Some(ruled) = ready.ruled_mut()
            && ruled.refuses(entry.body_bytes, |messages| consumers.could_take(messages))
        {
            ruled.refuse(entry);
            return None;
        }
        Some(ready.append_ruled(entry, terms, now, self.seed.part(2)))
    }

    /// The queue has rules, or messages that expire: the shard takes its departures after each turn of it, and
    /// asks when it is to have the next.
    #[inline]
    #[must_use]
    pub fn is_ruled(&self) -> bool {
        self.ready.ruled().is_some()
    }

    /// When a message at a head expires; [`Instant::FAR`] if none does.
    #[must_use]
    pub fn next_deadline(&mut self) -> Instant {
        self.ready.ruled_in_front().map_or(Instant::FAR, |ruled| ruled.next_deadline())
    }

    /// It is time: [`Queue::touch`] lists the queue.
    pub fn call(&mut self) {
        if let Some(ruled) = self.ready.ruled_mut() {
            ruled.touched = true;
        }
    }

    /// What left since the last time, in order.
    pub fn take_departures(&mut self) -> Vec<Departure> {
        self.ready.ruled_mut().map(super::ruled::Ruled::take_departures).unwrap_or_default()
    }

    /// What is expired or over the length leaves now, up to the bound of a turn, unless consumers may be about
    /// to take it: what a count or a get is to see.
    pub fn enforce(&mut self, now: Instant) {
        if self.consumers.awake() == 0
            && let Some(ruled) = self.ready.ruled_in_front()
        {
            ruled.enforce(now, TURN_DISPATCH_MAX);
        }
    }

    /// See [`Ruled::touched`](super::ruled::Ruled). hot.
    #[inline]
    pub(super) fn is_ruled_touched(&self) -> bool {
        self.ready.ruled().is_some_and(|ruled| ruled.touched)
    }
}
