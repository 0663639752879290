//! What a queue holds, taken out and put in whole: how it moves to another home.
//!
//! What it has is read by place: first the loose ones ([`Queue::loose_places`]), then those that were never
//! delivered, in order ([`Queue::next_fresh`]). While the queue serves, that finds what can be copied ahead;
//! while it is frozen (nobody appends, settles or dispatches) it finds everything, in the order in which
//! [`Queue::restore`] writes it into a queue that is new and that nobody uses yet.
//!
//! Invariant: a place stands for the same message for as long as the queue lives, so a copy that was made of it
//! at any time is good, and only its state has to be known anew.

use alloc::vec::Vec;

use leveret_model::{
    ConsumerKey, ConsumerTerms, Instant, MessageRule, MessageState, NodeId, Position, ShardAddress,
};

use super::entry::{Entry, OutOfPlace, QueueEntry};
use super::ruled::Ruled;
use super::{Queue, SubscribeRefused, Subscription, Unacked};

const fn of(position: Position, entry: Entry, state: MessageState, rule: Option<MessageRule>) -> QueueEntry {
    QueueEntry { position, message: entry.message, body_bytes: entry.body_bytes, state, rule }
}

impl Queue {
    /// Places of the messages that somebody holds or held, in order. They come first at the new home.
    #[must_use]
    pub fn loose_places(&self) -> Vec<Position> {
        let ruled = self.ready.ruled().into_iter().flat_map(Ruled::returned_places);
        let returned = self.ready.returned().map(|(position, _)| position);
        let mut places: Vec<Position> = returned.chain(self.unacked.keys().copied()).chain(ruled).collect();
        // the table's order means nothing
        places.sort_unstable();
        places
    }

    /// A message that somebody holds or held; `None` if it is neither any more.
    #[must_use]
    pub fn loose_entry(&self, position: Position, now: Instant) -> Option<QueueEntry> {
        if let Some(held) = self.unacked.get(&position) {
            let rule = self.ready.ruled().and_then(|ruled| ruled.held_rule(position, now));
            let state = MessageState::Held(self.consumers.at(held.consumer).key);
            return Some(of(position, held.entry, state, rule));
        }
        if let Some(entry) = self.ready.returned_at(position) {
            return Some(of(position, entry, MessageState::Returned, None));
        }
        let (entry, rule) = self.ready.ruled()?.returned_at(position, now)?;
        Some(of(position, entry, MessageState::Returned, Some(rule)))
    }

    /// The first message from that place on that was never delivered. hot while a queue moves.
    #[must_use]
    pub fn next_fresh(&self, from: Position, now: Instant) -> Option<QueueEntry> {
        if let Some((position, entry)) = self.ready.fresh_from(from) {
            return Some(of(position, entry, MessageState::Fresh, None));
        }
        let (position, entry, rule) = self.ready.ruled()?.fresh_from(from, now)?;
        Some(of(position, entry, MessageState::Fresh, Some(rule)))
    }

    /// From which place on its messages are under rules, if any are.
    #[must_use]
    pub fn ruled_from(&self) -> Option<Position> {
        self.ready.ruled().map(|ruled| ruled.span().0)
    }

    /// The first step of a restoration: from that place on messages are under rules.
    pub fn restore_ruled(&mut self, from: Position) {
        let seed = self.seed.part(2);
        self.ready.restore_ruled(from, seed);
    }

    /// The place that the next message gets.
    #[must_use]
    pub fn next_position(&self) -> Position {
        self.ready.next()
    }

