//! Measures the log against the disk's own floor, in turns so that both see the same neighbours:
//! `cargo run --release -p leveret-server --example disk_bench -- DIRECTORY`.
//!
//! - window 1: a 1 KiB message is appended and its sync awaited, against one write and `fdatasync` of 4 KiB
//! - 1,000 in flight: messages a second, against a program that only writes and syncs the same bytes in the
//!   same batches
#![allow(clippy::print_stdout, reason = "a report for whoever runs it")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use leveret_model::{Position, QueueId, Seed, SplitMix, Ulid};
use leveret_server::disk::{Files, LogInput, LogOutput, LogThread, SenderNumber, open, recover};
use leveret_store::{MessageTerms, RecoveryTerms, StoreConfig, StoreId, Turn, TurnBody};

const QUEUE: QueueId = QueueId { generation: 0, ulid: Ulid(1) };
const ROUND: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 3;
const IN_FLIGHT: u64 = 1_000;
/// Messages of one turn while many are in flight.
const PER_TURN: u64 = 50;
/// The log thread syncs only: confirms are this thread's.
const ME: SenderNumber = SenderNumber(0);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: disk_bench DIRECTORY")?;
    let directory = Path::new(&directory);
    std::fs::create_dir_all(directory)?;
    let mut bench = Bench::start(directory)?;
    let raw = raw_file(directory)?;
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    let (mut rate, mut plain_rate, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.extend(raw_syncs(&raw)?);
        ours.extend(bench.window_of_one()?);
        let InFlight { messages, batches, bytes, seconds, cpu_seconds } = bench.in_flight()?;
        rate.push(messages as f64 / seconds);
        cpu.push(cpu_seconds / messages as f64 * 1e6);
        plain_rate.push(messages as f64 / plain(&raw, batches, bytes)?);
    }
    let [floor_p50, ours_p50] = [&mut floor, &mut ours].map(|times| median(times));
    println!("fdatasync of 4 KiB   p50 {floor_p50:.0} us");
    println!("confirm, window 1    p50 {ours_p50:.0} us, {:+.0} us", ours_p50 - floor_p50);
    let [ours, plain, cpu] = [&mut rate, &mut plain_rate, &mut cpu].map(|rates| median(rates));
    println!(
        "in flight {IN_FLIGHT}       {ours:.0} messages/s, {cpu:.2} CPU-s per million (with this producer)"
    );
    println!("plain append + sync  {plain:.0} messages/s; ours is {:.2} of it", ours / plain);
    bench.stop();
    Ok(())
}

/// What a while with many in flight came to.
struct InFlight {
    messages: u64,
    batches: u64,
    bytes: u64,
    seconds: f64,
    cpu_seconds: f64,
}

struct Bench {
    log: LogThread,
    synced: Receiver<u64>,
    turns: u64,
    position: u64,
    /// Acknowledged up to here.
    acked: u64,
}

impl Bench {
    fn start(directory: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let files = Files::open(&directory.join("store"), false)?;
        let config = StoreConfig::new(1 << 20);
        let terms = RecoveryTerms {
            store: Some(StoreId(1)),
            seed: Seed(1),
            log_segment_bytes: config.log_segment_bytes,
        };
        let recovered = recover(&files, terms, false)?;
        let position = recovered.queue(QUEUE).map_or(0, |queue| queue.last.0);
        let store = open(recovered, config, SplitMix::new(Seed(std::process::id().into())));
        let (synced_out, synced) = unbounded();
        let log = LogThread::start(store, files, 1, move |output| match output {
            LogOutput::Synced(_, turns) => drop(synced_out.send(turns)),
            LogOutput::Effect(effect) => println!("{effect:?}"),
        })?;
        let mut bench = Self { log, synced, turns: 0, position, acked: position };
        let mut turn = Turn::new();
        turn.queue_created(QUEUE, b"bench");
        bench.hand_over(turn)?;
        bench.wait_for(bench.turns)?;
        Ok(bench)
    }

