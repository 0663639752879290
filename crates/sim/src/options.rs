//! How a run is to go.

use std::io::Write;

use crate::planted::Planted;

/// How to run.
#[derive(Default)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// A bug that the run must find.
    pub planted: Planted,
    /// Every second process is of a later version.
    pub later_version: bool,
    /// A host's disk outlives its processes, which are one node then; more of them end.
    pub disks: bool,
    /// Where to write what happens.
    pub trace: Option<Box<dyn Write + Send>>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {} {:?}", self.seed, self.planted)
    }
}
