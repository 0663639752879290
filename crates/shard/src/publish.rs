//! The way in: from a complete publish to the queues that it goes to.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_amqp::host::{Publish, Published};
use leveret_auth::Access;
use leveret_link::record::LaneTarget;
use leveret_model::{ChannelKey, ConnectionKey, QueueHandle, Refusal, ReplyCode, limits, refusals};
use leveret_route::{ExchangeId, MessageHeaders, VhostId};

use crate::broker::Broker;
use crate::operations::no_vhost;
use crate::places::{Entry, Owed, Place};

/// Routes that a channel remembers; a power of two.
const CACHE_SLOTS: usize = 8;

/// What the broker keeps for an open channel: its route cache, made at the first publish.
#[derive(Debug, Default)]
pub(crate) struct ChannelState {
    cache: Option<Box<[CachedRoute; CACHE_SLOTS]>>,
}

/// Where a message with this address goes, while the generation of its exchange is unchanged. That a client may write to
/// the exchange holds for the life of its connection.
#[derive(Debug, Default)]
struct CachedRoute {
    exchange: Option<ExchangeId>,
    /// Of the exchange, when the route was found.
    generation: u64,
    /// Of the whole table, when the route was last known to be good: while it is unchanged so is the exchange's.
    table_generation: u64,
    /// Exchange and key as they came; empty for an unused slot (an address is never empty).
    address: Vec<u8>,
    /// Rests on the map alone, not on bindings: good without a lease.
    by_name: bool,
    targets: Vec<QueueHandle>,
}

/// What routing says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// The targets are those of this slot of the cache.
    Cached(usize),
    /// The targets are in `Broker::targets`.
    Uncached,
    /// It cannot be known now.
    NotNow,
}

impl Broker {
    /// A message from a client of this shard. hot.
    pub(crate) fn publish(
        &mut self,
        channel: ChannelKey,
        state: &mut ChannelState,
        publish: &Publish<'_>,
    ) -> Result<Published, Refusal> {
        if publish.number.is_some() && publish.arrived < self.masked_at && self.lost_a_home(channel, publish)
        {
            self.traffic.given_up += 1;
            return Ok(Published::GivenUp);
        }
        let cache = state.cache.get_or_insert_with(Box::default);
        match self.route(channel, cache, publish)? {
            Route::Cached(slot) => {
                let published = self.publish_to(channel, &cache[slot].targets, publish);
                if self.routed.is_some() {
                    self.note_routed(channel, publish, &cache[slot].targets, published);
                }
                Ok(published)
            }
            Route::Uncached => {
                let targets = core::mem::take(&mut self.targets);
                let published = self.publish_to(channel, &targets, publish);
                if self.routed.is_some() {
                    self.note_routed(channel, publish, &targets, published);
                }
                self.targets = targets;
                Ok(published)
            }
            Route::NotNow => Ok(self.hold(channel, publish)),
        }
    }

    /// hot.
    #[inline(always)]
    fn publish_to(
        &mut self,
        channel: ChannelKey,
        targets: &[QueueHandle],
        publish: &Publish<'_>,
    ) -> Published {
        if let [handle] = targets
            && let Some(Entry { place: Place::Home(home), .. }) = self.places.get_mut(*handle)
            && !home.closed
        {
            let body_len = publish.body.len();
            let message = self.arena.insert(&publish.message(), 1);
            home.queue.append(message, body_len);
            let long = self.pressure.finds_long(&home.queue, &self.bounds.long);
            if home.queue.touch() {
                self.dirty.push(*handle);
            }
            self.traffic.published_here += 1;
            if long {
                self.outruns(channel.connection, *handle);
            }
            return Published::Settled;
        }
        self.publish_to_many(channel, targets, publish)
    }

    /// To none, to several, or to one elsewhere. hot.
    #[inline(never)]
    fn publish_to_many(
        &mut self,
        channel: ChannelKey,
        targets: &[QueueHandle],
        publish: &Publish<'_>,
    ) -> Published {
        if targets.is_empty() {
            if publish.mandatory {
                return Published::Unroutable;
            }
            self.traffic.unroutable += 1;
            return Published::Settled;
        }
        if !self.lanes_have_room(targets) {
            return self.hold(channel, publish);
        }
        self.enqueue(channel, targets, publish)
    }

