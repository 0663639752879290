//! What the old and the new home of a queue tell each other, and the shards that consume from it.

use alloc::vec::Vec;

use leveret_model::{Boot, LaneSequence, Position, ShardAddress};

use super::consumers::RemoteConsumer;

/// A consumer of a queue that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovedConsumer {
    /// The shard of its channel.
    pub at: ShardAddress,
    /// Who and how.
    pub consumer: RemoteConsumer,
}

/// A lane into a queue that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovedLane {
    /// The shard of the publishers.
    pub ingress: ShardAddress,
    /// The start of its node.
    pub boot: Boot,
    /// The last publish that the old home appended.
    pub last: LaneSequence,
}

/// What is said of the move of one queue. "Old" and "new" are its homes.
#[derive(Clone, Debug, PartialEq)]
pub enum MovePart {
    /// Old → egress: nothing comes from here any more. Answered by [`MovePart::Fenced`]; what its clients
    /// settle from now on waits there.
    Fence,
    /// Egress → old: all that was settled before the fence came is in front of this.
    Fenced,
    /// Old → egress: the move is off.
    Unfence,
    /// Old → new, before the messages: from this place on they are under the queue's rules.
    Ruled(Position),
    /// Old → new: consumers, in the order in which they came.
    Consumers(Vec<MovedConsumer>),
    /// Old → new: lanes.
    Lanes(Vec<MovedLane>),
    /// Old → new: that was all. So many messages came before, and the next one gets this place.
    End {
        /// Messages.
        messages: u64,
        /// The place of the next one.
        next: Position,
    },
    /// New → old: all of it is here and stored.
    Taken,
}
