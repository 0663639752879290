//! The one timer that each queue of this shard has, for everything that it does at a time.
//!
//! Invariant: a queue whose `timer_at` is not [`Instant::FAR`] has one entry, at that time. It is never later
//! than the queue wants ([`Queue::next_deadline`](leveret_queue::Queue::next_deadline)) and may be earlier: a
//! deadline that moves back costs nothing until the timer fires and is set anew.

use alloc::collections::BTreeSet;

use leveret_model::{Instant, QueueHandle};

/// When each queue is due.
#[derive(Debug, Default)]
pub(super) struct QueueTimers(BTreeSet<(Instant, QueueHandle)>);

impl QueueTimers {
    /// Sets a queue's timer to another time. `timer_at` is what the queue keeps of it.
    pub(super) fn set(&mut self, handle: QueueHandle, timer_at: &mut Instant, at: Instant) {
        let before = core::mem::replace(timer_at, at);
        if before < Instant::FAR {
            self.0.remove(&(before, handle));
        }
        if at < Instant::FAR {
            self.0.insert((at, handle));
        }
    }

    pub(super) fn next(&self) -> Option<(Instant, QueueHandle)> {
        self.0.first().copied()
    }
}
