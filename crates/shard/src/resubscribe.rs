//! A new link to a node: both sides say again what the cut may have taken (reliability rules: "Links do not resume").
//!
//! Egress, in this order: RESUB for each queue there with consumers or held deliveries, its end, settlements that may be
//! lost, requests that wait, publishes that are not answered. Home: what RESUB lacks is requeued, what it names stays;
//! deliveries wait for its end.

use alloc::vec::Vec;

use leveret_amqp::host::QueueHandle;
use leveret_link::record::{ConsumerTerms, HeldDelivery, Record};
use leveret_model::{NodeId, QueueId, ShardAddress};
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
        self.end_cancels_at(node);
    }

    /// What was on the old link does not count on a new one: the shards there say it again.
    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.early.forget(node);
        self.forget_throttles(node);
        for (_, entry) in self.places.iter_mut() {
            if let Place::Home(home) = &mut entry.place {
                home.resubscribed.retain(|(shard, _)| shard.node != node);
            }
        }
    }

    /// A link to a node is new: everything that this shard has there is said again.
    pub(crate) fn on_link_up(&mut self, node: NodeId, connections: &Connections) {
        self.forget_node(node);
        self.end_cancels_at(node);
        self.outboxes.link_up(node);
        let mut held = self.held_there(connections);
        let mut settles = Vec::new();
        for outbox in self.outboxes.iter_mut().filter(|outbox| outbox.to.node == node) {
            settles.push((outbox.to, outbox.take_settles_under_way()));
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
        for handle in &handles {
            self.resubscribe(*handle, &held);
        }
        for (to, settles) in settles {
            let outbox = self.outboxes.to(to);
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

    /// RESUB for one queue: consumers, and all that is held, settlements under way included.
    fn resubscribe(&mut self, handle: QueueHandle, held: &[HeldThere]) {
        let Some(Entry { id, place: Place::Away(away) }) = self.places.get(handle) else { return };
        let from = held.partition_point(|(at, _)| at.slot < handle.slot);
        let to = held.partition_point(|(at, _)| at.slot <= handle.slot);
        let held: Vec<HeldDelivery> = held[from..to].iter().map(|(_, held)| *held).collect();
        let consumers: Vec<ConsumerTerms> = away.consumers.values().copied().collect();
        if consumers.is_empty() && held.is_empty() {
            return;
        }
        #[cfg(feature = "planted")]
        if self.planted == Some(crate::planted::Planted::NoResubscription) {
            return;
        }
        let record = Record::Resubscribe { queue: *id, consumers, held };
        self.outboxes.at(away.outbox).push(&record);
    }

    /// What a shard elsewhere consumes and holds of a queue, after its link was new.
    pub(crate) fn on_resubscribe(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        consumers: &[ConsumerTerms],
        held: &[HeldDelivery],
    ) {
        let Some((handle, home)) = self.places.home_mut(queue) else {
            // it was known once, or nobody could have subscribed
            return self.cancel_there(
                from,
                queue,
                consumers.iter().map(|terms| (terms.channel, terms.consumer)),
            );
        };
        let subscriptions: Vec<Subscription> =
            consumers.iter().map(|terms| subscription(from, *terms)).collect();
        let held: Vec<_> = held.iter().map(|held| (held.channel, held.consumer, held.position)).collect();
        let refused = home.queue.reconcile(from, &subscriptions, &held);
        let keys = subscriptions.iter().map(|subscription| subscription.key).collect();
        home.resubscribed.push((from, keys));
        self.cancel_there(from, queue, refused.iter().map(|key| (key.channel, key.number)));
        self.mark_dirty(handle);
    }

    /// The shard named all that it has here: the rest ended during the cut. Deliveries to it may start.
    pub(crate) fn on_resubscribe_end(&mut self, from: ShardAddress) {
        let mut touched = Vec::new();
        for (handle, entry) in self.places.iter_mut() {
            let Place::Home(home) = &mut entry.place else { continue };
            if let Some(at) = home.resubscribed.iter().position(|(shard, _)| *shard == from) {
                for key in home.resubscribed.swap_remove(at).1 {
                    home.queue.wake(&key);
                }
            } else {
                // a shard that names nothing has nothing: nobody can be refused
                let _ = home.queue.reconcile(from, &[], &[]);
            }
            touched.push(handle);
        }
        for handle in touched {
            self.mark_dirty(handle);
        }
        self.outboxes.to(from).deliverable = true;
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
