//! The new home of a queue that is copied: it takes copies while the old one serves, and puts those into the
//! queue that the old one lists at the freeze.

use leveret_link::record::{ListedRun, MovePart, MoveRefused, Record};
use leveret_model::{Message, MessageRule, MessageState, MoveAttempt, Position, QueueId, ShardAddress};

use super::Queues;
use super::copied_messages::CopiedMessage;
use crate::pressure::Pressure;

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
        let is_full = self.pressure >= Pressure::Disk;
        let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
        arriving.copies.any = true;
        if is_full {
            return self.refuse_arriving(queue, MoveRefused::NoMemory);
        }
        let is_durable = arriving.home.queue().is_durable();
        let kept = self.arena.insert(message, 1);
        let copy = CopiedMessage::new(kept, message.body.len() as u32, rule, now);
        let expires = copy.deadline();
        let Some(arriving) = self.arriving.by_id.get_mut(&queue) else { return };
        if let Some(twice) = arriving.copies.insert(position, copy) {
            self.arena.release(twice);
            return self.refuse_arriving(queue, MoveRefused::Unfit);
        }
        if message.terms.persistent() && is_durable {
            self.store_arriving((queue, position), (kept, expires));
        }
    }

    /// A piece of copies is complete; the old home sends more once it is stored.
    pub(super) fn on_piece(&mut self, from: ShardAddress, queue: QueueId, attempt: MoveAttempt, piece: u64) {
        let Some(arriving) = self.arriving_of(from, queue, attempt) else { return };
        arriving.copies.any = true;
        match arriving.mark {
            Some(mark) => arriving.copies.wait(piece, mark),
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
                let entry = copy.entry(position, run, now);
                let message = entry.message;
                if arriving.paged {
                    arriving.home.queue_mut().set_paged();
                }
                if arriving.home.restore(entry, now).is_err() {
                    self.arena.release(message);
                    return self.refuse_arriving(queue, MoveRefused::Unfit);
                }
            }
        }
        if arriving.home.queue().is_durable() {
            self.note_returns(queue, runs);
        }
    }

    /// Listed messages came back so often, which may have been after they were copied.
    fn note_returns(&mut self, queue: QueueId, runs: &[ListedRun]) {
        for run in runs {
            let Some(returns) = run.returns.filter(|returns| *returns > 0) else { continue };
            for at in 0..u64::from(run.count) {
                self.commits.returned(queue, Position(run.from.0 + at), returns);
            }
        }
    }
}
