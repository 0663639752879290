//! Everything of a shard but its connections, so that a connection and the broker borrow apart.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_amqp::LoginRefused;
use leveret_auth::{Access, Permissions, Users};
use leveret_link::record::Record;
use leveret_model::directory::FromShard;
use leveret_model::{
    ChannelKey, ConnectionKey, ConsumerKey, ConsumerNumber, Held, Instant, Name, NodeId, PublishNumber,
    QueueHandle, QueueId, Refusal, RequestId, Seed, Settlement, ShardAddress,
};
use leveret_queue::Arena;
use leveret_route::{Match, Table, VhostId};

use crate::answers::OwnedAnswer;
use crate::bounds::Bounds;
use crate::early::Early;
use crate::effects::{ChannelRefusals, PasswordJob};
use crate::forward::PublishSerial;
use crate::kept::{AllKept, KeptBytes};
use crate::operations::no_vhost;
use crate::outboxes::Outboxes;
use crate::places::{Entry, Owed, Place, Places};
use crate::pressure::Pressure;
use crate::purges::Purges;
use crate::report::Traffic;
use crate::requests::Pending;
use crate::subscribed::Subscribed;
use crate::watch::Routed;

/// What the broker keeps for a connection, beside the protocol's own state.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    pub(crate) generation: u32,
    pub(crate) name: alloc::string::String,
    pub(crate) loopback: bool,
    /// Once logged in.
    pub(crate) user: Name,
    /// What the user may do in the vhost.
    pub(crate) permissions: Option<Arc<Permissions>>,
    pub(crate) vhost: Option<VhostId>,
    pub(crate) vhost_name: Name,
    /// A channel of it keeps a publish that could not be routed.
    pub(crate) holds_publish: bool,
    /// Queues that skipped a consumer of it for want of room in its output.
    pub(crate) parked: Vec<(QueueHandle, ConsumerKey)>,
    /// Window to be given back to homes elsewhere once its output is short enough; runs of one consumer are folded.
    pub(crate) credit: Vec<Credit>,
    /// Consumers of a channel of it pause, or did a moment ago (`pauses.rs`).
    pub(crate) pauses: bool,
    /// Window that is not given back while the consumer's channel pauses.
    pub(crate) withheld: BTreeMap<(ChannelKey, ConsumerNumber), Credit>,
    /// Queues that it published to and that throttle.
    pub(crate) waits_for: Vec<QueueHandle>,
    /// While it waits for memory: what it had published when that began, bytes.
    pub(crate) waits_since: Option<u64>,
    /// What it keeps in memory (`kept.rs`).
    pub(crate) kept: KeptBytes,
    /// It has not taken any output for long.
    pub(crate) unread: bool,
}

/// Deliveries from elsewhere that are on their way through a socket here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credit {
    pub(crate) queue: QueueHandle,
    pub(crate) channel: ChannelKey,
    pub(crate) consumer: ConsumerNumber,
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
}

/// The broker of one shard.
#[derive(Debug)]
pub(crate) struct Broker {
    /// The time of this turn.
    pub(crate) now: Instant,
    pub(crate) own: ShardAddress,
    pub(crate) seed: Seed,
    pub(crate) table: Table,
    pub(crate) arena: Arena,
    pub(crate) places: Places,
    pub(crate) outboxes: Outboxes,
    /// What people call the nodes of the cluster, until they are forgotten.
    pub(crate) node_names: BTreeMap<NodeId, Name>,
    pub(crate) users: Users,
    pub(crate) metas: Vec<Meta>,
    /// R4: until then this shard routes by bindings and says what is not there.
    pub(crate) lease_until: Instant,
    /// Publishes that more than one home owes.
    pub(crate) owed: HashMap<(ChannelKey, PublishNumber), u32, FixedState>,
    /// Where each consumer of this shard's channels is.
    pub(crate) subscribed: Subscribed,
    /// Operations under way, by their request.
    pub(crate) pending: BTreeMap<RequestId, Pending>,
    next_request: u64,
    /// What came for queues that this shard has not heard of.
    pub(crate) early: Early,
    /// What was answered to shards elsewhere.
    pub(crate) purges: Purges,
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::planted::Planted>,
    /// Queues that were deleted, the latest last.
    pub(crate) dropped: VecDeque<QueueId>,

