//! The load of a round: a thread for each connection.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::target::{Answer, Connection, Target, put};
use crate::clock::Nanos;
use crate::histogram::Histogram;

/// Sessions that are written in one piece before the rounds.
const FILL: u32 = 100;
/// Longer than any measurement.
const EXPIRY_S: &[u8] = b"86400";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Op {
    /// GET of a session that is there
    Get,
    /// SETEX of a session that is there
    Set,
    /// Four GET to one SETEX
    Mix,
}

/// A round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) op: Op,
    pub(super) keys: u32,
    pub(super) size: u32,
    pub(super) connections: u16,
    pub(super) pipeline: u16,
    pub(super) rate: Option<u32>,
    pub(super) lasts: Duration,
}

/// What a round brought.
pub(super) struct Done {
    pub(super) requests: u64,
    pub(super) faults: u64,
    pub(super) took: Duration,
    pub(super) latency: Histogram,
}

/// xorshift64: which session is asked for needs no better numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(end)) as u32
    }
}

fn elapsed(since: Nanos) -> Duration {
    Duration::from_nanos(Nanos::now().since(since))
}

fn key(number: u32) -> String {
    format!("sess:{number:08}")
}

/// Writes every session once.
pub(super) fn fill(target: &Target, keys: u32, size: u32) -> Result<()> {
    let mut connection = target.connect(0)?;
    let value = vec![b'x'; size as usize];
    let mut out = Vec::new();
    for from in (0..keys).step_by(FILL as usize) {
        let to = keys.min(from + FILL);
        out.clear();
        for number in from..to {
            put(&mut out, &[b"SETEX", key(number).as_bytes(), EXPIRY_S, &value]);
        }
        connection.send(&out)?;
        for _ in from..to {
            ensure!(connection.answer()? == Answer::Line, "a session could not be written");
        }
    }
    Ok(())
}

impl Load {
    /// All connections are open before the first request.
    pub(super) fn run(&self, target: &Target) -> Result<Done> {
        let connections: Result<Vec<Connection>> =
            (0..self.connections.into()).map(|number| target.connect(number)).collect();
        let began = Nanos::now();
        let results: Vec<Result<Done>> = thread::scope(|scope| {
            let each = connections?.into_iter().enumerate();
            let threads: Vec<_> = each
                .map(|(number, connection)| scope.spawn(move || self.one(target, connection, number, began)))
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<Done>>| {
                thread.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))
            };
            threads.into_iter().map(join).collect::<Result<Vec<_>>>()
        })?;
        let mut sum = Done { requests: 0, faults: 0, took: elapsed(began), latency: Histogram::new() };
        for done in results {
            let done = done?;
            sum.requests += done.requests;
            sum.faults += done.faults;
            sum.latency.add(&done.latency);
        }
        Ok(sum)
    }

    fn one(&self, target: &Target, mut connection: Connection, number: usize, began: Nanos) -> Result<Done> {
        let mut random = Random(number as u64 + 1);
        let value = vec![b'x'; self.size as usize];
        let mut done = Done { requests: 0, faults: 0, took: Duration::ZERO, latency: Histogram::new() };
        let every = self.rate.map(|rate| self.nanos_between(rate));
        // connections do not ask in the same moment
        let mut due = Nanos(began.0 + every.unwrap_or(0) * number as u64 / u64::from(self.connections));
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        while elapsed(began) < self.lasts {
            let asked = match every {
                Some(every) => {
                    let at = due;
                    at.wait();
                    due = Nanos(at.0 + every);
                    at
                }
                None => Nanos::now(),
            };
            out.clear();
            expected.clear();
            for _ in 0..self.pipeline {
                self.request(&mut random, &value, target.wait, &mut out, &mut expected);
            }
            connection.send(&out).context("a connection broke")?;
            for wanted in &expected {
                done.faults += u64::from(connection.answer().context("a connection broke")? != *wanted);
            }
            for _ in 0..self.pipeline {
                done.latency.record(Nanos::now().since(asked));
            }
            done.requests += u64::from(self.pipeline);
        }
        Ok(done)
    }

    /// Between two pipelines of one connection.
    fn nanos_between(&self, rate: u32) -> u64 {
        1_000_000_000 * u64::from(self.connections) * u64::from(self.pipeline) / u64::from(rate)
    }

    fn request(
        &self,
        random: &mut Random,
        value: &[u8],
        wait: Option<u32>,
        out: &mut Vec<u8>,
        expected: &mut Vec<Answer>,
    ) {
        let key = key(random.below(self.keys));
        let reads = match self.op {
            Op::Get => true,
            Op::Set => false,
            Op::Mix => random.below(5) > 0,
        };
        if reads {
            put(out, &[b"GET", key.as_bytes()]);
            return expected.push(Answer::Bulk(value.len()));
        }
        put(out, &[b"SETEX", key.as_bytes(), EXPIRY_S, value]);
        expected.push(Answer::Line);
        if let Some(wait) = wait {
            put(out, &[b"WAIT", wait.to_string().as_bytes(), b"1000"]);
            expected.push(Answer::Line);
        }
    }
}
