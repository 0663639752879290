//! Records that reach the home of a queue: publishes over lanes, consumers elsewhere and what they settle.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_amqp::host::QueueHandle;
use leveret_link::record::{ConsumerTerms, HeldDelivery, Record, RecordBody, RecordMessage, Settle};
use leveret_model::directory::FromShard;
use leveret_model::{
    Boot, ChannelKey, ConsumerKey, ConsumerNumber, LaneSequence, Name, QueueId, Refusal, ReplyCode,
    RequestId, ShardAddress, limits,
};
use leveret_queue::{ArenaBody, LaneKey, LaneVerdict, Lanes, Queue, Settled, Subscription, Window};

use crate::broker::Broker;
use crate::egress::stored_message;
use crate::places::{Home, Place};

impl Broker {
    /// A publish on a lane: appended once and in order. hot.
    pub(crate) fn on_publish(
        &mut self,
        from: ShardAddress,
        boot: Boot,
        queue: QueueId,
        sequence: LaneSequence,
        base: LaneSequence,
        message: RecordMessage<'_>,
    ) {
        let Some((handle, home)) = self.places.home_mut(queue) else {
            return self.not_here(from, queue);
        };
        match home.lanes.accept(LaneKey { ingress: from, boot }, sequence, base) {
            LaneVerdict::Append => {
                let (body, len) = match message.body {
                    RecordBody::Flat(bytes) => (ArenaBody::Flat(bytes), bytes.len()),
                    RecordBody::Chunks(chunks) => {
                        let len = chunks.iter().map(bytes::Bytes::len).sum();
                        (ArenaBody::Chunks(chunks), len)
                    }
                };
                let stored = self.arena.insert(message.address, message.header, body, 1);
                home.queue.append(stored, len);
                self.owe_stored(from, queue, sequence);
                self.mark_dirty(handle);
            }
            LaneVerdict::Duplicate { through } => self.owe_stored(from, queue, through),
            LaneVerdict::Gap { after } => {
                self.flush_stored();
                self.outboxes.to(from).push(&Record::Gap { queue, after });
            }
        }
    }

    /// One `Stored` for a lane and turn: runs of one lane are folded. hot.
    fn owe_stored(&mut self, to: ShardAddress, queue: QueueId, through: LaneSequence) {
        if let Some(last) = self.stored_owed.last_mut()
            && last.0 == to
            && last.1 == queue
        {
            last.2 = last.2.max(through);
            return;
        }
        self.stored_owed.push((to, queue, through));
    }

    /// Sends what ingress shards are owed.
    pub(crate) fn flush_stored(&mut self) {
        let mut owed = core::mem::take(&mut self.stored_owed);
        for (to, queue, through) in owed.drain(..) {
            self.outboxes.to(to).push(&Record::Stored { queue, through });
        }
        self.stored_owed = owed;
    }

    /// A record for a queue that is not here: deleted if nobody knows it, else the sender's map is behind.
    fn not_here(&mut self, from: ShardAddress, queue: QueueId) {
        let record = if self.table.queue_by_id(queue).is_some() {
            Record::NotHome { queue }
        } else {
            Record::Gone { queue }
        };
        self.outboxes.to(from).push(&record);
    }

    fn refuse(&mut self, to: ShardAddress, request: RequestId, refusal: Refusal) {
        if request != RequestId(0) {
            let record = Record::Refused { request, code: refusal.code, text: refusal.text };
            self.outboxes.to(to).push(&record);
        }
    }

    pub(crate) fn on_subscribe(
        &mut self,
        from: ShardAddress,
        request: RequestId,
        queue: QueueId,
        terms: ConsumerTerms,
    ) {
        let Some((handle, home)) = self.places.home_mut(queue) else {
            return self.refuse(from, request, gone());
        };
        let subscription = subscription(from, terms);
        match home.queue.subscribe(subscription) {
            Ok(()) => self.outboxes.to(from).push(&Record::Done { request }),
            Err(refused) => {
                let refusal = self.subscribe_refusal(handle, refused);
                self.refuse(from, request, refusal);
            }
        }
        self.mark_dirty(handle);
    }

    pub(crate) fn on_unsubscribe(
        &mut self,
        from: ShardAddress,
        request: RequestId,
        queue: QueueId,
        channel: ChannelKey,
        consumer: ConsumerNumber,
    ) {
        if let Some((handle, home)) = self.places.home_mut(queue) {
            home.queue.unsubscribe(&ConsumerKey { at: from, channel, number: consumer });
            self.mark_dirty(handle);
        }
        if request != RequestId(0) {
            self.outboxes.to(from).push(&Record::Done { request });
        }
    }

