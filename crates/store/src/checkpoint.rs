//! Checkpoints: what is due is moved, a snapshot is written, and only then is anything used again or
//! removed.
//!
//! ```text
//!   due ─▶ move messages ─▶ write drafts ─▶ log synced up to there ─▶ rename ─▶ recycle log segments, remove files
//! ```
//! Read first: [`Checkpoint::poll`]. One is under way at a time; all of it runs in the bulk lane, beside the
//! log.
//!
//! Invariant: a file that the newest snapshot on the disk needs is not touched, unless the log behind that
//! snapshot says that nothing in it is needed, and is synced.

mod due;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::batch::{BatchNumber, LogNumber, StoreId};
use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::disk::{Copy, DiskAction, DiskDone, DiskError, FileName, Lane, OpId};
use crate::index::{Container, FileNumber};
use crate::log::Log;
use crate::mover::{MoveEvent, Moved, Mover};
use crate::ops::{Ops, Owner};
use crate::report::Reports;
use crate::snapshot::{self, SnapshotHead};

#[derive(Debug)]
enum Phase {
    Idle,
    Moving(Box<Mover>),
    /// Drafts are written and synced.
    Writing(Pending),
    /// They get their names.
    Publishing(Pending),
}

/// A snapshot that is not there yet.
#[derive(Debug)]
struct Pending {
    number: u64,
    bytes: u64,
    clean: bool,
    /// Operations that are not answered yet.
    waits: Vec<OpId>,
    /// The log must be synced up to here.
    needs: BatchNumber,
    /// What was copied elsewhere.
    moved: Vec<Container>,
    /// Log segments that this snapshot does not need.
    unneeded: Vec<LogNumber>,
}

/// What others need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckpointEvent {
    Nothing,
    /// The disk is full.
    NoSpace,
    /// The last snapshot of a clean stop is on the disk.
    Closed,
}

/// The state of checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    store: StoreId,
    segment_bytes: u64,
    phase: Phase,
    /// The newest snapshot on the disk, and its size.
    snapshot: u64,
    snapshot_bytes: u64,
    closing: bool,
    /// There was no room; to be tried again when there is.
    stalled: bool,
    /// Files without messages, and the batch that says so.
    emptied: Vec<(FileNumber, BatchNumber)>,
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::Planted>,
}

/// What a checkpoint works with.
pub(crate) struct Parts<'a> {
    pub(crate) catalog: &'a mut Catalog,
    pub(crate) log: &'a mut Log,
    pub(crate) ops: &'a mut Ops,
    pub(crate) reports: &'a mut Reports,
    pub(crate) counters: &'a mut Counters,
}

