//! The ingress' end of the lanes: publishes that are on their way to a home elsewhere, and what becomes of
//! them.
//!
//! Invariant: each publish in a lane is answered once: by its home, by the end of its queue, or by the clock.

use alloc::vec::Vec;

use leveret_link::record::LaneTarget;
use leveret_model::{Instant, LaneSequence, QueueHandle, QueueId};

use super::Queues;
use super::publisher::{Answered, Owed};

impl Queues {
    /// The home has everything of the lane up to here, stored. hot.
    pub(crate) fn on_stored(&mut self, queue: QueueId, through: LaneSequence) {
        let Some((_, away)) = self.places.away_of(queue) else { return };
        // whoever waited for room in it goes on
        self.out.lane_has_room |= self.bounds.is_full(&away.lane);
        for owed in away.lane.stored(through) {
            self.arena.release(owed.message);
            let Owed { publisher, shared, .. } = owed;
            self.out.answered.push(Answered { publisher, shared, stored: true });
        }
        if away.lane.is_front_overdue() {
            self.lanes_due = Instant::ZERO;
        }
    }

    /// The home has a publish of this shard, stored.
    pub(super) fn answer_owed(&mut self, owed: Owed) {
        self.arena.release(owed.message);
        let Owed { publisher, shared, .. } = owed;
        self.out.answered.push(Answered { publisher, shared, stored: true });
    }

    /// The home refused a publish, because its queue is at its length; [`Queues::on_stored`] ends it.
    pub(crate) fn on_publish_refused(&mut self, queue: QueueId, sequence: LaneSequence) {
        let Some((_, away)) = self.places.away_of(queue) else { return };
        if let Some(owed) = away.lane.waiting_mut(sequence)
            && let Some(publisher) = owed.publisher.take()
        {
            // its publisher has heard, so the clock has nothing to say of it any more
            owed.given_up = true;
            let answered = Answered { publisher: Some(publisher), shared: owed.shared, stored: false };
            self.out.answered.push(answered);
        }
    }

    /// The home misses something: the lane sends again from there.
    pub(crate) fn on_gap(&mut self, queue: QueueId, after: LaneSequence) {
        let Some((handle, away)) = self.places.away_of(queue) else { return };
        if away.lane.on_gap(after) {
            self.resend(handle, after);
        }
    }

    /// A new link: a lane sends all that is not answered again, in order.
    pub(super) fn restart_lane(&mut self, handle: QueueHandle) {
        if let Some((_, away)) = self.places.away(handle) {
            away.lane.restart();
            self.resend(handle, LaneSequence(0));
        }
    }

    fn resend(&mut self, handle: QueueHandle, after: LaneSequence) {
        let Some((queue, away)) = self.places.away(handle) else { return };
        let base = away.lane.base();
        let outbox = self.peers.at(away.outbox);
        for (sequence, owed) in away.lane.resend_from(after) {
            outbox.push_publish(LaneTarget { queue, sequence, base }, &self.arena.get(owed.message));
        }
    }

    /// The home says that the queue was deleted: what is not answered counts as not matched.
    pub(crate) fn on_gone(&mut self, queue: QueueId) {
        self.end_lane(queue, true);
    }

    /// The queue is gone. If it was not deleted (a masked queue whose name is another's now, a proposal that
    /// was withdrawn after nodes routed to it), nothing that was on its way is confirmed.
    pub(super) fn end_lane(&mut self, queue: QueueId, deleted: bool) {
        let Some((_, away)) = self.places.away_of(queue) else { return };
        for owed in away.lane.gone() {
            self.arena.release(owed.message);
            if !deleted && !owed.given_up {
                self.out.copies.given_up += 1;
            }
            let Owed { publisher, shared, .. } = owed;
            self.out.answered.push(Answered { publisher, shared, stored: deleted });
        }
        self.out.lane_has_room = true;
    }

    /// When [`Queues::expire_lanes`] has something to do.
    pub(crate) fn lanes_due(&self) -> Instant {
        self.lanes_due
    }

    /// Publishes that waited for their home long enough are given up: they leave from the front of each lane.
    /// The publisher of one that was held elsewhere first, and is now behind a younger one, hears it too,
    /// though it may yet be stored (a nack says no more than that nobody knows).
    pub(crate) fn expire_lanes(&mut self, now: Instant) {
        if now < self.lanes_due {
            return;
        }
        let Self { places, arena, out, .. } = self;
        let mut overdue: Vec<Answered> = Vec::new();
        let mut next = Instant::FAR;
        for (_, _, away) in places.aways() {
            while let Some(late) = away.lane.expire(now) {
                arena.release(late.message);
                if !late.given_up {
                    out.copies.given_up += 1;
                }
                out.answered.push(Answered { publisher: late.publisher, shared: late.shared, stored: false });
            }
            for owed in away.lane.overdue(now) {
                if let Some(publisher) = owed.publisher.take() {
                    owed.given_up = true;
                    out.copies.given_up += 1;
                    overdue.push(Answered { publisher: Some(publisher), shared: owed.shared, stored: false });
                }
            }
            if let Some(due) = away.lane.next_due() {
                next = next.min(due);
            }
        }
        out.answered.append(&mut overdue);
        self.lanes_due = next;
        self.out.lane_has_room = true;
    }
}
