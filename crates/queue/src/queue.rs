//! One queue: ready messages, unacknowledged messages, consumers.
//!
//! Read first: [`Queue::append`], then [`Queue::dispatch`] (in `queue/dispatch.rs`), then [`Queue::settle`].
//! Each ready or unacknowledged message owns one reference in the [`Arena`].
//!
//! The shard's side of the bargain:
//! - after each call that may have made work it asks [`Queue::touch`], lists the queue when that says so, and
//!   calls [`Queue::dispatch`] for the listed ones at the end of the turn; a queue that nobody touched costs
//!   nothing;
//! - a consumer that [`Egress::deliver`] called [`Delivered::Paused`] is asleep until [`Queue::wake`].

mod consumer;
mod consumers;
mod contents;
mod counts;
mod dispatch;
mod entry;
mod kept;
mod lifetime;
mod limits;
mod paging;
mod ready;
mod resubscribe;
mod room;
mod ruled;
mod rules;
mod single_active;
mod stored;
mod subscription;
#[cfg(test)]
mod tests;
mod time;

use alloc::vec::Vec;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as MapEntry;
use leveret_model::directory::QueueRecord;
use leveret_model::limits::TABLE_KEEP_ENTRIES;
use leveret_model::{ConsumerKey, Instant, NodeId, Position, QueueId, Seed, Settlement, Terms, Unread};

pub use self::counts::QueueCounts;
pub use self::dispatch::{Delivered, DispatchOutcome, Egress};
pub use self::entry::{OutOfPlace, QueueEntry};
pub use self::resubscribe::HeldPlace;
pub use self::room::WaitsForDisk;
pub use self::rules::{Cause, Departure};
pub use self::stored::StoredEntry;
pub use self::subscription::{SubscribeRefused, Subscription, Window};

use self::consumers::Consumers;
use self::counts::Counts;
use self::entry::Entry;
use self::lifetime::Lifetime;
use self::ready::Ready;
use self::resubscribe::Named;
use self::rules::Rules;
use crate::{Arena, MessageRef};

/// A message taken by `basic.get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Taken {
    /// Its place.
    pub position: Position,
    /// The message. Taken with no-ack, its reference is now the caller's to release.
    pub message: MessageRef,
    /// Delivered before.
    pub redelivered: bool,
    /// Ready messages left.
    pub remaining: u64,
}

/// What a settlement made leave the queue: the caller owns its reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Left {
    /// Nothing: the holder does not hold it.
    NotHeld,
    /// Nothing: it went back to its place.
    Requeued,
    /// A consumer has it for good.
    Acked(MessageRef),
    /// A consumer does not want it, nor is another to have it.
    Rejected(MessageRef),
}

/// A delivery that somebody holds.
#[derive(Clone, Copy, Debug)]
struct Unacked {
    entry: Entry,
    /// Index of the consumer (or of the channel's entry for `basic.get`).
    consumer: u32,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    id: QueueId,
    seed: Seed,
    durable: bool,
    ready: Ready,
    unacked: HashMap<Position, Unacked, FixedState>,
    /// Of the bodies in `unacked`.
    unacked_bytes: u64,
    consumers: Consumers,
    lifetime: Lifetime,
    counts: Counts,
    /// Shards that are about to say what they have here, after a new link.
    named: Vec<Named>,
    /// On the shard's list for the end of this turn.
    listed: bool,
    /// Some messages may be on the disk alone.
    paged: bool,
}

impl Queue {
    /// An empty queue, as it was declared.
    #[must_use]
    pub fn new(record: &QueueRecord, seed: Seed) -> Self {
        let settings = record.definition.arguments.settings();
        Self {
            id: record.id,
            seed,
            // an exclusive queue ends with its connection, so nothing of it outlives the process
            durable: record.definition.durable && record.definition.exclusive.is_none(),
            ready: Ready::new(Rules::of(settings), seed.part(2)),
            unacked: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            unacked_bytes: 0,
            consumers: Consumers::new(record.home, seed.part(1), settings.single_active_consumer),
            lifetime: Lifetime::new(&record.definition),
            counts: Counts::default(),
            named: Vec::new(),
            listed: false,
            paged: false,
        }
    }

    /// Which queue this is.
    #[must_use]
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// It outlives its process: persistent messages must be stored before their publishers hear that they are
    /// here. hot.
    #[inline]
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// A message of these terms is for [`Queue::append`]; any other is for [`Queue::append_ruled`]. hot.
    #[inline]
    #[must_use]
    pub fn is_plain_for(&self, terms: Terms) -> bool {
        self.ready.is_plain_for(terms)
    }

