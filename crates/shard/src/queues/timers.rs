//! The one timer that each queue of this shard has, for everything that it does at a time.
//!
//! Invariant: a queue whose `timer_at` is not [`Instant::FAR`] has one entry, at that time. It is never later
//! than the queue wants ([`Queue::next_deadline`](leveret_queue::Queue::next_deadline)) and may be earlier: a
//! deadline that moves back costs nothing until the timer fires and is set anew.

use alloc::collections::BTreeSet;

use leveret_model::{Instant, QueueHandle, limits};

use super::Queues;

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

    fn next(&self) -> Option<(Instant, QueueHandle)> {
        self.0.first().copied()
    }
}

impl Queues {
    /// When the first queue is to be told the time.
    pub(crate) fn timers_due(&self) -> Instant {
        self.timers.next().map_or(Instant::FAR, |(at, _)| at)
    }

    /// Time passed: each queue that is due is told. What is due beyond a bound stays so for the next turn.
    pub(crate) fn on_time(&mut self) {
        for _ in 0..limits::TIMERS_PER_TURN_MAX {
            let Some((_, handle)) = self.timers.next().filter(|(at, _)| *at <= self.now) else { break };
            // a queue takes its timer with it when it is removed
            let Some(mut home) = self.home(handle) else { break };
            home.on_time();
        }
    }
}