    // results for connections, taken up by the shard between two calls
    pub(crate) settled: Vec<(ChannelKey, PublishNumber, bool)>,
    pub(crate) answers: VecDeque<(ChannelKey, OwnedAnswer)>,
    pub(crate) cancels: VecDeque<(ChannelKey, ConsumerNumber)>,
    pub(crate) logins: Vec<(ConnectionKey, Result<Name, LoginRefused>)>,

    // effects
    pub(crate) passwords: Vec<PasswordJob>,
    pub(crate) refused: ChannelRefusals,
    pub(crate) control: Vec<FromShard>,

    /// Queues with lanes that are owed a `Stored` at the end of the turn.
    pub(crate) owing: Vec<QueueHandle>,
    pub(crate) owed_scratch: Vec<Owed>,
    /// When a queue was last masked (its home went Down), and when a binding last left. What was held then is looked at
    /// (`Broker::lost_a_home`).
    pub(crate) masked_at: Instant,
    pub(crate) unbound_at: Instant,
    /// The last publish that went elsewhere.
    pub(crate) last_publish: PublishSerial,
    /// The queues that the table found for a publish, and their handles where no channel remembers them.
    pub(crate) matches: Vec<Match>,
    pub(crate) targets: Vec<QueueHandle>,
    /// Queues to dispatch at the end of the turn.
    pub(crate) dirty: Vec<QueueHandle>,
    /// Connections that hold a publish; offered again when `retry` is set or their time is over.
    pub(crate) holding: Vec<ConnectionKey>,
    pub(crate) retry: bool,
    /// Of the node.
    pub(crate) pressure: Pressure,
    /// What all connections keep in memory (`kept.rs`).
    pub(crate) kept: AllKept,
    /// Connections of the node keep much.
    pub(crate) crowded: bool,
    pub(crate) bounds: Bounds,
    /// Queues here that throttle their publishers.
    pub(crate) throttling: Vec<QueueHandle>,
    /// Connections that published to a queue that throttles, in this turn for the first time.
    pub(crate) begin_waiting: Vec<ConnectionKey>,
    /// Somebody may have waited for long enough.
    pub(crate) release_due: bool,
    /// When the next held or forwarded publish, or operation, has waited long enough.
    pub(crate) wait_deadline: Instant,
    pub(crate) traffic: Traffic,
    /// Where publishes went, while somebody watches.
    pub(crate) routed: Option<Vec<Routed>>,
}

impl Broker {
    pub(crate) fn new(own: ShardAddress, seed: Seed, users: Users) -> Self {
        Self {
            now: Instant::ZERO,
            own,
            seed,
            table: Table::new(own, seed.part(1)),
            arena: Arena::new(),
            places: Places::new(seed.part(2)),
            outboxes: Outboxes::new(own.node, seed.part(3)),
            node_names: BTreeMap::new(),
            users,
            metas: Vec::new(),
            lease_until: Instant::ZERO,
            owed: HashMap::with_hasher(FixedState::with_seed(seed.part(4).0)),
            subscribed: Subscribed::new(seed.part(5)),
            pending: BTreeMap::new(),
            next_request: 0,
            early: Early::default(),
            purges: Purges::default(),
            bounds: Bounds::default(),
            #[cfg(feature = "planted")]
            planted: None,
            dropped: VecDeque::new(),
            settled: Vec::new(),
            answers: VecDeque::new(),
            cancels: VecDeque::new(),
            logins: Vec::new(),
            passwords: Vec::new(),
            refused: ChannelRefusals::default(),
            control: Vec::new(),
            owing: Vec::new(),
            owed_scratch: Vec::new(),
            masked_at: Instant::ZERO,
            unbound_at: Instant::ZERO,
            last_publish: PublishSerial::default(),
            matches: Vec::new(),
            targets: Vec::new(),
            dirty: Vec::new(),
            holding: Vec::new(),
            retry: false,
            pressure: Pressure::Calm,
            kept: AllKept::default(),
            crowded: false,
            throttling: Vec::new(),
            begin_waiting: Vec::new(),
            release_due: false,
            wait_deadline: Instant::FAR,
            traffic: Traffic::default(),
            routed: None,
        }
    }

