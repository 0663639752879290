//! The end of a turn, and what is done between two inputs of it.
//!
//! Order at the end: held publishes, windows, dispatch, confirms, records. Windows come before the dispatch, so that a
//! queue whose consumer has room again is dispatched in this turn; what is still listed after it asks for another one.

use leveret_model::{ChannelKey, Settlement, limits};

use crate::answers::{OwnedAnswer, borrow};
use crate::effects::Effects;
use crate::egress::Outlet;
use crate::host::View;
use crate::places::Place;
use crate::shard::Shard;

impl Shard {
    /// Ends the turn; then the driver writes each touched socket, ring and link once. hot.
    ///
    /// True if there is more to do that needs no input.
    pub fn end_turn(&mut self, effects: &mut Effects) -> bool {
        self.offer_held();
        self.return_windows();
        self.dispatch();
        self.release_waiting();
        self.broker.flush_stored();
        self.broker.arena.compact(limits::ARENA_BLOCK_BYTES);
        self.connections.end_turn(&mut effects.touched);
        self.broker.outboxes.flush(&mut effects.batches);
        effects.control.append(&mut self.broker.control);
        effects.passwords.append(&mut self.broker.passwords);
        effects.refused.first.clear();
        effects.refused.more = 0;
        core::mem::swap(&mut effects.refused, &mut self.broker.refused);
        !self.broker.dirty.is_empty()
    }

    /// Gives connections what the broker has for them; they may ask for more in turn.
    pub(crate) fn hand_out_results(&mut self) {
        loop {
            let now = self.broker.now;
            while let Some((key, result)) = self.broker.logins.pop() {
                let Some(connection) = self.connections.get_mut(key) else { continue };
                if let Ok(user) = &result {
                    self.broker.metas[key.slot as usize].user = user.clone();
                }
                connection.on_login(now, result);
                self.connections.touch(key);
            }
            self.hand_out_confirms();
            while let Some((channel, consumer)) = self.broker.cancels.pop_front() {
                if let Some(connection) = self.connections.get_mut(channel.connection) {
                    connection.cancel_consumer(channel, consumer);
                    self.connections.touch(channel.connection);
                }
            }
            let Some((channel, answer)) = self.broker.answers.pop_front() else { break };
            self.give_answer(channel, &answer);
        }
    }

    /// hot.
    fn hand_out_confirms(&mut self) {
        for (channel, number, ok) in self.broker.settled.drain(..) {
            if let Some(connection) = self.connections.get_mut(channel.connection) {
                connection.on_settled(channel, number, ok);
                self.connections.touch(channel.connection);
            }
        }
    }

    fn give_answer(&mut self, channel: ChannelKey, answer: &OwnedAnswer) {
        let key = channel.connection;
        let now = self.broker.now;
        let taken = match self.connections.get_mut(key) {
            Some(connection) => {
                let mut view = View { broker: &mut self.broker, connection: key };
                let taken = connection.on_answer(now, channel, borrow(answer), &mut view);
                self.connections.touch(key);
                taken
            }
            None => false,
        };
        if let (false, OwnedAnswer::Got { held, no_ack: false, .. }) = (taken, answer) {
            self.broker.settle(channel, *held, Settlement::Requeue);
        }
    }

    /// Publishes that were held are offered again.
    fn offer_held(&mut self) {
        if !core::mem::take(&mut self.broker.retry) {
            return;
        }
        let holding = core::mem::take(&mut self.broker.holding);
        for key in holding {
            if self.broker.meta(key).generation != key.generation {
                continue;
            }
            self.broker.meta_mut(key).holds_publish = false;
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let mut view = View { broker: &mut self.broker, connection: key };
            connection.resume(view.broker.now, &mut view);
            self.connections.touch(key);
        }
        self.hand_out_results();
    }

    /// Queues that have messages and consumers with room bring them together, in the order in which they were listed; a
    /// queue that is not done goes behind the others. hot.
    fn dispatch(&mut self) {
        let output_high = self.broker.output_high();
        let broker = &mut self.broker;
        let mut left = limits::SHARD_DISPATCH_MAX;
        let mut left_bytes = limits::SHARD_DISPATCH_BYTES_MAX;
        let mut due = core::mem::take(&mut broker.dirty);
        let mut done = 0;
        for handle in &due {
            if left == 0 || left_bytes == 0 {
                break;
            }
            done += 1;
            let Some(entry) = broker.places.get_mut(*handle) else { continue };
            let Place::Home(home) = &mut entry.place else { continue };
            if home.closed {
                continue;
            }
            let mut outlet = Outlet {
                own: broker.own,
                handle: *handle,
                id: entry.id,
                connections: &mut self.connections,
                metas: &mut broker.metas,
                outboxes: &mut broker.outboxes,
                output_high,
                recent: None,
            };
            let before = home.queue.ready_bytes();
            let mut most = limits::TURN_DISPATCH_MAX.min(left);
            if before > left_bytes {
                // as if all of its messages were of one size
                most = most.min((left_bytes * home.queue.ready() / before) as usize + 1);
            }
            let outcome = home.queue.dispatch(most, &mut broker.arena, &mut outlet);
            left -= outcome.delivered;
            left_bytes = left_bytes.saturating_sub(before - home.queue.ready_bytes());
            if outcome.more {
                broker.dirty.push(*handle);
            }
        }
        due.drain(..done);
        // those that had no turn yet come first in the next one
        due.append(&mut broker.dirty);
        broker.dirty = due;
    }

    /// Where output is short, windows of homes elsewhere go back, and queues here that skipped a consumer go on. A
    /// connection whose output is long is looked at again when it was written.
    fn return_windows(&mut self) {
        let low = self.broker.output_low();
        for at in 0..self.connections.touched().len() {
            let key = self.connections.touched()[at];
            let meta = self.broker.meta(key);
            let idle = meta.credit.is_empty() && meta.parked.is_empty() && !meta.pauses;
            if meta.generation != key.generation || idle {
                continue;
            }
            let pauses = meta.pauses;
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let is_short = connection.output().len() < low;
            if pauses || connection.has_pauses() {
                self.note_pauses(key);
            }
            if is_short {
                self.broker.output_has_room(key);
            }
        }
    }
}
