//! The ready messages of a queue: those never delivered, in a row, and before them those that came back.
//!
//! Invariant: what came back was at the front once, so every returned place is lower than every fresh one; fresh
//! places are consecutive and end at `next - 1`.

use alloc::collections::{BTreeMap, VecDeque};

use leveret_model::Position;
use leveret_model::limits::TABLE_KEEP_ENTRIES;

use crate::{Arena, MessageRef};

/// A message of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) message: MessageRef,
    pub(super) body_bytes: u32,
}

#[derive(Debug)]
pub(super) struct Ready {
    fresh: VecDeque<Entry>,
    returned: BTreeMap<Position, Entry>,
    next: u64,
    bytes: u64,
}

impl Ready {
    pub(super) fn new() -> Self {
        Self { fresh: VecDeque::new(), returned: BTreeMap::new(), next: 1, bytes: 0 }
    }

    /// hot.
    pub(super) fn append(&mut self, entry: Entry) -> Position {
        let position = Position(self.next);
        self.next += 1;
        self.bytes += u64::from(entry.body_bytes);
        self.fresh.push_back(entry);
        position
    }

    /// Takes the message with the lowest place; says whether it came back.
    pub(super) fn take_first(&mut self) -> Option<(Position, Entry, bool)> {
        let position = self.first_fresh();
        let (position, entry, returned) = match self.returned.pop_first() {
            Some((position, entry)) => (position, entry, true),
            None => (position, self.fresh.pop_front()?, false),
        };
        self.bytes -= u64::from(entry.body_bytes);
        Some((position, entry, returned))
    }

    /// The lowest place of those that came back.
    pub(super) fn first_returned(&self) -> Option<(Position, Entry)> {
        self.returned.first_key_value().map(|(position, entry)| (*position, *entry))
    }

    /// Those never delivered, in order, the first of which has the place [`Ready::first_fresh`]. hot.
    pub(super) fn fresh(&self) -> impl Iterator<Item = Entry> + '_ {
        let (front, back) = self.fresh.as_slices();
        front.iter().chain(back).copied()
    }

    pub(super) fn first_fresh(&self) -> Position {
        Position(self.next - self.fresh.len() as u64)
    }

    /// Takes the first `count` of [`Ready::fresh`], whose bodies have so many bytes.
    pub(super) fn drop_fresh(&mut self, count: usize, body_bytes: u64) {
        self.fresh.drain(..count);
        self.bytes -= body_bytes;
    }

    /// Back to its place.
    pub(super) fn put_back(&mut self, position: Position, entry: Entry) {
        self.bytes += u64::from(entry.body_bytes);
        self.returned.insert(position, entry);
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
        count
    }

    pub(super) fn len(&self) -> u64 {
        (self.fresh.len() + self.returned.len()) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// After a backlog its row gives memory back; by halves at least, so that it costs less than the filling did.
    pub(super) fn shrink(&mut self) {
        let capacity = self.fresh.capacity();
        if capacity > TABLE_KEEP_ENTRIES && self.fresh.len() < capacity / 8 {
            self.fresh.shrink_to(capacity / 4);
        }
    }
}
