//! Every buffer stays under its limit: records between shards under their credit, output under where deliveries
//! stop, lanes, deferred frames and held publishes under where a connection is not read any more, and what a
//! channel holds under where its consumers pause.
//!
//! The simulator's traffic would not meet the true limits in an hour, so about half of the seeds set small ones
//! for each kind; the others keep the true ones, so that nothing rests on the small ones.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_link::credit::Cost;
use leveret_model::{Instant, NodeId, ShardAddress, limits};
use leveret_shard::{Bounds, Fullest, Long};

use crate::scheduler::Dice;

/// What is under way between shards, and the largest output.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) driver: Driver,
    /// How often a client's kernel took only a part.
    pub(crate) parts_written: u64,
    pub(crate) bounds: Bounds,
    /// What connections may keep (`leveret_amqp::Config`).
    pub(crate) protocol: Protocol,
    /// How often a lane was full, a channel kept as many frames as it may, and a connection as many messages.
    pub(crate) waits: [u64; 3],
    /// How often a channel held as many.
    pub(crate) pauses: u64,
    under_way: BTreeMap<(ShardAddress, ShardAddress), Cost>,
    /// How often a window was as good as full, and an output.
    pub(crate) met: u64,
    /// What went over a limit, until it is reported.
    over: Vec<(Instant, String)>,
}

/// What a connection may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// Messages that a channel may hold (`limits::UNACKED_PER_CHANNEL_MAX`).
    pub(crate) unacked_max: usize,
    /// `limits::DEFERRED_BYTES_MAX`.
    pub(crate) deferred_max: usize,
    /// `limits::DEFERRED_PER_CONNECTION_BYTES_MAX`.
    pub(crate) deferred_all_max: usize,
    /// `limits::HELD_PUBLISH_BYTES_MAX`.
    pub(crate) held_max: usize,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            unacked_max: limits::UNACKED_PER_CHANNEL_MAX,
            deferred_max: limits::DEFERRED_BYTES_MAX,
            deferred_all_max: limits::DEFERRED_PER_CONNECTION_BYTES_MAX,
            held_max: limits::HELD_PUBLISH_BYTES_MAX,
        }
    }
}

/// What the driver does with sockets of clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driver {
    /// A socket is written so much in one turn (`limits::TURN_WRITE_BYTES_EACH_MIN`).
    pub(crate) turn_write_bytes: usize,
    /// With more output that its kernel does not take (`limits::OUTPUT_UNREAD_BYTES`) …
    pub(crate) unread_bytes: usize,
    /// … for so long (`limits::UNREAD_AFTER`) a client does not read.
    pub(crate) unread_after: Duration,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            turn_write_bytes: limits::TURN_WRITE_BYTES_EACH_MIN,
            unread_bytes: limits::OUTPUT_UNREAD_BYTES,
            unread_after: limits::UNREAD_AFTER,
        }
    }
}

/// So little that each slow reader meets it.
const SMALL_DRIVER: Driver =
    Driver { turn_write_bytes: 1_500, unread_bytes: 64, unread_after: Duration::from_millis(300) };

/// So little that cuts, pauses and clients that do not read fill it.
const SMALL: Bounds = Bounds {
    forward: Cost { records: 64, bytes: 32 * 1024 },
    output_bytes_high: 8 * 1024,
    output_bytes_crowded: 2 * 1024,
    lane_messages: limits::LANE_MESSAGES_MAX,
    lane_bytes: limits::LANE_BYTES_MAX,
    consumer_messages: 24,
    consumer_bytes: 8 * 1024,
    freeze_messages: FREEZE_MESSAGES,
    long: SHORT,
};
/// So few that most queues that move are copied first.
const FREEZE_MESSAGES: u64 = 1;
/// Queues of the simulator are short: so few make one long.
const SHORT: Long = Long { bytes: 4 * 1024, unacked_bytes: 8 * 1024, messages: 24 };
/// The largest message of a publisher here, with what is around it: one may overshoot the bytes of a bound.
const MESSAGE_BYTES_MAX: usize = 25 * 1024;
/// Replies pass a full output; so much of them is no leak.
const REPLY_BYTES_MAX: usize = 16 * 1024;

