//! The new home of a queue that is copied: messages that came while the old home serves, and their places.
//!
//! At the freeze the old home lists those that it has still (`MovePart::Listed`), and they join the queue; the
//! others left it meanwhile and are dropped. What a list names and nobody copied, or a place that is copied
//! twice, is nonsense: the new home refuses the move.

use alloc::collections::{BTreeMap, VecDeque};

use leveret_link::record::{ListedRun, MovePart, MoveRefused, Record};
use leveret_model::{
    Instant, Message, MessageRule, MessageState, MoveAttempt, Position, QueueId, ShardAddress, StoreMark,
    Stored,
};
use leveret_queue::{Arena, MessageRef, QueueEntry};

use super::Queues;
use crate::pressure::Pressure;

/// A message that the old home had.
#[derive(Clone, Copy, Debug)]
struct CopiedMessage {
    message: MessageRef,
    body_bytes: u32,
    /// When it expires, and its level: neither changes as long as the queue has it.
    deadline: Instant,
    level: u8,
}

/// All of a queue.
#[derive(Debug, Default)]
pub(super) struct CopiedMessages {
    by_place: BTreeMap<Position, CopiedMessage>,
    /// Pieces that are not stored. As many as the old home may have on their way.
    unstored: VecDeque<(u64, StoreMark)>,
    /// Copies came, so the old home knows what a refusal is.
    pub(super) any: bool,
}

impl CopiedMessages {
    /// Takes the message at a place; messages are mostly asked for in the order in which they lie.
    fn take(&mut self, place: Position) -> Option<CopiedMessage> {
        match self.by_place.first_entry() {
            Some(first) if *first.key() == place => Some(first.remove()),
            _ => self.by_place.remove(&place),
        }
    }

    /// What is left is not in the queue any more.
    pub(super) fn drop_all(&mut self, arena: &mut Arena) {
        for copy in core::mem::take(&mut self.by_place).into_values() {
            arena.release(copy.message);
        }
    }

    /// The last piece that is stored now and was not before.
    pub(super) fn synced(&mut self, through: StoreMark) -> Option<u64> {
        let mut last = None;
        while let Some((piece, _)) = self.unstored.pop_front_if(|(_, mark)| *mark <= through) {
            last = Some(piece);
        }
        last
    }
}

impl CopiedMessage {
    fn entry(self, position: Position, run: &ListedRun, now: Instant) -> QueueEntry {
        let left = (self.deadline < Instant::FAR).then(|| self.deadline.since(now));
        QueueEntry {
            position,
            message: self.message,
            body_bytes: self.body_bytes,
            state: run.state,
            rule: run.returns.map(|returns| MessageRule { left, level: self.level, returns }),
        }
    }
}

impl Queues {
    /// A copy of a message.
    pub(crate) fn on_copy_message(
        &mut self,
        from: ShardAddress,
        (queue, attempt): (QueueId, MoveAttempt),
        (position, rule): (Position, Option<MessageRule>),
        message: &Message<'_>,
    ) {
        let now = self.lifetimes.now;
        let is_full = self.pressure >= Pressure::Full;
        let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
        arriving.copies.any = true;
        if is_full {
            return self.refuse_arriving(queue, MoveRefused::NoMemory);
        }
        let is_durable = arriving.home.queue().is_durable();
        let kept = self.arena.insert(message, 1);
        let left = rule.and_then(|rule| rule.left);
        let copy = CopiedMessage {
            message: kept,
            body_bytes: message.body.len() as u32,
            deadline: left.map_or(Instant::FAR, |left| now + left),
            level: rule.map_or(0, |rule| rule.level),
        };
        let Some(arriving) = self.arriving.by_id.get_mut(&queue) else { return };
        if let Some(twice) = arriving.copies.by_place.insert(position, copy) {
            self.arena.release(twice.message);
            return self.refuse_arriving(queue, MoveRefused::Unfit);
        }
        if message.terms.persistent()
            && is_durable
            && let Stored::At(mark) = self.commits.append(queue, position, kept, &mut self.arena)
        {
            arriving.mark = Some(mark);
        }
    }

    /// A piece of copies is complete; the old home sends more once it is stored.
    pub(super) fn on_piece(&mut self, from: ShardAddress, queue: QueueId, attempt: MoveAttempt, piece: u64) {
        let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
        arriving.copies.any = true;
        match arriving.mark {
            Some(mark) => arriving.copies.unstored.push_back((piece, mark)),
            None => self.say_piece_taken(queue, piece),
        }
    }

    pub(super) fn say_piece_taken(&mut self, queue: QueueId, piece: u64) {
        let Some(arriving) = self.arriving.by_id.get(&queue) else { return };
        let (to, attempt) = (arriving.from, arriving.attempt);
        self.peers.push(to, &Record::Move { queue, attempt, part: MovePart::PieceTaken(piece) });
    }

    /// The frozen queue has these copies still.
    pub(super) fn on_listed(
        &mut self,
        from: ShardAddress,
        queue: QueueId,
        attempt: MoveAttempt,
        runs: &[ListedRun],
    ) {
        let (own, now) = (self.own, self.lifetimes.now);
        let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
        arriving.copies.any = true;
        for run in runs {
            if let MessageState::Held(holder) = run.state
                && holder.at != own
            {
                arriving.awaits.insert(holder.at);
            }
            for at in 0..u64::from(run.count) {
                let position = Position(run.from.0.saturating_add(at));
                // the count may be anything: the first place without a copy ends it
                let Some(copy) = arriving.copies.take(position) else {
                    return self.refuse_arriving(queue, MoveRefused::Unfit);
                };
                arriving.messages += 1;
                if arriving.home.restore(copy.entry(position, run, now), now).is_err() {
                    self.arena.release(copy.message);
                    return self.refuse_arriving(queue, MoveRefused::Unfit);
                }
            }
        }
    }
}
