//! A round in which messages flow: builds queues and connections, has `watch.rs` run both threads, takes all down.
//!
//! Throughput, fan-out and latency are this with other plans. Queues are transient and shared (durable with
//! `--persistent`), have names of their own, are declared by their consumers, and are deleted at the end; messages
//! that are in them then are a fault.

use std::sync::Arc;

use anyhow::{Result, ensure};
use mio::{Poll, Waker};

use super::place::Place;
use super::watch::Threads;
use crate::args::{AckMode, FlowArgs};
use crate::client::Client;
use crate::consumer::{Acks, Inlet, Tally};
use crate::contest::{Outcome, Stage};
use crate::gauge::Gauge;
use crate::payload::Payload;
use crate::peer::Peer;
use crate::process::raise_file_limit;
use crate::publisher::{Outlet, Route, WAKE};

/// Deliveries to come at most, by default: bytes of their bodies, and number. Generous, as RabbitMQ gets cheaper per
/// message the more of them wait.
const BACKLOG_BYTES: usize = 32 << 20;
const BACKLOG_DELIVERIES: u64 = 50_000;
/// Never fewer messages than this.
const BACKLOG_MESSAGES_MIN: u64 = 64;

/// What flows where.
pub(super) struct Plan<'a> {
    /// Publishers.
    pub(super) producers: u32,
    /// Queues that each publisher's messages go to.
    pub(super) fan: u32,
    /// Connections that consumers share; one each if `None`.
    pub(super) connections: Option<u32>,
    /// Body size.
    pub(super) body: usize,
    /// Messages per second; as many as the broker takes if `None`.
    pub(super) rate: Option<u32>,
    /// The rest.
    pub(super) flow: &'a FlowArgs,
}

impl Plan<'_> {
    /// How deliveries are acknowledged.
    pub(super) fn acks(&self) -> Acks {
        match self.flow.ack {
            AckMode::Auto => Acks::Auto,
            AckMode::Confirm => Acks::Every(self.flow.ack_every),
        }
    }

    /// Whether publishes are confirmed.
    pub(super) fn confirm(&self) -> bool {
        self.flow.ack == AckMode::Confirm
    }

    /// Connections between the consumers and the publishers of that peer.
    fn shift(&self, peer: &Peer) -> u32 {
        let shift = &self.flow.shift;
        shift.get(peer.index).or(shift.last()).copied().unwrap_or_default()
    }

    fn backlog(&self) -> u64 {
        let deliveries = ((BACKLOG_BYTES / self.body) as u64).min(BACKLOG_DELIVERIES);
        self.flow.max_backlog.unwrap_or((deliveries / u64::from(self.fan)).max(BACKLOG_MESSAGES_MIN))
    }
}

/// Runs one round.
pub(super) fn run(plan: &Plan<'_>, peer: &Peer, stage: &mut Stage) -> Result<Outcome> {
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
    let mut place = Place::new(peer, queues, plan.fan > 1);
    let payloads: Vec<_> = (0..plan.producers).map(|id| Arc::new(Payload::new(id + 1, plan.body))).collect();
    let inlets = open_inlets(plan, &place, &payloads)?;
    let bystanders = (0..shift).map(|_| Client::connect(&peer.publish_url, 0)).collect::<Result<Vec<_>>>()?;
    let outlets = open_outlets(plan, &place, &payloads)?;

    let (publisher_poll, consumer_poll) = (Poll::new()?, Poll::new()?);
    let wakers = (Waker::new(publisher_poll.registry(), WAKE)?, Waker::new(consumer_poll.registry(), WAKE)?);
    let gauge = Gauge::new(plan.fan.into(), plan.backlog(), wakers.0, wakers.1);
    let finished = std::thread::scope(|scope| {
        let threads = Threads::start(scope, plan, &gauge, (publisher_poll, outlets), (consumer_poll, inlets));
        threads.watch(plan, peer, &gauge, stage)
    })?;
    drop(bystanders);
    finished.close(plan, peer, &mut place)
}

fn open_inlets(plan: &Plan<'_>, place: &Place<'_>, payloads: &[Arc<Payload>]) -> Result<Vec<Inlet>> {
    let (url, queues) = (&place.peer.url, place.queues.len());
    let connections = plan.connections.map_or(queues, |wanted| queues.min(wanted as usize));
    let mut inlets = Vec::new();
    for first in 0..connections {
        let mut client = Client::connect(url, 0)?;
        let mut tallies = Vec::new();
        for (queue, channel) in (first..queues).step_by(connections).zip(1..) {
            let name = &place.queues[queue];
            client.open_channel(channel)?;
            client.declare_queue(channel, name, plan.flow.persistent)?;
            if let Some(exchange) = &place.exchange {
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

fn open_outlets(plan: &Plan<'_>, place: &Place<'_>, payloads: &[Arc<Payload>]) -> Result<Vec<Outlet>> {
    let mut outlets = Vec::new();
    for (payload, queue) in payloads.iter().zip(&place.queues) {
        let mut client = Client::connect(&place.peer.publish_url, 0)?;
        client.open_channel(1)?;
        if plan.confirm() {
            client.confirm_select(1)?;
        }
        let (exchange, key) =
            place.exchange.as_deref().map_or(("", queue.as_str()), |exchange| (exchange, ""));
        let route = Route { exchange, key, persistent: plan.flow.persistent };
        let frame_max = client.frame_max;
        outlets.push(Outlet::new(client.into_parts(), payload.clone(), &route, frame_max, plan.confirm()));
    }
    Ok(outlets)
}
