//! The files of the log: the one that is written, those that are full, the next one, and used ones.
//!
//! Invariants: a file is called `log-N` only after its head was synced, so a damaged head is damage and never a
//! file that was not finished; numbers of the log have no gaps, so a segment that somebody removed is missed.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use leveret_model::SplitMix;
use leveret_model::limits::LOG_SPARES_MAX;

use crate::batch::{LOG_DATA_AT, LogHead, LogNumber};
use crate::disk::{DiskAction, DiskDone, DiskError, FileName, Lane, OpId};
use crate::log::LogTerms;
use crate::ops::{Ops, Owner};

/// The segment that batches go to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActiveLog {
    pub(crate) log: LogNumber,
    pub(crate) nonce: u64,
    /// Where the next batch begins.
    pub(crate) end: u64,
    /// Up to here it is on the disk.
    pub(crate) synced: u64,
    bytes: u64,
}

/// A segment that takes no more batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SealedLog {
    pub(crate) log: LogNumber,
    /// Of the file.
    pub(crate) bytes: u64,
    /// Where its last batch ends.
    pub(crate) end: u64,
}

/// The next segment.
#[derive(Clone, Debug)]
enum Next {
    /// Nobody makes it ready; there was no room, or it is not wanted yet.
    Missing,
    /// A file is being made; its head comes then.
    Creating {
        op: OpId,
        file: FileName,
        head: LogHead,
    },
    /// The head is written and synced: the last of these. A failed sync must not be followed by a name.
    Heading {
        file: FileName,
        sync: OpId,
        head: LogHead,
    },
    /// The file gets its name, and the directory is synced: the last of these.
    Naming {
        last: OpId,
        head: LogHead,
    },
    Ready(LogHead),
}

/// How making the next segment ready goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrepareOutcome {
    /// It goes on.
    Continues,
    /// It is ready.
    Ready,
    /// The disk is full: to be tried again when there is room.
    NoSpace,
}

/// The files of the log.
#[derive(Debug)]
pub(crate) struct Segments {
    terms: LogTerms,
    nonces: SplitMix,
    active: Option<ActiveLog>,
    sealed: VecDeque<SealedLog>,
    /// Number and size of used files.
    spares: Vec<(u64, u64)>,
    next: Next,
    /// Bytes that the next segment must have at least, for a large batch.
    wanted_bytes: u64,
    next_number: u64,
    next_spare: u64,
}

impl Segments {
    pub(crate) fn new(
        terms: LogTerms,
        nonces: SplitMix,
        sealed: VecDeque<SealedLog>,
        spares: Vec<(u64, u64)>,
        (next_number, next_spare): (u64, u64),
    ) -> Self {
        Self {
            terms,
            nonces,
            active: None,
            sealed,
            spares,
            next: Next::Missing,
            wanted_bytes: 0,
            next_number,
            next_spare,
        }
    }

    pub(crate) fn active(&self) -> Option<&ActiveLog> {
        self.active.as_ref()
    }

    pub(crate) fn active_mut(&mut self) -> Option<&mut ActiveLog> {
        self.active.as_mut()
    }

