//! The new home of a queue that moves: it takes what the old one sends, and serves when control says that the
//! old one has yielded.
//!
//! Invariant: until [`Queues::open_arrived`] nobody is given anything of the queue, and it takes no publish;
//! what came of a try that is off is forgotten.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_link::record::{MovePart, MoveRefused, MovedConsumer, MovedLane, Record};
use leveret_model::directory::{MoveReport, QueueRecord};
use leveret_model::{
    Instant, Message, MessageRule, MessageState, MoveAttempt, NodeId, Position, QueueId, ShardAddress,
    StoreMark, Stored,
};
use leveret_queue::{LaneKey, MessageRef, QueueEntry};

use super::Queues;
use super::copied_messages::CopiedMessages;
use super::home::Home;
use super::moving::Arriving;
use super::places::{Entry, Place};
use super::subscription::subscription;
use crate::view::ClusterView;

impl Queues {
    /// Control expects a queue from another shard.
    pub(crate) fn expect(&mut self, record: &QueueRecord, from: ShardAddress, attempt: MoveAttempt) {
        self.forget_arriving(record.id);
        #[cfg_attr(not(feature = "planted"), allow(unused_mut))]
        let mut home = Home::new(record, self.seed.part(record.id.ulid.0 as u64));
        #[cfg(feature = "planted")]
        self.planted.into_iter().for_each(|bug| home.plant(bug));
        let arriving = Arriving {
            attempt,
            from,
            home: Box::new(home),
            copies: CopiedMessages::default(),
            messages: 0,
            awaits: BTreeSet::new(),
            mark: None,
            stored: Position(0),
            unsorted: false,
            paged: false,
            whole: false,
        };
        if arriving.home.queue().is_durable() {
            // the rest of a try that a restart ended
            self.commits.forget_copy(record.id);
        }
        self.arriving.by_id.insert(record.id, arriving);
    }

    pub(super) fn arriving_of(
        &mut self,
        from: ShardAddress,
        id: QueueId,
        attempt: MoveAttempt,
    ) -> Option<&mut Arriving> {
        self.arriving.by_id.get_mut(&id).filter(|at| at.attempt == attempt && at.from == from && !at.whole)
    }

    /// A message of it.
    pub(crate) fn on_move_message(
        &mut self,
        from: ShardAddress,
        (queue, attempt): (QueueId, MoveAttempt),
        (position, state, rule): (Position, MessageState, Option<MessageRule>),
        message: &Message<'_>,
    ) {
        let (own, now) = (self.own, self.lifetimes.now);
        if self.arriving_of(from, queue, attempt).is_none() {
            return;
        }
        let kept = self.arena.insert(message, 1);
        let entry =
            QueueEntry { position, message: kept, body_bytes: message.body.len() as u32, state, rule };
        let Some(arriving) = self.arriving.by_id.get_mut(&queue) else { return };
        if let MessageState::Held(holder) = state
            && holder.at != own
        {
            arriving.awaits.insert(holder.at);
        }
        arriving.messages += 1;
        if arriving.home.restore(entry, now).is_err() {
            self.arena.release(kept);
            return self.refuse_arriving(queue, MoveRefused::Unfit);
        }
        if message.terms.persistent() && arriving.home.queue().is_durable() {
            let expires = rule.and_then(|rule| rule.left).map_or(Instant::FAR, |left| now + left);
            self.store_arriving((queue, position), (kept, expires));
            let is_refused = !self.arriving.by_id.contains_key(&queue);
            if let Some(rule) = rule.filter(|rule| rule.returns > 0 && !is_refused) {
                self.commits.returned(queue, position, rule.returns);
            }
        }
    }

    /// Another part of it.
    pub(crate) fn on_move_part(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        attempt: MoveAttempt,
        part: MovePart,
    ) {
        match part {
            MovePart::Fence => self.on_fence(from, queue, attempt),
            MovePart::Fenced => self.on_fenced(from, queue, attempt),
            MovePart::Unfence => self.on_unfence(from, queue, attempt),
            MovePart::Taken => self.on_taken(from, queue, attempt),
            MovePart::Piece(piece) => self.on_piece(from, queue, attempt, piece),
            MovePart::PieceTaken(through) => self.on_piece_taken(from, queue, attempt, through),
            MovePart::Refused(_) => self.on_move_refused(from, queue, attempt),
            MovePart::Listed(runs) => self.on_listed(from, queue, attempt, &runs),
            MovePart::Ruled(place) => {
                let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
                arriving.home.queue_mut().restore_ruled(place);
            }
            MovePart::Consumers(consumers) => self.take_consumers(from, queue, attempt, &consumers),
            MovePart::Lanes(lanes) => {
                let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
                for MovedLane { ingress, boot, last } in lanes {
                    arriving.home.restore_lane(LaneKey { ingress, boot }, last);
                }
            }
            MovePart::End { messages, next } => {
                let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
                let restored = arriving.home.restore_next(next);
                arriving.whole = true;
                if restored.is_err() || arriving.messages != messages {
                    return self.refuse_arriving(queue, MoveRefused::Unfit);
                }
                if let Some(arriving) = self.arriving.by_id.get_mut(&queue) {
                    let Arriving { copies, home, .. } = arriving;
                    copies.drop_all(home.queue(), &mut self.commits, &mut self.arena);
                }
                self.sort_stored(queue);
                self.say_taken(queue);
            }
        }
    }

