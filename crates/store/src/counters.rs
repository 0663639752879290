//! What the store counted since it was opened.

/// Counters of one start; all rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Batches written to the log: as many syncs.
    pub batches: u64,
    /// Bytes written to the log, heads and pads included.
    pub logged_bytes: u64,
    /// Messages that outlived their log segment and were written a second time. One that was acknowledged
    /// before its segment was due is never among them.
    pub moved_messages: u64,
    /// Bytes of these.
    pub moved_bytes: u64,
    /// Messages that were written again because the file around them had become sparse.
    pub compacted_messages: u64,
    /// Bytes of these.
    pub compacted_bytes: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Bytes of these, both copies.
    pub snapshot_bytes: u64,
    /// Transient messages written because memory was short.
    pub spilled_messages: u64,
    /// Bytes of these.
    pub spilled_bytes: u64,
    /// Messages read back.
    pub read_messages: u64,
}
