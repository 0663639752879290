//! Operations of clients: each is one request that ends in one answer.
//!
//! An operation is started when it comes, and started again when what it lacked is there (a lease, the reply of the
//! control machine); a home elsewhere is asked by a record that is repeated under the same id on a new link. What waits
//! is in `requests.rs`.

use alloc::format;

use leveret_amqp::host::{Held, Operation, QueueHandle};
use leveret_link::record::{ConsumerTerms, Record};
use leveret_model::directory::{Command, FromShard};
use leveret_model::{ChannelKey, ConsumerNumber, Name, Refusal, ReplyCode, RequestId, ShardAddress};
use leveret_queue::{Subscription, Window};

use crate::answers::{OwnedAnswer, OwnedMessage};
use crate::broker::Broker;
use crate::places::{Entry, Place};
use crate::publish::no_exchange;
use crate::requests::{Pending, Stage};

impl Broker {
    /// A client wants something; the answer goes to `answers`.
    pub(crate) fn request(&mut self, channel: ChannelKey, operation: Operation) {
        let request = self.draw_request();
        self.start(request, Pending::new(channel, operation, self.now));
    }

    fn command(&mut self, request: RequestId, pending: Pending, command: Command) {
        self.control.push(FromShard::Command { request, command });
        self.wait(request, pending, Stage::Control);
    }

    /// Begins or begins again.
    pub(crate) fn start(&mut self, request: RequestId, pending: Pending) {
        if let Err(refusal) = self.may(pending.channel.connection, &pending.operation) {
            return self.refuse_request(&pending, refusal);
        }
        let vhost = self.meta(pending.channel.connection).vhost_name.clone();
        match self.command_for(&pending.operation, &vhost) {
            Ok(Some(command)) => self.command(request, pending, command),
            Ok(None) => self.start_here(request, pending),
            Err(refusal) => self.refuse_request(&pending, refusal),
        }
    }

    /// Operations that the map and a home answer.
    fn start_here(&mut self, request: RequestId, pending: Pending) {
        let Some(vhost) = self.meta(pending.channel.connection).vhost else {
            return self.refuse_request(&pending, no_vhost());
        };
        match &pending.operation {
            Operation::ExchangeDeclare { name, .. } => {
                // The default exchange is there, and a passive declare of it is fine (RabbitMQ refuses; clients ask).
                if self.table.exchange(vhost, name.as_bytes()).is_some() {
                    return self.answer(&pending, OwnedAnswer::Done);
                }
                let refusal = no_exchange(name.as_bytes(), &self.vhost_name(vhost));
                self.missing(request, pending, refusal);
            }
            Operation::Cancel { consumer } => {
                let consumer = *consumer;
                self.cancel(request, pending, consumer);
            }
            Operation::QueueDeclare { name, .. }
            | Operation::QueuePurge { name }
            | Operation::Consume { queue: name, .. }
            | Operation::Get { queue: name, .. } => {
                let Some(queue) = self.table.queue(vhost, name.as_bytes()) else {
                    let refusal = no_queue(name, &self.vhost_name(vhost));
                    return self.missing(request, pending, refusal);
                };
                let (id, home) = (queue.record.id, queue.record.home);
                if queue.masked {
                    let refusal = home_down(name, &self.vhost_name(vhost), home);
                    return self.refuse_request(&pending, refusal);
                }
                let handle = self.place(id, home);
                self.ask(request, pending, handle);
            }
            // the rest are commands
            _ => {}
        }
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
        let handle = self.consumers.get(&(channel, consumer)).copied();
        if let Some(handle) = handle
            && let Some(Entry { id, place: Place::Away(away) }) = self.places.get(handle)
            && self.outboxes.at(away.outbox).up
        {
            let record = Record::Unsubscribe { request, queue: *id, channel, consumer };
            self.outboxes.at(away.outbox).push(&record);
            return self.wait(request, pending, Stage::Home(handle));
        }
        self.end_consumer(channel, consumer);
        self.answer(&pending, OwnedAnswer::Done);
    }

