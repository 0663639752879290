//! What a shard tells of itself: for `status`, for the simulator's oracle, for tests.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use leveret_amqp::State;
use leveret_model::definition::{Binding, ExchangeDefinition};
use leveret_model::directory::QueueRecord;
use leveret_model::{ConnectionKey, ConsumerKey, Name, QueueId, ShardAddress};
pub use leveret_queue::QueueCounts;

use crate::clients::ClientConnection;
use crate::queues::{DeadLettered, QueueAtHome};
use crate::sessions::SessionReport;
use crate::shard::Shard;
use crate::watch::{Fullest, Routed};

/// Plain counters of a shard since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Copies of publishes appended to queues of the publisher's own shard.
    pub published_here: u64,
    /// Copies of publishes sent to queues on other shards and nodes.
    pub published_away: u64,
    /// Publishes that no queue took, not mandatory.
    pub unroutable: u64,
    /// Publishes that waited for a lease, a lane or a home for the whole time: nacked, or without confirms
    /// lost.
    pub given_up: u64,
    /// Messages of queues here that expired.
    pub expired: u64,
    /// Messages that were dropped because their queue was over its length.
    pub over_length: u64,
    /// Messages that were returned more often than their queue allows.
    pub returned_too_often: u64,
    /// Messages that consumers rejected.
    pub rejected: u64,
    /// Publishes that a queue at its length refused.
    pub refused: u64,
    /// Dead letters of queues here that reached every queue that they go to.
    pub dead_lettered: u64,
    /// Dead letters that no exchange or no queue took, cycles included.
    pub dead_letters_unroutable: u64,
    /// Dead letters that went without a target that was away, because too many waited for it.
    pub dead_letters_past_away: u64,
    /// Messages that a queue dropped as duplicates; their publishers got an ack.
    pub duplicates: u64,
    /// Replies by direct reply-to that were delivered to clients of this shard.
    pub replies: u64,
    /// Replies that were dropped: the requester is gone, or reads too little of what it gets.
    pub replies_dropped: u64,
    /// Records of other nodes whose kind this version does not know: skipped.
    pub unknown_records: u64,
}

/// A queue of this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueReport {
    /// Which life of the name.
    pub id: QueueId,
    /// Its vhost.
    pub vhost: Name,
    /// Its name.
    pub name: Name,
    /// Where it lives: this shard.
    pub home: ShardAddress,
    /// Survives a restart, once there are disks.
    pub durable: bool,
    /// Messages that wait.
    pub ready: u64,
    /// Messages that consumers hold.
    pub unacked: u64,
    /// Bytes of the bodies of both.
    pub bytes: u64,
    /// For how long its oldest ready message has been on this shard; `None` without any.
    pub oldest_ready: Option<Duration>,
    /// Consumers.
    pub consumers: u32,
    /// Messages that became dead letters, by reason.
    pub dead_lettered: DeadLettered,
    /// What happened to its messages here.
    pub counts: QueueCounts,
}

/// An exclusive queue of this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExclusiveReport {
    /// Which life of the name.
    pub id: QueueId,
    /// The connection that alone may use it.
    pub owner: ConnectionKey,
    /// That is there, and not over.
    pub owner_lives: bool,
    /// The queue takes and gives nothing any more.
    pub closed: bool,
    /// A consumer of another connection is offered messages.
    pub serves_others: bool,
}

/// A client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionReport {
    /// Peer and own address, as the driver named it.
    pub name: String,
    /// The user, once logged in.
    pub user: Name,
    /// Its vhost.
    pub vhost: Name,
    /// Open channels.
    pub channels: usize,
    /// A word for its state.
    pub state: &'static str,
}

/// Where a page of a report begins: at a slot of the table of queues, or of that of connections, which come
/// behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFrom {
    /// At a slot of the table of queues.
    Queue(usize),
    /// At a slot of the table of connections.
    Connection(usize),
}

impl Default for ReportFrom {
    fn default() -> Self {
        Self::Queue(0)
    }
}

