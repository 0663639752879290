//! The old home of a queue that moves: it freezes the queue, hands it over and forgets it.
//!
//! ```text
//!   hand_over ─▶ Fencing ──every shard that has deliveries answered──▶ Sending ─▶ Sent ──Taken──▶ Yielded
//!                   │                                                    │          │               │
//!                   └───────────── a link broke, or control says so: serve again ───┘      PutQueue: │ it is
//!                                                                                          elsewhere ▼
//! ```
//! From the freeze on the queue is one that lives elsewhere, for this shard's clients too: what they publish
//! waits on a lane, what they settle waits behind their fence. So nothing here has a third case.
//!
//! Invariants: a queue is served by at most one home: by this one until it yields, by the new one after that.
//! Between the last `Fenced` and the end of the move nothing of the queue changes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_link::record::{MovePart, Record, RemoteConsumer};
use leveret_model::directory::{FromShard, MoveReport};
use leveret_model::{
    Instant, LaneSequence, MoveAttempt, NodeId, QueueHandle, QueueId, ShardAddress, Stored, limits,
};

use super::Queues;
use super::away::Away;
use super::copied_places::CopiedPlaces;
use super::moving::{Fence, Leaving, Stage};
use super::places::{Entry, Place};
use super::publisher::{Answered, Owed};

impl Queues {
    /// Control wants a queue handed over.
    pub(crate) fn hand_over(
        &mut self,
        id: QueueId,
        to: ShardAddress,
        attempt: MoveAttempt,
        only_if_short: bool,
    ) {
        let copied = self.take_copied(id, attempt);
        let begun = self.places.handle(id).is_some_and(|handle| {
            (!only_if_short || self.is_short(handle)) && self.freeze(handle, (to, attempt), copied)
        });
        if !begun {
            self.report_move(id, attempt, MoveReport::Failed);
        }
    }

    fn is_short(&self, handle: QueueHandle) -> bool {
        let Some(Entry { place: Place::Home(home), .. }) = self.places.get(handle) else { return false };
        let queue = home.queue();
        queue.ready() + queue.unacked() <= limits::REBALANCE_MESSAGES_MAX
            && queue.ready_bytes() + queue.unacked_bytes() <= limits::REBALANCE_BYTES_MAX
    }

    /// False if it cannot move now.
    fn freeze(
        &mut self,
        handle: QueueHandle,
        (to, attempt): (ShardAddress, MoveAttempt),
        copied: CopiedPlaces,
    ) -> bool {
        self.flush_stored();
        let Some(Entry { id, place: Place::Home(home) }) = self.places.get(handle) else { return false };
        let (id, own) = (*id, self.own);
        // who has deliveries, and who may have an answer of this home under way
        let served = home.queue().served_shards();
        let reachable = self.peers.takes_records(to)
            && served.iter().all(|shard| *shard == own || self.peers.takes_deliveries(*shard));
        let mut fenced = self.peers.unprocessed();
        fenced.extend(served);
        fenced.sort_unstable();
        fenced.dedup();
        fenced.retain(|shard| *shard != own);
        // an exclusive queue lives and ends with its connection
        if home.closed || home.owner.is_some() || !home.awaits.is_empty() || !reachable || to == own {
            return false;
        }
        let outbox = self.peers.join(to);
        let mut away = Away::new(to, outbox, self.places.lanes_from);
        for (key, terms) in home.queue().subscriptions() {
            if key.at == own {
                let consumer = RemoteConsumer { channel: key.channel, number: key.number, terms };
                away.consumers.insert((key.channel, key.number), consumer);
            }
        }
        away.fence = Some(Box::new(Fence::new(attempt)));
        let Some(entry) = self.places.get_mut(handle) else { return false };
        let Place::Home(home) = core::mem::replace(&mut entry.place, Place::Away(Box::new(away))) else {
            return false;
        };
        for shard in &fenced {
            self.peers.push(*shard, &Record::Move { queue: id, attempt, part: MovePart::Fence });
        }
        let stage = Stage::Fencing(fenced.iter().copied().collect());
        let leaving = Leaving { home: *home, to, attempt, fenced, copied, stage };
        if let Some((_, away)) = self.places.away(handle) {
            away.leaving = Some(Box::new(leaving));
        }
        self.lists.leaving.push(handle);
        self.begin_sending(handle);
        true
    }

    /// A shard holds back from now on.
    pub(super) fn on_fenced(&mut self, from: ShardAddress, queue: QueueId, attempt: MoveAttempt) {
        let Some((handle, leaving)) = self.leaving_of(queue, attempt) else { return };
        if let Stage::Fencing(missing) = &mut leaving.stage {
            missing.remove(&from);
        }
        self.begin_sending(handle);
    }

