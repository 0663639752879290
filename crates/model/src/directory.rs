//! The doors between the control machine and the shards: records, changes, commands and replies.
//!
//! ```text
//!   shard ──FromShard::Command──▶ control ──DELTA over control links──▶ the others' control
//!     ▲                              │ ToShard::Change (to every shard of the node, in order)
//!     └──ToShard::Reply──────────────┘◀─FromShard::Applied
//! ```
//! `cluster` decides (who may write, which incarnation wins, when an ok is due) and emits [`Change`]s that need
//! no more judgement; `route::Table::apply` and the shard consume them. A shard drains its control ring before
//! it reads sockets in a turn; control acks a delta to its writer only when every shard has
//! [`FromShard::Applied`] it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::definition::{Binding, ExchangeDefinition, QueueDefinition};
use crate::policy::{Policy, PolicyDefinition};
use crate::{
    Boot, Instant, MoveAttempt, Name, NodeId, Position, QueueId, Refusal, RequestId, ShardAddress, ShardId,
};

/// A queue, as everyone knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueRecord {
    /// Shared, because the maps and the routing table of every shard hold it.
    pub definition: Arc<QueueDefinition>,
    /// Which life of the name this is.
    pub id: QueueId,
    /// Where it lives.
    pub home: ShardAddress,
    /// Raised each time that its home moves.
    pub epoch: u64,
}

impl QueueRecord {
    /// The same life under another name.
    #[must_use]
    pub fn renamed(&self, name: Name) -> Self {
        let definition = QueueDefinition { name, ..(*self.definition).clone() };
        Self { definition: definition.into(), ..self.clone() }
    }
}

/// A change that every shard of a node applies in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The exchange is there, so.
    PutExchange(ExchangeDefinition),
    /// The exchange is gone; bindings from and to it are dropped by changes of their own, before this one.
    DropExchange {
        /// Its vhost.
        vhost: Name,
        /// Its name.
        name: Name,
    },
    /// The queue is there, so. The shard that is its home makes the machine if it has none.
    /// A known id under a new name: the queue lost a merge and was renamed; its consumers get `basic.cancel`.
    PutQueue(QueueRecord),
    /// The queue is gone; its bindings are dropped by changes of their own, before this one. The home discards
    /// the machine, consumers get `basic.cancel`, publishes under way are answered GONE.
    DropQueue {
        /// Which one.
        id: QueueId,
    },
    /// The queue is gone and nobody deleted it: it was proposed and never stood (another has its name, or
    /// nobody), or it went with a start of its home that is over. Nothing that was sent to it is confirmed.
    WithdrawQueue {
        /// Which one.
        id: QueueId,
    },
    /// The queue's home is Down, or a rival has its name (R3): routing leaves it out, consumers get
    /// `basic.cancel`, its lanes are answered. The record stays.
    MaskQueue {
        /// Which one.
        id: QueueId,
    },
    /// The same boot is back.
    UnmaskQueue {
        /// Which one.
        id: QueueId,
    },
    /// The binding is there.
    PutBinding(Binding),
    /// The binding is gone.
    DropBinding(Binding),
    /// The policy is there, so; what it matches is settled anew.
    PutPolicy(Arc<Policy>),
    /// The policy is gone.
    DropPolicy {
        /// Its vhost.
        vhost: Name,
        /// Its name.
        name: Name,
    },
}

/// What a shard asks of its control machine for a client. Names are checked and defaults filled in by the
/// shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Declare an exchange; an equal one is fine, another is 406.
    DeclareExchange(ExchangeDefinition),
    /// Delete an exchange; a missing one is fine.
    DeleteExchange {
        /// Its vhost.
        vhost: Name,
        /// Its name.
        name: Name,
        /// Refuse with 406 while it has bindings.
        if_unused: bool,
    },
    /// Declare a queue at `home`; an equal one is answered with its record, another is 406.
    DeclareQueue {
        /// As its client declared it, in the vhost of its connection.
        definition: Arc<QueueDefinition>,
        /// Where it is to live: the declarer's shard.
        home: ShardAddress,
        /// The shard drew the name, which may be a reserved one.
        server_named: bool,
    },
    /// Delete a queue; a missing one is fine (0 messages).
    DeleteQueue {
        /// Its vhost.
        vhost: Name,
        /// Its name.
        name: Name,
        /// Refuse with 406 while it has consumers.
        if_unused: bool,
        /// Refuse with 406 while it has ready messages.
        if_empty: bool,
    },
    /// Bind; both ends must exist (404).
    Bind(Binding),
    /// Unbind; a missing binding is fine.
    Unbind(Binding),
    /// Set a policy, or write it over. Its operator's node has checked it.
    SetPolicy(Arc<PolicyDefinition>),
    /// Clear a policy; a missing one is 404.
    ClearPolicy {
        /// Its vhost.
        vhost: Name,
        /// Its name.
        name: Name,
    },
}

/// The answer to a [`Command`]: everyone that the issuer's node counts acts on it now.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done.
    Done,
    /// The queue is there; `created` if this command made it.
    Queue {
        /// The queue as it is.
        record: Box<QueueRecord>,
        /// Made by this command.
        created: bool,
    },
    /// Deleted, with so many ready messages.
    Deleted {
        /// Ready messages that went with it.
        messages: u64,
    },
    /// Refused.
    Refused(Refusal),
}

