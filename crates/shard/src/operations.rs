//! Operations of clients: each is one request that ends in one answer.
//!
//! An operation is started when it comes, and started again when what it lacked is there (a lease, the reply of the
//! control machine); a home elsewhere is asked by a record that is repeated under the same id on a new link.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_amqp::host::{Held, Operation, QueueHandle};
use leveret_auth::Access;
use leveret_link::record::{ConsumerTerms, Record};
use leveret_model::definition::{Binding, DestinationKind, Exchange, ExchangeKind};
use leveret_model::directory::{Command, FromShard, Reply};
use leveret_model::{
    ChannelKey, ConnectionKey, ConsumerNumber, Instant, Name, QueueId, Refusal, ReplyCode, RequestId,
    ShardAddress, limits,
};
use leveret_queue::{Arena, MessageRef, StoredBody, StoredMessage, Subscription, Window};

use crate::broker::Broker;
use crate::places::{Away, Place};
use crate::publish::no_exchange;

/// An operation under way.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) channel: ChannelKey,
    pub(crate) operation: Operation,
    pub(crate) stage: Stage,
    pub(crate) since: Instant,
}

/// What an operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A lease, to say that something is not there.
    Lease,
    /// The control machine.
    Control,
    /// The home of a queue elsewhere.
    Home(QueueHandle),
}

/// An answer that waits for its connection.
#[derive(Debug)]
pub(crate) enum OwnedAnswer {
    Done,
    Queue { messages: u64, consumers: u32 },
    Messages(u64),
    Got { held: Held, no_ack: bool, message: OwnedMessage, redelivered: bool, remaining: u64 },
    Empty,
    Refused(Refusal),
}

/// A copy of a message: only for `basic.get`, which is not a hot path.
#[derive(Debug)]
pub(crate) struct OwnedMessage {
    pub(crate) address: Vec<u8>,
    pub(crate) header: Vec<u8>,
    pub(crate) flat: Vec<u8>,
    pub(crate) chunks: Vec<Bytes>,
}

impl OwnedMessage {
    pub(crate) fn copy(message: &StoredMessage<'_>) -> Self {
        let (flat, chunks) = match message.body {
            StoredBody::Flat(bytes) => (bytes.to_vec(), Vec::new()),
            StoredBody::Chunks(chunks) => (Vec::new(), chunks.to_vec()),
        };
        Self { address: message.address.to_vec(), header: message.header.to_vec(), flat, chunks }
    }

    fn take(arena: &mut Arena, message: MessageRef) -> Self {
        let copy = Self::copy(&arena.get(message));
        arena.release(message);
        copy
    }
}

impl Broker {
    /// A client wants something; the answer goes to `answers`.
    pub(crate) fn request(&mut self, channel: ChannelKey, operation: Operation) {
        let request = self.draw_request();
        self.start(request, Pending { channel, operation, stage: Stage::Control, since: self.now });
    }

    fn answer(&mut self, pending: &Pending, answer: OwnedAnswer) {
        self.answers.push_back((pending.channel, answer));
    }

    fn wait(&mut self, request: RequestId, mut pending: Pending, stage: Stage) {
        let patience = if stage == Stage::Lease { limits::PUBLISH_WAIT } else { limits::OPERATION_WAIT };
        self.wake_at(pending.since + patience);
        pending.stage = stage;
        self.pending.insert(request, pending);
    }

    fn command(&mut self, request: RequestId, pending: Pending, command: Command) {
        self.control.push(FromShard::Command { request, command });
        self.wait(request, pending, Stage::Control);
    }

    /// Begins or begins again.
    pub(crate) fn start(&mut self, request: RequestId, pending: Pending) {
        if let Err(refusal) = self.may(pending.channel.connection, &pending.operation) {
            return self.answer(&pending, OwnedAnswer::Refused(refusal));
        }
        let vhost = self.meta(pending.channel.connection).vhost_name.clone();
        match self.command_for(&pending.operation, &vhost) {
            Ok(Some(command)) => self.command(request, pending, command),
            Ok(None) => self.start_here(request, pending),
            Err(refusal) => self.answer(&pending, OwnedAnswer::Refused(refusal)),
        }
    }

