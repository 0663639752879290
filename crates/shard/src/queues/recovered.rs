//! Messages that the disk had at the start, on their way into their queues.

use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::{Message, MessageState, Position, QueueId};
use leveret_queue::{Queue, StoredEntry};

use super::Queues;
use super::dead_letters::outlet::Dead;
use super::places::{Entry, Place};
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
    /// counts as given; another home has had all below `shared_below`.
    pub(crate) fn recover(
        &mut self,
        queue: QueueId,
        (last, shared_below): (Position, Position),
        messages: &[StoredMessage<'_>],
    ) {
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
        self.commits.recover(queue, (last, shared_below), entries);
    }

    /// The directory says that the queue is gone: so is what the disk had of it.
    pub(crate) fn forget_recovered(&mut self, queue: QueueId) {
        for entry in self.commits.take_recovered(queue).into_iter().flat_map(|found| found.entries) {
            self.arena.release(entry.message);
        }
    }

    /// Which messages were delivered, and which places were given, for the store.
    pub(crate) fn last_words(&mut self) -> Option<StoreRequest> {
        let Self { places, commits, lifetimes, out, .. } = self;
        for (_, Entry { id, place }) in places.iter() {
            let (queue, all) = match place {
                Place::Home(home) => (home.queue(), false),
                Place::Away(away) => match &away.leaving {
                    // the next home has taken it, and may have delivered any of them
                    Some(leaving) => (leaving.home.queue(), leaving.is_yielded()),
                    None => continue,
                },
            };
            if !queue.is_durable() {
                continue;
            }
            for entry in queue.entries(lifetimes.now) {
                if all || entry.state != MessageState::Fresh {
                    commits.returned(*id, entry.position, entry.rule.map_or(0, |rule| rule.returns));
                }
            }
            let next = queue.next_position();
            commits.given(*id, Position(next.0.saturating_sub(1)));
        }
        // they come back to their source, where a consumer rejected most of them; how often they came back
        // before that the store knows better
        for letter in out.departed.letters_under_way() {
            if let Some(position) = letter.stored_at {
                commits.returned(letter.queue, position, 0);
            }
        }
        commits.note_recovered();
        commits.end_turn()
    }

    /// Messages that end with the process: all that the store does not have.
    pub(crate) fn transient(&self) -> u64 {
        let queues = self.places.iter().filter_map(|(_, entry)| entry.place.answers_for());
        let letters = self.out.departed.letters_under_way();
        queues.map(|queue| self.transient_in(queue)).sum::<u64>()
            + letters.filter(|letter| !self.is_stored(letter)).count() as u64
    }

    fn transient_in(&self, queue: &Queue) -> u64 {
        if !self.commits.has_store() || !queue.is_durable() {
            return queue.ready() + queue.unacked();
        }
        let all = queue.entries(self.lifetimes.now);
        all.filter(|entry| !self.arena.terms(entry.message).persistent()).count() as u64
    }

    /// A letter is on the disk in its source, for as long as that is here: the store forgets a queue that moved
    /// or was deleted with all that it had.
    fn is_stored(&self, letter: &Dead) -> bool {
        let place = self.places.handle(letter.queue).and_then(|handle| self.places.get(handle));
        self.commits.has_store()
            && letter.stored_at.is_some()
            && self.arena.terms(letter.message).persistent()
            && place.is_some_and(|entry| entry.place.answers_for().is_some())
    }
}
