//! When queues of this shard are to have a turn although nothing came: a message at a head expires.
//!
//! Invariant: a queue has one entry at most, at its home's `armed`. An entry may be early, because the message
//! that it was for left another way: then the queue has a turn for nothing, and is armed anew.

use alloc::collections::BTreeSet;

use leveret_model::{Instant, QueueHandle};

/// The time of the turn, and what is due later.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// The time of this turn.
    pub(super) now: Instant,
    /// When a publish on some lane has waited for long enough.
    pub(super) lanes: Instant,
    /// Time, then slot and generation of the queue's handle.
    queues: BTreeSet<(Instant, u32, u32)>,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Self { now: Instant::ZERO, lanes: Instant::FAR, queues: BTreeSet::new() }
    }

    /// When [`Deadlines::pop_due`] has something.
    pub(super) fn next(&self) -> Instant {
        self.queues.first().map_or(Instant::FAR, |first| first.0)
    }

    /// A queue is to have a turn at `due`, if it is not to have one before: gives when it is.
    pub(super) fn arm(&mut self, queue: QueueHandle, armed: Instant, due: Instant) -> Instant {
        if due >= armed {
            return armed;
        }
        self.disarm(queue, armed);
        self.queues.insert((due, queue.slot, queue.generation));
        due
    }

    /// A queue is gone.
    pub(super) fn disarm(&mut self, queue: QueueHandle, armed: Instant) {
        if armed != Instant::FAR {
            self.queues.remove(&(armed, queue.slot, queue.generation));
        }
    }

    /// A queue whose time has come; it is not armed any more.
    pub(super) fn pop_due(&mut self) -> Option<QueueHandle> {
        let &(due, slot, generation) = self.queues.first()?;
        if due > self.now {
            return None;
        }
        self.queues.pop_first();
        Some(QueueHandle { slot, generation })
    }
}
