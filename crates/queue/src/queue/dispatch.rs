//! The end of a turn: ready messages go to consumers that can take them.
//!
//! Read first: [`Queue::dispatch`]. A consumer that stands alone in its line is served in one run without being
//! looked up again; several take turns, one message each.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::{ConsumerKey, Instant, Message, Paused, Position};

use super::consumer::Consumer;
use super::entry::Entry;
use super::rules::Cause;
use super::{Queue, Unacked};
use crate::Arena;

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// On its way.
    Taken,
    /// Not taken. The consumer is left alone until [`Queue::wake`], which the other side now owes.
    Paused(Paused),
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
        message: Message<'_>,
    ) -> Delivered;
}

/// What a dispatch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchOutcome {
    /// Messages delivered.
    pub delivered: usize,
    /// Messages that expired, or were over the length.
    pub dropped: usize,
    /// Only the budget ended it: the queue stays on the shard's list, and is dispatched again in the next turn.
    /// A queue whose next message is to be read from the disk has no more.
    pub more: bool,
}

/// Why a run of deliveries to one consumer ended.
enum RunEnd {
    /// As many as asked for, or no more in one piece, or its window has closed.
    Enough,
    /// It takes no more for now.
    Paused,
    /// It is gone.
    Gone,
}

impl Queue {
    /// There are ready messages, and somebody who can take one.
    #[must_use]
    pub fn wants_dispatch(&self) -> bool {
        self.consumers.awake() > 0 && self.ready.len() > 0
    }

    /// Delivers up to `budget` messages; what expires or is over the length counts too. hot: end of turn.
    pub fn dispatch<E: Egress>(
        &mut self,
        budget: usize,
        now: Instant,
        arena: &mut Arena,
        egress: &mut E,
    ) -> DispatchOutcome {
        let plain = if self.paged { self.plain_here(budget, arena) } else { budget };
        let mut left = plain;
        // nobody wakes up during a dispatch, so a line that was passed stays empty
        let mut line = 0;
        while left > 0 && self.ready.plain_len() > 0 {
            let Some((number, consumer, alone)) = self.consumers.first_awake(line) else { break };
            line = number;
            let (delivered, end) = if alone {
                self.run(consumer, left, arena, egress)
            } else {
                self.one(consumer, arena, egress)
            };
            left -= delivered;
            match end {
                RunEnd::Enough => self.consumers.next_turn(line, false),
                RunEnd::Paused => self.consumers.next_turn(line, true),
                RunEnd::Gone => {
                    self.consumers.unsubscribe(consumer);
                }
            }
        }
        self.ready.shrink();
        let delivered = plain - left;
        if self.is_ruled() {
            let outcome = self.dispatch_ruled(delivered, budget - delivered, now, arena, egress);
            self.counts.deliver(outcome.delivered);
            return outcome;
        }
        self.counts.deliver(delivered);
        self.listed = self.wants_dispatch() && !(self.paged && self.front_waits(arena));
        DispatchOutcome { delivered, dropped: 0, more: self.listed }
    }

    /// The same of messages under rules, one at a time.
    #[inline(never)]
    fn dispatch_ruled<E: Egress>(
        &mut self,
        mut delivered: usize,
        mut left: usize,
        now: Instant,
        arena: &mut Arena,
        egress: &mut E,
    ) -> DispatchOutcome {
        let (mut dropped, mut line) = (0, 0);
        while left > 0
            && let Some(ruled) = self.ready.ruled_in_front()
        {
            // one that came in this turn with a time to live of 0 is still delivered if somebody can take it
            // (RabbitMQ: TTL 0 is "deliver now or expire")
            if ruled.is_first_late(now) {
                ruled.drop_first(Cause::Expired);
                dropped += 1;
                left -= 1;
                continue;
            }
            let Some(item) = ruled.first().copied() else { break };
            if self.paged && arena.is_paged_out(item.entry.message) {
                break;
            }
            let Some((number, index, _)) = self.consumers.first_awake(line) else { break };
            line = number;
            let Self { ready, unacked, unacked_bytes, consumers, counts, .. } = self;
            let consumer = consumers.at_mut(index);
            let mut run = Run { consumer, index, unacked, unacked_bytes, arena, egress };
            match run.deliver_apart(item.position, item.entry, item.redelivered) {
                Ok(()) => {
                    counts.redeliver(item.redelivered);
                    let held = !run.consumer.no_ack;
                    if let Some(ruled) = ready.ruled_in_front() {
                        ruled.take_first(held);
                    }
                    delivered += 1;
                    left -= 1;
                    self.consumers.next_turn(line, false);
                }
                Err(RunEnd::Gone) => {
                    self.consumers.unsubscribe(index);
                }
                Err(RunEnd::Paused | RunEnd::Enough) => self.consumers.next_turn(line, true),
            }
        }
        // nobody is there to take what is left, so it counts, and its time counts
        if self.consumers.awake() == 0 {
            let enforced = self.ready.enforce(now, left);
            dropped += enforced;
            left -= enforced;
        }
        self.ready.end_ruled();
        if left == 0 {
            // more may be to drop
            self.call();
        }
        let waits = self.paged && self.front_waits(arena);
        self.listed = (self.wants_dispatch() && !waits) || self.is_ruled_touched();
        DispatchOutcome { delivered, dropped, more: self.listed }
    }

