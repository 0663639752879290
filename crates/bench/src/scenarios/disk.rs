//! The floor of a disk: a program that only appends and syncs, the same bytes in the same batches as a node's
//! log has them, and 4 KiB at a time.
//!
//! A batch of the log begins at a multiple of 4 KiB (docs/formats/store.md §2); what is read of it here is
//! where it ends and how many of its records are messages. The node need not be stopped: what it writes
//! meanwhile is not looked at.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::fs::{FallocateFlags, fallocate, fdatasync};

use crate::args::DiskArgs;
use crate::clock::{Nanos, thread_cpu};
use crate::histogram::Histogram;
use crate::rounds::{CaseResult, Console, Labelled, Outcome, interleave};

const BLOCK_BYTES: usize = 4096;
/// As large as a segment of the log; a batch that does not fit begins at the front again.
const FILE_BYTES: u64 = 64 << 20;
const LOG_DATA_AT: usize = 2 * BLOCK_BYTES;
const BATCH_HEAD_BYTES: usize = 64;
const FRAME_HEAD_BYTES: usize = 20;
/// The kind of a record that is a message.
const MESSAGE: u8 = 1;

/// One write and sync.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Batch {
    bytes: usize,
    messages: u64,
}

struct Disk;

impl Labelled for Disk {
    fn label(&self) -> &'static str {
        "disk"
    }
}

/// Measures the batches that were asked for, and single blocks.
pub(crate) fn run(args: &DiskArgs, console: &mut Console) -> Result<Vec<CaseResult>> {
    let mut cases = Vec::new();
    if let Some(data_dir) = &args.like {
        let batches = batches_of(data_dir)?;
        let (count, bytes) = (batches.len(), batches.iter().map(|batch| batch.bytes).sum::<usize>());
        let name = format!("append and sync, {count} batches of {} KiB on average", bytes / count / 1024);
        cases.push((name, batches));
    }
    cases.push(("append and sync, 4 KiB".to_owned(), vec![Batch { bytes: BLOCK_BYTES, messages: 1 }]));
    let file = Scratch::make(&args.directory)?;
    interleave(cases, &[Disk], args.reporting.rounds, console, |batches, _, console| {
        round(args, &file.file, batches, console)
    })
}

/// Writes and syncs the batches, one after the other and again, until the time is over.
fn round(args: &DiskArgs, file: &File, batches: &[Batch], console: &Console) -> Result<Outcome> {
    let largest = batches.iter().map(|batch| batch.bytes).max().unwrap_or(0);
    let bytes = vec![7; largest];
    let (mut at, mut synced, mut messages, mut written) = (0, Histogram::new(), 0, 0);
    let (began, cpu) = (Nanos::now(), thread_cpu());
    let mut now = began;
    for batch in batches.iter().cycle() {
        if u128::from(now.since(began)) >= args.seconds.as_nanos() && synced.total() > 0 {
            break;
        }
        console.go_on()?;
        if at + batch.bytes as u64 > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&bytes[..batch.bytes], at)?;
        fdatasync(file)?;
        let done = Nanos::now();
        synced.record(done.since(now));
        now = done;
        at += batch.bytes as u64;
        messages += batch.messages;
        written += batch.bytes;
    }
    let (seconds, cpu) = (now.since(began) as f64 / 1e9, thread_cpu() - cpu);
    let mut outcome = Outcome::default();
    outcome.push("messages/s", messages as f64 / seconds);
    outcome.push("CPU, s per million messages", cpu.as_secs_f64() / messages.max(1) as f64 * 1e6);
    outcome.push("batches/s", synced.total() as f64 / seconds);
    outcome.push("MiB/s", written as f64 / f64::from(1 << 20) / seconds);
    outcome.push("append and sync p50, µs", synced.quantile(0.5).as_secs_f64() * 1e6);
    outcome.push("append and sync p99, µs", synced.quantile(0.99).as_secs_f64() * 1e6);
    Ok(outcome)
}

/// A file with its room reserved and written, as the log's are; it goes when the measurement is over.
struct Scratch {
    file: File,
    path: PathBuf,
}

