//! Messages whose bytes are on the disk alone: which go when memory is short, and who waits for which to come
//! back.
//!
//! ```text
//!   page_out ─▶ Queue::page_out        dispatch, get, letter, move ─▶ Paging::read ─▶ Effects::reads ─▶ store
//!                                                 ▲────────── on_read: Arena::page_in ◀──────────────────┘
//! ```
//! Read first: [`Queues::page_out`] and [`Queues::on_read`]. Whoever meets a message that is not here asks for
//! it and for some behind it, leaves everything as it is, and tries again in the turn of the answer.
//!
//! Invariants: each reader of a queue has one read under way at most; a message that is read has a reference
//! of the read, so its slot is there when the answer comes.

use alloc::vec::Vec;
use core::cmp::Reverse;

use leveret_model::limits::{PAGE_EVERY, PAGE_LOOSE_EVERY, READ_AHEAD_BYTES, READ_KEPT_BYTES, READ_KEPT_FOR};
use leveret_model::{Instant, Position, QueueHandle, QueueId};

use super::home::Home;
use super::places::{Entry, Place};
use super::reads::{Reader, Reading};
use super::{Queues, StoredMessage};

impl Queues {
    /// Memory is short: bytes of stored messages go, the longest queues first, until about so many are free or
    /// no more can go. Gives how many are.
    pub(crate) fn page_out(&mut self, bytes: u64) -> u64 {
        let now = self.lifetimes.now;
        let is_due = core::mem::take(&mut self.lists.paging.has_more) || now >= self.lists.paging.next_at;
        if !self.commits.has_store() || !is_due {
            return 0;
        }
        let has_stored = |home: &Home| {
            let queue = home.queue();
            queue.is_durable() && !home.closed && queue.ready() + queue.unacked() > 0
        };
        let mut longest: Vec<(Reverse<u64>, QueueHandle)> = self
            .places
            .homes()
            .filter(|(_, _, home)| has_stored(home))
            .map(|(handle, _, home)| (Reverse(home.queue().ready_bytes()), handle))
            .collect();
        longest.sort_by_key(|(bytes, _)| *bytes);
        // nobody waits for what comes from another home
        let mut freed = self.page_out_arriving(bytes);
        // at first what consumers are about to get stays everywhere
        for keep in [READ_AHEAD_BYTES, 0] {
            for (_, handle) in &longest {
                if freed >= bytes {
                    return freed;
                }
                if let Some(Entry { place: Place::Home(home), .. }) = self.places.get_mut(*handle) {
                    // or its consumers would never see what is read for them
                    let keep = if was_just_read(home, now) { keep.max(READ_KEPT_BYTES) } else { keep };
                    freed += home.queue_mut().page_out(bytes - freed, keep, &mut self.arena);
                }
            }
        }
        if freed < bytes {
            self.lists.paging.next_at = now + PAGE_EVERY;
        }
        if freed >= bytes || now < self.lists.paging.loose_at {
            return freed;
        }
        self.lists.paging.loose_at = now + PAGE_LOOSE_EVERY;
        for (_, handle) in &longest {
            if let Some(Entry { place: Place::Home(home), .. }) = self.places.get_mut(*handle)
                && !was_just_read(home, now)
            {
                freed += home.queue_mut().page_out_loose(bytes.saturating_sub(freed), &mut self.arena);
            }
        }
        freed
    }

    /// A queue whose next messages are not here reads them, and some ahead of its consumers.
    pub(super) fn read_ahead(&mut self, handle: QueueHandle) {
        let Some(Entry { id, place: Place::Home(home) }) = self.places.get(handle) else { return };
        if !self.lists.paging.is_reading(*id, Reader::Front) {
            let wanted = home.queue().wanted(&self.arena);
            self.lists.paging.read((*id, Reader::Front), wanted, &mut self.arena);
        }
    }

    /// A client gets from a queue whose next message is not here; of this shard, it is answered when that came.
    pub(super) fn read_for_get(&mut self, handle: QueueHandle, id: QueueId, is_own: bool) {
        if is_own {
            self.lists.paging.gets.insert(id);
        }
        self.read_ahead(handle);
    }

    /// The store answered a read: of what was asked for up to `next` these are all that there is. Gives the
    /// queue if a client of this shard waits to get from it.
    pub(crate) fn on_read(
        &mut self,
        id: u64,
        messages: &[StoredMessage<'_>],
        next: Option<Position>,
    ) -> Option<QueueHandle> {
        let Reading { queue, reader, wanted } = self.lists.paging.end_read(id)?;
        let mut found = messages.iter().peekable();
        for (position, message) in wanted {
            while found.next_if(|found| found.position < position).is_some() {}
            match found.peek().filter(|found| found.position == position) {
                Some(found) => self.arena.page_in(message, &found.message),
                None if next.is_none_or(|next| position < next) => self.arena.lose(message),
                // one read of the disk did not come so far
                None => {}
            }
            self.arena.release(message);
        }
        match reader {
            Reader::Front => self.note_front_read(queue, messages.last().map(|last| last.position)),
            Reader::Letters => {
                self.out.departed.letters.wake(queue);
                None
            }
            // the end of each turn looks at it
            Reader::Move => None,
            Reader::Remains => {
                self.lists.superseded.retry();
                None
            }
        }
    }

    fn note_front_read(&mut self, queue: QueueId, through: Option<Position>) -> Option<QueueHandle> {
        let now = self.lifetimes.now;
        let waits = self.lists.paging.gets.remove(&queue);
        let home = self.home_of(queue)?;
        if let Some(through) = through {
            home.home.read_at = now;
            home.home.queue_mut().note_read(through);
        }
        let handle = home.handle;
        // as it closes, the door lists the queue for its dispatch
        home.done();
        waits.then_some(handle)
    }

    /// Messages whose bytes are on the disk alone.
    pub(crate) fn paged_out(&self) -> u64 {
        self.arena.paged_out()
    }

    /// What the disk has at the start stays there once this shard holds so many bytes.
    pub(crate) fn recover_within(&mut self, bytes: u64) {
        self.lists.paging.recover_within = bytes;
    }
}

fn was_just_read(home: &Home, now: Instant) -> bool {
    now.since(home.read_at) < READ_KEPT_FOR
}
