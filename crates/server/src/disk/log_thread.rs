//! The thread that runs the store: it takes turns and requests, and executes the log's writes and syncs
//! itself. Copies and snapshots, and reads, have a thread of their own each, so that no confirm waits for
//! them.
//!
//! Read first: [`Running::run`].
//!
//! ```text
//!   shards ─ LogInput ─▶ log thread: store, log lane ─ LogOutput ─▶ shards, control
//!                           │  ▲ DiskDone
//!                           ▼  │
//!                     bulk thread, read thread
//! ```

use std::collections::VecDeque;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, never, select, unbounded};
use leveret_model::limits::{DISK_ROOM_EVERY, LOG_INPUTS_MAX};
use leveret_model::{Instant, Position, QueueId, SplitMix};
use leveret_store::{
    DiskDone, DiskOp, Effect, Effects, Lane, MachineTime, Mark, ReadRequest, Recovered, Recovery,
    RecoveryTerms, Refusal, SealedTurn, Spill, Store, StoreConfig, Turn,
};
use rustix::time::{ClockId, clock_gettime};

use super::Files;
use crate::clock;

/// A mark of the node: it was the last record before a stop, so what the store knows of deliveries is all.
pub(super) const CLEAN: &[u8] = b"clean";

/// Who hands turns over: a shard, or control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SenderNumber(pub usize);

/// For the log thread.
#[derive(Debug)]
pub enum LogInput {
    /// A turn; each sender counts its own, from 1.
    Turn(SenderNumber, SealedTurn),
    /// Messages are wanted.
    Read(ReadRequest),
    /// Transient messages for the disk.
    Spill(Spill),
    /// Spilled messages left their queue.
    DropSpilled(QueueId, Position, Position),
    /// A clean stop: nothing comes after it.
    Close,
}

/// From the log thread.
#[derive(Clone, Debug)]
pub enum LogOutput {
    /// So many turns of a sender, from its first on, are on the disk.
    Synced(SenderNumber, u64),
    /// Everything else that the store says, except how far it synced.
    Effect(Effect),
}

/// The log thread.
#[derive(Debug)]
pub struct LogThread {
    inputs: Sender<LogInput>,
    thread: JoinHandle<()>,
}

impl LogThread {
    /// Starts it on an opened store. `output` is called on the thread; after `Effect::Fatal` or
    /// `Effect::Closed` nothing comes any more.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        store: Store,
        files: Files,
        senders: usize,
        output: impl FnMut(LogOutput) + Send + 'static,
    ) -> io::Result<Self> {
        let (inputs, from_shards) = bounded(LOG_INPUTS_MAX);
        let running = Running::new((store, files), from_shards, senders, output)?;
        let thread = thread::Builder::new().name("log".into()).spawn(move || running.run())?;
        Ok(Self { inputs, thread })
    }

    /// The same for a node that has no store yet: `open` makes one when there is something to keep. Until then
    /// there is neither a file nor a thread beside this one. `open` gives a line for people if it cannot.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start_when_needed(
        open: impl FnOnce() -> Result<(Store, Files), String> + Send + 'static,
        senders: usize,
        mut output: impl FnMut(LogOutput) + Send + 'static,
    ) -> io::Result<Self> {
        let (inputs, from_shards) = bounded(LOG_INPUTS_MAX);
        let work = move || {
            let Ok(first) = from_shards.recv() else { return };
            if matches!(first, LogInput::Close) {
                return output(LogOutput::Effect(Effect::Closed));
            }
            match open() {
                Err(what) => output(LogOutput::Effect(Effect::Fatal { what })),
                Ok(opened) => match Running::new(opened, from_shards, senders, output) {
                    Ok(mut running) => {
                        running.input(first, clock::now());
                        running.run();
                    }
                    // its threads: without them nothing is written
                    Err(error) => panic!("the store has no threads: {error}"),
                },
            }
        };
        let thread = thread::Builder::new().name("log".into()).spawn(work)?;
        Ok(Self { inputs, thread })
    }

    /// The way in.
    #[must_use]
    pub fn inputs(&self) -> Sender<LogInput> {
        self.inputs.clone()
    }

    /// Waits until it ended.
    pub fn join(self) {
        drop(self.inputs);
        // a panic was printed where it happened
        let _ = self.thread.join();
    }
}

/// Turns of a sender that are not on the disk yet.
#[derive(Debug, Default)]
struct OfSender {
    waiting: VecDeque<Mark>,
    synced: u64,
}

struct Running<F> {
    store: Store,
    files: Files,
    bulk: Sender<DiskOp>,
    read: Sender<DiskOp>,
    answers: Receiver<DiskDone>,
    from_shards: Receiver<LogInput>,
    senders: Vec<OfSender>,
    /// When to look at the disk's room next: each second, and after work on files.
    room_at: Instant,
    output: F,
}