    /// A persistent message of it is to be stored. A store takes the places of a queue in rising order; what
    /// was delivered, and what is copied in a later round, comes in another.
    pub(super) fn store_arriving(
        &mut self,
        (queue, position): (QueueId, Position),
        (message, expires): (MessageRef, Instant),
    ) {
        let Some(arriving) = self.arriving.by_id.get_mut(&queue) else { return };
        arriving.unsorted |= position <= arriving.stored;
        if arriving.unsorted && arriving.paged {
            // all of it would be stored anew, and there is no memory for all
            return self.refuse_arriving(queue, MoveRefused::NoMemory);
        }
        if arriving.unsorted {
            return;
        }
        arriving.stored = position;
        if let Stored::At(mark) = self.commits.append((queue, position), (message, expires), &mut self.arena)
        {
            arriving.mark = Some(mark);
        }
    }

    /// Bytes of what comes and is stored go; gives how many are free.
    pub(super) fn page_out_arriving(&mut self, wanted: u64) -> u64 {
        let mut freed = 0;
        for arriving in self.arriving.by_id.values_mut() {
            if arriving.unsorted || !arriving.home.queue().is_durable() {
                continue;
            }
            let before = self.arena.paged_out();
            freed += arriving.copies.page_out(wanted.saturating_sub(freed), &mut self.arena);
            let queue = arriving.home.queue_mut();
            freed += queue.page_out(wanted.saturating_sub(freed), 0, &mut self.arena);
            arriving.paged |= self.arena.paged_out() > before;
        }
        freed
    }

    /// Everything is here. If it came in another order than the store takes, it is stored once more.
    fn sort_stored(&mut self, id: QueueId) {
        let now = self.lifetimes.now;
        let Some(arriving) = self.arriving.by_id.get_mut(&id).filter(|arriving| arriving.unsorted) else {
            return;
        };
        self.commits.forget_copy(id);
        let mut entries: Vec<QueueEntry> = arriving.home.queue().entries(now).collect();
        entries.retain(|entry| self.arena.terms(entry.message).persistent());
        entries.sort_unstable_by_key(|entry| entry.position);
        for QueueEntry { position, message, rule, .. } in entries {
            let expires = rule.and_then(|rule| rule.left).map_or(Instant::FAR, |left| now + left);
            if let Stored::At(mark) = self.commits.append((id, position), (message, expires), &mut self.arena)
            {
                arriving.mark = Some(mark);
            }
            if let Some(rule) = rule.filter(|rule| rule.returns > 0) {
                self.commits.returned(id, position, rule.returns);
            }
        }
    }

    fn take_consumers(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        attempt: MoveAttempt,
        consumers: &[MovedConsumer],
    ) {
        let (own, bounds, now) = (self.own, self.bounds, self.lifetimes.now);
        let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
        for MovedConsumer { at, consumer } in consumers {
            let subscription = subscription(own, *at, *consumer, &bounds);
            // one that its queue does not take is not among those that the shard hears of, and it ends there
            let _ = arriving.home.queue_mut().restore_consumer(subscription, *at != own);
            if *at != own {
                arriving.awaits.insert(*at);
            }
        }
        // They may all be gone before the queue opens: an auto-delete queue has had consumers all the same. It
        // is over when it opens, not now.
        let _ = arriving.home.queue_mut().on_use(now);
    }

    /// The old home hears that everything is here, once it is stored.
    fn say_taken(&mut self, queue: QueueId) {
        let Some(arriving) = self.arriving.by_id.get(&queue) else { return };
        if arriving.whole && arriving.mark.is_none() {
            let (to, attempt) = (arriving.from, arriving.attempt);
            self.peers.push(to, &Record::Move { queue, attempt, part: MovePart::Taken });
        }
    }

