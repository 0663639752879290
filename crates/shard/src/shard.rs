//! The shard: its doors and the turn.

use alloc::collections::BinaryHeap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use bytes::Bytes;
use leveret_amqp::host::{Held, Verdict};
use leveret_amqp::{Connection, State};
use leveret_auth::{Hashed, Users};
use leveret_link::credit::{Cost, Overgrant};
use leveret_link::record::Record;
use leveret_link::{Batch, Damage};
use leveret_model::directory::{Change, FromShard, PeerState, ToShard};
use leveret_model::{
    Address, Boot, ChannelKey, ConnectionKey, Instant, NodeId, QueueId, ReplyCode, Seed, ShardAddress, limits,
};
use leveret_wire::Output;

use crate::broker::{Broker, Meta};
use crate::effects::Effects;
use crate::egress::{ClientConnection, Outlet, borrow};
use crate::host::View;
use crate::operations::OwnedAnswer;
use crate::places::{Away, Place};
use crate::report::{ConnectionReport, QueueReport, ShardReport};

/// What a shard is told at its start.
#[derive(Debug)]
pub struct ShardConfig {
    /// Which shard this is.
    pub own: ShardAddress,
    /// For hash states.
    pub seed: Seed,
    /// What the broker offers to its clients.
    pub protocol: Arc<leveret_amqp::Config>,
    /// Who may log in.
    pub users: Users,
}

/// The other end of a new socket.
#[derive(Clone, Debug)]
pub struct Peer {
    /// For people: `peer -> own`.
    pub name: String,
    /// From this machine (RabbitMQ: loopback_users).
    pub loopback: bool,
}

/// Why a batch from another shard is not believed: the link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A record cannot be read.
    #[error("damaged record: {0}")]
    Damaged(#[from] Damage),
    /// It counts credit otherwise than we do.
    #[error(transparent)]
    Overgrant(#[from] Overgrant),
}

/// Whether a connection's socket is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadInterest {
    /// As much as comes.
    Read,
    /// A little each 100 ms: it publishes under the memory alarm, but it holds deliveries whose acks must pass.
    Trickle,
    /// Not now.
    Stop,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    connection: Option<alloc::boxed::Box<ClientConnection>>,
    touched: bool,
}

/// The connections of a shard, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Connections {
    fn reserve(&mut self) -> ConnectionKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, connection: None, touched: false });
            self.slots.len() as u32 - 1
        });
        let at = &mut self.slots[slot as usize];
        at.generation = at.generation.wrapping_add(1);
        ConnectionKey { slot, generation: at.generation }
    }

    fn remove(&mut self, key: ConnectionKey) -> Option<alloc::boxed::Box<ClientConnection>> {
        let slot = self.slots.get_mut(key.slot as usize).filter(|slot| slot.generation == key.generation)?;
        let connection = slot.connection.take()?;
        self.free.push(key.slot);
        Some(connection)
    }

    /// hot.
    pub(crate) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut ClientConnection> {
        self.slots
            .get_mut(key.slot as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.connection.as_deref_mut())
    }

    fn get(&self, key: ConnectionKey) -> Option<&ClientConnection> {
        self.slots
            .get(key.slot as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.connection.as_deref())
    }

    /// Notes that a connection has something for its socket. hot.
    pub(crate) fn touch(&mut self, key: ConnectionKey, touched: &mut Vec<ConnectionKey>) {
        let slot = &mut self.slots[key.slot as usize];
        if !slot.touched {
            slot.touched = true;
            touched.push(key);
        }
    }

    /// Every delivery that is held, in a fixed order.
    pub(crate) fn for_each_held(&self, mut each: impl FnMut(ChannelKey, Held)) {
        for connection in self.slots.iter().filter_map(|slot| slot.connection.as_deref()) {
            connection.for_each_held(&mut each);
        }
    }
}

/// One core's part of a node.
///
/// In a turn the driver calls, in this order: [`Shard::begin_turn`]; [`Shard::on_control`] until its control ring is
/// empty; then any of the `on_*` doors; [`Shard::end_turn`], which fills the [`Effects`].
#[derive(Debug)]
pub struct Shard {
    connections: Connections,
    broker: Broker,
    protocol: Arc<leveret_amqp::Config>,
    touched: Vec<ConnectionKey>,
    timers: BinaryHeap<Reverse<(Instant, u32, u32)>>,
    memory_alarm: bool,
    /// Connections that keep back window of homes elsewhere because their output is long.
    indebted: Vec<ConnectionKey>,
}

