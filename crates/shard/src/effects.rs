//! What a turn asks of the driver.

use alloc::vec::Vec;

use leveret_auth::{HashJob, HashUpgrade};
use leveret_link::Batch;
use leveret_model::directory::FromShard;
use leveret_model::session::KeptAnswer;
use leveret_model::{
    ChannelNumber, ConnectionKey, Instant, Name, Position, QueueId, ReplyCode, ShardAddress, ShardId,
    StoreMark,
};
use leveret_queue::MessageRef;

use crate::sessions::{SessionMail, SessionTally};

/// A password to be hashed off the shard; the outcome comes back through `Shard::on_password`.
#[derive(Debug)]
pub struct PasswordJob {
    /// Who logs in.
    pub connection: ConnectionKey,
    /// With which mechanism; for the reply text.
    pub mechanism: alloc::string::String,
    /// The slow part.
    pub job: alloc::boxed::Box<HashJob>,
}

/// A channel that was closed for something that its client asked, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRefusal {
    /// The connection, as the driver named it.
    pub peer: alloc::string::String,
    /// The channel.
    pub channel: ChannelNumber,
    /// The reply code.
    pub code: ReplyCode,
    /// The reply text.
    pub text: Name,
}

/// Those of a turn.
#[derive(Debug, Default)]
pub struct ChannelRefusals {
    /// As many as may be logged at once.
    pub first: Vec<ChannelRefusal>,
    /// How many others there were.
    pub more: u64,
}

/// A queue that was declared with another type and is a classic one, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubstitutedQueue {
    /// The connection that declared it first, as the driver named it.
    pub peer: alloc::string::String,
    /// Its vhost.
    pub vhost: Name,
    /// Its name.
    pub name: Name,
    /// What it was to be.
    pub kind: &'static str,
}

/// A channel that holds as many messages as it may, `limits::UNACKED_PER_CHANNEL_MAX`; for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The client, as the driver named it.
    pub peer: alloc::string::String,
    /// Its channel.
    pub channel: ChannelNumber,
}

/// A message that is to be stored before its publisher is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreAppend {
    /// The queue that has it.
    pub queue: QueueId,
    /// Its place there.
    pub position: Position,
    /// The message in the shard's arena (`Shard::stored_message`), until its mark is answered.
    pub message: MessageRef,
    /// When it expires; [`Instant::FAR`] for never.
    pub expires: Instant,
}

/// What leaves the store, or changes there; it is durable later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreLeft {
    /// A message left its queue: acknowledged, expired, dropped, purged.
    Message {
        /// The queue.
        queue: QueueId,
        /// Its place there.
        position: Position,
    },
    /// A message came back to its queue so often.
    Returned {
        /// The queue.
        queue: QueueId,
        /// Its place there.
        position: Position,
        /// How often.
        count: u32,
    },
    /// The node stops: places up to this one were given.
    Given {
        /// The queue.
        queue: QueueId,
        /// The last place.
        last: Position,
    },
}

impl StoreLeft {
    /// Whose message it was.
    pub(crate) fn queue(&self) -> QueueId {
        match *self {
            Self::Message { queue, .. } | Self::Returned { queue, .. } | Self::Given { queue, .. } => queue,
        }
    }
}

/// What a turn hands to the store; the driver answers by `Shard::on_stored`, in the order of the marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// Answer this once all of it, and all that was handed over before, is synced.
    pub mark: StoreMark,
    /// The messages, in the order in which they were appended.
    pub appends: Vec<StoreAppend>,
    /// Queues of which the store forgets all that it has, in front of what is appended.
    pub forgotten: Vec<QueueId>,
    /// What leaves, behind all that is appended.
    pub left: Vec<StoreLeft>,
}

/// Messages of a queue that are wanted from the store, in order; the driver answers by `Shard::on_read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreRead {
    /// To be repeated in the answer.
    pub id: u64,
    /// The queue.
    pub queue: QueueId,
    /// The first that is wanted.
    pub first: Position,
    /// The last that is wanted.
    pub last: Position,
}

/// The effects of a turn, reused from turn to turn: one buffer per destination.
#[derive(Debug, Default)]
pub struct Effects {
    /// Connections with output to write, or whose interest or state may have changed.
    pub touched: Vec<ConnectionKey>,
    /// Batches for other shards: over a ring if the node is ours, else over our data link to it.
    pub batches: Vec<(ShardAddress, Batch)>,
    /// Mail for the control machine.
    pub control: Vec<FromShard>,
    /// Kinds of records that other shards sent and this version does not know, each once for a shard; skipped.
    pub unknown: Vec<(ShardAddress, u8)>,
    /// What is to be stored.
    pub store: Option<StoreRequest>,
    /// What is wanted back from it.
    pub reads: Vec<StoreRead>,
    /// Passwords to hash.
    pub passwords: Vec<PasswordJob>,
    /// Better hashes of passwords, for each other shard of the node (`Shard::on_hash_upgrade`).
    pub hash_upgrades: Vec<HashUpgrade>,
    /// Queues that were declared as another type for the first time in this shard.
    pub substituted: Vec<SubstitutedQueue>,
    /// RESP connections with output to write, or whose interest may have changed.
    pub session_touched: Vec<ConnectionKey>,
    /// For other shards of the node, or this one in a later turn (`Shard::on_session_mail`).
    pub session_mail: Vec<(ShardId, SessionMail)>,
    /// Answers to an operator who ended a session (`Shard::kill_session`).
    pub session_killed: Vec<(u64, KeptAnswer)>,
    /// What came of an operator's surveys (`Shard::survey_sessions`).
    pub session_surveyed: Vec<(u64, SessionTally)>,
    /// Channels that were closed in this turn; those of the turn before are gone.
    pub refused: ChannelRefusals,
    /// Channels whose consumers began to pause in this turn.
    pub held_back: Vec<HeldBack>,
}
