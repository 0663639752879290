//! Bugs for the tests to find, chosen at run time; compiled in by the feature `planted` alone.

/// A bug of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// "Synced" is said when the write returned.
    SyncedAtWrite,
    /// An error of the log's disk is taken for success.
    IgnoresErrors,
    /// A snapshot gets its name before the log is synced up to it.
    SnapshotBeforeLog,
    /// A file without messages is removed before the acknowledgements are synced.
    RemovesEarly,
    /// Log segments are used again before the snapshot that does without them is on the disk.
    RecyclesEarly,
    /// What a recovery read is served though it was never synced.
    SkipsRecoverySync,
    /// What can be read of a torn batch counts.
    KeepsTorn,
    /// A snapshot's name is given and not synced.
    SkipsDirectorySync,
    /// A read leaves out what is damaged, and does not say so.
    HidesDamage,
    /// A move brings back what was acknowledged meanwhile.
    MovesAcked,
    /// Copies are not synced before the snapshot that names them.
    SkipsSegmentSync,
}
