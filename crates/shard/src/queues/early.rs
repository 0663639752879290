//! Records for a queue that this shard has not heard of yet.
//!
//! The directory reaches the shards of a cluster one after the other, so a publish or a request can come to the
//! home before the home knows that it is one. To answer "gone" then would confirm a message that nobody keeps;
//! so the record's sender is remembered, and goes on when the queue comes. If it never comes, the sender hears
//! of its end from the directory, or its patience ends.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use leveret_model::{ChannelKey, ConsumerNumber, NodeId, QueueId, ShardAddress, limits};

use super::question::{Asker, Question};

/// What came too early.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// By their queue, and in the order in which they came.
    questions: BTreeMap<(QueueId, Age), (Asker, Question)>,
    questions_by_age: BTreeMap<Age, QueueId>,
    /// Lanes with publishes that were not taken.
    lanes: BTreeMap<(QueueId, ShardAddress), Age>,
    lanes_by_age: BTreeMap<Age, (QueueId, ShardAddress)>,
    last: Age,
    /// Queues that were deleted, the latest last: what comes for them is late, not early.
    dropped: VecDeque<QueueId>,
}

/// Counts what came too early.
type Age = u64;

impl Early {
    /// Remembers for a while that a queue was here.
    pub(super) fn note_dropped(&mut self, id: QueueId) {
        if self.dropped.len() >= limits::DROPPED_QUEUES_KEPT {
            self.dropped.pop_front();
        }
        self.dropped.push_back(id);
    }

    /// The queue was here and was deleted.
    pub(super) fn was_dropped(&self, id: QueueId) -> bool {
        self.dropped.contains(&id)
    }

    pub(super) fn keep_question(&mut self, asker: Asker, queue: QueueId, question: Question) {
        if self.questions.len() >= limits::EARLY_RECORDS_MAX
            && let Some((age, oldest)) = self.questions_by_age.pop_first()
        {
            self.questions.remove(&(oldest, age));
        }
        self.last += 1;
        self.questions.insert((queue, self.last), (asker, question));
        self.questions_by_age.insert(self.last, queue);
    }

    pub(super) fn keep_lane(&mut self, from: ShardAddress, queue: QueueId) {
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

    /// The questions to a queue, in order.
    pub(super) fn take_questions(&mut self, queue: QueueId) -> Vec<(Asker, Question)> {
        let mut taken = Vec::new();
        while let Some((&key, _)) = self.questions.range((queue, 0)..=(queue, Age::MAX)).next() {
            taken.extend(self.questions.remove(&key));
            self.questions_by_age.remove(&key.1);
        }
        taken
    }

    /// Whose publishes for a queue were not taken.
    pub(super) fn take_lanes(&mut self, queue: QueueId) -> Vec<ShardAddress> {
        let mut taken = Vec::new();
        let first = (queue, ShardAddress::default());
        while let Some((&lane, &age)) = self.lanes.range(first..).next().filter(|(lane, _)| lane.0 == queue) {
            self.lanes.remove(&lane);
            self.lanes_by_age.remove(&age);
            taken.push(lane.1);
        }
        taken
    }

    fn keep_questions_where(&mut self, keep: impl Fn(&Asker, Question) -> bool) {
        let Self { questions, questions_by_age, .. } = self;
        questions.retain(|(_, age), (asker, question)| {
            let kept = keep(asker, *question);
            if !kept {
                questions_by_age.remove(age);
            }
            kept
        });
    }

    /// A node's link is gone: it says again what it wants.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.keep_questions_where(|asker, _| asker.at.node != node);
        self.lanes.retain(|(_, from), _| from.node != node);
        self.lanes_by_age.retain(|_, (_, from)| from.node != node);
    }

    /// A consumer ends before its queue came.
    pub(super) fn forget_consumer(
        &mut self,
        at: ShardAddress,
        channel: ChannelKey,
        consumer: ConsumerNumber,
    ) {
        self.keep_questions_where(|asker, question| match question {
            Question::Subscribe { consumer: known, .. } => {
                (asker.at, asker.channel, known) != (at, channel, consumer)
            }
            _ => true,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.questions.is_empty() && self.lanes.is_empty()
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
            let asker = Asker { at: shard(2), channel: ChannelKey::default(), request: RequestId(number) };
            early.keep_question(asker, queue(u128::from(number % 2)), Question::Purge);
            early.keep_lane(shard(2), queue(u128::from(number)));
            early.keep_lane(shard(2), queue(u128::from(number)));
        }
        assert_eq!(early.take_lanes(queue(0)), []);
        assert_eq!(early.take_lanes(queue(1)), [shard(2)]);
        let taken = early.take_questions(queue(0)).into_iter().map(|(asker, _)| asker.request.0);
        assert!(taken.eq((2..=limits::EARLY_RECORDS_MAX as u64).step_by(2)));
        early.forget(NodeId(2));
        assert!(early.is_empty());
        assert!(early.questions_by_age.is_empty() && early.lanes_by_age.is_empty());
    }
}
