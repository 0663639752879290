//! The way out: dispatch to consumers here and elsewhere, and records that reach the shard of a publisher or consumer.

use alloc::vec::Vec;

use leveret_amqp::Connection;
use leveret_amqp::host::{Answer, Content, Delivery, Held, Message, QueueHandle};
use leveret_link::record::{HeldDelivery, Record, RecordBody, RecordMessage, Settle};
use leveret_model::{
    ChannelKey, ConnectionKey, ConsumerKey, ConsumerNumber, LaneSequence, Position, QueueId, RequestId,
    ShardAddress, limits,
};
use leveret_queue::{Delivered, Egress, StoredBody, StoredMessage};

use crate::broker::{Broker, Credit, Meta};
use crate::forward::Outboxes;
use crate::operations::{OwnedAnswer, OwnedMessage};
use crate::places::{Entry, Owed, Place};
use crate::publish::ChannelState;
use crate::shard::Connections;

/// A stored message as the protocol's side wants it. hot.
pub(crate) fn message<'a>(stored: &StoredMessage<'a>) -> Message<'a> {
    let body = match stored.body {
        StoredBody::Flat(bytes) => Content::Flat(bytes),
        StoredBody::Chunks(chunks) => Content::Chunks(chunks),
    };
    Message { address: stored.address, header: stored.header, body }
}

/// A stored message as a record carries it.
pub(crate) fn stored_message<'a>(stored: &StoredMessage<'a>) -> RecordMessage<'a> {
    let body = match stored.body {
        StoredBody::Flat(bytes) => RecordBody::Flat(bytes),
        StoredBody::Chunks(chunks) => RecordBody::Chunks(chunks.to_vec()),
    };
    RecordMessage { address: stored.address, header: stored.header, body }
}

/// What dispatch of one queue needs of the shard.
pub(crate) struct Outlet<'a> {
    pub(crate) own: ShardAddress,
    pub(crate) handle: QueueHandle,
    pub(crate) id: QueueId,
    pub(crate) connections: &'a mut Connections,
    pub(crate) metas: &'a mut [Meta],
    pub(crate) outboxes: &'a mut Outboxes,
    pub(crate) touched: &'a mut Vec<ConnectionKey>,
}

impl Egress for Outlet<'_> {
    /// hot.
    fn deliver(
        &mut self,
        consumer: &ConsumerKey,
        _no_ack: bool,
        position: Position,
        redelivered: bool,
        stored: StoredMessage<'_>,
    ) -> Delivered {
        if consumer.at != self.own {
            let outbox = self.outboxes.to(consumer.at);
            if !outbox.up || !outbox.deliverable {
                // until its shard says on a new link what it holds (RESUB wakes it), or is Down
                return Delivered::Full;
            }
            let to = (consumer.channel, consumer.number);
            outbox.push_deliver(self.id, to, position, redelivered, &stored);
            return Delivered::Taken;
        }
        let key = consumer.channel.connection;
        let Some(connection) = self.connections.get_mut(key) else { return Delivered::Gone };
        if connection.output().len() >= limits::OUTPUT_BYTES_HIGH {
            self.metas[key.slot as usize].parked.push((self.handle, *consumer));
            return Delivered::Full;
        }
        let held = Held { queue: self.handle, position, consumer: consumer.number };
        let delivery = Delivery { held, redelivered, message: message(&stored) };
        match connection.deliver(consumer.channel, &delivery) {
            Ok(()) => {
                self.connections.touch(key, self.touched);
                Delivered::Taken
            }
            Err(_) => Delivered::Gone,
        }
    }
}

/// A connection that is known to be there. hot.
pub(crate) type ClientConnection = Connection<ChannelState>;

impl Broker {
    /// The home has everything of the lane up to here. hot.
    pub(crate) fn on_stored(&mut self, queue: QueueId, through: LaneSequence) {
        let Some(handle) = self.places.handle(queue) else { return };
        let Some(entry) = self.places.get_mut(handle) else { return };
        let Place::Away(away) = &mut entry.place else { return };
        let was_full = away.lane.is_full();
        let mut done = core::mem::take(&mut self.owed_scratch);
        done.extend(away.lane.stored(through));
        self.retry |= was_full;
        for owed in done.drain(..) {
            self.answered(&owed, true);
        }
        self.owed_scratch = done;
    }

    /// A home answered for a publish, or its time is over. hot.
    pub(crate) fn answered(&mut self, owed: &Owed, ok: bool) {
        self.arena.release(owed.message);
        if !ok {
            self.traffic.given_up += 1;
        }
        let Some((channel, number)) = owed.publisher else { return };
        if !owed.shared {
            self.settled.push((channel, number, ok));
            return;
        }
        let Some(left) = self.owed.get_mut(&(channel, number)) else { return };
        *left -= 1;
        if !ok || *left == 0 {
            self.owed.remove(&(channel, number));
            self.settled.push((channel, number, ok));
        }
    }

    /// The home misses something: the lane sends again from there.
    pub(crate) fn on_gap(&mut self, queue: QueueId, after: LaneSequence) {
        let Some((handle, away)) = self.places.away_mut(queue) else { return };
        if away.lane.on_gap(after) {
            self.resend(handle, after);
        }
    }

