//! The end of a turn: queues that have messages and consumers with room bring them together.

use leveret_model::{ConsumerKey, Message, Paused, Position, QueueHandle, QueueId, ShardAddress, limits};
use leveret_queue::{Delivered, Egress};

use super::Queues;
use super::commit::Commits;
use super::delivery::LocalConsumers;
use super::places::{Entry, Place};
use crate::peers::{OutboxIndex, Outboxes};

/// Where one queue's deliveries go: to consumers here, and as records to those elsewhere.
struct Outlet<'a, L> {
    own: ShardAddress,
    handle: QueueHandle,
    id: QueueId,
    local: &'a mut L,
    peers: &'a mut Outboxes,
    /// Where the last delivery to elsewhere went.
    recent: Option<(ShardAddress, OutboxIndex)>,
}

impl<L: LocalConsumers> Egress for Outlet<'_, L> {
    /// hot.
    #[inline(always)]
    fn deliver(
        &mut self,
        consumer: &ConsumerKey,
        _no_ack: bool,
        position: Position,
        redelivered: bool,
        message: Message<'_>,
    ) -> Delivered {
        if consumer.at != self.own {
            return self.deliver_elsewhere(consumer, position, redelivered, &message);
        }
        self.local.deliver(self.handle, consumer, position, redelivered, &message)
    }
}

/// The same of a durable queue: what is delivered without an acknowledgement leaves the store.
struct StoredOutlet<'a, L> {
    outlet: Outlet<'a, L>,
    commits: &'a mut Commits,
}

impl<L: LocalConsumers> Egress for StoredOutlet<'_, L> {
    /// hot.
    fn deliver(
        &mut self,
        consumer: &ConsumerKey,
        no_ack: bool,
        position: Position,
        redelivered: bool,
        message: Message<'_>,
    ) -> Delivered {
        let delivered = self.outlet.deliver(consumer, no_ack, position, redelivered, message);
        if no_ack && delivered == Delivered::Taken {
            self.commits.left(self.outlet.id, position, message.terms);
        }
        delivered
    }
}

impl<L> Outlet<'_, L> {
    /// hot.
    #[inline(never)]
    fn deliver_elsewhere(
        &mut self,
        consumer: &ConsumerKey,
        position: Position,
        redelivered: bool,
        message: &Message<'_>,
    ) -> Delivered {
        let index = match self.recent {
            Some((at, index)) if at == consumer.at => Some(index),
            Some(_) | None => self.peers.find(consumer.at),
        };
        // else until its shard says on a new link what it holds (RESUB wakes it), or is Down
        let Some(index) = index else { return Delivered::Paused(Paused::Link) };
        self.recent = Some((consumer.at, index));
        let outbox = self.peers.at(index);
        if !outbox.takes_deliveries() {
            return Delivered::Paused(Paused::Link);
        }
        outbox.push_deliver(self.id, (consumer.channel, consumer.number), position, redelivered, message);
        Delivered::Taken
    }
}

impl Queues {
    /// Dispatches the listed queues in the order in which they were listed; a queue that is not done goes
    /// behind the others. hot.
    pub(crate) fn dispatch<L: LocalConsumers>(&mut self, local: &mut L) {
        let mut left = limits::SHARD_DISPATCH_MAX;
        let mut left_bytes = limits::SHARD_DISPATCH_BYTES_MAX;
        let mut due = core::mem::take(&mut self.lists.dirty);
        let mut done = 0;
        for handle in &due {
            if left == 0 || left_bytes == 0 {
                break;
            }
            done += 1;
            let Some(Entry { id, place: Place::Home(home) }) = self.places.get_mut(*handle) else { continue };
            if home.closed {
                continue;
            }
            let mut outlet = Outlet {
                own: self.own,
                handle: *handle,
                id: *id,
                local,
                peers: &mut self.peers,
                recent: None,
            };
            let before = home.queue().ready_bytes();
            let mut most = limits::TURN_DISPATCH_MAX.min(left);
            if before > left_bytes {
                // as if all of its messages were of one size
                most = most.min((left_bytes * home.queue().ready() / before) as usize + 1);
            }
            let now = self.lifetimes.now;
            let outcome = if home.queue().is_durable() && self.commits.has_store() {
                // a copy of the loop that looks for what leaves the disk with a delivery
                let mut stored = StoredOutlet { outlet, commits: &mut self.commits };
                home.dispatch(most, now, &mut self.arena, &mut stored)
            } else {
                home.dispatch(most, now, &mut self.arena, &mut outlet)
            };
            let leaving = (&mut self.out.departed, &mut self.commits);
            home.end_turn(*handle, &mut self.lifetimes.timers, &mut self.arena, leaving);
            let is_paged = home.queue().is_paged();
            left -= outcome.delivered + outcome.dropped;
            left_bytes = left_bytes.saturating_sub(before - home.queue().ready_bytes());
            if outcome.more {
                self.lists.dirty.push(*handle);
            }
            if is_paged {
                self.read_for_dispatch(*handle);
            }
        }
        due.drain(..done);
        // those that had no turn yet come first in the next one
        due.append(&mut self.lists.dirty);
        self.lists.dirty = due;
    }

    #[cold]
    fn read_for_dispatch(&mut self, handle: QueueHandle) {
        let Some(Entry { place: Place::Home(home), .. }) = self.places.get(handle) else { return };
        if home.queue().wants_dispatch() {
            self.read_ahead(handle);
        }
    }
}
