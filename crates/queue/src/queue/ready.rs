//! The ready messages of a queue: those never delivered, in a row, and before them those that came back.
//!
//! Invariants: what came back was at the front once, so every returned place is lower than every fresh one;
//! fresh places are consecutive and end at `next - 1`. Both are ahead of what is [`Ruled`], and while there is
//! a `Ruled` nothing joins the row.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};

use leveret_model::limits::TABLE_KEEP_ENTRIES;
use leveret_model::{Instant, Position, Seed, Terms};

use super::entry::{Entry, OutOfPlace};
use super::room::{LookedAt, Room};
use super::ruled::Ruled;
use super::rules::Rules;
use crate::Arena;
use crate::planted::Bug;

#[derive(Debug)]
pub(super) struct Ready {
    fresh: VecDeque<Entry>,
    returned: BTreeMap<Position, Entry>,
    next: u64,
    bytes: u64,
    /// What of `fresh` was looked at to be paged out.
    looked_at: LookedAt,
    /// Of a queue with rules, or with messages that expire.
    ruled: Option<Box<Ruled>>,
    pub(super) bug: Bug,
}

impl Ready {
    pub(super) fn new(rules: Option<Rules>, seed: Seed) -> Self {
        Self {
            fresh: VecDeque::new(),
            returned: BTreeMap::new(),
            next: 1,
            bytes: 0,
            looked_at: LookedAt::default(),
            ruled: rules.map(|rules| Box::new(Ruled::new(rules, 1, seed))),
            bug: Bug::default(),
        }
    }

    /// A message of these terms joins the plain row. hot.
    #[inline]
    pub(super) fn is_plain_for(&self, terms: Terms) -> bool {
        self.ruled.is_none() && !terms.expires()
    }

    /// Messages under rules, if there may be any.
    #[inline]
    pub(super) fn ruled(&self) -> Option<&Ruled> {
        self.ruled.as_deref()
    }

    /// The same, to be changed.
    pub(super) fn ruled_mut(&mut self) -> Option<&mut Ruled> {
        self.ruled.as_deref_mut()
    }

    /// Messages under rules that are next in line: nothing of the plain row is ahead of them.
    pub(super) fn ruled_in_front(&mut self) -> Option<&mut Ruled> {
        if self.plain_len() > 0 { None } else { self.ruled.as_deref_mut() }
    }

    /// The rules are others now. What is in the plain row stays there: it keeps its place, has no deadline, and
    /// counts for the length.
    pub(super) fn set_rules(&mut self, rules: Option<Rules>, seed: Seed) {
        match (&mut self.ruled, rules) {
            (Some(ruled), rules) => ruled.set_rules(rules.unwrap_or_default()),
            (None, Some(rules)) => {
                let ruled = self.ruled.insert(Box::new(Ruled::new(rules, self.next, seed)));
                ruled.touched = true;
            }
            (None, None) => {}
        }
    }

    /// What is expired or over the length leaves, as [`Ruled::enforce`] says; of the plain row, which is in
    /// front, what is over the length.
    pub(super) fn enforce(&mut self, now: Instant, most: usize) -> usize {
        let mut left = most;
        while left > 0
            && self.plain_len() > 0
            && let (len, bytes) = (self.len(), self.bytes())
            && let Some(ruled) = self.ruled.as_deref()
            && ruled.drops_head(len, bytes)
            && let Some((position, entry, _)) = self.take_first()
            && let Some(ruled) = self.ruled.as_deref_mut()
        {
            ruled.drop_plain(position, entry);
            left -= 1;
        }
        if let Some(ruled) = self.ruled_in_front() {
            left -= ruled.enforce(now, left);
        }
        self.shrink();
        most - left
    }

    /// One more message of so many bytes would be refused, by [`Ruled::refuses`].
    pub(super) fn refuses(&self, body_bytes: u32, could_take: impl FnOnce(u64) -> u64) -> bool {
        let (len, bytes) = (self.len(), self.bytes());
        self.ruled().is_some_and(|ruled| ruled.refuses((len, bytes), body_bytes, could_take))
    }

