//! Messages that leave a queue of this shard without an acknowledgement: each is counted by its cause.

use leveret_queue::{Arena, Cause, Queue};

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
    pub(super) fn count(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::Expired => &mut self.expired,
            Cause::MaxLength => &mut self.over_length,
            Cause::Rejected => &mut self.rejected,
            Cause::DeliveryLimit => &mut self.returned_too_often,
            Cause::Refused => &mut self.refused,
        };
        *counter += 1;
    }

    /// A queue with rules had its turn: what left it is gone.
    #[inline(never)]
    pub(super) fn end_turn(&mut self, queue: &mut Queue, arena: &mut Arena) {
        for departure in queue.take_departures() {
            self.count(departure.cause);
            arena.release(departure.message);
        }
    }
}
