//! Records for a queue that this shard has not heard of yet.
//!
//! The directory reaches the shards of a cluster one after the other, so a publish or a request can come to the home before
//! the home knows that it is one. To answer "gone" then would confirm a message that nobody keeps; so the record's sender
//! is remembered, and goes on when the queue comes. If it never comes, the sender hears of its end from the directory,
//! or its patience ends.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_link::record::Record;
use leveret_model::{ChannelKey, ConsumerNumber, LaneSequence, NodeId, QueueId, ShardAddress, limits};

use crate::broker::Broker;

/// What came too early.
#[derive(Debug, Default)]
pub(crate) struct Early {
    /// Requests, by their queue and in the order in which they came; they borrow nothing.
    requests: BTreeMap<(QueueId, Age), (ShardAddress, Record<'static>)>,
    requests_by_age: BTreeMap<Age, QueueId>,
    /// Lanes with publishes that were not taken.
    lanes: BTreeMap<(QueueId, ShardAddress), Age>,
    lanes_by_age: BTreeMap<Age, (QueueId, ShardAddress)>,
    last: Age,
}

/// Counts what came too early.
type Age = u64;

impl Early {
    fn keep_request(&mut self, from: ShardAddress, queue: QueueId, request: Record<'static>) {
        if self.requests.len() >= limits::EARLY_RECORDS_MAX
            && let Some((age, oldest)) = self.requests_by_age.pop_first()
        {
            self.requests.remove(&(oldest, age));
        }
        self.last += 1;
        self.requests.insert((queue, self.last), (from, request));
        self.requests_by_age.insert(self.last, queue);
    }

    fn keep_lane(&mut self, from: ShardAddress, queue: QueueId) {
        let lane = (queue, from);
        if self.lanes.contains_key(&lane) {
            return;
        }
        if self.lanes.len() >= limits::EARLY_RECORDS_MAX
            && let Some((_, oldest)) = self.lanes_by_age.pop_first()
        {
            self.lanes.remove(&oldest);
        }
        self.last += 1;
        self.lanes.insert(lane, self.last);
        self.lanes_by_age.insert(self.last, lane);
    }

    /// The requests for a queue, in order.
    fn take_requests(&mut self, queue: QueueId) -> Vec<(ShardAddress, Record<'static>)> {
        let mut taken = Vec::new();
        while let Some((&key, _)) = self.requests.range((queue, 0)..=(queue, Age::MAX)).next() {
            taken.extend(self.requests.remove(&key));
            self.requests_by_age.remove(&key.1);
        }
        taken
    }

    /// Whose publishes for a queue were not taken.
    fn take_lanes(&mut self, queue: QueueId) -> Vec<ShardAddress> {
        let mut taken = Vec::new();
        let first = (queue, ShardAddress::default());
        while let Some((&lane, &age)) = self.lanes.range(first..).next().filter(|(lane, _)| lane.0 == queue) {
            self.lanes.remove(&lane);
            self.lanes_by_age.remove(&age);
            taken.push(lane.1);
        }
        taken
    }

    fn keep_requests_where(&mut self, keep: impl Fn(ShardAddress, &Record<'_>) -> bool) {
        let Self { requests, requests_by_age, .. } = self;
        requests.retain(|(_, age), (from, request)| {
            let kept = keep(*from, request);
            if !kept {
                requests_by_age.remove(age);
            }
            kept
        });
    }

    /// A node's link is gone: it says again what it wants.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.keep_requests_where(|from, _| from.node != node);
        self.lanes.retain(|(_, from), _| from.node != node);
        self.lanes_by_age.retain(|_, (_, from)| from.node != node);
    }

    /// A consumer ends before its queue came.
    pub(crate) fn forget_consumer(
        &mut self,
        at: ShardAddress,
        channel: ChannelKey,
        consumer: ConsumerNumber,
    ) {
        self.keep_requests_where(|from, request| match request {
            Record::Subscribe { consumer: known, .. } => {
                (from, known.channel, known.number) != (at, channel, consumer)
            }
            _ => true,
        });
    }

    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.lanes.is_empty()
    }
}

impl Broker {
    /// A publish for a queue that is not at home here. One that was not heard of yet asks for it with a gap when it comes; of
    /// one that is elsewhere by our map the ingress hears from the directory too.
    #[cold]
    pub(crate) fn publish_not_here(&mut self, from: ShardAddress, queue: QueueId) {
        if self.dropped.contains(&queue) {
            self.outboxes.push(from, &Record::Gone { queue });
        } else if self.places.handle(queue).is_none() {
            self.early.keep_lane(from, queue);
        }
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
        for from in self.early.take_lanes(id) {
            self.outboxes.push(from, &Record::Gap { queue: id, after: LaneSequence(0) });
        }
        for (from, record) in self.early.take_requests(id) {
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

#[cfg(test)]
mod tests {
    use leveret_model::{RequestId, ShardId, Ulid};

    use super::*;

    fn queue(number: u128) -> QueueId {
        QueueId { generation: 0, ulid: Ulid(number) }
    }

    fn shard(node: u128) -> ShardAddress {
        ShardAddress { node: NodeId(node), shard: ShardId(0) }
    }

    #[test]
    fn the_oldest_is_forgotten_at_the_bound_and_each_queue_takes_its_own_in_order() {
        let mut early = Early::default();
        for number in 0..=limits::EARLY_RECORDS_MAX as u64 {
            let purge = Record::Purge { request: RequestId(number), queue: queue(u128::from(number % 2)) };
            early.keep_request(shard(2), queue(u128::from(number % 2)), purge);
            early.keep_lane(shard(2), queue(u128::from(number)));
            early.keep_lane(shard(2), queue(u128::from(number)));
        }
        assert_eq!(early.take_lanes(queue(0)), []);
        assert_eq!(early.take_lanes(queue(1)), [shard(2)]);
        let taken = early.take_requests(queue(0)).into_iter().map(|(_, record)| match record {
            Record::Purge { request, .. } => request.0,
            other => panic!("{other:?}"),
        });
        assert!(taken.eq((2..=limits::EARLY_RECORDS_MAX as u64).step_by(2)));
        early.forget(NodeId(2));
        assert!(early.is_empty());
        assert!(early.requests_by_age.is_empty() && early.lanes_by_age.is_empty());
    }
}
