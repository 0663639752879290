//! Connections that come and go: handshake, a channel, goodbye; one after the other.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::args::ChurnArgs;
use crate::client::Client;
use crate::peer::Peer;
use crate::rounds::{CaseResult, Console, Outcome, interleave};

/// Measures one case.
pub(crate) fn run(args: &ChurnArgs, peers: &[Peer], console: &mut Console) -> Result<Vec<CaseResult>> {
    let name = format!("connect, channel, close: {} times", args.connections);
    interleave(vec![(name, ())], peers, args.peers.reporting.rounds, console, |(), peer, console| {
        round(args, peer, console)
    })
}

fn round(args: &ChurnArgs, peer: &Peer, console: &mut Console) -> Result<Outcome> {
    let before = peer.usage()?;
    let started = Instant::now();
    for number in 1..=args.connections {
        let cycle = || -> Result<()> {
            let mut client = Client::connect(&peer.url, 0)?;
            client.open_channel(1)?;
            client.close_channel(1)?;
            client.close()
        };
        cycle().with_context(|| format!("connection {number}"))?;
        console.go_on()?;
        console.progress.show(format_args!("{number} connections"));
    }
    let elapsed = started.elapsed().as_secs_f64();
    let mut outcome = Outcome::default();
    if !peer.pids.is_empty() {
        let cpu = peer.usage()?.cpu_since(&before).as_secs_f64();
        outcome.push("server CPU, ms each", cpu * 1e3 / f64::from(args.connections));
    }
    outcome.push("connections/s", f64::from(args.connections) / elapsed);
    Ok(outcome)
}
