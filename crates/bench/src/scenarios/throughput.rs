//! As many messages as the broker takes: n publishers, each with a queue and a consumer of its own.

use anyhow::Result;

use super::flow::{self, Plan};
use super::{manner, size};
use crate::args::ThroughputArgs;
use crate::contest::{CaseResult, Stage, compete};
use crate::peer::Peer;

/// Measures each body size with each number of pairs.
pub(crate) fn run(args: &ThroughputArgs, peers: &[Peer], stage: &mut Stage) -> Result<Vec<CaseResult>> {
    let mut cases = Vec::new();
    for &pairs in &args.pairs {
        for &body in &args.body {
            let name = format!("{} {pairs}→{pairs}, {}", size(body), manner(&args.flow));
            let plan =
                Plan { producers: pairs, fan: 1, connections: None, body, rate: None, flow: &args.flow };
            cases.push((name, plan));
        }
    }
    compete(cases, peers, args.peers.reporting.rounds, stage, flow::run)
}