    /// RabbitMQ's table: declare and delete need configure; bind and unbind write at the destination and read at the
    /// source; consume, get and purge need read. A passive declare needs any right.
    fn may(&self, connection: ConnectionKey, operation: &Operation) -> Result<(), Refusal> {
        let (exchange, queue) = ("exchange", "queue");
        match operation {
            Operation::ExchangeDeclare { name, passive: false, .. }
            | Operation::ExchangeDelete { name, .. } => {
                self.authorize(connection, Access::Configure, exchange, name)
            }
            Operation::QueueDeclare { name, passive: false, .. } | Operation::QueueDelete { name, .. } => {
                self.authorize(connection, Access::Configure, queue, name)
            }
            Operation::ExchangeDeclare { name, .. } => self.authorize_any(connection, exchange, name),
            Operation::QueueDeclare { name, .. } => self.authorize_any(connection, queue, name),
            Operation::ExchangeBind(bind) | Operation::ExchangeUnbind(bind) => {
                self.authorize(connection, Access::Write, exchange, &bind.destination)?;
                self.authorize(connection, Access::Read, exchange, &bind.source)
            }
            Operation::QueueBind(bind) | Operation::QueueUnbind(bind) => {
                self.authorize(connection, Access::Write, queue, &bind.destination)?;
                self.authorize(connection, Access::Read, exchange, &bind.source)
            }
            Operation::QueuePurge { name }
            | Operation::Consume { queue: name, .. }
            | Operation::Get { queue: name, .. } => self.authorize(connection, Access::Read, queue, name),
            Operation::Cancel { .. } => Ok(()),
        }
    }

    fn authorize_any(&self, connection: ConnectionKey, kind: &str, name: &str) -> Result<(), Refusal> {
        self.authorize(connection, Access::Configure, kind, name)
            .or_else(|_| self.authorize(connection, Access::Write, kind, name))
            .or_else(|_| self.authorize(connection, Access::Read, kind, name))
    }

    /// The directory's part of an operation, if it is one of the directory's.
    fn command_for(&self, operation: &Operation, vhost: &Name) -> Result<Option<Command>, Refusal> {
        let vhost = vhost.clone();
        let binding = |kind, bind: &leveret_amqp::host::Bind| -> Result<Binding, Refusal> {
            if bind.source.is_empty() || (kind == DestinationKind::Exchange && bind.destination.is_empty()) {
                return Err(on_default_exchange());
            }
            Ok(Binding {
                vhost: vhost.clone(),
                source: bind.source.clone(),
                kind,
                destination: bind.destination.clone(),
                key: bind.key.clone(),
                arguments: bind.arguments.clone(),
            })
        };
        Ok(Some(match operation {
            Operation::ExchangeDeclare {
                passive: false,
                name,
                kind,
                durable,
                auto_delete,
                internal,
                arguments,
            } => {
                if name.is_empty() {
                    return Err(on_default_exchange());
                }
                let kind = ExchangeKind::from_name(kind).ok_or_else(|| {
                    let kind = String::from_utf8_lossy(kind);
                    Refusal::new(ReplyCode::PreconditionFailed, format!("unknown exchange type '{kind}'"))
                })?;
                Command::DeclareExchange(Exchange {
                    vhost,
                    name: name.clone(),
                    kind,
                    durable: *durable,
                    auto_delete: *auto_delete,
                    internal: *internal,
                    arguments: arguments.clone(),
                })
            }
            Operation::ExchangeDelete { name, if_unused } => {
                if name.is_empty() {
                    return Err(on_default_exchange());
                }
                Command::DeleteExchange { vhost, name: name.clone(), if_unused: *if_unused }
            }
            Operation::ExchangeBind(bind) => Command::Bind(binding(DestinationKind::Exchange, bind)?),
            Operation::ExchangeUnbind(bind) => Command::Unbind(binding(DestinationKind::Exchange, bind)?),
            Operation::QueueBind(bind) => Command::Bind(binding(DestinationKind::Queue, bind)?),
            Operation::QueueUnbind(bind) => Command::Unbind(binding(DestinationKind::Queue, bind)?),
            Operation::QueueDeclare { passive: false, name, durable, arguments } => Command::DeclareQueue {
                vhost,
                name: name.clone(),
                home: self.own,
                durable: *durable,
                arguments: arguments.clone(),
            },
            Operation::QueueDelete { name, if_unused, if_empty } => {
                Command::DeleteQueue { vhost, name: name.clone(), if_unused: *if_unused, if_empty: *if_empty }
            }
            _ => return Ok(None),
        }))
    }

    /// Operations that the map and a home answer.
    fn start_here(&mut self, request: RequestId, pending: Pending) {
        let vhost = self.meta(pending.channel.connection).vhost;
        let Some(vhost) = vhost else {
            let refusal = Refusal::new(ReplyCode::NotAllowed, "no vhost is open");
            return self.answer(&pending, OwnedAnswer::Refused(refusal));
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
                let vhost_name = self.vhost_name(vhost);
                let Some(queue) = self.table.queue(vhost, name.as_bytes()) else {
                    let text = format!("no queue '{name}' in vhost '{vhost_name}'");
                    return self.missing(request, pending, Refusal::new(ReplyCode::NotFound, text));
                };
                if queue.masked {
                    let refusal = home_down(name, &vhost_name, queue.record.home);
                    return self.answer(&pending, OwnedAnswer::Refused(refusal));
                }
                let (id, home) = (queue.record.id, queue.record.home);
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
            self.answer(&pending, OwnedAnswer::Refused(refusal));
        } else {
            self.wait(request, pending, Stage::Lease);
        }
    }

