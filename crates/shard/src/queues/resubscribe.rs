//! A new link to a node: both sides say again what the cut may have taken (reliability rules: "Links do not
//! resume").
//!
//! Egress, in this order: RESUB for each queue there with consumers or held deliveries, in pieces, its end,
//! settlements that may be lost, requests that wait, publishes that are not answered. Home: at the end what
//! RESUB lacks is requeued and what it names stays; deliveries wait for that.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_link::record::{HeldDelivery, MovePart, NamedConsumer, Record};
use leveret_model::{
    ChannelKey, ConsumerNumber, MoveAttempt, NodeId, QueueHandle, QueueId, ShardAddress, Unread, limits,
};
use leveret_queue::Subscription;

use super::Queues;
use super::links::HeldThere;
use super::subscription::subscription;

impl Queues {
    /// A link to a node is new: everything that this shard has there is said again. `held` is what its channels
    /// hold of queues elsewhere, `unread` what they have not read. `repeat` is called when the questions that
    /// wait are to be asked again.
    pub(crate) fn on_link_up(
        &mut self,
        node: NodeId,
        mut held: Vec<HeldThere>,
        unread: &BTreeMap<(ChannelKey, ConsumerNumber), Unread>,
        repeat: impl FnOnce(&mut Self),
    ) {
        self.fail_moves_with(node);
        self.forget_link(node);
        self.peers.link_up(node);
        let handles = self.away_handles(node);
        let mut settles = Vec::new();
        for index in self.peers.of_node(node) {
            settles.push((index, self.peers.at(index).take_settles_under_way()));
        }
        for handle in &handles {
            // whether the home still serves is not known: a fence stays until it says so, or another home is
            // told of
            held.extend(self.held_behind_fence(*handle));
        }
        for settle in settles.iter().flat_map(|(_, settles)| settles) {
            if let Record::Settle { queue, channel, consumer, position, .. } = *settle
                && let Some(handle) = self.places.handle(queue)
            {
                held.push((handle, HeldDelivery { channel, consumer, position }));
            }
        }
        // stable: what one channel holds of a queue stays in order
        held.sort_by_key(|(handle, _)| handle.slot);
        for handle in &handles {
            self.resubscribe(*handle, &held, unread);
        }
        for index in self.peers.of_node(node) {
            self.peers.at(index).push(&Record::ResubscribeEnd);
        }
        // behind it: a home that waits for a queue skips that queue there
        for handle in &handles {
            self.end_resubscription(*handle);
        }
        for (index, settles) in settles {
            let outbox = self.peers.at(index);
            settles.into_iter().for_each(|settle| outbox.push_settle(settle));
        }
        repeat(self);
        for handle in handles {
            self.restart_lane(handle);
        }
    }

    /// RESUB for one queue: consumers, and all that is held, settlements under way included.
    pub(super) fn resubscribe(
        &mut self,
        handle: QueueHandle,
        held: &[HeldThere],
        unread: &BTreeMap<(ChannelKey, ConsumerNumber), Unread>,
    ) {
        let Some((id, away)) = self.places.away(handle) else { return };
        let from = held.partition_point(|(at, _)| at.slot < handle.slot);
        let to = held.partition_point(|(at, _)| at.slot <= handle.slot);
        let held: Vec<HeldDelivery> = held[from..to].iter().map(|(_, held)| *held).collect();
        let named = |(at, consumer): (&_, &_)| NamedConsumer {
            consumer: *consumer,
            unread: unread.get(at).copied().unwrap_or_default(),
        };
        let consumers: Vec<NamedConsumer> = away.consumers.iter().map(named).collect();
        if consumers.is_empty() && held.is_empty() {
            return;
        }
        #[cfg(feature = "planted")]
        if self.planted == Some(crate::planted::Planted::NoResubscription) {
            return;
        }
        let outbox = self.peers.at(away.outbox);
        pieces(id, &consumers, &held).for_each(|piece| outbox.push(&piece));
    }

    /// That was all of a queue whose home may wait for it, or may not know that its fence is up still.
    pub(super) fn end_resubscription(&mut self, handle: QueueHandle) {
        let Some((id, away)) = self.places.away(handle) else { return };
        if away.moved || away.fence.is_some() {
            self.peers.at(away.outbox).push(&Record::ResubscribeQueueEnd { queue: id });
        }
    }

