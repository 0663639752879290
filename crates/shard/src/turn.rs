//! The end of a turn, and what is done between two inputs of it.
//!
//! Order at the end: held publishes, windows, policies, dispatch, who waits for memory, dead letters, records,
//! confirms. Windows come before the dispatch, so that a queue whose consumer has room again is dispatched in
//! this turn; what is still listed after it asks for another one.

use alloc::vec::Vec;

use leveret_model::{ChannelKey, ConnectionKey, Message, ReplySecret, Settlement};

use crate::effects::Effects;
use crate::egress::Deliveries;
use crate::machines::Machines;
use crate::queues::Publisher;
use crate::requests::{OwnedAnswer, borrow};
use crate::shard::Shard;

impl Shard {
    /// Ends the turn; then the driver writes each touched socket, ring and link once. hot.
    ///
    /// True if there is more to do that needs no input.
    pub fn end_turn(&mut self, effects: &mut Effects) -> bool {
        self.offer_held();
        self.return_windows();
        let Machines { queues, view, .. } = &mut self.machines;
        if queues.has_policy_walk() {
            queues.walk_policies(&view.table);
        }
        self.dispatch();
        self.release_waiting();
        let Machines { view, clients, queues, requests, .. } = &mut self.machines;
        queues.send_dead_letters(view);
        queues.end_closing(view);
        if let Some(room) = &mut self.sessions {
            room.send_records(queues.peers());
        }
        queues.end_turn(&mut effects.batches, (&mut effects.store, &mut effects.reads));
        queues.peers().take_unknown(&mut effects.unknown);
        self.connections.end_turn(&mut effects.touched);
        for (id, owner) in queues.take_over(view) {
            requests.delete_record(id, owner);
        }
        // A queue that is over when it opens here is to be in this node's map before it is taken out.
        effects.control.append(&mut queues.out().moves);
        effects.control.append(requests.control());
        clients.end_turn(effects);
        if let Some(room) = &mut self.sessions {
            room.end_turn(effects);
        }
        queues.is_dirty() || queues.has_policy_walk()
    }

    /// Gives connections what the machines have for them; they may ask for more in turn.
    pub(crate) fn hand_out_results(&mut self) {
        self.machines.delete_over();
        loop {
            while let Some(key) = self.machines.requests.pop_without_queues() {
                self.with(key, |connection, now, broker| connection.on_queues_gone(now, broker));
            }
            while let Some((key, result)) = self.machines.clients.pop_login() {
                if let Ok(user) = &result {
                    self.machines.clients.note_user(key, user);
                }
                self.with(key, |connection, now, _| connection.on_login(now, result));
            }
            while let Some((to, reply)) = self.machines.replies.pop_waiting() {
                self.deliver_reply(to, reply.borrow());
            }
            self.hand_out_confirms();
            while let Some((channel, consumer)) = self.machines.queues.out().cancelled.pop_front() {
                if self.machines.egress.subscribed.remove(channel, consumer).is_some() {
                    self.with(channel.connection, |connection, _, _| {
                        connection.cancel_consumer(channel, consumer);
                    });
                }
            }
            let Some((channel, answer)) = self.machines.requests.pop_answer() else { break };
            self.give_answer(channel, &answer);
        }
    }

    /// A reply for a consumer of this shard.
    pub(crate) fn deliver_reply(&mut self, to: ReplySecret, message: Message<'_>) {
        let Self { connections, machines, .. } = self;
        let consumer = machines.replies.consumer(to);
        let delivered = consumer.is_some_and(|(channel, consumer)| {
            let connection = connections.get_mut(channel.connection);
            connection.is_some_and(|connection| connection.deliver_reply(channel, consumer, message).is_ok())
        });
        machines.replies.count(delivered);
        if let (true, Some((channel, _))) = (delivered, consumer) {
            connections.touch(channel.connection);
        }
    }

