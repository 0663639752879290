//! Messages at a given rate, open loop: delays count from the intended send time.

use anyhow::Result;

use super::plan::Plan;
use super::round;
use super::{manner, size};
use crate::args::LatencyArgs;
use crate::peer::Peer;
use crate::process::RealTime;
use crate::rounds::{CaseResult, Console, interleave};

/// Measures each rate.
pub(crate) fn run(args: &LatencyArgs, peers: &[Peer], console: &mut Console) -> Result<Vec<CaseResult>> {
    let _real_time = if args.realtime {
        Some(RealTime::start(&peers.iter().flat_map(|peer| peer.pids.clone()).collect::<Vec<_>>())?)
    } else {
        None
    };
    let manner = manner(&args.flow);
    let priority = if args.realtime { ", real-time priority" } else { "" };
    let cases = args.rate.iter().map(|&rate| {
        let name = format!("{} at {rate}/s, {manner}{priority}", size(args.body));
        let plan = Plan {
            producers: 1,
            fan: 1,
            connections: None,
            body: args.body,
            rate: Some(rate),
            flow: &args.flow,
        };
        (name, plan)
    });
    interleave(cases.collect(), peers, args.peers.reporting.rounds, console, round::run)
}