    /// hot.
    pub(crate) fn on_credit(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        channel: ChannelKey,
        consumer: ConsumerNumber,
        messages: u32,
        bytes: u64,
    ) {
        if let Some((handle, home)) = self.places.home_mut(queue) {
            home.queue.credit(&ConsumerKey { at: from, channel, number: consumer }, messages, bytes);
            self.mark_dirty(handle);
        }
    }

    /// hot.
    pub(crate) fn on_settle(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        (channel, consumer): (ChannelKey, ConsumerNumber),
        position: leveret_model::Position,
        how: Settle,
    ) {
        let how = match how {
            Settle::Ack => Settled::Ack,
            Settle::Requeue => Settled::Requeue,
            Settle::Reject => Settled::Reject,
        };
        let Some(handle) = self.places.handle(queue) else { return };
        if let Some(entry) = self.places.get_mut(handle)
            && let Place::Home(home) = &mut entry.place
        {
            let holder = ConsumerKey { at: from, channel, number: consumer };
            home.queue.settle(&holder, position, how, &mut self.arena);
            self.mark_dirty(handle);
        }
    }

    /// What a shard elsewhere consumes and holds of a queue, after its link was new.
    pub(crate) fn on_resubscribe(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        consumers: &[ConsumerTerms],
        held: &[HeldDelivery],
    ) {
        let Some(handle) = self.places.handle(queue) else {
            return self.cancel_all(from, queue, consumers);
        };
        let Some(entry) = self.places.get_mut(handle) else { return };
        let Place::Home(home) = &mut entry.place else {
            return self.cancel_all(from, queue, consumers);
        };
        let subscriptions: Vec<Subscription> =
            consumers.iter().map(|terms| subscription(from, *terms)).collect();
        let held: Vec<_> = held.iter().map(|held| (held.channel, held.consumer, held.position)).collect();
        let refused = home.queue.reconcile(from, &subscriptions, &held);
        let keys = subscriptions.iter().map(|subscription| subscription.key).collect();
        home.resubscribed.push((from, keys));
        for key in refused {
            let record = Record::Cancelled { queue, channel: key.channel, consumer: key.number };
            self.outboxes.to(from).push(&record);
        }
        self.mark_dirty(handle);
    }

    fn cancel_all(&mut self, to: ShardAddress, queue: QueueId, consumers: &[ConsumerTerms]) {
        for terms in consumers {
            let record = Record::Cancelled { queue, channel: terms.channel, consumer: terms.consumer };
            self.outboxes.to(to).push(&record);
        }
    }

    /// The shard named all that it has here: the rest ended during the cut. Deliveries to it may start.
    pub(crate) fn on_resubscribe_end(&mut self, from: ShardAddress) {
        let mut touched = Vec::new();
        for (handle, entry) in self.places.iter_mut() {
            let Place::Home(home) = &mut entry.place else { continue };
            if let Some(at) = home.resubscribed.iter().position(|(shard, _)| *shard == from) {
                for key in home.resubscribed.swap_remove(at).1 {
                    home.queue.wake(&key);
                }
            } else {
                // a shard that names nothing has nothing: nobody can be refused
                let _ = home.queue.reconcile(from, &[], &[]);
            }
            touched.push(handle);
        }
        for handle in touched {
            self.mark_dirty(handle);
        }
        self.outboxes.to(from).deliverable = true;
    }

