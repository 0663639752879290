//! What a queue does to messages beside handing them out: it refuses, expires and drops them.
//!
//! The queue has no clock: each call that may let a message expire is told the time. After each turn of a queue
//! that [`Queue::is_ruled`] the shard takes what left, and asks for the next deadline; when that is due,
//! [`Queue::on_time`] has the queue listed for another turn.

use alloc::vec::Vec;

use leveret_model::limits::TURN_DISPATCH_MAX;
use leveret_model::settings::QueueSettings;
use leveret_model::{Instant, Position, Terms};

use super::counts::QueueCounts;
use super::entry::Entry;
use super::rules::{Departure, Rules};
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
        let refuses = ready.refuses(entry.body_bytes, |messages| consumers.could_take(messages));
        if let Some(ruled) = ready.ruled_mut().filter(|_| refuses) {
            ruled.refuse(entry);
            return None;
        }
        Some(ready.append_ruled(entry, terms, now, self.seed.part(2)))
    }

    /// The queue has rules, or messages that expire.
    #[inline]
    #[must_use]
    pub fn is_ruled(&self) -> bool {
        self.ready.ruled().is_some()
    }

    /// When a message at a head expires; [`Instant::FAR`] if none does.
    #[must_use]
    pub fn message_deadline(&self) -> Instant {
        if self.ready.plain_len() > 0 {
            return Instant::FAR;
        }
        self.ready.ruled().map_or(Instant::FAR, super::ruled::Ruled::next_deadline)
    }

    /// Messages may be due: [`Queue::touch`] lists the queue.
    pub(super) fn call(&mut self) {
        if let Some(ruled) = self.ready.ruled_mut() {
            ruled.touched = true;
        }
    }

    /// What left since the last time, in order.
    pub fn take_departures(&mut self) -> Vec<Departure> {
        let departures = self.ready.ruled_mut().map(super::ruled::Ruled::take_departures).unwrap_or_default();
        self.counts.depart(&departures);
        departures
    }

    /// What happened to the messages of the queue at this home.
    #[must_use]
    pub fn counts(&self) -> QueueCounts {
        self.counts.all(self.next_position(), self.unacked())
    }

    /// What is expired or over the length leaves now, up to the bound of a turn, unless consumers may be about
    /// to take it: what a count or a get is to see.
    pub fn enforce(&mut self, now: Instant) {
        if self.consumers.awake() == 0 {
            self.ready.enforce(now, TURN_DISPATCH_MAX);
        }
    }

    /// The settings are others now, because the queue's policy is. What is there follows at once: what is over
    /// a shorter length leaves in the next turn, and an unused queue's time begins anew (RabbitMQ:
    /// process_policy). A time to live counts for messages that come, a delivery limit for deliveries of these.
    /// Priorities and the single active consumer are the declaration's, which no policy changes.
    pub fn set_settings(&mut self, settings: &QueueSettings, now: Instant) {
        self.ready.set_rules(Rules::of(settings), self.seed.part(2));
        self.lifetime.set_expires(settings.expires, now, self.consumers.subscribed());
    }

    /// See [`Ruled::touched`](super::ruled::Ruled). hot.
    #[inline]
    pub(super) fn is_ruled_touched(&self) -> bool {
        self.ready.ruled().is_some_and(|ruled| ruled.touched)
    }
}