    /// Sends a lane's unanswered publishes again, in order.
    pub(crate) fn resend(&mut self, handle: QueueHandle, after: LaneSequence) {
        let Some(entry) = self.places.get_mut(handle) else { return };
        let id = entry.id;
        let Place::Away(away) = &mut entry.place else { return };
        let base = away.lane.base();
        let outbox = self.outboxes.at(away.outbox);
        for (sequence, owed) in away.lane.resend_from(after) {
            outbox.push_publish(id, sequence, base, &self.arena.get(owed.message));
        }
    }

    /// The queue was deleted: what is not answered counts as not matched.
    pub(crate) fn on_gone(&mut self, queue: QueueId) {
        let Some((_, away)) = self.places.away_mut(queue) else { return };
        let gone: Vec<Owed> = away.lane.gone().collect();
        for owed in gone {
            self.answered(&owed, true);
        }
        self.retry = true;
    }

    /// A message for a consumer of this shard. hot.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn on_deliver(
        &mut self,
        connections: &mut Connections,
        touched: &mut Vec<ConnectionKey>,
        to: (QueueId, ChannelKey, ConsumerNumber),
        position: Position,
        redelivered: bool,
        record: &RecordMessage<'_>,
    ) {
        let (queue, channel, consumer) = to;
        let Some(handle) = self.places.handle(queue) else { return };
        let known = match self.places.get(handle).map(|entry| &entry.place) {
            Some(Place::Away(away)) => away.consumers.contains_key(&(channel, consumer)),
            _ => false,
        };
        let body = match &record.body {
            RecordBody::Flat(bytes) => Content::Flat(bytes),
            RecordBody::Chunks(chunks) => Content::Chunks(chunks),
        };
        let bytes = body.len() as u64;
        let message = Message { address: record.address, header: record.header, body };
        let held = Held { queue: handle, position, consumer };
        let delivery = Delivery { held, redelivered, message };
        let key = channel.connection;
        // A consumer that was cancelled here is not in the list any more: its deliveries under way go back.
        let taken = known
            && connections
                .get_mut(key)
                .is_some_and(|connection| connection.deliver(channel, &delivery).is_ok());
        if !taken {
            let back = Record::Settle { queue, channel, consumer, position, how: Settle::Requeue };
            if let Some((_, away)) = self.places.away_mut(queue) {
                let outbox = away.outbox;
                self.outboxes.at(outbox).push_settle(back);
            }
            return;
        }
        connections.touch(key, touched);
        let credit = &mut self.metas[key.slot as usize].credit;
        match credit.iter_mut().find(|credit| credit.channel == channel && credit.consumer == consumer) {
            Some(credit) => {
                credit.messages += 1;
                credit.bytes += bytes;
            }
            None => credit.push(Credit { queue: handle, channel, consumer, messages: 1, bytes }),
        }
    }

    /// The output of a connection is short again: homes elsewhere get their windows back, queues here go on.
    pub(crate) fn output_has_room(&mut self, connection: ConnectionKey) {
        let meta = &mut self.metas[connection.slot as usize];
        let mut credit = core::mem::take(&mut meta.credit);
        let mut parked = core::mem::take(&mut meta.parked);
        for credit in credit.drain(..) {
            let Some(entry) = self.places.get(credit.queue) else { continue };
            let Place::Away(away) = &entry.place else { continue };
            let record = Record::Credit {
                queue: entry.id,
                channel: credit.channel,
                consumer: credit.consumer,
                messages: credit.messages,
                bytes: credit.bytes,
            };
            self.outboxes.at(away.outbox).push(&record);
        }
        for (handle, consumer) in parked.drain(..) {
            if let Some(Entry { place: Place::Home(home), .. }) = self.places.get_mut(handle) {
                home.queue.wake(&consumer);
            }
            self.mark_dirty(handle);
        }
        let meta = &mut self.metas[connection.slot as usize];
        meta.credit = credit;
        meta.parked = parked;
    }

    /// A home elsewhere ended a consumer of this shard.
    pub(crate) fn on_cancelled(&mut self, queue: QueueId, channel: ChannelKey, consumer: ConsumerNumber) {
        if let Some((_, away)) = self.places.away_mut(queue) {
            away.consumers.remove(&(channel, consumer));
        }
        if self.consumers.remove(&(channel, consumer)).is_some() {
            self.cancels.push((channel, consumer));
        }
    }

    pub(crate) fn on_got(
        &mut self,
        request: RequestId,
        position: Position,
        redelivered: bool,
        remaining: u64,
        record: &RecordMessage<'_>,
    ) {
        let (flat, chunks) = match &record.body {
            RecordBody::Flat(bytes) => (bytes.to_vec(), Vec::new()),
            RecordBody::Chunks(chunks) => (Vec::new(), chunks.clone()),
        };
        let message =
            OwnedMessage { address: record.address.to_vec(), header: record.header.to_vec(), flat, chunks };
        // An answer that nobody waits for any more: RESUB or the channel's end gives the message back.
        self.on_home_answer(request, |operation, queue| {
            let no_ack = matches!(operation, leveret_amqp::host::Operation::Get { no_ack: true, .. });
            let held = Held { queue, position, consumer: ConsumerNumber::default() };
            OwnedAnswer::Got { held, no_ack, message, redelivered, remaining }
        });
    }

    /// A link to a node is new: everything that this shard has there is said again, in this order.
    pub(crate) fn on_link_up(&mut self, node: leveret_model::NodeId, connections: &Connections) {
        self.outboxes.link_up(node);
        let mut homes: Vec<ShardAddress> = Vec::new();
        let handles: Vec<QueueHandle> = self
            .places
            .iter()
            .filter(|(_, entry)| matches!(&entry.place, Place::Away(away) if away.home.node == node))
            .map(|(handle, _)| handle)
            .collect();
        let mut settles = Vec::new();
        for outbox in self.outboxes.iter_mut().filter(|outbox| outbox.to.node == node) {
            homes.push(outbox.to);
            settles.push((outbox.to, outbox.settles_under_way()));
        }
        for handle in &handles {
            self.resubscribe(*handle, connections, &settles);
        }
        for (to, settles) in settles {
            let outbox = self.outboxes.to(to);
            outbox.push(&Record::ResubscribeEnd);
            for settle in settles {
                outbox.push_settle(settle);
            }
        }
        self.repeat_requests(|away| away.home.node == node);
        for handle in handles {
            if let Some(Entry { place: Place::Away(away), .. }) = self.places.get_mut(handle) {
                away.lane.restart();
            }
            self.resend(handle, LaneSequence(0));
        }
        self.retry = true;
    }

    /// RESUB for one queue: consumers, and all that is held, settlements under way included.
    fn resubscribe(
        &mut self,
        handle: QueueHandle,
        connections: &Connections,
        settles: &[(ShardAddress, Vec<Record<'static>>)],
    ) {
        let Some(entry) = self.places.get(handle) else { return };
        let Place::Away(away) = &entry.place else { return };
        let id = entry.id;
        let mut held: Vec<HeldDelivery> = Vec::new();
        connections.for_each_held(|channel, at| {
            if at.queue == handle {
                held.push(HeldDelivery { channel, consumer: at.consumer, position: at.position });
            }
        });
        for (_, settles) in settles.iter().filter(|(to, _)| *to == away.home) {
            for settle in settles {
                if let Record::Settle { queue, channel, consumer, position, .. } = settle
                    && *queue == id
                {
                    held.push(HeldDelivery { channel: *channel, consumer: *consumer, position: *position });
                }
            }
        }
        let consumers = away.consumers.values().copied().collect();
        let record = Record::Resubscribe { queue: id, consumers, held };
        self.outboxes.at(away.outbox).push(&record);
    }

    /// Publishes that waited for their home long enough are given up, from the front of each lane.
    pub(crate) fn expire_lanes(&mut self) {
        let now = self.now;
        let mut over: Vec<Owed> = Vec::new();
        let mut next = leveret_model::Instant::FAR;
        for (_, entry) in self.places.iter_mut() {
            let Place::Away(away) = &mut entry.place else { continue };
            while let Some(late) = away.lane.expire(|owed| now.since(owed.arrived) >= limits::PUBLISH_WAIT) {
                over.push(late);
            }
            if let Some(front) = away.lane.front() {
                next = next.min(front.arrived + limits::PUBLISH_WAIT);
            }
        }
        self.wake_at(next);
        self.retry |= !over.is_empty();
        for owed in over {
            self.answered(&owed, false);
        }
    }

    /// The directory says that a queue elsewhere is gone, or its home is Down: consumers here are told.
    pub(crate) fn end_away(&mut self, handle: QueueHandle) {
        let Some(entry) = self.places.get_mut(handle) else { return };
        let id = entry.id;
        let Place::Away(away) = &mut entry.place else { return };
        let consumers = core::mem::take(&mut away.consumers);
        for (channel, consumer) in consumers.into_keys() {
            if self.consumers.remove(&(channel, consumer)).is_some() {
                self.cancels.push((channel, consumer));
            }
        }
        self.end_requests_of(handle, id);
    }
}

/// The answer as the connection wants it, borrowed from its owner.
pub(crate) fn borrow(answer: &OwnedAnswer) -> Answer<'_> {
    match answer {
        OwnedAnswer::Done => Answer::Done,
        OwnedAnswer::Queue { messages, consumers } => {
            Answer::Queue { messages: *messages, consumers: *consumers }
        }
        OwnedAnswer::Messages(count) => Answer::Messages(*count),
        OwnedAnswer::Got { held, message, redelivered, remaining, .. } => {
            let body = if message.chunks.is_empty() {
                Content::Flat(&message.flat)
            } else {
                Content::Chunks(&message.chunks)
            };
            let message = Message { address: &message.address, header: &message.header, body };
            Answer::Got { held: *held, message, redelivered: *redelivered, remaining: *remaining }
        }
        OwnedAnswer::Empty => Answer::Empty,
        OwnedAnswer::Refused(refusal) => Answer::Refused(refusal.clone()),
    }
}
