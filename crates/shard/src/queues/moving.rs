//! What a shard keeps of a queue that moves: at the old home ([`Leaving`], which `leaving.rs` drives), at the
//! new one ([`Arriving`], `arriving.rs`), and where its consumers are ([`Fence`], `fence.rs`).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_link::record::{MovePart, MovedConsumer, MovedLane, Record, RemoteConsumer};
use leveret_model::{Boot, MoveAttempt, NodeId, Position, QueueId, ShardAddress, StoreMark, limits};

use super::contents::Contents;
use super::copied_messages::CopiedMessages;
use super::copied_places::CopiedPlaces;
use super::home::Home;

/// A frozen queue on its way to another home.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) home: Home,
    pub(super) to: ShardAddress,
    pub(super) attempt: MoveAttempt,
    /// Shards that were told to hold back settlements.
    pub(super) fenced: Vec<ShardAddress>,
    /// What the new home has copies of, until the contents are sent.
    pub(super) copied: CopiedPlaces,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// These have not said yet that they hold back.
    Fencing(BTreeSet<ShardAddress>),
    /// What is left to send.
    Sending(Box<Contents>),
    /// The new home has not said that it has everything.
    Sent,
    /// It has. This one serves no more, and keeps its copy until the directory says that the other serves.
    Yielded,
}

impl Leaving {
    /// Settlements of before the fence may come.
    pub(super) fn is_fencing(&self) -> bool {
        matches!(self.stage, Stage::Fencing(_))
    }

    pub(super) fn is_yielded(&self) -> bool {
        matches!(self.stage, Stage::Yielded)
    }

    /// It goes to that node, or was held back there.
    pub(super) fn concerns(&self, node: NodeId) -> bool {
        self.to.node == node || self.fenced.iter().any(|shard| shard.node == node)
    }

    /// What follows the messages, in pieces that move under credit.
    pub(super) fn last_parts(&self, messages: u64) -> Vec<MovePart> {
        let consumers: Vec<MovedConsumer> = self
            .home
            .queue()
            .subscriptions()
            .into_iter()
            .map(|(key, terms)| MovedConsumer {
                at: key.at,
                consumer: RemoteConsumer { channel: key.channel, number: key.number, terms },
            })
            .collect();
        let lanes: Vec<MovedLane> = self
            .home
            .lanes_through()
            .map(|(lane, last)| MovedLane { ingress: lane.ingress, boot: lane.boot, last })
            .collect();
        let consumers = consumers.chunks(limits::RESUBSCRIBE_PIECE_MAX);
        let lanes = lanes.chunks(limits::RESUBSCRIBE_PIECE_MAX);
        let mut parts: Vec<MovePart> = consumers.map(|piece| MovePart::Consumers(piece.to_vec())).collect();
        parts.extend(lanes.map(|piece| MovePart::Lanes(piece.to_vec())));
        parts.push(MovePart::End { messages, next: self.home.queue().next_position() });
        parts
    }
}

/// A queue that comes from another home.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) attempt: MoveAttempt,
    pub(super) from: ShardAddress,
    pub(super) home: Box<Home>,
    /// Copies of messages that the old home had when it sent them.
    pub(super) copies: CopiedMessages,
    /// Messages so far, copies that are listed included.
    pub(super) messages: u64,
    /// Shards elsewhere with consumers or deliveries.
    pub(super) awaits: BTreeSet<ShardAddress>,
    /// The last mark of what is to be stored.
    pub(super) mark: Option<StoreMark>,
    /// The highest place that the store was given.
    pub(super) stored: Position,
    /// A lower place came behind it, which a store does not take: all is stored anew at the end.
    pub(super) unsorted: bool,
    /// Some of it may be on the disk alone.
    pub(super) paged: bool,
    /// The end came; the old home hears of it once all is stored.
    pub(super) whole: bool,
}

/// The queues that come here.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// The start of this node: with its shard it names the lanes from here.
    pub(super) boot: Boot,
    pub(super) by_id: BTreeMap<QueueId, Arriving>,
}

impl Arrivals {
    pub(super) fn new(boot: Boot) -> Self {
        Self { boot, by_id: BTreeMap::new() }
    }
}

/// What waits behind a fence. As much as clients hold, and consumers have: both have bounds of their own.
#[derive(Debug)]
pub(super) struct Fence {
    pub(super) attempt: MoveAttempt,
    pub(super) held_back: Vec<Record<'static>>,
}

impl Fence {
    pub(super) fn new(attempt: MoveAttempt) -> Self {
        Self { attempt, held_back: Vec::new() }
    }
}