/// All that a shard tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardReport {
    /// Its queues.
    pub queues: Vec<QueueReport>,
    /// Its connections.
    pub connections: Vec<ConnectionReport>,
    /// Its counters.
    pub traffic: Traffic,
    /// What it holds for clients, as [`Shard::memory_bytes`] counts it.
    pub memory_bytes: u64,
    /// Messages whose bytes are on the disk alone.
    pub paged_out: u64,
    /// Its sessions, if they are on.
    pub sessions: Option<SessionReport>,
}

/// What a shard routes by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routes {
    /// Exchanges, those that each vhost has included.
    pub exchanges: Vec<ExchangeDefinition>,
    /// Queues, and whether routes leave them out.
    pub queues: Vec<(QueueRecord, bool)>,
    /// Bindings.
    pub bindings: Vec<Binding>,
}

impl Shard {
    /// Messages that are lost when the process ends: in its queues, with consumers, or on their way as dead
    /// letters, and not in the store.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.machines.queues.transient()
    }

    /// What the shard routes by, copied.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let table = &self.machines.view.table;
        Routes {
            exchanges: table.exchanges().map(|(_, exchange)| exchange.clone()).collect(),
            queues: table.queues().map(|queue| (queue.record.clone(), queue.masked)).collect(),
            bindings: table
                .exchanges()
                .flat_map(|(id, _)| table.bindings_of(id))
                .map(|binding| binding.to_binding())
                .collect(),
        }
    }

    /// What the shard tells of itself.
    #[must_use]
    pub fn report(&self) -> ShardReport {
        self.report_page(ReportFrom::default(), usize::MAX).0
    }

    /// A part of [`Shard::report`] from there on, and where the next one begins. It looks at `most` slots of
    /// the tables and no more, so that a shard with very many queues and connections serves on between the
    /// pages. What comes or goes between them may be missing.
    #[must_use]
    pub fn report_page(&self, from: ReportFrom, most: usize) -> (ShardReport, Option<ReportFrom>) {
        let mut report = ShardReport {
            traffic: self.traffic(),
            memory_bytes: self.memory_bytes(),
            paged_out: self.paged_out(),
            sessions: self.session_report(),
            ..Default::default()
        };
        let (mut left, mut connections_from) = (most, 0);
        match from {
            ReportFrom::Queue(slot) => {
                let end = self.machines.queues.slots().min(slot.saturating_add(left));
                let homes = self.machines.queues.at_home_within(slot..end);
                report.queues = homes.map(|home| self.queue_report(&home)).collect();
                left -= end.saturating_sub(slot);
                if end < self.machines.queues.slots() {
                    return (report, Some(ReportFrom::Queue(end)));
                }
            }
            ReportFrom::Connection(slot) => connections_from = slot,
        }
        let end = self.connections.slots().min(connections_from.saturating_add(left));
        let connections = self.connections.within(connections_from..end);
        report.connections =
            connections.map(|(key, connection)| self.connection_report(key, connection)).collect();
        (report, (end < self.connections.slots()).then_some(ReportFrom::Connection(end)))
    }

    fn queue_report(&self, home: &QueueAtHome<'_>) -> QueueReport {
        let record = self.machines.view.table.queue_by_id(home.id).map(|queue| &queue.record.definition);
        let (vhost, name, durable) =
            record.map(|of| (of.vhost.clone(), of.name.clone(), of.durable)).unwrap_or_default();
        QueueReport {
            id: home.id,
            vhost,
            name,
            home: self.machines.own,
            durable,
            ready: home.queue.ready(),
            unacked: home.queue.unacked(),
            bytes: home.queue.ready_bytes() + home.queue.unacked_bytes(),
            oldest_ready: home.oldest_ready,
            consumers: home.queue.consumers(),
            dead_lettered: home.dead_lettered,
            counts: home.queue.counts(),
        }
    }

    fn connection_report(&self, key: ConnectionKey, connection: &ClientConnection) -> ConnectionReport {
        let client = self.machines.clients.get(key);
        ConnectionReport {
            name: client.name.clone(),
            user: connection.user().clone(),
            vhost: connection.vhost().clone(),
            channels: connection.channel_count(),
            state: match connection.state() {
                State::Handshake => "handshake",
                State::Open if client.unread => "not reading",
                State::Open if client.held_back => "consumers paused",
                State::Open if self.is_throttled(key) => "blocked",
                State::Open => "running",
                State::Closing | State::Finished => "closing",
            },
        }
    }

    /// Exclusive queues of this shard.
    pub fn exclusive_queues(&self) -> impl Iterator<Item = ExclusiveReport> + '_ {
        self.machines.queues.at_home().filter_map(|home| {
            let owner = home.owner?;
            let others = |key: ConsumerKey| (key.at, key.channel.connection) != (self.machines.own, owner);
            Some(ExclusiveReport {
                id: home.id,
                owner,
                owner_lives: self.machines.clients.may_own_queues(owner),
                closed: home.closed,
                serves_others: home.queue.with_credit().any(others),
            })
        })
    }

    /// Some consumer of a queue of this shard has credit: prefetch, window, channel and output take a message
    /// now. Then nothing is ready between turns.
    #[must_use]
    pub fn has_credit(&self, queue: QueueId) -> bool {
        let home = self.machines.queues.at_home().find(|home| home.id == queue);
        home.is_some_and(|home| {
            let takes = |key: ConsumerKey| !home.awaits.contains(&key.at) && self.takes(&key);
            !home.closed && home.queue.with_credit().any(takes)
        })
    }

    /// Queues of this shard whose last move some shard has not answered: they do not move until it does.
    pub fn awaiting_queues(&self) -> impl Iterator<Item = (QueueId, &[ShardAddress])> + '_ {
        let awaiting = self.machines.queues.at_home().filter(|home| !home.awaits.is_empty());
        awaiting.map(|home| (home.id, home.awaits))
    }

    fn traffic(&self) -> Traffic {
        let (copies, ingress) = (self.machines.queues.copies(), &self.machines.ingress);
        let departed = self.machines.queues.departed();
        let letters = self.machines.queues.dead_letter_traffic();
        let (replies, replies_dropped) = self.machines.replies.counts();
        Traffic {
            published_here: copies.here,
            published_away: copies.away,
            unroutable: ingress.unroutable(),
            given_up: copies.given_up + ingress.given_up(),
            expired: departed.expired,
            over_length: departed.over_length,
            returned_too_often: departed.returned_too_often,
            rejected: departed.rejected,
            refused: departed.refused,
            dead_lettered: letters.delivered,
            dead_letters_unroutable: letters.unroutable,
            dead_letters_past_away: letters.passed_away,
            duplicates: departed.duplicates,
            replies,
            replies_dropped,
            unknown_records: self.machines.queues.unknown_records(),
        }
    }

    /// The way to a consumer takes a delivery now.
    fn takes(&self, consumer: &ConsumerKey) -> bool {
        if consumer.at != self.machines.own {
            return self.machines.queues.takes_deliveries(consumer.at);
        }
        let connection = self.connections.get(consumer.channel.connection);
        connection.is_some_and(|connection| {
            connection.output_len() < self.machines.memory.output_low()
                && !connection.is_paused(consumer.channel, consumer.number)
        })
    }

    /// What waits where most does.
    #[must_use]
    pub fn fullest(&self) -> Fullest {
        let mut all = Fullest::default();
        for (messages, bytes) in self.machines.queues.lanes() {
            all.lane_messages = all.lane_messages.max(messages);
            all.lane_bytes = all.lane_bytes.max(bytes);
        }
        for connection in self.connections.iter() {
            let (most, at) = (&mut all.waiting, connection.waiting());
            most.deferred_most = most.deferred_most.max(at.deferred_most);
            most.deferred = most.deferred.max(at.deferred);
            most.held = most.held.max(at.held);
        }
        all
    }

    /// From now on the shard remembers where each publish under confirms goes, for [`Shard::take_routed`].
    pub fn watch_routes(&mut self) {
        self.machines.ingress.watch();
    }

    /// Where publishes went since the last time; nothing if nobody watches.
    pub fn take_routed(&mut self) -> Vec<Routed> {
        self.machines.ingress.take_routed()
    }
}
