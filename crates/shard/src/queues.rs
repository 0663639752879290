//! The one door to a queue, wherever it lives.
//!
//! Each verb (append, settle, ask, give back a window …) is one method of [`Queues`]. For a queue that is at
//! home here it goes to [`AtHome`], the queue's only door; for one elsewhere it becomes a record to its shard.
//! A record from another shard goes to [`AtHome`] too. So a queue here, on another shard and on another node
//! behave alike, and nothing outside of this folder knows where a queue lives.
//!
//! ```text
//!   ingress, requests, egress ──▶ Queues ──here──▶ AtHome ◀── records from other shards
//!                                    └──elsewhere──▶ Outboxes ──▶ records to other shards
//! ```
//! Read first: [`AtHome`] (`home.rs`), then `append.rs` and `dispatch.rs`. What comes out is in [`Out`] and,
//! for other shards, in the outboxes.

mod append;
mod arriving;
mod asking;
mod away;
mod closing;
mod commit;
mod contents;
mod copied_messages;
mod copied_places;
mod copy_rounds;
mod copying;
mod dead_letters;
mod delivery;
mod departures;
mod directory;
mod dispatch;
mod early;
mod exclusive;
mod fence;
mod home;
mod judge;
mod lanes;
mod leaving;
mod links;
mod lists;
mod moving;
mod over;
mod paging;
mod places;
mod policies;
mod publisher;
mod purges;
mod question;
mod reads;
mod recovered;
mod remains;
mod resubscribe;
mod sending;
mod stored;
mod subscription;
mod superseded;
mod taking_copies;
mod throttle;
mod timers;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_link::Batch;
use leveret_model::directory::FromShard;
use leveret_model::{
    Address, Boot, ChannelKey, ConsumerKey, ConsumerNumber, Held, Instant, Position, QueueHandle, QueueId,
    Seed, Settlement, ShardAddress, limits,
};
use leveret_queue::Arena;

use crate::bounds::Bounds;
use crate::effects::{StoreRead, StoreRequest};
use crate::peers::Outboxes;
use crate::pressure::Pressure;

pub use self::commit::Store;
pub use self::dead_letters::outlet::DeadLettered;
pub(crate) use self::delivery::{Credit, FromElsewhere, LocalConsumers};
pub(crate) use self::departures::Departed;
pub(crate) use self::judge::QueueAtHome;
pub(crate) use self::publisher::{Answered, Appended, OneAppended, Publisher};
pub(crate) use self::question::{Asked, Asker, GotMessage, HomeAnswer, Question};
pub use self::recovered::StoredMessage;

use self::away::Away;
use self::commit::Commits;
use self::departures::Departures;
use self::early::Early;
use self::home::AtHome;
use self::lists::{Lifetimes, Lists};
use self::moving::{Arrivals, Leaving};
use self::places::{Entry, Place, Places};
use self::purges::Purges;

/// Copies of publishes that went to queues.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Copies {
    /// To queues of this shard.
    pub(crate) here: u64,
    /// To queues of other shards and nodes.
    pub(crate) away: u64,
    /// Given up because their home did not answer in time.
    pub(crate) given_up: u64,
}

/// What queues have to say to the rest of the shard.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// Publishes that a home, the store or the clock answered.
    pub(crate) answered: Vec<Answered>,
    /// Consumers of this shard's channels whose queue ended or lost its name.
    pub(crate) cancelled: VecDeque<(ChannelKey, ConsumerNumber)>,
    /// A lane has room again, or ended: publishes that are held may go.
    pub(crate) lane_has_room: bool,
    /// A queue may have stopped to throttle its publishers.
    pub(crate) throttle_ended: bool,
    /// Copies of publishes so far.
    pub(crate) copies: Copies,
    /// What the control machine is to hear of queues that move.
    pub(crate) moves: Vec<FromShard>,
    /// Queues whose home changed: what this shard has of them is to be said there.
    pub(crate) new_homes: Vec<QueueHandle>,
    /// Messages that left otherwise than by an acknowledgement, so far.
    pub(crate) departed: Departures,
}

/// All queues that this shard has to do with: its own, and those elsewhere that it publishes to or consumes
/// from.
#[derive(Debug)]
pub(crate) struct Queues {
    own: ShardAddress,
    seed: Seed,
    places: Places,
    arena: Arena,
    peers: Outboxes,
    commits: Commits,
    lists: Lists,
    lifetimes: Lifetimes,
    early: Early,
    purges: Purges,
    arriving: Arrivals,
    pressure: Pressure,
    bounds: Bounds,
    /// When a publish on some lane has waited for long enough.
    lanes_due: Instant,
    out: Out,
    #[cfg(feature = "planted")]
    planted: Option<crate::planted::Planted>,
}

