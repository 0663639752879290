//! Operations of clients: each is one request that ends in one answer.
//!
//! An operation is started when it comes, and started again when what it lacked is there (a lease, the reply of the
//! control machine); a home elsewhere is asked by a record that is repeated under the same id on a new link. What an
//! operation comes to is in `commands.rs`, what waits is in `requests.rs`.

use alloc::string::ToString;

use leveret_amqp::host::Operation;
use leveret_link::record::{Record, RemoteConsumer};
use leveret_model::directory::{Command, FromShard, QueueRecord};
use leveret_model::{
    ChannelKey, ConsumerKey, ConsumerNumber, Held, Name, OwnedMessage, QueueHandle, Refusal, ReplyCode,
    RequestId, refusals,
};
use leveret_queue::{Subscription, Window};

use crate::answers::OwnedAnswer;
use crate::broker::Broker;
use crate::commands::{Action, Question};
use crate::places::{Entry, Place};
use crate::requests::{Pending, Stage};

impl Broker {
    /// A client wants something; the answer goes to `answers`.
    pub(crate) fn request(&mut self, channel: ChannelKey, operation: Operation) {
        let request = self.draw_request();
        self.start(request, Pending::new(channel, operation, self.now));
    }

    /// Begins or begins again.
    pub(crate) fn start(&mut self, request: RequestId, pending: Pending) {
        if let Err(refusal) = self.may(pending.channel.connection, &pending.operation) {
            return self.refuse_request(&pending, refusal);
        }
        match self.action_of(&pending.operation, pending.channel.connection) {
            Ok(Action::Command(command)) => self.command(request, pending, command),
            Ok(Action::FindExchange(name)) => self.find_exchange(request, pending, &name),
            Ok(Action::Ask(name, question)) => self.find_queue(request, pending, &name, question),
            Ok(Action::Cancel(consumer)) => self.cancel(request, pending, consumer),
            Err(refusal) => self.refuse_request(&pending, refusal),
        }
    }

    fn command(&mut self, request: RequestId, pending: Pending, command: Command) {
        self.control.push(FromShard::Command { request, command });
        self.wait(request, pending, Stage::Control);
    }

    fn find_exchange(&mut self, request: RequestId, pending: Pending, name: &Name) {
        let Some(vhost) = self.meta(pending.channel.connection).vhost else {
            return self.refuse_request(&pending, no_vhost());
        };
        if self.table.exchange(vhost, name.as_bytes()).is_some() {
            return self.answer(&pending, OwnedAnswer::Done);
        }
        let refusal = refusals::no_exchange(name, &self.vhost_name(vhost));
        self.missing(request, pending, refusal);
    }

    fn find_queue(&mut self, request: RequestId, pending: Pending, name: &Name, question: Question) {
        let Some(vhost) = self.meta(pending.channel.connection).vhost else {
            return self.refuse_request(&pending, no_vhost());
        };
        let Some(queue) = self.table.queue(vhost, name.as_bytes()) else {
            let refusal = refusals::no_queue(name, &self.vhost_name(vhost));
            return self.missing(request, pending, refusal);
        };
        if queue.masked {
            let refusal = self.home_down(&queue.record);
            return self.refuse_request(&pending, refusal);
        }
        let (id, home) = (queue.record.id, queue.record.home);
        if let Question::Subscribe { .. } = question
            && let Some(refusal) = self.subscribed.no_room(pending.channel.connection)
        {
            return self.refuse_request(&pending, refusal);
        }
        let handle = self.place(id, home);
        self.ask(request, pending, handle, question);
    }

    /// Something is not in the map: true only under the lease (R4).
    fn missing(&mut self, request: RequestId, pending: Pending, refusal: Refusal) {
        if self.has_lease() {
            self.refuse_request(&pending, refusal);
        } else {
            self.wait(request, pending, Stage::Lease);
        }
    }

    /// The client wants no more deliveries. A home elsewhere has some under way: they come before its answer, and still go
    /// to the consumer. Without a link none comes, and what was on the old one goes back at the next.
    fn cancel(&mut self, request: RequestId, pending: Pending, consumer: ConsumerNumber) {
        let channel = pending.channel;
        let handle = self.subscribed.get(channel, consumer);
        if let Some(handle) = handle
            && let Some(Entry { id, place: Place::Away(away) }) = self.places.get(handle)
            && self.outboxes.at(away.outbox).up
        {
            let record = Record::Unsubscribe { request: Some(request), queue: *id, channel, consumer };
            self.outboxes.at(away.outbox).push(&record);
            return self.wait(request, pending, Stage::Home(handle, Question::Unsubscribe { consumer }));
        }
        self.end_consumer(channel, consumer);
        self.answer(&pending, OwnedAnswer::Done);
    }

