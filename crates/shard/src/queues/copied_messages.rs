//! The new home of a queue that is copied: messages that came while the old home serves, and their places.
//!
//! At the freeze the old home lists those that it has still (`MovePart::Listed`), and they join the queue; the
//! others left it meanwhile and are dropped. What a list names and nobody copied, or a place that is copied
//! twice, is nonsense: the new home refuses the move.

use alloc::collections::{BTreeMap, VecDeque};

use leveret_link::record::ListedRun;
use leveret_model::{Instant, MessageRule, Position, StoreMark};
use leveret_queue::{Arena, MessageRef, PageOut, Queue, QueueEntry};

use super::commit::Commits;

/// A message that the old home had.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopiedMessage {
    message: MessageRef,
    body_bytes: u32,
    /// When it expires, and its level: neither changes as long as the queue has it.
    deadline: Instant,
    level: u8,
}

/// All of a queue.
#[derive(Debug, Default)]
pub(super) struct CopiedMessages {
    by_place: BTreeMap<Position, CopiedMessage>,
    /// Pieces that are not stored. As many as the old home may have on their way.
    unstored: VecDeque<(u64, StoreMark)>,
    /// Copies came, so the old home knows what a refusal is.
    pub(super) any: bool,
    /// All before this place are paged out, as far as they can be.
    paged_to: Position,
}

impl CopiedMessages {
    /// A message came. If there is one at that place already it is given back.
    pub(super) fn insert(&mut self, place: Position, copy: CopiedMessage) -> Option<MessageRef> {
        self.by_place.insert(place, copy).map(|twice| twice.message)
    }

    /// A piece is stored with that mark.
    pub(super) fn wait(&mut self, piece: u64, mark: StoreMark) {
        self.unstored.push_back((piece, mark));
    }

    /// The bytes of copies that are stored go, the first ones first; gives how many are free.
    pub(super) fn page_out(&mut self, wanted: u64, arena: &mut Arena) -> u64 {
        let mut freed = 0;
        for (place, copy) in self.by_place.range_mut(self.paged_to..) {
            if freed >= wanted {
                break;
            }
            match arena.page_out(copy.message) {
                PageOut::Done(message, bytes) => {
                    copy.message = message;
                    freed += bytes;
                }
                PageOut::Stays => {}
                // nor does it have those behind
                PageOut::Unstored => break,
            }
            self.paged_to = *place;
        }
        freed
    }

    /// Takes the message at a place; messages are mostly asked for in the order in which they lie.
    pub(super) fn take(&mut self, place: Position) -> Option<CopiedMessage> {
        match self.by_place.first_entry() {
            Some(first) if *first.key() == place => Some(first.remove()),
            _ => self.by_place.remove(&place),
        }
    }

    /// What is left is not in the queue any more: the store is told of each, because the copies were stored.
    pub(super) fn drop_all(&mut self, queue: &Queue, commits: &mut Commits, arena: &mut Arena) {
        for (place, copy) in core::mem::take(&mut self.by_place) {
            if queue.is_durable() {
                commits.left(queue.id(), place, arena.terms(copy.message));
            }
            arena.release(copy.message);
        }
    }

    /// The last piece that is stored now and was not before.
    pub(super) fn synced(&mut self, through: StoreMark) -> Option<u64> {
        let mut last = None;
        while let Some((piece, _)) = self.unstored.pop_front_if(|(_, mark)| *mark <= through) {
            last = Some(piece);
        }
        last
    }
}

impl CopiedMessage {
    pub(super) fn new(message: MessageRef, body_bytes: u32, rule: Option<MessageRule>, now: Instant) -> Self {
        let left = rule.and_then(|rule| rule.left);
        let deadline = left.map_or(Instant::FAR, |left| now + left);
        Self { message, body_bytes, deadline, level: rule.map_or(0, |rule| rule.level) }
    }

    /// When it expires; [`Instant::FAR`] for never.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn entry(self, position: Position, run: &ListedRun, now: Instant) -> QueueEntry {
        let left = (self.deadline < Instant::FAR).then(|| self.deadline.since(now));
        QueueEntry {
            position,
            message: self.message,
            body_bytes: self.body_bytes,
            state: run.state,
            rule: run.returns.map(|returns| MessageRule { left, level: self.level, returns }),
        }
    }
}
