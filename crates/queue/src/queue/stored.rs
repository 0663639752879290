//! What a durable queue says to the store of its messages, and how they come back from it after a restart.

use alloc::vec::Vec;
use core::iter;
use core::time::Duration;

use leveret_model::{Instant, MessageRule, MessageState, Position, Terms};

use super::Queue;
use super::entry::QueueEntry;
use crate::MessageRef;

/// A message that was on the disk when the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its place.
    pub position: Position,
    /// The message; the reference becomes the queue's.
    pub message: MessageRef,
    /// Of its body.
    pub body_bytes: u32,
    /// What its header asks for.
    pub terms: Terms,
    /// Time to live that is left; `None`: it does not expire.
    pub left: Option<Duration>,
    /// How often it came back.
    pub returns: u32,
    /// Somebody may have had it.
    pub redelivered: bool,
}

impl Queue {
    /// When a message of these terms expires that joins now; [`Instant::FAR`] for never.
    #[must_use]
    pub fn deadline_of(&self, terms: Terms, now: Instant) -> Instant {
        self.ready.ruled().map_or(Instant::FAR, |ruled| ruled.deadline(terms, now))
    }

    /// How often a ready message came back, in a queue that counts it.
    #[must_use]
    pub fn returns_of(&self, position: Position) -> u32 {
        self.ready.ruled().map_or(0, |ruled| ruled.returns_of(position))
    }

    /// Every message: those that somebody holds or held, then those that were never delivered, by place.
    pub fn entries(&self, now: Instant) -> impl Iterator<Item = QueueEntry> + '_ {
        let loose = self.loose_places().into_iter().filter_map(move |place| self.loose_entry(place, now));
        let behind = move |entry: &QueueEntry| self.next_fresh(Position(entry.position.0 + 1), now);
        loose.chain(iter::successors(self.next_fresh(Position(0), now), behind))
    }

    /// The ready messages with their places, in no order that means anything.
    #[must_use]
    pub fn ready_places(&self, now: Instant) -> Vec<(Position, MessageRef)> {
        let ready = self.entries(now).filter(|entry| !matches!(entry.state, MessageState::Held(_)));
        ready.map(|entry| (entry.position, entry.message)).collect()
    }

    /// A new queue gets back what the disk has of it: messages by rising places, and the last place that was
    /// ever given. Gives messages that do not fit: their references stay the caller's.
    #[must_use]
    pub fn restore_stored(
        &mut self,
        mut stored: Vec<StoredEntry>,
        last: Position,
        now: Instant,
    ) -> Vec<MessageRef> {
        // those that may have been delivered were at the front once, and are restored first
        stored.sort_by_key(|entry| (!entry.redelivered, entry.position));
        if let (None, Some(first)) = (self.ready.ruled(), stored.iter().map(|entry| entry.position).min())
            && !is_plain(&stored, last)
        {
            self.restore_ruled(first);
        }
        let mut strange = Vec::new();
        for entry in stored {
            let rule = self.ready.ruled().map(|ruled| MessageRule {
                left: entry.left,
                level: ruled.level_of(entry.terms),
                returns: entry.returns,
            });
            let state = if entry.redelivered { MessageState::Returned } else { MessageState::Fresh };
            let StoredEntry { position, message, body_bytes, .. } = entry;
            let restored = self.restore(QueueEntry { position, message, body_bytes, state, rule }, now);
            strange.extend(restored.is_err().then_some(message));
        }
        // no place that was ever on the disk is given again
        let next = self.restore_next(Position(last.0 + 1));
        debug_assert_eq!(next, Ok(()), "the last place is behind all that were given");
        strange
    }
}

/// The plain row of a queue can hold them: none expires, none has a count of returns to keep for a policy that
/// comes later, and those never delivered have no gap up to the last place, as they have if others between
/// them were acknowledged or not kept.
fn is_plain(stored: &[StoredEntry], last: Position) -> bool {
    let fresh: Vec<u64> =
        stored.iter().filter(|entry| !entry.redelivered).map(|entry| entry.position.0).collect();
    let whole = fresh.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let ends = fresh.last().is_none_or(|end| *end == last.0);
    whole && ends && stored.iter().all(|entry| entry.left.is_none() && entry.returns == 0)
}
