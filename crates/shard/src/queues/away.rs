//! A queue that lives elsewhere: what this shard keeps for it, and each verb as the record that its home gets.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use leveret_link::record::{Record, RemoteConsumer};
use leveret_model::{ChannelKey, ConsumerNumber, Held, LaneSequence, QueueId, Settlement, ShardAddress};
use leveret_queue::OutLane;

use super::delivery::Credit;
use super::moving::{Fence, Leaving};
use super::publisher::Owed;
use crate::peers::{OutboxIndex, Outboxes};

/// A queue that lives elsewhere.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) home: ShardAddress,
    /// The way there.
    pub(super) outbox: OutboxIndex,
    /// The ingress end of the lane.
    pub(super) lane: OutLane<Owed>,
    /// Consumers of this shard's channels, by who they are.
    pub(super) consumers: BTreeMap<(ChannelKey, ConsumerNumber), RemoteConsumer>,
    /// Its home says that its publishers are to wait (`throttle.rs`).
    pub(super) throttled: bool,
    /// So much is on its way there that its publishers wait on our own account.
    pub(super) throttles: bool,
    /// Its home changes: what clients settle waits.
    pub(super) fence: Option<Box<Fence>>,
    /// This shard is the old home, and has not heard yet that the new one serves.
    pub(super) leaving: Option<Box<Leaving>>,
    /// It had another home before.
    pub(super) moved: bool,
}

impl Away {
    pub(super) fn new(home: ShardAddress, outbox: OutboxIndex, first: LaneSequence) -> Self {
        Self {
            home,
            outbox,
            lane: OutLane::new(first),
            consumers: BTreeMap::new(),
            throttled: false,
            throttles: false,
            fence: None,
            leaving: None,
            moved: false,
        }
    }

    /// hot.
    pub(super) fn settle(
        &mut self,
        queue: QueueId,
        channel: ChannelKey,
        held: &Held,
        how: Settlement,
        peers: &mut Outboxes,
    ) {
        let (consumer, position) = (held.consumer, held.position);
        let settle = Record::Settle { queue, channel, consumer, position, how };
        match &mut self.fence {
            None => peers.at(self.outbox).push_settle(settle),
            Some(fence) => fence.held_back.push(settle),
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        queue: QueueId,
        channel: ChannelKey,
        consumer: ConsumerNumber,
        peers: &mut Outboxes,
    ) {
        self.consumers.remove(&(channel, consumer));
        let record = Record::Unsubscribe { request: None, queue, channel, consumer };
        match &mut self.fence {
            None => peers.at(self.outbox).push(&record),
            Some(fence) => fence.held_back.push(record),
        }
    }

    pub(super) fn give_back(&mut self, queue: QueueId, credit: &Credit, peers: &mut Outboxes) {
        let Credit { channel, consumer, messages, bytes, .. } = *credit;
        let record = Record::Credit { queue, channel, consumer, messages, bytes };
        match &mut self.fence {
            None => peers.at(self.outbox).push(&record),
            Some(fence) => fence.held_back.push(record),
        }
    }
}
