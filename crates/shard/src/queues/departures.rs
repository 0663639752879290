//! Messages that leave a queue of this shard without an acknowledgement: each is counted by its cause, and is
//! dropped or becomes a dead letter.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::QueueId;
use leveret_queue::{Arena, Cause, Departure, Queue};

use super::commit::Commits;
use super::dead_letters::outlet::{Dead, Outlet, bury};
use super::dead_letters::rows::DeadLetters;

/// Messages that left queues of this shard without an acknowledgement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Departed {
    pub(crate) expired: u64,
    pub(crate) over_length: u64,
    pub(crate) returned_too_often: u64,
    pub(crate) rejected: u64,
    /// Never in the queue: it was at its length.
    pub(crate) refused: u64,
    /// Never in the queue: it had another one with the same deduplication header lately.
    pub(crate) duplicates: u64,
}

impl Departed {
    fn count(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::Expired => &mut self.expired,
            Cause::MaxLength => &mut self.over_length,
            Cause::Rejected => &mut self.rejected,
            Cause::DeliveryLimit => &mut self.returned_too_often,
            Cause::Refused => &mut self.refused,
        };
        *counter += 1;
    }
}

/// What leaves queues of this shard without an acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    counts: Departed,
    /// Dead letters since they were taken last, in the order in which they died.
    pub(super) dead: Vec<Dead>,
    /// Those that are on their way.
    pub(super) letters: DeadLetters,
    /// The wall clock, seconds since 1970: when they died.
    pub(super) unix_s: u64,
}

impl Departures {
    pub(crate) fn counts(&self) -> Departed {
        self.counts
    }

    /// A message did not enter a queue, which had it already.
    pub(super) fn drop_duplicate(&mut self) {
        self.counts.duplicates += 1;
    }

    /// Dead letters that some queue does not have yet.
    pub(super) fn letters_under_way(&self) -> impl Iterator<Item = &Dead> {
        self.dead.iter().chain(self.letters.iter())
    }

    /// A message left a queue.
    pub(super) fn leave(
        &mut self,
        (queue, outlet): (QueueId, Option<&mut Box<Outlet>>),
        departure: Departure,
        arena: &mut Arena,
        commits: Option<&mut Commits>,
    ) {
        self.counts.count(departure.cause);
        let Some(mut letter) = bury(outlet, (queue, departure), self.unix_s) else {
            // a refused one has no place, and was never stored
            if let (Some(commits), Some(position)) = (commits, departure.position) {
                commits.left(queue, position, arena.terms(departure.message));
            }
            return arena.release(departure.message);
        };
        // its source keeps it on the disk until all that it goes to have it
        letter.stored_at = departure.position.filter(|_| commits.is_some());
        self.dead.push(letter);
    }

    /// A queue with rules had its turn: what left it is gone.
    #[inline(never)]
    pub(super) fn end_turn(
        &mut self,
        queue: &mut Queue,
        outlet: &mut Option<Box<Outlet>>,
        arena: &mut Arena,
        commits: &mut Commits,
    ) {
        for departure in queue.take_departures() {
            let commits = queue.is_durable().then_some(&mut *commits);
            self.leave((queue.id(), outlet.as_mut()), departure, arena, commits);
        }
    }
}