    /// A message that is not for the plain row.
    pub(super) fn append_ruled(&mut self, entry: Entry, terms: Terms, now: Instant, seed: Seed) -> Position {
        let next = self.next;
        let ruled = self.ruled.get_or_insert_with(|| Box::new(Ruled::new(Rules::default(), next, seed)));
        ruled.append(entry, terms, now)
    }

    /// The end of a turn: a queue whose last message with a deadline is gone is plain again.
    pub(super) fn end_ruled(&mut self) {
        let Some(ruled) = &mut self.ruled else { return };
        ruled.end();
        if let Some(next) = ruled.next_if_spare().filter(|_| self.fresh.is_empty()) {
            self.next = next;
            self.ruled = None;
        }
    }

    /// hot.
    #[inline]
    pub(super) fn append(&mut self, entry: Entry) -> Position {
        debug_assert!(self.ruled.is_none(), "what joins the row would overtake what is ruled");
        let position = Position(self.next);
        self.next += 1;
        self.bytes += u64::from(entry.body_bytes);
        self.fresh.push_back(entry);
        position
    }

    /// Takes what [`Ready::first`] shows, of the plain row. hot.
    pub(super) fn take_first(&mut self) -> Option<(Position, Entry, bool)> {
        let first = self.first();
        if let Some((_, entry, returned)) = first {
            self.bytes -= u64::from(entry.body_bytes);
            if returned {
                self.returned.pop_first();
            } else {
                self.fresh.pop_front();
            }
        }
        first
    }

    /// The message with the lowest place, and whether it came back. hot.
    pub(super) fn first(&self) -> Option<(Position, Entry, bool)> {
        if let Some((position, entry)) = self.returned.first_key_value() {
            return Some((*position, *entry, true));
        }
        self.fresh.front().map(|entry| (self.first_fresh(), *entry, false))
    }

    /// Those never delivered, in order, as far as they lie in one piece; the first has the place
    /// [`Ready::first_fresh`]. hot.
    pub(super) fn fresh(&self) -> &[Entry] {
        self.fresh.as_slices().0
    }

    pub(super) fn first_fresh(&self) -> Position {
        Position(self.next - self.fresh.len() as u64)
    }

    /// Takes the first `count` of [`Ready::fresh`]. hot.
    pub(super) fn drop_fresh(&mut self, count: usize) {
        self.bytes -= self.fresh()[..count].iter().map(|entry| u64::from(entry.body_bytes)).sum::<u64>();
        self.fresh.drain(..count);
    }

    /// Back to its place.
    pub(super) fn put_back(&mut self, position: Position, entry: Entry) {
        if let Some(ruled) = self.ruled.as_deref_mut().filter(|ruled| ruled.owns(position)) {
            return ruled.put_back(position, entry);
        }
        self.bytes += u64::from(entry.body_bytes);
        self.returned.insert(position, entry);
        self.bug.requeued(position, &mut self.returned, &mut self.fresh);
    }

