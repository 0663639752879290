//! The write-ahead log: what gathers, what is written, what is synced. One batch is under way at a time.
//!
//! ```text
//!   append ─▶ waiting turns ─▶ one batch: write, sync ─▶ synced(mark)
//!                                 │ no room: the next segment, made ready beforehand
//! ```
//! Read first: [`Log::poll`]. Group commit needs no tuning: while a sync runs, turns gather; when it returns,
//! all of them go at once. Acknowledgements alone wait up to `limits::LAZY_SYNC_MS` for somebody else's sync.
//!
//! Invariants: batch n + 1 is written after the sync of batch n returned (recovery tells damage from a torn
//! write by it); a record is applied to the catalog when its batch is formed, so the catalog is the end of the
//! last formed batch.

mod segments;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use leveret_model::Instant;
use leveret_model::limits::{LAZY_SYNC_MS, LOG_ALIGN_BYTES, LOG_BATCH_BYTES, LOG_PENDING_BYTES_MAX};

use crate::batch::{self, BatchHead, BatchNumber, LogNumber, StoreId};
use crate::catalog::{Catalog, NotApplied};
use crate::clock::StoreTime;
use crate::counters::Counters;
use crate::disk::{DiskAction, DiskDone, FileName, Lane, OpId};
use crate::frame::{self, Frame, FrameHead};
use crate::ops::{Ops, Owner};
use crate::record::{MessageMeta, Record, kind};
use crate::turn::SealedTurn;

pub(crate) use self::segments::{PrepareOutcome, SealedLog, Segments};

/// How far the log had come when a turn was handed over; rising.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u64);

/// The batch that is being written.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    batch: BatchNumber,
    mark: Mark,
    write: OpId,
    sync: OpId,
    /// Where the next batch of this segment begins.
    end: u64,
}

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogEvent {
    Nothing,
    /// Everything up to the mark is on the disk.
    Synced(Mark),
    /// Making the next segment ready came to this.
    Prepare(PrepareOutcome),
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) segments: Segments,
    waiting: VecDeque<SealedTurn>,
    waiting_bytes: usize,
    /// A waiting turn asked for a sync.
    urgent: bool,
    /// When the oldest waiting turn came, if none is urgent.
    lazy_since: Option<Instant>,
    under_way: Option<UnderWay>,
    appended: Mark,
    synced: Mark,
    /// The number of the next batch.
    next_batch: BatchNumber,
    synced_batch: BatchNumber,
    /// Since when nothing is to be done, while the last batch has no seal behind it.
    idle_since: Option<Instant>,
    /// The last batch is an empty one, which says that those before it were synced.
    sealed: bool,
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::Planted>,
}

impl Log {
    pub(crate) fn new(segments: Segments, next_batch: BatchNumber) -> Self {
        Self {
            segments,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            urgent: false,
            lazy_since: None,
            under_way: None,
            appended: Mark(0),
            synced: Mark(0),
            next_batch,
            synced_batch: BatchNumber(next_batch.0.saturating_sub(1)),
            idle_since: None,
            sealed: true,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// Takes a turn; it is on the disk once the mark is synced. hot.
    pub(crate) fn append(&mut self, turn: SealedTurn, now: Instant) -> Mark {
        self.appended.0 += 1;
        self.waiting_bytes += turn.bytes();
        self.urgent |= turn.urgent();
        self.lazy_since.get_or_insert(now);
        self.waiting.push_back(turn);
        self.appended
    }

    /// True if the shards should hand over no more for now.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting_bytes >= LOG_PENDING_BYTES_MAX
    }

    /// True if nothing waits and nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// The highest mark that was given.
    pub(crate) fn appended(&self) -> Mark {
        self.appended
    }

    pub(crate) fn synced_batch(&self) -> BatchNumber {
        self.synced_batch
    }

    pub(crate) fn next_batch(&self) -> BatchNumber {
        self.next_batch
    }

    /// Nothing that waits may wait any longer.
    pub(crate) fn hurry(&mut self) {
        self.urgent = true;
    }

    /// When [`Log::poll`] has something to do though nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let waits = self.under_way.is_none() && !self.urgent;
        let since = self.lazy_since.or(self.idle_since).filter(|_| waits);
        since.map(|since| since + Duration::from_millis(LAZY_SYNC_MS))
    }

    /// Messages of a segment can be read back up to here.
    pub(crate) fn readable_end(&self, log: LogNumber) -> u64 {
        self.segments.active().filter(|active| active.log == log).map_or(u64::MAX, |active| active.synced)
    }

