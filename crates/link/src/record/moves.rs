//! What the old and the new home of a queue tell each other, and the shards that consume from it.

use alloc::vec::Vec;

use leveret_model::{Boot, LaneSequence, MessageState, Position, ShardAddress};

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

/// Messages at consecutive places that were copied ahead, with what has become of them until the freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedRun {
    /// The first place.
    pub from: Position,
    /// How many; one at least.
    pub count: u32,
    /// Whether somebody has them, or had them.
    pub state: MessageState,
    /// How often each came back, if they are under the queue's rules.
    pub returns: Option<u32>,
}

/// Why a new home does not take what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveRefused {
    /// It does not follow what came before, so one of the two homes is wrong.
    Unfit,
    /// The new home's node has no memory for it.
    NoMemory,
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
    /// Old → new: so many pieces of copies came before this.
    Piece(u64),
    /// New → old: all pieces up to this one are here and stored.
    PieceTaken(u64),
    /// New → old: the try is off.
    Refused(MoveRefused),
    /// Old → new, once the queue is frozen: these messages it has still. A copy that is in no list left the
    /// queue meanwhile.
    Listed(Vec<ListedRun>),
}