    /// A message joins the end; the queue takes over one of its references. hot.
    #[inline]
    pub fn append(&mut self, message: MessageRef, body_bytes: usize) -> Position {
        self.ready.append(Entry { message, body_bytes: body_bytes as u32 })
    }

    /// True if the queue has something to dispatch and is not on the shard's list for the end of the turn: the
    /// shard puts it there. hot.
    #[inline]
    #[must_use]
    pub fn touch(&mut self) -> bool {
        !self.listed && self.list()
    }

    fn list(&mut self) -> bool {
        self.listed = self.wants_dispatch() || self.is_ruled_touched();
        self.listed
    }

    /// A consumer comes. One that is known by its key gets the new terms: requests repeat under their id.
    ///
    /// # Errors
    /// RabbitMQ: exclusive consumers. The queue is as it was; the caller refuses with 403.
    pub fn subscribe(&mut self, subscription: Subscription) -> Result<(), SubscribeRefused> {
        self.consumers.subscribe(subscription, Unread::default())
    }

    /// A consumer ends; false if it was none. What it holds stays held by its channel.
    pub fn unsubscribe(&mut self, key: &ConsumerKey) -> bool {
        self.consumers.find(key).is_some_and(|index| self.consumers.unsubscribe(index))
    }

    /// The window of a consumer opens again by so much, never beyond what it was at first.
    pub fn credit(&mut self, key: &ConsumerKey, messages: u32, bytes: u64) {
        if let Some(index) = self.consumers.find(key) {
            self.consumers.credit(index, messages, bytes);
        }
    }

