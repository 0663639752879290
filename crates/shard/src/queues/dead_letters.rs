//! Dead letters of the queues at home here, until every queue that they go to has them (docs/dead-letters.md).
//!
//! A message that dies goes into the row of its source (`rows.rs`); at the end of the turn the row is routed
//! from its front. To queues elsewhere it takes their lanes, as a client's publish does, and waits there for as
//! long as its queue exists: a lane appends it once and in order. The source's reference goes when all have
//! answered.
//!
//! Invariants: *order*: letters of one source leave in the order of their deaths, and reach one queue in that
//! order unless that queue loses its name meanwhile. *whole*: a letter is sent to all of its queues or to none,
//! so one that is held back has reached nobody in vain.

mod deaths;
mod letter;
pub(super) mod outlet;
mod paging;
mod route;
pub(super) mod rows;

use leveret_link::record::LaneTarget;
use leveret_model::limits::MESSAGE_OWNERS_MAX;
use leveret_model::{Body, Instant, Message, QueueHandle, QueueId, Stored, limits};
use leveret_queue::MessageRef;

use self::letter::Letter;
use self::outlet::Dead;
use self::route::Targets;
use self::rows::DeadLetterTraffic;
use super::Queues;
use super::append::owners;
use super::places::{Entry, Place};
use super::publisher::{Answered, DeadLetterSend, Owed, Publisher};
use crate::peers::PublishSerial;
use crate::view::ClusterView;

impl Queues {
    /// Sends what died in this turn, and what was held back and may go now. hot: a look if there is nothing.
    #[inline]
    pub(crate) fn send_dead_letters(&mut self, view: &ClusterView) {
        if self.has_dead_letters() {
            self.send_some(view);
        }
    }

    /// More may go without any input.
    #[inline]
    pub(super) fn has_dead_letters(&self) -> bool {
        !self.out.departed.dead.is_empty()
            || self.out.departed.letters.is_due()
            || self.lists.superseded.is_due()
    }

    #[cold]
    fn send_some(&mut self, view: &ClusterView) {
        for dead in core::mem::take(&mut self.out.departed.dead) {
            let bytes = self.weight_of(&dead);
            self.out.departed.letters.push(dead, bytes, false);
        }
        for _ in 0..limits::DEAD_LETTERS_PER_TURN_MAX {
            let Some(dead) = self.out.departed.letters.pop() else { break };
            if self.arena.is_paged_out(dead.message) {
                self.read_letter(dead);
                continue;
            }
            self.send_one(dead, view);
        }
        if self.lists.superseded.is_due() {
            self.send_remains(view);
        }
    }

    fn weight_of(&self, dead: &Dead) -> u64 {
        self.arena.weight_bytes(dead.message) as u64
    }

    fn send_one(&mut self, mut dead: Dead, view: &ClusterView) {
        let (queue, bytes) = (dead.queue, self.weight_of(&dead));
        let patience = self.out.departed.letters.patience(queue);
        let letter = Letter::new(&self.arena.get(dead.message), &dead.source, dead.cause, dead.at_s);
        let Some(Targets { queues, complete }) = self.route_letter(&dead, &letter, patience, view) else {
            return self.out.departed.letters.hold(dead);
        };
        if !self.lanes_have_room(&queues) {
            return self.out.departed.letters.hold(dead);
        }
        let traffic = &mut self.out.departed.letters.traffic;
        traffic.passed_away += u64::from(!complete);
        traffic.unroutable += u64::from(complete && queues.is_empty() && dead.reached.is_empty());
        if !queues.is_empty() {
            self.append_letter(&mut dead, &letter, &queues);
        }
        self.out.departed.letters.advance(queue, bytes);
        self.end_letter(dead);
    }

    /// All of its queues have it, or are still to say so.
    fn end_letter(&mut self, dead: Dead) {
        if dead.owed > 0 {
            self.out.departed.letters.sent.insert(dead.number, dead);
            return;
        }
        self.out.departed.letters.traffic.delivered += u64::from(!dead.reached.is_empty());
        if let Some(position) = dead.stored_at {
            self.commits.left(dead.queue, position, self.arena.terms(dead.message));
        }
        self.arena.release(dead.message);
    }

