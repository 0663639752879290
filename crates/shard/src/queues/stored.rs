//! What goes on when the store has synced: answers, queues that arrive, and queues that are about to leave.

use leveret_model::StoreMark;

use super::Queues;

impl Queues {
    /// The store has synced what it was handed, up to a mark.
    pub(crate) fn on_synced(&mut self, through: StoreMark) {
        self.commits.release(through, &mut self.arena);
        self.lists.paging.has_more = true;
        for answered in self.commits.synced(through) {
            self.out.answered.push(answered);
        }
        self.arriving_synced(through);
        for handle in self.commits.take_lanes() {
            let Some(id) = self.id(handle) else { continue };
            let waits = if let Some(mut home) = self.home(handle) {
                home.lanes_synced(through)
            } else {
                self.frozen(id, |_| true).is_some_and(|mut frozen| frozen.lanes_synced(through))
            };
            if waits {
                self.commits.lanes_wait(handle);
            } else {
                self.begin_sending(handle);
            }
        }
    }
}
