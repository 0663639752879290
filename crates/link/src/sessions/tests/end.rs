//! One end: its sessions, the threads of its shards, and what it calls the sessions it had.

use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use leveret_model::{Boot, LaneSequence, NodeId, QueueId, ShardAddress, Ulid};

use crate::Batch;
use crate::record::Record;
use crate::sessions::{Arrivals, Round, SessionNumber, Sessions};

pub(super) type LinkId = usize;

/// The name of a session that both ends would agree on.
pub(super) type Tag = (Boot, Round);

/// Mail to a shard's thread.
#[derive(Debug)]
pub(super) enum ShardMail {
    Up(NodeId, Boot, SessionNumber, Vec<(u8, LinkId)>),
    Down(NodeId),
    Relayed(ShardAddress, SessionNumber, Tag, Batch),
}

impl ShardMail {
    pub(super) fn is_batch(&self) -> bool {
        matches!(self, Self::Relayed(..))
    }
}

#[derive(Default)]
pub(super) struct Shard {
    pub(super) arrivals: Arrivals,
    pub(super) links: BTreeMap<u8, LinkId>,
    pub(super) mail: VecDeque<ShardMail>,
}

pub(super) struct End {
    pub(super) node: NodeId,
    pub(super) boot: Boot,
    pub(super) sessions: Sessions<LinkId>,
    pub(super) shards: Vec<Shard>,
    /// To its control thread: losses that shards saw.
    pub(super) lost: VecDeque<SessionNumber>,
    /// What each session of this start is called by both.
    pub(super) tags: BTreeMap<SessionNumber, Tag>,
    pub(super) got: u64,
}

impl End {
    pub(super) fn new(node: NodeId, boot: Boot, shards: u8) -> Self {
        Self {
            node,
            boot,
            sessions: Sessions::new(node, shards),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            lost: VecDeque::new(),
            tags: BTreeMap::new(),
            got: 0,
        }
    }

    /// A batch reaches a shard in a session: it must be of that session.
    pub(super) fn take(&mut self, session: SessionNumber, tag: Tag, from: ShardAddress, batch: &Batch) {
        assert_eq!(self.tags.get(&session), Some(&tag), "a batch from {from:?} in another session");
        assert_eq!(tag_of(batch), tag);
        self.got += 1;
    }
}

pub(super) fn batch_of((boot, round): Tag) -> Batch {
    let mut batch = Batch::new();
    batch.push(&Record::Stored {
        queue: QueueId { generation: 0, ulid: Ulid(u128::from(boot.0)) },
        through: LaneSequence(round.0),
    });
    batch
}

pub(super) fn tag_of(batch: &Batch) -> Tag {
    match batch.iter().next() {
        Some(Ok(Record::Stored { queue, through })) => (Boot(queue.ulid.0 as u64), Round(through.0)),
        other => panic!("not ours: {other:?}"),
    }
}
