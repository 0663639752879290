//! What a queue is told of a consumer, wherever its channel is.

use leveret_link::record::RemoteConsumer;
use leveret_model::{ConsumerKey, ShardAddress};
use leveret_queue::{Subscription, Window};

use crate::bounds::Bounds;

/// A consumer as its queue is told of it: one of this shard is bounded by its output, one elsewhere by a
/// window.
pub(super) fn subscription(
    own: ShardAddress,
    at: ShardAddress,
    consumer: RemoteConsumer,
    bounds: &Bounds,
) -> Subscription {
    let window = if at == own {
        Window::Output
    } else {
        Window::Credit { messages: bounds.consumer_messages, bytes: bounds.consumer_bytes }
    };
    let key = ConsumerKey { at, channel: consumer.channel, number: consumer.number };
    Subscription { key, terms: consumer.terms, window }
}
