//! The way in: from a complete publish to the queues that it goes to.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_amqp::host::{Body, Publish, Published, QueueHandle};
use leveret_auth::Access;
use leveret_model::{ChannelKey, Refusal, ReplyCode, limits};
use leveret_queue::ArenaBody;
use leveret_route::{ExchangeId, MessageHeaders, Table, VhostId};

use crate::broker::Broker;
use crate::places::{Owed, Place};

/// Routes that a channel remembers; a power of two.
const CACHE_SLOTS: usize = 8;

/// What the broker keeps for an open channel: its route cache, made at the first publish.
#[derive(Debug, Default)]
pub(crate) struct ChannelState {
    cache: Option<Box<[CachedRoute; CACHE_SLOTS]>>,
}

/// Where a message with this address goes, while the table's generation is unchanged.
#[derive(Debug, Default)]
struct CachedRoute {
    exchange: Option<ExchangeId>,
    /// Of the exchange, when the route was found.
    generation: u64,
    /// Exchange and key as they came; empty for an unused slot (an address is never empty).
    address: Vec<u8>,
    /// Rests on the map alone, not on bindings: good without a lease.
    by_name: bool,
    targets: Vec<QueueHandle>,
}

impl CachedRoute {
    fn remember(&mut self, table: &Table, exchange: Option<ExchangeId>, address: &[u8]) {
        self.generation = exchange.map_or(0, |exchange| table.generation_of(exchange));
        self.exchange = exchange;
        self.address.clear();
        self.address.extend_from_slice(address);
    }
}

/// What routing says.
enum Route<'a> {
    Targets(&'a [QueueHandle]),
    NotNow,
}

impl Broker {
    /// A message from a client of this shard. hot.
    pub(crate) fn publish(
        &mut self,
        channel: ChannelKey,
        state: &mut ChannelState,
        publish: Publish<'_>,
    ) -> Result<Published, Refusal> {
        let mut uncached = Vec::new();
        let targets = match self.route(channel, state, &publish, &mut uncached)? {
            Route::Targets(targets) => targets,
            Route::NotNow => return Ok(self.hold(channel, &publish)),
        };
        if targets.is_empty() {
            if publish.mandatory {
                return Ok(Published::Unroutable);
            }
            self.traffic.unroutable += 1;
            return Ok(Published::Settled);
        }
        if !self.lanes_have_room(targets) {
            return Ok(self.hold(channel, &publish));
        }
        Ok(self.enqueue(channel, targets, publish))
    }

    /// Puts a message into every queue that it goes to. hot.
    fn enqueue(&mut self, channel: ChannelKey, targets: &[QueueHandle], publish: Publish<'_>) -> Published {
        let publisher = publish.number.map(|number| (channel, number));
        let (body, body_len) = match publish.body {
            Body::Flat(bytes) => (ArenaBody::Flat(bytes), bytes.len()),
            Body::Chunks(chunks) => {
                let len = chunks.iter().map(bytes::Bytes::len).sum();
                (ArenaBody::Chunks(core::mem::take(chunks)), len)
            }
        };
        let message = self.arena.insert(publish.address, publish.header, body, targets.len() as u32);
        let mut elsewhere = 0u32;
        for handle in targets {
            let Some(entry) = self.places.get_mut(*handle) else {
                self.arena.release(message);
                continue;
            };
            match &mut entry.place {
                Place::Home(home) => {
                    home.queue.append(message, body_len);
                    if home.queue.touch() {
                        self.dirty.push(*handle);
                    }
                    self.traffic.published_here += 1;
                }
                Place::Away(away) => {
                    elsewhere += 1;
                    let shared = targets.len() > 1;
                    let owed = Owed { message, publisher, shared, arrived: publish.arrived };
                    let sequence = away.lane.push(owed, body_len as u64);
                    let stored = self.arena.get(message);
                    self.outboxes.at(away.outbox).push_publish(entry.id, sequence, away.lane.base(), &stored);
                    self.wait_deadline = self.wait_deadline.min(publish.arrived + limits::PUBLISH_WAIT);
                    self.traffic.published_away += 1;
                }
            }
        }
        if elsewhere == 0 {
            return Published::Settled;
        }
        if let Some(publisher) = publisher
            && targets.len() > 1
        {
            self.owed.insert(publisher, elsewhere);
        }
        Published::Owed
    }

