//! The shard: its doors for the driver. What comes from the control machine is in `control_mail.rs`, what comes from other
//! shards in `records.rs`, the end of the turn in `turn.rs`.

use alloc::string::String;
use alloc::sync::Arc;

use bytes::Bytes;
use leveret_amqp::{Connection, Ended, State};
use leveret_auth::{Hashed, Users};
use leveret_model::{ConnectionKey, Instant, NodeId, ReplyCode, Seed, ShardAddress, limits};
use leveret_wire::Output;

use crate::broker::{Broker, Meta};
use crate::connections::{ClientConnection, Connections};
use crate::host::{View, refusal};
use crate::pressure::Pressure;

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
pub struct Caller {
    /// For people: `peer -> own`.
    pub name: String,
    /// From this machine (RabbitMQ: loopback_users).
    pub loopback: bool,
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

/// One core's part of a node.
///
/// In a turn the driver calls, in this order: [`Shard::begin_turn`]; [`Shard::on_control`] until its control ring is
/// empty; then any of the other `on_*` doors; [`Shard::end_turn`], which fills the [`Effects`](crate::Effects). Then it
/// writes the output of whoever was touched, and says so with [`Shard::on_carried`].
#[derive(Debug)]
pub struct Shard {
    pub(crate) connections: Connections,
    pub(crate) broker: Broker,
    protocol: Arc<leveret_amqp::Config>,
}

impl Shard {
    /// A shard without connections and queues.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        Self {
            connections: Connections::default(),
            broker: Broker::new(config.own, config.seed, config.users),
            protocol: config.protocol,
        }
    }

    /// The time of this turn; the clock is read once.
    pub fn begin_turn(&mut self, now: Instant) {
        self.broker.now = now;
    }

    /// A new socket.
    pub fn accept(&mut self, caller: Caller) -> ConnectionKey {
        let now = self.broker.now;
        let key = self.connections.add(|key| Connection::new(now, key, Arc::clone(&self.protocol)));
        let metas = &mut self.broker.metas;
        if metas.len() <= key.slot as usize {
            metas.resize_with(key.slot as usize + 1, Meta::default);
        }
        metas[key.slot as usize] = Meta {
            generation: key.generation,
            name: caller.name,
            loopback: caller.loopback,
            ..Meta::default()
        };
        key
    }

    /// Bytes from a socket: consumes what it can; the driver offers the rest again, with more behind it if more came, when
    /// [`Shard::read_interest`] says so. hot.
    pub fn on_bytes(&mut self, key: ConnectionKey, bytes: &Bytes) -> usize {
        let mut consumed = 0;
        loop {
            let Some(connection) = self.connections.get_mut(key) else { return bytes.len() };
            let mut view = View { broker: &mut self.broker, connection: key };
            let rest = if consumed == 0 { bytes } else { &bytes.slice(consumed..) };
            consumed += connection.on_bytes(view.broker.now, rest, &mut view);
            let stopped = consumed < bytes.len() && !connection.wants_read();
            self.connections.touch(key);
            if self.broker.pressure != Pressure::Calm || !self.broker.meta(key).waits_for.is_empty() {
                self.note_waiting(key);
            }
            self.hand_out_results();
            // what stopped it may be over by now, a login for one; then nobody else would offer the rest again
            let goes_on = stopped && self.connections.get(key).is_some_and(Connection::wants_read);
            if !goes_on {
                return consumed;
            }
        }
    }

    /// The socket takes output again.
    pub fn on_written(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        self.broker.meta_mut(key).unread = false;
        let mut view = View { broker: &mut self.broker, connection: key };
        let went_on = connection.on_written(view.broker.now, &mut view);
        self.connections.touch(key);
        if went_on {
            self.hand_out_results();
        }
    }

    /// The socket has taken no output for long; so it is until [`Shard::on_written`].
    pub fn on_unread(&mut self, key: ConnectionKey) {
        if self.connections.get(key).is_some() {
            self.broker.meta_mut(key).unread = true;
        }
    }

    /// Bytes came to a socket that is not read: its client is alive, which is all that can be known of it.
    pub fn on_heard(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.on_heard();
        }
    }

    /// The socket is gone.
    pub fn on_lost(&mut self, key: ConnectionKey) {
        let Some(mut connection) = self.connections.remove(key) else { return };
        let mut view = View { broker: &mut self.broker, connection: key };
        connection.lost(&mut view);
        self.broker.count_kept(key, 0, 0);
        self.broker.metas[key.slot as usize] = Meta::default();
        self.hand_out_results();
    }

    /// Ends a connection with a reply code: an operator, a stop, a limit.
    pub fn close(&mut self, key: ConnectionKey, code: ReplyCode, text: &str) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let mut view = View { broker: &mut self.broker, connection: key };
        connection.close(view.broker.now, code, text, &mut view);
        self.connections.touch(key);
        self.hand_out_results();
    }

    /// Ends every connection: the node stops.
    pub fn close_all(&mut self, code: ReplyCode, text: &str) {
        for key in self.connections.keys() {
            self.close(key, code, text);
        }
    }

    /// A password was hashed.
    pub fn on_password(&mut self, key: ConnectionKey, mechanism: &str, hashed: Hashed) {
        let user = hashed.user().clone();
        let result = self.broker.users.on_hashed(hashed, self.broker.now);
        self.broker.logins.push((key, result.map_err(|refused| refusal(refused, &user, mechanism))));
        self.hand_out_results();
    }

    #[cfg(feature = "planted")]
    pub(crate) fn plant_in_broker(&mut self, bug: crate::planted::Planted) {
        self.broker.planted = Some(bug);
    }

    /// The link to a node begins; the shard says again what it has there.
    pub fn on_link_up(&mut self, node: NodeId) {
        self.broker.on_link_up(node, &self.connections);
        self.hand_out_results();
    }

    /// The link to a node is gone, with what was on it.
    pub fn on_link_down(&mut self, node: NodeId) {
        self.broker.on_link_down(node);
        self.hand_out_results();
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

    /// The other end of a connection, as the driver named it.
    #[must_use]
    pub fn name(&self, key: ConnectionKey) -> &str {
        let meta = self.broker.metas.get(key.slot as usize).filter(|meta| meta.generation == key.generation);
        meta.map_or("", |meta| &meta.name)
    }

    /// Why a connection ended, for the log.
    #[must_use]
    pub fn reason(&self, key: ConnectionKey) -> Option<&Ended> {
        self.connections.get(key).and_then(ClientConnection::reason)
    }

    /// What people call a node, if that is known.
    #[must_use]
    pub fn node_name(&self, node: NodeId) -> Option<&str> {
        self.broker.node_names.get(&node).map(|name| &**name)
    }

    /// When [`Shard::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        self.connections.next_deadline().min(self.broker.wait_deadline)
    }

    /// Time passed. What is due beyond a bound stays so for the next turn.
    pub fn on_timer(&mut self) {
        let now = self.broker.now;
        for _ in 0..limits::TIMERS_PER_TURN_MAX {
            let Some(key) = self.connections.pop_due(now) else { break };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let mut view = View { broker: &mut self.broker, connection: key };
            connection.on_timer(now, &mut view);
            self.connections.touch(key);
        }
        if self.broker.wait_deadline <= now {
            // each of these names its next moment again
            self.broker.wait_deadline = Instant::FAR;
            self.broker.expire_lanes();
            self.broker.expire_requests();
            self.broker.retry = true;
        }
        self.hand_out_results();
    }

    /// Memory that this shard holds for clients: arena, outboxes, what connections keep, and consumers, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let broker = &self.broker;
        let messages = broker.arena.bytes_held() + broker.outboxes.waiting_bytes();
        messages + broker.kept.bytes + broker.subscribed.bytes()
    }

    /// Of that, bodies of queues and lanes that may lie in blocks with others, bytes.
    #[must_use]
    pub fn bytes_in_blocks(&self) -> u64 {
        self.broker.arena.bytes_in_blocks()
    }

    /// The blocks that bodies came in hold much more than those: some of the bodies are copied out. True if there are more.
    pub fn own_bodies(&mut self) -> bool {
        let queues = self.broker.arena.own_chunks(limits::OWN_BYTES_MAX);
        self.connections.own_slices() | queues
    }
}