    /// The new home has everything: it may serve, this one does not any more.
    pub(super) fn on_taken(&mut self, from: ShardAddress, queue: QueueId, attempt: MoveAttempt) {
        let Some((_, leaving)) = self.leaving_of(queue, attempt) else { return };
        if leaving.to == from && matches!(leaving.stage, Stage::Sent) {
            leaving.stage = Stage::Yielded;
            let below = leaving.home.queue().next_position();
            leaving.home.shared_below = below;
            self.report_move(queue, attempt, MoveReport::Yielded(below));
        }
    }

    /// The new home does not take what comes: this one goes on, unless the other said before that it has all.
    pub(super) fn on_move_refused(&mut self, from: ShardAddress, queue: QueueId, attempt: MoveAttempt) {
        self.fail_copies(|_, copying| copying.is_try(queue, attempt, from));
        if let Some((handle, leaving)) = self.leaving_of(queue, attempt)
            && leaving.to == from
            && !leaving.is_yielded()
        {
            self.serve_again(handle);
            self.report_move(queue, attempt, MoveReport::Failed);
        }
    }

    /// Control gives the move up: this home serves again, or forgets what came.
    pub(crate) fn cancel_move(&mut self, id: QueueId, attempt: MoveAttempt) {
        self.cancel_arriving(id, attempt);
        self.cancel_copy(id, attempt);
        if let Some((handle, leaving)) = self.leaving_of(id, attempt)
            && !leaving.is_yielded()
        {
            self.serve_again(handle);
            self.report_move(id, attempt, MoveReport::Failed);
        }
    }

    /// Control says that the new home is gone for good: the copy that was kept serves.
    pub(crate) fn take_back(&mut self, id: QueueId, attempt: MoveAttempt) {
        if let Some((handle, _)) = self.leaving_of(id, attempt) {
            self.serve_again(handle);
        }
    }

    /// Links to a node come or go, or it is Down: what moves there, or holds deliveries there, is not as it
    /// was.
    pub(super) fn fail_moves_with(&mut self, node: NodeId) {
        self.fail_copies_to(node);
        for handle in self.lists.leaving.clone() {
            let Some((id, away)) = self.places.away(handle) else { continue };
            let Some(leaving) = &away.leaving else { continue };
            if leaving.concerns(node) && !leaving.is_yielded() {
                let attempt = leaving.attempt;
                self.serve_again(handle);
                self.report_move(id, attempt, MoveReport::Failed);
            }
        }
    }

    fn serve_again(&mut self, handle: QueueHandle) {
        let own = self.own;
        let Some(Entry { id, place }) = self.places.get_mut(handle) else { return };
        let (id, Place::Away(away)) = (*id, &mut *place) else { return };
        let Some(leaving) = away.leaving.take() else { return };
        let Leaving { mut home, attempt, fenced, stage, .. } = *leaving;
        let was_yielded = matches!(stage, Stage::Yielded);
        if was_yielded {
            // Whoever has deliveries or consumes has looked for the other home meanwhile: it says anew what it
            // has. Others that were told to hold back may never have heard of the queue, and say nothing.
            home.awaits = home.queue().served_shards();
            home.awaits.retain(|shard| *shard != own);
            #[cfg(feature = "planted")]
            if self.planted == Some(crate::planted::Planted::EndlessWait) {
                home.awaits.clone_from(&fenced);
            }
            home.queue_mut().sleep_elsewhere(own);
            // the other home may have delivered any of them
            home.queue_mut().return_all();
        }
        home.queue_mut().wake_here(own);
        home.queue_mut().unlist();
        home.throttles = false;
        let lanes: Vec<_> = home.lanes_through().collect();
        let throttled = core::mem::take(&mut home.throttled_shards);
        let mut away = match core::mem::replace(place, Place::Home(Box::new(home))) {
            Place::Away(away) => *away,
            Place::Home(_) => return,
        };
        self.places.lanes_from = self.places.lanes_from.max(away.lane.next());
        self.peers.leave(away.outbox);
        self.lists.leaving.retain(|leaving| *leaving != handle);
        // a policy may have changed meanwhile
        self.policies_changed();
        self.append_owed(handle, away.lane.gone().collect());
        for record in away.fence.take().into_iter().flat_map(|fence| fence.held_back) {
            self.apply_own(own, &record);
        }
        for shard in fenced {
            self.peers.push(shard, &Record::Move { queue: id, attempt, part: MovePart::Unfence });
        }
        for shard in throttled {
            self.peers.push(shard, &Record::Throttle { queue: id, on: false });
        }
        // what came on lanes meanwhile was not taken
        for (lane, last) in lanes {
            if lane.ingress != own {
                self.peers.push(lane.ingress, &Record::Gap { queue: id, after: last });
            }
        }
        for from in self.early.take_lanes(id) {
            self.peers.push(from, &Record::Gap { queue: id, after: LaneSequence(0) });
        }
        self.out.lane_has_room = true;
        self.out.throttle_ended = true;
        // what its clients asked meanwhile is asked here
        self.out.new_homes.push(handle);
        if let Some(mut home) = self.home(handle)
            && was_yielded
        {
            // nodes may have gone with its consumers while it was frozen
            home.on_use();
        }
    }