    /// The queues for a publish: from the channel's cache, else from the table. hot.
    fn route<'a>(
        &mut self,
        channel: ChannelKey,
        state: &'a mut ChannelState,
        publish: &Publish<'_>,
        uncached: &'a mut Vec<QueueHandle>,
    ) -> Result<Route<'a>, Refusal> {
        let cache = state.cache.get_or_insert_with(Box::default);
        let slot = &mut cache[slot_of(publish.address)];
        let leased = self.now < self.lease_until;
        if slot.address == publish.address
            && slot.exchange.is_some_and(|exchange| slot.generation == self.table.generation_of(exchange))
        {
            if !slot.by_name && !leased {
                return Ok(Route::NotNow);
            }
            return Ok(Route::Targets(&slot.targets));
        }
        let Some(vhost) = self.meta(channel.connection).vhost else {
            return Err(Refusal::new(ReplyCode::NotAllowed, "no vhost is open"));
        };
        slot.exchange = None;
        let name = String::from_utf8_lossy(publish.exchange);
        self.authorize(channel.connection, Access::Write, "exchange", &name)?;
        if publish.exchange.is_empty() {
            slot.targets.clear();
            let queue = self.table.queue(vhost, publish.routing_key).filter(|queue| !queue.masked);
            let found = queue.map(|queue| (queue.record.id, queue.record.home));
            if found.is_none() && !leased {
                return Ok(Route::NotNow);
            }
            slot.by_name = found.is_some();
            slot.targets.extend(found.map(|(id, home)| self.place(id, home)));
            let exchange = self.table.exchange(vhost, b"");
            slot.remember(&self.table, exchange, publish.address);
            return Ok(Route::Targets(&slot.targets));
        }
        if !leased {
            return Ok(Route::NotNow);
        }
        let exchange = self.route_by_bindings(vhost, publish, uncached)?;
        if self.table.depends_on_headers(exchange) {
            return Ok(Route::Targets(uncached));
        }
        slot.by_name = false;
        slot.remember(&self.table, Some(exchange), publish.address);
        core::mem::swap(&mut slot.targets, uncached);
        Ok(Route::Targets(&slot.targets))
    }

    /// Asks the table.
    fn route_by_bindings(
        &mut self,
        vhost: VhostId,
        publish: &Publish<'_>,
        targets: &mut Vec<QueueHandle>,
    ) -> Result<ExchangeId, Refusal> {
        let Some(exchange) = self.table.exchange(vhost, publish.exchange) else {
            return Err(no_exchange(publish.exchange, &self.vhost_name(vhost)));
        };
        if self.table.definition(exchange).is_some_and(|exchange| exchange.internal) {
            let text = format!(
                "cannot publish to internal exchange '{}' in vhost '{}'",
                String::from_utf8_lossy(publish.exchange),
                self.vhost_name(vhost)
            );
            return Err(Refusal::new(ReplyCode::AccessRefused, text));
        }
        let mut matches = Vec::new();
        let headers = MessageHeaders::new(publish.header);
        self.table.route(exchange, publish.routing_key, &headers, &mut matches);
        targets.clear();
        for found in matches {
            let home = self.home_of(found.address);
            targets.push(self.place(found.id, home));
        }
        Ok(exchange)
    }

    /// Every lane that this publish needs can take it. hot.
    fn lanes_have_room(&self, targets: &[QueueHandle]) -> bool {
        targets.iter().all(|handle| match self.places.get(*handle).map(|entry| &entry.place) {
            Some(Place::Away(away)) => !away.lane.is_full(),
            _ => true,
        })
    }

    /// The publish cannot go now: its channel keeps it, with all behind it, or gives up when it waited long enough.
    fn hold(&mut self, channel: ChannelKey, publish: &Publish<'_>) -> Published {
        if self.now.since(publish.arrived) >= limits::PUBLISH_WAIT {
            self.traffic.given_up += 1;
            return Published::GivenUp;
        }
        let meta = &mut self.metas[channel.connection.slot as usize];
        if !meta.holds_publish {
            meta.holds_publish = true;
            self.holding.push(channel.connection);
        }
        self.wake_at(publish.arrived + limits::PUBLISH_WAIT);
        Published::NotNow
    }

    pub(crate) fn vhost_name(&self, vhost: VhostId) -> String {
        self.table.vhost_name(vhost).map(|name| String::from(name.as_str())).unwrap_or_default()
    }
}

pub(crate) fn no_exchange(name: &[u8], vhost: &str) -> Refusal {
    let text = format!("no exchange '{}' in vhost '{vhost}'", String::from_utf8_lossy(name));
    Refusal::new(ReplyCode::NotFound, text)
}

/// Slot of an address: its length and last bytes, which differ most between keys. hot.
fn slot_of(address: &[u8]) -> usize {
    let mut hash = address.len();
    for byte in &address[address.len().saturating_sub(4)..] {
        hash = hash.wrapping_mul(31) ^ *byte as usize;
    }
    hash % CACHE_SLOTS
}
