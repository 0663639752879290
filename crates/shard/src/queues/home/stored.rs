//! What a durable queue tells the store beside appends and acknowledgements.

use leveret_model::Position;

use crate::queues::commit::RecoveredQueue;

use super::AtHome;

impl AtHome<'_> {
    /// A delivery went back; a queue with a delivery limit counts that, over restarts too.
    pub(super) fn note_return(&mut self, position: Position) {
        if !self.home.queue.is_durable() || !self.home.queue.is_ruled() {
            return;
        }
        let count = self.home.queue.returns_of(position);
        if count > 0 {
            self.commits.returned(self.id, position, count);
        }
    }

    /// The queue was here before a restart: what the disk has of it is in it again.
    pub(in crate::queues) fn restore_stored(&mut self, recovered: RecoveredQueue) {
        let RecoveredQueue { last, shared_below, entries } = recovered;
        self.home.shared_below = shared_below;
        if entries.iter().any(|entry| self.arena.is_paged_out(entry.message)) {
            self.home.queue.set_paged();
        }
        for message in self.home.queue.restore_stored(entries, last, self.lifetimes.now) {
            self.arena.release(message);
        }
    }

    /// What is ready is about to be dropped.
    pub(super) fn note_purged(&mut self) {
        if !self.home.queue.is_durable() || !self.commits.has_store() {
            return;
        }
        for (position, message) in self.home.queue.ready_places(self.lifetimes.now) {
            self.commits.left(self.id, position, self.arena.terms(message));
        }
    }
}
