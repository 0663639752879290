//! A queue that is at home here, and its only door.
//!
//! [`AtHome`] borrows the queue with what its verbs need. Local callers and records from other shards call the
//! same methods; a caller says who asks. When the door closes (it is dropped), the queue is listed for the end
//! of the turn if a verb made work: for the dispatch, or because a lane is owed an answer. So no caller has to
//! remember to list it.

mod deduplication;
mod moving;
mod nodes;
mod ruled;
mod stored;

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_link::record::{LaneTarget, Record, RemoteConsumer};
use leveret_model::directory::QueueRecord;
use leveret_model::policy::Policy;
use leveret_model::settings::QueueSettings;
use leveret_model::{
    Boot, ConnectionKey, ConsumerKey, ConsumerNumber, Instant, Message, OwnedMessage, Position, QueueHandle,
    QueueId, Seed, Settlement, ShardAddress, StoreMark, Stored, Terms,
};
use leveret_queue::{
    Arena, Cause, Departure, LaneKey, LaneVerdict, Lanes, Left, MessageRef, Queue, SubscribeRefused,
    WaitsForDisk,
};

use self::deduplication::Duplicates;
pub(super) use self::deduplication::RememberedEntries;
use super::commit::Commits;
use super::dead_letters::outlet::Outlet;
use super::departures::Departures;
use super::exclusive::owner;
use super::lists::{Lifetimes, Lists};
use super::question::GotMessage;
use super::subscription::subscription;
use super::timers::QueueTimers;
use crate::bounds::Bounds;
use crate::peers::Outboxes;

/// A queue that lives here.
#[derive(Debug)]
pub(crate) struct Home {
    queue: Queue,
    /// The home's end of the lanes.
    lanes: Lanes,
    /// When the shard tells it the time (`timers.rs`).
    pub(super) timer_at: Instant,
    /// The policy whose settings the queue has (`policies.rs`).
    pub(super) policy: Option<alloc::sync::Arc<Policy>>,
    /// The connection of this shard that alone may use it.
    pub(super) owner: Option<ConnectionKey>,
    /// It is being deleted: it takes and gives nothing until it is dropped (`ToShard::CloseQueue`).
    pub(super) closed: bool,
    /// Where what dies in it goes.
    pub(super) dead_letters: Option<Box<Outlet>>,
    /// Its publishers wait (`throttle.rs`).
    pub(super) throttles: bool,
    /// Shards elsewhere that were told so.
    pub(super) throttled_shards: Vec<ShardAddress>,
    /// `None` for a queue that takes duplicates.
    duplicates: Option<Box<Duplicates>>,
    /// It moved here, and these shards have not said yet what they have of it: nothing is delivered there.
    pub(super) awaits: Vec<ShardAddress>,
    /// Another home has had all messages below this place: they moved there, or came from there.
    pub(super) shared_below: Position,
    /// When the disk last gave messages of its front back.
    pub(super) read_at: Instant,
}

impl Home {
    pub(super) fn new(record: &QueueRecord, seed: Seed) -> Self {
        Self {
            queue: Queue::new(record, seed),
            lanes: Lanes::default(),
            timer_at: Instant::FAR,
            policy: None,
            owner: owner(&record.definition, record.home),
            closed: false,
            dead_letters: Outlet::of(&record.definition),
            throttles: false,
            throttled_shards: Vec::new(),
            duplicates: Duplicates::of(&record.definition.arguments.settings().deduplication, seed),
            awaits: Vec::new(),
            shared_below: Position(0),
            read_at: Instant::ZERO,
        }
    }

    /// What the queue says of itself: counts, never contents.
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// See [`Queue::dispatch`]. hot.
    #[inline(always)]
    pub(super) fn dispatch<E: leveret_queue::Egress>(
        &mut self,
        budget: usize,
        now: Instant,
        arena: &mut Arena,
        egress: &mut E,
    ) -> leveret_queue::DispatchOutcome {
        self.queue.dispatch(budget, now, arena, egress)
    }

    /// The queue had its turn: what left it is gone, and its next deadline is noted. hot: a plain queue has
    /// neither.
    #[inline(always)]
    pub(super) fn end_turn(
        &mut self,
        handle: QueueHandle,
        timers: &mut QueueTimers,
        arena: &mut Arena,
        (departed, commits): (&mut Departures, &mut Commits),
    ) {
        if self.queue.is_ruled() {
            departed.end_turn(&mut self.queue, &mut self.dead_letters, arena, commits);
            let due = self.queue.message_deadline();
            if due < self.timer_at {
                timers.set(handle, &mut self.timer_at, due);
            }
        }
    }

