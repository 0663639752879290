//! Replays the log behind a snapshot. docs/formats/store.md §2 has the table of verdicts that this file
//! follows.
//!
//! Read first: [`Replay::poll`]. The log is read in windows; a batch is looked at as a whole.

mod batches;

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::limits::{LOG_ALIGN_BYTES, RECOVERY_WINDOW_BYTES};

use crate::batch::{BATCH_HEAD_BYTES, BatchHead, BatchNumber, LOG_DATA_AT, LogNumber};
use crate::catalog::{Catalog, KeptReason};
use crate::disk::{DiskDone, FileName, Lane};
use crate::ops::{Ops, Owner};
use crate::report::{Report, Reports};
use crate::snapshot::SnapshotHead;
use crate::window::{WindowEvent, WindowRead};

use super::heads::HeadRead;

use self::batches::Salvage;

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplayEvent {
    Continues,
    Done,
}

/// Where the replay of one segment is.
#[derive(Clone, Copy, Debug)]
enum At {
    /// A batch should begin here.
    Batch(u64),
    /// None does, or it is damaged: is there any behind it? `place` is where it should be, `found` its head if
    /// that is right.
    Looking { place: u64, found: Option<BatchHead>, next: u64 },
}

/// A replay under way.
#[derive(Debug)]
pub(super) struct Replay {
    logs: Vec<HeadRead>,
    /// The segment that is read.
    current: usize,
    at: At,
    expected: BatchNumber,
    window: Option<WindowRead>,
    /// What was read last, and where it lies.
    bytes: Bytes,
    bytes_at: u64,
    /// Where each segment's last batch ends.
    pub(super) ends: Vec<(LogNumber, u64)>,
    #[cfg(feature = "planted")]
    pub(super) planted: Option<crate::Planted>,
}