    /// Plants a bug; to be called before anything else.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, bug: crate::Planted) {
        self.ready.bug.planted = Some(bug);
        self.consumers.bug.planted = Some(bug);
    }

    /// A consumer can take deliveries again after [`Delivered::Paused`].
    pub fn wake(&mut self, key: &ConsumerKey) {
        if let Some(index) = self.consumers.find(key) {
            self.consumers.wake(index);
        }
    }

    /// A held delivery is settled. If `holder` does not hold it (acknowledged twice, or given elsewhere after
    /// its node was Down) nothing happens. hot.
    #[inline]
    pub fn settle(&mut self, holder: &ConsumerKey, position: Position, how: Settlement) -> Left {
        let MapEntry::Occupied(held) = self.unacked.entry(position) else { return Left::NotHeld };
        let Unacked { entry, consumer } = *held.get();
        if self.consumers.at(consumer).key != *holder {
            return Left::NotHeld;
        }
        held.remove();
        self.unacked_bytes -= u64::from(entry.body_bytes);
        if how != Settlement::Requeue
            && let Some(ruled) = self.ready.ruled_mut()
        {
            ruled.forget(position);
        }
        let left = match how {
            Settlement::Ack => Left::Acked(entry.message),
            Settlement::Reject => {
                self.counts.reject();
                Left::Rejected(entry.message)
            }
            Settlement::Requeue => {
                self.counts.requeue(1);
                self.ready.put_back(position, entry);
                Left::Requeued
            }
        };
        self.consumers.settled(consumer);
        self.shrink_unacked();
        left
    }

    /// `basic.get` for a channel. `holder` names the channel; its consumer number is
    /// [`ConsumerNumber::OF_GET`](leveret_model::ConsumerNumber::OF_GET), as in the [`HeldPlace`] and at the
    /// settlement.
    pub fn get(&mut self, holder: &ConsumerKey, no_ack: bool, now: Instant) -> Option<Taken> {
        self.enforce(now);
        self.take_for(holder, no_ack, now)
    }

    /// The first message goes to a channel.
    fn take_for(&mut self, holder: &ConsumerKey, no_ack: bool, now: Instant) -> Option<Taken> {
        let (position, entry, redelivered) = match self.ready.ruled_in_front() {
            None => self.ready.take_first()?,
            Some(ruled) => {
                let item = ruled.take_first(!no_ack)?;
                (item.position, item.entry, item.redelivered)
            }
        };
        if !no_ack {
            let consumer = self.consumers.holder(holder);
            self.consumers.at_mut(consumer).unacked += 1;
            self.unacked.insert(position, Unacked { entry, consumer });
            self.unacked_bytes += u64::from(entry.body_bytes);
        }
        self.counts.deliver(1);
        self.counts.redeliver(redelivered);
        // what stood behind it and is late has left too (RabbitMQ: the count of get-ok)
        self.enforce(now);
        Some(Taken { position, message: entry.message, redelivered, remaining: self.ready.len() })
    }

    /// Drops what is ready, and says how much that was. What is held stays held (RabbitMQ: queue.purge).
    pub fn purge(&mut self, arena: &mut Arena) -> u64 {
        let purged = self.ready.clear(arena);
        self.counts.purge(purged);
        purged
    }

    /// The queue is deleted: every message leaves, every consumer ends. Returns the consumers, in the order in
    /// which they came, to be cancelled.
    #[must_use]
    pub fn drop_all(&mut self, arena: &mut Arena) -> Vec<ConsumerKey> {
        self.ready.clear(arena);
        if let Some(ruled) = self.ready.ruled_mut() {
            ruled.drop_departures(arena);
        }
        for held in self.unacked.values() {
            arena.release(held.entry.message);
        }
        self.unacked = HashMap::with_hasher(self.unacked.hasher().clone());
        self.unacked_bytes = 0;
        self.consumers.clear()
    }

    /// The queue lost its name: every consumer ends, the messages stay. Returns the consumers, in the order in
    /// which they came, to be cancelled; what they hold stays held.
    #[must_use]
    pub fn cancel_all(&mut self) -> Vec<ConsumerKey> {
        let consumers = self.consumers.subscribed_where(|_| true);
        for key in &consumers {
            self.unsubscribe(key);
        }
        consumers
    }

    /// A node is Down: its consumers end, what it held goes back to its place. Returns how many were requeued.
    pub fn release_node(&mut self, node: NodeId) -> u64 {
        for key in self.consumers.subscribed_where(|key| key.at.node == node) {
            self.unsubscribe(&key);
        }
        self.requeue_where(|key, _| key.at.node == node)
    }

    /// Ready messages.
    #[must_use]
    pub fn ready(&self) -> u64 {
        self.ready.len()
    }

    /// Bytes of the bodies of ready messages.
    #[must_use]
    pub fn ready_bytes(&self) -> u64 {
        self.ready.bytes()
    }

    /// For how long the oldest ready message has been in the arena of this shard; `None` without any.
    #[must_use]
    pub fn oldest_ready(&self, arena: &Arena) -> Option<Duration> {
        self.ready.heads().map(|entry| arena.age(entry.message)).max()
    }

    /// Messages that are delivered and not settled.
    #[must_use]
    pub fn unacked(&self) -> u64 {
        self.unacked.len() as u64
    }

    /// Bytes of the bodies of messages that are delivered and not settled.
    #[must_use]
    pub fn unacked_bytes(&self) -> u64 {
        self.unacked_bytes
    }

    /// Consumers.
    #[must_use]
    pub fn consumers(&self) -> u32 {
        self.consumers.subscribed()
    }

    /// Consumers whose prefetch and window would take a message now. Asked of each one's own numbers, not of
    /// the lines, so that it can tell that the lines are wrong; whether its output takes it the shard knows.
    pub fn with_credit(&self) -> impl Iterator<Item = ConsumerKey> + '_ {
        self.consumers.with_credit()
    }

    /// True without messages and consumers.
    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.ready.len() == 0 && self.unacked.is_empty() && self.consumers.subscribed() == 0
    }

    fn requeue_where(&mut self, of: impl Fn(&ConsumerKey, Position) -> bool) -> u64 {
        let Self { unacked, unacked_bytes, consumers, ready, counts, .. } = self;
        let before = ready.len();
        // the table's order does not show: places are ordered, and consumers are woken in an order of their own
        // below
        let mut settled = Vec::new();
        unacked.retain(|&position, held| {
            let back = of(&consumers.at(held.consumer).key, position);
            if back {
                ready.put_back(position, held.entry);
                *unacked_bytes -= u64::from(held.entry.body_bytes);
                settled.push(held.consumer);
            }
            !back
        });
        counts.requeue(settled.len());
        settled.sort_unstable();
        for consumer in settled {
            consumers.settled(consumer);
        }
        self.shrink_unacked();
        self.ready.len() - before
    }

    /// A table that was large once and is empty now gives its memory back.
    fn shrink_unacked(&mut self) {
        if self.unacked.is_empty() && self.unacked.capacity() > TABLE_KEEP_ENTRIES {
            self.unacked.shrink_to(0);
        }
    }
}
