//! A new link to a node: both sides say again what the cut may have taken (reliability rules: "Links do not resume").
//!
//! Egress, in this order: RESUB for each queue there with consumers or held deliveries, in pieces, its end, settlements
//! that may be lost, requests that wait, publishes that are not answered. Home: at the end what RESUB lacks is requeued
//! and what it names stays; deliveries wait for that.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_link::record::{HeldDelivery, NamedConsumer, Record};
use leveret_model::{ChannelKey, ConsumerNumber, NodeId, QueueHandle, QueueId, ShardAddress, Unread, limits};
use leveret_queue::Subscription;

use crate::broker::Broker;
use crate::connections::Connections;
use crate::home::subscription;
use crate::places::{Entry, Place};

/// A delivery that this shard holds of a queue elsewhere, or settles just now.
type HeldThere = (QueueHandle, HeldDelivery);

impl Broker {
    /// The link to a node is gone.
    pub(crate) fn on_link_down(&mut self, node: NodeId) {
        self.outboxes.link_down(node);
        self.forget_node(node);
        self.end_waits_for_link(node);
    }

    /// What was on the old link does not count on a new one: the shards there say it again.
    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.early.forget(node);
        self.forget_throttles(node);
        for (_, entry) in self.places.iter_mut() {
            if let Place::Home(home) = &mut entry.place {
                home.queue.forget_named(node);
            }
        }
    }

    /// A link to a node is new: everything that this shard has there is said again.
    pub(crate) fn on_link_up(&mut self, node: NodeId, connections: &Connections) {
        self.forget_node(node);
        self.end_waits_for_link(node);
        self.outboxes.link_up(node);
        let mut held = self.held_there(connections);
        let mut settles = Vec::new();
        for index in self.outboxes.of_node(node) {
            settles.push((index, self.outboxes.at(index).take_settles_under_way()));
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
        let handles: Vec<QueueHandle> = self
            .places
            .iter()
            .filter(|(_, entry)| matches!(&entry.place, Place::Away(away) if away.home.node == node))
            .map(|(handle, _)| handle)
            .collect();
        let unread = self.unread();
        for handle in &handles {
            self.resubscribe(*handle, &held, &unread);
        }
        for (index, settles) in settles {
            let outbox = self.outboxes.at(index);
            outbox.push(&Record::ResubscribeEnd);
            for settle in settles {
                outbox.push_settle(settle);
            }
        }
        self.repeat_requests(node);
        for handle in handles {
            self.restart_lane(handle);
        }
        self.retry = true;
    }

    fn held_there(&self, connections: &Connections) -> Vec<HeldThere> {
        let mut held = Vec::new();
        connections.for_each_held(|channel, at| {
            if matches!(self.places.get(at.queue), Some(Entry { place: Place::Away(_), .. })) {
                let delivery = HeldDelivery { channel, consumer: at.consumer, position: at.position };
                held.push((at.queue, delivery));
            }
        });
        held
    }

    /// What homes elsewhere will hear of when it is read, or when its channel has room. (Credit that was on its way counts as
    /// given back.)
    fn unread(&self) -> BTreeMap<(ChannelKey, ConsumerNumber), Unread> {
        let mut unread: BTreeMap<_, Unread> = BTreeMap::new();
        for credit in self.metas.iter().flat_map(|meta| meta.credit.iter().chain(meta.withheld.values())) {
            let of = unread.entry((credit.channel, credit.consumer)).or_default();
            of.messages = of.messages.saturating_add(credit.messages);
            of.bytes = of.bytes.saturating_add(credit.bytes);
        }
        unread
    }

    /// RESUB for one queue: consumers, and all that is held, settlements under way included.
    fn resubscribe(
        &mut self,
        handle: QueueHandle,
        held: &[HeldThere],
        unread: &BTreeMap<(ChannelKey, ConsumerNumber), Unread>,
    ) {
        let Some(Entry { id, place: Place::Away(away) }) = self.places.get(handle) else { return };
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
        let outbox = self.outboxes.at(away.outbox);
        pieces(*id, &consumers, &held).for_each(|piece| outbox.push(&piece));
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
        let Some((_, home)) = self.places.home_mut(queue) else {
            // it was known once, or nobody could have subscribed
            return self.cancel_there(
                from,
                queue,
                consumers.iter().map(|named| (named.consumer.channel, named.consumer.number)),
            );
        };
        let subscribed = |named: &NamedConsumer| (subscription(from, named.consumer, bounds), named.unread);
        let subscriptions: Vec<(Subscription, Unread)> = consumers.iter().map(subscribed).collect();
        let held: Vec<_> = held.iter().map(|held| (held.channel, held.consumer, held.position)).collect();
        home.queue.name(from, &subscriptions, &held);
    }

    /// The shard named all that it has here: the rest ended during the cut. Deliveries to it may start.
    pub(crate) fn on_resubscribe_end(&mut self, from: ShardAddress) {
        let (mut touched, mut refused) = (Vec::new(), Vec::new());
        for (handle, entry) in self.places.iter_mut() {
            let Place::Home(home) = &mut entry.place else { continue };
            refused.extend(home.queue.reconcile(from).into_iter().map(|key| (entry.id, key)));
            touched.push(handle);
        }
        for (queue, key) in refused {
            self.cancel_there(from, queue, core::iter::once((key.channel, key.number)));
        }
        for handle in touched {
            self.mark_dirty(handle);
        }
        if let Some(outbox) = self.outboxes.to(from) {
            outbox.deliverable = true;
        }
    }

    /// A node will not come back as the start that it was: what was kept for that goes. A lane has nothing to tell any more,
    /// since its ingress has given up what was on it.
    pub(crate) fn on_node_forgotten(&mut self, node: NodeId) {
        self.outboxes.forget(node);
        self.node_names.remove(&node);
        for (_, entry) in self.places.iter_mut() {
            if let Place::Home(home) = &mut entry.place {
                home.lanes.forget(node);
            }
        }
    }

    /// A node is Down: its consumers end and what they held goes back.
    pub(crate) fn on_node_down(&mut self, node: NodeId) {
        self.forget_node(node);
        let mut touched = Vec::new();
        for (handle, entry) in self.places.iter_mut() {
            let Place::Home(home) = &mut entry.place else { continue };
            home.queue.release_node(node);
            touched.push(handle);
        }
        for handle in touched {
            self.mark_dirty(handle);
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
    use crate::outboxes::Outboxes;

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