    #[cfg(feature = "planted")]
    pub(super) fn plant(&mut self, bug: crate::planted::Planted) {
        bug.plant_in(&mut self.queue, &mut self.lanes);
    }
}

/// The open door of a queue that is at home here.
#[derive(Debug)]
pub(crate) struct AtHome<'a> {
    pub(super) id: QueueId,
    pub(super) handle: QueueHandle,
    pub(super) home: &'a mut Home,
    pub(super) own: ShardAddress,
    pub(super) arena: &'a mut Arena,
    pub(super) peers: &'a mut Outboxes,
    pub(super) commits: &'a mut Commits,
    pub(super) lists: &'a mut Lists,
    pub(super) lifetimes: &'a mut Lifetimes,
    pub(super) departed: &'a mut Departures,
}

impl Drop for AtHome<'_> {
    fn drop(&mut self) {
        self.note();
    }
}

impl AtHome<'_> {
    /// What the end of the scope does too, but in line: the hot ways close their door by hand. hot.
    #[inline(always)]
    pub(super) fn done(mut self) {
        self.note();
        core::mem::forget(self);
    }

    /// Lists what the shard is to look at later. hot.
    #[inline(always)]
    fn note(&mut self) {
        if self.home.queue.touch() {
            self.lists.dirty.push(self.handle);
        }
        let deadline = self.home.queue.next_deadline();
        if deadline < self.home.timer_at && !self.home.closed {
            self.lifetimes.timers.set(self.handle, &mut self.home.timer_at, deadline);
        }
    }
}