impl Buffers {
    /// `more`: dice for what was not drawn from the beginning.
    pub(crate) fn draw(dice: &mut Dice, more: &mut Dice) -> Self {
        let large = Bounds { freeze_messages: FREEZE_MESSAGES, ..Bounds::default() };
        let mut bounds = if dice.chance(500) { SMALL } else { large };
        if more.chance(500) {
            bounds.long = SHORT;
        }
        let few = 8 + more.below(25);
        let mut protocol = Protocol::default();
        if more.chance(500) {
            protocol.unacked_max = few;
        }
        let driver = if more.chance(800) { SMALL_DRIVER } else { Driver::default() };
        if more.chance(500) {
            (bounds.lane_messages, bounds.lane_bytes) = (8, 4 * 1024);
        }
        if more.chance(500) {
            (protocol.deferred_max, protocol.deferred_all_max, protocol.held_max) = (600, 900, 300);
        }
        Self { bounds, protocol, driver, ..Self::default() }
    }

    /// A client got one more message; its channel has so many consumers, and each may still get what its window
    /// let through.
    pub(crate) fn holds(&mut self, now: Instant, held: usize, consumers: usize) {
        self.pauses += u64::from(held == self.protocol.unacked_max);
        if held > self.protocol.unacked_max + consumers * self.bounds.consumer_messages as usize {
            self.over.push((now, format!("a channel with {consumers} consumers holds {held} messages")));
        }
    }

    pub(crate) fn link_up(&mut self, own: ShardAddress, node: NodeId) {
        self.under_way.retain(|(from, to), _| *from != own || to.node != node);
    }

    pub(crate) fn sent(&mut self, from: ShardAddress, to: ShardAddress, cost: Cost) {
        let at = self.under_way.entry((from, to)).or_default();
        *at = at.plus(cost);
        let most = self.bounds.forward.plus(Cost { records: 0, bytes: MESSAGE_BYTES_MAX as u64 });
        let is_full = at.records >= self.bounds.forward.records || at.bytes >= self.bounds.forward.bytes;
        self.met += u64::from(is_full);
        if at.records > most.records || at.bytes > most.bytes {
            self.over.push((Instant::ZERO, format!("{at:?} under way from {from:?} to {to:?}")));
        }
    }

    pub(crate) fn processed(&mut self, from: ShardAddress, to: ShardAddress, cost: Cost) {
        if let Some(at) = self.under_way.get_mut(&(from, to)) {
            *at = at.less(cost);
        }
    }

    pub(crate) fn output(&mut self, now: Instant, bytes: usize) {
        self.met += u64::from(bytes >= self.bounds.output_bytes_high);
        // what a home elsewhere sent under the consumer's window passes the mark
        let mark = self.bounds.output_bytes_high + MESSAGE_BYTES_MAX;
        let window = self.bounds.consumer_bytes as usize + MESSAGE_BYTES_MAX;
        if bytes > mark + window + REPLY_BYTES_MAX {
            self.over.push((now, format!("{bytes} bytes of output of one connection")));
        }
    }

    /// What waits in a shard that has read its sockets. One frame or message overshoots the bytes of each
    /// bound.
    pub(crate) fn waits(&mut self, now: Instant, fullest: &Fullest) {
        let Fullest { lane_messages, lane_bytes, waiting } = *fullest;
        let (bounds, protocol) = (&self.bounds, &self.protocol);
        let lane_is_full = lane_messages >= bounds.lane_messages || lane_bytes >= bounds.lane_bytes;
        let defers =
            waiting.deferred_most >= protocol.deferred_max || waiting.deferred >= protocol.deferred_all_max;
        self.waits[0] += u64::from(lane_is_full);
        self.waits[1] += u64::from(defers);
        self.waits[2] += u64::from(waiting.held >= protocol.held_max);
        let bytes_over = |bytes: usize, most: usize| bytes > most + MESSAGE_BYTES_MAX;
        let is_over = lane_messages > bounds.lane_messages
            || lane_bytes > bounds.lane_bytes + MESSAGE_BYTES_MAX as u64
            || bytes_over(waiting.deferred_most, protocol.deferred_max)
            || bytes_over(waiting.deferred, protocol.deferred_all_max)
            || bytes_over(waiting.held, protocol.held_max);
        if is_over {
            self.over.push((now, format!("{fullest:?} with {bounds:?} and {protocol:?}")));
        }
    }

    pub(crate) fn take_over(&mut self) -> Option<(Instant, String)> {
        self.over.pop()
    }
}