    /// The store has synced up to a mark: old homes hear of pieces, and of queues that are whole.
    pub(super) fn arriving_synced(&mut self, through: StoreMark) {
        let pieces = self.arriving.by_id.iter_mut();
        let pieces: Vec<_> =
            pieces.filter_map(|(id, arriving)| Some((*id, arriving.copies.synced(through)?))).collect();
        pieces.into_iter().for_each(|(id, piece)| self.say_piece_taken(id, piece));
        let stored: Vec<QueueId> = self
            .arriving
            .by_id
            .iter_mut()
            .filter_map(|(id, arriving)| {
                let synced = arriving.mark.is_some_and(|mark| mark <= through);
                if synced {
                    arriving.mark = None;
                }
                synced.then_some(*id)
            })
            .collect();
        stored.into_iter().for_each(|id| self.say_taken(id));
    }

    /// What came is not taken. An old home that copies hears so; one of an older version, which would take the
    /// word for damage, serves again when its time is over.
    pub(super) fn refuse_arriving(&mut self, id: QueueId, why: MoveRefused) {
        let Some(arriving) = self.arriving.by_id.get(&id) else { return };
        if arriving.copies.any {
            let (to, attempt, part) = (arriving.from, arriving.attempt, MovePart::Refused(why));
            self.peers.push(to, &Record::Move { queue: id, attempt, part });
        }
        self.forget_arriving(id);
    }

    /// The try is off.
    pub(super) fn cancel_arriving(&mut self, id: QueueId, attempt: MoveAttempt) {
        if self.arriving.by_id.get(&id).is_some_and(|arriving| arriving.attempt == attempt) {
            self.forget_arriving(id);
        }
    }

    fn forget_arriving(&mut self, id: QueueId) {
        if let Some(mut arriving) = self.arriving.by_id.remove(&id) {
            let Arriving { copies, home, .. } = &mut arriving;
            copies.drop_all(home.queue(), &mut self.commits, &mut self.arena);
            arriving.home.drop_messages(&mut self.arena);
            if arriving.home.queue().is_durable() {
                self.commits.forget_copy(id);
            }
        }
    }

    /// A node is Down: what it held of a queue that comes is nobody's, and nothing is awaited from it.
    pub(super) fn release_arriving(&mut self, node: NodeId) {
        for arriving in self.arriving.by_id.values_mut() {
            arriving.awaits.retain(|shard| shard.node != node);
            arriving.home.queue_mut().release_node(node);
        }
    }

    /// The old home has yielded: this one serves.
    pub(crate) fn open_arrived(&mut self, id: QueueId, attempt: MoveAttempt, view: &ClusterView) {
        let is_it = |arriving: &Arriving| arriving.attempt == attempt && arriving.whole;
        if !self.arriving.by_id.get(&id).is_some_and(is_it) {
            return self.report_move(id, attempt, MoveReport::Failed);
        }
        let Some(Arriving { mut home, awaits, .. }) = self.arriving.by_id.remove(&id) else { return };
        let own = LaneKey { ingress: self.own, boot: self.arriving.boot };
        let own_lane = home.lanes_through().find(|(lane, _)| *lane == own).map(|(_, through)| through);
        home.forget_lanes_of(self.own);
        home.awaits = awaits.into_iter().collect();
        let below = home.queue().next_position();
        home.shared_below = below;
        let known = self.places.handle(id);
        let handle = match known {
            None => self.places.insert(id, Place::Home(home)),
            Some(handle) => {
                let Some(Entry { place, .. }) = self.places.get_mut(handle) else { return };
                if let Place::Away(mut away) = core::mem::replace(place, Place::Home(home)) {
                    self.places.lanes_from = self.places.lanes_from.max(away.lane.next());
                    self.peers.at(away.outbox).forget_settles_of(id);
                    self.peers.leave(away.outbox);
                    let stored: Vec<_> =
                        own_lane.map(|through| away.lane.stored(through).collect()).unwrap_or_default();
                    for owed in stored {
                        self.answer_owed(owed);
                    }
                    self.append_owed(handle, away.lane.gone().collect());
                    let own = self.own;
                    for record in away.fence.take().into_iter().flat_map(|fence| fence.held_back) {
                        self.apply_own(own, &record);
                    }
                    self.out.lane_has_room = true;
                    self.out.throttle_ended = true;
                }
                handle
            }
        };
        #[cfg(feature = "planted")]
        self.lose_a_moved(handle);
        // its settings are the declaration's so far
        self.settle_policy(handle, &view.table);
        self.take_early(id, view);
        if let Some(mut home) = self.home(handle) {
            // its time without use begins anew, which is never too early
            home.on_use();
            // the old home may have listed deliveries there after this shard had heard that the node is Down
            for node in home.awaited_nodes().filter(|node| view.is_down(*node)).collect::<BTreeSet<_>>() {
                home.release_node(node);
            }
        }
        self.out.new_homes.push(handle);
        self.report_move(id, attempt, MoveReport::Opened(below));
    }
}