impl AtHome<'_> {
    /// Takes a message, whose reference it takes over; `None` if the queue refuses it. The caller has seen that
    /// the queue is not closed. hot.
    #[inline(always)]
    pub(super) fn append(&mut self, message: MessageRef, body_bytes: usize, terms: Terms) -> Option<Stored> {
        if !self.home.queue.is_plain_for(terms) {
            return self.append_ruled(message, body_bytes, terms);
        }
        let position = self.home.queue.append(message, body_bytes);
        Some(self.keep(position, message, terms, Instant::FAR))
    }

    /// hot.
    #[inline(always)]
    fn keep(&mut self, position: Position, message: MessageRef, terms: Terms, expires: Instant) -> Stored {
        if terms.persistent() && self.home.queue.is_durable() {
            return self.commits.append((self.id, position), (message, expires), self.arena);
        }
        Stored::Now
    }

    /// The same of a message that nobody has kept yet. hot.
    #[inline(always)]
    pub(super) fn append_new(&mut self, message: &Message<'_>) -> Option<Stored> {
        let kept = self.arena.insert(message, 1);
        self.append(kept, message.body.len(), message.terms)
    }

    /// A publish on a lane: appended once and in order, or refused. hot.
    #[inline(always)]
    pub(super) fn append_from_lane(
        &mut self,
        (from, boot): (ShardAddress, Boot),
        LaneTarget { sequence, base, .. }: LaneTarget,
        (message, body_bytes, terms): (MessageRef, usize, Terms),
    ) -> LaneVerdict {
        let lane = LaneKey { ingress: from, boot };
        let verdict = self.home.lanes.accept(lane, sequence, base);
        if verdict == LaneVerdict::Append {
            let waits = match self.append(message, body_bytes, terms) {
                Some(stored) => self.home.lanes.appended(stored),
                None => self.home.lanes.refused(),
            };
            if waits {
                self.commits.lanes_wait(self.handle);
            }
        }
        self.list_owing();
        verdict
    }

    /// hot.
    #[inline]
    fn list_owing(&mut self) {
        if self.home.lanes.touch() {
            self.lists.owing.push(self.handle);
        }
    }

    /// The store has synced up to a mark; true if lanes still wait for a later one.
    pub(super) fn lanes_synced(&mut self, through: StoreMark) -> bool {
        let waits = self.home.lanes.synced(through);
        self.list_owing();
        waits
    }

    /// Each lane that is owed an answer gets one for all that is stored, behind what was refused of it.
    pub(super) fn answer_lanes(&mut self) {
        let (queue, peers) = (self.id, &mut *self.peers);
        self.home.lanes.take_owed(|lane, through, refused| {
            for &sequence in refused {
                peers.push(lane.ingress, &Record::PublishRefused { queue, sequence });
            }
            peers.push(lane.ingress, &Record::Stored { queue, through });
        });
    }

    /// A delivery is settled by who holds it. hot.
    #[inline(always)]
    pub(super) fn settle(&mut self, holder: &ConsumerKey, position: Position, how: Settlement) {
        match self.home.queue.settle(holder, position, how) {
            Left::Acked(message) => {
                if self.home.queue.is_durable() {
                    self.commits.left(self.id, position, self.arena.terms(message));
                }
                self.arena.release(message);
            }
            Left::Rejected(message) => {
                let position = Some(position);
                self.departed.leave(
                    (self.id, self.home.dead_letters.as_mut()),
                    Departure { message, position, cause: Cause::Rejected },
                    self.arena,
                    self.home.queue.is_durable().then_some(&mut *self.commits),
                );
            }
            Left::Requeued => self.note_return(position),
            Left::NotHeld => {}
        }
    }

    /// The window of a consumer elsewhere opens again. hot.
    pub(super) fn credit(&mut self, consumer: &ConsumerKey, messages: u32, bytes: u64) {
        self.home.queue.credit(consumer, messages, bytes);
    }

    pub(super) fn wake(&mut self, consumer: &ConsumerKey) {
        self.home.queue.wake(consumer);
    }

    /// A consumer comes, of this shard or another.
    pub(super) fn subscribe(
        &mut self,
        at: ShardAddress,
        consumer: RemoteConsumer,
        bounds: &Bounds,
    ) -> Result<(), SubscribeRefused> {
        let subscription = subscription(self.own, at, consumer, bounds);
        self.change_consumers(|queue| queue.subscribe(subscription))
    }

    /// A consumer ends; what it holds stays held by its channel.
    pub(super) fn unsubscribe(&mut self, consumer: &ConsumerKey) {
        self.change_consumers(|queue| queue.unsubscribe(consumer));
    }

    /// `basic.get` for a channel.
    pub(super) fn get(
        &mut self,
        at: ShardAddress,
        channel: leveret_model::ChannelKey,
        no_ack: bool,
    ) -> Result<Option<GotMessage>, WaitsForDisk> {
        self.on_use();
        let holder = ConsumerKey { at, channel, number: ConsumerNumber::OF_GET };
        let taken = self.home.queue.get_here(&holder, no_ack, self.lifetimes.now, self.arena)?;
        let Some(taken) = taken else { return Ok(None) };
        let message = OwnedMessage::from(&self.arena.get(taken.message));
        if no_ack {
            if self.home.queue.is_durable() {
                self.commits.left(self.id, taken.position, message.borrow().terms);
            }
            self.arena.release(taken.message);
        }
        Ok(Some(GotMessage {
            position: taken.position,
            redelivered: taken.redelivered,
            remaining: taken.remaining,
            message,
        }))
    }

    /// Drops what is ready, and says how much that was.
    pub(super) fn purge(&mut self) -> u64 {
        self.home.queue.enforce(self.lifetimes.now);
        self.note_purged();
        self.home.queue.purge(self.arena)
    }

    /// Ready messages and consumers.
    pub(super) fn counts(&mut self) -> (u64, u32) {
        self.home.queue.enforce(self.lifetimes.now);
        (self.home.queue.ready(), self.home.queue.consumers())
    }

    /// A client used the queue, or its consumers are others now.
    pub(super) fn on_use(&mut self) {
        if self.home.queue.on_use(self.lifetimes.now) {
            self.end();
        }
    }

    /// The queue's timer is due.
    pub(super) fn on_time(&mut self) {
        self.lifetimes.timers.set(self.handle, &mut self.home.timer_at, Instant::FAR);
        if self.home.queue.on_time(self.lifetimes.now) {
            self.end();
        }
    }

    /// The queue is over by itself: it closes at once, so that nobody comes in between, and its record is to be
    /// deleted.
    pub(super) fn end(&mut self) {
        if !self.home.closed {
            self.home.closed = true;
            self.lifetimes.over.push(self.handle);
        }
    }

    /// Something that may change who its consumers are, which is a use of the queue if it does.
    fn change_consumers<R>(&mut self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let before = self.home.queue.consumers();
        let result = change(&mut self.home.queue);
        if self.home.queue.consumers() != before {
            self.on_use();
        }
        result
    }

    /// Closes the queue for its deletion, and says how many messages were ready.
    pub(super) fn close(&mut self) -> u64 {
        self.home.closed = true;
        self.home.queue.enforce(self.lifetimes.now);
        self.home.queue.ready()
    }

    /// Another policy counts for it, or the same with other settings.
    pub(super) fn set_policy(&mut self, policy: Option<alloc::sync::Arc<Policy>>, settings: &QueueSettings) {
        self.home.policy = policy;
        self.home.queue.set_settings(settings, self.lifetimes.now);
    }

    /// Its consumers end, and with `delete` its messages leave. Gives the consumers in the order in which they
    /// came.
    pub(super) fn end_consumers(&mut self, delete: bool) -> Vec<ConsumerKey> {
        if delete { self.home.queue.drop_all(self.arena) } else { self.home.queue.cancel_all() }
    }
}
