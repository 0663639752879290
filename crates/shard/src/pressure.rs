//! Publishers that wait because memory is short.
//!
//! In three stages ([`Pressure`]). When memory is tight, who publishes to a queue that is long waits until that queue is
//! short again or memory is not tight; so a flood ends before it is anybody else's, and who has its messages consumed
//! goes on. When it is full every queue counts as long, and every publisher waits; when it is over, who publishes all the
//! same is closed sooner. The home of a queue tells the shards
//! that publish to it (`Record::Throttle`), so it is the same for publishers on other nodes. What is on its way to a queue
//! elsewhere counts like a queue: its home may be slow to say anything.
//!
//! Who waits is not read; but while it holds deliveries it is read a little, for its acks make room. It may publish so
//! meanwhile, up to a bound.
//!
//! Invariants: a queue that `throttles` is in `throttling`, once; a connection with `waits_for` has been told
//! connection.blocked if it can take it; a handle in `waits_for` whose queue does not throttle is gone at the end of the
//! turn.

use alloc::format;

use leveret_link::record::Record;
use leveret_model::{ConnectionKey, NodeId, QueueHandle, QueueId, ReplyCode, ShardAddress, limits};
use leveret_queue::{OutLane, Queue};

use crate::bounds::Long;
use crate::broker::Broker;
use crate::connections::ClientConnection;
use crate::places::{Entry, Place};
use crate::shard::{ReadInterest, Shard};

/// How short the node is of memory for messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Everyone publishes.
    #[default]
    Calm,
    /// Publishers of long queues wait.
    Tight,
    /// All publishers wait.
    Full,
    /// And it grows all the same: who publishes on while it waits is closed sooner.
    Over,
}

impl Pressure {
    /// Do publishers of this queue wait? hot.
    #[inline]
    pub(crate) fn finds_long(self, queue: &Queue, long: &Long) -> bool {
        match self {
            Self::Calm => false,
            Self::Tight => is_long(queue, long, 1),
            Self::Full | Self::Over => true,
        }
    }

    /// Do publishers wait for what is on its way to a queue elsewhere? hot.
    #[inline]
    pub(crate) fn finds_full<T>(self, lane: &OutLane<T>, long: &Long) -> bool {
        self != Self::Calm && is_full(lane, long, 1)
    }

    /// Do they still, once they do? Half of what made it long.
    fn still_finds_long(self, queue: &Queue, long: &Long) -> bool {
        match self {
            Self::Calm => false,
            Self::Tight => is_long(queue, long, 2),
            Self::Full | Self::Over => true,
        }
    }
}

/// Longer than a part of the bounds. What consumers hold counts too.
#[cold]
fn is_long(queue: &Queue, long: &Long, part: u64) -> bool {
    queue.ready_bytes() >= long.bytes / part
        || queue.unacked_bytes() >= long.unacked_bytes / part
        || queue.ready() + queue.unacked() >= long.messages / part
}

fn is_full<T>(lane: &OutLane<T>, long: &Long, part: u64) -> bool {
    lane.bytes() >= long.bytes / part || lane.len() as u64 >= long.messages / part
}

impl Broker {
    /// A connection published to a queue that throttles.
    #[cold]
    pub(crate) fn outruns(&mut self, connection: ConnectionKey, handle: QueueHandle) {
        let throttles = match self.places.get_mut(handle).map(|entry| &mut entry.place) {
            Some(Place::Home(home)) => &mut home.throttles,
            Some(Place::Away(away)) if self.pressure.finds_full(&away.lane, &self.bounds.long) => {
                &mut away.throttles
            }
            // its home will say when that ends
            _ => &mut true,
        };
        if !core::mem::replace(throttles, true) {
            self.throttling.push(handle);
        }
        let meta = self.meta_mut(connection);
        if !meta.waits_for.contains(&handle) {
            meta.waits_for.push(handle);
            self.begin_waiting.push(connection);
        }
    }

    /// A shard elsewhere published to a queue here that throttles.
    #[cold]
    pub(crate) fn throttle(&mut self, handle: QueueHandle, from: ShardAddress) {
        let Some(Entry { id, place: Place::Home(home) }) = self.places.get_mut(handle) else { return };
        if !home.throttles {
            home.throttles = true;
            self.throttling.push(handle);
        }
        if !home.told.contains(&from) {
            home.told.push(from);
            self.outboxes.push(from, &Record::Throttle { queue: *id, on: true });
        }
    }

    /// The home of a queue elsewhere says whether its publishers are to wait.
    pub(crate) fn on_throttle(&mut self, queue: QueueId, on: bool) {
        let Some((_, away)) = self.places.away_mut(queue) else { return };
        away.throttled = on;
        self.release_due |= !on;
    }

