//! The store machine: takes turns, reads and answers of the disk, gives operations and effects.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::limits::{BALLAST_BYTES, LOG_SEGMENT_BYTES, STORE_SEGMENT_BYTES};
use leveret_model::{Instant, Position, QueueId, SplitMix};

use crate::batch::StoreId;
use crate::catalog::Catalog;
use crate::checkpoint::{Checkpoint, CheckpointEvent, Parts};
use crate::clock::{MachineTime, Outage, StoreClock};
use crate::counters::Counters;
use crate::disk::{DiskDone, DiskOp};
use crate::log::{Log, LogEvent, LogTerms, Mark, PrepareOutcome, Segments};
use crate::ops::{self, Ops, Owner};
use crate::reads::{ReadAnswer, ReadRequest, Reads};
use crate::recovery::Recovered;
use crate::report::{Report, Reports};
use crate::room::Room;
use crate::spills::{Spill, SpillId, Spills};
use crate::turn::{SealedTurn, Turn};

/// Sizes that are chosen at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// A segment of the log, bytes; `limits::LOG_SEGMENT_BYTES` unless a test wants it small.
    pub log_segment_bytes: u64,
    /// A spill file, and what decides when files are copied together, bytes.
    pub segment_bytes: u64,
    /// Below so many free bytes on the disk publishers wait.
    pub disk_low_bytes: u64,
    /// Room to give up when the disk is full, bytes; 0: none.
    pub ballast_bytes: u64,
}

impl StoreConfig {
    /// The usual sizes, and a low mark.
    #[must_use]
    pub fn new(disk_low_bytes: u64) -> Self {
        Self {
            log_segment_bytes: LOG_SEGMENT_BYTES,
            segment_bytes: STORE_SEGMENT_BYTES,
            disk_low_bytes,
            ballast_bytes: BALLAST_BYTES,
        }
    }
}

/// Something for the driver to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Everything that was appended up to the mark is on the disk.
    Synced(Mark),
    /// The answer to a read.
    Read(ReadAnswer),
    /// The spilled messages are on the disk, or there is no room and the caller keeps them.
    Spilled {
        /// Of the spill.
        id: SpillId,
        /// They can be read back.
        written: bool,
    },
    /// Publishers wait from now on, or go on: the disk is nearly full, or is not any more.
    DiskLow(bool),
    /// Something for the log and for `leveret status`.
    Report(Report),
    /// The clean stop is complete.
    Closed,
    /// The process must stop at once, and say this in one line. Nothing is confirmed any more.
    Fatal {
        /// What failed, in a person's words.
        what: String,
    },
}

/// Operations and effects of a turn; the driver takes them out and reuses it.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the disk, in order within each lane.
    pub ops: Vec<DiskOp>,
    /// For everyone else, in order.
    pub out: Vec<Effect>,
}

/// The store of a node.
#[derive(Debug)]
pub struct Store {
    store: StoreId,
    config: StoreConfig,
    clock: StoreClock,
    outage: Outage,
    pub(crate) catalog: Catalog,
    log: Log,
    checkpoint: Checkpoint,
    reads: Reads,
    spills: Spills,
    room: Room,
    ops: Ops,
    reports: Reports,
    counters: Counters,
    out: Vec<Effect>,
    /// The next log segment may be made.
    may_prepare: bool,
    fatal: bool,
    closing: bool,
}

impl Store {
    /// Opens what was recovered. It changes files from its first turn on; the driver made sure that no other
    /// process does.
    #[must_use]
    pub fn open(
        recovered: Recovered,
        config: StoreConfig,
        nonces: SplitMix,
        machine: MachineTime,
        now: Instant,
    ) -> Self {
        let Recovered { store, mut catalog, reports, tail, unfinished, ballast, ops, read_only } = recovered;
        assert!(!read_only, "a directory that is only looked at is not opened");
        let (base, outage) = crate::clock::resume(catalog.clock, catalog.time_mark, &machine);
        catalog.clock = base;
        let terms = LogTerms { store, segment_bytes: config.log_segment_bytes };
        let segments =
            Segments::new(terms, nonces, tail.sealed, tail.spares, (tail.next_log, tail.next_spare));
        let emptied = catalog.files.iter().filter(|(_, file)| file.live == 0 && !file.kept);
        let emptied: Vec<_> = emptied.map(|(number, _)| *number).collect();
        catalog.emptied.extend(emptied);
        let mut opened = Self {
            store,
            config,
            clock: StoreClock::new(base, now),
            outage,
            checkpoint: Checkpoint::new(store, config.segment_bytes, tail.snapshot, tail.snapshot_bytes),
            catalog,
            log: Log::new(segments, tail.next_batch),
            reads: Reads::default(),
            spills: Spills::default(),
            room: Room::new(config.disk_low_bytes, config.ballast_bytes, ballast),
            ops,
            reports,
            counters: Counters::default(),
            out: Vec::new(),
            may_prepare: true,
            fatal: false,
            closing: false,
        };
        for file in unfinished {
            opened.ops.remove(Owner::Checkpoint, file);
        }
        // the first batch says what the clocks show
        let mut turn = Turn::new();
        turn.time(&machine);
        opened.log.append(turn.seal(), now);
        opened
    }

    /// The store's clock. Shards keep a copy.
    #[must_use]
    pub fn clock(&self) -> StoreClock {
        self.clock
    }

