//! Queues that move from one home to another, and the leave of a node, which is the move of all it has.
//!
//! ```text
//!   old home's control                       new home's control
//!        │ ── Offer(record) ──────────────────▶ │  picks a shard, which expects the queue
//!        │ ◀────────────────────── Accept(shard) │
//!        │  shard copies the queue to that shard, over the data link, and serves
//!        │  shard: Copied; then it freezes the queue and sends what is left
//!        │  shard: Yielded                       │
//!        │ ── Serve(bindings) ─────────────────▶ │  shard opens; record and bindings get the next epoch
//!        │ ◀───────────────────────────── Moved  │  once everyone acts on them (R1)
//!        │  drops its own record                 │
//! ```
//! Read first: `outgoing`, then `incoming`. `leave` and `rebalance` decide what is moved.
//!
//! Invariants:
//! - A queue is served by one home at most: the old one until its shard has yielded, the new one after `Serve`.
//! - Of the records of one queue the one of the highest epoch counts, for everyone.
//! - What belongs to an attempt that was given up has no effect: every step carries its number.
//! - A yielded queue goes back only on proof: the node that it was given to is another start, or its process is
//!   gone as far as can be seen, or it says that it could not open the queue.
//! - The old home drops its record when the map of the new one has reached every member that is not Down.

mod balance;
mod incoming;
mod inputs;
mod leave;
mod outgoing;
mod rebalance;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use leveret_model::directory::QueueRecord;
use leveret_model::{Boot, Instant, MoveAttempt, NodeId, QueueId, ShardId};

use self::balance::Balance;
use crate::desk::CommandKey;
use crate::directory::map::{Record, Version};

/// What the control machines of the two homes of a queue tell each other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MoveStep {
    /// Old → new: will you take it?
    Offer(QueueRecord),
    /// New → old: yes, send it to this shard.
    Accept(ShardId),
    /// New → old: no, or there is nothing of it here.
    Decline,
    /// Old → new: forget what came.
    Abort,
    /// Old → new: serve. With the bindings of the queue, as the old home has them.
    Serve(Vec<Record>),
    /// New → old: it serves, and its map says so since this version.
    Moved(Version),
}

/// A queue of this node on its way to another one.
#[derive(Debug)]
struct Outgoing {
    to: NodeId,
    /// The one there that takes it, as the acceptance says.
    shard: ShardId,
    boot: Boot,
    attempt: MoveAttempt,
    why: Why,
    stage: OutgoingStage,
    /// When the stage is given up.
    until: Instant,
    /// The new home's map has the queue since this version.
    moved: Option<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// This node leaves.
    Leave,
    /// Others have fewer queues.
    Balance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutgoingStage {
    /// The other node has not answered.
    Offered,
    /// The shard copies it, and serves.
    Copying,
    /// The shard hands it over.
    Handing,
    /// The shard was told to serve again, and has not said whether it was in time.
    Cancelling,
    /// The shard serves it no more.
    Yielded,
}

/// A queue of another node on its way here.
#[derive(Debug)]
struct Incoming {
    from: NodeId,
    attempt: MoveAttempt,
    /// As it will be.
    record: QueueRecord,
    stage: IncomingStage,
}

#[derive(Debug, PartialEq)]
enum IncomingStage {
    /// The shard takes what comes.
    Expecting,
    /// The old home has yielded; the shard is to serve.
    Opening(Vec<Record>),
    /// The record is written, and not everyone acts on it.
    Serving,
    /// Everyone in reach does; the old home has not dropped its record. The version that has it.
    Visible(Version),
}

/// A leave under way.
#[derive(Clone, Copy, Debug)]
struct Leave {
    deadline: Instant,
    /// How it ended; said once.
    over: bool,
    /// When progress is said next.
    report_at: Instant,
}

impl Leave {
    fn deadline(&self, look_at: Instant) -> Instant {
        if self.over { Instant::FAR } else { self.deadline.min(self.report_at).min(look_at) }
    }
}

/// How a leave ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// This node has no queue any more.
    Empty,
    /// Nobody is there who could take these queues.
    Alone {
        /// Queues that are here.
        queues: usize,
    },
    /// The time is over, and these queues are here.
    Late {
        /// Queues that are here.
        queues: usize,
    },
    /// The node stays: somebody took the leave back.
    TakenBack {
        /// Queues that are here.
        queues: usize,
    },
}

/// All moves of a node.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    last: MoveAttempt,
    outgoing: BTreeMap<QueueId, Outgoing>,
    incoming: BTreeMap<QueueId, Incoming>,
    /// Which queue becomes visible with a key of the desk.
    visible: BTreeMap<CommandKey, QueueId>,
    /// Queues that could not move, and when they may be tried again.
    paused: BTreeMap<QueueId, Instant>,
    leave: Option<Leave>,
    balance: Balance,
    /// Nodes that said that they leave.
    leaving_nodes: Vec<NodeId>,
    /// Queues to be moved, of the last look at the own map, and when the next one is due.
    todo: VecDeque<QueueId>,
    look_at: Instant,
    /// Queues that could not be opened here, the latest last: their old homes may not know yet.
    failed: VecDeque<(QueueId, MoveAttempt)>,
}

impl Moves {
    /// Commands for the queue wait until it has its home. While it is copied it serves, and they do not.
    pub(crate) fn is_outgoing(&self, id: QueueId) -> bool {
        self.outgoing.get(&id).is_some_and(|outgoing| outgoing.stage != OutgoingStage::Copying)
    }

    /// The other homes have all of so many queues, though they may not serve yet.
    fn is_handed_over(&self, queues: usize) -> bool {
        let yielded = |outgoing: &&Outgoing| outgoing.stage == OutgoingStage::Yielded;
        self.outgoing.values().filter(yielded).count() == queues
    }

    /// It said that it leaves.
    pub(crate) fn is_leaving(&self, node: NodeId) -> bool {
        self.leaving_nodes.contains(&node)
    }

    /// The node stays, or nothing is known any more of whether it leaves.
    pub(crate) fn forget_leaving(&mut self, node: NodeId) {
        self.leaving_nodes.retain(|leaving| *leaving != node);
    }

    /// The next time that something is due.
    pub(crate) fn next_deadline(&self) -> Instant {
        let stages = self.outgoing.values().map(|outgoing| outgoing.until);
        let paused = self.paused.values().copied();
        let leave = self.leave.as_ref().map_or(Instant::FAR, |leave| {
            // what was found is offered as soon as somebody can take it
            leave.deadline(if self.todo.is_empty() { self.look_at } else { Instant::FAR })
        });
        stages.chain(paused).fold(leave.min(self.balance.look_at()), Instant::min)
    }
}
