//! Where publishes go and what waits, for whoever judges a shard from outside: the simulator's oracle.

use alloc::vec::Vec;

use leveret_amqp::Waiting;
use leveret_model::{ChannelKey, PublishNumber, QueueId};

/// Where a publish went, under confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Its channel.
    pub channel: ChannelKey,
    /// Its number there.
    pub number: PublishNumber,
    /// The queues that have it, or whose homes owe an answer.
    pub queues: Vec<QueueId>,
}

/// What waits in a shard where most does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fullest {
    /// In a lane, messages.
    pub lane_messages: usize,
    /// In a lane, bytes.
    pub lane_bytes: u64,
    /// At connections.
    pub waiting: Waiting,
}
