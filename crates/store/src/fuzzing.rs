//! What the fuzz target `store_recovery` does with any bytes: it recovers a directory that they describe, reads
//! every message, and opens, closes and recovers it again.
//!
//! A broken promise panics, and nothing else does: any bytes give a catalog or a refusal within a bounded
//! number of operations; no read asks for more than a file has; a store that could be opened can be opened
//! again. `tests/corpus.rs` replays the seeds without a fuzzer.

use alloc::vec::Vec;

use leveret_model::{Instant, Position, Seed, SplitMix};

use crate::batch::{
    BATCH_HEAD_BYTES, BatchHead, BatchNumber, LOG_DATA_AT, LogHead, LogNumber, StoreId, batch_bytes,
};
use crate::catalog::Catalog;
use crate::clock::StoreTime;
use crate::disk::{Copy, DiskAction, DiskDone, DiskOp, FileName};
use crate::record::RECORD_VERSION;
use crate::simdisk::{DiskFaults, SimDisk};
use crate::snapshot::{self, SnapshotHead};
use crate::{
    Effect, Effects, Inspection, MachineTime, ReadAnswer, ReadId, ReadRequest, Recovered, Recovery,
    RecoveryTerms, Refusal, Store, StoreConfig, batch, frame,
};

const STORE: StoreId = StoreId(1);
const NONCE: u64 = 7;
const LOG_BYTES: u64 = 256 * 1024;
/// Room for what a store writes while it opens and closes.
const DISK_BYTES: u64 = 1 << 30;
/// More operations than any directory of these sizes needs.
const OPS_MAX: usize = 100_000;
/// A read ahead goes over the end of a small file.
const READ_MAX: usize = 1 << 20;
const CONFIG: StoreConfig = StoreConfig {
    log_segment_bytes: LOG_BYTES,
    segment_bytes: LOG_BYTES,
    disk_low_bytes: 0,
    ballast_bytes: 0,
};

/// The first byte says what the rest is: a log behind a head that is right, a log as a whole, a snapshot as a
/// whole, or records of a snapshot and of batches, with checksums that fit.
pub fn recovery(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let mut disk = SimDisk::new(Seed(1), DISK_BYTES, DiskFaults::default());
    match kind % 4 {
        0 => put_directory(&mut disk, &[], rest),
        1 => {
            put_directory(&mut disk, &[], &[]);
            disk.put(FileName::Log(1), rest.to_vec());
        }
        2 => {
            put_directory(&mut disk, &[], &[]);
            disk.put(FileName::Snapshot(1, Copy::A), rest.to_vec());
            disk.put(FileName::Snapshot(1, Copy::B), rest.to_vec());
        }
        _ => {
            let mut groups = rest;
            let (of_snapshot, _) = records(&mut groups);
            let log = batches(groups);
            put_directory(&mut disk, &of_snapshot, &log);
            // extents of the snapshot lead here
            let head = batch::file_head(STORE, 1, false);
            disk.put(
                FileName::Segment(1),
                [&head[..], log.get(BATCH_HEAD_BYTES..).unwrap_or_default()].concat(),
            );
        }
    }
    if let Ok(recovered) = recover(&mut disk, true) {
        read_all(&mut disk, recovered);
    }
    if let Ok(recovered) = recover(&mut disk, false) {
        open_and_close(&mut disk, recovered);
        assert!(recover(&mut disk, false).is_ok(), "a store that was closed can be opened");
    }
}

fn terms() -> RecoveryTerms {
    RecoveryTerms { store: Some(STORE), seed: Seed(2), log_segment_bytes: LOG_BYTES }
}

/// A snapshot with these records, and a log with this behind its head.
fn put_directory(disk: &mut SimDisk, of_snapshot: &[u8], log: &[u8]) {
    let (catalog, next_batch) = (Catalog::new(Seed(2)), BatchNumber(1));
    let (offset, log_number) = (LOG_DATA_AT, LogNumber(1));
    let head = SnapshotHead { store: STORE, number: 1, log: log_number, offset, next_batch, clean: false };
    let mut file = Vec::new();
    snapshot::begin(&mut file, &head, &catalog);
    file.extend_from_slice(of_snapshot);
    snapshot::end(&mut file);
    disk.put(FileName::Snapshot(1, Copy::A), file.clone());
    disk.put(FileName::Snapshot(1, Copy::B), file);
    let head = LogHead { store: STORE, log: log_number, nonce: NONCE, bytes: LOG_BYTES };
    disk.put(FileName::Log(1), [&head.to_bytes()[..], log].concat());
}

