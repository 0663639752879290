//! Records for a queue that this shard has not heard of yet.
//!
//! The directory reaches the shards of a cluster one after the other, so a publish or a request can come to the home before
//! the home knows that it is one. To answer "gone" then would confirm a message that nobody keeps; so the record's sender
//! is remembered, and goes on when the queue comes. If it never comes, the sender hears of its end from the directory,
//! or its patience ends.

use alloc::collections::VecDeque;

use leveret_link::record::Record;
use leveret_model::{ChannelKey, ConsumerNumber, LaneSequence, NodeId, QueueId, ShardAddress, limits};

use crate::broker::Broker;

/// What came too early, in order.
#[derive(Debug, Default)]
pub(crate) struct Early {
    /// Requests; they borrow nothing.
    requests: VecDeque<(ShardAddress, QueueId, Record<'static>)>,
    /// Lanes with publishes that were not taken.
    lanes: VecDeque<(ShardAddress, QueueId)>,
}

impl Early {
    fn keep_request(&mut self, from: ShardAddress, queue: QueueId, request: Record<'static>) {
        if self.requests.len() >= limits::EARLY_RECORDS_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back((from, queue, request));
    }

    /// False if it is kept already.
    fn keep_lane(&mut self, from: ShardAddress, queue: QueueId) -> bool {
        if self.lanes.contains(&(from, queue)) {
            return false;
        }
        if self.lanes.len() >= limits::EARLY_RECORDS_MAX {
            self.lanes.pop_front();
        }
        self.lanes.push_back((from, queue));
        true
    }

    /// A node's link is gone: it says again what it wants.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.requests.retain(|(from, ..)| from.node != node);
        self.lanes.retain(|(from, _)| from.node != node);
    }

    /// A consumer ends before its queue came.
    pub(crate) fn forget_consumer(
        &mut self,
        at: ShardAddress,
        channel: ChannelKey,
        consumer: ConsumerNumber,
    ) {
        self.requests.retain(|(from, _, request)| match request {
            Record::Subscribe { consumer: known, .. } => {
                (*from, known.channel, known.number) != (at, channel, consumer)
            }
            _ => true,
        });
    }

    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.lanes.is_empty()
    }
}

impl Broker {
    /// A publish for a queue that is not at home here.
    #[cold]
    pub(crate) fn publish_not_here(&mut self, from: ShardAddress, queue: QueueId) {
        let record = if self.dropped.contains(&queue) {
            Record::Gone { queue }
        } else if self.places.handle(queue).is_some() || self.early.keep_lane(from, queue) {
            Record::NotHome { queue }
        } else {
            return;
        };
        self.outboxes.to(from).push(&record);
    }

    /// A request to a queue that is not at home here. True if the queue was deleted, and the caller is to say so.
    pub(crate) fn request_not_here(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        request: Record<'static>,
    ) -> bool {
        let gone = self.dropped.contains(&queue);
        // one that is elsewhere by our map: the asker hears of that from the directory too
        if !gone && self.places.handle(queue).is_none() {
            self.early.keep_request(from, queue, request);
        }
        gone
    }

    /// A queue came: who was early for it goes on.
    pub(crate) fn take_early(&mut self, id: QueueId) {
        if self.early.is_empty() {
            return;
        }
        let (now, later): (VecDeque<_>, _) =
            core::mem::take(&mut self.early.lanes).into_iter().partition(|(_, of)| *of == id);
        self.early.lanes = later;
        for (from, queue) in now {
            self.outboxes.to(from).push(&Record::Gap { queue, after: LaneSequence(0) });
        }
        let (now, later): (VecDeque<_>, _) =
            core::mem::take(&mut self.early.requests).into_iter().partition(|(_, of, _)| *of == id);
        self.early.requests = later;
        for (from, _, record) in now {
            match record {
                Record::Subscribe { request, queue, consumer } => {
                    self.on_subscribe(from, request, queue, consumer);
                }
                Record::Get { request, queue, channel, no_ack } => {
                    self.on_get(from, request, queue, channel, no_ack);
                }
                Record::Purge { request, queue } => self.on_purge(from, request, queue),
                Record::Inspect { request, queue } => self.on_inspect(from, request, queue),
                _ => {}
            }
        }
    }
}
