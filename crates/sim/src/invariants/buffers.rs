//! Every buffer stays under its limit: records between shards under their credit, output under where deliveries stop.
//!
//! The simulator's traffic would not meet the true limits in an hour, so half of the seeds set small ones
//! ([`SMALL`]); the other half keeps the true ones, so that nothing rests on the small ones. The limits of a single
//! connection that are not set here (frames that wait for an answer, publishes that are held, lanes) have their tests
//! in `amqp`, `queue` and `shard`.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_link::credit::Cost;
use leveret_model::{Instant, NodeId, ShardAddress, limits};
use leveret_shard::{Bounds, Long};

use crate::scheduler::Dice;

/// What is under way between shards, and the largest output.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) driver: Driver,
    /// How often a client's kernel took only a part.
    pub(crate) parts_written: u64,
    pub(crate) bounds: Bounds,
    /// Messages that a channel may hold (`limits::UNACKED_PER_CHANNEL_MAX`).
    pub(crate) unacked_max: usize,
    /// How often a channel held as many.
    pub(crate) pauses: u64,
    under_way: BTreeMap<(ShardAddress, ShardAddress), Cost>,
    /// How often a window was as good as full, and an output.
    pub(crate) met: u64,
    /// What went over a limit, until it is reported.
    over: Vec<(Instant, String)>,
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
    consumer_messages: 24,
    consumer_bytes: 8 * 1024,
    long: SHORT,
};
/// Queues of the simulator are short: so few make one long.
const SHORT: Long = Long { bytes: 4 * 1024, unacked_bytes: 8 * 1024, messages: 24 };
/// The largest message of a publisher here, with what is around it: one may overshoot the bytes of a bound.
const MESSAGE_BYTES_MAX: usize = 25 * 1024;
/// Replies pass a full output; so much of them is no leak.
const REPLY_BYTES_MAX: usize = 16 * 1024;

impl Buffers {
    /// `more`: dice for what was not drawn from the beginning.
    pub(crate) fn draw(dice: &mut Dice, more: &mut Dice) -> Self {
        let mut bounds = if dice.chance(500) { SMALL } else { Bounds::default() };
        if more.chance(500) {
            bounds.long = SHORT;
        }
        let few = 8 + more.below(25);
        let unacked_max = if more.chance(500) { few } else { limits::UNACKED_PER_CHANNEL_MAX };
        let driver = if more.chance(800) { SMALL_DRIVER } else { Driver::default() };
        Self { bounds, unacked_max, driver, ..Self::default() }
    }

    /// A client got one more message; its channel has so many consumers, and each may still get what its window let through.
    pub(crate) fn holds(&mut self, now: Instant, held: usize, consumers: usize) {
        self.pauses += u64::from(held == self.unacked_max);
        if held > self.unacked_max + consumers * self.bounds.consumer_messages as usize {
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

    pub(crate) fn take_over(&mut self) -> Option<(Instant, String)> {
        self.over.pop()
    }
}
