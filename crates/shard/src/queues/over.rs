//! Queues of this shard that end by themselves: with the connection that they are exclusive to, after their
//! last consumer, or because nobody used them.
//!
//! Such a queue closes at once, so that nobody comes in between; then its record is deleted by the control
//! machine, as after a client's `queue.delete` (`requests/endings.rs`).

use alloc::vec::Vec;

use leveret_model::{ConnectionKey, Instant, QueueId, limits};

use super::Queues;
use super::places::{Entry, Place};
use crate::view::ClusterView;

impl Queues {
    /// When the first queue is to be told the time.
    pub(crate) fn timers_due(&self) -> Instant {
        self.lifetimes.timers.next().map_or(Instant::FAR, |(at, _)| at)
    }

    /// Time passed: each queue that is due is told. What is due beyond a bound stays so for the next turn.
    pub(crate) fn on_time(&mut self) {
        let now = self.lifetimes.now;
        for _ in 0..limits::TIMERS_PER_TURN_MAX {
            let Some((_, handle)) = self.lifetimes.timers.next().filter(|(at, _)| *at <= now) else { break };
            // a queue takes its timer with it when it is removed
            let Some(mut home) = self.home(handle) else { break };
            home.on_time();
        }
    }

    /// A connection is over, and its exclusive queues with it.
    pub(crate) fn end_exclusive(&mut self, connection: ConnectionKey) {
        for handle in self.lifetimes.exclusive.of(connection) {
            if let Some(mut home) = self.home(handle) {
                home.end();
            }
        }
    }

    /// Queues that have closed by themselves since the last time, and whose they were alone. Those whose dead
    /// letters are on their way from the disk come later.
    #[inline]
    pub(crate) fn take_over(&mut self, view: &ClusterView) -> Vec<(QueueId, Option<ConnectionKey>)> {
        if self.lifetimes.over.is_empty() { Vec::new() } else { self.take_some_over(view) }
    }

    #[cold]
    fn take_some_over(&mut self, view: &ClusterView) -> Vec<(QueueId, Option<ConnectionKey>)> {
        let mut closed = Vec::new();
        for handle in core::mem::take(&mut self.lifetimes.over) {
            let Some(Entry { id, place: Place::Home(home) }) = self.places.get(handle) else { continue };
            let (id, owner) = (*id, home.owner);
            if self.waits_for_letters(id, view) {
                self.lifetimes.over.push(handle);
            } else {
                closed.push((id, owner));
            }
        }
        closed
    }
}