    /// Puts a message into every queue that it goes to. hot.
    fn enqueue(&mut self, channel: ChannelKey, targets: &[QueueHandle], publish: &Publish<'_>) -> Published {
        let publisher = publish.number.map(|number| (channel, number));
        let due = publish.arrived + limits::PUBLISH_WAIT;
        let body_len = publish.body.len();
        let message = self.arena.insert(&publish.message(), targets.len() as u32);
        let shared = targets.len() > 1;
        let mut elsewhere = 0u32;
        self.last_publish.0 += 1;
        let serial = self.last_publish;
        for handle in targets {
            let mut long = false;
            match self.places.get_mut(*handle) {
                #[cfg(feature = "planted")]
                Some(Entry { place: Place::Home(home), .. })
                    if self.planted == Some(crate::planted::Planted::LostCopy)
                        && shared
                        && !home.closed
                        && serial.0.is_multiple_of(10) =>
                {
                    self.arena.release(message);
                }
                Some(Entry { place: Place::Home(home), .. }) if !home.closed => {
                    home.queue.append(message, body_len);
                    long = self.pressure.finds_long(&home.queue, &self.bounds.long);
                    if home.queue.touch() {
                        self.dirty.push(*handle);
                    }
                    self.traffic.published_here += 1;
                }
                Some(Entry { id, place: Place::Away(away) }) => {
                    elsewhere += 1;
                    let owed = Owed { message, publisher, shared, given_up: false };
                    let sequence = away.lane.push(owed, body_len as u64, due);
                    long = away.throttled || self.pressure.finds_full(&away.lane, &self.bounds.long);
                    let target = LaneTarget { queue: *id, sequence, base: away.lane.base() };
                    let outbox = self.outboxes.at(away.outbox);
                    outbox.push_shared_publish(serial, target, || self.arena.get(message));
                    self.wait_deadline = self.wait_deadline.min(due);
                    self.traffic.published_away += 1;
                }
                // deleted, or about to be: it counts as not matched
                _ => self.arena.release(message),
            }
            if long {
                self.outruns(channel.connection, *handle);
            }
        }
        if elsewhere == 0 {
            return Published::Settled;
        }
        if let Some(publisher) = publisher
            && shared
        {
            self.owed.insert(publisher, elsewhere);
        }
        Published::Owed
    }

    /// The queues for a publish: from the channel's cache, else from the table. hot.
    fn route(
        &mut self,
        channel: ChannelKey,
        cache: &mut [CachedRoute; CACHE_SLOTS],
        publish: &Publish<'_>,
    ) -> Result<Route, Refusal> {
        let slot = slot_of(publish.address);
        let cached = &mut cache[slot];
        if cached.address == publish.address && self.is_good(cached) {
            return Ok(if cached.by_name || self.has_lease() { Route::Cached(slot) } else { Route::NotNow });
        }
        self.find_route(channel, cached, publish).map(|found| found.unwrap_or(Route::Cached(slot)))
    }

    /// hot.
    fn is_good(&self, cached: &mut CachedRoute) -> bool {
        let Some(exchange) = cached.exchange else { return false };
        let table_generation = self.table.generation();
        if cached.table_generation == table_generation {
            return true;
        }
        let good = cached.generation == self.table.generation_of(exchange);
        if good {
            cached.table_generation = table_generation;
        }
        good
    }

    /// Asks the table, and puts the answer into the slot of the cache; `None` if it is there then.
    #[inline(never)]
    fn find_route(
        &mut self,
        channel: ChannelKey,
        cached: &mut CachedRoute,
        publish: &Publish<'_>,
    ) -> Result<Option<Route>, Refusal> {
        let Some(vhost) = self.meta(channel.connection).vhost else {
            return Err(no_vhost());
        };
        cached.exchange = None;
        let name = String::from_utf8_lossy(publish.exchange);
        self.authorize(channel.connection, Access::Write, "exchange", &name)?;
        let exchange = if publish.exchange.is_empty() {
            let queue = self.table.queue(vhost, publish.routing_key).filter(|queue| !queue.masked);
            let found = queue.map(|queue| (queue.record.id, queue.record.home));
            if found.is_none() && !self.has_lease() {
                return Ok(Some(Route::NotNow));
            }
            cached.by_name = found.is_some();
            cached.targets.clear();
            cached.targets.extend(found.map(|(id, home)| self.place(id, home)));
            self.table.exchange(vhost, b"")
        } else {
            if !self.has_lease() {
                return Ok(Some(Route::NotNow));
            }
            let exchange = self.route_by_bindings(vhost, publish)?;
            if self.table.depends_on_headers(exchange) {
                return Ok(Some(Route::Uncached));
            }
            cached.by_name = false;
            core::mem::swap(&mut cached.targets, &mut self.targets);
            Some(exchange)
        };
        cached.generation = exchange.map_or(0, |exchange| self.table.generation_of(exchange));
        cached.table_generation = self.table.generation();
        cached.exchange = exchange;
        cached.address.clear();
        cached.address.extend_from_slice(publish.address);
        Ok(None)
    }

