//! The way in: a message goes to the queues that routing found, here and elsewhere, or comes on lanes from
//! other shards.

use leveret_link::record::{LaneTarget, LaneTargets, Record};
use leveret_model::limits::MESSAGE_OWNERS_MAX;
use leveret_model::{Boot, Instant, Message, QueueHandle, QueueId, ShardAddress, Stored, Terms};
use leveret_queue::{LaneVerdict, MessageRef};

use super::Queues;
use super::places::{Entry, Place};
use super::publisher::{Answered, Appended, OneAppended, Owed, Publisher};
use crate::pressure::Pressure;

impl Queues {
    /// The short way of most messages: to one queue, at home here. hot.
    #[inline(always)]
    pub(crate) fn append_to_one(&mut self, message: &Message<'_>, handle: QueueHandle) -> OneAppended {
        let calm = self.pressure == Pressure::Calm;
        let Some(mut home) = self.home(handle) else { return OneAppended::NotHere };
        if home.home.closed {
            home.done();
            return OneAppended::NotHere;
        }
        let stored = home.append_new(message);
        home.done();
        if calm && stored == Some(Stored::Now) {
            self.out.copies.here += 1;
            return OneAppended::Done;
        }
        OneAppended::NotDone(stored)
    }

    /// What is left to do about a message that [`Queues::append_to_one`] took or refused (`None`): its store,
    /// and whether its publisher is to wait.
    #[cold]
    pub(crate) fn finish_one(
        &mut self,
        handle: QueueHandle,
        stored: Option<Stored>,
        publisher: Option<Publisher>,
    ) -> (Appended, bool) {
        let long = self.is_long(handle);
        let Some(stored) = stored else {
            self.out.answered.push(Answered { publisher, shared: false, stored: false });
            return (Appended::Owed(1), long);
        };
        self.out.copies.here += 1;
        if let Stored::At(mark) = stored {
            self.commits.wait(mark, Answered { publisher, shared: false, stored: true });
            return (Appended::Owed(1), long);
        }
        (Appended::Stored, long)
    }

    /// Publishers of a queue that is at home here are to wait. hot.
    #[inline(always)]
    fn is_long(&self, handle: QueueHandle) -> bool {
        self.pressure != Pressure::Calm && self.finds_long(handle)
    }

    /// Puts a message into the queues that it goes to, none, several or one elsewhere, and says whether the
    /// publisher of one of them is to wait. `due` is when the publisher gives up. hot.
    pub(crate) fn append_to_many(
        &mut self,
        message: &Message<'_>,
        targets: &[QueueHandle],
        publisher: Option<Publisher>,
        due: Instant,
    ) -> (Appended, bool) {
        if targets.is_empty() {
            return (Appended::Stored, false);
        }
        if !self.lanes_have_room(targets) {
            return (Appended::NoRoom, false);
        }
        let (body_bytes, terms) = (message.body.len(), message.terms);
        let mut kept = self.arena.insert(message, owners(targets.len()));
        let shared = targets.len() > 1;
        let (mut owed, mut long) = (0, false);
        let serial = self.peers.next_publish();
        for (index, handle) in targets.iter().enumerate() {
            if index > 0 && index.is_multiple_of(MESSAGE_OWNERS_MAX) {
                kept = self.arena.insert(message, owners(targets.len() - index));
            }
            match self.places.get_mut(*handle) {
                Some(Entry { place: Place::Home(home), .. }) if !home.closed => {
                    let here = (kept, body_bytes, terms);
                    let (appended, is_long) = self.append_shared(*handle, here, publisher, shared);
                    owed += appended;
                    long |= is_long;
                }
                Some(Entry { id, place: Place::Away(away) }) => {
                    owed += 1;
                    let waiting = Owed { message: kept, publisher, shared, given_up: false };
                    let sequence = away.lane.push(waiting, body_bytes as u64, due);
                    long |= away.throttled || self.pressure.finds_full(&away.lane, &self.bounds.long);
                    let target = LaneTarget { queue: *id, sequence, base: away.lane.base() };
                    let outbox = self.peers.at(away.outbox);
                    outbox.push_shared_publish(serial, target, message);
                    self.lanes_due = self.lanes_due.min(due);
                    self.out.copies.away += 1;
                }
                // deleted, or about to be: it counts as not matched
                _ => self.arena.release(kept),
            }
        }
        (if owed == 0 { Appended::Stored } else { Appended::Owed(owed) }, long)
    }

