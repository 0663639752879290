//! What the time does to a queue, and when it is to be told.
//!
//! The shard keeps one timer for each queue. It asks [`Queue::next_deadline`] whenever a door to the queue
//! closes, and [`Queue::message_deadline`] after each turn of the queue; it calls [`Queue::on_time`] when one of
//! them is due.

use leveret_model::Instant;

use super::Queue;

impl Queue {
    /// When [`Queue::on_time`] has something to do; [`Instant::FAR`] is never. hot.
    #[inline(always)]
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        self.lifetime.deadline()
    }

    /// Time passed. True if the queue is over: the shard closes and deletes it.
    #[must_use]
    pub fn on_time(&mut self, now: Instant) -> bool {
        self.call();
        self.lifetime.is_over(now, self.consumers.subscribed())
    }

    /// A client used the queue: it was declared, also anew, or asked for a message, or its consumers changed.
    /// True if the queue is over because the last of them left.
    #[must_use]
    pub fn on_use(&mut self, now: Instant) -> bool {
        let consumers = self.consumers.subscribed();
        self.lifetime.on_use(now, consumers);
        self.lifetime.is_over(now, consumers)
    }
}