    /// Delivers one message to a consumer whose turn it is. hot.
    fn one<E: Egress>(&mut self, index: u32, arena: &mut Arena, egress: &mut E) -> (usize, RunEnd) {
        let Self { ready, unacked, unacked_bytes, consumers, counts, .. } = self;
        let Some((position, entry, redelivered)) = ready.first() else { return (0, RunEnd::Enough) };
        let mut run = Run { consumer: consumers.at_mut(index), index, unacked, unacked_bytes, arena, egress };
        if let Err(end) = run.deliver_apart(position, entry, redelivered) {
            return (0, end);
        }
        counts.redeliver(redelivered);
        ready.take_first();
        (1, RunEnd::Enough)
    }

    /// Delivers up to `most` messages to one consumer. hot.
    fn run<E: Egress>(
        &mut self,
        index: u32,
        most: usize,
        arena: &mut Arena,
        egress: &mut E,
    ) -> (usize, RunEnd) {
        let Self { ready, unacked, unacked_bytes, consumers, counts, .. } = self;
        let consumer = consumers.at_mut(index);
        let most = most.min(consumer.quota() as usize);
        let mut run = Run { consumer, index, unacked, unacked_bytes, arena, egress };
        let mut delivered = 0;
        while delivered < most
            && let Some((position, entry, true)) = ready.first()
        {
            if let Err(end) = run.deliver_apart(position, entry, true) {
                return (delivered, end);
            }
            delivered += 1;
            counts.redeliver(true);
            ready.take_first();
            if !run.consumer.has_bytes() {
                return (delivered, RunEnd::Enough);
            }
        }
        let first = ready.first_fresh().0;
        let (mut taken, mut end) = (0, RunEnd::Enough);
        // this is the loop of the hot path: nothing but the entry and its number
        for entry in ready.fresh().iter().take(most - delivered) {
            if let Err(refused) = run.deliver(Position(first + taken as u64), *entry, false) {
                end = refused;
                break;
            }
            taken += 1;
            if !run.consumer.has_bytes() {
                break;
            }
        }
        ready.drop_fresh(taken);
        (delivered + taken, end)
    }
}

/// A run of deliveries to one consumer.
struct Run<'a, E> {
    consumer: &'a mut Consumer,
    index: u32,
    unacked: &'a mut HashMap<Position, Unacked, FixedState>,
    unacked_bytes: &'a mut u64,
    arena: &'a mut Arena,
    egress: &'a mut E,
}

impl<E: Egress> Run<'_, E> {
    /// One delivery; the message is the consumer's or has left, unless this fails. hot.
    #[inline(always)]
    fn deliver(&mut self, position: Position, entry: Entry, redelivered: bool) -> Result<(), RunEnd> {
        let consumer = &mut *self.consumer;
        let message = self.arena.get(entry.message);
        let weight = if consumer.is_metered() { message.weight_bytes() } else { 0 };
        match self.egress.deliver(&consumer.key, consumer.no_ack, position, redelivered, message) {
            Delivered::Taken => {}
            Delivered::Paused(_) => return Err(RunEnd::Paused),
            Delivered::Gone => return Err(RunEnd::Gone),
        }
        consumer.spend(weight);
        if consumer.no_ack {
            self.arena.release(entry.message);
        } else {
            consumer.unacked += 1;
            *self.unacked_bytes += u64::from(entry.body_bytes);
            self.unacked.insert(position, Unacked { entry, consumer: self.index });
        }
        Ok(())
    }

    /// The same, apart from the row of fresh messages, which so stays in one piece of code. hot.
    #[inline(never)]
    fn deliver_apart(&mut self, position: Position, entry: Entry, redelivered: bool) -> Result<(), RunEnd> {
        self.deliver(position, entry, redelivered)
    }
}
