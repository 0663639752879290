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

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use leveret_link::record::{MovePart, Record};
use leveret_model::directory::MoveReport;
use leveret_model::{Instant, MoveAttempt, NodeId, Position, QueueHandle, QueueId, ShardAddress, limits};
use leveret_queue::{Queue, QueueEntry};

use super::Queues;
use super::copied_places::CopiedPlaces;
use super::places::{Entry, Place};

/// A queue that is copied.
#[derive(Debug)]
pub(super) struct Copying {
    id: QueueId,
    handle: QueueHandle,
    to: ShardAddress,
    attempt: MoveAttempt,
    copied: CopiedPlaces,
    /// Rounds so far.
    rounds: u32,
    /// Of this round: loose messages, and where the fresh ones end.
    loose: vec::IntoIter<Position>,
    until: Position,
    /// All fresh ones below are copied, or are not fresh any more.
    fresh: Position,
    /// Pieces so far, and the bytes of those that the new home has not taken.
    pieces: u64,
    on_the_way: VecDeque<u64>,
    /// Little was left, and control was told so.
    done: bool,
}

impl Copying {
    pub(super) fn is_try(&self, id: QueueId, attempt: MoveAttempt, to: ShardAddress) -> bool {
        self.id == id && self.attempt == attempt && self.to == to
    }

    /// The next message of this round.
    fn next(&mut self, queue: &Queue, now: Instant) -> Option<QueueEntry> {
        // one that was settled since the round began is no loose one any more
        while let Some(place) = self.loose.next() {
            if let Some(entry) = queue.loose_entry(place, now) {
                return Some(entry);
            }
        }
        let entry = queue.next_fresh(self.fresh, now).filter(|entry| entry.position < self.until)?;
        self.fresh = Position(entry.position.0 + 1);
        Some(entry)
    }

    /// Another round begins, unless so little is left that the queue may freeze.
    fn end_round(&mut self, queue: &Queue, now: Instant, freeze_messages: u64) {
        let mut loose = queue.loose_places();
        loose.retain(|place| !self.copied.contains(*place));
        let entries = loose.iter().filter_map(|place| queue.loose_entry(*place, now));
        let mut fresh = self.fresh;
        let tail = core::iter::from_fn(|| {
            let entry = queue.next_fresh(fresh, now)?;
            fresh = Position(entry.position.0 + 1);
            Some(entry)
        });
        let (mut messages, mut bytes) = (0, 0);
        let is_much = entries.chain(tail).any(|entry| {
            messages += 1;
            bytes += u64::from(entry.body_bytes);
            messages > freeze_messages || bytes > limits::FREEZE_BYTES_MAX
        });
        self.done = !is_much || self.rounds >= limits::COPY_ROUNDS_MAX;
        if !self.done {
            self.rounds += 1;
            self.until = queue.next_position();
            self.loose = loose.into_iter();
        }
    }
}

impl Queues {
    /// Control wants a queue copied to its next home.
    pub(crate) fn copy(&mut self, id: QueueId, to: ShardAddress, attempt: MoveAttempt) {
        self.lists.copying.retain(|copying| copying.id != id);
        let Some(handle) = self.places.handle(id).filter(|_| self.peers.takes_records(to) && to != self.own)
        else {
            return self.report_move(id, attempt, MoveReport::Failed);
        };
        self.lists.copying.push(Copying {
            id,
            handle,
            to,
            attempt,
            copied: CopiedPlaces::default(),
            rounds: 0,
            loose: Vec::new().into_iter(),
            until: Position(0),
            fresh: Position(0),
            pieces: 0,
            on_the_way: VecDeque::new(),
            done: false,
        });
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
        while bytes < limits::MOVE_PIECE_BYTES
            && let Some(QueueEntry { position, message, rule, .. }) = copying.next(home.queue(), now)
        {
            let message = self.arena.get(message);
            bytes += message.weight_bytes() as u64;
            copying.copied.insert(position);
            outbox.push(&Record::CopyMessage { queue, attempt, position, rule, message });
        }
        if bytes > 0 {
            copying.pieces += 1;
            copying.on_the_way.push_back(bytes);
            outbox.push(&Record::Move { queue, attempt, part: MovePart::Piece(copying.pieces) });
            return true;
        }
        if !copying.on_the_way.is_empty() {
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
