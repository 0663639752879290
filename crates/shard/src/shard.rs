//! The shard: its doors for the driver. What comes from the control machine is in `control_mail.rs`, what comes
//! from other shards in `records.rs`, the end of the turn in `turn.rs`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_amqp::{Connection, Ended, State};
use leveret_auth::{HashUpgrade, Hashed, Users};
use leveret_model::{
    Boot, ConnectionKey, Instant, Message, NodeId, Position, QueueId, ReplyCode, Seed, ShardAddress,
    StoreMark, limits,
};
use leveret_queue::MessageRef;
use leveret_wire::Output;

use crate::bounds::Bounds;
use crate::clients::{ClientConnection, ClientMemory, Clients, Connections};
use crate::effects::StoreRequest;
use crate::egress::Egress;
use crate::host::Broker;
use crate::ingress::Ingress;
use crate::machines::Machines;
use crate::pressure::Throttled;
use crate::queues::{Queues, Store, StoredMessage};
use crate::replies::Replies;
use crate::requests::Requests;
use crate::sessions::{SESSION_SLOTS, SessionRoom};
use crate::view::ClusterView;

/// What a shard is told at its start.
#[derive(Debug)]
pub struct ShardConfig {
    /// Which shard this is.
    pub own: ShardAddress,
    /// The nonce of the node's start: with the address it names the lanes from here.
    pub boot: Boot,
    /// For hash states.
    pub seed: Seed,
    /// What the broker offers to its clients.
    pub protocol: Arc<leveret_amqp::Config>,
    /// Who may log in.
    pub users: Users,
    /// Who keeps what is to survive.
    pub store: Store,
    /// Random and known to this shard alone: what the addresses of direct reply-to are drawn from.
    pub reply_key: [u8; 32],
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
/// In a turn the driver calls, in this order: [`Shard::begin_turn`]; [`Shard::on_control`] until its control
/// ring is empty; then any of the other `on_*` doors; [`Shard::end_turn`], which fills the
/// [`Effects`](crate::Effects). Then it writes the output of whoever was touched, and says so with
/// [`Shard::on_carried`].
#[derive(Debug)]
pub struct Shard {
    pub(crate) connections: Connections,
    pub(crate) machines: Machines,
    /// `None` while they are off.
    pub(crate) sessions: Option<Box<SessionRoom>>,
    protocol: Arc<leveret_amqp::Config>,
}

impl Shard {
    /// A shard without connections and queues.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let ShardConfig { own, boot, seed, protocol, users, store, reply_key } = config;
        let machines = Machines {
            own,
            view: ClusterView::new(own, seed),
            clients: Clients::new(users),
            memory: ClientMemory::default(),
            queues: Queues::new((own, boot), seed, store),
            ingress: Ingress::new(seed),
            egress: Egress::new(seed),
            requests: Requests::new(own, seed),
            throttled: Throttled::default(),
            replies: Replies::new(own, seed, reply_key),
        };
        Self { connections: Connections::default(), machines, sessions: None, protocol }
    }

