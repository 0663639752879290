//! What a turn asks of the driver, and what is asked of the machine.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::session::{Database, KeptAnswer, KeyCommand};
use leveret_model::{ConnectionKey, NodeId, ShardId};

use crate::expired::Expired;
use crate::hid::{Bucket, Hid, Place};
use crate::record::{self, Record};

/// Who waits for an answer: a connection of some shard of this node, and what it calls the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Asker {
    /// The shard that has the connection.
    pub shard: ShardId,
    /// The connection.
    pub connection: ConnectionKey,
    /// `leveret_resp::host::Ticket`
    pub reply: u64,
    /// The same.
    pub part: u32,
}

/// [`Asker::part`] of a step of a rename, whose reply is the number of the rename. A step is
/// not dropped with its connection.
pub const RENAME_PART: u32 = u32::MAX;

/// Commands on one key.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub asker: Asker,
    /// About what.
    pub place: Place<'a>,
    /// One, or those of a block.
    pub commands: &'a [KeyCommand<'a>],
    /// They are a block: answered with one [`leveret_model::session::Answer::Block`].
    pub block: bool,
}

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A life began.
    Created,
    /// Its home changed.
    Moved,
    /// It was destroyed.
    Destroyed,
    /// Its deadline was over.
    Expired,
    /// It gave way: never used after its creation.
    Evicted,
    /// No node is left that holds its state.
    Lost,
}

/// For the exchange `amq.leveret.sessions`. No key: it is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which session.
    pub hid: Hid,
    /// In which vhost.
    pub vhost: Box<str>,
    /// In which database.
    pub database: Database,
    /// Its key up to the first colon; empty without one.
    pub prefix: Box<[u8]>,
}

/// A record for another node: for its shard that keeps the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The node.
    pub to: NodeId,
    /// The bucket.
    pub bucket: Bucket,
    /// The record with its frame.
    pub bytes: Vec<u8>,
}

/// What a turn gave, reused from turn to turn.
#[derive(Debug, Default)]
pub struct Effects {
    /// Answers that were not given at once.
    pub answers: Vec<(Asker, KeptAnswer)>,
    /// Records for other nodes, in order.
    pub records: Vec<Outgoing>,
    /// What happened, while somebody wants to know (`Sessions::want_events`).
    pub events: Vec<Event>,
    /// What expired here, while somebody wants to know (`Sessions::want_expired`).
    pub expired: Vec<Expired>,
}

impl Effects {
    pub(crate) fn send(&mut self, to: NodeId, bucket: Bucket, record: &Record<'_>) {
        let mut bytes = Vec::new();
        record::put(&mut bytes, bucket, record);
        self.records.push(Outgoing { to, bucket, bytes });
    }
}

/// The part of a key that may be shown.
pub(crate) fn prefix(key: &[u8]) -> &[u8] {
    key.iter().position(|&byte| byte == b':').map_or(&[], |colon| &key[..colon])
}
