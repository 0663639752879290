//! The ready messages of a queue: those never delivered, in a row, and before them those that came back.
//!
//! Invariant: what came back was at the front once, so every returned place is lower than every fresh one;
//! fresh places are consecutive and end at `next - 1`.

use alloc::collections::{BTreeMap, VecDeque};

use leveret_model::Position;
use leveret_model::limits::TABLE_KEEP_ENTRIES;

use crate::planted::Bug;
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
    pub(super) bug: Bug,
}

impl Ready {
    pub(super) fn new() -> Self {
        let (fresh, returned) = (VecDeque::new(), BTreeMap::new());
        Self { fresh, returned, next: 1, bytes: 0, bug: Bug::default() }
    }

    /// hot.
    #[inline]
    pub(super) fn append(&mut self, entry: Entry) -> Position {
        let position = Position(self.next);
        self.next += 1;
        self.bytes += u64::from(entry.body_bytes);
        self.fresh.push_back(entry);
        position
    }

    /// Takes what [`Ready::first`] shows. hot.
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
        self.bytes += u64::from(entry.body_bytes);
        self.returned.insert(position, entry);
        self.bug.requeued(position, &mut self.returned, &mut self.fresh);
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

    /// After a backlog its row gives memory back; by halves at least, so that it costs less than the filling
    /// did.
    pub(super) fn shrink(&mut self) {
        let capacity = self.fresh.capacity();
        if capacity > TABLE_KEEP_ENTRIES && self.fresh.len() < capacity / 8 {
            self.fresh.shrink_to(capacity / 4);
        }
    }
}
