//! The rounds in which a queue is copied: what the next message is, and whether another round is worth it.
//!
//! Invariant: over all rounds a message comes once.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use leveret_model::{
    Instant, MessageState, MoveAttempt, Position, QueueHandle, QueueId, ShardAddress, limits,
};
use leveret_queue::{Queue, QueueEntry};

use super::copied_places::CopiedPlaces;

/// A queue that is copied.
#[derive(Debug)]
pub(super) struct Copying {
    pub(super) id: QueueId,
    pub(super) handle: QueueHandle,
    pub(super) to: ShardAddress,
    pub(super) attempt: MoveAttempt,
    pub(super) copied: CopiedPlaces,
    /// Rounds so far.
    rounds: u32,
    /// Of this round: loose messages, and where the fresh ones end.
    loose: vec::IntoIter<Position>,
    /// A loose one that was taken, and is to be taken again.
    again: Option<Position>,
    until: Position,
    /// All fresh ones below are copied, or are not fresh any more.
    fresh: Position,
    /// Pieces so far, and the bytes of those that the new home has not taken.
    pub(super) pieces: u64,
    pub(super) on_the_way: VecDeque<u64>,
    /// Little was left, and control was told so.
    pub(super) done: bool,
}

impl Copying {
    pub(super) fn new(id: QueueId, handle: QueueHandle, to: ShardAddress, attempt: MoveAttempt) -> Self {
        Self {
            id,
            handle,
            to,
            attempt,
            copied: CopiedPlaces::default(),
            rounds: 0,
            loose: Vec::new().into_iter(),
            again: None,
            until: Position(0),
            fresh: Position(0),
            pieces: 0,
            on_the_way: VecDeque::new(),
            done: false,
        }
    }

    pub(super) fn is_try(&self, id: QueueId, attempt: MoveAttempt, to: ShardAddress) -> bool {
        self.id == id && self.attempt == attempt && self.to == to
    }

    /// The next message of this round.
    pub(super) fn next(&mut self, queue: &Queue, now: Instant) -> Option<QueueEntry> {
        // one that was settled since the round began is no loose one any more
        for place in self.again.take().into_iter().chain(self.loose.by_ref()) {
            if let Some(entry) = queue.loose_entry(place, now) {
                return Some(entry);
            }
        }
        let entry = queue.next_fresh(self.fresh, now).filter(|entry| entry.position < self.until)?;
        self.fresh = Position(entry.position.0 + 1);
        Some(entry)
    }

    /// What was taken last is taken again the next time.
    pub(super) fn put_back(&mut self, entry: &QueueEntry) {
        if entry.state == MessageState::Fresh {
            self.fresh = entry.position;
        } else {
            self.again = Some(entry.position);
        }
    }

    /// What comes next, one behind the other, for whoever reads ahead.
    pub(super) fn ahead<'a>(
        &'a self,
        queue: &'a Queue,
        now: Instant,
    ) -> impl Iterator<Item = QueueEntry> + 'a {
        let loose = self.again.iter().chain(self.loose.as_slice());
        let loose = loose.filter_map(move |place| queue.loose_entry(*place, now));
        let behind = move |entry: &QueueEntry| queue.next_fresh(Position(entry.position.0 + 1), now);
        let fresh = core::iter::successors(queue.next_fresh(self.fresh, now), behind);
        loose.chain(fresh.take_while(move |entry| entry.position < self.until))
    }

    /// Another round begins, unless so little is left that the queue may freeze.
    pub(super) fn end_round(&mut self, queue: &Queue, now: Instant, freeze_messages: u64) {
        let mut loose = queue.loose_places();
        loose.retain(|place| !self.copied.contains(*place));
        let entries = loose.iter().filter_map(|place| queue.loose_entry(*place, now));
        let mut fresh = self.fresh;
        let tail = core::iter::from_fn(|| {
            let entry = queue.next_fresh(fresh, now)?;
            fresh = Position(entry.position.0 + 1);
            Some(entry)
        });
        let (mut messages, mut bytes) = (0, 0);
        let is_much = entries.chain(tail).any(|entry| {
            messages += 1;
            bytes += u64::from(entry.body_bytes);
            messages > freeze_messages || bytes > limits::FREEZE_BYTES_MAX
        });
        self.done = !is_much || self.rounds >= limits::COPY_ROUNDS_MAX;
        if !self.done {
            self.rounds += 1;
            self.until = queue.next_position();
            self.loose = loose.into_iter();
        }
    }
}