    /// Forms the next batch, if it is time and there is room for it.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        clock: StoreTime,
        catalog: &mut Catalog,
        ops: &mut Ops,
        counters: &mut Counters,
    ) {
        let due = self.urgent
            || self.waiting_bytes >= LOG_BATCH_BYTES
            || self.deadline().is_some_and(|deadline| deadline <= now);
        if self.under_way.is_some() {
            return;
        }
        if self.waiting.is_empty() && !self.sealed {
            self.idle_since.get_or_insert(now);
        }
        let seals = self.waiting.is_empty() && self.idle_since.is_some();
        if !due || (self.waiting.is_empty() && !seals) {
            return;
        }
        // whole turns: one at least, then as many as fit; none seals what was synced: while the last batch has
        // nothing behind it, damage to it looks like a torn write
        let (mut count, mut frames_bytes) = (0, 0);
        for turn in &self.waiting {
            if count > 0 && frames_bytes + turn.bytes() > LOG_BATCH_BYTES {
                break;
            }
            count += 1;
            frames_bytes += turn.bytes();
        }
        let batch_bytes = batch::batch_bytes(frames_bytes);
        if !self.segments.make_room(batch_bytes) {
            return;
        }
        (self.sealed, self.idle_since) = (count == 0, None);
        let turns: Vec<SealedTurn> = self.waiting.drain(..count).collect();
        self.waiting_bytes -= frames_bytes;
        self.lazy_since = if self.waiting.is_empty() { None } else { Some(now) };
        self.urgent = self.waiting.iter().any(SealedTurn::urgent);
        let mark = Mark(self.appended.0 - self.waiting.len() as u64);
        self.write_batch(turns, frames_bytes, mark, clock, catalog, ops);
        counters.batches += 1;
        counters.logged_bytes += batch_bytes;
    }

    fn write_batch(
        &mut self,
        turns: Vec<SealedTurn>,
        frames_bytes: usize,
        mark: Mark,
        clock: StoreTime,
        catalog: &mut Catalog,
        ops: &mut Ops,
    ) {
        let active = self.segments.active_mut().expect("there is room in a segment");
        catalog.clock = catalog.clock.max(clock);
        let mut head = BatchHead {
            log: active.log,
            nonce: active.nonce,
            number: self.next_batch,
            frames_bytes: frames_bytes as u32,
            frames: 0,
            clock: catalog.clock,
            digest: 0,
        };
        let mut at = active.end as usize + batch::BATCH_HEAD_BYTES;
        for turn in &turns {
            head.frames += turn.frames();
            turn.each_frame(|offset, bytes| {
                head.digest = frame::digest(head.digest, bytes);
                apply_frame(catalog, active.log, (at + offset) as u32, bytes);
            });
            at += turn.bytes();
        }
        let mut parts = Vec::with_capacity(turns.len() + 2);
        parts.push(Bytes::copy_from_slice(&head.to_bytes()));
        for turn in turns {
            turn.parts(&mut parts);
        }
        let pad = head.batch_bytes() as usize - batch::BATCH_HEAD_BYTES - frames_bytes;
        if pad > 0 {
            parts.push(Bytes::from_static(&[0; LOG_ALIGN_BYTES]).slice(..pad));
        }
        let (file, offset) = (FileName::Log(active.log.0), active.end);
        active.end += head.batch_bytes();
        let end = active.end;
        let write = ops.push(Owner::Log, Lane::Log, DiskAction::Write { file: file.clone(), offset, parts });
        let sync = ops.push(Owner::Log, Lane::Log, DiskAction::Sync { file });
        self.under_way = Some(UnderWay { batch: self.next_batch, mark, write, sync, end });
        self.next_batch.0 += 1;
    }

    /// An operation of the log is done.
    ///
    /// # Errors
    /// The system's words: the store stops.
    pub(crate) fn on_done(
        &mut self,
        done: &DiskDone,
        ops: &mut Ops,
    ) -> Result<LogEvent, alloc::string::String> {
        let Some(under_way) = self.under_way.filter(|batch| done.id == batch.write || done.id == batch.sync)
        else {
            return Ok(LogEvent::Prepare(self.segments.on_done(done, ops)?));
        };
        if let Err(error) = &done.result
            && !plant!(self, IgnoresErrors)
        {
            return Err(alloc::format!("the log cannot be written: {error}"));
        }
        if plant!(self, SyncedAtWrite) && done.id == under_way.write {
            return Ok(LogEvent::Synced(under_way.mark));
        }
        if done.id == under_way.write {
            return Ok(LogEvent::Nothing);
        }
        self.under_way = None;
        self.synced = under_way.mark;
        self.synced_batch = under_way.batch;
        if let Some(active) = self.segments.active_mut() {
            active.synced = under_way.end;
        }
        Ok(LogEvent::Synced(under_way.mark))
    }
}

/// Applies a record that was just framed. hot.
fn apply_frame(catalog: &mut Catalog, log: LogNumber, offset: u32, bytes: &[u8]) {
    let Ok((head, meta)) = FrameHead::read(bytes) else { unreachable!("a turn is made of frames") };
    if head.kind == kind::MESSAGE {
        let message = MessageMeta::read(meta).expect("a turn writes what is read here");
        catalog.apply_message(&message, log, offset, |NotApplied::Repeated { queue, position }| {
            panic!("position {} of queue {} does not rise", position.0, queue.ulid)
        });
        return;
    }
    let record = Frame::read(bytes).ok().and_then(|frame| Record::parse(&frame).ok());
    catalog.apply(&record.expect("a turn writes what is read here"));
}

/// Which store a log is of, and what it draws nonces from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogTerms {
    pub(crate) store: StoreId,
    pub(crate) segment_bytes: u64,
}
