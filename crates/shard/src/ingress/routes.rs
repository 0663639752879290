//! Which queues a message goes to: from the channel's cache, else from the table.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_amqp::host::Publish;
use leveret_auth::Access;
use leveret_model::{ChannelKey, QueueHandle, Refusal, ReplyCode, refusals};
use leveret_route::{ExchangeId, Match, MessageHeaders, Table, VhostId};

use super::Routing;
use crate::clients::no_vhost;
use crate::view::ClusterView;

/// Routes that a channel remembers; a power of two.
pub(super) const CACHE_SLOTS: usize = 8;

/// What the shard keeps for an open channel: its route cache, made at the first publish.
#[derive(Debug, Default)]
pub(crate) struct ChannelState {
    pub(super) cache: Option<Box<[CachedRoute; CACHE_SLOTS]>>,
}

/// Where a message with this address goes, while the generation of its exchange is unchanged. That a client may write to
/// the exchange holds for the life of its connection.
#[derive(Debug, Default)]
pub(super) struct CachedRoute {
    exchange: Option<ExchangeId>,
    /// Of the exchange, when the route was found.
    generation: u64,
    /// Of the whole table, when the route was last known to be good: while it is unchanged so is the exchange's.
    table_generation: u64,
    /// Exchange and key as they came; empty for an unused slot (an address is never empty).
    address: Vec<u8>,
    /// Rests on the map alone, not on bindings: good without a lease.
    by_name: bool,
    pub(super) targets: Vec<QueueHandle>,
}

/// What routing says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The targets are those of this slot of the cache.
    Cached(usize),
    /// The targets are in [`Routes::targets`].
    Uncached,
    /// It cannot be known now.
    NotNow,
}

/// What the table found for a publish.
#[derive(Debug, Default)]
pub(super) struct Routes {
    matches: Vec<Match>,
    /// The queues, where no channel remembers them.
    pub(super) targets: Vec<QueueHandle>,
}

impl Routes {
    /// The queues for a publish: from the channel's cache, else from the table. hot.
    pub(super) fn find(
        &mut self,
        channel: ChannelKey,
        cache: &mut [CachedRoute; CACHE_SLOTS],
        publish: &Publish<'_>,
        routing: &mut Routing<'_>,
    ) -> Result<Route, Refusal> {
        let slot = slot_of(publish.address);
        let cached = &mut cache[slot];
        if cached.address == publish.address && is_good(cached, &routing.view.table) {
            return Ok(if cached.by_name || routing.view.has_lease() {
                Route::Cached(slot)
            } else {
                Route::NotNow
            });
        }
        self.look_up(channel, cached, publish, routing).map(|found| found.unwrap_or(Route::Cached(slot)))
    }

    /// Asks the table, and puts the answer into the slot of the cache; `None` if it is there then.
    #[inline(never)]
    fn look_up(
        &mut self,
        channel: ChannelKey,
        cached: &mut CachedRoute,
        publish: &Publish<'_>,
        routing: &mut Routing<'_>,
    ) -> Result<Option<Route>, Refusal> {
        let view = routing.view;
        let Some(vhost) = routing.clients.get(channel.connection).vhost else { return Err(no_vhost()) };
        cached.exchange = None;
        let name = String::from_utf8_lossy(publish.exchange);
        routing.clients.authorize(channel.connection, Access::Write, "exchange", &name)?;
        let exchange = if publish.exchange.is_empty() {
            let queue = view.table.queue(vhost, publish.routing_key).filter(|queue| !queue.masked);
            let found = queue.map(|queue| (queue.record.id, queue.record.home));
            if found.is_none() && !view.has_lease() {
                return Ok(Some(Route::NotNow));
            }
            cached.by_name = found.is_some();
            cached.targets.clear();
            cached.targets.extend(found.map(|(id, home)| routing.queues.enter_at(id, home)));
            view.table.exchange(vhost, b"")
        } else {
            if !view.has_lease() {
                return Ok(Some(Route::NotNow));
            }
            let exchange = self.route_by_bindings(vhost, publish, routing)?;
            if view.table.depends_on_headers(exchange) {
                return Ok(Some(Route::Uncached));
            }
            cached.by_name = false;
            core::mem::swap(&mut cached.targets, &mut self.targets);
            Some(exchange)
        };
        cached.generation = exchange.map_or(0, |exchange| view.table.generation_of(exchange));
        cached.table_generation = view.table.generation();
        cached.exchange = exchange;
        cached.address.clear();
        cached.address.extend_from_slice(publish.address);
        Ok(None)
    }

    /// Asks the table; the queues are in `targets` then.
    fn route_by_bindings(
        &mut self,
        vhost: VhostId,
        publish: &Publish<'_>,
        routing: &mut Routing<'_>,
    ) -> Result<ExchangeId, Refusal> {
        let exchange = exchange_of_publish(routing.view, vhost, publish.exchange)?;
        self.matches.clear();
        self.targets.clear();
        let headers = MessageHeaders::new(publish.header);
        routing.view.table.route(exchange, publish.routing_key, &headers, &mut self.matches);
        for found in &self.matches {
            self.targets.push(routing.queues.enter(found.id, found.address));
        }
        Ok(exchange)
    }
}

/// hot.
fn is_good(cached: &mut CachedRoute, table: &Table) -> bool {
    let Some(exchange) = cached.exchange else { return false };
    let table_generation = table.generation();
    if cached.table_generation == table_generation {
        return true;
    }
    let good = cached.generation == table.generation_of(exchange);
    if good {
        cached.table_generation = table_generation;
    }
    good
}

/// The exchange that a client publishes to.
pub(super) fn exchange_of_publish(
    view: &ClusterView,
    vhost: VhostId,
    name: &[u8],
) -> Result<ExchangeId, Refusal> {
    let shown = || String::from_utf8_lossy(name);
    let Some(exchange) = view.table.exchange(vhost, name) else {
        return Err(refusals::no_exchange(&shown(), &view.vhost_name(vhost)));
    };
    if view.table.definition(exchange).is_some_and(|exchange| exchange.internal) {
        let vhost = view.vhost_name(vhost);
        let text = format!("cannot publish to internal exchange '{}' in vhost '{vhost}'", shown());
        return Err(Refusal::new(ReplyCode::AccessRefused, text));
    }
    Ok(exchange)
}

/// Slot of an address: its last bytes differ most between keys. hot.
#[inline]
fn slot_of(address: &[u8]) -> usize {
    let tail = address.last_chunk().map_or(0, |tail| u32::from_le_bytes(*tail));
    // the upper bits of a product depend on all of the lower ones (Knuth: multiplicative hashing)
    (tail.wrapping_mul(0x9e37_79b1) >> 29) as usize % CACHE_SLOTS
}