impl Queues {
    pub(crate) fn new((own, boot): (ShardAddress, Boot), seed: Seed, store: Store) -> Self {
        Self {
            own,
            seed,
            places: Places::new(seed.part(2)),
            arena: Arena::new(),
            peers: Outboxes::new(own.node, seed.part(3)),
            commits: Commits::new(store),
            lists: Lists::default(),
            lifetimes: Lifetimes::default(),
            early: Early::default(),
            purges: Purges::default(),
            arriving: Arrivals::new(boot),
            pressure: Pressure::Calm,
            bounds: Bounds::default(),
            lanes_due: Instant::FAR,
            out: Out::default(),
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.lifetimes.now = now;
        self.arena.begin_turn(now);
    }

    /// What people call now, seconds since 1970.
    pub(crate) fn set_unix_time(&mut self, unix_s: u64) {
        self.out.departed.unix_s = unix_s;
    }

    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.peers.set_window(bounds.forward);
    }

    /// What queues have said since the last time. hot.
    pub(crate) fn out(&mut self) -> &mut Out {
        &mut self.out
    }

    /// The ways to other shards.
    pub(crate) fn peers(&mut self) -> &mut Outboxes {
        &mut self.peers
    }

    /// The door of a queue that is at home here. hot.
    #[inline(always)]
    fn home(&mut self, handle: QueueHandle) -> Option<AtHome<'_>> {
        let Entry { id, place: Place::Home(home) } = self.places.get_mut(handle)? else { return None };
        Some(AtHome {
            id: *id,
            handle,
            home,
            own: self.own,
            arena: &mut self.arena,
            peers: &mut self.peers,
            commits: &mut self.commits,
            lists: &mut self.lists,
            lifetimes: &mut self.lifetimes,
            departed: &mut self.out.departed,
        })
    }

    /// The same by its id. hot.
    #[inline]
    fn home_of(&mut self, id: QueueId) -> Option<AtHome<'_>> {
        let handle = self.places.handle(id)?;
        self.home(handle)
    }

    /// The door of a queue that is about to leave, in a state in which that is allowed.
    #[cold]
    fn frozen(&mut self, id: QueueId, of: impl Fn(&Leaving) -> bool) -> Option<AtHome<'_>> {
        let handle = self.places.handle(id)?;
        let Entry { place: Place::Away(away), .. } = self.places.get_mut(handle)? else { return None };
        let leaving = away.leaving.as_mut().filter(|leaving| of(leaving))?;
        Some(AtHome {
            id,
            handle,
            lifetimes: &mut self.lifetimes,
            departed: &mut self.out.departed,
            home: &mut leaving.home,
            own: self.own,
            arena: &mut self.arena,
            peers: &mut self.peers,
            commits: &mut self.commits,
            lists: &mut self.lists,
        })
    }

    /// The shard's entry for a queue of the map.
    pub(crate) fn enter(&mut self, id: QueueId, address: Address) -> QueueHandle {
        self.enter_at(id, self.shard_of(address))
    }

    /// The same, by the shard that is its home.
    pub(crate) fn enter_at(&mut self, id: QueueId, home: ShardAddress) -> QueueHandle {
        if let Some(handle) = self.places.handle(id) {
            return handle;
        }
        // a queue of this shard has its entry since it came into the map
        let outbox = self.peers.join(home);
        let away = Away::new(home, outbox, self.places.lanes_from);
        self.places.insert(id, Place::Away(alloc::boxed::Box::new(away)))
    }

    fn shard_of(&self, address: Address) -> ShardAddress {
        match address {
            Address::Here => self.own,
            Address::Shard(shard) => ShardAddress { node: self.own.node, shard },
            Address::Node(node, shard) => ShardAddress { node, shard },
        }
    }

    /// Which queue a handle stands for.
    pub(crate) fn id(&self, handle: QueueHandle) -> Option<QueueId> {
        self.places.get(handle).map(|entry| entry.id)
    }

    /// A client of this shard settled a delivery. hot.
    pub(crate) fn settle(&mut self, channel: ChannelKey, held: Held, how: Settlement) {
        let holder = ConsumerKey { at: self.own, channel, number: held.consumer };
        if let Some(mut home) = self.home(held.queue) {
            home.settle(&holder, held.position, how);
            home.done();
        } else if let Some((id, away)) = self.places.away(held.queue) {
            away.settle(id, channel, &held, how, &mut self.peers);
        }
    }

    /// A channel elsewhere settled a delivery. hot.
    pub(crate) fn on_settle(
        &mut self,
        at: ShardAddress,
        queue: QueueId,
        (channel, number): (ChannelKey, ConsumerNumber),
        position: Position,
        how: Settlement,
    ) {
        let holder = ConsumerKey { at, channel, number };
        if let Some(mut home) = self.home_of(queue) {
            home.settle(&holder, position, how);
            home.done();
        } else if let Some(mut frozen) = self.frozen(queue, Leaving::is_fencing) {
            frozen.settle(&holder, position, how);
        }
    }

    /// The window of a consumer elsewhere opens again. hot.
    pub(crate) fn on_credit(
        &mut self,
        at: ShardAddress,
        queue: QueueId,
        (channel, number): (ChannelKey, ConsumerNumber),
        messages: u32,
        bytes: u64,
    ) {
        if let Some(mut home) = self.home_of(queue) {
            home.credit(&ConsumerKey { at, channel, number }, messages, bytes);
            home.done();
        } else if let Some(mut frozen) = self.frozen(queue, Leaving::is_fencing) {
            frozen.credit(&ConsumerKey { at, channel, number }, messages, bytes);
        }
    }

    /// A consumer of this shard ends without a word to its client.
    pub(crate) fn unsubscribe(&mut self, handle: QueueHandle, channel: ChannelKey, consumer: ConsumerNumber) {
        let key = ConsumerKey { at: self.own, channel, number: consumer };
        if let Some(mut home) = self.home(handle) {
            home.unsubscribe(&key);
        } else if let Some((id, away)) = self.places.away(handle) {
            away.unsubscribe(id, channel, consumer, &mut self.peers);
        }
    }

    /// A consumer that found no room for a delivery, here, may be offered messages again.
    pub(crate) fn wake(&mut self, handle: QueueHandle, consumer: &ConsumerKey) {
        if let Some(mut home) = self.home(handle) {
            home.wake(consumer);
        }
    }

    /// Deliveries of a queue elsewhere have left through their consumer's socket: its window opens again.
    pub(crate) fn give_back(&mut self, credit: &Credit) {
        if let Some((id, away)) = self.places.away(credit.queue) {
            away.give_back(id, credit, &mut self.peers);
        }
    }

    /// The end of a turn, after the dispatch: what ingress shards are owed, what is to be stored, and the
    /// records. hot.
    pub(crate) fn end_turn(
        &mut self,
        batches: &mut Vec<(ShardAddress, Batch)>,
        (store, reads): (&mut Option<StoreRequest>, &mut Vec<StoreRead>),
    ) {
        self.flush_stored();
        // what is frozen goes first
        self.send_leaving();
        self.send_copies();
        self.arena.compact(limits::ARENA_BLOCK_BYTES);
        self.peers.flush(batches);
        *store = self.commits.end_turn();
        self.lists.paging.take_asked(reads);
    }

    /// Records of unknown kinds that other shards sent.
    pub(crate) fn unknown_records(&self) -> u64 {
        self.peers.unknown_records()
    }

    /// Somebody waits for a dispatch.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.lists.dirty.is_empty() || self.has_dead_letters() || self.has_more_to_send()
    }

    pub(crate) fn copies(&self) -> Copies {
        self.out.copies
    }

    pub(crate) fn departed(&self) -> Departed {
        self.out.departed.counts()
    }

    /// Messages and records that this shard holds, bytes.
    pub(crate) fn bytes_held(&self) -> u64 {
        self.arena.bytes_held() + self.peers.waiting_bytes()
    }

    /// Of that, bodies that may lie in blocks with others, bytes.
    pub(crate) fn bytes_in_blocks(&self) -> u64 {
        self.arena.bytes_in_blocks()
    }

    /// Copies bodies out of receive blocks; true if there are more.
    pub(crate) fn own_bodies(&mut self) -> bool {
        self.arena.own_chunks(limits::OWN_BYTES_MAX)
    }

    #[cfg(feature = "planted")]
    pub(crate) fn plant(&mut self, bug: crate::planted::Planted) {
        self.commits.plant(bug);
        self.planted = Some(bug);
    }
}
