//! Messages that join a queue with rules.

use leveret_model::{Stored, Terms};
use leveret_queue::MessageRef;

use super::AtHome;

impl AtHome<'_> {
    /// A message joins a queue with rules, unless it is a duplicate.
    #[inline(never)]
    pub(super) fn append_ruled(
        &mut self,
        message: MessageRef,
        body_bytes: usize,
        terms: Terms,
    ) -> Option<Stored> {
        let now = self.lifetimes.now;
        let duplicates = self.home.duplicates.as_deref();
        let candidate = duplicates.and_then(|all| all.candidate(self.arena.get(message).header, now));
        if let (Some(duplicates), Some(candidate)) = (duplicates, candidate)
            && duplicates.has(candidate, now)
        {
            self.arena.release(message);
            self.departed.drop_duplicate();
            return Some(self.first_stored(terms));
        }
        let expires = self.home.queue.deadline_of(terms, now);
        let position = self.home.queue.append_ruled(message, body_bytes, terms, now)?;
        if let (Some(duplicates), Some(candidate)) = (&mut self.home.duplicates, candidate) {
            duplicates.remember(candidate, &self.lifetimes.remembered);
        }
        Some(self.keep(position, message, terms, expires))
    }

    /// When the publisher of a duplicate hears that the queue has its message: not before that is true of the
    /// first one, which may still be on its way to the disk. Which mark that one has is not kept; it is stored
    /// at the latest with all that was appended so far.
    fn first_stored(&self, terms: Terms) -> Stored {
        if terms.persistent() && self.home.queue.is_durable() {
            self.commits.all_stored()
        } else {
            Stored::Now
        }
    }
}
