//! The ingress' end of the lanes: publishes that are on their way to a home elsewhere, and what becomes of them.
//!
//! Invariant: each publish in a lane is answered once: by its home, by the end of its queue, or by the clock.

use alloc::vec::Vec;

use leveret_link::record::LaneTarget;
use leveret_model::{ChannelKey, Instant, LaneSequence, PublishNumber, QueueHandle, QueueId};

use crate::broker::Broker;
use crate::places::{Entry, Owed, Place};

impl Broker {
    /// The home has everything of the lane up to here. hot.
    pub(crate) fn on_stored(&mut self, queue: QueueId, through: LaneSequence) {
        let Some((_, away)) = self.places.away_mut(queue) else { return };
        // whoever waited for room in it goes on
        self.retry |= self.bounds.is_full(&away.lane);
        let mut done = core::mem::take(&mut self.owed_scratch);
        done.extend(away.lane.stored(through));
        if away.lane.is_front_overdue() {
            self.wait_deadline = self.wait_deadline.min(self.now);
        }
        for owed in done.drain(..) {
            self.answered(&owed, true);
        }
        self.owed_scratch = done;
    }

    /// A home answered for a publish that leaves its lane, or its time is over. hot.
    fn answered(&mut self, owed: &Owed, ok: bool) {
        self.arena.release(owed.message);
        if !ok && !owed.given_up {
            self.traffic.given_up += 1;
        }
        if let Some(publisher) = owed.publisher {
            self.answer_publisher(publisher, owed.shared, ok);
        }
    }

    /// hot.
    fn answer_publisher(&mut self, publisher: (ChannelKey, PublishNumber), shared: bool, ok: bool) {
        let (channel, number) = publisher;
        if !shared {
            self.settled.push((channel, number, ok));
            return;
        }
        // after a nack the others have nothing to say any more
        let Some(left) = self.owed.get_mut(&publisher) else { return };
        *left -= 1;
        if !ok || *left == 0 {
            self.owed.remove(&publisher);
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
            outbox.push_publish(LaneTarget { queue: *id, sequence, base }, &self.arena.get(owed.message));
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

    /// Publishes that waited for their home long enough are given up: they leave from the front of each lane. Whoever waits
    /// for one that was held elsewhere first, and is now behind a younger one, is told as well, though it may yet be stored
    /// (a nack says no more than that nobody knows).
    pub(crate) fn expire_lanes(&mut self) {
        let now = self.now;
        let mut over: Vec<Owed> = Vec::new();
        let mut told: Vec<((ChannelKey, PublishNumber), bool)> = Vec::new();
        let mut next = Instant::FAR;
        for (_, entry) in self.places.iter_mut() {
            let Place::Away(away) = &mut entry.place else { continue };
            while let Some(late) = away.lane.expire(now) {
                over.push(late);
            }
            for owed in away.lane.overdue(now) {
                if let Some(publisher) = owed.publisher.take() {
                    owed.given_up = true;
                    told.push((publisher, owed.shared));
                }
            }
            if let Some(due) = away.lane.next_due() {
                next = next.min(due);
            }
        }
        self.wake_at(next);
        for owed in over {
            self.answered(&owed, false);
        }
        for (publisher, shared) in told {
            self.traffic.given_up += 1;
            self.answer_publisher(publisher, shared, false);
        }
    }
}
