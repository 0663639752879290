//! What flows in a round, from whom, to how many queues, and how fast.

use crate::args::{AckMode, FlowArgs};
use crate::consumer::Acks;
use crate::peer::Peer;

/// Deliveries to come at most, by default: bytes of their bodies, and number. Generous, as RabbitMQ gets
/// cheaper per message the more of them wait.
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
    pub(super) fn shift(&self, peer: &Peer) -> u32 {
        let shift = &self.flow.shift;
        shift.get(peer.index).or(shift.last()).copied().unwrap_or_default()
    }

    pub(super) fn backlog(&self) -> u64 {
        let deliveries = ((BACKLOG_BYTES / self.body) as u64).min(BACKLOG_DELIVERIES);
        self.flow.max_backlog.unwrap_or((deliveries / u64::from(self.fan)).max(BACKLOG_MESSAGES_MIN))
    }
}
