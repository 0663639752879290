//! The contents of frozen queues on their way to the new homes: at the end of each turn as much as may wait at
//! an outbox, the queues taking turns.

use alloc::boxed::Box;

use leveret_link::record::{MovePart, Record};
use leveret_model::{Instant, QueueHandle, limits};

use super::Queues;
use super::contents::{Contents, Said};
use super::moving::Stage;
use super::places::{Entry, Place};
use super::reads::{Reader, wanted_of};

impl Queues {
    /// Once nobody can change it any more the queue is sent.
    pub(super) fn begin_sending(&mut self, handle: QueueHandle) {
        let Self { places, lifetimes, arena, out, commits, .. } = self;
        let Some((queue, away)) = places.away(handle) else { return };
        let Some(leaving) = &mut away.leaving else { return };
        let fenced = matches!(&leaving.stage, Stage::Fencing(missing) if missing.is_empty());
        if !fenced || !leaving.home.lanes_are_stored() {
            return;
        }
        // what died since the freeze, and before it
        leaving.home.end_turn(handle, &mut lifetimes.timers, arena, (&mut out.departed, commits));
        if self.sends_letters_of(queue) {
            return;
        }
        let Self { places, lifetimes, peers, .. } = self;
        if let Some((_, away)) = places.away(handle)
            && let Some(leaving) = &mut away.leaving
        {
            lifetimes.timers.set(handle, &mut leaving.home.timer_at, Instant::FAR);
            if let Some(from) = leaving.home.queue().ruled_from() {
                let (attempt, part) = (leaving.attempt, MovePart::Ruled(from));
                peers.at(away.outbox).push(&Record::Move { queue, attempt, part });
            }
            let copied = core::mem::take(&mut leaving.copied);
            leaving.stage = Stage::Sending(Box::new(Contents::of(leaving.home.queue(), copied)));
        }
    }

    /// Sends as much as may wait at the outboxes; at the end of a turn.
    pub(super) fn send_leaving(&mut self) {
        for at in 0..self.lists.leaving.len() {
            let handle = self.lists.leaving[at];
            // its letters may be out now
            self.begin_sending(handle);
        }
        // so that no queue is always the first
        if self.lists.leaving.len() > 1 {
            self.lists.leaving.rotate_left(1);
        }
        let mut more = !self.lists.leaving.is_empty();
        while more {
            more = false;
            for at in 0..self.lists.leaving.len() {
                more |= self.send_some_of(self.lists.leaving[at]);
            }
        }
    }

    /// Sends a piece; false if that was the last one for now.
    fn send_some_of(&mut self, handle: QueueHandle) -> bool {
        let now = self.lifetimes.now;
        let Some((queue, away)) = self.places.away(handle) else { return false };
        let Some(leaving) = &mut away.leaving else { return false };
        let Stage::Sending(contents) = &mut leaving.stage else { return false };
        let attempt = leaving.attempt;
        let outbox = self.peers.at(away.outbox);
        let piece_end = outbox.waiting_bytes() + limits::MOVE_PIECE_BYTES;
        while outbox.waiting_bytes() < piece_end.min(limits::MOVE_BYTES_AHEAD) {
            match contents.next(leaving.home.queue(), now) {
                Some(Said::Message(entry)) if self.arena.is_lost(entry.message) => contents.skip(),
                Some(Said::Message(entry)) if self.arena.is_paged_out(entry.message) => {
                    contents.put_back(entry);
                    let wanted = wanted_of(contents.ahead(leaving.home.queue(), now), &self.arena);
                    self.lists.paging.read((queue, Reader::Move), wanted, &mut self.arena);
                    return false;
                }
                Some(Said::Message(entry)) => {
                    outbox.push(&Record::MoveMessage {
                        queue,
                        attempt,
                        position: entry.position,
                        state: entry.state,
                        rule: entry.rule,
                        message: self.arena.get(entry.message),
                    });
                    if leaving.home.queue().is_paged() && self.commits.has_store() {
                        self.arena.page_back_out(entry.message);
                    }
                }
                Some(Said::Listed(runs)) => {
                    let full = runs.iter().map(|run| run.count).sum::<u32>() >= limits::LISTED_MESSAGES_MAX;
                    outbox.push(&Record::Move { queue, attempt, part: MovePart::Listed(runs) });
                    if full {
                        // as many as one turn may look at
                        return false;
                    }
                }
                None => {
                    let messages = contents.messages();
                    for part in leaving.last_parts(messages) {
                        outbox.push(&Record::Move { queue, attempt, part });
                    }
                    leaving.stage = Stage::Sent;
                    return false;
                }
            }
        }
        outbox.waiting_bytes() < limits::MOVE_BYTES_AHEAD
    }

    /// More could be sent in the next turn.
    pub(super) fn has_more_to_send(&self) -> bool {
        self.lists.leaving.iter().any(|handle| match self.places.get(*handle) {
            Some(Entry { id, place: Place::Away(away) }) => {
                let waits = self.lists.paging.is_reading(*id, Reader::Move);
                let sending = away.leaving.as_ref().is_some_and(|at| matches!(at.stage, Stage::Sending(..)));
                sending && !waits && self.peers.waiting_bytes_at(away.outbox) < limits::MOVE_BYTES_AHEAD
            }
            _ => false,
        })
    }
}
