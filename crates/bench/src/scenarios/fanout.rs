//! One publisher, many queues behind a fanout exchange. Figures count deliveries, not publishes.

use anyhow::Result;

use super::flow::{self, Plan};
use super::{manner, size};
use crate::args::FanoutArgs;
use crate::contest::{CaseResult, Stage, compete};
use crate::peer::Peer;

/// Measures each body size.
pub(crate) fn run(args: &FanoutArgs, peers: &[Peer], stage: &mut Stage) -> Result<Vec<CaseResult>> {
    let cases = args.body.iter().map(|&body| {
        let name = format!("{} 1→{} by fanout, {}, deliveries", size(body), args.queues, manner(&args.flow));
        let connections = args.connections;
        (name, Plan { producers: 1, fan: args.queues, connections, body, rate: None, flow: &args.flow })
    });
    compete(cases.collect(), peers, args.peers.reporting.rounds, stage, flow::run)
}
