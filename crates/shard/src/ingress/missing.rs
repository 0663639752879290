//! Publishes to queues whose homes are Down: durable ones may be back on their disks in a moment, so a publish
//! waits for that; and one that was held is not routed past a home that it would have reached before.

use leveret_amqp::host::{Publish, Published};
use leveret_model::{ChannelKey, limits};
use leveret_route::{ExchangeId, MessageHeaders};

use super::publish::Ingress;
use crate::clients::Clients;
use crate::view::ClusterView;

impl Ingress {
    /// What becomes of a publish that may miss a home now; `None`: it goes as any other.
    #[cold]
    pub(super) fn miss_a_home(
        &mut self,
        view: &ClusterView,
        clients: &Clients,
        channel: ChannelKey,
        publish: &Publish<'_>,
        keys: &mut dyn Iterator<Item = &[u8]>,
    ) -> Option<Published> {
        let was_held = publish.number.is_some() && view.was_masked_since(publish.arrived);
        if was_held && view.was_unbound_since(publish.arrived) {
            // bindings of a masked queue leave the map with it if another one of its name is masked too: nobody
            // knows any more what the publish misses
            self.given_up += 1;
            return Some(Published::GivenUp);
        }
        let vhost = clients.get(channel.connection).vhost;
        let exchange = vhost.and_then(|vhost| view.table.exchange(vhost, publish.exchange))?;
        let reached = Reached::of(view, exchange, publish, keys);
        let is_late = view.now().since(publish.arrived) >= limits::PUBLISH_WAIT;
        // who wants it back hears at last that there is no queue
        if reached.awaited && !(is_late && publish.mandatory && publish.number.is_none()) {
            return Some(self.hold(channel, publish, view.now()));
        }
        // routed now it would miss queues of a home that was in reach when it came, and be confirmed all the
        // same
        if was_held && reached.masked {
            self.given_up += 1;
            return Some(Published::GivenUp);
        }
        None
    }
}

/// Masked queues that a publish would go to.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    masked: bool,
    /// The home of one of them may be back soon.
    awaited: bool,
}

impl Reached {
    fn of(
        view: &ClusterView,
        exchange: ExchangeId,
        publish: &Publish<'_>,
        keys: &mut dyn Iterator<Item = &[u8]>,
    ) -> Self {
        let headers = MessageHeaders::new(publish.message.header);
        let mut reached = Self::default();
        for key in keys {
            view.table.each_masked(exchange, key, &headers, |id| {
                reached.masked = true;
                reached.awaited |= view.is_home_awaited(id);
            });
        }
        reached
    }
}
