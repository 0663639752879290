//! The store of a node, from its start to its stop: what it holds is given to the shards and to control before
//! they run, then the log thread has it.
//!
//! Read first: [`NodeStore::open`]. A node that has nothing to keep has no store: its directory is made with
//! the first durable definition or message.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;
use leveret_model::limits::{DISK_FILE_BYTES_MIN, DISK_FILE_PART, DISK_LOW_BYTES, LOG_SEGMENT_BYTES};
use leveret_model::{Instant, NodeId, Position, QueueId, Seed, SplitMix};
use leveret_shard::Shard;
use leveret_store::{
    Effect, Effects, MachineTime, ReadAnswer, ReadId, ReadRequest, RecoveryTerms, Store, StoreClock,
    StoreConfig, StoreId, StoreTime, Turn,
};

use super::given_places::{begin_life, last_given, shared_below};
use super::log_thread::CLEAN;
use super::messages::from_disk;
use super::{Files, LogInput, LogOutput, LogThread, SenderNumber, machine_time, recover};
use crate::clock;
use crate::start_error::StartError;

/// A mark of the node: its group. A node of another group would bring its queues among strangers.
const GROUP: &[u8] = b"group";
/// Directory of the store in a node's data directory.
const STORE_DIRECTORY: &str = "store";

/// What people are to know of the store: damage, repairs, what is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreReports(Arc<Mutex<Vec<String>>>);

impl StoreReports {
    fn add(&self, report: String) {
        tracing::warn!("store: {report}");
        // a list is right at any moment
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(report);
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A thread's way to the log.
#[derive(Clone, Debug)]
pub(crate) struct StoreGate {
    pub(crate) sender: SenderNumber,
    pub(crate) inputs: Sender<LogInput>,
    pub(crate) clock: StoreClock,
}

/// A durable queue that was found.
#[derive(Clone, Debug)]
pub(crate) struct FoundQueue {
    pub(crate) id: QueueId,
    pub(crate) definition: Vec<u8>,
}

/// The store before its thread runs.
#[derive(Debug)]
pub(crate) struct NodeStore {
    node: NodeId,
    group: String,
    path: PathBuf,
    seed: Seed,
    opened: Instant,
    machine: MachineTime,
    clock: StoreClock,
    clean: bool,
    /// `None`: nothing was ever kept here.
    store: Option<(Store, Files)>,
    pub(crate) reports: StoreReports,
}

impl NodeStore {
    /// Recovers what the directory holds. The caller has its lock.
    ///
    /// # Errors
    /// [`StartError::Store`] and [`StartError::OtherGroup`]: nothing of it is lost.
    pub(crate) fn open(
        data_dir: &Path,
        (node, group): (NodeId, &str),
        seed: Seed,
    ) -> Result<Self, StartError> {
        let path = data_dir.join(STORE_DIRECTORY);
        let (opened, machine) = (clock::now(), machine_time());
        let reports = StoreReports::default();
        let clock = StoreClock::new(StoreTime(0), opened);
        let group = group.to_owned();
        let mut found =
            Self { node, group, path, seed, opened, machine, clock, clean: true, store: None, reports };
        if found.path.try_exists().unwrap_or(true) {
            let (store, files) =
                make(&found.path, found.terms(), machine, opened).map_err(StartError::Store)?;
            if let Some((_, of)) = store.marks().find(|(key, _)| &key[..] == GROUP)
                && of[..] != *found.group.as_bytes()
            {
                let of = String::from_utf8_lossy(&of).into_owned();
                return Err(StartError::OtherGroup { path: data_dir.to_owned(), of, group: found.group });
            }
            found.reports_of(&store);
            found.clock = store.clock();
            found.clean = store.marks().any(|(key, value)| &key[..] == CLEAN && !value.is_empty());
            found.store = Some((store, files));
        }
        Ok(found)
    }

    fn terms(&self) -> RecoveryTerms {
        let store = Some(StoreId(self.node.0));
        RecoveryTerms { store, seed: self.seed, log_segment_bytes: LOG_SEGMENT_BYTES }
    }

    fn reports_of(&self, store: &Store) {
        let (reports, beyond) = store.reports();
        reports.for_each(|report| self.reports.add(report.to_string()));
        if beyond > 0 {
            self.reports.add(format!("{beyond} reports more"));
        }
    }

    pub(crate) fn clock(&self) -> StoreClock {
        self.clock
    }

    /// Durable queues, and all other definitions.
    pub(crate) fn definitions(&self) -> (Vec<FoundQueue>, Vec<Vec<u8>>) {
        let Some((store, _)) = &self.store else { return Default::default() };
        let queues = store.queues().into_iter().filter_map(|id| {
            let definition = store.queue(id)?.definition?.to_vec();
            Some(FoundQueue { id, definition })
        });
        let registers = store.registers().filter_map(|register| Some(register.value?.to_vec()));
        (queues.collect(), registers.collect())
    }

    /// Gives a shard the messages of a queue of its own.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn give(&mut self, id: QueueId, shard: &mut Shard) -> Result<(), StartError> {
        let Some((store, files)) = &mut self.store else { return Ok(()) };
        let Some(found) = store.queue(id) else { return Ok(()) };
        let known = (last_given(&found, self.clean), shared_below(&found));
        // a queue without messages goes on behind the last place, too
        shard.recover(id, known, &[]);
        let mut next = Some(Position(0));
        while let Some(first) = next {
            let answer = read(store, files, id, first).map_err(StartError::Store)?;
            let now = self.clock.at(clock::now());
            let messages: Vec<_> =
                answer.messages.iter().map(|cold| from_disk(cold, now, self.clean)).collect();
            shard.recover(id, known, &messages);
            next = answer.next;
        }
        Ok(())
    }

    /// Starts the log thread; `output` is called on it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(
        self,
        senders: usize,
        mut output: impl FnMut(LogOutput) + Send + 'static,
    ) -> io::Result<LogThread> {
        let terms = self.terms();
        let Self { path, machine, opened, mut store, reports, clean, group, .. } = self;
        if let Some((store, files)) = &mut store {
            note_group(store, &group);
            begin_life(store, files, clean, CLEAN).map_err(io::Error::other)?;
        }
        if let Some((store, _)) = &store {
            // what reading the messages has shown
            let known = reports.all();
            let (found, _) = store.reports();
            found.map(ToString::to_string).filter(|report| !known.contains(report)).for_each(|report| {
                reports.add(report);
            });
        }
        let carry = move |out| {
            if let LogOutput::Effect(Effect::Report(report)) = &out {
                let report = report.to_string();
                if !reports.all().contains(&report) {
                    reports.add(report);
                }
            }
            output(out);
        };
        let Some((store, files)) = store else {
            let open = move || {
                let (mut store, files) = make(&path, terms, machine, opened)?;
                note_group(&mut store, &group);
                Ok((store, files))
            };
            return LogThread::start_when_needed(open, senders, carry);
        };
        LogThread::start(store, files, senders, carry)
    }
}

