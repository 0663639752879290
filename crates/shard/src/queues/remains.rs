//! What is left here of queues that other homes serve; `superseded.rs` sends it there.

use alloc::collections::{BTreeMap, VecDeque};

use leveret_model::{Position, QueueId};
use leveret_queue::MessageRef;

use super::publisher::DeadLetterSend;

/// The contents of queues that other homes serve.
#[derive(Debug, Default)]
pub(super) struct Superseded {
    pub(super) by_queue: BTreeMap<QueueId, Remains>,
    /// Messages on their way.
    pub(super) owed: BTreeMap<DeadLetterSend, (QueueId, Remaining)>,
    /// Some may go that could not before.
    pub(super) due: bool,
}

/// What is left of one queue.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// By rising places.
    pub(super) waiting: VecDeque<Remaining>,
    pub(super) under_way: usize,
}

/// A message, with a reference to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remaining {
    pub(super) position: Position,
    pub(super) message: MessageRef,
}

impl Superseded {
    /// Some may go. hot.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    pub(super) fn retry(&mut self) {
        self.due = self.by_queue.values().any(|remains| !remains.waiting.is_empty());
    }
}
