//! Records that reach the home of a queue: publishes over lanes, consumers elsewhere and what they settle.

use leveret_link::record::{LaneTarget, LaneTargets, Record, RemoteConsumer};
use leveret_model::{
    Boot, ChannelKey, ConsumerKey, ConsumerNumber, Message, Position, QueueHandle, QueueId, Refusal,
    ReplyCode, RequestId, Settlement, ShardAddress, refusals,
};
use leveret_queue::{LaneKey, LaneVerdict, MessageRef, Queue, Subscription, Window};

use crate::bounds::Bounds;
use crate::broker::Broker;
use crate::places::{Entry, Home, Place};

impl Broker {
    /// A message on the lanes of one queue or several: appended to each once and in order. hot.
    pub(crate) fn on_publish(
        &mut self,
        from: ShardAddress,
        boot: Boot,
        message: &Message<'_>,
        targets: LaneTargets<'_>,
    ) {
        let len = message.body.len();
        let stored = self.arena.insert(message, targets.count());
        for target in targets {
            if !self.append(from, boot, target, (stored, len)) {
                self.arena.release(stored);
            }
        }
    }

    /// True if the queue keeps the message. hot.
    #[inline(always)]
    fn append(
        &mut self,
        from: ShardAddress,
        boot: Boot,
        LaneTarget { queue, sequence, base }: LaneTarget,
        (message, body_len): (MessageRef, usize),
    ) -> bool {
        let Some((handle, home)) = self.places.home_mut(queue) else {
            self.publish_not_here(from, queue);
            return false;
        };
        if home.closed {
            // its end is near and certain: it counts as not matched
            self.outboxes.push(from, &Record::Gone { queue });
            return false;
        }
        let verdict = home.lanes.accept(LaneKey { ingress: from, boot }, sequence, base);
        if home.lanes.touch() {
            self.owing.push(handle);
        }
        match verdict {
            LaneVerdict::Append => {
                home.queue.append(message, body_len);
                let long = self.pressure.finds_long(&home.queue, &self.bounds.long);
                if home.queue.touch() {
                    self.dirty.push(handle);
                }
                if long {
                    self.throttle(handle, from);
                }
            }
            LaneVerdict::Duplicate => {}
            LaneVerdict::Gap { after } => {
                self.flush_stored();
                self.outboxes.push(from, &Record::Gap { queue, after });
            }
        }
        verdict == LaneVerdict::Append
    }

    /// Sends what ingress shards are owed: one `Stored` for each lane.
    pub(crate) fn flush_stored(&mut self) {
        let mut owing = core::mem::take(&mut self.owing);
        for handle in owing.drain(..) {
            let Some(Entry { id: queue, place: Place::Home(home) }) = self.places.get_mut(handle) else {
                continue;
            };
            let queue = *queue;
            let outboxes = &mut self.outboxes;
            home.lanes.take_owed(|lane, through| {
                outboxes.push(lane.ingress, &Record::Stored { queue, through });
            });
        }
        self.owing = owing;
    }

    /// hot.
    pub(crate) fn on_settle(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        (channel, consumer): (ChannelKey, ConsumerNumber),
        position: Position,
        how: Settlement,
    ) {
        let Some((handle, home)) = self.places.home_mut(queue) else { return };
        let holder = ConsumerKey { at: from, channel, number: consumer };
        home.queue.settle(&holder, position, how, &mut self.arena);
        if home.queue.touch() {
            self.dirty.push(handle);
        }
    }

    /// hot.
    pub(crate) fn on_credit(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        (channel, consumer): (ChannelKey, ConsumerNumber),
        messages: u32,
        bytes: u64,
    ) {
        if let Some((handle, home)) = self.places.home_mut(queue) {
            home.queue.credit(&ConsumerKey { at: from, channel, number: consumer }, messages, bytes);
            if home.queue.touch() {
                self.dirty.push(handle);
            }
        }
    }

    pub(crate) fn refuse(&mut self, to: ShardAddress, request: RequestId, refusal: Refusal) {
        let record = Record::Refused { request, code: refusal.code, text: refusal.text };
        self.outboxes.push(to, &record);
    }

    /// The queue that a request is for, if it is at home here and serves. What is asked of a closed queue is answered by its
    /// end; what is asked of an unknown one waits for it.
    fn asked(
        &mut self,
        from: ShardAddress,
        request: RequestId,
        queue: QueueId,
        record: Record<'static>,
    ) -> Option<(QueueHandle, &mut Home)> {
        if self.places.home_mut(queue).is_none() {
            if self.request_not_here(from, queue, record) {
                let text = "the queue was deleted meanwhile";
                self.refuse(from, request, Refusal::new(ReplyCode::NotFound, text));
            }
            return None;
        }
        self.places.home_mut(queue).filter(|(_, home)| !home.closed)
    }

    pub(crate) fn on_subscribe(
        &mut self,
        from: ShardAddress,
        request: RequestId,
        queue: QueueId,
        consumer: RemoteConsumer,
    ) {
        let record = Record::Subscribe { request, queue, consumer };
        let bounds = self.bounds;
        let Some((handle, home)) = self.asked(from, request, queue, record) else { return };
        if home.queue.subscribe(subscription(from, consumer, bounds)).is_ok() {
            self.outboxes.push(from, &Record::Done { request });
        } else {
            let refusal = self.in_exclusive_use(queue);
            self.refuse(from, request, refusal);
        }
        self.mark_dirty(handle);
    }

