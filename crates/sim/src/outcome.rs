//! What a run came to.

use std::time::Duration;

use crate::faults::FaultCounts;
use crate::invariants::Violation;

/// How much happened: a run without traffic proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Publishes.
    pub published: u64,
    /// Confirmed.
    pub confirmed: u64,
    /// Answered with nack.
    pub nacked: u64,
    /// Their channel died first.
    pub unknown: u64,
    /// Returned as unroutable.
    pub returned: u64,
    /// Control frames of a later version that those who live in the end skipped.
    /// Pairs of message and queue that were delivered.
    pub delivered: u64,
    /// Pairs of publish and binding that the conditions of `bindings` held for.
    pub bindings_judged: u64,
    /// Pairs of confirmed message and queue that it was routed to, whose home lived on.
    pub kept_judged: u64,
    /// Messages that came again and whose place was known.
    pub requeues_judged: u64,
    /// How often a bound was met: a window or an output that was full.
    pub bounds_met: u64,
    /// How often a client's kernel took only a part of what was written.
    pub parts_written: u64,
    /// How often a shard that read a socket had a full lane, a connection full of deferred frames, and one full
    /// of messages that it holds.
    pub lanes_full: u64,
    /// See there.
    pub deferrals_full: u64,
    /// See there.
    pub holds_full: u64,
    /// How often a channel came to hold all that it may, so that its consumers pause.
    pub pauses_met: u64,
    /// Events.
    pub events: u64,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Over everything that happened.
    pub hash: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Broken promises; a run stops at the first that is seen before its end.
    pub violations: Vec<Violation>,
    /// Faults.
    pub faults: FaultCounts,
    /// Traffic.
    pub traffic: Traffic,
}