impl Checkpoint {
    pub(crate) fn new(store: StoreId, segment_bytes: u64, snapshot: u64, snapshot_bytes: u64) -> Self {
        Self {
            store,
            segment_bytes,
            phase: Phase::Idle,
            snapshot,
            snapshot_bytes,
            closing: false,
            stalled: false,
            emptied: Vec::new(),
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// A clean stop: one more snapshot once the log is idle.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// There is more room.
    pub(crate) fn retry(&mut self) {
        self.stalled = false;
    }

    /// Goes on as far as it can.
    pub(crate) fn poll(&mut self, parts: &mut Parts<'_>) {
        self.remove_emptied(parts);
        if let Phase::Idle = self.phase
            && !self.stalled
        {
            self.begin(parts);
        }
        if let Phase::Moving(mover) = &mut self.phase
            && mover.poll(parts.catalog, parts.ops) == MoveEvent::Copied
        {
            self.end_move(parts);
        }
        if let Phase::Writing(pending) = &mut self.phase
            && pending.waits.is_empty()
            && synced_through(parts.log, plant!(self, SnapshotBeforeLog)) >= pending.needs
        {
            let number = pending.number;
            for copy in [Copy::A, Copy::B] {
                let rename = parts.ops.rename(
                    Owner::Checkpoint,
                    FileName::Draft(number, copy),
                    FileName::Snapshot(number, copy),
                );
                pending.waits.push(rename);
            }
            if !plant!(self, SkipsDirectorySync) {
                pending.waits.push(parts.ops.push(Owner::Checkpoint, Lane::Bulk, DiskAction::SyncDirectory));
            }
            let Phase::Writing(pending) = core::mem::replace(&mut self.phase, Phase::Idle) else { return };
            self.phase = Phase::Publishing(pending);
        }
    }

    /// Begins what is due.
    fn begin(&mut self, parts: &mut Parts<'_>) {
        if self.closing {
            if parts.log.is_idle() {
                self.write_snapshot(Vec::new(), true, parts);
            }
            return;
        }
        if let Some(sources) = due::durable(parts.log.segments.sealed(), parts.catalog, self.due_terms()) {
            let some = |source: &Container| match source {
                Container::Log(log) => parts.catalog.in_logs.get(log).is_some_and(|live| *live > 0),
                Container::File(_) => true,
            };
            if sources.iter().any(some) {
                #[allow(unused_mut, reason = "a bug may be planted")]
                let mut mover = Mover::new(Moved::Durable, self.store, sources, parts.catalog);
                #[cfg(feature = "planted")]
                {
                    mover.planted = self.planted;
                }
                self.phase = Phase::Moving(Box::new(mover));
            } else {
                self.write_snapshot(sources, false, parts);
            }
        } else if let Some(sources) = due::spilled(parts.catalog, self.segment_bytes) {
            let mover = Mover::new(Moved::Spilled, self.store, sources, parts.catalog);
            self.phase = Phase::Moving(Box::new(mover));
        }
    }

    fn due_terms(&self) -> due::DueTerms {
        due::DueTerms { segment_bytes: self.segment_bytes, snapshot_bytes: self.snapshot_bytes }
    }

    fn end_move(&mut self, parts: &mut Parts<'_>) {
        let Phase::Moving(mover) = core::mem::replace(&mut self.phase, Phase::Idle) else { return };
        let (messages, bytes) = (mover.messages, mover.bytes);
        let of_log = mover.sources.iter().any(|source| matches!(source, Container::Log(_)));
        if of_log {
            parts.counters.moved_messages += messages;
            parts.counters.moved_bytes += bytes;
        } else {
            parts.counters.compacted_messages += messages;
            parts.counters.compacted_bytes += bytes;
        }
        let moved = mover.moved();
        let sources = mover.finish(parts.catalog, parts.reports);
        match moved {
            Moved::Durable => self.write_snapshot(sources, false, parts),
            // no snapshot names them
            Moved::Spilled => remove_sources(&sources, parts),
        }
    }

    fn write_snapshot(&mut self, moved: Vec<Container>, clean: bool, parts: &mut Parts<'_>) {
        let segments = &parts.log.segments;
        let sealed = segments.sealed().back().map(|sealed| (sealed.log, sealed.end));
        let (log, offset) =
            segments.active().map(|active| (active.log, active.end)).or(sealed).unwrap_or_default();
        let head = SnapshotHead {
            store: self.store,
            number: self.snapshot + 1,
            log,
            offset,
            next_batch: parts.log.next_batch(),
            clean,
        };
        let catalog = &*parts.catalog;
        let is_unneeded = |log: &LogNumber| {
            catalog.in_logs.get(log).is_none_or(|live| *live == 0) && !catalog.kept_logs.contains_key(log)
        };
        let sealed = segments.sealed().iter().map(|sealed| sealed.log);
        let mut unneeded: Vec<LogNumber> =
            sealed.filter(|sealed| *sealed < log && is_unneeded(sealed)).collect();
        let bytes: Bytes = snapshot::encode(&head, parts.catalog).into();
        let mut waits = Vec::new();
        for copy in [Copy::A, Copy::B] {
            let file = FileName::Draft(head.number, copy);
            for action in [
                DiskAction::Create { file: file.clone(), bytes: 0 },
                DiskAction::Write { file: file.clone(), offset: 0, parts: vec![bytes.clone()] },
                DiskAction::Sync { file },
            ] {
                waits.push(parts.ops.push(Owner::Checkpoint, Lane::Bulk, action));
            }
        }
        parts.counters.snapshots += 1;
        parts.counters.snapshot_bytes += 2 * bytes.len() as u64;
        if plant!(self, RecyclesEarly) {
            parts.log.segments.recycle(&unneeded, parts.ops);
            unneeded.clear();
        }
        self.phase = Phase::Writing(Pending {
            number: head.number,
            bytes: bytes.len() as u64,
            clean,
            waits,
            needs: BatchNumber(head.next_batch.0.saturating_sub(1)),
            moved,
            unneeded,
        });
    }

    /// An operation is done.
    ///
    /// # Errors
    /// The system's words: the store stops.
    pub(crate) fn on_done(
        &mut self,
        done: &DiskDone,
        parts: &mut Parts<'_>,
    ) -> Result<CheckpointEvent, String> {
        match &mut self.phase {
            Phase::Idle => {}
            Phase::Moving(mover) => {
                if mover.on_done(done, parts.catalog, parts.ops)? == MoveEvent::NoSpace {
                    let unfinished: Vec<FileName> = mover.written_files().collect();
                    for file in unfinished {
                        parts.ops.remove(Owner::Checkpoint, file);
                    }
                    return Ok(self.stall());
                }
            }
            Phase::Writing(pending) | Phase::Publishing(pending) => {
                let Some(at) = pending.waits.iter().position(|op| *op == done.id) else {
                    return Ok(CheckpointEvent::Nothing);
                };
                pending.waits.swap_remove(at);
                match &done.result {
                    Ok(_) => {}
                    Err(DiskError::NoSpace) if matches!(self.phase, Phase::Writing(_)) => {
                        for copy in [Copy::A, Copy::B] {
                            parts.ops.remove(Owner::Checkpoint, FileName::Draft(self.snapshot + 1, copy));
                        }
                        return Ok(self.stall());
                    }
                    Err(error) => return Err(format!("a snapshot cannot be written: {error}")),
                }
                if let Phase::Publishing(pending) = &self.phase
                    && pending.waits.is_empty()
                {
                    return Ok(self.published(parts));
                }
            }
        }
        Ok(CheckpointEvent::Nothing)
    }

    fn stall(&mut self) -> CheckpointEvent {
        self.phase = Phase::Idle;
        self.stalled = true;
        CheckpointEvent::NoSpace
    }

    /// The snapshot is on the disk: what it does not need may go.
    fn published(&mut self, parts: &mut Parts<'_>) -> CheckpointEvent {
        let Phase::Publishing(pending) = core::mem::replace(&mut self.phase, Phase::Idle) else {
            return CheckpointEvent::Nothing;
        };
        for copy in [Copy::A, Copy::B] {
            if self.snapshot > 0 {
                parts.ops.remove(Owner::Checkpoint, FileName::Snapshot(self.snapshot, copy));
            }
        }
        self.snapshot = pending.number;
        self.snapshot_bytes = pending.bytes;
        remove_sources(&pending.moved, parts);
        parts.log.segments.recycle(&pending.unneeded, parts.ops);
        for log in &pending.unneeded {
            parts.catalog.in_logs.remove(log);
        }
        if pending.clean { CheckpointEvent::Closed } else { CheckpointEvent::Nothing }
    }

    /// Removes files without messages, once the acknowledgements are synced.
    fn remove_emptied(&mut self, parts: &mut Parts<'_>) {
        // a spilled message has no record: the batch before is as good as any
        let said = BatchNumber(parts.log.next_batch().0.saturating_sub(1));
        self.emptied.extend(parts.catalog.emptied.drain(..).map(|file| (file, said)));
        let sources: &[Container] = match &self.phase {
            Phase::Idle => &[],
            Phase::Moving(mover) => &mover.sources,
            Phase::Writing(pending) | Phase::Publishing(pending) => &pending.moved,
        };
        let synced = synced_through(parts.log, plant!(self, RemovesEarly));
        self.emptied.retain(|(number, said)| {
            let Some(file) = parts.catalog.files.get(number).copied() else { return false };
            if file.live > 0 || file.kept {
                return false;
            }
            if *said > synced || file.busy > 0 || sources.contains(&Container::File(*number)) {
                return true;
            }
            parts.catalog.files.remove(number);
            let name = if file.spill { FileName::Spill(number.0) } else { FileName::Segment(number.0) };
            parts.ops.remove(Owner::Checkpoint, name);
            false
        });
    }
}

fn remove_sources(sources: &[Container], parts: &mut Parts<'_>) {
    for source in sources {
        let Container::File(number) = source else { continue };
        let Some(file) = parts.catalog.files.get(number).copied() else { continue };
        if file.kept {
            continue;
        }
        parts.catalog.files.remove(number);
        let name = if file.spill { FileName::Spill(number.0) } else { FileName::Segment(number.0) };
        parts.ops.remove(Owner::Checkpoint, name);
    }
}

/// Up to where the log is synced; a planted bug does not care.
fn synced_through(log: &Log, careless: bool) -> BatchNumber {
    if careless { BatchNumber(u64::MAX) } else { log.synced_batch() }
}
