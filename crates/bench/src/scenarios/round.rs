//! A round in which messages flow: builds queues and connections, has `threads.rs` run both threads, takes
//! all down.
//!
//! Throughput, fan-out and latency are this with other plans. Queues are transient and shared (durable with
//! `--persistent`), have names of their own, are declared by their consumers, and are deleted at the end;
//! messages that are in them then are a fault.

use std::sync::Arc;

use anyhow::{Result, ensure};
use mio::{Poll, Waker};

use super::plan::Plan;
use super::threads::Threads;
use super::topology::Topology;
use crate::client::Client;
use crate::consumer::{Acks, Inlet, Tally};
use crate::counters::Counters;
use crate::payload::Payload;
use crate::peer::Peer;
use crate::process::raise_file_limit;
use crate::publisher::{Outlet, Route, WAKE};
use crate::rounds::{Console, Outcome};

/// Runs one round.
pub(super) fn run(plan: &Plan<'_>, peer: &Peer, console: &mut Console) -> Result<Outcome> {
    let queues = plan.producers * plan.fan;
    let shift = plan.shift(peer);
    raise_file_limit(u64::from(queues + plan.producers + shift) + 64)?;
    if let Acks::Every(every) = plan.acks() {
        ensure!(
            plan.flow.prefetch == 0 || every <= u32::from(plan.flow.prefetch),
            "--ack-every {every} is more than --prefetch {}: nothing would ever be acknowledged",
            plan.flow.prefetch
        );
    }
    let mut topology = Topology::new(peer, queues, plan.fan > 1);
    let payloads: Vec<_> = (0..plan.producers).map(|id| Arc::new(Payload::new(id + 1, plan.body))).collect();
    let inlets = open_inlets(plan, &topology, &payloads)?;
    let bystanders = (0..shift).map(|_| Client::connect(&peer.publish_url, 0)).collect::<Result<Vec<_>>>()?;
    let outlets = open_outlets(plan, &topology, &payloads)?;

    let (publisher_poll, consumer_poll) = (Poll::new()?, Poll::new()?);
    let wakers = (Waker::new(publisher_poll.registry(), WAKE)?, Waker::new(consumer_poll.registry(), WAKE)?);
    let counters = Counters::new(plan.fan.into(), plan.backlog(), wakers.0, wakers.1);
    let finished = std::thread::scope(|scope| {
        let threads =
            Threads::start(scope, plan, &counters, (publisher_poll, outlets), (consumer_poll, inlets));
        threads.watch(plan, peer, &counters, console)
    })?;
    drop(bystanders);
    finished.close(plan, peer, &mut topology)
}

fn open_inlets(plan: &Plan<'_>, topology: &Topology<'_>, payloads: &[Arc<Payload>]) -> Result<Vec<Inlet>> {
    let (url, queues) = (&topology.peer.url, topology.queues.len());
    let connections = plan.connections.map_or(queues, |wanted| queues.min(wanted as usize));
    let mut inlets = Vec::new();
    for first in 0..connections {
        let mut client = Client::connect(url, 0)?;
        let mut tallies = Vec::new();
        for (queue, channel) in (first..queues).step_by(connections).zip(1..) {
            let name = &topology.queues[queue];
            client.open_channel(channel)?;
            client.declare_queue(channel, name, plan.flow.persistent)?;
            if let Some(exchange) = &topology.exchange {
                if queue == 0 {
                    client.declare_fanout(channel, exchange)?;
                }
                client.bind(channel, name, exchange)?;
            }
            if plan.acks() != Acks::Auto {
                client.qos(channel, plan.flow.prefetch)?;
            }
            client.consume(channel, name, plan.acks() == Acks::Auto)?;
            tallies.push(Tally::new(payloads[queue / plan.fan as usize].clone()));
        }
        inlets.push(Inlet::new(client.into_parts(), tallies));
    }
    Ok(inlets)
}

fn open_outlets(plan: &Plan<'_>, topology: &Topology<'_>, payloads: &[Arc<Payload>]) -> Result<Vec<Outlet>> {
    let mut outlets = Vec::new();
    for (payload, queue) in payloads.iter().zip(&topology.queues) {
        let mut client = Client::connect(&topology.peer.publish_url, 0)?;
        client.open_channel(1)?;
        if plan.confirm() {
            client.confirm_select(1)?;
        }
        let (exchange, key) =
            topology.exchange.as_deref().map_or(("", queue.as_str()), |exchange| (exchange, ""));
        let route = Route { exchange, key, persistent: plan.flow.persistent };
        let frame_max = client.frame_max;
        outlets.push(Outlet::new(client.into_parts(), payload.clone(), &route, frame_max, plan.confirm()));
    }
    Ok(outlets)
}
