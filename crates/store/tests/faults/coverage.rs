//! How often each thing happened.

/// What happened, to show that it happens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) crashes: u64,
    pub(crate) clean_stops: u64,
    pub(crate) fatals: u64,
    pub(crate) moved: u64,
    pub(crate) compacted: u64,
    pub(crate) snapshots: u64,
    pub(crate) torn: u64,
    pub(crate) damaged: u64,
    pub(crate) full: u64,
    pub(crate) read: u64,
    pub(crate) spilled: u64,
    pub(crate) lost_unsynced: u64,
    pub(crate) refused: u64,
}

impl Coverage {
    pub(crate) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.clean_stops += other.clean_stops;
        self.fatals += other.fatals;
        self.moved += other.moved;
        self.compacted += other.compacted;
        self.snapshots += other.snapshots;
        self.torn += other.torn;
        self.damaged += other.damaged;
        self.full += other.full;
        self.read += other.read;
        self.spilled += other.spilled;
        self.lost_unsynced += other.lost_unsynced;
        self.refused += other.refused;
    }
}
