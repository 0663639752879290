//! The consumers of this shard's clients: which queue each has, and how many there are.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::{
    ChannelKey, ConnectionKey, ConsumerNumber, QueueHandle, Refusal, ReplyCode, Seed, limits,
};

/// Consumers that are known, or that a home elsewhere was asked for.
#[derive(Debug)]
pub(crate) struct Subscribed {
    queues: HashMap<(ChannelKey, ConsumerNumber), QueueHandle, FixedState>,
    of_connections: HashMap<ConnectionKey, usize, FixedState>,
}

impl Subscribed {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            queues: HashMap::with_hasher(FixedState::with_seed(seed.part(0).0)),
            of_connections: HashMap::with_hasher(FixedState::with_seed(seed.part(1).0)),
        }
    }

    /// Why a connection may not have another consumer.
    pub(crate) fn no_room(&self, connection: ConnectionKey) -> Option<Refusal> {
        let (of_one, of_all) = (limits::CONSUMERS_PER_CONNECTION_MAX, limits::CONSUMERS_PER_SHARD_MAX);
        if self.of_connections.get(&connection).is_some_and(|count| *count >= of_one) {
            let text = alloc::format!("more than {of_one} consumers on one connection");
            return Some(Refusal::new(ReplyCode::NotAllowed, text));
        }
        (self.queues.len() >= of_all).then(|| {
            let text = "the node has as many consumers as it may, use another one";
            Refusal::new(ReplyCode::ResourceError, text)
        })
    }

    pub(crate) fn insert(&mut self, channel: ChannelKey, consumer: ConsumerNumber, queue: QueueHandle) {
        if self.queues.insert((channel, consumer), queue).is_none() {
            *self.of_connections.entry(channel.connection).or_default() += 1;
        }
    }

    pub(crate) fn get(&self, channel: ChannelKey, consumer: ConsumerNumber) -> Option<QueueHandle> {
        self.queues.get(&(channel, consumer)).copied()
    }

    pub(crate) fn remove(&mut self, channel: ChannelKey, consumer: ConsumerNumber) -> Option<QueueHandle> {
        let queue = self.queues.remove(&(channel, consumer))?;
        if let Some(count) = self.of_connections.get_mut(&channel.connection) {
            *count -= 1;
            if *count == 0 {
                self.of_connections.remove(&channel.connection);
            }
        }
        Some(queue)
    }

    /// What consumers take, here and at their queue, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.queues.len() * limits::CONSUMER_BYTES) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::{ChannelNumber, Refusal};

    fn channel(connection: u32, number: u16) -> ChannelKey {
        let connection = ConnectionKey { slot: connection, generation: 1 };
        ChannelKey { connection, number: ChannelNumber(number), generation: 1 }
    }

    fn code(refusal: Option<Refusal>) -> Option<ReplyCode> {
        refusal.map(|refusal| refusal.code)
    }

    #[test]
    fn a_connection_has_so_many_consumers_over_all_of_its_channels() {
        let mut subscribed = Subscribed::new(Seed(1));
        let queue = QueueHandle { slot: 0, generation: 0 };
        for number in 0..limits::CONSUMERS_PER_CONNECTION_MAX as u32 {
            assert_eq!(code(subscribed.no_room(channel(1, 1).connection)), None);
            subscribed.insert(channel(1, 1 + (number % 7) as u16), ConsumerNumber(number), queue);
            subscribed.insert(channel(1, 1 + (number % 7) as u16), ConsumerNumber(number), queue);
        }
        assert_eq!(code(subscribed.no_room(channel(1, 1).connection)), Some(ReplyCode::NotAllowed));
        assert_eq!(code(subscribed.no_room(channel(2, 1).connection)), None, "others have room");
        assert_eq!(subscribed.remove(channel(1, 1), ConsumerNumber(0)), Some(queue));
        assert_eq!(subscribed.remove(channel(1, 1), ConsumerNumber(0)), None);
        assert_eq!(code(subscribed.no_room(channel(1, 1).connection)), None);
    }

    #[test]
    fn a_shard_has_so_many_consumers_and_a_connection_that_ended_leaves_none() {
        let mut subscribed = Subscribed::new(Seed(1));
        let queue = QueueHandle { slot: 0, generation: 0 };
        let all = limits::CONSUMERS_PER_SHARD_MAX as u32;
        let of_one = limits::CONSUMERS_PER_CONNECTION_MAX as u32;
        (0..all).for_each(|at| subscribed.insert(channel(at / of_one, 1), ConsumerNumber(at), queue));
        let newcomer = channel(all, 1).connection;
        assert_eq!(code(subscribed.no_room(newcomer)), Some(ReplyCode::ResourceError));
        for at in 0..all {
            assert_eq!(subscribed.remove(channel(at / of_one, 1), ConsumerNumber(at)), Some(queue));
        }
        assert_eq!((code(subscribed.no_room(newcomer)), subscribed.bytes()), (None, 0));
        assert!(subscribed.of_connections.is_empty());
    }
}
