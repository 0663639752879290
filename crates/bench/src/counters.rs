//! What the publisher thread, the consumer thread and the one that watches them know of each other.
//!
//! Written once per batch, never per message.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use mio::Waker;

/// Unknown yet, or without bound.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// Counters and wishes of one run.
pub(super) struct Counters {
    /// Messages handed to sockets, or about to be.
    pub(super) sent: AtomicU64,
    /// Messages received, copies too.
    pub(super) received: AtomicU64,
    /// How many messages may be sent in all.
    pub(super) limit: AtomicU64,
    /// How many deliveries are to come in all, once that is known.
    pub(super) expected: AtomicU64,
    /// Everyone stops.
    pub(super) abort: AtomicBool,
    /// Deliveries that one message leads to.
    fan: u64,
    /// Published and not received, at most.
    backlog_max: u64,
    publisher_waits: AtomicBool,
    publisher: Waker,
    consumer: Waker,
}

impl Counters {
    pub(super) fn new(fan: u64, backlog_max: u64, publisher: Waker, consumer: Waker) -> Self {
        Self {
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            limit: AtomicU64::new(UNBOUNDED),
            expected: AtomicU64::new(UNBOUNDED),
            abort: AtomicBool::new(false),
            fan,
            backlog_max,
            publisher_waits: AtomicBool::new(false),
            publisher,
            consumer,
        }
    }

    /// How many messages may be sent now, given how many were.
    pub(super) fn room(&self, sent: u64) -> u64 {
        let backlog = sent.saturating_sub(self.received.load(SeqCst) / self.fan);
        self.backlog_max.saturating_sub(backlog).min(self.limit.load(SeqCst).saturating_sub(sent))
    }

    /// The publisher is about to wait for room; true if there is none indeed.
    pub(super) fn publisher_will_wait(&self, sent: u64) -> bool {
        self.publisher_waits.store(true, SeqCst);
        self.room(sent) == 0
    }

    /// The consumer has received so many. Wakes a publisher that waits, when half of the backlog is gone.
    pub(super) fn set_received(&self, received: u64) {
        self.received.store(received, SeqCst);
        if self.publisher_waits.load(SeqCst)
            && self.sent.load(SeqCst).saturating_sub(received / self.fan) <= self.backlog_max / 2
            && self.publisher_waits.swap(false, SeqCst)
        {
            // a lost wake-up costs the publisher one time-out of its poll
            _ = self.publisher.wake();
        }
    }

    /// The publisher may send so many in all.
    pub(super) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, SeqCst);
        _ = self.publisher.wake();
    }

    /// So many deliveries are to come in all.
    pub(super) fn set_expected(&self, expected: u64) {
        self.expected.store(expected, SeqCst);
        _ = self.consumer.wake();
    }

    /// Everyone is to stop.
    pub(super) fn stop(&self) {
        self.abort.store(true, SeqCst);
        _ = self.publisher.wake();
        _ = self.consumer.wake();
    }

    pub(super) fn stopped(&self) -> bool {
        self.abort.load(SeqCst)
    }
}