impl Replay {
    pub(super) fn new(logs: Vec<HeadRead>, snapshot: &SnapshotHead) -> Self {
        let begins_here = logs.first().is_some_and(|first| first.head.log == snapshot.log);
        // behind a clean stop nothing was written to that segment
        let start = match begins_here {
            true if snapshot.clean => u64::MAX,
            true => snapshot.offset.max(LOG_DATA_AT),
            false => LOG_DATA_AT,
        };
        Self {
            logs,
            current: 0,
            at: At::Batch(start),
            expected: snapshot.next_batch,
            window: None,
            bytes: Bytes::new(),
            bytes_at: 0,
            ends: Vec::new(),
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    pub(super) fn next_batch(&self) -> BatchNumber {
        self.expected
    }

    pub(super) fn on_done(
        &mut self,
        done: &DiskDone,
        catalog: &mut Catalog,
        ops: &mut Ops,
        reports: &mut Reports,
    ) -> ReplayEvent {
        let Some(window) = &mut self.window else { return ReplayEvent::Continues };
        let (offset, asked) = (window.offset, window.bytes as usize);
        match window.on_done(done, ops) {
            None | Some(WindowEvent::Continues) => return ReplayEvent::Continues,
            Some(WindowEvent::Read(bytes)) => self.bytes = bytes,
            Some(WindowEvent::Missing) => self.bytes = Bytes::new(),
        }
        self.bytes_at = offset;
        self.window = None;
        if self.bytes.len() < asked {
            // the file is shorter than it was listed
            self.logs[self.current].bytes = offset + self.bytes.len() as u64;
        }
        self.poll(catalog, ops, reports)
    }

    /// Goes on until more bytes are needed.
    pub(super) fn poll(
        &mut self,
        catalog: &mut Catalog,
        ops: &mut Ops,
        reports: &mut Reports,
    ) -> ReplayEvent {
        while let Some(log) = self.logs.get(self.current).copied() {
            let needed = match self.at {
                At::Batch(offset) => self.take_batch(&log, offset, catalog, reports),
                At::Looking { place, found, next } => {
                    self.look_further(&log, (place, found), next, catalog, reports)
                }
            };
            if let Some((offset, bytes)) = needed {
                let bytes = bytes.max(RECOVERY_WINDOW_BYTES.into()).min(log.bytes.saturating_sub(offset));
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let file = FileName::Log(log.head.log.0);
                self.window =
                    Some(WindowRead::start((Owner::Recovery, Lane::Read), file, offset, bytes, ops));
                return ReplayEvent::Continues;
            }
        }
        ReplayEvent::Done
    }

    /// The bytes from `offset` on; fewer at the end of the file, `None` if they are not read yet.
    fn get(&self, log: &HeadRead, offset: u64, bytes: u64) -> Option<Bytes> {
        let end = (offset + bytes).min(log.bytes);
        if offset >= end {
            return Some(Bytes::new());
        }
        if offset < self.bytes_at || end > self.bytes_at + self.bytes.len() as u64 {
            return None;
        }
        let from = (offset - self.bytes_at) as usize;
        Some(self.bytes.slice(from..from + (end - offset) as usize))
    }

    /// Batches of this segment count up to here, not included: those of the next one begin with it.
    fn limit(&self) -> Option<BatchNumber> {
        self.logs[self.current + 1..].iter().find_map(|log| log.first)
    }

    /// A batch that counts, at the front of `bytes`.
    fn head_at(&self, log: &HeadRead, bytes: &[u8], lowest: BatchNumber) -> Option<BatchHead> {
        let limit = self.limit();
        BatchHead::read(bytes, &log.head)
            .filter(|head| head.number >= lowest && limit.is_none_or(|limit| head.number < limit))
    }

    /// Looks at the place of a batch; gives what is needed to do so.
    fn take_batch(
        &mut self,
        log: &HeadRead,
        offset: u64,
        catalog: &mut Catalog,
        reports: &mut Reports,
    ) -> Option<(u64, u64)> {
        if self.limit().is_some_and(|limit| limit <= self.expected) || offset == u64::MAX {
            self.end_log(log, if offset == u64::MAX { log.bytes } else { offset });
            return None;
        }
        let Some(bytes) = self.get(log, offset, BATCH_HEAD_BYTES as u64) else {
            return Some((offset, BATCH_HEAD_BYTES as u64));
        };
        let Some(head) = self.head_at(log, &bytes, self.expected) else {
            self.look(offset, None, offset + LOG_ALIGN_BYTES as u64);
            return None;
        };
        let Some(batch) = self.get(log, offset, head.batch_bytes()) else {
            return Some((offset, head.batch_bytes()));
        };
        let was_synced = self.limit().is_some_and(|limit| limit > head.number) || plant!(self, KeepsTorn);
        if was_synced || batches::is_whole(&batch, &head) {
            self.note_missing(head.number, catalog, log, reports);
            self.apply(log, offset, &head, &batch, catalog, reports);
        } else {
            self.look(offset, Some(head), offset + LOG_ALIGN_BYTES as u64);
        }
        None
    }

    fn look(&mut self, place: u64, found: Option<BatchHead>, next: u64) {
        self.at = At::Looking { place, found, next };
    }

    /// Looks for a later batch: if there is one, what is wrong is damage.
    fn look_further(
        &mut self,
        log: &HeadRead,
        (place, found): (u64, Option<BatchHead>),
        mut next: u64,
        catalog: &mut Catalog,
        reports: &mut Reports,
    ) -> Option<(u64, u64)> {
        let lowest = found.map_or(self.expected, |head| BatchNumber(head.number.0 + 1));
        while next < log.bytes {
            let Some(bytes) = self.get(log, next, BATCH_HEAD_BYTES as u64) else {
                self.look(place, found, next);
                return Some((next, BATCH_HEAD_BYTES as u64));
            };
            if self.head_at(log, &bytes, lowest).is_some() {
                let region = found.map_or(next - place, |head| head.batch_bytes());
                let Some(batch) = self.get(log, place, region) else {
                    self.look(place, found, next);
                    return Some((place, region));
                };
                self.salvage(log, place, found, &batch, catalog, reports);
                self.at = At::Batch(if found.is_some() { place + region } else { next });
                return None;
            }
            next += LOG_ALIGN_BYTES as u64;
        }
        let missing = self.limit().filter(|limit| *limit > self.expected);
        match (found, missing) {
            (Some(head), _) => {
                self.note_missing(head.number, catalog, log, reports);
                let (log, bytes) = (log.head.log, head.batch_bytes());
                reports.add(Report::Torn { log, offset: place, bytes });
            }
            (None, Some(limit)) => self.note_missing(limit, catalog, log, reports),
            (None, None) => {
                let Some(bytes) = self.get(log, place, BATCH_HEAD_BYTES as u64) else {
                    self.look(place, found, next);
                    return Some((place, BATCH_HEAD_BYTES as u64));
                };
                if BatchHead::was_here(&bytes, &log.head) {
                    let bytes = LOG_ALIGN_BYTES as u64;
                    reports.add(Report::Torn { log: log.head.log, offset: place, bytes });
                }
            }
        }
        self.end_log(log, place);
        None
    }

    /// Batches before `number` that should have come.
    fn note_missing(
        &mut self,
        number: BatchNumber,
        catalog: &mut Catalog,
        log: &HeadRead,
        reports: &mut Reports,
    ) {
        if number > self.expected {
            let last = BatchNumber(number.0 - 1);
            reports.add(Report::MissingBatches { first: self.expected, last });
            catalog.kept_logs.insert(log.head.log, KeptReason::Damaged);
            self.expected = number;
        }
    }

    /// Applies a batch, as far as it can be read.
    fn apply(
        &mut self,
        log: &HeadRead,
        offset: u64,
        head: &BatchHead,
        batch: &[u8],
        catalog: &mut Catalog,
        reports: &mut Reports,
    ) {
        catalog.clock = catalog.clock.max(head.clock);
        let end = (BATCH_HEAD_BYTES + head.frames_bytes as usize).min(batch.len());
        let mut salvage = Salvage { log: log.head.log, offset, catalog, reports };
        salvage.frames(&batch[..end], BATCH_HEAD_BYTES);
        if (batch.len() as u64) < head.batch_bytes() {
            salvage.unreadable(end, head.batch_bytes() as usize - end);
        }
        self.expected = BatchNumber(head.number.0 + 1);
        self.at = At::Batch(offset + head.batch_bytes());
    }

    /// Applies what can be read of damaged batches.
    fn salvage(
        &mut self,
        log: &HeadRead,
        place: u64,
        found: Option<BatchHead>,
        batch: &[u8],
        catalog: &mut Catalog,
        reports: &mut Reports,
    ) {
        if let Some(head) = found {
            self.note_missing(head.number, catalog, log, reports);
            self.apply(log, place, &head, batch, catalog, reports);
            return;
        }
        let mut salvage = Salvage { log: log.head.log, offset: place, catalog, reports };
        salvage.unreadable(0, batch.len());
        salvage.whole_frames(batch, BATCH_HEAD_BYTES);
    }

    fn end_log(&mut self, log: &HeadRead, end: u64) {
        self.ends.push((log.head.log, end));
        self.current += 1;
        self.at = At::Batch(LOG_DATA_AT);
        (self.bytes, self.bytes_at) = (Bytes::new(), 0);
    }
}