/// The store is of this group from now on; it is on the disk with whatever is written next.
fn note_group(store: &mut Store, group: &str) {
    if !store.marks().any(|(key, _)| &key[..] == GROUP) {
        let mut turn = Turn::new();
        turn.mark(None, GROUP, group.as_bytes());
        store.append(turn.seal(), clock::now());
    }
}

/// The last words of a node that stops: nothing comes behind them. Waits until they are on the disk.
pub(crate) fn close(log: LogThread) {
    let inputs = log.inputs();
    // a thread that is gone has said why
    let _ = inputs.send(LogInput::Close);
    drop(inputs);
    log.join();
}

/// Opens the store of a directory, or makes it.
fn make(
    path: &Path,
    terms: RecoveryTerms,
    machine: MachineTime,
    opened: Instant,
) -> Result<(Store, Files), String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let files = Files::open(path, false).map_err(|error| said(&error))?;
    if files.is_memory() {
        tracing::warn!(path = %path.display(), "the store is in a file system in memory: nothing survives a reboot");
    }
    let config = sizes(files.disk_bytes().unwrap_or(u64::MAX));
    let terms = RecoveryTerms { log_segment_bytes: config.log_segment_bytes, ..terms };
    let recovered = recover(&files, terms, false).map_err(|refusal| said(&refusal))?;
    let mut nonces = [0; 8];
    getrandom::fill(&mut nonces).map_err(|error| said(&error))?;
    let nonces = SplitMix::new(Seed(u64::from_le_bytes(nonces)));
    Ok((Store::open(recovered, config, nonces, machine, opened), files))
}

/// Sizes of the files, and the low mark, on a disk of so many bytes.
fn sizes(disk_bytes: u64) -> StoreConfig {
    let file_max = (disk_bytes / DISK_FILE_PART).max(DISK_FILE_BYTES_MIN);
    let usual = StoreConfig::new(DISK_LOW_BYTES.min(2 * file_max));
    StoreConfig {
        log_segment_bytes: usual.log_segment_bytes.min(file_max),
        segment_bytes: usual.segment_bytes.min(file_max),
        ballast_bytes: usual.ballast_bytes.min(file_max),
        ..usual
    }
}

/// Messages of a queue, on this thread: nobody else runs yet.
fn read(store: &mut Store, files: &Files, queue: QueueId, first: Position) -> Result<ReadAnswer, String> {
    let mut effects = Effects::default();
    store.read(ReadRequest { id: ReadId(0), queue, spilled: false, first, last: Position(u64::MAX) });
    loop {
        store.end_turn(clock::now(), &mut effects);
        let mut answered = None;
        for effect in effects.out.drain(..) {
            match effect {
                Effect::Read(answer) => answered = Some(answer),
                Effect::Fatal { what } => return Err(what),
                // reports are asked for before the thread starts
                _ => {}
            }
        }
        if let Some(answer) = answered {
            // what else was given is done too: the log's first file
            effects.ops.drain(..).for_each(|op| store.on_done(&files.execute(&op)));
            return Ok(answer);
        }
        for op in effects.ops.drain(..) {
            store.on_done(&files.execute(&op));
        }
    }
}
