//! The end of a turn: ready messages go to consumers that can take them.
//!
//! Read first: [`Queue::dispatch`]. A consumer that stands alone in its line is served in one run without being looked
//! up again; several take turns, one message each.

use leveret_model::{ConsumerKey, Position};

use super::{Queue, Unacked};
use crate::{Arena, StoredMessage};

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// On its way.
    Taken,
    /// Not taken: no room. The consumer is left alone until [`Queue::wake`], which the other side now owes.
    Full,
    /// Not taken: nobody is there. The consumer ends.
    Gone,
}

/// Where deliveries go.
pub trait Egress {
    /// Takes a message for a consumer, or not. hot.
    fn deliver(
        &mut self,
        consumer: &ConsumerKey,
        no_ack: bool,
        position: Position,
        redelivered: bool,
        message: StoredMessage<'_>,
    ) -> Delivered;
}

/// What a dispatch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchOutcome {
    /// Messages delivered.
    pub delivered: usize,
    /// Only the budget ended it: the queue stays on the shard's list, and is dispatched again in the next turn.
    pub more: bool,
}

/// Why a run of deliveries to one consumer ended.
enum RunEnd {
    /// As many as asked for, or no message is left, or its window has closed.
    Enough,
    /// Its output is full.
    Full,
    /// It is gone.
    Gone,
}

impl Queue {
    /// There are ready messages, and somebody who can take one.
    #[must_use]
    pub fn wants_dispatch(&self) -> bool {
        self.consumers.awake() > 0 && self.ready.len() > 0
    }

    /// Delivers up to `budget` messages. hot: end of turn.
    pub fn dispatch<E: Egress>(
        &mut self,
        budget: usize,
        arena: &mut Arena,
        egress: &mut E,
    ) -> DispatchOutcome {
        let mut left = budget;
        // nobody wakes up during a dispatch, so a line that was passed stays empty
        let mut line = 0;
        while left > 0 && self.ready.len() > 0 {
            let Some((number, consumer, alone)) = self.consumers.first_awake(line) else { break };
            line = number;
            let (delivered, end) = self.run(consumer, if alone { left } else { 1 }, arena, egress);
            left -= delivered;
            match end {
                RunEnd::Enough => self.consumers.next_turn(line, false),
                RunEnd::Full => self.consumers.next_turn(line, true),
                RunEnd::Gone => {
                    self.consumers.unsubscribe(consumer);
                }
            }
        }
        self.ready.shrink();
        self.listed = self.wants_dispatch();
        DispatchOutcome { delivered: budget - left, more: self.listed }
    }

    /// Delivers up to `most` messages to one consumer. hot.
    fn run<E: Egress>(
        &mut self,
        index: u32,
        most: usize,
        arena: &mut Arena,
        egress: &mut E,
    ) -> (usize, RunEnd) {
        let Self { ready, unacked, consumers, .. } = self;
        let consumer = consumers.at_mut(index);
        let most = most.min(consumer.quota() as usize);
        let (no_ack, metered) = (consumer.no_ack, consumer.is_metered());
        let mut delivered = 0;
        while delivered < most {
            let Some((position, entry, redelivered)) = ready.front() else { break };
            let message = arena.get(entry.message);
            let weight = if metered { message.weight_bytes() } else { 0 };
            match egress.deliver(&consumer.key, no_ack, position, redelivered, message) {
                Delivered::Taken => {}
                Delivered::Full => return (delivered, RunEnd::Full),
                Delivered::Gone => return (delivered, RunEnd::Gone),
            }
            delivered += 1;
            ready.pop_front(redelivered);
            if no_ack {
                arena.release(entry.message);
            } else {
                consumer.unacked += 1;
                unacked.insert(position, Unacked { entry, consumer: index });
            }
            if metered && !consumer.spend(weight) {
                break;
            }
        }
        (delivered, RunEnd::Enough)
    }
}