    /// Asks the queue: here at once, elsewhere by a record.
    pub(crate) fn ask(
        &mut self,
        request: RequestId,
        pending: Pending,
        handle: QueueHandle,
        question: Question,
    ) {
        match self.places.get(handle).map(|entry| &entry.place) {
            Some(Place::Home(home)) if !home.closed => {
                let answer = self.ask_home(pending.channel, question, handle);
                return self.answer(&pending, answer);
            }
            // its end, which is near, is the answer
            Some(Place::Home(_)) => {}
            Some(Place::Away(_)) | None => {
                if let Question::Subscribe { consumer, .. } = question {
                    self.subscribed.insert(pending.channel, consumer, handle);
                }
                self.send(request, pending.channel, question, handle);
            }
        }
        self.wait(request, pending, Stage::Home(handle, question));
    }

    /// The record that asks a home elsewhere; also repeats it.
    pub(crate) fn send(
        &mut self,
        request: RequestId,
        channel: ChannelKey,
        question: Question,
        handle: QueueHandle,
    ) {
        let Some(entry) = self.places.get_mut(handle) else { return };
        let Place::Away(away) = &mut entry.place else { return };
        let queue = entry.id;
        let record = match question {
            Question::Subscribe { consumer, terms } => {
                let consumer = RemoteConsumer { channel, number: consumer, terms };
                Record::Subscribe { request, queue, consumer }
            }
            Question::Unsubscribe { consumer } => {
                Record::Unsubscribe { request: Some(request), queue, channel, consumer }
            }
            Question::Get { no_ack } => Record::Get { request, queue, channel, no_ack },
            Question::Purge => Record::Purge { request, queue },
            Question::Inspect => Record::Inspect { request, queue },
        };
        self.outboxes.at(away.outbox).push(&record);
    }

    /// A queue of this shard answers.
    fn ask_home(&mut self, channel: ChannelKey, question: Question, handle: QueueHandle) -> OwnedAnswer {
        let own = self.own;
        let key = |number| ConsumerKey { at: own, channel, number };
        let Some(entry) = self.places.get_mut(handle) else { return OwnedAnswer::Empty };
        let Place::Home(home) = &mut entry.place else { return OwnedAnswer::Empty };
        let (id, queue) = (entry.id, &mut home.queue);
        match question {
            Question::Subscribe { consumer, terms } => {
                let subscription = Subscription { key: key(consumer), terms, window: Window::Output };
                if queue.subscribe(subscription).is_err() {
                    return OwnedAnswer::Refused(self.in_exclusive_use(id));
                }
                self.subscribed.insert(channel, consumer, handle);
                self.mark_dirty(handle);
                OwnedAnswer::Done
            }
            Question::Unsubscribe { consumer } => {
                self.end_consumer(channel, consumer);
                OwnedAnswer::Done
            }
            Question::Get { no_ack } => match queue.get(&key(ConsumerNumber::OF_GET), no_ack) {
                Some(taken) => {
                    let held =
                        Held { queue: handle, position: taken.position, consumer: ConsumerNumber::OF_GET };
                    let message = OwnedMessage::from(&self.arena.get(taken.message));
                    if no_ack {
                        self.arena.release(taken.message);
                    }
                    let (redelivered, remaining) = (taken.redelivered, taken.remaining);
                    OwnedAnswer::Got { held, no_ack, message, redelivered, remaining }
                }
                None => OwnedAnswer::Empty,
            },
            Question::Purge => OwnedAnswer::Messages(queue.purge(&mut self.arena)),
            Question::Inspect => OwnedAnswer::Queue { messages: queue.ready(), consumers: queue.consumers() },
        }
    }

    /// A queue that is there and cannot be reached. People know its home by name.
    pub(crate) fn home_down(&self, queue: &QueueRecord) -> Refusal {
        let home = queue.home.node;
        let home = self.node_names.get(&home).map_or_else(|| home.to_string(), ToString::to_string);
        refusals::home_down(&queue.name, &queue.vhost, queue.durable, &home)
    }
}

pub(crate) fn no_vhost() -> Refusal {
    Refusal::new(ReplyCode::NotAllowed, "no vhost is open")
}
