//! One publisher, many queues behind a fanout exchange. Figures count deliveries, not publishes.

use anyhow::Result;

use super::plan::Plan;
use super::round;
use super::{manner, size};
use crate::args::FanoutArgs;
use crate::peer::Peer;
use crate::rounds::{CaseResult, Console, interleave};

/// Measures each body size.
pub(crate) fn run(args: &FanoutArgs, peers: &[Peer], console: &mut Console) -> Result<Vec<CaseResult>> {
    let cases = args.body.iter().map(|&body| {
        let name = format!("{} 1→{} by fanout, {}, deliveries", size(body), args.queues, manner(&args.flow));
        let connections = args.connections;
        (name, Plan { producers: 1, fan: args.queues, connections, body, rate: None, flow: &args.flow })
    });
    interleave(cases.collect(), peers, args.peers.reporting.rounds, console, round::run)
}
