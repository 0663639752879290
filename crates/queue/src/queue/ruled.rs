//! The ready messages of a queue with rules: priorities, deadlines, lengths, returns.
//!
//! Read first: [`Ruled::append`] and [`Ruled::take_first`]. A queue without rules has none of this, until a
//! message with an `expiration` comes to it; what was there before stays in the plain row of
//! [`Ready`](super::ready::Ready), ahead of everything here, and the queue is plain again once all is gone.
//!
//! Invariants:
//! - *level*: messages of a higher level go first; within one the lowest place, returned ones before fresh.
//! - *head*: a message leaves by its deadline, or by the queue's length, only from the head of its level
//!   (RabbitMQ: a message behind a longer-lived one stays, and counts).
//! - *deadline*: it is fixed at the append; neither a delivery nor a return changes it.

mod paging;
mod stored;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::limits::TABLE_KEEP_ENTRIES;
use leveret_model::settings::Overflow;
use leveret_model::{Instant, MessageRule, Position, Seed, Terms};

use super::entry::{Entry, OutOfPlace};
use super::kept::Kept;
use super::room::LookedAt;
use super::rules::{Cause, Departure, Rules};
use crate::Arena;

/// A ready message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) position: Position,
    pub(super) entry: Entry,
    kept: Kept,
    pub(super) redelivered: bool,
}

#[derive(Debug, Default)]
struct Level {
    fresh: VecDeque<Item>,
    returned: BTreeMap<Position, Item>,
    /// What of `fresh` was looked at to be paged out.
    looked_at: LookedAt,
}

impl Level {
    fn first(&self) -> Option<&Item> {
        self.returned.first_key_value().map(|(_, item)| item).or_else(|| self.fresh.front())
    }

    fn take_first(&mut self) -> Option<Item> {
        self.returned.pop_first().map(|(_, item)| item).or_else(|| self.fresh.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.returned.is_empty() && self.fresh.is_empty()
    }

    fn shrink(&mut self) {
        let capacity = self.fresh.capacity();
        if capacity > TABLE_KEEP_ENTRIES && self.fresh.len() < capacity / 8 {
            self.fresh.shrink_to(capacity / 4);
        }
    }
}

/// Ready messages under rules.
#[derive(Debug)]
pub(super) struct Ruled {
    rules: Rules,
    /// Its places begin here; lower ones are of the plain row.
    from: Position,
    next: u64,
    /// By level, as many as were needed so far.
    levels: Vec<Level>,
    /// A bit for each level that has messages.
    occupied: [u64; 4],
    len: u64,
    bytes: u64,
    /// Of delivered messages; those that are [`Kept::PLAIN`] have no entry.
    held: HashMap<Position, Kept, FixedState>,
    departures: Vec<Departure>,
    /// Something changed since the last [`Ruled::end`]: the queue is to have a turn.
    pub(super) touched: bool,
}

impl Ruled {
    pub(super) fn new(rules: Rules, next: u64, seed: Seed) -> Self {
        Self {
            rules,
            from: Position(next),
            next,
            levels: Vec::new(),
            occupied: [0; 4],
            len: 0,
            bytes: 0,
            held: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            departures: Vec::new(),
            touched: false,
        }
    }

    /// The place belongs here, not to the plain row.
    pub(super) fn owns(&self, position: Position) -> bool {
        position >= self.from
    }

