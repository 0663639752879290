//! What the sessions of a shard tell of themselves, for `status`.

use leveret_sessions::{Counters, Handover};

/// Sizes and counters of the sessions of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionReport {
    /// RESP connections of the shard.
    pub connections: usize,
    /// Sessions of the whole cluster in the shard's buckets.
    pub sessions: usize,
    /// States that it holds, as home or as replicator.
    pub states: usize,
    /// What these take, bytes.
    pub bytes: u64,
    /// Gone entries.
    pub gone: usize,
    /// Requests that wait for another node.
    pub waiting: usize,
    /// Commands that are none of ours.
    pub unknown_commands: u64,
    /// How far its leave is; nothing while it does not leave.
    pub handover: Handover,
    /// Since the start.
    pub counters: Counters,
}

impl SessionReport {
    /// Adds what another shard tells.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.sessions += other.sessions;
        self.states += other.states;
        self.bytes += other.bytes;
        self.gone += other.gone;
        self.waiting += other.waiting;
        self.unknown_commands += other.unknown_commands;
        self.handover += other.handover;
        self.counters += other.counters;
    }
}
