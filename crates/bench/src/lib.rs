//! `leveret bench`: measures any AMQP 0-9-1 broker, or two against each other, beside the floor of the machine.
//!
//! Read first: `scenarios/round.rs`, which runs a round. Method: raw frames encoded beforehand, one publisher
//! thread and one consumer thread, no client library; every message is proved by number and checksum
//! (`payload.rs`, `ledger.rs`); server CPU per million messages is the primary figure, as throughput of a
//! shared machine is mostly its neighbours'; rounds of all peers are interleaved (`rounds.rs`); the relay
//! (`relay/`) shows what the sockets alone cost.
//!
//! ```text
//!   args ─▶ peer ─▶ rounds ─▶ scenarios ─▶ publisher | pacer ─▶ broker ─▶ consumer ─▶ report
//!                                              payload ──────────────────▶ ledger
//! ```

mod args;
mod client;
mod clock;
mod confirms;
mod consumer;
mod counters;
mod histogram;
mod ledger;
mod pacer;
mod payload;
mod peer;
mod process;
mod progress;
mod protocol;
mod publisher;
mod relay;
mod report;
mod rounds;
mod scenarios;
mod sessions;
#[cfg(test)]
mod tests;
mod url;

use std::io::{Read, Write, stdin, stdout};
use std::process::ExitCode;

use anyhow::Result;

pub use args::{BenchArgs, given_in_vain};
use args::{DiskArgs, PeerArgs, RelayArgs, Scenario, StartArgs};
use peer::Peer;
use progress::Progress;
use report::Roll;
use rounds::{CaseResult, Console};
pub use sessions::{SessionsArgs, run as run_sessions};

/// Exit code when messages were lost, duplicated, reordered or damaged.
const FAULTS: u8 = 1;

/// Runs a scenario and prints its results.
///
/// # Errors
/// A broker that cannot be reached, refuses or goes away; a process that is not there.
pub fn run(args: BenchArgs) -> Result<ExitCode> {
    use scenarios::{churn, fanout, idle, latency, throughput};
    match args.scenario {
        Scenario::Throughput(args) => {
            measured("throughput", &args.peers, |p, s| throughput::run(&args, p, s))
        }
        Scenario::Latency(args) => measured("latency", &args.peers, |p, s| latency::run(&args, p, s)),
        Scenario::Fanout(args) => measured("fanout", &args.peers, |p, s| fanout::run(&args, p, s)),
        Scenario::Idle(args) => measured("idle", &args.peers, |p, s| idle::run(&args, p, s)),
        Scenario::Churn(args) => measured("churn", &args.peers, |p, s| churn::run(&args, p, s)),
        Scenario::Start(args) => started(&args),
        Scenario::Disk(args) => disk_measured(&args),
        Scenario::Relay(args) => relayed(&args),
    }
}

fn measured(
    scenario: &str,
    args: &PeerArgs,
    run: impl FnOnce(&[Peer], &mut Console) -> Result<Vec<CaseResult>>,
) -> Result<ExitCode> {
    let mut console = Console::new(Progress::new(args.reporting.progress))?;
    let peers = Peer::all(args)?;
    let results = run(&peers, &mut console)?;
    let roll = peers.iter().map(|peer| (peer.label, peer.place(), peer.server.clone())).collect();
    conclude(scenario, args.reporting.json, &roll, &results)
}

fn started(args: &StartArgs) -> Result<ExitCode> {
    let mut console = Console::new(Progress::new(args.progress))?;
    let starters = scenarios::start::starters(args)?;
    let results = scenarios::start::run(args, &starters, &mut console)?;
    conclude("start", args.json, &scenarios::start::roll(&starters), &results)
}

fn disk_measured(args: &DiskArgs) -> Result<ExitCode> {
    let mut console = Console::new(Progress::new(args.reporting.progress))?;
    let results = scenarios::disk::run(args, &mut console)?;
    let place = args.directory.display().to_string();
    conclude("disk", args.reporting.json, &vec![("disk", place, "append and sync".to_owned())], &results)
}

fn conclude(scenario: &str, json: bool, roll: &Roll, results: &[CaseResult]) -> Result<ExitCode> {
    let mut out = stdout().lock();
    if json {
        report::document(&mut out, scenario, roll, results)?;
    } else {
        report::tables(&mut out, scenario, roll, results)?;
    }
    let faulty = results.iter().any(CaseResult::any_fault);
    Ok(if faulty { ExitCode::from(FAULTS) } else { ExitCode::SUCCESS })
}

fn relayed(args: &RelayArgs) -> Result<ExitCode> {
    let relay = relay::Relay::bind(args.listen)?;
    writeln!(stdout(), "relay listens on {}", relay.address()?)?;
    if args.with_parent {
        std::thread::spawn(|| {
            let mut rest = Vec::new();
            // whatever ends it, the parent is gone
            _ = stdin().read_to_end(&mut rest);
            std::process::exit(0);
        });
    }
    relay.run(None)?;
    Ok(ExitCode::SUCCESS)
}