impl Shard {
    /// A shard without connections and queues.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        Self {
            connections: Connections::default(),
            broker: Broker::new(config.own, config.seed, config.users),
            protocol: config.protocol,
            touched: Vec::new(),
            timers: BinaryHeap::new(),
            memory_alarm: false,
            indebted: Vec::new(),
        }
    }

    /// The time of this turn; the clock is read once.
    pub fn begin_turn(&mut self, now: Instant) {
        self.broker.now = now;
    }

    /// A new socket.
    pub fn accept(&mut self, peer: Peer) -> ConnectionKey {
        let key = self.connections.reserve();
        let connection = Connection::new(self.broker.now, key, Arc::clone(&self.protocol));
        let deadline = connection.next_deadline();
        self.connections.slots[key.slot as usize].connection = Some(alloc::boxed::Box::new(connection));
        if self.broker.metas.len() <= key.slot as usize {
            self.broker.metas.resize_with(key.slot as usize + 1, Meta::default);
        }
        self.broker.metas[key.slot as usize] =
            Meta { generation: key.generation, name: peer.name, loopback: peer.loopback, ..Meta::default() };
        self.set_timer(key, deadline);
        key
    }

    /// Bytes from a socket: consumes what it can, the driver offers the rest again with more behind it. hot.
    pub fn on_bytes(&mut self, key: ConnectionKey, bytes: &Bytes) -> usize {
        let Some(connection) = self.connections.get_mut(key) else { return bytes.len() };
        let mut view = View { broker: &mut self.broker, connection: key };
        let consumed = connection.on_bytes(view.broker.now, bytes, &mut view);
        self.connections.touch(key, &mut self.touched);
        if self.memory_alarm {
            let meta = self.broker.meta_mut(key);
            meta.bytes_under_alarm = meta.bytes_under_alarm.saturating_add(consumed as u64);
        }
        self.settle_results();
        consumed
    }

    /// The socket took output.
    pub fn on_written(&mut self, key: ConnectionKey) {
        if self.connections.get(key).is_some() {
            self.connections.touch(key, &mut self.touched);
        }
    }

    /// The socket is gone.
    pub fn on_lost(&mut self, key: ConnectionKey) {
        let Some(mut connection) = self.connections.remove(key) else { return };
        let mut view = View { broker: &mut self.broker, connection: key };
        connection.lost(&mut view);
        self.broker.metas[key.slot as usize] = Meta::default();
        self.settle_results();
    }

    /// Ends a connection with a reply code: an operator, a stop, a limit.
    pub fn close(&mut self, key: ConnectionKey, code: ReplyCode, text: &str) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let mut view = View { broker: &mut self.broker, connection: key };
        connection.close(view.broker.now, code, text, &mut view);
        self.connections.touch(key, &mut self.touched);
        self.settle_results();
    }

    /// Ends every connection: the node stops.
    pub fn close_all(&mut self, code: ReplyCode, text: &str) {
        for key in self.keys() {
            self.close(key, code, text);
        }
    }

    fn keys(&self) -> Vec<ConnectionKey> {
        let used = |(slot, at): (usize, &Slot)| {
            at.connection.as_ref().map(|_| ConnectionKey { slot: slot as u32, generation: at.generation })
        };
        self.connections.slots.iter().enumerate().filter_map(used).collect()
    }

    /// A password was hashed.
    pub fn on_password(&mut self, key: ConnectionKey, mechanism: &str, hashed: Hashed) {
        let result = self.broker.users.on_hashed(hashed, self.broker.now);
        self.broker.logins.push((key, result.map_err(|refused| refused.refusal(mechanism))));
        self.settle_results();
    }

    /// Mail from the control machine, in order.
    pub fn on_control(&mut self, mail: ToShard) {
        match mail {
            ToShard::Change { sequence, change } => {
                self.on_change(change);
                self.broker.control.push(FromShard::Applied { sequence });
            }
            ToShard::Reply { request, reply } => self.broker.on_reply(request, reply),
            ToShard::Lease { until } => {
                let had = self.broker.has_lease();
                self.broker.lease_until = until;
                if !had && self.broker.has_lease() {
                    self.broker.retry = true;
                    self.broker.go_on_with_lookups();
                }
            }
            ToShard::Peer { node, state } => {
                if state == PeerState::Down {
                    self.broker.on_node_down(node);
                }
            }
            ToShard::CloseQueue { request, id, if_unused, if_empty } => {
                self.broker.on_close_queue(request, id, if_unused, if_empty);
            }
        }
        self.settle_results();
    }

    fn on_change(&mut self, change: Change) {
        let broker = &mut self.broker;
        match &change {
            Change::PutQueue(record) => {
                let renamed =
                    broker.table.queue_by_id(record.id).is_some_and(|known| known.record.name != record.name);
                if record.home == broker.own {
                    broker.open_home(record.id);
                }
                broker.table.apply(&change);
                if renamed && let Some(handle) = broker.places.handle(record.id) {
                    broker.end_consumers_of(handle, false);
                    broker.end_away(handle);
                }
            }
            Change::DropQueue { id } => {
                broker.on_gone(*id);
                broker.table.apply(&change);
                if let Some(handle) = broker.places.handle(*id) {
                    broker.end_consumers_of(handle, true);
                    broker.end_away(handle);
                    broker.places.remove(handle);
                }
            }
            Change::MaskQueue { id } | Change::UnmaskQueue { id } => {
                let masked = matches!(change, Change::MaskQueue { .. });
                broker.table.apply(&change);
                if let Some((handle, away)) = broker.places.away_mut(*id) {
                    away.masked = masked;
                    if masked {
                        broker.end_away(handle);
                    }
                }
            }
            _ => {
                broker.table.apply(&change);
            }
        }
        // What could not go before may go now, or is known to have nowhere to go.
        broker.retry = true;
    }

    /// The link to a node begins; the shard says again what it has there.
    pub fn on_link_up(&mut self, node: NodeId) {
        self.broker.on_link_up(node, &self.connections);
    }

    /// The link to a node is gone, with what was on it.
    pub fn on_link_down(&mut self, node: NodeId) {
        self.broker.outboxes.link_down(node);
    }

    /// A batch from another shard.
    ///
    /// # Errors
    /// The batch is damaged: the link must end.
    pub fn on_batch(&mut self, from: ShardAddress, boot: Boot, batch: &Batch) -> Result<(), BatchError> {
        for record in batch.iter() {
            match record? {
                Record::Grant { records, bytes } => {
                    self.broker.outboxes.to(from).granted(Cost { records, bytes })?;
                }
                record => self.on_record(from, boot, record),
            }
        }
        self.broker.outboxes.to(from).processed(batch.cost());
        self.settle_results();
        Ok(())
    }

    /// hot.
    fn on_record(&mut self, from: ShardAddress, boot: Boot, record: Record<'_>) {
        let broker = &mut self.broker;
        match record {
            Record::Publish { queue, sequence, base, message } => {
                broker.on_publish(from, boot, queue, sequence, base, message);
            }
            Record::Deliver { queue, channel, consumer, position, redelivered, message } => broker
                .on_deliver(
                    &mut self.connections,
                    &mut self.touched,
                    (queue, channel, consumer),
                    position,
                    redelivered,
                    &message,
                ),
            Record::Stored { queue, through } => broker.on_stored(queue, through),
            Record::Settle { queue, channel, consumer, position, how } => {
                broker.on_settle(from, queue, (channel, consumer), position, how);
            }
            Record::Credit { queue, channel, consumer, messages, bytes } => {
                broker.on_credit(from, queue, channel, consumer, messages, bytes);
            }
            record => self.on_rare_record(from, record),
        }
    }

    fn on_rare_record(&mut self, from: ShardAddress, record: Record<'_>) {
        let broker = &mut self.broker;
        match record {
            Record::Gap { queue, after } => broker.on_gap(queue, after),
            Record::Gone { queue } => broker.on_gone(queue),
            // The directory decides where it is; the lane goes there when its change comes, or ends at its time.
            Record::NotHome { .. } => {}
            Record::Subscribe { request, queue, terms } => broker.on_subscribe(from, request, queue, terms),
            Record::Unsubscribe { request, queue, channel, consumer } => {
                broker.on_unsubscribe(from, request, queue, channel, consumer);
            }
            Record::Cancelled { queue, channel, consumer } => broker.on_cancelled(queue, channel, consumer),
            Record::Resubscribe { queue, consumers, held } => {
                broker.on_resubscribe(from, queue, &consumers, &held);
            }
            Record::ResubscribeEnd => broker.on_resubscribe_end(from),
            Record::Get { request, queue, channel, no_ack } => {
                broker.on_get(from, request, queue, channel, no_ack);
            }
            Record::Got { request, position, redelivered, remaining, message } => {
                broker.on_got(request, position, redelivered, remaining, &message);
            }
            Record::Empty { request } => {
                broker.on_home_answer(request, |_, _| OwnedAnswer::Empty);
            }
            Record::Purge { request, queue } => broker.on_purge(from, request, queue),
            Record::Inspect { request, queue } => broker.on_inspect(from, request, queue),
            Record::Counts { request, messages, consumers } => {
                broker.on_home_answer(request, |operation, _| match operation {
                    leveret_amqp::host::Operation::QueuePurge { .. } => OwnedAnswer::Messages(messages),
                    _ => OwnedAnswer::Queue { messages, consumers },
                });
            }
            Record::Done { request } => {
                broker.on_home_answer(request, |_, _| OwnedAnswer::Done);
            }
            Record::Refused { request, code, text } => {
                let refusal = leveret_model::Refusal { code, text };
                broker.on_home_answer(request, |_, _| OwnedAnswer::Refused(refusal));
            }
            Record::Publish { .. }
            | Record::Deliver { .. }
            | Record::Stored { .. }
            | Record::Settle { .. }
            | Record::Credit { .. }
            | Record::Grant { .. } => {}
        }
    }

    /// The node's memory for messages is over its bound, or under it again.
    pub fn on_memory_alarm(&mut self, alarm: bool) {
        if self.memory_alarm == alarm {
            return;
        }
        self.memory_alarm = alarm;
        for key in self.keys() {
            self.broker.meta_mut(key).bytes_under_alarm = 0;
            if let Some(connection) = self.connections.get_mut(key) {
                if alarm {
                    connection.block("memory");
                } else {
                    connection.unblock();
                }
                self.connections.touch(key, &mut self.touched);
            }
        }
    }

    /// Is the connection's socket to be read?
    #[must_use]
    pub fn read_interest(&mut self, key: ConnectionKey) -> ReadInterest {
        let memory_alarm = self.memory_alarm;
        let Some(connection) = self.connections.get_mut(key) else { return ReadInterest::Stop };
        if !connection.wants_read() || connection.output().len() > limits::OUTPUT_BYTES_STOP {
            return ReadInterest::Stop;
        }
        if !memory_alarm || !connection.has_published() {
            return ReadInterest::Read;
        }
        if connection.holds_unacked() { ReadInterest::Trickle } else { ReadInterest::Stop }
    }

    /// What is to be written to a connection's socket.
    pub fn output(&mut self, key: ConnectionKey) -> Option<&mut Output> {
        self.connections.get_mut(key).map(ClientConnection::output)
    }

    /// The connection is over once its output is written: the driver drops the socket.
    #[must_use]
    pub fn is_finished(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_none_or(ClientConnection::is_finished)
    }

    /// The connection has not finished its handshake.
    #[must_use]
    pub fn is_half_open(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_some_and(|connection| connection.state() == State::Handshake)
    }

    /// Why a connection ended, for the log.
    #[must_use]
    pub fn reason(&self, key: ConnectionKey) -> Option<String> {
        self.connections.get(key).and_then(ClientConnection::reason).map(ToString::to_string)
    }

    /// When [`Shard::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let timer = self.timers.peek().map_or(Instant::FAR, |Reverse((at, ..))| *at);
        timer.min(self.broker.wait_deadline)
    }

    /// Time passed.
    pub fn on_timer(&mut self) {
        let now = self.broker.now;
        while let Some(Reverse((at, slot, generation))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            let key = ConnectionKey { slot, generation };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let mut view = View { broker: &mut self.broker, connection: key };
            connection.on_timer(now, &mut view);
            let deadline = connection.next_deadline();
            self.connections.touch(key, &mut self.touched);
            self.set_timer(key, deadline);
        }
        if self.broker.wait_deadline <= now {
            self.broker.wait_deadline = Instant::FAR;
            self.broker.expire_lanes();
            self.broker.expire_requests();
            self.broker.retry = true;
        }
        self.settle_results();
    }

    fn set_timer(&mut self, key: ConnectionKey, deadline: Option<Instant>) {
        if let Some(at) = deadline {
            self.timers.push(Reverse((at, key.slot, key.generation)));
        }
    }

    /// Takes what the broker has for connections to them; they may ask for more in turn.
    fn settle_results(&mut self) {
        loop {
            let now = self.broker.now;
            while let Some((key, result)) = self.broker.logins.pop() {
                let Some(connection) = self.connections.get_mut(key) else { continue };
                if let Ok(user) = &result {
                    self.broker.metas[key.slot as usize].user = user.clone();
                }
                connection.on_login(now, result);
                let deadline = connection.next_deadline();
                self.connections.touch(key, &mut self.touched);
                self.set_timer(key, deadline);
            }
            self.settle_publishes();
            let cancels = core::mem::take(&mut self.broker.cancels);
            for (channel, consumer) in cancels {
                if let Some(connection) = self.connections.get_mut(channel.connection) {
                    connection.cancel_consumer(channel, consumer);
                    self.connections.touch(channel.connection, &mut self.touched);
                }
            }
            let Some((channel, answer)) = self.broker.answers.pop_front() else { break };
            self.give_answer(channel, &answer);
        }
    }

    /// hot.
    fn settle_publishes(&mut self) {
        if self.broker.settled.is_empty() {
            return;
        }
        let mut settled = core::mem::take(&mut self.broker.settled);
        for (channel, number, ok) in settled.drain(..) {
            if let Some(connection) = self.connections.get_mut(channel.connection) {
                connection.on_settled(channel, number, ok);
                self.connections.touch(channel.connection, &mut self.touched);
            }
        }
        self.broker.settled = settled;
    }

    fn give_answer(&mut self, channel: ChannelKey, answer: &OwnedAnswer) {
        let key = channel.connection;
        let now = self.broker.now;
        let taken = match self.connections.get_mut(key) {
            Some(connection) => {
                let mut view = View { broker: &mut self.broker, connection: key };
                let taken = connection.on_answer(now, channel, borrow(answer), &mut view);
                self.connections.touch(key, &mut self.touched);
                taken
            }
            None => false,
        };
        if let (false, OwnedAnswer::Got { held, no_ack: false, .. }) = (taken, answer) {
            self.broker.settle(channel, *held, Verdict::Requeue);
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
            self.connections.touch(key, &mut self.touched);
        }
        self.settle_results();
    }

    /// Ends the turn: held publishes, dispatch, confirms, records; then the driver writes, once each. hot.
    ///
    /// True if there is more to do that needs no input.
    pub fn end_turn(&mut self, effects: &mut Effects) -> bool {
        self.offer_held();
        let more = self.dispatch();
        self.settle_results();
        self.return_windows();
        self.broker.flush_stored();
        self.broker.arena.compact(limits::ARENA_BLOCK_BYTES);
        for key in &self.touched {
            self.connections.slots[key.slot as usize].touched = false;
            if let Some(connection) = self.connections.get_mut(*key) {
                connection.end_turn();
            }
        }
        effects.touched.append(&mut self.touched);
        for outbox in self.broker.outboxes.iter_mut() {
            if let Some(batch) = outbox.flush() {
                effects.batches.push((outbox.to, batch));
            }
        }
        effects.control.append(&mut self.broker.control);
        effects.passwords.append(&mut self.broker.passwords);
        more
    }

    /// Queues that have messages and consumers with room bring them together. hot.
    fn dispatch(&mut self) -> bool {
        let mut again = Vec::new();
        let broker = &mut self.broker;
        let dirty = core::mem::take(&mut broker.dirty);
        for handle in &dirty {
            let Some(entry) = broker.places.get_mut(*handle) else { continue };
            let Place::Home(home) = &mut entry.place else { continue };
            let mut outlet = Outlet {
                own: broker.own,
                handle: *handle,
                id: entry.id,
                connections: &mut self.connections,
                metas: &mut broker.metas,
                outboxes: &mut broker.outboxes,
                touched: &mut self.touched,
            };
            let outcome = home.queue.dispatch(limits::TURN_DISPATCH_MAX, &mut broker.arena, &mut outlet);
            if outcome.more {
                again.push(*handle);
            }
        }
        let mut reuse = dirty;
        reuse.clear();
        broker.dirty = reuse;
        broker.dirty.append(&mut again);
        !broker.dirty.is_empty()
    }

    /// Windows of homes elsewhere, and queues here that skipped a consumer, go on where output is short.
    fn return_windows(&mut self) {
        let mut indebted = core::mem::take(&mut self.indebted);
        indebted.extend_from_slice(&self.touched);
        let mut later = Vec::new();
        for key in indebted {
            let meta = &self.broker.metas[key.slot as usize];
            if meta.generation != key.generation || (meta.credit.is_empty() && meta.parked.is_empty()) {
                continue;
            }
            let short = self
                .connections
                .get_mut(key)
                .is_none_or(|connection| connection.output().len() < limits::OUTPUT_BYTES_HIGH / 2);
            if short {
                self.broker.output_has_room(key);
            } else if !later.contains(&key) {
                later.push(key);
            }
        }
        self.indebted = later;
    }

    /// Memory that this shard holds for messages: arena and outboxes, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.broker.arena.bytes_held() + self.broker.outboxes.waiting_bytes()
    }

    /// What the shard tells of itself.
    #[must_use]
    pub fn report(&self) -> ShardReport {
        let queue = |id: QueueId, home: &crate::places::Home| {
            let record = self.broker.table.queue_by_id(id).map(|queue| queue.record.clone());
            let (vhost, name, durable) =
                record.map(|record| (record.vhost, record.name, record.durable)).unwrap_or_default();
            QueueReport {
                id,
                vhost,
                name,
                home: self.broker.own,
                durable,
                ready: home.queue.ready(),
                unacked: home.queue.unacked(),
                consumers: home.queue.consumers(),
            }
        };
        let queues = self
            .broker
            .places
            .iter()
            .filter_map(|(_, entry)| match &entry.place {
                Place::Home(home) => Some(queue(entry.id, home)),
                Place::Away(_) => None,
            })
            .collect();
        let connections = self.keys().into_iter().filter_map(|key| {
            let connection = self.connections.get(key)?;
            Some(ConnectionReport {
                name: self.broker.meta(key).name.clone(),
                user: connection.user().clone(),
                vhost: connection.vhost().clone(),
                channels: connection.channel_count(),
                state: match connection.state() {
                    State::Handshake => "handshake",
                    State::Open => "running",
                    State::Closing | State::Finished => "closing",
                },
            })
        });
        ShardReport {
            queues,
            connections: connections.collect(),
            traffic: self.broker.traffic,
            memory_bytes: self.memory_bytes(),
        }
    }
}

impl Broker {
    /// Whose shard an address is.
    pub(crate) fn home_of(&self, address: Address) -> ShardAddress {
        match address {
            Address::Here => self.own,
            Address::Shard(shard) => ShardAddress { node: self.own.node, shard },
            Address::Node(node, shard) => ShardAddress { node, shard },
        }
    }

    /// The shard's entry for a queue of the map.
    pub(crate) fn place(&mut self, id: QueueId, home: ShardAddress) -> leveret_amqp::host::QueueHandle {
        if let Some(handle) = self.places.handle(id) {
            return handle;
        }
        let outbox = self.outboxes.index(home);
        let away = Away {
            home,
            outbox,
            lane: leveret_queue::OutLane::new(),
            consumers: alloc::collections::BTreeMap::new(),
            masked: false,
        };
        self.places.insert(id, Place::Away(alloc::boxed::Box::new(away)))
    }
}
