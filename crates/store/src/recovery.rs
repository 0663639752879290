//! Recovery: from the files of a directory to a catalog, or to the reason why not.
//!
//! ```text
//!   list ─▶ newest snapshot that can be read ─▶ heads of the log ─▶ replay the log behind the snapshot ─▶ sync it
//! ```
//! Read first: [`Recovery::advance`]. It changes nothing but an empty directory, which gets its first snapshot:
//! what is to be removed is done by the store that is opened, and a refusal leaves everything as it was.
//!
//! Invariants: the same bytes give the same catalog; any bytes give a catalog with reports, or a [`Refusal`],
//! never a panic; what was read is synced before it is served, for it may have been written and never synced.

mod heads;
mod listing;
mod replay;
mod snapshots;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use leveret_model::Seed;

use crate::batch::{BatchNumber, LogNumber, StoreId};
use crate::catalog::Catalog;
use crate::disk::{DiskAction, DiskAnswer, DiskDone, DiskOp, FileName, Lane, OpId};
use crate::index::FileNumber;
use crate::log::SealedLog;
use crate::ops::{Ops, Owner};
use crate::report::{Refusal, Report, Reports};
use crate::snapshot::SnapshotHead;

use self::heads::{Heads, HeadsEvent};
use self::listing::Listing;
use self::replay::{Replay, ReplayEvent};
use self::snapshots::{FirstSnapshot, SnapshotEvent, Snapshots};

/// How a directory is read.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryTerms {
    /// The node that the directory should be of; `None`: any, which is only for looking at it.
    pub store: Option<StoreId>,
    /// For hash maps.
    pub seed: Seed,
    /// A segment of the log, bytes: used ones of another size are not used again.
    pub log_segment_bytes: u64,
}

/// Where the log ended.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    pub(crate) sealed: VecDeque<SealedLog>,
    pub(crate) spares: Vec<(u64, u64)>,
    pub(crate) next_log: u64,
    pub(crate) next_spare: u64,
    pub(crate) next_batch: BatchNumber,
    pub(crate) snapshot: u64,
    pub(crate) snapshot_bytes: u64,
}

/// What a directory contains.
#[derive(Debug)]
pub struct Recovered {
    pub(crate) store: StoreId,
    pub(crate) catalog: Catalog,
    pub(crate) reports: Reports,
    pub(crate) tail: LogTail,
    /// Files that nothing needs.
    pub(crate) unfinished: Vec<FileName>,
    pub(crate) ballast: bool,
    pub(crate) ops: Ops,
    pub(crate) read_only: bool,
}

impl Recovered {
    /// What was found that somebody should know.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.reports.all()
    }

    /// Reports beyond those that are kept word by word.
    #[must_use]
    pub fn reports_beyond(&self) -> u64 {
        self.reports.beyond()
    }
}

#[derive(Debug)]
enum Stage {
    Listing(OpId),
    /// The directory is empty.
    First(FirstSnapshot),
    Snapshots(Snapshots),
    Heads(Heads),
    Replaying(Replay),
    Syncing(Vec<OpId>),
    Done,
}

/// A recovery under way.
#[derive(Debug)]
pub struct Recovery {
    terms: RecoveryTerms,
    read_only: bool,
    ops: Ops,
    stage: Stage,
    listing: Listing,
    reports: Reports,
    catalog: Catalog,
    snapshot: Option<SnapshotHead>,
    tail: LogTail,
    #[cfg(feature = "planted")]
    planted: Option<crate::Planted>,
}