    pub(crate) fn on_unsubscribe(
        &mut self,
        from: ShardAddress,
        request: Option<RequestId>,
        queue: QueueId,
        channel: ChannelKey,
        consumer: ConsumerNumber,
    ) {
        if let Some((handle, home)) = self.places.home_mut(queue) {
            home.queue.unsubscribe(&ConsumerKey { at: from, channel, number: consumer });
            self.mark_dirty(handle);
        } else {
            self.early.forget_consumer(from, channel, consumer);
        }
        if let Some(request) = request {
            self.outboxes.push(from, &Record::Done { request });
        }
    }

    /// Consumers that a shard elsewhere believes in end.
    pub(crate) fn cancel_there(
        &mut self,
        to: ShardAddress,
        queue: QueueId,
        consumers: impl Iterator<Item = (ChannelKey, ConsumerNumber)>,
    ) {
        for (channel, consumer) in consumers {
            self.outboxes.push(to, &Record::Cancelled { queue, channel, consumer });
        }
    }

    pub(crate) fn on_get(
        &mut self,
        from: ShardAddress,
        request: RequestId,
        queue: QueueId,
        channel: ChannelKey,
        no_ack: bool,
    ) {
        let record = Record::Get { request, queue, channel, no_ack };
        let Some((_, home)) = self.asked(from, request, queue, record) else { return };
        let holder = ConsumerKey { at: from, channel, number: ConsumerNumber::OF_GET };
        let Some(taken) = home.queue.get(&holder, no_ack) else {
            return self.outboxes.push(from, &Record::Empty { request });
        };
        self.outboxes.push(
            from,
            &Record::Got {
                request,
                position: taken.position,
                redelivered: taken.redelivered,
                remaining: taken.remaining,
                message: self.arena.get(taken.message),
            },
        );
        if no_ack {
            self.arena.release(taken.message);
        }
    }

    pub(crate) fn on_purge(&mut self, from: ShardAddress, request: RequestId, queue: QueueId) {
        if let Some(messages) = self.purges.answered(from, request) {
            return self.outboxes.push(from, &Record::Counts { request, messages, consumers: 0 });
        }
        if self.asked(from, request, queue, Record::Purge { request, queue }).is_none() {
            return;
        }
        // it may be of long ago, if this node stood still: then its client heard something else meanwhile
        if from.node != self.own.node && !self.has_lease() {
            return self.refuse(from, request, refusals::no_view(None));
        }
        let Some((_, home)) = self.places.home_mut(queue) else { return };
        let messages = home.queue.purge(&mut self.arena);
        if from.node != self.own.node {
            self.purges.note(from, request, messages);
        }
        self.outboxes.push(from, &Record::Counts { request, messages, consumers: 0 });
    }

    pub(crate) fn on_inspect(&mut self, from: ShardAddress, request: RequestId, queue: QueueId) {
        let record = Record::Inspect { request, queue };
        let Some((_, home)) = self.asked(from, request, queue, record) else { return };
        let (messages, consumers) = (home.queue.ready(), home.queue.consumers());
        self.outboxes.push(from, &Record::Counts { request, messages, consumers });
    }

    /// The directory made a queue here.
    pub(crate) fn open_home(&mut self, id: QueueId) {
        if self.places.handle(id).is_none() {
            let queue = Queue::new(id, self.own, self.seed.part(id.ulid.0 as u64));
            #[cfg_attr(not(feature = "planted"), allow(unused_mut))]
            let mut home = Home::new(queue);
            #[cfg(feature = "planted")]
            if let Some(bug) = self.planted {
                bug.in_home(&mut home);
            }
            self.places.insert(id, Place::Home(alloc::boxed::Box::new(home)));
            self.take_early(id);
        }
    }

    /// A queue of this shard is deleted, or lost its name: its consumers are told. Messages go only with `delete`.
    pub(crate) fn end_consumers_of(&mut self, handle: QueueHandle, delete: bool) {
        let Some(Entry { id, place: Place::Home(home) }) = self.places.get_mut(handle) else { return };
        let consumers = if delete { home.queue.drop_all(&mut self.arena) } else { home.queue.cancel_all() };
        for key in consumers {
            if key.at != self.own {
                let record = Record::Cancelled { queue: *id, channel: key.channel, consumer: key.number };
                self.outboxes.push(key.at, &record);
            } else if self.subscribed.remove(key.channel, key.number).is_some() {
                self.cancels.push_back((key.channel, key.number));
            }
        }
    }

    /// Exclusive, or wants to be and is not alone.
    pub(crate) fn in_exclusive_use(&self, id: QueueId) -> Refusal {
        let known = self.table.queue_by_id(id).map(|queue| &queue.record);
        let (name, vhost) = known.map(|record| (&*record.name, &*record.vhost)).unwrap_or_default();
        refusals::exclusive_use(name, vhost)
    }
}

/// A consumer of another shard, as the queue is told.
pub(crate) fn subscription(from: ShardAddress, consumer: RemoteConsumer, bounds: Bounds) -> Subscription {
    Subscription {
        key: ConsumerKey { at: from, channel: consumer.channel, number: consumer.number },
        terms: consumer.terms,
        window: Window::Credit { messages: bounds.consumer_messages, bytes: bounds.consumer_bytes },
    }
}