    /// Full segments, oldest first.
    pub(crate) fn sealed(&self) -> &VecDeque<SealedLog> {
        &self.sealed
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|sealed| sealed.bytes).sum();
        let spares: u64 = self.spares.iter().map(|(_, bytes)| bytes).sum();
        let next = match &self.next {
            Next::Missing => 0,
            Next::Ready(head)
            | Next::Naming { head, .. }
            | Next::Heading { head, .. }
            | Next::Creating { head, .. } => head.bytes,
        };
        sealed + spares + next + self.active.map_or(0, |active| active.bytes)
    }

    /// Room for a batch in the active segment, the next one becoming active if need be; false if it is not
    /// ready.
    pub(crate) fn make_room(&mut self, batch_bytes: u64) -> bool {
        if self.active.is_some_and(|active| active.end + batch_bytes <= active.bytes) {
            return true;
        }
        self.wanted_bytes = LOG_DATA_AT + batch_bytes;
        let Next::Ready(head) = self.next else { return false };
        self.next = Next::Missing;
        self.seal();
        // one that is too small is passed over: it is empty, and goes with the next checkpoint
        let fits = head.bytes >= self.wanted_bytes;
        self.active = Some(ActiveLog {
            log: head.log,
            nonce: head.nonce,
            end: LOG_DATA_AT,
            synced: LOG_DATA_AT,
            bytes: head.bytes,
        });
        if fits {
            self.wanted_bytes = 0;
        }
        fits
    }

    /// The active segment takes no more batches.
    pub(crate) fn seal(&mut self) {
        if let Some(active) = self.active.take() {
            self.sealed.push_back(SealedLog { log: active.log, bytes: active.bytes, end: active.end });
        }
    }

    fn spare_name(&mut self) -> FileName {
        self.next_spare += 1;
        FileName::Spare(self.next_spare - 1)
    }

    /// Begins to make the next segment ready, unless it is.
    pub(crate) fn prepare(&mut self, ops: &mut Ops) {
        if !matches!(self.next, Next::Missing) {
            return;
        }
        let bytes = self.wanted_bytes.max(self.terms.segment_bytes).next_multiple_of(LOG_DATA_AT);
        let log = LogNumber(self.next_number);
        self.next_number += 1;
        let nonce = self.nonces.next_u64();
        let head = LogHead { store: self.terms.store, log, nonce, bytes };
        if let Some(at) = self.spares.iter().position(|(_, spare_bytes)| *spare_bytes == bytes) {
            let (spare, _) = self.spares.swap_remove(at);
            self.next = write_head(head, FileName::Spare(spare), ops);
            return;
        }
        let file = self.spare_name();
        let create = DiskAction::Create { file: file.clone(), bytes };
        self.next = Next::Creating { op: ops.push(Owner::Log, Lane::Bulk, create), file, head };
    }

    /// An operation of a file of the log is done.
    ///
    /// # Errors
    /// The system's words: the store stops.
    pub(crate) fn on_done(&mut self, done: &DiskDone, ops: &mut Ops) -> Result<PrepareOutcome, String> {
        match (&self.next, &done.result) {
            (Next::Creating { op, .. }, Err(DiskError::NoSpace)) if *op == done.id => {
                self.next = Next::Missing;
                self.next_number -= 1;
                return Ok(PrepareOutcome::NoSpace);
            }
            (_, Err(error)) => return Err(format!("a segment of the log cannot be made: {error}")),
            (Next::Creating { op, file, head }, Ok(_)) if *op == done.id => {
                self.next = write_head(*head, file.clone(), ops);
            }
            (Next::Heading { file, sync, head }, Ok(_)) if *sync == done.id => {
                ops.rename(Owner::Log, file.clone(), FileName::Log(head.log.0));
                let last = ops.push(Owner::Log, Lane::Bulk, DiskAction::SyncDirectory);
                self.next = Next::Naming { last, head: *head };
            }
            (Next::Naming { last, head }, Ok(_)) if *last == done.id => {
                self.next = Next::Ready(*head);
                return Ok(PrepareOutcome::Ready);
            }
            (_, Ok(_)) => {}
        }
        Ok(PrepareOutcome::Continues)
    }

    /// Full segments that nothing needs any more: a few are kept to be used again. The caller made sure of a
    /// snapshot.
    pub(crate) fn recycle(&mut self, unneeded: &[LogNumber], ops: &mut Ops) {
        for log in unneeded {
            let Some(at) = self.sealed.iter().position(|sealed| sealed.log == *log) else { continue };
            let Some(sealed) = self.sealed.remove(at) else { continue };
            if self.spares.len() < LOG_SPARES_MAX && sealed.bytes == self.terms.segment_bytes {
                self.spares.push((self.next_spare, sealed.bytes));
                let spare = self.spare_name();
                ops.rename(Owner::Log, FileName::Log(log.0), spare);
            } else {
                ops.remove(Owner::Log, FileName::Log(log.0));
            }
        }
    }
}

/// Writes the head into a file that nothing needs.
fn write_head(head: LogHead, file: FileName, ops: &mut Ops) -> Next {
    let parts = vec![head.to_bytes()];
    ops.push(Owner::Log, Lane::Bulk, DiskAction::Write { file: file.clone(), offset: 0, parts });
    let sync = ops.push(Owner::Log, Lane::Bulk, DiskAction::Sync { file: file.clone() });
    Next::Heading { file, sync, head }
}