impl Recovery {
    /// Begins. `read_only`: nothing is written, and the result cannot be opened.
    #[must_use]
    pub fn new(terms: RecoveryTerms, read_only: bool) -> Self {
        let mut ops = Ops::default();
        let list = ops.push(Owner::Recovery, Lane::Read, DiskAction::List);
        Self {
            terms,
            read_only: read_only || terms.store.is_none(),
            ops,
            stage: Stage::Listing(list),
            listing: Listing::default(),
            reports: Reports::default(),
            catalog: Catalog::new(terms.seed),
            snapshot: None,
            tail: LogTail::default(),
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// Plants a bug; to be called before anything else.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, bug: crate::Planted) {
        self.planted = Some(bug);
    }

    /// Operations that are to be done.
    pub fn take_ops(&mut self, to: &mut Vec<DiskOp>) {
        self.ops.take(to);
    }

    /// An operation is done; gives the outcome once there is one.
    pub fn advance(&mut self, done: &DiskDone) -> Option<Result<Recovered, Refusal>> {
        match self.step(done) {
            Ok(true) => Some(Ok(self.finish())),
            Ok(false) => None,
            Err(refusal) => {
                self.stage = Stage::Done;
                Some(Err(refusal))
            }
        }
    }

    /// True when all is read.
    fn step(&mut self, done: &DiskDone) -> Result<bool, Refusal> {
        match &mut self.stage {
            Stage::Listing(op) if *op == done.id => {
                match &done.result {
                    Ok(DiskAnswer::Listed(files)) => self.listing = Listing::new(files, &mut self.reports),
                    Ok(_) => {}
                    Err(error) => {
                        let file = FileName::Unknown("the store's directory".to_string());
                        return Err(Refusal::Unreadable { file, error: error.to_string() });
                    }
                }
                self.begin_snapshots()
            }
            Stage::First(first) => {
                if first.on_done(done, &mut self.ops)? {
                    self.tail.snapshot_bytes = first.bytes;
                    return self.finish_tail();
                }
                Ok(false)
            }
            Stage::Snapshots(snapshots) => {
                match snapshots.on_done(done, &self.terms, &mut self.ops, &mut self.reports)? {
                    SnapshotEvent::Continues => Ok(false),
                    SnapshotEvent::Read { head, catalog, bytes } => {
                        (self.snapshot, self.catalog) = (Some(head), *catalog);
                        self.tail.snapshot =
                            self.listing.snapshots.keys().next_back().copied().unwrap_or(head.number);
                        self.tail.snapshot_bytes = bytes;
                        self.begin_heads(head)
                    }
                }
            }
            Stage::Heads(heads) => match heads.on_done(done, &mut self.ops, &mut self.reports)? {
                HeadsEvent::Continues => Ok(false),
                HeadsEvent::Read => self.begin_replay(),
            },
            Stage::Replaying(replay) => {
                let event = replay.on_done(done, &mut self.catalog, &mut self.ops, &mut self.reports);
                self.after_replay(event)
            }
            Stage::Syncing(waits) => {
                if let Some(at) = waits.iter().position(|op| *op == done.id) {
                    waits.swap_remove(at);
                    if let Err(error) = &done.result {
                        let file = FileName::Unknown("the log".to_string());
                        return Err(Refusal::Unreadable { file, error: format!("sync: {error}") });
                    }
                }
                Ok(waits.is_empty())
            }
            Stage::Listing(_) | Stage::Done => Ok(false),
        }
    }

    fn begin_snapshots(&mut self) -> Result<bool, Refusal> {
        if self.listing.is_new() {
            if self.read_only {
                return self.finish_tail();
            }
            let store = self.terms.store.unwrap_or_default();
            self.stage = Stage::First(FirstSnapshot::write(store, &self.catalog, &mut self.ops));
            self.tail.snapshot = 1;
            self.tail.next_batch = BatchNumber(1);
            return Ok(false);
        }
        self.stage = Stage::Snapshots(Snapshots::new(&self.listing, self.read_only, &mut self.ops)?);
        Ok(false)
    }

    fn begin_heads(&mut self, head: SnapshotHead) -> Result<bool, Refusal> {
        self.tail.next_batch = head.next_batch;
        let there = self.listing.logs.contains_key(&head.log);
        if !there && head.log != LogNumber(0) && !head.clean {
            return Err(Refusal::NoLog(FileName::Log(head.log.0)));
        }
        let after: VecDeque<(LogNumber, u64)> =
            self.listing.logs.range(head.log..).map(|(log, bytes)| (*log, *bytes)).collect();
        // each was called so only after the one before it
        let begin = if there { head.log.0 } else { head.log.0 + 1 };
        if let Some((_, missing)) = after.iter().zip(begin..).find(|((log, _), number)| log.0 != *number) {
            return Err(Refusal::NoLog(FileName::Log(missing)));
        }
        let heads = Heads::new(head.store, after, &mut self.ops);
        let none = heads.is_done();
        self.stage = Stage::Heads(heads);
        if none { self.begin_replay() } else { Ok(false) }
    }

    fn begin_replay(&mut self) -> Result<bool, Refusal> {
        let (Stage::Heads(heads), Some(head)) = (&mut self.stage, self.snapshot) else { return Ok(false) };
        let logs = core::mem::take(&mut heads.read);
        let mut replay = Replay::new(logs, &head);
        #[cfg(feature = "planted")]
        {
            replay.planted = self.planted;
        }
        let event = replay.poll(&mut self.catalog, &mut self.ops, &mut self.reports);
        self.stage = Stage::Replaying(replay);
        self.after_replay(event)
    }

    fn after_replay(&mut self, event: ReplayEvent) -> Result<bool, Refusal> {
        let (ReplayEvent::Done, Stage::Replaying(replay)) = (event, &mut self.stage) else {
            return Ok(false);
        };
        self.tail.next_batch = replay.next_batch();
        let ends = core::mem::take(&mut replay.ends);
        for (log, bytes) in &self.listing.logs {
            let read = ends.iter().find(|(of, _)| of == log).map(|(_, end)| *end);
            self.tail.sealed.push_back(SealedLog { log: *log, bytes: *bytes, end: read.unwrap_or(*bytes) });
        }
        self.finish_tail()?;
        if self.read_only || plant!(self, SkipsRecoverySync) {
            return Ok(true);
        }
        let sync = |(log, _): &(LogNumber, u64)| DiskAction::Sync { file: FileName::Log(log.0) };
        let waits: Vec<OpId> =
            ends.iter().map(|end| self.ops.push(Owner::Recovery, Lane::Log, sync(end))).collect();
        let none = waits.is_empty();
        self.stage = Stage::Syncing(waits);
        Ok(none)
    }

    /// Everything is read: what is there and not needed, and what is needed and not there.
    fn finish_tail(&mut self) -> Result<bool, Refusal> {
        self.catalog.recount();
        let used = self.snapshot.map_or(0, |head| head.number);
        let log = self.snapshot.map_or(LogNumber(0), |head| head.log);
        let catalog = &mut self.catalog;
        let last = self.listing.logs.keys().next_back().copied().unwrap_or_default();
        self.tail.next_log = last.max(log).0 + 1;
        self.tail.next_spare = self.listing.spares.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
        for (number, bytes) in &self.listing.spares {
            if *bytes == self.terms.log_segment_bytes {
                self.tail.spares.push((*number, *bytes));
            } else {
                self.listing.unneeded.push(FileName::Spare(*number));
            }
        }
        for number in &self.listing.segments {
            if !catalog.files.contains_key(&FileNumber(*number)) {
                self.reports.add(Report::Unfinished(FileName::Segment(*number)));
                self.listing.unneeded.push(FileName::Segment(*number));
            }
            catalog.next_file = catalog.next_file.max(number + 1);
        }
        for (number, file) in &catalog.files {
            let there = self.listing.segment_bytes(number.0);
            if file.live > 0 && there.is_none_or(|bytes| bytes < file.bytes) {
                self.reports.add(Report::SegmentCut(*number));
            }
            if file.kept {
                self.reports.add(Report::KeptSegment(*number));
            }
        }
        for log in catalog.kept_logs.keys() {
            self.reports.add(Report::KeptLog(*log));
        }
        for (queue, stored) in &catalog.queues {
            if stored.definition.is_none() {
                self.reports.add(Report::NoDefinition(*queue));
            }
        }
        for (queue, ranges) in &catalog.damage {
            for (first, last) in ranges {
                let [first, last] = [*first, *last].map(leveret_model::Position);
                self.reports.add(Report::DamagedMessages { queue: *queue, first, last });
            }
        }
        self.listing.drop_snapshots_before(used);
        Ok(true)
    }

    fn finish(&mut self) -> Recovered {
        self.stage = Stage::Done;
        let store = self.snapshot.map(|head| head.store).or(self.terms.store).unwrap_or_default();
        Recovered {
            store,
            catalog: core::mem::replace(&mut self.catalog, Catalog::new(self.terms.seed)),
            reports: core::mem::take(&mut self.reports),
            tail: core::mem::take(&mut self.tail),
            unfinished: core::mem::take(&mut self.listing.unneeded),
            ballast: self.listing.ballast,
            ops: core::mem::take(&mut self.ops),
            read_only: self.read_only,
        }
    }
}