    /// The oldest of each row: one that came back is older than those that never left.
    pub(super) fn heads(&self) -> impl Iterator<Item = Entry> + '_ {
        let plain = self.first().map(|(_, entry, _)| entry);
        plain.into_iter().chain(self.ruled().into_iter().flat_map(Ruled::heads))
    }

    /// Those that came back, in order.
    pub(super) fn returned(&self) -> impl Iterator<Item = (Position, &Entry)> {
        self.returned.iter().map(|(position, entry)| (*position, entry))
    }

    pub(super) fn has_returned(&self, position: Position) -> bool {
        self.returned.contains_key(&position)
    }

    /// One that came back.
    pub(super) fn returned_at(&self, position: Position) -> Option<Entry> {
        self.returned.get(&position).copied()
    }

    /// The first from that place on that was never delivered.
    pub(super) fn fresh_from(&self, from: Position) -> Option<(Position, Entry)> {
        let position = from.max(self.first_fresh());
        let at = position.0 - self.first_fresh().0;
        self.fresh.get(usize::try_from(at).ok()?).map(|entry| (position, *entry))
    }

    pub(super) fn fresh_is_empty(&self) -> bool {
        self.fresh.is_empty()
    }

    /// The place that the next message gets.
    pub(super) fn next(&self) -> Position {
        self.ruled.as_deref().map_or(Position(self.next), |ruled| ruled.span().1)
    }

    /// From this place on messages are under rules; the queue's own hold from the first one.
    pub(super) fn restore_ruled(&mut self, from: Position, seed: Seed) {
        self.ruled.get_or_insert_with(|| Box::new(Ruled::new(Rules::default(), from.0, seed)));
    }

    /// A message that was never delivered, of the queue's old home; the first one says where they begin.
    pub(super) fn restore_fresh(&mut self, position: Position, entry: Entry) -> Result<(), OutOfPlace> {
        let begins = self.fresh.is_empty() && position.0 >= self.next;
        if !begins && position.0 != self.next {
            return Err(OutOfPlace(position));
        }
        self.next = position.0 + 1;
        self.bytes += u64::from(entry.body_bytes);
        self.fresh.push_back(entry);
        Ok(())
    }

    pub(super) fn return_all(&mut self) {
        let first = self.first_fresh().0;
        let fresh = core::mem::take(&mut self.fresh);
        self.returned.extend((first..).map(Position).zip(fresh));
        self.ruled.iter_mut().for_each(|ruled| ruled.return_all());
    }

    /// The place that the next message gets: behind all that is here.
    pub(super) fn restore_next(&mut self, next: Position) -> Result<(), OutOfPlace> {
        if let Some(ruled) = self.ruled.as_deref_mut() {
            ruled.restore_next(next);
            return Ok(());
        }
        let last = self.returned.last_key_value().map_or(0, |(position, _)| position.0);
        let fits = if self.fresh.is_empty() { last < next.0 } else { next.0 == self.next };
        if !fits {
            return Err(OutOfPlace(next));
        }
        self.next = next.0;
        Ok(())
    }

    /// Those of the plain row in the order in which they go, with their places.
    pub(super) fn plain(&self) -> impl Iterator<Item = (Position, Entry)> + '_ {
        let fresh = (self.first_fresh().0..).map(Position).zip(self.fresh.iter().copied());
        self.returned().map(|(position, entry)| (position, *entry)).chain(fresh)
    }

    /// The bytes of messages that were never delivered go, from the back.
    pub(super) fn page_out_fresh(&mut self, room: &mut Room, arena: &mut Arena) {
        let first = self.first_fresh().0;
        let position = |at: usize, _: &Entry| first + at as u64;
        self.looked_at.page_out(&mut self.fresh, (position, |entry| entry), room, arena);
        if let Some(ruled) = self.ruled.as_deref_mut() {
            ruled.page_out_fresh(room, arena);
        }
    }

    /// The bytes of those that came back go.
    pub(super) fn page_out_returned(&mut self, room: &mut Room, arena: &mut Arena) {
        for entry in self.returned.values_mut().rev() {
            if room.is_enough() {
                return;
            }
            room.page_out(entry, arena);
        }
        if let Some(ruled) = self.ruled.as_deref_mut() {
            ruled.page_out_returned(room, arena);
        }
    }

    /// What was paged out is here again up to a place.
    pub(super) fn note_read(&mut self, through: Position) {
        self.looked_at.forget(through);
        if let Some(ruled) = self.ruled.as_deref_mut() {
            ruled.note_read(through);
        }
    }

    pub(super) fn clear(&mut self, arena: &mut Arena) -> u64 {
        let count = self.len();
        for entry in self.returned.values().chain(&self.fresh) {
            arena.release(entry.message);
        }
        self.returned.clear();
        self.fresh.clear();
        self.bytes = 0;
        self.shrink();
        if let Some(ruled) = &mut self.ruled {
            ruled.clear(arena);
        }
        count
    }

    /// hot.
    pub(super) fn len(&self) -> u64 {
        self.plain_len() + self.ruled().map_or(0, Ruled::len)
    }

    /// Of these, the ones in the plain row. hot.
    pub(super) fn plain_len(&self) -> u64 {
        (self.fresh.len() + self.returned.len()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.ruled().map_or(0, Ruled::bytes)
    }

    /// After a backlog its row gives memory back; by halves at least, so that it costs less than the filling
    /// did.
    pub(super) fn shrink(&mut self) {
        let capacity = self.fresh.capacity();
        if capacity > TABLE_KEEP_ENTRIES && self.fresh.len() < capacity / 8 {
            self.fresh.shrink_to(capacity / 4);
        }
    }
}