/// Records up to one of kind 0: kind, length of the meta, length of the body, both. Gives how many there are
/// too.
fn records(bytes: &mut &[u8]) -> (Vec<u8>, u32) {
    let (mut out, mut count) = (Vec::new(), 0);
    while let Some(([kind, meta, body], rest)) = bytes.split_first_chunk::<3>() {
        *bytes = rest;
        if *kind == 0 {
            break;
        }
        let mut take = |length: &u8| {
            let (part, rest) = bytes.split_at(bytes.len().min(usize::from(*length)));
            *bytes = rest;
            part
        };
        let (meta, body) = (take(meta), take(body));
        frame::write(&mut out, *kind, RECORD_VERSION, |out| out.extend_from_slice(meta), &[body]);
        count += 1;
    }
    (out, count)
}

/// One group of records each.
fn batches(mut bytes: &[u8]) -> Vec<u8> {
    let (mut log, mut number) = (Vec::new(), 1);
    // fewer bytes than a record's lengths describe nothing
    while bytes.len() >= 3 {
        let (frames, count) = records(&mut bytes);
        let (mut digest, mut at) = (0, 0);
        while let Ok((head, _)) = frame::FrameHead::read(&frames[at..]) {
            digest = frame::digest(digest, &frames[at..]);
            at += head.frame_bytes();
        }
        let head = BatchHead {
            log: LogNumber(1),
            nonce: NONCE,
            number: BatchNumber(number),
            frames_bytes: frames.len() as u32,
            frames: count,
            clock: StoreTime(number),
            digest,
        };
        let end = log.len() + batch_bytes(frames.len()) as usize;
        log.extend_from_slice(&head.to_bytes());
        log.extend_from_slice(&frames);
        log.resize(end, 0);
        number += 1;
    }
    log
}

/// Executes an operation of a reader, which must not ask for more than there may be.
fn act(disk: &mut SimDisk, op: &DiskOp) -> DiskDone {
    if let DiskAction::Read { file, bytes, .. } = &op.action {
        let there = disk.files().find(|(name, _)| *name == file).map_or(0, |(_, bytes)| bytes.len());
        assert!(*bytes as usize <= there.max(READ_MAX), "{bytes} bytes of {file}, which has {there}");
    }
    disk.execute(op)
}

fn recover(disk: &mut SimDisk, read_only: bool) -> Result<Recovered, Refusal> {
    let mut recovery = Recovery::new(terms(), read_only);
    for _ in 0..OPS_MAX {
        let mut ops = Vec::new();
        recovery.take_ops(&mut ops);
        assert!(!ops.is_empty(), "a recovery waits for nothing");
        for op in ops {
            if let Some(outcome) = recovery.advance(&act(disk, &op)) {
                return outcome;
            }
        }
    }
    panic!("a recovery does not end");
}

fn read_all(disk: &mut SimDisk, recovered: Recovered) {
    let queues = recovered.queues();
    let mut inspection = Inspection::new(recovered);
    for queue in queues {
        let mut next = Some(Position(0));
        while let Some(first) = next {
            let last = Position(u64::MAX);
            inspection.read(ReadRequest { id: ReadId(1), queue, spilled: false, first, last });
            let answer = read_once(disk, &mut inspection);
            assert!(answer.next.is_none_or(|next| next > first), "it goes on");
            next = answer.next;
        }
    }
}

/// Some answers need no operation.
fn read_once(disk: &mut SimDisk, inspection: &mut Inspection) -> ReadAnswer {
    let mut ops = Vec::new();
    for _ in 0..OPS_MAX {
        inspection.poll(&mut ops);
        if let Some(answer) = inspection.take_answers().pop() {
            return answer;
        }
        assert!(!ops.is_empty(), "a read waits for nothing");
        for op in ops.drain(..) {
            let done = act(disk, &op);
            inspection.on_done(&done);
        }
    }
    panic!("a read does not end");
}

fn open_and_close(disk: &mut SimDisk, recovered: Recovered) {
    let machine = MachineTime { boot_id: [1; 16], boot_ms: 1, wall_ms: 1 };
    let nonces = SplitMix::new(Seed(3));
    let mut store = Store::open(recovered, CONFIG, nonces, machine, Instant::ZERO);
    store.close();
    let mut effects = Effects::default();
    for _ in 0..OPS_MAX {
        store.end_turn(Instant::ZERO, &mut effects);
        for op in effects.ops.drain(..) {
            let done = disk.execute(&op);
            store.on_done(&done);
        }
        for effect in effects.out.drain(..) {
            match effect {
                Effect::Closed => return,
                Effect::Fatal { what } => panic!("a sound disk: {what}"),
                _ => {}
            }
        }
    }
    panic!("it does not close");
}