    /// Consumers with their terms, in the order in which they came.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<(ConsumerKey, ConsumerTerms)> {
        self.consumers.terms()
    }

    /// Shards whose channels consume from the queue or hold a delivery, each once and in order.
    #[must_use]
    pub fn served_shards(&self) -> Vec<ShardAddress> {
        let held = self.unacked.values().map(|held| self.consumers.at(held.consumer).key.at);
        let consuming = self.consumers.subscribed_where(|_| true).into_iter().map(|key| key.at);
        let mut shards: Vec<ShardAddress> = held.chain(consuming).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    /// A node holds deliveries of the queue, or consumes from it.
    #[must_use]
    pub fn serves(&self, node: NodeId) -> bool {
        self.served_shards().iter().any(|shard| shard.node == node)
    }

    /// Takes over a message of the queue's old home, and its reference: the loose ones first, then the
    /// fresh ones by place.
    ///
    /// # Errors
    /// [`OutOfPlace`]: a place comes twice, or the fresh ones have a gap. The reference stays the caller's.
    pub fn restore(&mut self, entry: QueueEntry, now: Instant) -> Result<(), OutOfPlace> {
        let QueueEntry { position, message, body_bytes, state, rule } = entry;
        let kept = Entry { message, body_bytes };
        if self.unacked.contains_key(&position) || self.ready.has_returned(position) {
            return Err(OutOfPlace(position));
        }
        let no_fresh = self.ready.fresh_is_empty();
        match (state, rule, self.ready.ruled_mut()) {
            (MessageState::Held(holder), ..) => {
                if let (Some(rule), Some(ruled)) = (rule, self.ready.ruled_mut()) {
                    ruled.restore_held(position, rule, now);
                }
                let consumer = self.consumers.holder(&holder);
                self.consumers.at_mut(consumer).unacked += 1;
                self.unacked.insert(position, Unacked { entry: kept, consumer });
                self.counts.take_over_held();
                self.unacked_bytes += u64::from(body_bytes);
            }
            (_, Some(rule), Some(ruled)) => {
                ruled.restore((position, kept), rule, state == MessageState::Returned, now)?;
            }
            (_, Some(_), None) => return Err(OutOfPlace(position)),
            (MessageState::Returned, None, _) if no_fresh => {
                self.ready.put_back(position, kept);
            }
            (MessageState::Returned, None, _) => return Err(OutOfPlace(position)),
            (MessageState::Fresh, None, _) => self.ready.restore_fresh(position, kept)?,
        }
        Ok(())
    }

    /// The last step of a restoration: the place that the next message gets.
    ///
    /// # Errors
    /// [`OutOfPlace`]: it is not behind all that was restored.
    pub fn restore_next(&mut self, next: Position) -> Result<(), OutOfPlace> {
        self.ready.restore_next(next)
    }

    /// It is on no list of the shard: it was frozen, and is served again.
    pub fn unlist(&mut self) {
        self.listed = false;
    }

    /// Every ready message counts as delivered before: another home had them, and may have given them out.
    pub fn return_all(&mut self) {
        self.ready.return_all();
    }

    /// Consumers of this shard are offered messages again: whoever had room meanwhile could not say so.
    pub fn wake_here(&mut self, own: ShardAddress) {
        for key in self.consumers.subscribed_where(|key| key.at == own) {
            self.wake(&key);
        }
    }

    /// Consumers of other shards take nothing until their shards name them ([`Queue::reconcile`]).
    pub fn sleep_elsewhere(&mut self, own: ShardAddress) {
        for key in self.consumers.subscribed_where(|key| key.at != own) {
            if let Some(index) = self.consumers.find(&key) {
                self.consumers.put_to_sleep(index);
            }
        }
    }

    /// Takes over a consumer of the queue's old home. One of another shard sleeps until that shard names it
    /// ([`Queue::reconcile`]).
    ///
    /// # Errors
    /// See [`Queue::subscribe`].
    pub fn restore_consumer(
        &mut self,
        subscription: Subscription,
        asleep: bool,
    ) -> Result<(), SubscribeRefused> {
        self.subscribe(subscription)?;
        if asleep && let Some(index) = self.consumers.find(&subscription.key) {
            self.consumers.put_to_sleep(index);
        }
        Ok(())
    }
}
