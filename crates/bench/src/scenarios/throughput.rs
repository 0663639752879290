//! As many messages as the broker takes: n publishers, each with a queue and a consumer of its own.

use anyhow::Result;

use super::plan::Plan;
use super::round;
use super::{manner, size};
use crate::args::ThroughputArgs;
use crate::peer::Peer;
use crate::rounds::{CaseResult, Console, interleave};

/// Measures each body size with each number of pairs.
pub(crate) fn run(args: &ThroughputArgs, peers: &[Peer], console: &mut Console) -> Result<Vec<CaseResult>> {
    let mut cases = Vec::new();
    for &pairs in &args.pairs {
        for &body in &args.body {
            let name = format!("{} {pairs}→{pairs}, {}", size(body), manner(&args.flow));
            let plan =
                Plan { producers: pairs, fan: 1, connections: None, body, rate: None, flow: &args.flow };
            cases.push((name, plan));
        }
    }
    interleave(cases, peers, args.peers.reporting.rounds, console, round::run)
}