    fn cancel(&mut self, request: RequestId, pending: Pending, consumer: ConsumerNumber) {
        let Some(handle) = self.consumers.remove(&(pending.channel, consumer)) else {
            return self.answer(&pending, OwnedAnswer::Done);
        };
        if self.end_consumer(handle, pending.channel, consumer, request) {
            self.answer(&pending, OwnedAnswer::Done);
        } else {
            self.wait(request, pending, Stage::Home(handle));
        }
    }

    /// Asks the queue: here at once, elsewhere by a record.
    pub(crate) fn ask(&mut self, request: RequestId, pending: Pending, handle: QueueHandle) {
        if matches!(self.places.get(handle).map(|entry| &entry.place), Some(Place::Home(_))) {
            let answer = self.ask_home(pending.channel, &pending.operation, handle);
            return self.answer(&pending, answer);
        }
        if let Operation::Consume { consumer, .. } = &pending.operation {
            self.consumers.insert((pending.channel, *consumer), handle);
        }
        self.send(request, pending.channel, &pending.operation, handle);
        self.wait(request, pending, Stage::Home(handle));
    }

    /// The record that asks a home elsewhere; also repeats it.
    fn send(&mut self, request: RequestId, channel: ChannelKey, operation: &Operation, handle: QueueHandle) {
        let Some(entry) = self.places.get_mut(handle) else { return };
        let Place::Away(away) = &mut entry.place else { return };
        let queue = entry.id;
        let record = match operation {
            Operation::Consume { consumer, no_ack, exclusive, prefetch, .. } => {
                let terms = ConsumerTerms {
                    channel,
                    consumer: *consumer,
                    no_ack: *no_ack,
                    exclusive: *exclusive,
                    prefetch: *prefetch,
                };
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

    /// A new link to the home: what waits for it is asked again, under the same ids.
    pub(crate) fn repeat_requests(&mut self, is_there: impl Fn(&Away) -> bool) {
        let again: Vec<(RequestId, QueueHandle)> = self
            .pending
            .iter()
            .filter_map(|(request, pending)| match pending.stage {
                Stage::Home(handle) => Some((*request, handle)),
                _ => None,
            })
            .filter(|(_, handle)| match self.places.get(*handle).map(|entry| &entry.place) {
                Some(Place::Away(away)) => is_there(away),
                _ => false,
            })
            .collect();
        for (request, handle) in again {
            if let Some(pending) = self.pending.remove(&request) {
                self.send(request, pending.channel, &pending.operation, handle);
                self.pending.insert(request, pending);
            }
        }
    }

    /// A queue of this shard answers.
    fn ask_home(&mut self, channel: ChannelKey, operation: &Operation, handle: QueueHandle) -> OwnedAnswer {
        let own = self.own;
        let key = |consumer| leveret_model::ConsumerKey { at: own, channel, number: consumer };
        let Some(entry) = self.places.get_mut(handle) else { return OwnedAnswer::Empty };
        let Place::Home(home) = &mut entry.place else { return OwnedAnswer::Empty };
        let queue = &mut home.queue;
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
                if let Err(refused) = queue.subscribe(subscription) {
                    return OwnedAnswer::Refused(self.subscribe_refusal(handle, refused));
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

    pub(crate) fn subscribe_refusal(
        &self,
        handle: QueueHandle,
        refused: leveret_queue::SubscribeRefused,
    ) -> Refusal {
        let place = self.places.get(handle).and_then(|entry| self.table.queue_by_id(entry.id));
        let (queue, vhost) =
            place.map(|queue| (queue.record.name.clone(), queue.record.vhost.clone())).unwrap_or_default();
        let text = format!("queue '{queue}' in vhost '{vhost}' {refused}");
        Refusal::new(ReplyCode::AccessRefused, text)
    }

    /// The control machine answered.
    pub(crate) fn on_reply(&mut self, request: RequestId, reply: Reply) {
        let Some(pending) = self.pending.remove(&request) else { return };
        match reply {
            Reply::Done => self.answer(&pending, OwnedAnswer::Done),
            Reply::Deleted { messages } => {
                let deletes_queue = matches!(pending.operation, Operation::QueueDelete { .. });
                let answer = if deletes_queue { OwnedAnswer::Messages(messages) } else { OwnedAnswer::Done };
                self.answer(&pending, answer);
            }
            Reply::Queue { created: true, .. } => {
                self.answer(&pending, OwnedAnswer::Queue { messages: 0, consumers: 0 });
            }
            Reply::Queue { record, .. } => {
                let handle = self.place(record.id, record.home);
                self.ask(request, pending, handle);
            }
            Reply::Refused(refusal) => self.answer(&pending, OwnedAnswer::Refused(refusal)),
        }
    }

    /// A home elsewhere answered; `answer` sees the operation.
    pub(crate) fn on_home_answer(
        &mut self,
        request: RequestId,
        answer: impl FnOnce(&Operation, QueueHandle) -> OwnedAnswer,
    ) -> bool {
        let Some(pending) = self.pending.remove(&request) else { return false };
        let Stage::Home(handle) = pending.stage else {
            self.pending.insert(request, pending);
            return false;
        };
        let answer = answer(&pending.operation, handle);
        if let (Operation::Consume { consumer, no_ack, exclusive, prefetch, .. }, Some(entry)) =
            (&pending.operation, self.places.get_mut(handle))
            && let Place::Away(away) = &mut entry.place
        {
            let at = (pending.channel, *consumer);
            if matches!(answer, OwnedAnswer::Done) {
                away.consumers.insert(
                    at,
                    ConsumerTerms {
                        channel: pending.channel,
                        consumer: *consumer,
                        no_ack: *no_ack,
                        exclusive: *exclusive,
                        prefetch: *prefetch,
                    },
                );
            } else {
                self.consumers.remove(&at);
            }
        }
        self.answer(&pending, answer);
        true
    }

    /// The queue is gone or its home is Down: what waits for it is refused, or done.
    pub(crate) fn end_requests_of(&mut self, handle: QueueHandle, id: QueueId) {
        let over: Vec<RequestId> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.stage == Stage::Home(handle))
            .map(|(request, _)| *request)
            .collect();
        for request in over {
            let Some(pending) = self.pending.remove(&request) else { continue };
            let answer = match &pending.operation {
                Operation::Cancel { .. } => OwnedAnswer::Done,
                operation => {
                    if let Operation::Consume { consumer, .. } = operation {
                        self.consumers.remove(&(pending.channel, *consumer));
                    }
                    let text = match self.table.queue_by_id(id) {
                        Some(queue) => {
                            return_down(&queue.record.name, &queue.record.vhost, queue.record.home)
                        }
                        None => String::from("the queue was deleted meanwhile"),
                    };
                    OwnedAnswer::Refused(Refusal::new(ReplyCode::NotFound, text))
                }
            };
            self.answer(&pending, answer);
        }
    }

    /// A lease is there, or time passed: what waited for one goes on.
    pub(crate) fn go_on_with_lookups(&mut self) {
        let waiting: Vec<RequestId> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.stage == Stage::Lease)
            .map(|(request, _)| *request)
            .collect();
        for request in waiting {
            if let Some(pending) = self.pending.remove(&request) {
                self.start(request, pending);
            }
        }
    }

    /// Ends operations that waited too long; true answers are not known, so it is an error (P7).
    pub(crate) fn expire_requests(&mut self) {
        let mut over = Vec::new();
        let mut next = Instant::FAR;
        for (request, pending) in &self.pending {
            let patience =
                if pending.stage == Stage::Lease { limits::PUBLISH_WAIT } else { limits::OPERATION_WAIT };
            let due = pending.since + patience;
            if due <= self.now {
                over.push(*request);
            } else {
                next = next.min(due);
            }
        }
        for request in over {
            let Some(pending) = self.pending.remove(&request) else { continue };
            if let Operation::Consume { consumer, .. } = &pending.operation {
                let at = (pending.channel, *consumer);
                if let Some(handle) = self.consumers.remove(&at) {
                    self.end_consumer(handle, at.0, at.1, RequestId(0));
                }
            }
            let text = match pending.stage {
                Stage::Lease => {
                    "this node has lost touch with a member of its cluster and cannot tell; try again"
                }
                Stage::Control | Stage::Home(_) => {
                    "no answer from the node in charge within the time; try again"
                }
            };
            self.answer(&pending, OwnedAnswer::Refused(Refusal::new(ReplyCode::ResourceError, text)));
        }
        self.wake_at(next);
    }
}

fn on_default_exchange() -> Refusal {
    Refusal::new(ReplyCode::AccessRefused, "operation not permitted on the default exchange")
}

fn return_down(name: &Name, vhost: &Name, home: ShardAddress) -> String {
    format!("home node '{}' of queue '{name}' in vhost '{vhost}' is down or inaccessible", home.node)
}

fn home_down(name: &Name, vhost: &str, home: ShardAddress) -> Refusal {
    Refusal::new(ReplyCode::NotFound, return_down(name, &Name::new(vhost), home))
}