/// Control to a shard of its node.
#[derive(Clone, Debug, PartialEq)]
pub enum ToShard {
    /// Apply, and say so with [`FromShard::Applied`]. Sequences rise by one.
    Change {
        /// Number of the change in this node.
        sequence: u64,
        /// What changes.
        change: Change,
    },
    /// An answer to a command of this shard.
    Reply {
        /// Which command.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Until then this node may route by bindings and say "unroutable", 404, "empty" or a count (R4).
    /// [`Instant::FAR`] while it is alone.
    Lease {
        /// The lease's end.
        until: Instant,
    },
    /// What people call a node of which queues may be in the map; said before any of them, and again if it
    /// changes.
    NodeNamed {
        /// Which one.
        node: NodeId,
        /// Its name.
        name: Name,
        /// Its shards that take replies of direct reply-to; 0 if its version does not know them.
        reply_shards: u8,
    },
    /// The other nodes that keep sessions and are not Down, whenever one of them comes, goes, or starts anew;
    /// said before any lease that counts them.
    SessionPeers {
        /// All of them, by id.
        peers: Vec<SessionPeer>,
    },
    /// A peer is Down: consumers and deliveries held there are given back; its queues are masked by changes of
    /// their own.
    NodeDown {
        /// Which one.
        node: NodeId,
    },
    /// A peer that was Down is forgotten, with its queues: it will not come back as the start that it was.
    NodeForgotten {
        /// Which one.
        node: NodeId,
    },
    /// Close the queue if the conditions hold and answer [`FromShard::QueueClosed`]. A closed queue takes and
    /// gives nothing; what is sent to it meanwhile waits for the [`Change::DropQueue`] that control then always
    /// emits.
    CloseQueue {
        /// To answer.
        request: RequestId,
        /// Which queue.
        id: QueueId,
        /// Only without consumers.
        if_unused: bool,
        /// Only without ready messages.
        if_empty: bool,
    },
    /// A queue moves.
    Move {
        /// Which queue.
        id: QueueId,
        /// Which try.
        attempt: MoveAttempt,
        /// What is to be done.
        order: MoveOrder,
    },
}

/// What control wants of the shard that is the home of a queue that moves, or is to be. Everything but the
/// first mail of a try is void if the shard knows of no such try.
#[derive(Clone, Debug, PartialEq)]
pub enum MoveOrder {
    /// To the old home: copy the queue to that shard, which expects it, and go on serving. Answered by
    /// [`MoveReport::Copied`] or [`MoveReport::Failed`].
    Copy {
        /// The new home.
        to: ShardAddress,
    },
    /// To the old home: freeze the queue and hand it to that shard, which expects it, but for what this try has
    /// copied. Answered by [`MoveReport::Yielded`] or [`MoveReport::Failed`].
    HandOver {
        /// The new home.
        to: ShardAddress,
        /// Only if the queue is short: nobody leaves, and clients of a long one would wait for nothing.
        only_if_short: bool,
    },
    /// To the new home: a queue comes from there.
    Expect {
        /// The queue as it will be: its home is this shard.
        record: Box<QueueRecord>,
        /// The old home.
        from: ShardAddress,
    },
    /// To the new home: the old one has yielded; serve. Answered by [`MoveReport::Opened`].
    Open,
    /// To the old home: serve again, unless it has yielded; answered by [`MoveReport::Failed`] if it has not.
    /// To the new one: forget what came.
    Cancel,
    /// To the old home, which has yielded: serve again, for the new one is gone for good.
    TakeBack,
}

/// What a shard says of a queue that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveReport {
    /// The old home: little is left to send, so the queue may freeze.
    Copied,
    /// The old home: the new one has everything, all messages below this place, and nothing is served here any
    /// more.
    Yielded(Position),
    /// The old home: a link broke, or it was told to; it serves again. The new home: it has nothing whole.
    Failed,
    /// The new home serves; the old one has had all messages below this place.
    Opened(Position),
    /// What was left here of a queue that another home serves is there. It is about no try.
    Drained,
}

/// Another node that keeps sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPeer {
    /// Which one.
    pub node: NodeId,
    /// Which start of it.
    pub boot: Boot,
    /// Its shards.
    pub shards: u8,
    /// It said that it leaves.
    pub leaves: bool,
    /// It answers an operator's surveys of sessions.
    pub surveys: bool,
}

/// A shard to the control machine of its node.
#[derive(Clone, Debug, PartialEq)]
pub enum FromShard {
    /// A client wants something.
    Command {
        /// To answer.
        request: RequestId,
        /// What.
        command: Command,
    },
    /// Nobody waits for the answer to a command any more: its channel is gone, or was told that it took too
    /// long. What is under way may take effect; what only waits to begin does not begin.
    Forget {
        /// Which command.
        request: RequestId,
    },
    /// Every change up to here is routed by.
    Applied {
        /// The last one.
        sequence: u64,
    },
    /// A queue of this shard is over by itself, and closed: with its connection, after its last consumer, or
    /// unused for long. Control always deletes it, and answers with a [`Reply`] when nobody knows it any more.
    QueueOver {
        /// To answer.
        request: RequestId,
        /// Which queue.
        id: QueueId,
    },
    /// Answer to [`ToShard::CloseQueue`]: ready messages, or why not.
    QueueClosed {
        /// Which request.
        request: RequestId,
        /// Ready messages that go with it, or the refusal.
        result: Result<u64, Refusal>,
    },
    /// A queue moves.
    Move {
        /// Which queue.
        id: QueueId,
        /// Which try.
        attempt: MoveAttempt,
        /// What has been done.
        report: MoveReport,
    },
}

/// A batch of messages from control to each shard of its node.
pub type ShardMail = Vec<(ShardId, ToShard)>;
