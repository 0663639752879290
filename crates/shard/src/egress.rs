//! The way out: dispatch to consumers here and elsewhere, and deliveries that come from homes elsewhere.

use leveret_amqp::NotTaken;
use leveret_amqp::host::Delivery;
use leveret_link::record::Record;
use leveret_model::{
    ChannelKey, ConnectionKey, ConsumerKey, ConsumerNumber, Held, Message, Position, QueueHandle, QueueId,
    Settlement, ShardAddress,
};
use leveret_queue::{Delivered, Egress};

use crate::broker::{Broker, Credit, Meta};
use crate::connections::Connections;
use crate::outboxes::{OutboxIndex, Outboxes};
use crate::places::{Entry, Place};

/// What dispatch of one queue needs of the shard.
pub(crate) struct Outlet<'a> {
    pub(crate) own: ShardAddress,
    pub(crate) handle: QueueHandle,
    pub(crate) id: QueueId,
    pub(crate) connections: &'a mut Connections,
    pub(crate) metas: &'a mut [Meta],
    pub(crate) outboxes: &'a mut Outboxes,
    /// Output of a connection above which it gets no deliveries.
    pub(crate) output_high: usize,
    /// Where the last delivery to elsewhere went.
    pub(crate) recent: Option<(ShardAddress, OutboxIndex)>,
}

impl Egress for Outlet<'_> {
    /// hot.
    #[inline(always)]
    fn deliver(
        &mut self,
        consumer: &ConsumerKey,
        _no_ack: bool,
        position: Position,
        redelivered: bool,
        message: Message<'_>,
    ) -> Delivered {
        if consumer.at != self.own {
            return self.deliver_elsewhere(consumer, position, redelivered, &message);
        }
        let key = consumer.channel.connection;
        let Some(connection) = self.connections.get_mut(key) else { return Delivered::Gone };
        if connection.output().len() >= self.output_high {
            self.metas[key.slot as usize].parked.push((self.handle, *consumer));
            return Delivered::Full;
        }
        let held = Held { queue: self.handle, position, consumer: consumer.number };
        let delivery = Delivery { held, redelivered, message };
        match connection.offer(consumer.channel, &delivery) {
            Ok(()) => {
                self.connections.touch(key);
                Delivered::Taken
            }
            Err(NotTaken::Paused) => {
                self.metas[key.slot as usize].pauses = true;
                Delivered::Full
            }
            Err(NotTaken::Vanished) => Delivered::Gone,
        }
    }
}

impl Outlet<'_> {
    /// hot.
    #[inline(never)]
    fn deliver_elsewhere(
        &mut self,
        consumer: &ConsumerKey,
        position: Position,
        redelivered: bool,
        message: &Message<'_>,
    ) -> Delivered {
        let index = match self.recent {
            Some((at, index)) if at == consumer.at => Some(index),
            Some(_) | None => self.outboxes.find(consumer.at),
        };
        // else until its shard says on a new link what it holds (RESUB wakes it), or is Down
        let Some(index) = index else { return Delivered::Full };
        self.recent = Some((consumer.at, index));
        let outbox = self.outboxes.at(index);
        if !outbox.up || !outbox.deliverable {
            return Delivered::Full;
        }
        outbox.push_deliver(self.id, (consumer.channel, consumer.number), position, redelivered, message);
        Delivered::Taken
    }
}

impl Broker {
    /// A message for a consumer of this shard. hot.
    ///
    /// A consumer is in its channel from the home's answer to the subscription up to its answer to the cancel, so what is
    /// not taken belongs to a channel that is gone, or to a consumer that was cancelled from here, or whose queue lost a merge
    /// before it answered (the consumer is the winner's). It goes back; of a consumer without acks the home does not know it
    /// any more, and it is lost as on RabbitMQ.
    pub(crate) fn on_deliver(
        &mut self,
        connections: &mut Connections,
        to: (QueueId, ChannelKey, ConsumerNumber),
        position: Position,
        redelivered: bool,
        message: Message<'_>,
    ) {
        let (queue, channel, consumer) = to;
        let Some((handle, away)) = self.places.away_mut(queue) else { return };
        if redelivered {
            self.outboxes.at(away.outbox).note_given(queue, channel, consumer, position);
        }
        let bytes = message.weight_bytes() as u64;
        let held = Held { queue: handle, position, consumer };
        let delivery = Delivery { held, redelivered, message };
        let key = channel.connection;
        let taken = away.consumers.contains_key(&(channel, consumer))
            && connections
                .get_mut(key)
                .is_some_and(|connection| connection.deliver(channel, &delivery).is_ok());
        if !taken {
            let back = Record::Settle { queue, channel, consumer, position, how: Settlement::Requeue };
            return self.outboxes.at(away.outbox).push_settle(back);
        }
        connections.touch(key);
        let credit = &mut self.metas[key.slot as usize].credit;
        match credit.last_mut() {
            Some(last) if last.channel == channel && last.consumer == consumer => {
                last.messages += 1;
                last.bytes += bytes;
            }
            _ => credit.push(Credit { queue: handle, channel, consumer, messages: 1, bytes }),
        }
    }

    /// The output of a connection is short again: homes elsewhere get their windows back, queues here go on.
    pub(crate) fn output_has_room(&mut self, connection: ConnectionKey) {
        let meta = self.meta_mut(connection);
        let mut credits = core::mem::take(&mut meta.credit);
        let mut parked = core::mem::take(&mut meta.parked);
        for credit in credits.drain(..) {
            let Some(Entry { id, place: Place::Away(away) }) = self.places.get(credit.queue) else {
                continue;
            };
            let record = Record::Credit {
                queue: *id,
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
        let meta = self.meta_mut(connection);
        meta.credit = credits;
        meta.parked = parked;
    }

    /// A home elsewhere ended a consumer of this shard.
    pub(crate) fn on_cancelled(&mut self, queue: QueueId, channel: ChannelKey, consumer: ConsumerNumber) {
        if let Some((_, away)) = self.places.away_mut(queue) {
            away.consumers.remove(&(channel, consumer));
        }
        if self.subscribed.remove(channel, consumer).is_some() {
            self.cancels.push_back((channel, consumer));
        }
    }

    /// The directory says that a queue is gone or was renamed, or that its home is Down or a rival has its name: consumers
    /// here are told, and what waits for it asks the map again. A home that goes on hears that they are gone.
    pub(crate) fn end_away(&mut self, handle: QueueHandle, goes_on: bool) {
        if let Some(Entry { id, place: Place::Away(away) }) = self.places.get_mut(handle) {
            let (queue, outbox) = (*id, away.outbox);
            for (channel, consumer) in core::mem::take(&mut away.consumers).into_keys() {
                if self.subscribed.remove(channel, consumer).is_some() {
                    self.cancels.push_back((channel, consumer));
                }
                if goes_on {
                    let record = Record::Unsubscribe { request: None, queue, channel, consumer };
                    self.outboxes.at(outbox).push(&record);
                }
            }
        }
        self.end_requests_of(handle, goes_on);
    }
}
