//! A publish with further routing keys (RabbitMQ: the headers CC and BCC).
//!
//! Its queues are those of all keys together, each once, so it takes the way of a publish to many queues and
//! settles as one.

use core::iter;

use leveret_amqp::host::{Publish, Published};
use leveret_model::{ChannelKey, Refusal, RoutingKey};

use super::publish::Ingress;
use super::rooms::Routing;

impl Ingress {
    /// A message from a client of this shard, for its own key and these.
    pub(crate) fn publish_copies(
        &mut self,
        channel: ChannelKey,
        publish: &Publish<'_>,
        copies: &[RoutingKey],
        mut routing: Routing<'_>,
    ) -> Result<Published, Refusal> {
        let keys = || iter::once(publish.routing_key).chain(copies.iter().map(|key| &key[..]));
        let (view, clients) = (routing.view, routing.clients);
        if view.may_miss_a_home(publish.arrived)
            && let Some(published) = self.miss_a_home(view, clients, channel, publish, &mut keys())
        {
            return Ok(published);
        }
        let route = self.routes.look_up_all(channel, publish, keys(), &mut routing)?;
        let rooms = routing.reborrow();
        let mut published = self.publish_to_many(channel, route, &[], publish, rooms);
        if !matches!(published, Published::NotNow | Published::GivenUp)
            && Self::reply_to_copies(publish, keys(), &mut routing)
            && published == Published::Unroutable
        {
            published = Published::Settled;
        }
        Ok(published)
    }
}