    /// The exchange that a client publishes to.
    fn exchange_of_publish(&self, vhost: VhostId, name: &[u8]) -> Result<ExchangeId, Refusal> {
        let shown = || String::from_utf8_lossy(name);
        let Some(exchange) = self.table.exchange(vhost, name) else {
            return Err(refusals::no_exchange(&shown(), &self.vhost_name(vhost)));
        };
        if self.table.definition(exchange).is_some_and(|exchange| exchange.internal) {
            let vhost = self.vhost_name(vhost);
            let text = format!("cannot publish to internal exchange '{}' in vhost '{vhost}'", shown());
            return Err(Refusal::new(ReplyCode::AccessRefused, text));
        }
        Ok(exchange)
    }

    /// Is anything known to be wrong with the exchange of a publish?
    pub(crate) fn may_publish(&self, connection: ConnectionKey, exchange: &[u8]) -> Result<(), Refusal> {
        let vhost = self.meta(connection).vhost.ok_or_else(no_vhost)?;
        self.authorize(connection, Access::Write, "exchange", &String::from_utf8_lossy(exchange))?;
        if exchange.is_empty() || !self.has_lease() {
            return Ok(());
        }
        self.exchange_of_publish(vhost, exchange).map(drop)
    }

    /// Asks the table; the queues are in `targets` then.
    fn route_by_bindings(&mut self, vhost: VhostId, publish: &Publish<'_>) -> Result<ExchangeId, Refusal> {
        let exchange = self.exchange_of_publish(vhost, publish.exchange)?;
        let mut matches = core::mem::take(&mut self.matches);
        let mut targets = core::mem::take(&mut self.targets);
        matches.clear();
        targets.clear();
        self.table.route(exchange, publish.routing_key, &MessageHeaders::new(publish.header), &mut matches);
        for found in &matches {
            let home = self.home_of(found.address);
            targets.push(self.place(found.id, home));
        }
        self.matches = matches;
        self.targets = targets;
        Ok(exchange)
    }

    /// Every lane that this publish needs can take it. hot.
    fn lanes_have_room(&self, targets: &[QueueHandle]) -> bool {
        targets.iter().all(|handle| match self.places.get(*handle).map(|entry| &entry.place) {
            Some(Place::Away(away)) => !self.bounds.is_full(&away.lane),
            _ => true,
        })
    }

    /// The publish cannot go now: its channel keeps it, with all behind it, or gives up when it waited long enough.
    #[inline(never)]
    fn hold(&mut self, channel: ChannelKey, publish: &Publish<'_>) -> Published {
        if self.now.since(publish.arrived) >= limits::PUBLISH_WAIT {
            self.traffic.given_up += 1;
            return Published::GivenUp;
        }
        let meta = self.meta_mut(channel.connection);
        if !meta.holds_publish {
            meta.holds_publish = true;
            self.holding.push(channel.connection);
        }
        self.wake_at(publish.arrived + limits::PUBLISH_WAIT);
        Published::NotNow
    }

    /// The publish was held, and a home that was in reach when it came may be Down by now: routed now it would miss queues
    /// of that home, and be confirmed all the same. (Bindings of a masked queue leave the map with it if another one of
    /// its name is masked too: then nobody knows any more.)
    #[cold]
    fn lost_a_home(&self, channel: ChannelKey, publish: &Publish<'_>) -> bool {
        if publish.arrived < self.unbound_at {
            return true;
        }
        let vhost = self.meta(channel.connection).vhost;
        let Some(exchange) = vhost.and_then(|vhost| self.table.exchange(vhost, publish.exchange)) else {
            return false;
        };
        self.table.reaches_masked(exchange, publish.routing_key, &MessageHeaders::new(publish.header))
    }

    pub(crate) fn vhost_name(&self, vhost: VhostId) -> String {
        self.table.vhost_name(vhost).map(|name| String::from(name.as_str())).unwrap_or_default()
    }
}

/// Slot of an address: its last bytes differ most between keys. hot.
#[inline]
fn slot_of(address: &[u8]) -> usize {
    let tail = address.last_chunk().map_or(0, |tail| u32::from_le_bytes(*tail));
    // the upper bits of a product depend on all of the lower ones (Knuth: multiplicative hashing)
    (tail.wrapping_mul(0x9e37_79b1) >> 29) as usize % CACHE_SLOTS
}