    /// The next free place, if the queue can do without this: it has no rules, and nothing here is ready, held
    /// or about to leave.
    pub(super) fn next_if_spare(&self) -> Option<u64> {
        let idle = self.len == 0 && self.held.is_empty() && self.departures.is_empty();
        (idle && self.rules == Rules::default()).then_some(self.next)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The rules are others now. Messages keep their deadlines and levels (RabbitMQ: a policy's message-ttl
    /// does not touch what is queued); the length is enforced in the next turn.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        self.touched = true;
    }

    /// A queue with so many ready messages and bytes drops its first.
    pub(super) fn drops_head(&self, messages: u64, bytes: u64) -> bool {
        self.rules.overflow == Overflow::DropHead && self.rules.is_over(messages, bytes)
    }

    /// A message of the plain row leaves, because the queue is over its length.
    pub(super) fn drop_plain(&mut self, position: Position, entry: Entry) {
        self.leave(Some(position), entry, Cause::MaxLength);
    }

    /// Would a queue of this length refuse so many bytes more? `could_take` says how many of so many messages
    /// the consumers are about to take (RabbitMQ hands a publish to a waiting consumer before it counts).
    pub(super) fn refuses(
        &self,
        (len, bytes): (u64, u64),
        body_bytes: u32,
        could_take: impl FnOnce(u64) -> u64,
    ) -> bool {
        let more_bytes = u64::from(body_bytes);
        if self.rules.overflow == Overflow::DropHead || !self.rules.is_over(len + 1, bytes + more_bytes) {
            return false;
        }
        if self.rules.takes_none() {
            return true;
        }
        let Some(left) = len.checked_sub(could_take(len + 1)) else { return false };
        // as if all were of one size
        let left_bytes = (u128::from(bytes) * u128::from(left) / u128::from(len.max(1))) as u64;
        self.rules.is_over(left + 1, left_bytes + more_bytes)
    }

    /// A message is not taken.
    pub(super) fn refuse(&mut self, entry: Entry) {
        let cause = match self.rules.overflow {
            Overflow::RejectPublishDeadLetter => Cause::MaxLength,
            Overflow::DropHead | Overflow::RejectPublish => Cause::Refused,
        };
        self.leave(None, entry, cause);
    }

    fn leave(&mut self, position: Option<Position>, entry: Entry, cause: Cause) {
        self.touched = true;
        self.departures.push(Departure { message: entry.message, position, cause });
    }

    /// A message joins the end of its level.
    pub(super) fn append(&mut self, entry: Entry, terms: Terms, now: Instant) -> Position {
        let position = Position(self.next);
        self.next += 1;
        let kept =
            Kept { deadline: self.rules.deadline(terms, now), level: self.rules.level(terms), returns: 0 };
        let item = Item { position, entry, kept, redelivered: false };
        self.count(&item);
        self.level(kept.level).fresh.push_back(item);
        position
    }

    /// A delivered message comes back to its place, unless it came back too often.
    pub(super) fn put_back(&mut self, position: Position, entry: Entry) {
        let mut kept = self.held.remove(&position).unwrap_or(Kept::PLAIN);
        if self.rules.counts_returns() {
            kept.returns += 1;
        }
        if self.rules.is_spent(kept.returns) {
            return self.leave(Some(position), entry, Cause::DeliveryLimit);
        }
        let item = Item { position, entry, kept, redelivered: true };
        self.count(&item);
        self.level(kept.level).returned.insert(position, item);
    }

    /// The message that goes next.
    pub(super) fn first(&self) -> Option<&Item> {
        self.levels[self.highest()?].first()
    }

    /// The oldest of each level.
    pub(super) fn heads(&self) -> impl Iterator<Item = Entry> + '_ {
        self.levels.iter().filter_map(|level| level.first().map(|item| item.entry))
    }

    /// Takes what [`Ruled::first`] shows, which is delivered: the consumer is to settle it if it is `held`.
    pub(super) fn take_first(&mut self, held: bool) -> Option<Item> {
        let item = self.pop(self.highest()?)?;
        if held && item.kept != Kept::PLAIN {
            self.held.insert(item.position, item.kept);
        }
        Some(item)
    }

    /// A delivered message left for good.
    pub(super) fn forget(&mut self, position: Position) {
        if !self.held.is_empty() {
            self.held.remove(&position);
        }
    }

    /// The first message's time ended before now.
    pub(super) fn is_first_late(&self, now: Instant) -> bool {
        self.first().is_some_and(|item| item.kept.deadline < now)
    }

    /// The first message leaves, for `cause`.
    pub(super) fn drop_first(&mut self, cause: Cause) {
        if let Some(item) = self.highest().and_then(|level| self.pop(level)) {
            self.leave(Some(item.position), item.entry, cause);
        }
    }

    /// What stands at a head with its time ended leaves, then what is over the queue's length: up to `most`
    /// messages. Gives how many left.
    pub(super) fn enforce(&mut self, now: Instant, most: usize) -> usize {
        let mut left = most;
        for level in 0..self.levels.len() {
            while left > 0 && self.levels[level].first().is_some_and(|item| item.kept.deadline <= now) {
                if let Some(item) = self.pop(level) {
                    self.leave(Some(item.position), item.entry, Cause::Expired);
                }
                left -= 1;
            }
        }
        while left > 0 && self.drops_head(self.len, self.bytes) {
            self.drop_first(Cause::MaxLength);
            left -= 1;
        }
        most - left
    }

    /// When the next message at a head expires.
    pub(super) fn next_deadline(&self) -> Instant {
        let heads = self.levels.iter().filter_map(Level::first);
        heads.map(|item| item.kept.deadline).min().unwrap_or(Instant::FAR)
    }

