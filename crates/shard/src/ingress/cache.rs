//! Routes that a channel remembers.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::QueueHandle;
use leveret_route::{ExchangeId, Table};

use crate::view::ClusterView;

/// Routes that a channel remembers; a power of two.
const CACHE_SLOTS: usize = 8;

/// What the shard keeps for an open channel: its route cache, made at the first publish.
#[derive(Debug, Default)]
pub(crate) struct ChannelState {
    pub(super) cache: Option<Box<[CachedRoute; CACHE_SLOTS]>>,
}

/// Where a message with this address goes, while the generation of its exchange is unchanged. That a client may
/// write to the exchange holds for the life of its connection.
#[derive(Debug, Default)]
pub(super) struct CachedRoute {
    pub(super) exchange: Option<ExchangeId>,
    /// Of the exchange, when the route was found.
    pub(super) generation: u64,
    /// Of the whole table, when the route was last known to be good: while it is unchanged so is the
    /// exchange's.
    pub(super) table_generation: u64,
    /// Exchange and key as they came; empty for an unused slot (an address is never empty).
    pub(super) address: Vec<u8>,
    /// Rests on the map alone, not on bindings: good without a lease.
    pub(super) by_name: bool,
    pub(super) targets: Vec<QueueHandle>,
}

/// What routing says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The targets are in the cache.
    Cached,
    /// The targets are in [`Routes::targets`].
    Uncached,
    /// To a consumer of replies, not to queues.
    Reply,
    /// It cannot be known now.
    NotNow,
}

/// The slot for an address, and what it says; `None` if the table is to be asked. hot.
#[inline]
pub(super) fn find<'c>(
    cache: &'c mut [CachedRoute; CACHE_SLOTS],
    address: &[u8],
    view: &ClusterView,
) -> (&'c mut CachedRoute, Option<Route>) {
    let cached = &mut cache[slot_of(address)];
    if cached.address != address || !is_good(cached, &view.table) {
        return (cached, None);
    }
    let route = if cached.by_name || view.has_lease() { Route::Cached } else { Route::NotNow };
    (cached, Some(route))
}

/// hot.
#[inline]
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

/// Slot of an address: its last bytes differ most between keys. hot.
#[inline]
fn slot_of(address: &[u8]) -> usize {
    let tail = address.last_chunk().map_or(0, |tail| u32::from_le_bytes(*tail));
    // the upper bits of a product depend on all of the lower ones (Knuth: multiplicative hashing)
    (tail.wrapping_mul(0x9e37_79b1) >> 29) as usize % CACHE_SLOTS
}
