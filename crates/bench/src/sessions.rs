//! `leveret bench sessions`: servers that speak Redis's protocol, side by side: reads and writes of sessions,
//! with and without a pipeline, closed loop or at a rate.
//!
//! Read first: [`run`]. Rounds of all servers are interleaved, a figure is the median over its rounds, and each
//! is also given as its ratio to that of the first server. CPU seconds per million requests, of all processes
//! of a server, are the steady figure. Every answer is looked at; a refusal counts as a fault.

mod load;
mod target;

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::histogram::Histogram;
use crate::process::Usage;
use load::{Load, Op, fill};
use target::Target;

/// Exit code when an answer was none that belongs to its request.
const FAULTS: u8 = 1;

/// Flags of `leveret bench sessions`.
#[derive(Debug, clap::Args)]
pub struct SessionsArgs {
    /// A server: `redis://[[USER]:PASSWORD@]HOST:PORT[,HOST:PORT…][/?wait=N]`. Connections are spread over its
    /// addresses; with `wait` each write is followed by WAIT N 1000. Given more than once, servers are measured
    /// by turns and compared with the first
    #[arg(long = "url", required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Processes of a server, ids with commas between, in the order of --url: their CPU time is measured
    #[arg(long = "pid", value_name = "PIDS")]
    pids: Vec<String>,
    /// What is asked, each in rounds of its own
    #[arg(long, value_enum, value_delimiter = ',', default_value = "get,set")]
    ops: Vec<Op>,
    /// Bytes of a session
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    size: u32,
    /// Sessions
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    keys: u32,
    /// Connections
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    connections: u16,
    /// Requests that a connection has under way
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pipeline: u16,
    /// Requests per second of all connections, whatever the server answers; latency counts from when a request
    /// was due. Without it each connection asks when it was answered
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Seconds of a round
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds of each server and kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
}

/// A server that is measured.
struct Server {
    target: Target,
    pids: Vec<u32>,
}

/// Figures of the rounds of one server and kind.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    cpu_per_million: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    faults: u64,
}

/// Runs all rounds and prints the table.
///
/// # Errors
/// A server that cannot be reached or goes away; a process that is not there.
pub fn run(args: &SessionsArgs) -> Result<ExitCode> {
    let servers = servers(args)?;
    ensure!(args.seconds > 0.0 && args.seconds <= 3_600.0, "--seconds is not between 0 and 3600");
    for server in &servers {
        fill(&server.target, args.keys, args.size).with_context(|| server.target.url.clone())?;
    }
    let mut faults = 0;
    for &op in &args.ops {
        let mut figures: Vec<Figures> = servers.iter().map(|_| Figures::default()).collect();
        for _ in 0..args.rounds {
            for (server, figures) in servers.iter().zip(&mut figures) {
                round(args, op, server, figures).with_context(|| server.target.url.clone())?;
            }
        }
        faults += figures.iter().map(|figures| figures.faults).sum::<u64>();
        stdout().write_all(table(args, op, &servers, &mut figures).as_bytes())?;
    }
    if faults > 0 {
        eprintln!("{faults} answers were refusals, or none that belongs to its request");
        return Ok(FAULTS.into());
    }
    Ok(ExitCode::SUCCESS)
}

fn servers(args: &SessionsArgs) -> Result<Vec<Server>> {
    ensure!(args.pids.len() <= args.urls.len(), "--pid is given more often than --url");
    let each = args.urls.iter().enumerate();
    each.map(|(at, url)| {
        let pids = args.pids.get(at).map_or("", String::as_str);
        let pids = pids.split(',').filter(|pid| !pid.is_empty());
        let pids: Result<Vec<u32>> =
            pids.map(|pid| pid.parse().with_context(|| format!("--pid {pid} is no number"))).collect();
        Ok(Server { target: Target::parse(url)?, pids: pids? })
    })
    .collect()
}

fn round(args: &SessionsArgs, op: Op, server: &Server, figures: &mut Figures) -> Result<()> {
    let load = Load {
        op,
        keys: args.keys,
        size: args.size,
        connections: args.connections,
        pipeline: args.pipeline,
        rate: args.rate,
        lasts: Duration::from_secs_f64(args.seconds),
    };
    let before = Usage::of(&server.pids)?;
    let done = load.run(&server.target)?;
    let cpu = Usage::of(&server.pids)?.cpu_since(&before);
    let us = |histogram: &Histogram, quantile| histogram.quantile(quantile).as_secs_f64() * 1e6;
    figures.per_second.push(done.requests as f64 / done.took.as_secs_f64());
    figures.cpu_per_million.push(cpu.as_secs_f64() * 1e6 / done.requests.max(1) as f64);
    figures.p50_us.push(us(&done.latency, 0.5));
    figures.p99_us.push(us(&done.latency, 0.99));
    figures.faults += done.faults;
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn table(args: &SessionsArgs, op: Op, servers: &[Server], figures: &mut [Figures]) -> String {
    let loop_kind = args.rate.map_or("closed loop".to_owned(), |rate| format!("{rate}/s"));
    let mut text = format!(
        "{op:?}: {} B, {} sessions, {} connections, {} in a pipeline, {loop_kind}; medians of {} rounds of {} s\n",
        args.size, args.keys, args.connections, args.pipeline, args.rounds, args.seconds
    );
    text += &format!(
        "  {:>12} {:>16} {:>7} {:>9} {:>9}  server\n",
        "requests/s", "CPU s/million", "ratio", "p50 us", "p99 us"
    );
    let mut first = None;
    for (server, figures) in servers.iter().zip(figures) {
        let cpu = median(&mut figures.cpu_per_million);
        let base = *first.get_or_insert(cpu);
        // without --pid there is no CPU time to compare
        let ratio = if base > 0.0 { format!("{:.2}x", cpu / base) } else { "-".to_owned() };
        text += &format!(
            "  {:>12.0} {cpu:>16.2} {ratio:>7} {:>9.0} {:>9.0}  {}\n",
            median(&mut figures.per_second),
            median(&mut figures.p50_us),
            median(&mut figures.p99_us),
            server.target.name(),
        );
    }
    text
}
