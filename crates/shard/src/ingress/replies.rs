//! Publishes to the address of a consumer of replies (RabbitMQ: direct reply-to).

use leveret_amqp::host::{Publish, Published};
use leveret_model::{ChannelKey, ReplyAddress};

use super::publish::Ingress;
use super::rooms::Routing;
use crate::replies::SentReply;

impl Ingress {
    /// The key is an address: its consumer gets the message, or nobody does.
    #[cold]
    pub(super) fn reply(
        &mut self,
        channel: ChannelKey,
        publish: &Publish<'_>,
        routing: Routing<'_>,
    ) -> Published {
        let Some(address) = ReplyAddress::from_name(publish.routing_key) else {
            return self.unrouted(publish);
        };
        let Routing { view, queues, replies, .. } = routing;
        match replies.send(address, &publish.message, view, queues) {
            SentReply::Sent => Published::Settled,
            SentReply::Nowhere if view.has_lease() => self.unrouted(publish),
            // without a lease a node may be there that this one has not heard of yet
            SentReply::Nowhere | SentReply::NotNow => self.hold(channel, publish, view.now()),
        }
    }

    /// Sends a message to the addresses among its keys, once all of its queues have it. What cannot go now is
    /// not waited for: the queues would get it again. True if one was sent.
    pub(super) fn reply_to_copies<'k>(
        publish: &Publish<'_>,
        keys: impl Iterator<Item = &'k [u8]>,
        routing: &mut Routing<'_>,
    ) -> bool {
        if !publish.exchange.is_empty() {
            return false;
        }
        let mut sent = false;
        for address in keys.filter_map(ReplyAddress::from_name) {
            let Routing { view, queues, replies, .. } = routing;
            match replies.send(address, &publish.message, view, queues) {
                SentReply::Sent => sent = true,
                SentReply::Nowhere => {}
                SentReply::NotNow => replies.count(false),
            }
        }
        sent
    }
}