impl<F: FnMut(LogOutput)> Running<F> {
    fn new(
        (store, files): (Store, Files),
        from_shards: Receiver<LogInput>,
        senders: usize,
        output: F,
    ) -> io::Result<Self> {
        let (done, answers) = unbounded();
        let worker = |name: &str| -> io::Result<Sender<DiskOp>> {
            // as many as the store has under way, which bounds them
            let (ops, work) = unbounded::<DiskOp>();
            let (files, done) = (files.clone(), done.clone());
            let execute = move || {
                for op in work {
                    if done.send(files.execute(&op)).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().name(name.into()).spawn(execute)?;
            Ok(ops)
        };
        let (bulk, read) = (worker("store bulk")?, worker("store reads")?);
        Ok(Self {
            store,
            files,
            bulk,
            read,
            answers,
            from_shards,
            senders: (0..senders).map(|_| OfSender::default()).collect(),
            room_at: Instant::ZERO,
            output,
        })
    }

    fn run(mut self) {
        let mut effects = Effects::default();
        loop {
            let now = clock::now();
            if now >= self.room_at {
                self.room_at = now + DISK_ROOM_EVERY;
                if let Ok(bytes) = self.files.free_bytes() {
                    self.store.on_free_bytes(bytes);
                }
            }
            self.store.end_turn(now, &mut effects);
            if !self.carry(&mut effects) {
                return;
            }
            // what the log's own operations brought is to be acted on before anybody is waited for
            if self.execute(&mut effects) {
                continue;
            }
            let wait = self.store.deadline().map_or(self.room_at, |deadline| deadline.min(self.room_at));
            if !self.take(wait.since(clock::now())) {
                return;
            }
        }
    }

    /// Executes the log's operations and hands the others on; true if there were any of the log's.
    fn execute(&mut self, effects: &mut Effects) -> bool {
        let mut logged = false;
        for op in effects.ops.drain(..) {
            match op.lane {
                Lane::Log => {
                    let done = self.files.execute(&op);
                    self.store.on_done(&done);
                    logged = true;
                }
                // the threads end with this one
                Lane::Bulk => drop(self.bulk.send(op)),
                Lane::Read => drop(self.read.send(op)),
            }
        }
        if logged {
            // what gathered during the sync goes into the next batch
            self.take(Duration::ZERO);
        }
        logged
    }

    /// Takes everything that is there, waiting for the first; false if nobody is left to hand over anything.
    fn take(&mut self, wait: Duration) -> bool {
        // a full store takes answers only
        let nothing = never();
        let from_shards = if self.store.is_full() { &nothing } else { &self.from_shards };
        let first = select! {
            recv(self.answers) -> done => {
                if let Ok(done) = done {
                    self.store.on_done(&done);
                    // a file may have come or gone: a fast publisher fills a small disk within a second
                    self.room_at = Instant::ZERO;
                }
                None
            }
            recv(from_shards) -> input => match input {
                Ok(input) => Some(input),
                Err(_) => return false,
            },
            default(wait) => return true,
        };
        let now = clock::now();
        if let Some(input) = first {
            self.input(input, now);
        }
        while let Ok(done) = self.answers.try_recv() {
            self.store.on_done(&done);
            self.room_at = Instant::ZERO;
        }
        while !self.store.is_full()
            && let Ok(input) = self.from_shards.try_recv()
        {
            self.input(input, now);
        }
        true
    }

    fn input(&mut self, input: LogInput, now: Instant) {
        match input {
            LogInput::Turn(sender, turn) => {
                let mark = self.store.append(turn, now);
                self.senders[sender.0].waiting.push_back(mark);
            }
            LogInput::Read(request) => self.store.read(request),
            LogInput::Spill(spill) => self.store.spill(spill),
            LogInput::DropSpilled(queue, first, last) => self.store.drop_spilled(queue, first, last),
            LogInput::Close => {
                let mut turn = Turn::new();
                turn.mark(None, CLEAN, b"1");
                self.store.append(turn.seal(), now);
                self.store.close();
            }
        }
    }

    /// Carries effects; false after the last.
    fn carry(&mut self, effects: &mut Effects) -> bool {
        let mut goes_on = true;
        for effect in effects.out.drain(..) {
            let Effect::Synced(mark) = effect else {
                goes_on &= !matches!(effect, Effect::Closed | Effect::Fatal { .. });
                (self.output)(LogOutput::Effect(effect));
                continue;
            };
            for (number, sender) in self.senders.iter_mut().enumerate() {
                let synced = sender.waiting.partition_point(|waiting| *waiting <= mark);
                if synced > 0 {
                    sender.waiting.drain(..synced);
                    sender.synced += synced as u64;
                    (self.output)(LogOutput::Synced(SenderNumber(number), sender.synced));
                }
            }
        }
        goes_on
    }
}

/// What the machine's clocks show.
#[must_use]
pub fn machine_time() -> MachineTime {
    // without one (no /proc) each start counts as another boot, and the clock stands still between
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = boot_id.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte =
            std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    }
    let boot = clock_gettime(ClockId::Boottime);
    let boot_ms = boot.tv_sec as u64 * 1_000 + boot.tv_nsec as u64 / 1_000_000;
    MachineTime { boot_id: id, boot_ms, wall_ms: clock::unix_ms() }
}

/// Recovers a directory on this thread.
///
/// # Errors
/// [`Refusal`]: the directory is as it was.
pub fn recover(files: &Files, terms: RecoveryTerms, read_only: bool) -> Result<Recovered, Refusal> {
    let mut recovery = Recovery::new(terms, read_only);
    let mut ops = Vec::new();
    loop {
        recovery.take_ops(&mut ops);
        assert!(!ops.is_empty(), "a recovery waits for its own operations only");
        for op in ops.drain(..) {
            if let Some(outcome) = recovery.advance(&files.execute(&op)) {
                return outcome;
            }
        }
    }
}

/// Opens what was recovered, now.
#[must_use]
pub fn open(recovered: Recovered, config: StoreConfig, nonces: SplitMix) -> Store {
    Store::open(recovered, config, nonces, machine_time(), clock::now())
}
