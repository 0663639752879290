//! Deletions that wait for the dead letters of their queue.
//!
//! The store forgets a queue with all that it has of it, letters that some target does not have yet included.
//! So a durable queue that is closed stays in the directory until its letters are out: for a client that
//! deletes it, and when it ends by itself. As for a move, what goes to a target that cannot be reached is not
//! waited for; then it is in memory alone.

use leveret_model::directory::FromShard;
use leveret_model::{QueueId, RequestId};

use super::Queues;
use super::lists::Closing;
use crate::view::ClusterView;

impl Queues {
    /// The queue may go from the disk when it is closed: false if its answer waits.
    pub(crate) fn answer_closed(
        &mut self,
        request: RequestId,
        (queue, ready): (QueueId, u64),
        view: &ClusterView,
    ) -> bool {
        let waits = self.waits_for_letters(queue, view);
        if waits {
            self.lists.closing.push(Closing { request, queue, ready });
        }
        !waits
    }

    /// Queues whose letters are out may go; at the end of a turn.
    #[inline]
    pub(crate) fn end_closing(&mut self, view: &ClusterView) {
        if !self.lists.closing.is_empty() {
            self.end_some_closing(view);
        }
    }

    #[cold]
    fn end_some_closing(&mut self, view: &ClusterView) {
        let mut closing = core::mem::take(&mut self.lists.closing);
        closing.retain(|closed| {
            let waits = self.waits_for_letters(closed.queue, view);
            if !waits {
                let Closing { request, ready, .. } = *closed;
                self.out.moves.push(FromShard::QueueClosed { request, result: Ok(ready) });
            }
            waits
        });
        self.lists.closing = closing;
    }

    /// Letters of a queue here are on their way from the disk. Without a view of the cluster nobody knows where
    /// to, or until when.
    pub(super) fn waits_for_letters(&mut self, queue: QueueId, view: &ClusterView) -> bool {
        if !self.commits.has_store() || !view.has_lease() {
            return false;
        }
        // an exclusive queue is not on the disk, and its client waits
        let stored = self
            .home_of(queue)
            .is_some_and(|home| home.home.queue().is_durable() && home.home.owner.is_none());
        stored && self.sends_letters_of(queue)
    }
}
