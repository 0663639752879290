//! The ingress' end of the lanes: publishes that are on their way to a home elsewhere, and what becomes of them.
//!
//! Invariant: each publish in a lane is answered once: by its home, by the end of its queue, or by the clock.

use alloc::vec::Vec;

use leveret_amqp::host::QueueHandle;
use leveret_model::{Instant, LaneSequence, QueueId, limits};

use crate::broker::Broker;
use crate::places::{Entry, Owed, Place};

impl Broker {
    /// The home has everything of the lane up to here. hot.
    pub(crate) fn on_stored(&mut self, queue: QueueId, through: LaneSequence) {
        let Some((_, away)) = self.places.away_mut(queue) else { return };
        // whoever waited for room in it goes on
        self.retry |= away.lane.is_full();
        let mut done = core::mem::take(&mut self.owed_scratch);
        done.extend(away.lane.stored(through));
        for owed in done.drain(..) {
            self.answered(&owed, true);
        }
        self.owed_scratch = done;
    }

    /// A home answered for a publish, or its time is over. hot.
    fn answered(&mut self, owed: &Owed, ok: bool) {
        self.arena.release(owed.message);
        if !ok {
            self.traffic.given_up += 1;
        }
        let Some((channel, number)) = owed.publisher else { return };
        if !owed.shared {
            self.settled.push((channel, number, ok));
            return;
        }
        // after a nack the others have nothing to say any more
        let Some(left) = self.owed.get_mut(&(channel, number)) else { return };
        *left -= 1;
        if !ok || *left == 0 {
            self.owed.remove(&(channel, number));
            self.settled.push((channel, number, ok));
        }
    }

    /// The home misses something: the lane sends again from there.
    pub(crate) fn on_gap(&mut self, queue: QueueId, after: LaneSequence) {
        let Some((handle, away)) = self.places.away_mut(queue) else { return };
        if away.lane.on_gap(after) {
            self.resend(handle, after);
        }
    }

    /// A new link: a lane sends all that is not answered again, in order.
    pub(crate) fn restart_lane(&mut self, handle: QueueHandle) {
        if let Some(Entry { place: Place::Away(away), .. }) = self.places.get_mut(handle) {
            away.lane.restart();
            self.resend(handle, LaneSequence(0));
        }
    }

    fn resend(&mut self, handle: QueueHandle, after: LaneSequence) {
        let Some(Entry { id, place: Place::Away(away) }) = self.places.get_mut(handle) else { return };
        let base = away.lane.base();
        let outbox = self.outboxes.at(away.outbox);
        for (sequence, owed) in away.lane.resend_from(after) {
            outbox.push_publish(*id, sequence, base, &self.arena.get(owed.message));
        }
    }

    /// The queue was deleted: what is not answered counts as not matched.
    pub(crate) fn on_gone(&mut self, queue: QueueId) {
        self.end_lane(queue, true);
    }

    /// A masked queue left the directory: its home is Down and its name is another's now, or it was a proposal that was
    /// withdrawn, to which other nodes routed already. It was not deleted, so nothing is confirmed.
    pub(crate) fn on_left(&mut self, queue: QueueId) {
        self.end_lane(queue, false);
    }

    fn end_lane(&mut self, queue: QueueId, ok: bool) {
        let Some((_, away)) = self.places.away_mut(queue) else { return };
        let gone: Vec<Owed> = away.lane.gone().collect();
        for owed in gone {
            self.answered(&owed, ok);
        }
        self.retry = true;
    }

    /// Publishes that waited for their home long enough are given up, from the front of each lane.
    pub(crate) fn expire_lanes(&mut self) {
        let now = self.now;
        let mut over: Vec<Owed> = Vec::new();
        let mut next = Instant::FAR;
        for (_, entry) in self.places.iter_mut() {
            let Place::Away(away) = &mut entry.place else { continue };
            while let Some(late) = away.lane.expire(|owed| now.since(owed.arrived) >= limits::PUBLISH_WAIT) {
                over.push(late);
            }
            if let Some(front) = away.lane.front() {
                next = next.min(front.arrived + limits::PUBLISH_WAIT);
            }
        }
        self.wake_at(next);
        for owed in over {
            self.answered(&owed, false);
        }
    }
}
