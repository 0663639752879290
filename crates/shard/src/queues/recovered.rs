//! Messages that the disk had at the start, on their way into their queues.

use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::{Message, MessageState, Position, QueueId};
use leveret_queue::{Queue, StoredEntry};

use super::Queues;
use crate::effects::StoreRequest;

/// A message of a durable queue, as the disk has it.
#[derive(Clone, Copy, Debug)]
pub struct StoredMessage<'a> {
    /// Its place in the queue.
    pub position: Position,
    /// The message.
    pub message: Message<'a>,
    /// Time to live that is left; `None`: it does not expire.
    pub left: Option<Duration>,
    /// How often it came back, if its queue counts that.
    pub returns: u32,
    /// It may have been delivered.
    pub redelivered: bool,
}

impl Queues {
    /// Keeps messages of a queue until the directory says that it lives here. `last` is the last place that it
    /// ever gave to one that was stored.
    pub(crate) fn recover(&mut self, queue: QueueId, last: Position, messages: &[StoredMessage<'_>]) {
        let within = self.lists.paging.recover_within;
        let mut insert = |message: &Message<'_>| match self.arena.bytes_held() > within {
            true if message.terms.persistent() => self.arena.insert_paged(message),
            _ => self.arena.insert(message, 1),
        };
        let keep = |stored: &StoredMessage<'_>| StoredEntry {
            position: stored.position,
            message: insert(&stored.message),
            body_bytes: stored.message.body.len() as u32,
            terms: stored.message.terms,
            left: stored.left,
            returns: stored.returns,
            redelivered: stored.redelivered,
        };
        let entries: Vec<StoredEntry> = messages.iter().map(keep).collect();
        self.commits.recover(queue, last, entries);
    }

    /// The directory says that the queue is gone: so is what the disk had of it.
    pub(crate) fn forget_recovered(&mut self, queue: QueueId) {
        for entry in self.commits.take_recovered(queue).into_iter().flat_map(|found| found.entries) {
            self.arena.release(entry.message);
        }
    }

    /// Which messages were delivered, for the store.
    pub(crate) fn last_words(&mut self) -> Option<StoreRequest> {
        let Self { places, commits, lifetimes, .. } = self;
        let durable = places.homes().filter(|(_, _, home)| home.queue().is_durable());
        for (_, id, home) in durable {
            let entries = home.queue().entries(lifetimes.now);
            for entry in entries.filter(|entry| entry.state != MessageState::Fresh) {
                commits.returned(id, entry.position, entry.rule.map_or(0, |rule| rule.returns));
            }
        }
        commits.end_turn()
    }

    /// Messages that end with the process: all that the store does not have.
    pub(crate) fn transient(&self) -> u64 {
        let has_store = self.commits.has_store();
        let of_home = |queue: &Queue| {
            if !has_store || !queue.is_durable() {
                return queue.ready() + queue.unacked();
            }
            let all = queue.entries(self.lifetimes.now);
            all.filter(|entry| !self.arena.terms(entry.message).persistent()).count() as u64
        };
        // a letter of a durable queue is on the disk in its source
        let letters = if has_store { 0 } else { self.dead_letters_waiting() };
        self.at_home().map(|home| of_home(home.queue)).sum::<u64>() + letters
    }
}
