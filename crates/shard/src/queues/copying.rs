//! The old home of a queue that is about to move: it copies the messages while it goes on serving.
//!
//! ```text
//!   copy ─▶ round 1: all there is ─▶ round 2: what came and came back meanwhile ─▶ … ─▶ Copied ─▶ hand_over
//!             │   pieces ─▶  ◀─ taken              until little is left, or for `limits::COPY_ROUNDS_MAX`
//!             └── a link broke, the queue ended, the new home refused, or control says so: Failed
//! ```
//! Nothing is noted when a message leaves: at the freeze the queue lists what it has still, and the copies of
//! the rest are dropped (`contents.rs`). So no verb of a queue knows that it is copied.
//!
//! Invariants: a message is copied once for each try. What is on its way to one shard, of all queues together,
//! is bounded, and the queues take turns.

use alloc::vec::Vec;

use leveret_link::record::{MovePart, Record};
use leveret_model::directory::MoveReport;
use leveret_model::{MoveAttempt, NodeId, QueueId, ShardAddress, limits};
use leveret_queue::QueueEntry;

use super::Queues;
use super::copied_places::CopiedPlaces;
use super::copy_rounds::Copying;
use super::places::{Entry, Place};
use super::reads::{Reader, wanted_of};

impl Queues {
    /// Control wants a queue copied to its next home.
    pub(crate) fn copy(&mut self, id: QueueId, to: ShardAddress, attempt: MoveAttempt) {
        self.lists.copying.retain(|copying| copying.id != id);
        let Some(handle) = self.places.handle(id).filter(|_| self.peers.takes_records(to) && to != self.own)
        else {
            return self.report_move(id, attempt, MoveReport::Failed);
        };
        self.lists.copying.push(Copying::new(id, handle, to, attempt));
    }

    /// What was copied of a queue that freezes now.
    pub(super) fn take_copied(&mut self, id: QueueId, attempt: MoveAttempt) -> CopiedPlaces {
        let of_try = |copying: &mut Copying| copying.id == id && copying.attempt == attempt;
        let copying = self.lists.copying.extract_if(.., of_try).next();
        copying.map(|copying| copying.copied).unwrap_or_default()
    }

    /// Copies as much as may be on its way; at the end of a turn.
    #[inline]
    pub(super) fn send_copies(&mut self) {
        if !self.lists.copying.is_empty() {
            self.send_pieces();
        }
    }

    #[cold]
    fn send_pieces(&mut self) {
        self.fail_copies(|queues, copying| !queues.is_served(copying));
        let mut all = core::mem::take(&mut self.lists.copying);
        // so that no queue is always the first
        let first = usize::from(all.len() > 1);
        all.rotate_left(first);
        loop {
            let mut sent = false;
            for at in 0..all.len() {
                let to = all[at].to;
                let there = all.iter().filter(|copying| copying.to == to);
                let on_the_way: u64 = there.flat_map(|copying| &copying.on_the_way).sum();
                sent |= on_the_way < limits::COPY_WINDOW_BYTES && self.send_piece(&mut all[at]);
            }
            if !sent {
                break;
            }
        }
        self.lists.copying = all;
    }

    /// The queue is at home here still, and open.
    fn is_served(&self, copying: &Copying) -> bool {
        matches!(self.places.get(copying.handle), Some(Entry { id, place: Place::Home(home) })
            if *id == copying.id && !home.closed && home.owner.is_none())
    }

    /// One piece, or the end of a round. False if there is nothing to do before an answer comes.
    fn send_piece(&mut self, copying: &mut Copying) -> bool {
        let now = self.lifetimes.now;
        let Some(Entry { place: Place::Home(home), .. }) = self.places.get(copying.handle) else {
            return false;
        };
        let Some(outbox) = self.peers.to(copying.to) else { return false };
        if copying.done || outbox.waiting_bytes() >= limits::MOVE_BYTES_AHEAD {
            return false;
        }
        let (queue, attempt, mut bytes) = (copying.id, copying.attempt, 0);
        let mut waits = false;
        while bytes < limits::MOVE_PIECE_BYTES
            && let Some(entry) = copying.next(home.queue(), now)
        {
            let QueueEntry { position, message, rule, .. } = entry;
            if self.arena.is_paged_out(message) {
                if self.arena.is_lost(message) {
                    continue;
                }
                copying.put_back(&entry);
                let wanted = wanted_of(copying.ahead(home.queue(), now), &self.arena);
                self.lists.paging.read((queue, Reader::Move), wanted, &mut self.arena);
                waits = true;
                break;
            }
            let kept = message;
            let message = self.arena.get(message);
            bytes += message.weight_bytes() as u64;
            copying.copied.insert(position);
            outbox.push(&Record::CopyMessage { queue, attempt, position, rule, message });
            if home.queue().is_paged() && self.commits.has_store() {
                self.arena.page_back_out(kept);
            }
        }
        if bytes > 0 {
            copying.pieces += 1;
            copying.on_the_way.push_back(bytes);
            outbox.push(&Record::Move { queue, attempt, part: MovePart::Piece(copying.pieces) });
            return true;
        }
        if waits || !copying.on_the_way.is_empty() {
            return false;
        }
        copying.end_round(home.queue(), now, self.bounds.freeze_messages);
        if copying.done {
            self.report_move(queue, attempt, MoveReport::Copied);
        }
        !copying.done
    }

    /// The new home has pieces.
    pub(super) fn on_piece_taken(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        attempt: MoveAttempt,
        through: u64,
    ) {
        let of_try = |at: &&mut Copying| at.is_try(queue, attempt, from);
        let Some(copying) = self.lists.copying.iter_mut().find(of_try) else { return };
        let missing = copying.pieces.checked_sub(through).and_then(|missing| usize::try_from(missing).ok());
        match missing.filter(|missing| *missing <= copying.on_the_way.len()) {
            Some(missing) => {
                let taken = copying.on_the_way.len() - missing;
                copying.on_the_way.drain(..taken);
            }
            // it was not sent so many, or has taken them before
            None => self.fail_copies(|_, at| at.id == queue),
        }
    }

    /// Gives the copies up that are not to go on; their queues serve as ever.
    pub(super) fn fail_copies(&mut self, of: impl Fn(&Self, &Copying) -> bool) {
        let all = core::mem::take(&mut self.lists.copying);
        let (failed, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|copying| of(self, copying));
        self.lists.copying = kept;
        for Copying { id, attempt, .. } in failed {
            self.report_move(id, attempt, MoveReport::Failed);
        }
    }

    /// The same of one try.
    pub(super) fn cancel_copy(&mut self, id: QueueId, attempt: MoveAttempt) {
        self.fail_copies(|_, copying| copying.id == id && copying.attempt == attempt);
    }

    /// The same of those that go to a node.
    pub(super) fn fail_copies_to(&mut self, node: NodeId) {
        self.fail_copies(|_, copying| copying.to.node == node);
    }
}
