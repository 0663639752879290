//! What an old home confirmed after a crash had cut its move short, and the new home does not have: it is sent
//! there.
//!
//! A crash of both homes of a move leaves the queue on two disks. If the old home starts first it serves, and
//! what it confirms the new one cannot have. Once the map says that the new one counts, the messages behind the
//! place up to which both have the same ([`Home::shared_below`]) go into the queue there by this shard's lane,
//! as dead letters do. Each stays on the disk here until the other home has it; then control hears that the
//! queue may be dropped here.
//!
//! Invariants: *kept*: a message leaves the disk here after it is stored there, or after its queue was deleted.
//! *order*: they arrive in the order of their places. One may arrive twice if this node is killed meanwhile.

use alloc::vec::Vec;

use leveret_link::record::LaneTarget;
use leveret_model::directory::MoveReport;
use leveret_model::{Instant, MoveAttempt, Position, QueueHandle, QueueId};
use leveret_queue::MessageRef;

use super::Queues;
use super::home::Home;
use super::places::{Entry, Place};
use super::publisher::{DeadLetterSend, Owed, Publisher};
use super::reads::{Reader, within_reach};
use super::remains::{Remaining, Remains};
use crate::view::ClusterView;

impl Queues {
    /// The map says that another home has a queue of this shard: what that one cannot have is kept. The caller
    /// drops the rest.
    pub(crate) fn keep_remains(&mut self, id: QueueId) {
        if let Some(found) = self.commits.take_recovered(id) {
            let below = found.shared_below;
            let (kept, gone): (Vec<_>, Vec<_>) =
                found.entries.into_iter().partition(|entry| entry.position >= below);
            gone.into_iter().for_each(|entry| self.arena.release(entry.message));
            let kept = kept.iter().map(|entry| (entry.position, entry.message)).collect();
            return self.add_remains(id, kept);
        }
        let now = self.lifetimes.now;
        let Some(Entry { place, .. }) = self.places.handle(id).and_then(|handle| self.places.get(handle))
        else {
            return;
        };
        let home: &Home = match place {
            Place::Home(home) => home,
            Place::Away(away) => match &away.leaving {
                // what it has not yielded the home of its own try does not have
                Some(leaving) if !leaving.is_yielded() => &leaving.home,
                _ => return,
            },
        };
        let kept: Vec<_> = home
            .queue()
            .entries(now)
            .filter(|entry| entry.position >= home.shared_below)
            .map(|entry| (entry.position, entry.message))
            .collect();
        for (_, message) in &kept {
            self.arena.retain(*message, 1);
        }
        self.add_remains(id, kept);
    }

    fn add_remains(&mut self, id: QueueId, mut kept: Vec<(Position, MessageRef)>) {
        kept.sort_unstable_by_key(|(position, _)| *position);
        let remains = self.lists.superseded.by_queue.entry(id).or_default();
        remains.waiting.extend(kept.into_iter().map(|(position, message)| Remaining { position, message }));
        self.lists.superseded.due = true;
    }

    /// Sends what waits, as far as lanes have room.
    #[cold]
    pub(super) fn send_remains(&mut self, view: &ClusterView) {
        self.lists.superseded.due = false;
        let queues: Vec<QueueId> = self.lists.superseded.by_queue.keys().copied().collect();
        for id in queues {
            // a masked one takes nothing: its home is away, and comes back
            let home =
                view.table.queue_by_id(id).filter(|known| !known.masked).map(|known| known.record.home);
            if let Some(home) = home.filter(|home| *home != self.own) {
                let handle = self.enter_at(id, home);
                self.send_remains_of(handle);
            }
            self.end_remains_if_empty(id);
        }
    }

    fn send_remains_of(&mut self, handle: QueueHandle) {
        while self.lanes_have_room(&[handle]) {
            let Some(Entry { id, place: Place::Away(away) }) = self.places.get_mut(handle) else { return };
            let Some(remains) = self.lists.superseded.by_queue.get_mut(id) else { return };
            let Some(next) = remains.waiting.pop_front() else { return };
            if self.arena.is_lost(next.message) {
                // the disk could not give it back, and has reported that; it stays in the list of damage
                self.arena.release(next.message);
                continue;
            }
            if self.arena.is_paged_out(next.message) {
                remains.waiting.push_front(next);
                let all = remains.waiting.iter().map(|waiting| (waiting.position, waiting.message));
                let wanted = within_reach(all, &self.arena);
                return self.lists.paging.read((*id, Reader::Remains), wanted, &mut self.arena);
            }
            remains.under_way += 1;
            let send = DeadLetterSend(self.out.departed.letters.next_number());
            self.lists.superseded.owed.insert(send, (*id, next));
            // the lane's reference goes with its answer, this one when that was seen
            self.arena.retain(next.message, 1);
            let message = self.arena.get(next.message);
            let bytes = message.body.len() as u64;
            let publisher = Some(Publisher::DeadLetter(send));
            let owed = Owed { message: next.message, publisher, shared: false, given_up: false };
            let sequence = away.lane.push(owed, bytes, Instant::FAR);
            let target = LaneTarget { queue: *id, sequence, base: away.lane.base() };
            self.peers.at(away.outbox).push_publish(target, &message);
            self.out.copies.away += 1;
        }
    }

    /// The other home has a message, or its queue is gone (`stored` as in [`super::Answered`]). False if it was
    /// not about one of these.
    pub(super) fn on_remaining_answered(&mut self, send: DeadLetterSend, stored: bool) -> bool {
        let Some((id, remaining)) = self.lists.superseded.owed.remove(&send) else { return false };
        let Some(remains) = self.lists.superseded.by_queue.get_mut(&id) else { return true };
        remains.under_way -= 1;
        if stored {
            self.commits.left(id, remaining.position, self.arena.terms(remaining.message));
            self.arena.release(remaining.message);
            self.end_remains_if_empty(id);
        } else {
            // its home went without a deletion: it waits for the next one, in its place
            let at = remains.waiting.partition_point(|other| other.position < remaining.position);
            remains.waiting.insert(at, remaining);
            self.lists.superseded.due = true;
        }
        true
    }

    /// The queue was deleted, with all that belonged to it.
    pub(crate) fn drop_remains(&mut self, id: QueueId) {
        if let Some(remains) = self.lists.superseded.by_queue.get_mut(&id) {
            for Remaining { position, message } in core::mem::take(&mut remains.waiting) {
                self.commits.left(id, position, self.arena.terms(message));
                self.arena.release(message);
            }
            self.end_remains_if_empty(id);
        }
    }

    fn end_remains_if_empty(&mut self, id: QueueId) {
        let is_empty = |remains: &Remains| remains.waiting.is_empty() && remains.under_way == 0;
        if self.lists.superseded.by_queue.get(&id).is_some_and(is_empty) {
            self.lists.superseded.by_queue.remove(&id);
            self.report_move(id, MoveAttempt(0), MoveReport::Drained);
        }
    }
}