impl Scratch {
    fn make(directory: &Path) -> Result<Self> {
        let path = directory.join(format!("leveret-bench-{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        let scratch = Self { file, path };
        fallocate(&scratch.file, FallocateFlags::empty(), 0, FILE_BYTES).context("no room for 64 MiB")?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // an empty directory is not worth a failure
        let _ = fs::remove_file(&self.path);
    }
}

/// What the log of a node consists of.
fn batches_of(data_dir: &Path) -> Result<Vec<Batch>> {
    let store = data_dir.join("store");
    let mut logs = Vec::new();
    for entry in fs::read_dir(&store).with_context(|| format!("cannot read {}", store.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-")) {
            logs.push(path);
        }
    }
    logs.sort();
    let mut batches = Vec::new();
    for log in logs {
        batches
            .extend(batches_in(&fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?));
    }
    ensure!(
        !batches.is_empty(),
        "{} has no batch with a message: let the node store some first",
        store.display()
    );
    Ok(batches)
}

/// Those of one file, of this use of it; batches without a message are not a load.
fn batches_in(file: &[u8]) -> Vec<Batch> {
    let mut batches = Vec::new();
    // number and nonce of the segment, which each of its batches repeats
    let Some(of) = file.get(28..44) else { return batches };
    let mut at = LOG_DATA_AT;
    while let Some(head) = file.get(at..at + BATCH_HEAD_BYTES) {
        if &head[..4] != b"LVBT" || &head[8..24] != of {
            break;
        }
        let frames_bytes = word(head, 32);
        let Some(frames) = file.get(at + BATCH_HEAD_BYTES..at + BATCH_HEAD_BYTES + frames_bytes) else {
            break;
        };
        let batch = Batch {
            bytes: (BATCH_HEAD_BYTES + frames_bytes).next_multiple_of(BLOCK_BYTES),
            messages: messages_in(frames),
        };
        at += batch.bytes;
        if batch.messages > 0 {
            batches.push(batch);
        }
    }
    batches
}

fn messages_in(mut frames: &[u8]) -> u64 {
    let mut messages = 0;
    while frames.len() >= FRAME_HEAD_BYTES {
        messages += u64::from(frames[0] == MESSAGE);
        let bytes = (FRAME_HEAD_BYTES + word(frames, 4) + word(frames, 8)).next_multiple_of(4);
        frames = frames.get(bytes..).unwrap_or_default();
    }
    messages
}

fn word(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + 4].iter().rev().fold(0, |word, byte| word << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, meta: u32, body: u32) -> Vec<u8> {
        let mut frame = vec![kind, 1, 0, 0];
        frame.extend_from_slice(&meta.to_le_bytes());
        frame.extend_from_slice(&body.to_le_bytes());
        frame.resize((FRAME_HEAD_BYTES + (meta + body) as usize).next_multiple_of(4), 0);
        frame
    }

    fn batch(nonce: u64, frames: &[u8]) -> Vec<u8> {
        let mut batch = b"LVBT\x01\0\0\0".to_vec();
        batch.extend_from_slice(&3_u64.to_le_bytes());
        batch.extend_from_slice(&nonce.to_le_bytes());
        batch.extend_from_slice(&9_u64.to_le_bytes());
        batch.extend_from_slice(&(frames.len() as u32).to_le_bytes());
        batch.resize(BATCH_HEAD_BYTES, 0);
        batch.extend_from_slice(frames);
        batch.resize(batch.len().next_multiple_of(BLOCK_BYTES), 0);
        batch
    }

    #[test]
    fn the_batches_of_a_log_are_those_of_its_last_use() {
        let mut log = b"LEVERLOG\x01\0\0\0".to_vec();
        log.extend_from_slice(&[0; 16]);
        log.extend_from_slice(&3_u64.to_le_bytes());
        log.extend_from_slice(&7_u64.to_le_bytes());
        log.resize(LOG_DATA_AT, 0);
        let messages = [frame(1, 62, 1045), frame(2, 36, 0), frame(1, 62, 4000)].concat();
        log.extend(batch(7, &messages));
        log.extend(batch(7, &frame(2, 36, 0)));
        log.extend(batch(7, &frame(1, 62, 10)));
        log.extend(batch(6, &frame(1, 62, 10)));
        let expected = [Batch { bytes: 8192, messages: 2 }, Batch { bytes: 4096, messages: 1 }];
        assert_eq!(batches_in(&log), expected);
        for length in 0..log.len().min(LOG_DATA_AT + 9_000) {
            assert!(batches_in(&log[..length]).len() <= 1);
        }
    }
}