    /// What was said on a link that is gone does not count any more.
    pub(crate) fn forget_throttles(&mut self, node: NodeId) {
        for (_, entry) in self.places.iter_mut() {
            match &mut entry.place {
                Place::Home(home) => home.told.retain(|shard| shard.node != node),
                Place::Away(away) if away.home.node == node => away.throttled = false,
                Place::Away(_) => {}
            }
        }
        self.release_due = true;
    }

    /// Queues that are short again throttle no more.
    fn end_throttles(&mut self) {
        let (pressure, long) = (self.pressure, self.bounds.long);
        let mut throttling = core::mem::take(&mut self.throttling);
        throttling.retain(|handle| {
            match self.places.get_mut(*handle) {
                Some(Entry { place: Place::Away(away), .. }) => {
                    away.throttles = pressure != Pressure::Calm && is_full(&away.lane, &long, 2);
                    self.release_due |= !away.throttles;
                    return away.throttles;
                }
                Some(Entry { id, place: Place::Home(home) }) => {
                    home.throttles = !home.closed && pressure.still_finds_long(&home.queue, &long);
                    if home.throttles {
                        return true;
                    }
                    for shard in home.told.drain(..) {
                        self.outboxes.push(shard, &Record::Throttle { queue: *id, on: false });
                    }
                }
                None => {}
            }
            self.release_due = true;
            false
        });
        self.throttling = throttling;
    }

    /// Does the queue make its publishers wait? One that is gone does not.
    fn throttles(&self, handle: QueueHandle) -> bool {
        match self.places.get(handle).map(|entry| &entry.place) {
            Some(Place::Home(home)) => home.throttles,
            Some(Place::Away(away)) => away.throttled || away.throttles,
            None => false,
        }
    }
}

impl Shard {
    /// How short the node is of memory for messages.
    pub fn on_memory(&mut self, pressure: Pressure) {
        self.broker.pressure = pressure;
        self.broker.release_due = true;
        for key in self.connections.keys() {
            self.note_waiting(key);
        }
    }

    /// Is the connection's socket to be read? Ask again when it was touched, and after [`Shard::on_memory`].
    #[must_use]
    pub fn read_interest(&mut self, key: ConnectionKey) -> ReadInterest {
        let Some(connection) = self.connections.get(key).filter(|connection| connection.wants_read()) else {
            return ReadInterest::Stop;
        };
        match self.waits(key, connection) {
            false => ReadInterest::Read,
            true if connection.holds_unacked() => ReadInterest::Trickle,
            true => ReadInterest::Stop,
        }
    }

    /// True while it waits for memory.
    #[must_use]
    pub fn is_throttled(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_some_and(|connection| self.waits(key, connection))
    }

    fn waits(&self, key: ConnectionKey, connection: &ClientConnection) -> bool {
        // who only consumes does not wait (RabbitMQ: blocked connections)
        let all = self.broker.pressure >= Pressure::Full && connection.published_bytes() > 0;
        all || !self.broker.meta(key).waits_for.is_empty()
    }

    /// Whether a connection waits may have changed: it is told, and what it publishes meanwhile is bounded.
    #[cold]
    pub(crate) fn note_waiting(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key) else { return };
        let (waits, published) = (self.waits(key, connection), connection.published_bytes());
        let published_max = match self.broker.pressure {
            Pressure::Over => limits::PUBLISHED_WHILE_OVER_BYTES_MAX,
            _ => limits::PUBLISHED_WHILE_WAITING_BYTES_MAX,
        };
        let Some(connection) = self.connections.get_mut(key) else { return };
        let meta = self.broker.meta_mut(key);
        match (waits, meta.waits_since) {
            (true, None) => {
                meta.waits_since = Some(published);
                connection.block(ALARM);
            }
            (true, Some(before)) if published - before > published_max => {
                let text = format!("published {published_max} bytes while the broker was low on memory");
                return self.close(key, ReplyCode::ConnectionForced, &text);
            }
            (false, Some(_)) => {
                meta.waits_since = None;
                connection.unblock();
                self.broker.forgive_kept(key);
            }
            _ => return,
        }
        self.connections.touch(key);
    }

    /// The end of the turn: who need not wait any more goes on.
    pub(crate) fn release_waiting(&mut self) {
        while let Some(key) = self.broker.begin_waiting.pop() {
            self.note_waiting(key);
        }
        if !self.broker.throttling.is_empty() {
            self.broker.end_throttles();
        }
        if !core::mem::take(&mut self.broker.release_due) {
            return;
        }
        for key in self.connections.keys() {
            let mut waits_for = core::mem::take(&mut self.broker.meta_mut(key).waits_for);
            waits_for.retain(|handle| self.broker.throttles(*handle));
            self.broker.meta_mut(key).waits_for = waits_for;
            self.note_waiting(key);
        }
    }
}

/// The reason in connection.blocked (RabbitMQ's words).
const ALARM: &str = "low on memory";