    /// Asks the queue: here at once, elsewhere by a record.
    pub(crate) fn ask(&mut self, request: RequestId, pending: Pending, handle: QueueHandle) {
        match self.places.get(handle).map(|entry| &entry.place) {
            Some(Place::Home(home)) if !home.closed => {
                let answer = self.ask_home(pending.channel, &pending.operation, handle);
                return self.answer(&pending, answer);
            }
            // its end, which is near, is the answer
            Some(Place::Home(_)) => {}
            _ => {
                if let Operation::Consume { consumer, .. } = &pending.operation {
                    self.consumers.insert((pending.channel, *consumer), handle);
                }
                self.send(request, pending.channel, &pending.operation, handle);
            }
        }
        self.wait(request, pending, Stage::Home(handle));
    }

    /// The record that asks a home elsewhere; also repeats it.
    pub(crate) fn send(
        &mut self,
        request: RequestId,
        channel: ChannelKey,
        operation: &Operation,
        handle: QueueHandle,
    ) {
        let Some(entry) = self.places.get_mut(handle) else { return };
        let Place::Away(away) = &mut entry.place else { return };
        let queue = entry.id;
        let record = match operation {
            Operation::Consume { consumer, no_ack, exclusive, prefetch, .. } => {
                let (consumer, no_ack) = (*consumer, *no_ack);
                let (exclusive, prefetch) = (*exclusive, *prefetch);
                let terms = ConsumerTerms { channel, consumer, no_ack, exclusive, prefetch };
                Record::Subscribe { request, queue, terms }
            }
            Operation::Cancel { consumer } => {
                Record::Unsubscribe { request, queue, channel, consumer: *consumer }
            }
            Operation::Get { no_ack, .. } => Record::Get { request, queue, channel, no_ack: *no_ack },
            Operation::QueuePurge { .. } => Record::Purge { request, queue },
            _ => Record::Inspect { request, queue },
        };
        self.outboxes.at(away.outbox).push(&record);
    }

    /// A queue of this shard answers.
    fn ask_home(&mut self, channel: ChannelKey, operation: &Operation, handle: QueueHandle) -> OwnedAnswer {
        let own = self.own;
        let key = |consumer| leveret_model::ConsumerKey { at: own, channel, number: consumer };
        let Some(entry) = self.places.get_mut(handle) else { return OwnedAnswer::Empty };
        let Place::Home(home) = &mut entry.place else { return OwnedAnswer::Empty };
        let (id, queue) = (entry.id, &mut home.queue);
        match operation {
            Operation::Consume { consumer, no_ack, exclusive, prefetch, .. } => {
                let subscription = Subscription {
                    key: key(*consumer),
                    no_ack: *no_ack,
                    exclusive: *exclusive,
                    prefetch: *prefetch,
                    priority: 0,
                    window: Window::Output,
                };
                if queue.subscribe(subscription).is_err() {
                    return OwnedAnswer::Refused(self.in_exclusive_use(id));
                }
                self.consumers.insert((channel, *consumer), handle);
                self.mark_dirty(handle);
                OwnedAnswer::Done
            }
            Operation::Get { no_ack, .. } => match queue.get(&key(ConsumerNumber::default()), *no_ack) {
                Some(taken) => {
                    let held =
                        Held { queue: handle, position: taken.position, consumer: ConsumerNumber::default() };
                    let message = if *no_ack {
                        OwnedMessage::take(&mut self.arena, taken.message)
                    } else {
                        OwnedMessage::copy(&self.arena.get(taken.message))
                    };
                    OwnedAnswer::Got {
                        held,
                        no_ack: *no_ack,
                        message,
                        redelivered: taken.redelivered,
                        remaining: taken.remaining,
                    }
                }
                None => OwnedAnswer::Empty,
            },
            Operation::QueuePurge { .. } => OwnedAnswer::Messages(queue.purge(&mut self.arena)),
            _ => OwnedAnswer::Queue { messages: queue.ready(), consumers: queue.consumers() },
        }
    }
}

/// 404 (RabbitMQ's words).
pub(crate) fn no_queue(name: &Name, vhost: &str) -> Refusal {
    Refusal::new(ReplyCode::NotFound, format!("no queue '{name}' in vhost '{vhost}'"))
}

/// 404 for a queue that is there and cannot be reached (RabbitMQ's words).
pub(crate) fn home_down(name: &Name, vhost: &str, home: ShardAddress) -> Refusal {
    let text =
        format!("home node '{}' of queue '{name}' in vhost '{vhost}' is down or inaccessible", home.node);
    Refusal::new(ReplyCode::NotFound, text)
}

fn no_vhost() -> Refusal {
    Refusal::new(ReplyCode::NotAllowed, "no vhost is open")
}
