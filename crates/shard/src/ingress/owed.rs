//! Publishes that several homes, or a home and its store, owe an answer for.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::Seed;

use crate::queues::{Answered, Publisher};

/// How many answers each of them is still owed.
#[derive(Debug)]
pub(super) struct OwedAnswers {
    left: HashMap<Publisher, u32, FixedState>,
}

impl OwedAnswers {
    pub(super) fn new(seed: Seed) -> Self {
        Self { left: HashMap::with_hasher(FixedState::with_seed(seed.0)) }
    }

    /// So many answers are owed for a publish.
    pub(super) fn owe(&mut self, publisher: Publisher, answers: u32) {
        self.left.insert(publisher, answers);
    }

    /// An answer came: the publisher, and whether all of its queues have the message, once that is known. hot.
    #[inline]
    pub(super) fn settle(&mut self, answered: &Answered) -> Option<(Publisher, bool)> {
        let publisher = answered.publisher?;
        if !answered.shared {
            return Some((publisher, answered.stored));
        }
        // after a nack the others have nothing to say any more
        let left = self.left.get_mut(&publisher)?;
        *left -= 1;
        if answered.stored && *left > 0 {
            return None;
        }
        self.left.remove(&publisher);
        Some((publisher, answered.stored))
    }
}