    fn hand_over(&mut self, turn: Turn) -> Result<(), Box<dyn std::error::Error>> {
        self.turns += 1;
        self.log.inputs().send(LogInput::Turn(ME, turn.seal()))?;
        Ok(())
    }

    fn wait_for(&self, turns: u64) -> Result<u64, Box<dyn std::error::Error>> {
        loop {
            let synced = self.synced.recv()?;
            if synced >= turns {
                return Ok(synced);
            }
        }
    }

    fn message(&mut self, turn: &mut Turn, body: &[u8]) {
        self.position += 1;
        let targets = [(QUEUE, Position(self.position))];
        turn.message(&MessageTerms::default(), &targets, b"\0\x05bench", &[0; 14], TurnBody::Flat(body));
    }

    /// Acknowledges all that came before, as a consumer that keeps up.
    fn acknowledge(&mut self, turn: &mut Turn) {
        if self.acked < self.position {
            turn.acked_range(QUEUE, Position(self.acked + 1), Position(self.position));
            self.acked = self.position;
        }
    }

    /// Microseconds from handing a message over to hearing that it is on the disk.
    fn window_of_one(&mut self) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
        let (began, body, mut times) = (Instant::now(), [7; 1024], Vec::new());
        while began.elapsed() < ROUND {
            let sent = Instant::now();
            let mut turn = Turn::new();
            self.acknowledge(&mut turn);
            self.message(&mut turn, &body);
            self.hand_over(turn)?;
            self.wait_for(self.turns)?;
            times.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    }

    fn in_flight(&mut self) -> Result<InFlight, Box<dyn std::error::Error>> {
        let (began, cpu, body) = (Instant::now(), cpu_seconds(), [7; 1024]);
        let first = self.turns;
        let (mut synced, mut batches) = (first, 0);
        while began.elapsed() < ROUND {
            while (self.turns - synced) * PER_TURN < IN_FLIGHT {
                let mut turn = Turn::new();
                self.acknowledge(&mut turn);
                for _ in 0..PER_TURN {
                    self.message(&mut turn, &body);
                }
                self.hand_over(turn)?;
            }
            synced = self.wait_for(synced + 1)?;
            batches += 1;
        }
        self.wait_for(self.turns)?;
        let messages = (self.turns - first) * PER_TURN;
        // a batch each: head, frames and pad as the format has them
        let bytes =
            messages * (1024 + 20 + 62 + 7 + 14 + 1) + (self.turns - first) * 60 + batches * (64 + 2048);
        let (seconds, cpu_seconds) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        Ok(InFlight { messages, batches, bytes, seconds, cpu_seconds })
    }

    fn stop(self) {
        if self.log.inputs().send(LogInput::Close).is_ok() {
            self.log.join();
        }
    }
}

fn raw_file(directory: &Path) -> std::io::Result<File> {
    let path = directory.join("raw");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 64 << 20)?;
    Ok(file)
}

/// Microseconds of one write and sync of 4 KiB.
fn raw_syncs(file: &File) -> std::io::Result<Vec<f64>> {
    let (began, block, mut times) = (Instant::now(), [7; 4096], Vec::new());
    while began.elapsed() < ROUND {
        let at = (times.len() as u64 * 4096) % (64 << 20);
        let sent = Instant::now();
        file.write_all_at(&block, at)?;
        rustix::fs::fdatasync(file)?;
        times.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// Seconds for so many batches of so many bytes together.
fn plain(file: &File, batches: u64, bytes: u64) -> std::io::Result<f64> {
    let block = vec![7; (bytes / batches.max(1)) as usize];
    let began = Instant::now();
    let mut at = 0;
    for _ in 0..batches {
        if at + block.len() as u64 > 64 << 20 {
            at = 0;
        }
        file.write_all_at(&block, at)?;
        rustix::fs::fdatasync(file)?;
        at += block.len() as u64;
    }
    Ok(began.elapsed().as_secs_f64())
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
