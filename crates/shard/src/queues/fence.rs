//! The egress' side of a queue that moves: between the fence of the old home and the news of the new one, what
//! this shard's clients settle waits here.
//!
//! Invariant: what came before the fence the old home has applied; what comes behind it goes to the new home,
//! or back to the old one if the move is off, in the order in which it came.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_link::record::{HeldDelivery, MovePart, Record};
use leveret_model::{ChannelKey, ConsumerNumber, MoveAttempt, QueueHandle, QueueId, ShardAddress, Unread};

use super::Queues;
use super::links::HeldThere;
use super::moving::Fence;

impl Queues {
    /// The home of a queue elsewhere freezes it.
    pub(super) fn on_fence(&mut self, from: ShardAddress, queue: QueueId, attempt: MoveAttempt) {
        if let Some((_, away)) = self.places.away_of(queue)
            && away.home == from
        {
            let held_back = away.fence.take().map(|fence| fence.held_back).unwrap_or_default();
            away.fence = Some(Box::new(Fence { attempt, held_back }));
        }
        self.peers.push(from, &Record::Move { queue, attempt, part: MovePart::Fenced });
    }

    /// The home serves: it gets what waited. The attempt 0 stands for any.
    pub(super) fn on_unfence(&mut self, from: ShardAddress, queue: QueueId, attempt: MoveAttempt) {
        let Some((_, away)) = self.places.away_of(queue) else { return };
        let is_it = |fence: &Fence| attempt == MoveAttempt::default() || fence.attempt == attempt;
        if away.home != from || away.leaving.is_some() || !away.fence.as_deref().is_some_and(is_it) {
            return;
        }
        let outbox = away.outbox;
        for record in away.fence.take().into_iter().flat_map(|fence| fence.held_back) {
            self.peers.at(outbox).push_held_back(record);
        }
    }

    /// Deliveries whose settlements wait behind a fence: held still, as far as a home can know.
    pub(super) fn held_behind_fence(&mut self, handle: QueueHandle) -> Vec<HeldThere> {
        let Some((_, away)) = self.places.away(handle) else { return Vec::new() };
        let held_back = away.fence.iter().flat_map(|fence| &fence.held_back);
        held_back.filter_map(|record| held_before(handle, record)).collect()
    }

    /// The settlements that wait behind a fence, whose home is to hear of everything anew.
    pub(super) fn lift_fence(&mut self, handle: QueueHandle) -> Vec<Record<'static>> {
        let Some((_, away)) = self.places.away(handle) else { return Vec::new() };
        if away.leaving.is_some() {
            return Vec::new();
        }
        let held_back = away.fence.take().map(|fence| fence.held_back).unwrap_or_default();
        // consumers that ended are not named, and windows are named by what is not read
        held_back.into_iter().filter(|record| matches!(record, Record::Settle { .. })).collect()
    }

    /// The directory gave a queue another home, or the same one anew: this shard says there what it has, as
    /// over a new link. `held` is what its channels hold of it.
    pub(crate) fn say_at_new_home(
        &mut self,
        handle: QueueHandle,
        mut held: Vec<HeldThere>,
        unread: &BTreeMap<(ChannelKey, ConsumerNumber), Unread>,
    ) {
        let settles = self.lift_fence(handle);
        held.extend(settles.iter().filter_map(|settle| held_before(handle, settle)));
        self.resubscribe(handle, &held, unread);
        self.end_resubscription(handle);
        if let Some((_, away)) = self.places.away(handle) {
            let outbox = self.peers.at(away.outbox);
            settles.into_iter().for_each(|settle| outbox.push_settle(settle));
        }
        self.restart_lane(handle);
        self.out.lane_has_room = true;
    }
}

/// The delivery that a settlement settles.
fn held_before(handle: QueueHandle, settle: &Record<'_>) -> Option<HeldThere> {
    match *settle {
        Record::Settle { channel, consumer, position, .. } => {
            Some((handle, HeldDelivery { channel, consumer, position }))
        }
        _ => None,
    }
}
