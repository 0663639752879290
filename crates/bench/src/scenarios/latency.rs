//! Messages at a given rate, open loop: delays count from the intended send time.

use anyhow::Result;

use super::flow::{self, Plan};
use super::{manner, size};
use crate::args::LatencyArgs;
use crate::contest::{CaseResult, Stage, compete};
use crate::peer::Peer;
use crate::process::RealTime;

/// Measures each rate.
pub(crate) fn run(args: &LatencyArgs, peers: &[Peer], stage: &mut Stage) -> Result<Vec<CaseResult>> {
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
    compete(cases.collect(), peers, args.peers.reporting.rounds, stage, flow::run)
}