    /// Clients that wait for their vhost hear of it, if it can be told.
    pub(crate) fn tell_of_vhosts(&mut self) {
        for (key, result) in self.machines.clients.take_openings(&self.machines.view) {
            self.with(key, |connection, now, broker| connection.on_vhost(now, result, broker));
        }
    }

    /// hot.
    fn hand_out_confirms(&mut self) {
        let Machines { queues, ingress, .. } = &mut self.machines;
        // allocates for clients that commit alone
        let mut commits = Vec::new();
        let mut letters = Vec::new();
        for answered in queues.out().answered.drain(..) {
            let (channel, number, stored) = match ingress.settle(&answered) {
                Some((Publisher::Channel(channel, number), stored)) => (channel, number, stored),
                Some((Publisher::DeadLetter(send), stored)) => {
                    letters.push((send, stored));
                    continue;
                }
                None => continue,
            };
            if let Some(connection) = self.connections.get_mut(channel.connection) {
                if connection.on_settled(channel, number, stored) {
                    commits.push(channel);
                }
                self.connections.touch(channel.connection);
            }
        }
        for (send, stored) in letters {
            queues.on_dead_letter_answered(send, stored);
        }
        for channel in commits {
            self.with(channel.connection, |connection, now, broker| {
                connection.end_commit(now, channel, broker);
            });
        }
    }

    fn give_answer(&mut self, channel: ChannelKey, answer: &OwnedAnswer) {
        let taken = self.with(channel.connection, |connection, now, broker| {
            connection.on_answer(now, channel, borrow(answer), broker)
        });
        if let (false, OwnedAnswer::Got { held, no_ack: false, .. }) = (taken == Some(true), answer) {
            self.machines.queues.settle(channel, *held, Settlement::Requeue);
        }
    }

    /// Publishes that were held are offered again, if any may go.
    fn offer_held(&mut self) {
        if core::mem::take(&mut self.machines.queues.out().lane_has_room) {
            self.machines.ingress.retry();
            self.machines.queues.retry_dead_letters();
        }
        let held = self.machines.ingress.take_held();
        if held.is_empty() {
            return;
        }
        self.enter(|shard| {
            for key in held {
                shard.with(key, |connection, now, broker| connection.resume(now, broker));
            }
        });
    }

    /// hot.
    fn dispatch(&mut self) {
        let Machines { queues, egress, memory, .. } = &mut self.machines;
        let output_high = memory.output_high();
        queues.dispatch(&mut Deliveries { connections: &mut self.connections, egress, output_high });
    }

    /// Where output is short, windows of homes elsewhere go back, and queues here that skipped a consumer go
    /// on. A connection whose output is long is looked at again when it was written. hot.
    fn return_windows(&mut self) {
        let low = self.machines.memory.output_low();
        for at in 0..self.connections.touched().len() {
            let key = self.connections.touched()[at];
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let Machines { own, queues, egress, clients, .. } = &mut self.machines;
            let pauses = egress.has_pauses(key);
            if !pauses && !egress.waits_for_room(key) {
                continue;
            }
            let is_short = connection.output().len() < low;
            if pauses || connection.has_pauses() {
                egress.note_pauses(connection, *own, queues);
                clients.note_held_back(key, connection.full_channel());
            }
            if is_short {
                egress.output_has_room(key, queues);
            }
        }
    }

    /// Connections that need not wait for memory any more go on.
    fn release_waiting(&mut self) {
        while let Some(key) = self.machines.throttled.pop_began() {
            self.note_waiting(key);
        }
        self.machines.queues.end_throttles();
        if core::mem::take(&mut self.machines.queues.out().throttle_ended) {
            self.connections.keys().into_iter().for_each(|key| self.release(key));
        }
    }

    #[cold]
    fn release(&mut self, key: ConnectionKey) {
        let Machines { queues, throttled, .. } = &mut self.machines;
        throttled.release(key, queues);
        self.note_waiting(key);
    }
}
