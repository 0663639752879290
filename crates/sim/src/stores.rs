//! The stores of the simulated nodes: in half of the seeds each answers 1 to 50 ms late, or dies first with its
//! process. In half of those the shards page messages out at any time, and read them back.

mod pages;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use leveret_model::{Instant, Position, QueueId, Seed, StoreMark};
use leveret_shard::{Effects, Shard, Store, StoreRequest};

use self::pages::Pages;
use crate::body;
use crate::disks::Disks;
use crate::event::HostId;
use crate::message_id::MessageId;
use crate::scheduler::{Dice, HEAL_AT};

/// What all stores have stored, for `invariants/stored_first.rs`.
#[derive(Debug)]
pub(crate) struct Stores {
    dice: Dice,
    /// Stores answer late; else each shard's memory is its store.
    late: bool,
    /// Of their own, so that what is drawn for a seed does not change what it meets besides.
    page_dice: Dice,
    pages: bool,
    stored: BTreeSet<(QueueId, MessageId)>,
    /// Requests that were answered.
    pub(crate) answered: u64,
    /// Of all hosts.
    pub(crate) disks: Disks,
    /// Messages that were paged out and read back.
    pub(crate) read_back: u64,
}

impl Default for Stores {
    fn default() -> Self {
        Self::draw(Seed(0))
    }
}

impl Stores {
    /// Its dice are its own, so that seeds of before meet what they met.
    pub(crate) fn draw(seed: Seed) -> Self {
        let mut dice = Dice::new(seed.part(0x53));
        let late = dice.chance(500);
        let mut page_dice = Dice::new(seed.part(0x54));
        let pages = late && page_dice.chance(500);
        Self {
            dice,
            late,
            page_dice,
            pages,
            stored: BTreeSet::new(),
            answered: 0,
            read_back: 0,
            disks: Disks::default(),
        }
    }

    /// Hosts have disks.
    pub(crate) fn with_disks(mut self) -> Self {
        // what a restart reads from a disk is not among the pages
        (self.late, self.pages, self.disks.on) = (true, false, true);
        self
    }

    /// Who stores for a shard.
    pub(crate) fn of_shard(&self) -> Store {
        if self.late { Store::Driver } else { Store::Memory }
    }

    /// A queue has stored a message; without late stores nobody can tell.
    pub(crate) fn has(&self, queue: QueueId, message: MessageId) -> bool {
        !self.late || self.stored.contains(&(queue, message))
    }
}

/// A request of a shard, with the messages that it names.
#[derive(Debug)]
struct Waiting {
    answered_at: Instant,
    mark: StoreMark,
    messages: Vec<(QueueId, MessageId)>,
    /// The length of the host's log with it.
    log: usize,
}

/// What one shard handed to its store.
#[derive(Debug)]
pub(crate) struct ShardStore {
    host: HostId,
    waiting: VecDeque<Waiting>,
    /// The highest place of each queue: a real store ends the process that gives it a lower one.
    highest: BTreeMap<QueueId, Position>,
    pages: Pages,
}

impl ShardStore {
    pub(crate) fn new(host: HostId) -> Self {
        Self { host, waiting: VecDeque::new(), highest: BTreeMap::new(), pages: Pages::default() }
    }

    /// The shard hands over a request; it is answered behind all that came before.
    pub(crate) fn take(&mut self, request: &StoreRequest, shard: &Shard, now: Instant, stores: &mut Stores) {
        if stores.pages {
            self.pages.take(request, shard);
        }
        for forgotten in &request.forgotten {
            self.highest.remove(forgotten);
        }
        for append in &request.appends {
            let before = self.highest.insert(append.queue, append.position);
            assert!(before < Some(append.position), "{append:?} is not behind {before:?}");
        }
        let log = if stores.disks.on { stores.disks.take(self.host, request, shard) } else { 0 };
        if request.appends.is_empty() {
            // what leaves a store is waited for by nobody
            return;
        }
        let id = |message| match shard.stored_message(message).body {
            leveret_model::Body::Flat(bytes) => body::read(bytes),
            leveret_model::Body::Chunks(chunks) => body::read(&chunks.concat()),
        };
        let appends = request.appends.iter();
        let messages = appends.filter_map(|append| Some((append.queue, id(append.message)?))).collect();
        let before = self.waiting.back().map_or(Instant::ZERO, |last| last.answered_at);
        let at = before.max(now + stores.dice.between(Duration::from_millis(1), Duration::from_millis(50)));
        self.waiting.push_back(Waiting { answered_at: at, mark: request.mark, messages, log });
    }

    /// When the next answer is due.
    pub(crate) fn next_deadline(&self) -> Instant {
        let synced = self.waiting.front().map_or(Instant::FAR, |first| first.answered_at);
        synced.min(self.pages.next_deadline())
    }

    /// Takes what a turn asks for.
    pub(crate) fn ask(&mut self, effects: &mut Effects, now: Instant, stores: &mut Stores) {
        for read in effects.reads.drain(..) {
            self.pages.ask(read, now, &mut stores.page_dice);
        }
    }

    /// Reads are answered; now and then memory is short.
    pub(crate) fn page(&mut self, now: Instant, shard: &mut Shard, stores: &mut Stores) {
        stores.read_back += self.pages.answer(now, shard);
        if stores.pages && now < Instant::ZERO + HEAL_AT && stores.page_dice.chance(100) {
            let bytes = if stores.page_dice.chance(500) { u64::MAX } else { 2_000 };
            shard.page_out(bytes);
        }
    }

    /// The last mark that is synced by now, if there is a new one.
    pub(crate) fn synced(&mut self, now: Instant, stores: &mut Stores) -> Option<StoreMark> {
        let mut synced = None;
        while let Some(Waiting { mark, messages, log, .. }) =
            self.waiting.pop_front_if(|first| first.answered_at <= now)
        {
            if stores.disks.on {
                stores.disks.synced(self.host, log);
            }
            stores.stored.extend(messages);
            stores.answered += 1;
            synced = Some(mark);
        }
        synced
    }
}