    /// Where its places begin, and the next one.
    pub(super) fn span(&self) -> (Position, Position) {
        (self.from, Position(self.next))
    }

    /// Those that came back.
    pub(super) fn returned_places(&self) -> impl Iterator<Item = Position> {
        self.levels.iter().flat_map(|level| level.returned.keys().copied())
    }

    /// One that came back.
    pub(super) fn returned_at(&self, position: Position, now: Instant) -> Option<(Entry, MessageRule)> {
        let item = self.levels.iter().find_map(|level| level.returned.get(&position))?;
        Some((item.entry, item.kept.rule(now)))
    }

    /// The first from that place on that was never delivered, whatever its level.
    pub(super) fn fresh_from(&self, from: Position, now: Instant) -> Option<(Position, Entry, MessageRule)> {
        let first = |level: &Level| {
            let at = level.fresh.partition_point(|item| item.position < from);
            level.fresh.get(at).copied()
        };
        let item = self.levels.iter().filter_map(first).min_by_key(|item| item.position)?;
        Some((item.position, item.entry, item.kept.rule(now)))
    }

    /// A message of the queue's old home, ready.
    pub(super) fn restore(
        &mut self,
        (position, entry): (Position, Entry),
        rule: MessageRule,
        redelivered: bool,
        now: Instant,
    ) -> Result<(), OutOfPlace> {
        let item = Item { position, entry, kept: Kept::of(rule, now), redelivered };
        let level = self.level(rule.level);
        let fits = if redelivered {
            !level.returned.contains_key(&position)
        } else {
            level.fresh.back().is_none_or(|last| last.position < position)
        };
        if !fits {
            return Err(OutOfPlace(position));
        }
        if redelivered {
            level.returned.insert(position, item);
        } else {
            level.fresh.push_back(item);
        }
        self.count(&item);
        Ok(())
    }

    /// What a delivered message of the queue's old home keeps.
    pub(super) fn restore_held(&mut self, position: Position, rule: MessageRule, now: Instant) {
        self.held.insert(position, Kept::of(rule, now));
    }

    /// The place that the next message gets.
    pub(super) fn restore_next(&mut self, next: Position) {
        self.next = next.0;
    }

    /// Every ready message counts as delivered before.
    pub(super) fn return_all(&mut self) {
        for level in &mut self.levels {
            for item in core::mem::take(&mut level.fresh) {
                level.returned.insert(item.position, Item { redelivered: true, ..item });
            }
        }
    }

    pub(super) fn take_departures(&mut self) -> Vec<Departure> {
        core::mem::take(&mut self.departures)
    }

    /// The end of a turn.
    pub(super) fn end(&mut self) {
        self.touched = false;
        self.levels.iter_mut().for_each(Level::shrink);
        if self.held.is_empty() && self.held.capacity() > TABLE_KEEP_ENTRIES {
            self.held.shrink_to(0);
        }
    }

    /// Drops what is ready; what is delivered stays known.
    pub(super) fn clear(&mut self, arena: &mut Arena) {
        for level in core::mem::take(&mut self.levels) {
            for item in level.returned.values().chain(&level.fresh) {
                arena.release(item.entry.message);
            }
        }
        (self.occupied, self.len, self.bytes) = ([0; 4], 0, 0);
    }

    /// The queue is deleted: what was about to leave is nobody's business any more.
    pub(super) fn drop_departures(&mut self, arena: &mut Arena) {
        for departure in self.take_departures() {
            arena.release(departure.message);
        }
        self.held.clear();
    }

    fn count(&mut self, item: &Item) {
        self.len += 1;
        self.bytes += u64::from(item.entry.body_bytes);
        self.occupied[usize::from(item.kept.level / 64)] |= 1 << (item.kept.level % 64);
        self.touched = true;
    }

    fn level(&mut self, level: u8) -> &mut Level {
        let at = usize::from(level);
        if self.levels.len() <= at {
            self.levels.resize_with(at + 1, Level::default);
        }
        &mut self.levels[at]
    }

    /// The highest level that has messages.
    fn highest(&self) -> Option<usize> {
        let (word, bits) = self.occupied.iter().enumerate().rev().find(|(_, bits)| **bits != 0)?;
        Some(word * 64 + bits.ilog2() as usize)
    }

    fn pop(&mut self, level: usize) -> Option<Item> {
        let item = self.levels[level].take_first()?;
        self.len -= 1;
        self.bytes -= u64::from(item.entry.body_bytes);
        if self.levels[level].is_empty() {
            self.occupied[level / 64] &= !(1 << (level % 64));
        }
        self.touched = true;
        Some(item)
    }
}
