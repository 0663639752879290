//! Publishers that wait because memory is short.
//!
//! In three stages ([`Pressure`]). When memory is tight, a client that publishes to a long queue waits until
//! that queue is short again or memory is not tight: a flood ends before it is anybody else's, and those whose
//! messages are consumed go on. When memory is full every queue counts as long, and every publisher waits. When
//! it is over, a client that publishes all the same is closed sooner. Which queues throttle is decided by their
//! home (`queues/throttle.rs`).
//!
//! A connection that waits is not read. While it holds deliveries it is read a little, because its acks make
//! room; it may publish so meanwhile, up to a bound.
//!
//! Invariants: a connection with `waits_for` has been told connection.blocked if it can take it; a handle in
//! `waits_for` whose queue does not throttle is gone at the end of the turn.

mod throttle;

use leveret_queue::{OutLane, Queue};

use crate::bounds::Long;

pub(crate) use self::throttle::Throttled;

/// How short the node is of memory for messages, or of disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Everyone publishes.
    #[default]
    Calm,
    /// Publishers of long queues wait.
    Tight,
    /// The disk is nearly full, memory is not: all publishers wait.
    Disk,
    /// All publishers wait.
    Full,
    /// And it grows all the same: who publishes on while it waits is closed sooner.
    Over,
}

impl Pressure {
    /// Do publishers of this queue wait? hot.
    #[inline]
    pub(crate) fn finds_long(self, queue: &Queue, long: &Long) -> bool {
        match self {
            Self::Calm => false,
            Self::Tight => is_long(queue, long, 1),
            Self::Disk | Self::Full | Self::Over => true,
        }
    }

    /// Do publishers wait for what is on its way to a queue elsewhere? hot.
    #[inline]
    pub(crate) fn finds_full<T>(self, lane: &OutLane<T>, long: &Long) -> bool {
        self != Self::Calm && is_full(lane, long, 1)
    }

    /// Do they still, once they do? Half of what made the queue long.
    pub(crate) fn still_finds_long(self, queue: &Queue, long: &Long) -> bool {
        match self {
            Self::Calm => false,
            Self::Tight => is_long(queue, long, 2),
            Self::Disk | Self::Full | Self::Over => true,
        }
    }

    /// The same of a lane.
    pub(crate) fn still_finds_full<T>(self, lane: &OutLane<T>, long: &Long) -> bool {
        self != Self::Calm && is_full(lane, long, 2)
    }
}

/// Longer than a part of the bounds. What consumers hold counts too.
#[cold]
fn is_long(queue: &Queue, long: &Long, part: u64) -> bool {
    queue.ready_bytes() >= long.bytes / part
        || queue.unacked_bytes() >= long.unacked_bytes / part
        || queue.ready() + queue.unacked() >= long.messages / part
}

fn is_full<T>(lane: &OutLane<T>, long: &Long, part: u64) -> bool {
    lane.bytes() >= long.bytes / part || lane.len() as u64 >= long.messages / part
}