    /// A piece of what a shard elsewhere consumes and holds of a queue, after its link was new.
    pub(crate) fn on_resubscribe(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        consumers: &[NamedConsumer],
        held: &[HeldDelivery],
    ) {
        let bounds = self.bounds;
        let Some(mut home) = self.home_of(queue) else {
            if self.places.handle(queue).is_some() {
                // it has moved on, and its shard will hear of that; or it is about to, and does not any more
                if self.thaw_for(from, queue) {
                    self.on_resubscribe(from, queue, consumers, held);
                }
                return;
            }
            // it was known once, or nobody could have subscribed
            let consumers = consumers.iter().map(|named| (named.consumer.channel, named.consumer.number));
            return self.cancel_there(from, queue, consumers);
        };
        let own = home.own;
        let named = |named: &NamedConsumer| (subscription(own, from, named.consumer, &bounds), named.unread);
        let subscriptions: Vec<(Subscription, Unread)> = consumers.iter().map(named).collect();
        let held: Vec<_> = held.iter().map(|held| (held.channel, held.consumer, held.position)).collect();
        home.name(from, &subscriptions, &held);
    }

    /// The shard named all that it has of one queue, which moved here.
    pub(crate) fn on_resubscribe_queue_end(&mut self, from: ShardAddress, queue: QueueId) {
        if self.home_of(queue).is_none() && !self.thaw_for(from, queue) {
            return;
        }
        let Some(mut home) = self.home_of(queue) else { return };
        let refused = if home.awaits(from) { home.reconcile_moved(from) } else { Vec::new() };
        drop(home);
        // it may have been told to hold back, on a link that is gone
        let unfence = Record::Move { queue, attempt: MoveAttempt::default(), part: MovePart::Unfence };
        self.peers.push(from, &unfence);
        self.cancel_there(from, queue, refused.into_iter().map(|key| (key.channel, key.number)));
    }

    /// The shard named all that it has here: the rest ended during the cut. Deliveries to it may start.
    pub(crate) fn on_resubscribe_end(&mut self, from: ShardAddress) {
        self.thaw_all_for(from);
        for handle in self.home_handles() {
            let Some(mut home) = self.home(handle) else { continue };
            if home.awaits(from) {
                continue;
            }
            let (queue, refused) = (home.id, home.reconcile(from));
            drop(home);
            self.cancel_there(from, queue, refused.into_iter().map(|key| (key.channel, key.number)));
        }
        if let Some(outbox) = self.peers.to(from) {
            outbox.allow_deliveries();
        }
    }
}

/// RESUB for one queue, in records that move under credit however much is held.
fn pieces<'a>(
    queue: QueueId,
    consumers: &'a [NamedConsumer],
    held: &'a [HeldDelivery],
) -> impl Iterator<Item = Record<'static>> + 'a {
    let consumers = consumers.chunks(limits::RESUBSCRIBE_PIECE_MAX).map(move |piece| Record::Resubscribe {
        queue,
        consumers: piece.to_vec(),
        held: Vec::new(),
    });
    let held = held.chunks(limits::RESUBSCRIBE_PIECE_MAX).map(move |piece| Record::Resubscribe {
        queue,
        consumers: Vec::new(),
        held: piece.to_vec(),
    });
    consumers.chain(held)
}

#[cfg(test)]
mod tests {
    use leveret_link::frame;
    use leveret_model::{ChannelKey, ConsumerNumber, Position, Seed, ShardId};

    use super::*;
    use crate::peers::Outboxes;

    /// 26 bytes each: as one record that would be half as much again as a frame may have.
    #[test]
    fn more_than_a_frame_holds_is_said_in_records_that_move_under_credit() {
        let held: Vec<HeldDelivery> = (1..=1_200_000_u64)
            .map(|at| HeldDelivery {
                channel: ChannelKey::default(),
                consumer: ConsumerNumber(1),
                position: Position(at),
            })
            .collect();
        let to = ShardAddress { node: NodeId(2), shard: ShardId(0) };
        let mut outboxes = Outboxes::new(NodeId(1), Seed(1));
        outboxes.link_up(to.node);
        let outbox = outboxes.to(to).expect("the link is up");
        pieces(QueueId::default(), &[], &held).for_each(|piece| outbox.push(&piece));
        let (mut named, mut batches) = (Vec::new(), 0);
        while let Some(batch) = outbox.flush() {
            for record in &batch {
                if let Record::Resubscribe { held, .. } = record.expect("our own") {
                    named.extend(held);
                }
            }
            let cost = batch.cost();
            assert!(cost.bytes <= limits::FORWARD_BYTES_MAX + 4_096, "{cost:?}");
            frame::encode_records(ShardId(0), to.shard, batch, &mut Vec::new()).expect("it fits a frame");
            outbox.granted(cost).expect("it was outstanding");
            batches += 1;
        }
        assert!(batches > 1);
        assert!(named == held, "all of it, in order");
    }
}