    /// A shard says anew what it has of a frozen queue: that is not what was frozen, so this home serves again,
    /// if it may.
    pub(super) fn thaw_for(&mut self, from: ShardAddress, queue: QueueId) -> bool {
        let Some((handle, away)) = self.places.away_of(queue) else { return false };
        let Some(leaving) = away.leaving.as_ref().filter(|leaving| !leaving.is_yielded()) else {
            return false;
        };
        let attempt = leaving.attempt;
        debug_assert_ne!(from, self.own, "a shard says nothing to itself");
        self.serve_again(handle);
        self.report_move(queue, attempt, MoveReport::Failed);
        true
    }

    /// The same of every queue of which that shard was told to hold back.
    pub(super) fn thaw_all_for(&mut self, from: ShardAddress) {
        for handle in self.lists.leaving.clone() {
            let Some((id, away)) = self.places.away(handle) else { continue };
            if away.leaving.as_ref().is_some_and(|leaving| leaving.fenced.contains(&from)) {
                self.thaw_for(from, id);
            }
        }
    }

    /// A node is Down: a frozen queue gives back what was held there, for the case that it serves again.
    pub(super) fn release_leaving(&mut self, node: NodeId) {
        for handle in self.lists.leaving.clone() {
            let Some((_, away)) = self.places.away(handle) else { continue };
            let Some(leaving) = &mut away.leaving else { continue };
            leaving.fenced.retain(|shard| shard.node != node);
            leaving.home.queue_mut().release_node(node);
        }
    }

    /// A queue that is about to leave this shard.
    pub(crate) fn is_leaving(&self, handle: QueueHandle) -> bool {
        self.lists.leaving.contains(&handle)
    }

    /// Publishes of this shard that waited for the queue's home, which is here.
    pub(super) fn append_owed(&mut self, handle: QueueHandle, waiting: Vec<Owed>) {
        for owed in waiting {
            let Owed { message, publisher, shared, .. } = owed;
            let (body_bytes, terms) = {
                let message = self.arena.get(message);
                (message.body.len(), message.terms)
            };
            let Some(mut home) = self.home(handle) else { return };
            let stored = home.append(message, body_bytes, terms);
            drop(home);
            self.out.copies.here += 1;
            let answered = Answered { publisher, shared, stored: true };
            match stored {
                Some(Stored::Now) => self.out.answered.push(answered),
                Some(Stored::At(mark)) => self.commits.wait(mark, answered),
                // the queue is at its length
                None => self.out.answered.push(Answered { stored: false, ..answered }),
            }
        }
    }

    /// What this shard's own clients did behind the fence, to the home that is here.
    pub(super) fn apply_own(&mut self, own: ShardAddress, record: &Record<'static>) {
        match *record {
            Record::Settle { queue, channel, consumer, position, how } => {
                self.on_settle(own, queue, (channel, consumer), position, how);
            }
            Record::Unsubscribe { queue, channel, consumer, .. } => {
                self.on_unsubscribe(own, queue, channel, consumer);
            }
            // the window of a consumer here is its output
            _ => {}
        }
    }

    /// The directory says that the queue lives elsewhere now: the copy goes.
    pub(super) fn forget_copy(&mut self, handle: QueueHandle) {
        let Some((_, away)) = self.places.away(handle) else { return };
        let Some(mut leaving) = away.leaving.take() else { return };
        self.lifetimes.timers.set(handle, &mut leaving.home.timer_at, Instant::FAR);
        leaving.home.drop_messages(&mut self.arena);
        self.lists.leaving.retain(|leaving| *leaving != handle);
    }

    /// The frozen queue of a try that is under way.
    fn leaving_of(&mut self, id: QueueId, attempt: MoveAttempt) -> Option<(QueueHandle, &mut Leaving)> {
        let (handle, away) = self.places.away_of(id)?;
        let leaving = away.leaving.as_mut().filter(|leaving| leaving.attempt == attempt)?;
        Some((handle, leaving))
    }

    pub(super) fn report_move(&mut self, id: QueueId, attempt: MoveAttempt, report: MoveReport) {
        self.out.moves.push(FromShard::Move { id, attempt, report });
    }
}