    /// Sets other bounds than those of `limits`; to be called before anything else.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.machines.queues.set_bounds(bounds);
        self.machines.memory.set_bounds(bounds);
    }

    /// Plants a bug; to be called before anything else.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, bug: crate::Planted) {
        bug.bounds().into_iter().for_each(|bounds| self.set_bounds(bounds));
        self.machines.queues.plant(bug);
        self.machines.view.plant(bug);
    }

    /// One door: what is done behind it may have results for connections, which are given out before the door
    /// closes. Every door that can reach a machine goes through here.
    pub(crate) fn enter<R>(&mut self, act: impl FnOnce(&mut Self) -> R) -> R {
        let result = act(self);
        self.hand_out_results();
        result
    }

    /// Calls a connection with its view of the broker, and notes that it was touched. `None` if it is gone.
    /// hot.
    #[inline(always)]
    pub(crate) fn with<R>(
        &mut self,
        key: ConnectionKey,
        call: impl FnOnce(&mut ClientConnection, Instant, &mut Broker<'_>) -> R,
    ) -> Option<R> {
        let connection = self.connections.get_mut(key)?;
        let now = self.machines.view.now();
        let mut broker = Broker { machines: &mut self.machines, connection: key };
        let result = call(connection, now, &mut broker);
        self.connections.touch(key);
        Some(result)
    }

    /// The time of this turn; the clock is read once.
    pub fn begin_turn(&mut self, now: Instant) {
        self.machines.view.begin_turn(now);
        self.machines.queues.begin_turn(now);
        if let Some(room) = &mut self.sessions {
            room.begin_turn(now);
        }
        // before anything of this turn: who wakes late must lose the lease first
        self.note_session_lease();
    }

    /// What people call now, seconds since 1970: said in each turn. It stands in `x-death`, and nothing waits
    /// by it.
    pub fn set_unix_time(&mut self, unix_s: u64) {
        self.machines.queues.set_unix_time(unix_s);
    }

    /// A new socket.
    pub fn accept(&mut self, caller: Caller) -> ConnectionKey {
        let now = self.machines.view.now();
        let key = self.connections.add(|key| Connection::new(now, key, Arc::clone(&self.protocol)));
        self.machines.clients.accept(key, caller.name, caller.loopback);
        self.reset(key);
        key
    }

    /// The driver learned who the other end is: a proxy said so.
    pub fn set_caller(&mut self, key: ConnectionKey, caller: Caller) {
        if self.machines.clients.find(key).is_some() {
            self.machines.clients.accept(key, caller.name, caller.loopback);
        }
    }

    /// A slot has a new connection, or none any more.
    fn reset(&mut self, key: ConnectionKey) {
        self.machines.memory.reset(key, self.machines.view.now());
        self.machines.egress.reset(key);
        self.machines.throttled.reset(key);
    }

    /// Bytes from a socket: consumes what it can; the driver offers the rest again, with more behind it if more
    /// came, when [`Shard::read_interest`] says so. hot.
    pub fn on_bytes(&mut self, key: ConnectionKey, bytes: &Bytes) -> usize {
        let mut consumed = 0;
        loop {
            let rest = if consumed == 0 { bytes } else { &bytes.slice(consumed..) };
            let taken = self.with(key, |connection, now, broker| {
                let taken = connection.on_bytes(now, rest, broker);
                (taken, connection.wants_read())
            });
            let Some((taken, wants_read)) = taken else { return bytes.len() };
            consumed += taken;
            if self.machines.throttled.concerns(key) {
                self.note_waiting(key);
            }
            self.hand_out_results();
            // what stopped it may be over by now, a login for one; then nobody else would offer the rest again
            let stopped = consumed < bytes.len() && !wants_read;
            if !(stopped && self.connections.get(key).is_some_and(Connection::wants_read)) {
                return consumed;
            }
        }
    }

    /// The socket takes output again.
    pub fn on_written(&mut self, key: ConnectionKey) {
        self.enter(|shard| {
            if shard.with(key, |connection, now, broker| connection.on_written(now, broker)).is_some() {
                shard.machines.clients.get_mut(key).unread = false;
            }
        });
    }

    /// The socket has taken no output for long; so it is until [`Shard::on_written`].
    pub fn on_unread(&mut self, key: ConnectionKey) {
        if self.connections.get(key).is_some() {
            self.machines.clients.get_mut(key).unread = true;
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
        self.enter(|shard| {
            let Some(mut connection) = shard.connections.remove(key) else { return };
            connection.lost(&mut Broker { machines: &mut shard.machines, connection: key });
            shard.machines.clients.lost(key);
            shard.reset(key);
        });
    }

    /// Ends a connection with a reply code: an operator, a stop, a limit.
    pub fn close(&mut self, key: ConnectionKey, code: ReplyCode, text: &str) {
        self.enter(|shard| {
            shard.with(key, |connection, now, broker| connection.close(now, code, text, broker));
        });
    }

    /// All connections that are there.
    #[must_use]
    pub fn connection_keys(&self) -> Vec<ConnectionKey> {
        self.connections.keys()
    }

    /// Ends every connection: the node stops.
    pub fn close_all(&mut self, code: ReplyCode, text: &str) {
        for key in self.connection_keys() {
            self.close(key, code, text);
        }
    }

    /// A password was hashed.
    pub fn on_password(&mut self, key: ConnectionKey, mechanism: &str, hashed: Hashed) {
        if key.slot >= SESSION_SLOTS {
            return self.on_session_password(key, hashed);
        }
        let now = self.machines.view.now();
        self.enter(|shard| shard.machines.clients.on_password(key, mechanism, hashed, now));
    }

    /// Another shard of the node has a better hash of a user's password
    /// ([`Effects::hash_upgrades`](crate::Effects::hash_upgrades)).
    pub fn on_hash_upgrade(&mut self, upgrade: HashUpgrade) {
        self.machines.clients.on_hash_upgrade(upgrade);
    }

    /// The store has synced all that it was handed up to a mark ([`Effects::store`](crate::Effects::store)).
    pub fn on_stored(&mut self, through: StoreMark) {
        self.enter(|shard| shard.machines.queues.on_synced(through));
    }

    /// What the disk has of a queue, before anything else is done: it goes into the queue once the directory
    /// says that it lives here. `last` is the last place that counts as given; another home has had all below
    /// `shared_below`. May be called again for more of the same queue.
    pub fn recover(
        &mut self,
        queue: QueueId,
        (last, shared_below): (Position, Position),
        messages: &[StoredMessage<'_>],
    ) {
        self.machines.queues.recover(queue, (last, shared_below), messages);
    }

    /// The node stops: what the store is to know of deliveries, so that a later start says `redelivered` of
    /// those alone. Nothing comes after it.
    #[must_use]
    pub fn last_words(&mut self) -> Option<StoreRequest> {
        self.machines.queues.last_words()
    }

    /// A message that a store request names, until its mark is answered.
    #[must_use]
    pub fn stored_message(&self, message: MessageRef) -> Message<'_> {
        self.machines.queues.message(message)
    }

    /// The link to a node begins; the shard says again what it has there.
    pub fn on_link_up(&mut self, node: NodeId) {
        self.enter(|shard| {
            shard.machines.view.note_linked(node);
            let (requests, mut rooms) = shard.machines.requests();
            requests.end_waits_for_link(node, &mut rooms);
            let Machines { queues, egress, requests, ingress, .. } = &mut shard.machines;
            let held = queues.held_there(&shard.connections);
            queues.on_link_up(node, held, &egress.unread(), |queues| requests.repeat(node, queues));
            ingress.retry();
            shard.tell_new_homes();
        });
    }

    /// The link to a node is gone, with what was on it.
    pub fn on_link_down(&mut self, node: NodeId) {
        self.enter(|shard| {
            shard.machines.queues.on_link_down(node);
            shard.on_session_link_down(node);
            let (requests, mut rooms) = shard.machines.requests();
            requests.end_waits_for_link(node, &mut rooms);
            shard.tell_new_homes();
        });
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
        self.machines.clients.find(key).map_or("", |client| &client.name)
    }

    /// Why a connection ended, for the log.
    #[must_use]
    pub fn reason(&self, key: ConnectionKey) -> Option<&Ended> {
        self.connections.get(key).and_then(ClientConnection::reason)
    }

    /// What people call a node, if that is known.
    #[must_use]
    pub fn node_name(&self, node: NodeId) -> Option<&str> {
        self.machines.view.node_name(node)
    }

    /// When [`Shard::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let Machines { clients, queues, ingress, requests, .. } = &self.machines;
        let sessions = self.sessions.as_ref().map_or(Instant::FAR, |room| room.next_deadline());
        let waits = clients.openings_due().min(requests.due()).min(queues.timers_due()).min(sessions);
        self.connections.next_deadline().min(queues.lanes_due()).min(ingress.due()).min(waits)
    }

    /// Time passed. What is due beyond a bound stays so for the next turn.
    pub fn on_timer(&mut self) {
        self.enter(|shard| {
            let now = shard.machines.view.now();
            for _ in 0..limits::TIMERS_PER_TURN_MAX {
                let Some(key) = shard.connections.pop_due(now) else { break };
                shard.with(key, |connection, now, broker| connection.on_timer(now, broker));
            }
            shard.machines.queues.expire_lanes(now);
            shard.machines.queues.on_time();
            shard.machines.ingress.expire(now);
            let (requests, mut rooms) = shard.machines.requests();
            requests.expire(&mut rooms);
            if shard.machines.clients.openings_due() <= now {
                shard.tell_of_vhosts();
            }
            if let Some(room) = &mut shard.sessions {
                room.on_timer();
            }
        });
    }
}