    pub(crate) fn meta(&self, connection: ConnectionKey) -> &Meta {
        &self.metas[connection.slot as usize]
    }

    pub(crate) fn meta_mut(&mut self, connection: ConnectionKey) -> &mut Meta {
        &mut self.metas[connection.slot as usize]
    }

    /// May the connection's user do that?
    pub(crate) fn authorize(
        &self,
        connection: ConnectionKey,
        access: Access,
        kind: &str,
        name: &str,
    ) -> Result<(), Refusal> {
        let meta = self.meta(connection);
        match &meta.permissions {
            Some(permissions) => permissions.check(access, kind, name, &meta.vhost_name, &meta.user),
            None => Err(no_vhost()),
        }
    }

    pub(crate) fn has_lease(&self) -> bool {
        self.now < self.lease_until
    }

    pub(crate) fn draw_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    pub(crate) fn wake_at(&mut self, at: Instant) {
        self.wait_deadline = self.wait_deadline.min(at);
    }

    /// A queue has something to dispatch. hot.
    pub(crate) fn mark_dirty(&mut self, handle: QueueHandle) {
        if let Some(Entry { place: Place::Home(home), .. }) = self.places.get_mut(handle)
            && home.queue.touch()
        {
            self.dirty.push(handle);
        }
    }

    pub(crate) fn consumer_key(&self, channel: ChannelKey, number: ConsumerNumber) -> ConsumerKey {
        ConsumerKey { at: self.own, channel, number }
    }

    /// A client settled a delivery. hot.
    pub(crate) fn settle(&mut self, channel: ChannelKey, held: Held, how: Settlement) {
        let holder = ConsumerKey { at: self.own, channel, number: held.consumer };
        let Some(entry) = self.places.get_mut(held.queue) else { return };
        match &mut entry.place {
            Place::Home(home) => {
                home.queue.settle(&holder, held.position, how, &mut self.arena);
                if home.queue.touch() {
                    self.dirty.push(held.queue);
                }
            }
            Place::Away(away) => {
                let record = Record::Settle {
                    queue: entry.id,
                    channel,
                    consumer: held.consumer,
                    position: held.position,
                    how,
                };
                self.outboxes.at(away.outbox).push_settle(record);
            }
        }
    }

    /// A channel is gone: its consumers end; the connection gives back what it held right after this.
    pub(crate) fn channel_closed(&mut self, channel: ChannelKey, consumers: &[ConsumerNumber]) {
        self.forget_requests_of(channel);
        for number in consumers {
            self.end_consumer(channel, *number);
        }
    }

    /// A consumer of this shard ends without a word to its client.
    pub(crate) fn end_consumer(&mut self, channel: ChannelKey, consumer: ConsumerNumber) {
        let Some(handle) = self.subscribed.remove(channel, consumer) else { return };
        let key = self.consumer_key(channel, consumer);
        let Some(entry) = self.places.get_mut(handle) else { return };
        match &mut entry.place {
            Place::Home(home) => {
                home.queue.unsubscribe(&key);
                self.mark_dirty(handle);
            }
            Place::Away(away) => {
                away.consumers.remove(&(channel, consumer));
                let record = Record::Unsubscribe { request: None, queue: entry.id, channel, consumer };
                self.outboxes.at(away.outbox).push(&record);
            }
        }
    }
}