    /// How the clock went on after the last stop.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage
    }

    /// Takes the records of a turn. They count once the mark is synced; what they acknowledge is never undone
    /// then. hot.
    pub fn append(&mut self, turn: SealedTurn, now: Instant) -> Mark {
        debug_assert!(!self.closing, "nothing is appended after a close");
        self.log.append(turn, now)
    }

    /// True if so much waits for the disk that the shards should hand over no more until a sync.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.log.is_full()
    }

    /// Asks for messages; [`Effect::Read`] is the answer.
    pub fn read(&mut self, request: ReadRequest) {
        self.reads.push(request);
    }

    /// Takes transient messages; [`Effect::Spilled`] is the answer. What leaves the queue before that is to be
    /// dropped after it.
    pub fn spill(&mut self, spill: Spill) {
        let terms = (self.store, self.config.segment_bytes);
        self.spills.push(spill, terms, &mut self.catalog, &mut self.ops);
    }

    /// Spilled messages left their queue, or the queue is gone (then all of them).
    pub fn drop_spilled(&mut self, queue: QueueId, first: Position, last: Position) {
        self.catalog.remove_spilled(queue, first.0, last.0);
    }

    /// So much is free on the disk; the driver says it each second or so.
    pub fn on_free_bytes(&mut self, bytes: u64) {
        self.room.on_free_bytes(bytes);
    }

    /// Nothing more is appended: everything is synced, one more snapshot is written, then comes
    /// [`Effect::Closed`].
    pub fn close(&mut self) {
        self.closing = true;
        self.log.hurry();
        self.checkpoint.close();
    }

    /// An operation is done.
    pub fn on_done(&mut self, done: &DiskDone) {
        if self.fatal {
            return;
        }
        if let Err(what) = self.take_answer(done) {
            self.fatal = true;
            self.out.push(Effect::Fatal { what });
        }
    }

    fn take_answer(&mut self, done: &DiskDone) -> Result<(), String> {
        match ops::owner(done.id) {
            Owner::Log => match self.log.on_done(done, &mut self.ops)? {
                LogEvent::Synced(mark) => self.out.push(Effect::Synced(mark)),
                LogEvent::Prepare(PrepareOutcome::NoSpace) => self.on_full(),
                LogEvent::Prepare(_) | LogEvent::Nothing => {}
            },
            Owner::Checkpoint => {
                let mut parts = Parts {
                    catalog: &mut self.catalog,
                    log: &mut self.log,
                    ops: &mut self.ops,
                    reports: &mut self.reports,
                    counters: &mut self.counters,
                };
                match self.checkpoint.on_done(done, &mut parts)? {
                    CheckpointEvent::Nothing => {}
                    CheckpointEvent::NoSpace => self.on_full(),
                    CheckpointEvent::Closed => self.out.push(Effect::Closed),
                }
            }
            Owner::Reads => {
                let context = (&mut self.ops, &mut self.reports);
                self.reads.on_done(done, &mut self.catalog, Some(&self.log), context);
            }
            Owner::Spills => {
                let outcome = self.spills.on_done(done, &mut self.catalog, &mut self.counters)?;
                self.out.extend(
                    outcome.map(|outcome| Effect::Spilled { id: outcome.id, written: outcome.written }),
                );
            }
            Owner::Room => self.room.on_done(done),
            Owner::Recovery => {}
        }
        Ok(())
    }

    fn on_full(&mut self) {
        self.may_prepare = false;
        self.room.on_full(&mut self.ops);
    }

    /// Ends a turn: gives what is to be done and what came of what was done. After [`Effect::Fatal`] it gives
    /// nothing.
    pub fn end_turn(&mut self, now: Instant, effects: &mut Effects) {
        effects.out.append(&mut self.out);
        if self.fatal {
            return;
        }
        if self.room.take_retry() {
            self.may_prepare = true;
            self.checkpoint.retry();
        }
        if self.may_prepare && !(self.closing && self.log.is_idle()) {
            self.log.segments.prepare(&mut self.ops);
        }
        let clock = self.clock.at(now);
        self.log.poll(now, clock, &mut self.catalog, &mut self.ops, &mut self.counters);
        let mut parts = Parts {
            catalog: &mut self.catalog,
            log: &mut self.log,
            ops: &mut self.ops,
            reports: &mut self.reports,
            counters: &mut self.counters,
        };
        self.checkpoint.poll(&mut parts);
        self.reads.poll(&self.catalog, Some(&self.log), &mut self.ops);
        self.room.poll(&mut self.ops);
        self.ops.take(&mut effects.ops);
        for answer in self.reads.take_answers() {
            self.counters.read_messages += answer.messages.len() as u64;
            effects.out.push(Effect::Read(answer));
        }
        effects.out.extend(self.room.take_change().map(Effect::DiskLow));
        effects.out.extend(self.reports.take_fresh().map(Effect::Report));
    }

    /// When [`Store::end_turn`] is to be called though nothing happened.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.log.deadline()
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Everything that is reported about this directory, and how many reports more were not kept word by word.
    pub fn reports(&self) -> (impl Iterator<Item = &Report>, u64) {
        (self.reports.all(), self.reports.beyond())
    }

    /// The highest mark that was given.
    #[must_use]
    pub fn appended(&self) -> Mark {
        self.log.appended()
    }

    /// Bytes of the log's files, and of segments and spill files.
    #[must_use]
    pub fn bytes_on_disk(&self) -> (u64, u64) {
        (self.log.segments.bytes(), self.catalog.files.values().map(|file| file.bytes).sum())
    }

    /// Plants a bug; to be called before anything else.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, bug: crate::Planted) {
        self.log.planted = Some(bug);
        self.checkpoint.planted = Some(bug);
        self.reads.planted = Some(bug);
    }
}
