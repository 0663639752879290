//! Connections with a channel each that do nothing: what one keeps in memory, and what all cost in CPU.
//!
//! Memory is what the server has grown by since the scenario began: start it anew for a figure that stands.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::args::IdleArgs;
use crate::client::Client;
use crate::clock;
use crate::peer::Peer;
use crate::process::raise_file_limit;
use crate::rounds::{CaseResult, Console, Outcome, interleave};

/// How often the user is heard and progress shown.
const LOOK: Duration = Duration::from_millis(200);

/// Measures one case.
pub(crate) fn run(args: &IdleArgs, peers: &[Peer], console: &mut Console) -> Result<Vec<CaseResult>> {
    ensure!(
        peers.iter().all(|peer| !peer.pids.is_empty()),
        "idle connections cost memory and CPU of the server: name its process by --pid, once for each --url"
    );
    raise_file_limit(u64::from(args.connections) + 64)?;
    let name =
        format!("{} idle connections with a channel, heartbeat {} s", args.connections, args.heartbeat);
    // from before the first round: later ones find memory that the server has kept for itself
    let empty = peers.iter().map(|peer| Ok((peer.label, peer.usage()?.rss_bytes))).collect::<Result<_>>()?;
    interleave(vec![(name, empty)], peers, args.peers.reporting.rounds, console, |empty, peer, console| {
        round(args, peer, empty, console)
    })
}

fn round(
    args: &IdleArgs,
    peer: &Peer,
    empty: &BTreeMap<&'static str, u64>,
    console: &mut Console,
) -> Result<Outcome> {
    let before = empty.get(peer.label).copied().unwrap_or_default();
    let mut clients = Vec::new();
    for number in 1..=args.connections {
        let mut client =
            Client::connect(&peer.url, args.heartbeat).with_context(|| format!("connection {number}"))?;
        client.open_channel(1)?;
        clients.push(client);
        console.go_on()?;
        console.progress.show(format_args!("{number} connections"));
    }
    rest(args.settle, args.heartbeat, &mut clients, console)?;
    let settled = peer.usage()?;
    let started = Instant::now();
    rest(args.seconds, args.heartbeat, &mut clients, console)?;
    let elapsed = started.elapsed();
    let end = peer.usage()?;

    let mut outcome = Outcome::default();
    let grown = end.rss_bytes as f64 - before as f64;
    outcome.push("RSS per connection, KiB", grown / 1024.0 / f64::from(args.connections));
    let cpu = end.cpu_since(&settled).as_secs_f64();
    outcome.push("CPU of all, % of a core", cpu / elapsed.as_secs_f64() * 100.0);
    outcome.push("server RSS, MiB", end.rss_bytes as f64 / f64::from(1 << 20));
    for client in clients {
        client.close()?;
    }
    Ok(outcome)
}

/// Waits, with a heartbeat on every connection in time.
fn rest(duration: Duration, heartbeat: u16, clients: &mut [Client], console: &mut Console) -> Result<()> {
    let started = Instant::now();
    let mut beaten = started;
    while let Some(left) = duration.checked_sub(started.elapsed()) {
        clock::wait(left.min(LOOK));
        console.go_on()?;
        console.progress.show(format_args!(
            "{} connections at rest, {:.0} s to go",
            clients.len(),
            left.as_secs_f64()
        ));
        if heartbeat > 0 && beaten.elapsed() >= Duration::from_secs(heartbeat.into()) / 2 {
            beaten = Instant::now();
            clients.iter_mut().try_for_each(Client::heartbeat)?;
        }
    }
    Ok(())
}
