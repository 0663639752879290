//! What happened to the messages of a queue at this home.
//!
//! No message pays for it on its way through: what each would have to count is taken from numbers that are
//! there anyway (places, deliveries of a turn, what is held), and only what is rare is counted where it
//! happens.

use leveret_model::Position;

use super::rules::{Cause, Departure};

/// Numbers since the queue came to this home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that joined the queue, at its earlier homes too.
    pub published: u64,
    /// Messages given to consumers and to `basic.get`, each time that they were.
    pub delivered: u64,
    /// Of these, those that had been given before.
    pub redelivered: u64,
    /// Messages that a client has for good: acknowledged, or delivered without acks.
    pub acked: u64,
    /// Messages that came back to their place.
    pub requeued: u64,
    /// Messages that a client did not want.
    pub rejected: u64,
    /// Messages whose time ended.
    pub expired: u64,
    /// Messages dropped because the queue was over its length.
    pub over_length: u64,
    /// Messages that came back more often than the queue allows.
    pub returned_too_often: u64,
    /// Publishes that the queue refused at its length.
    pub refused: u64,
    /// Messages that a purge dropped.
    pub purged: u64,
}

/// What is counted where it happens.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counted: QueueCounts,
    /// Deliveries that clients held already when the queue came to this home.
    taken_over: u64,
}

impl Counts {
    /// A turn, or a get, gave so many messages away. hot: once a turn.
    #[inline]
    pub(super) fn deliver(&mut self, messages: usize) {
        self.counted.delivered += messages as u64;
    }

    pub(super) fn redeliver(&mut self, redelivered: bool) {
        self.counted.redelivered += u64::from(redelivered);
    }

    pub(super) fn requeue(&mut self, messages: usize) {
        self.counted.requeued += messages as u64;
    }

    pub(super) fn reject(&mut self) {
        self.counted.rejected += 1;
    }

    pub(super) fn purge(&mut self, messages: u64) {
        self.counted.purged += messages;
    }

    pub(super) fn take_over_held(&mut self) {
        self.taken_over += 1;
    }

    pub(super) fn depart(&mut self, departures: &[Departure]) {
        for departure in departures {
            let counter = match departure.cause {
                Cause::Expired => &mut self.counted.expired,
                Cause::MaxLength => &mut self.counted.over_length,
                Cause::Rejected => &mut self.counted.rejected,
                Cause::DeliveryLimit => &mut self.counted.returned_too_often,
                Cause::Refused => &mut self.counted.refused,
            };
            *counter += 1;
        }
    }

    /// All of them; `next` is the place of the next message, `unacked` what clients hold.
    pub(super) fn all(&self, next: Position, unacked: u64) -> QueueCounts {
        let Self { counted, taken_over } = self;
        let given = counted.delivered + taken_over;
        let not_acked = counted.requeued + counted.rejected + unacked;
        // places begin at 1
        QueueCounts { published: next.0 - 1, acked: given.saturating_sub(not_acked), ..*counted }
    }
}