    /// Puts a letter into its queues; each lane has room for it.
    fn append_letter(&mut self, dead: &mut Dead, letter: &Letter, targets: &[QueueHandle]) {
        let (flat, chunks);
        let body = match self.arena.get(dead.message).body {
            Body::Flat(bytes) => {
                flat = bytes.to_vec();
                Body::Flat(&flat)
            }
            Body::Chunks(slices) => {
                chunks = slices.to_vec();
                Body::Chunks(&chunks)
            }
        };
        let message = Message { address: &letter.address, header: &letter.header, body, terms: letter.terms };
        let mut kept = self.arena.insert(&message, owners(targets.len()));
        dead.number = self.out.departed.letters.next_number();
        let serial = self.peers.next_publish();
        for (index, handle) in targets.iter().enumerate() {
            if index > 0 && index.is_multiple_of(MESSAGE_OWNERS_MAX) {
                kept = self.arena.insert(&message, owners(targets.len() - index));
            }
            let Some(id) = self.id(*handle) else {
                self.arena.release(kept);
                continue;
            };
            dead.reached.push(id);
            let send = DeadLetterSend(self.out.departed.letters.next_number());
            if self.append_letter_to(*handle, (kept, serial), &message, send) {
                dead.owed += 1;
                self.out.departed.letters.owed.insert(send, (dead.number, id));
            }
        }
    }

    /// True if an answer is owed.
    fn append_letter_to(
        &mut self,
        handle: QueueHandle,
        (kept, serial): (MessageRef, PublishSerial),
        message: &Message<'_>,
        send: DeadLetterSend,
    ) -> bool {
        let (bytes, terms) = (message.body.len(), message.terms);
        let publisher = Some(Publisher::DeadLetter(send));
        match self.places.get_mut(handle) {
            Some(Entry { place: Place::Home(home), .. }) if !home.closed => {
                let stored = self.home(handle).and_then(|mut home| home.append(kept, bytes, terms));
                self.out.copies.here += u64::from(stored.is_some());
                // one that the queue refuses has had its answer, as in RabbitMQ
                let Some(Stored::At(mark)) = stored else { return false };
                self.commits.wait(mark, Answered { publisher, shared: false, stored: true });
                true
            }
            Some(Entry { id, place: Place::Away(away) }) => {
                let owed = Owed { message: kept, publisher, shared: false, given_up: false };
                // it waits for as long as the queue exists
                let sequence = away.lane.push(owed, bytes as u64, Instant::FAR);
                let target = LaneTarget { queue: *id, sequence, base: away.lane.base() };
                self.peers.at(away.outbox).push_shared_publish(serial, target, message);
                self.out.copies.away += 1;
                true
            }
            // deleted, or about to be: it counts as not matched
            _ => {
                self.arena.release(kept);
                false
            }
        }
    }

    /// A home answered for a letter, or its queue is gone: `stored` as in [`Answered`].
    pub(crate) fn on_dead_letter_answered(&mut self, send: DeadLetterSend, stored: bool) {
        if self.on_remaining_answered(send, stored) {
            return;
        }
        let Some((number, queue)) = self.out.departed.letters.owed.remove(&send) else { return };
        let Some(dead) = self.out.departed.letters.sent.get_mut(&number) else { return };
        dead.owed -= 1;
        if !stored {
            dead.again = true;
            dead.reached.retain(|reached| *reached != queue);
        }
        if dead.owed > 0 {
            return;
        }
        let Some(mut dead) = self.out.departed.letters.sent.remove(&number) else { return };
        if core::mem::take(&mut dead.again) {
            let bytes = self.weight_of(&dead);
            self.out.departed.letters.push(dead, bytes, true);
        } else {
            self.end_letter(dead);
        }
    }

    /// A change of the map, a lease, or room in a lane: what was held back may go.
    pub(crate) fn retry_dead_letters(&mut self) {
        self.out.departed.letters.retry();
        self.lists.superseded.retry();
    }

    /// Letters of a queue that moves are on their way to targets that can be reached: its old home, which
    /// answers for them, goes on until they are there.
    pub(super) fn sends_letters_of(&mut self, queue: QueueId) -> bool {
        let died_now = self.out.departed.dead.iter().any(|dead| dead.queue == queue);
        let wait = self.out.departed.letters.hurry(queue);
        let letters = &self.out.departed.letters;
        died_now
            || wait
            || letters.owed.values().any(|(number, target)| {
                letters.sent.get(number).is_some_and(|dead| dead.queue == queue) && self.reaches(*target)
            })
    }

    fn reaches(&self, target: QueueId) -> bool {
        let place = self.places.handle(target).and_then(|handle| self.places.get(handle));
        match place.map(|entry| &entry.place) {
            Some(Place::Home(_)) => true,
            Some(Place::Away(away)) => self.peers.is_up(away.outbox),
            None => false,
        }
    }

    pub(crate) fn dead_letter_traffic(&self) -> DeadLetterTraffic {
        self.out.departed.letters.traffic()
    }
}