    /// One of several queues, at home here: how many answers it owes, and whether its publishers are to wait.
    /// hot.
    fn append_shared(
        &mut self,
        handle: QueueHandle,
        (message, body_bytes, terms): (MessageRef, usize, Terms),
        publisher: Option<Publisher>,
        shared: bool,
    ) -> (u32, bool) {
        let Some(mut home) = self.home(handle) else { return (0, false) };
        let stored = home.append(message, body_bytes, terms);
        home.done();
        let long = self.is_long(handle);
        let Some(stored) = stored else {
            self.out.answered.push(Answered { publisher, shared, stored: false });
            return (1, long);
        };
        self.out.copies.here += 1;
        if let Stored::At(mark) = stored {
            self.commits.wait(mark, Answered { publisher, shared, stored: true });
            return (1, long);
        }
        (0, long)
    }

    /// Every lane that this publish needs can take it. hot.
    pub(super) fn lanes_have_room(&self, targets: &[QueueHandle]) -> bool {
        targets.iter().all(|handle| match self.places.get(*handle).map(|entry| &entry.place) {
            Some(Place::Away(away)) => !self.bounds.is_full(&away.lane),
            _ => true,
        })
    }

    /// A message on the lanes of one queue or several of this shard: appended to each once and in order. hot.
    pub(crate) fn on_publish(
        &mut self,
        from: ShardAddress,
        boot: Boot,
        message: &Message<'_>,
        targets: LaneTargets<'_>,
    ) {
        let (body_bytes, terms) = (message.body.len(), message.terms);
        let kept = self.arena.insert(message, targets.count());
        for target in targets {
            if !self.append_from_lane((from, boot), target, (kept, body_bytes, terms)) {
                self.arena.release(kept);
            }
        }
    }

    /// True if the queue took over the reference of the message. hot.
    #[inline(always)]
    fn append_from_lane(
        &mut self,
        from: (ShardAddress, Boot),
        target: LaneTarget,
        message: (MessageRef, usize, Terms),
    ) -> bool {
        let Some(mut home) = self.home_of(target.queue) else {
            self.publish_not_here(from.0, target.queue);
            return false;
        };
        if home.home.closed {
            // its end is near and certain: it counts as not matched
            home.peers.push(from.0, &Record::Gone { queue: target.queue });
            home.done();
            return false;
        }
        let verdict = home.append_from_lane(from, target, message);
        let handle = home.handle;
        home.done();
        match verdict {
            LaneVerdict::Append if self.is_long(handle) => self.throttle_shard(handle, from.0),
            LaneVerdict::Append | LaneVerdict::Duplicate => {}
            LaneVerdict::Gap { after } => {
                self.flush_stored();
                self.peers.push(from.0, &Record::Gap { queue: target.queue, after });
            }
        }
        verdict == LaneVerdict::Append
    }

    /// Sends what ingress shards are owed: one `Stored` for each lane. hot.
    pub(super) fn flush_stored(&mut self) {
        let mut owing = core::mem::take(&mut self.lists.owing);
        for handle in owing.drain(..) {
            if let Some(mut home) = self.home(handle) {
                home.answer_lanes();
                home.done();
            } else if let Some(id) = self.id(handle)
                && let Some(mut frozen) = self.frozen(id, |_| true)
            {
                frozen.answer_lanes();
            }
        }
        // nothing was listed meanwhile: an answer makes no new debt
        self.lists.owing = owing;
    }

    /// A publish for a queue that is not at home here. One that was not heard of yet asks for it with a gap
    /// when it comes; of one that is elsewhere by our map the ingress hears from the directory too.
    #[cold]
    fn publish_not_here(&mut self, from: ShardAddress, queue: QueueId) {
        if self.early.was_dropped(queue) {
            self.peers.push(from, &Record::Gone { queue });
        } else {
            let away = self.places.away_of(queue);
            if away.is_none_or(|(_, away)| away.leaving.is_some()) {
                self.early.keep_lane(from, queue);
            }
        }
    }
}

/// How many of so many queues share the next copy of their message.
#[inline]
pub(super) fn owners(left: usize) -> u32 {
    left.min(MESSAGE_OWNERS_MAX) as u32
}
