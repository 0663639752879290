//! Looking at a directory without changing it: for the tools that check and export.

use alloc::vec::Vec;

use crate::disk::{DiskDone, DiskOp};
use crate::ops::Ops;
use crate::reads::{ReadAnswer, ReadRequest, Reads};
use crate::recovery::Recovered;
use crate::report::Reports;

/// Reads messages of what was recovered.
#[derive(Debug)]
pub struct Inspection {
    recovered: Recovered,
    reads: Reads,
    ops: Ops,
    reports: Reports,
}

impl Inspection {
    /// Of a directory that was recovered, to be opened or only to be looked at.
    #[must_use]
    pub fn new(recovered: Recovered) -> Self {
        Self { recovered, reads: Reads::default(), ops: Ops::default(), reports: Reports::default() }
    }

    /// The contents.
    #[must_use]
    pub fn contents(&self) -> &Recovered {
        &self.recovered
    }

    /// Asks for messages.
    pub fn read(&mut self, request: ReadRequest) {
        self.reads.push(request);
    }

    /// Operations that are to be done: reads, and nothing else.
    pub fn poll(&mut self, to: &mut Vec<DiskOp>) {
        self.reads.poll(&self.recovered.catalog, None, &mut self.ops);
        self.ops.take(to);
    }

    /// An operation is done.
    pub fn on_done(&mut self, done: &DiskDone) {
        let context = (&mut self.ops, &mut self.reports);
        self.reads.on_done(done, &mut self.recovered.catalog, None, context);
    }

    /// Answers that are there.
    pub fn take_answers(&mut self) -> Vec<ReadAnswer> {
        self.reads.take_answers()
    }
}
