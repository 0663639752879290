//! Which queues a message goes to: from the channel's cache, else from the table.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_amqp::host::Publish;
use leveret_auth::Access;
use leveret_model::definition::ExchangeKind;
use leveret_model::{ChannelKey, QueueHandle, Refusal, ReplyAddress, ReplyCode, refusals};
use leveret_route::{ExchangeId, Match, MessageHeaders, VhostId};

use super::cache::{CachedRoute, Route};
use super::rooms::Routing;
use crate::clients::no_vhost;
use crate::view::ClusterView;

/// What the table found for a publish.
#[derive(Debug, Default)]
pub(super) struct Routes {
    matches: Vec<Match>,
    /// The queues, where no channel remembers them.
    pub(super) targets: Vec<QueueHandle>,
}

impl Routes {
    /// Asks the table, and puts the answer into the slot of the cache if it may be remembered.
    #[inline(never)]
    pub(super) fn look_up(
        &mut self,
        channel: ChannelKey,
        cached: &mut CachedRoute,
        publish: &Publish<'_>,
        mut routing: Routing<'_>,
    ) -> Result<Route, Refusal> {
        let view = routing.view;
        let Some(vhost) = routing.clients.get(channel.connection).vhost else { return Err(no_vhost()) };
        cached.exchange = None;
        let name = String::from_utf8_lossy(publish.exchange);
        routing.clients.authorize(channel.connection, Access::Write, "exchange", &name)?;
        let exchange = if publish.exchange.is_empty() {
            let queue = view.table.queue(vhost, publish.routing_key).filter(|queue| !queue.masked);
            let found = queue.map(|queue| (queue.record.id, queue.record.home));
            if found.is_none() && ReplyAddress::is_meant(publish.routing_key) {
                return Ok(Route::Reply);
            }
            if found.is_none() && !view.has_lease() {
                return Ok(Route::NotNow);
            }
            cached.by_name = found.is_some();
            cached.targets.clear();
            cached.targets.extend(found.map(|(id, home)| routing.queues.enter_at(id, home)));
            view.table.exchange(vhost, b"")
        } else {
            if !view.has_lease() {
                return Ok(Route::NotNow);
            }
            let exchange = self.route_by_bindings(vhost, publish, &mut routing)?;
            if view.table.varies(exchange) {
                return Ok(Route::Uncached);
            }
            cached.by_name = false;
            core::mem::swap(&mut cached.targets, &mut self.targets);
            Some(exchange)
        };
        cached.generation = exchange.map_or(0, |exchange| view.table.generation_of(exchange));
        cached.table_generation = view.table.generation();
        cached.exchange = exchange;
        cached.address.clear();
        cached.address.extend_from_slice(publish.message.address);
        Ok(Route::Cached)
    }

    /// Asks the table for each of several keys; each queue is in `targets` once then.
    pub(super) fn look_up_all<'k>(
        &mut self,
        channel: ChannelKey,
        publish: &Publish<'k>,
        keys: impl Iterator<Item = &'k [u8]>,
        routing: &mut Routing<'_>,
    ) -> Result<Route, Refusal> {
        let view = routing.view;
        let Some(vhost) = routing.clients.get(channel.connection).vhost else { return Err(no_vhost()) };
        let name = String::from_utf8_lossy(publish.exchange);
        routing.clients.authorize(channel.connection, Access::Write, "exchange", &name)?;
        if !view.has_lease() {
            return Ok(Route::NotNow);
        }
        let exchange = exchange_of_publish(view, vhost, publish.exchange)?;
        let headers = MessageHeaders::new(publish.message.header);
        self.targets.clear();
        for key in keys {
            view.table.route(exchange, key, &headers, &mut self.matches);
            for found in &self.matches {
                let handle = routing.queues.enter(found.id, found.address);
                if !self.targets.contains(&handle) {
                    self.targets.push(handle);
                }
            }
        }
        Ok(Route::Uncached)
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
        let headers = MessageHeaders::new(publish.message.header);
        routing.view.table.route(exchange, publish.routing_key, &headers, &mut self.matches);
        for found in &self.matches {
            self.targets.push(routing.queues.enter(found.id, found.address));
        }
        Ok(exchange)
    }
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
    let definition = view.table.definition(exchange);
    if definition.is_some_and(|exchange| exchange.kind == ExchangeKind::Later) {
        return Err(refusals::later_exchange(&shown(), &view.vhost_name(vhost)));
    }
    if definition.is_some_and(|exchange| exchange.internal) {
        let vhost = view.vhost_name(vhost);
        let text = format!("cannot publish to internal exchange '{}' in vhost '{vhost}'", shown());
        return Err(Refusal::new(ReplyCode::AccessRefused, text));
    }
    Ok(exchange)
}