    /// A node is Down: its consumers end and what they held goes back.
    pub(crate) fn on_node_down(&mut self, node: leveret_model::NodeId) {
        let mut touched = Vec::new();
        for (handle, entry) in self.places.iter_mut() {
            let Place::Home(home) = &mut entry.place else { continue };
            home.queue.release_node(node);
            home.resubscribed.retain(|(shard, _)| shard.node != node);
            touched.push(handle);
        }
        for handle in touched {
            self.mark_dirty(handle);
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
        let Some(handle) = self.places.handle(queue) else { return self.refuse(from, request, gone()) };
        let Some(entry) = self.places.get_mut(handle) else { return };
        let Place::Home(home) = &mut entry.place else { return self.refuse(from, request, gone()) };
        let Some(taken) =
            home.queue.get(&ConsumerKey { at: from, channel, number: ConsumerNumber::default() }, no_ack)
        else {
            return self.outboxes.to(from).push(&Record::Empty { request });
        };
        let stored = self.arena.get(taken.message);
        self.outboxes.to(from).push(&Record::Got {
            request,
            position: taken.position,
            redelivered: taken.redelivered,
            remaining: taken.remaining,
            message: stored_message(&stored),
        });
        if no_ack {
            self.arena.release(taken.message);
        }
    }

    pub(crate) fn on_purge(&mut self, from: ShardAddress, request: RequestId, queue: QueueId) {
        let Some(handle) = self.places.handle(queue) else { return self.refuse(from, request, gone()) };
        let Some(entry) = self.places.get_mut(handle) else { return };
        let Place::Home(home) = &mut entry.place else { return self.refuse(from, request, gone()) };
        let messages = home.queue.purge(&mut self.arena);
        self.outboxes.to(from).push(&Record::Counts { request, messages, consumers: 0 });
    }

    pub(crate) fn on_inspect(&mut self, from: ShardAddress, request: RequestId, queue: QueueId) {
        let Some((_, home)) = self.places.home_mut(queue) else {
            return self.refuse(from, request, gone());
        };
        let (messages, consumers) = (home.queue.ready(), home.queue.consumers());
        self.outboxes.to(from).push(&Record::Counts { request, messages, consumers });
    }

    /// The directory made a queue here.
    pub(crate) fn open_home(&mut self, id: QueueId) {
        if self.places.handle(id).is_none() {
            let queue = Queue::new(id, self.own, self.seed.part(id.ulid.0 as u64));
            let home = Home { queue, lanes: Lanes::new(self.seed.part(6)), resubscribed: Vec::new() };
            self.places.insert(id, Place::Home(alloc::boxed::Box::new(home)));
        }
    }

    /// The control machine wants a queue closed, under conditions.
    pub(crate) fn on_close_queue(
        &mut self,
        request: RequestId,
        id: QueueId,
        if_unused: bool,
        if_empty: bool,
    ) {
        let name =
            self.table.queue_by_id(id).map(|queue| (queue.record.name.clone(), queue.record.vhost.clone()));
        let (name, vhost): (Name, Name) = name.unwrap_or_default();
        let result = match self.places.home_mut(id) {
            None => Ok(0),
            Some((_, home)) if if_unused && home.queue.consumers() > 0 => {
                Err(alloc::format!("queue '{name}' in vhost '{vhost}' in use"))
            }
            Some((_, home)) if if_empty && home.queue.ready() > 0 => {
                Err(alloc::format!("queue '{name}' in vhost '{vhost}' not empty"))
            }
            Some((_, home)) => Ok(home.queue.ready()),
        };
        let result = result.map_err(|text| Refusal::new(ReplyCode::PreconditionFailed, text));
        self.control.push(FromShard::QueueClosed { request, result });
    }

    /// A queue of this shard is deleted, or lost its name: its consumers are told. Messages go only with `delete`.
    pub(crate) fn end_consumers_of(&mut self, handle: QueueHandle, delete: bool) {
        let Some(entry) = self.places.get_mut(handle) else { return };
        let id = entry.id;
        let Place::Home(home) = &mut entry.place else { return };
        let consumers = if delete { home.queue.drop_all(&mut self.arena) } else { home.queue.cancel_all() };
        for key in consumers {
            if key.at == self.own {
                self.consumers.remove(&(key.channel, key.number));
                self.cancels.push((key.channel, key.number));
            } else {
                let record = Record::Cancelled { queue: id, channel: key.channel, consumer: key.number };
                self.outboxes.to(key.at).push(&record);
            }
        }
    }
}

fn subscription(from: ShardAddress, terms: ConsumerTerms) -> Subscription {
    Subscription {
        key: ConsumerKey { at: from, channel: terms.channel, number: terms.consumer },
        no_ack: terms.no_ack,
        exclusive: terms.exclusive,
        prefetch: terms.prefetch,
        priority: 0,
        window: Window::Credit {
            messages: limits::CONSUMER_WINDOW_MESSAGES,
            bytes: limits::CONSUMER_WINDOW_BYTES,
        },
    }
}

fn gone() -> Refusal {
    Refusal::new(ReplyCode::NotFound, String::from("the queue was deleted or has moved meanwhile; try again"))
}
