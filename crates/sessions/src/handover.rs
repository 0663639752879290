//! Sessions are given away and taken (S7, S9): what `moves.rs` counts, done.

use alloc::vec::Vec;

use leveret_model::limits;

use crate::effects::Effects;
use crate::hid::Hid;
use crate::list::Row;
use crate::moves::{Handover, ms};
use crate::pending::Caller;
use crate::record::{ClaimKind, Record};
use crate::requests::Call;
use crate::sessions::Sessions;
use crate::stamp::{Epoch, Home, Stamp};
use crate::states::StateKey;
use crate::time::Clock;

impl Sessions {
    /// This node leaves: what is at home here goes to others. Said again once no client is here any more, it
    /// looks again, for the last births.
    pub fn leave(&mut self, clock: Clock, effects: &mut Effects) {
        self.now = clock.ms();
        self.cluster.members.leave();
        let leave = self.cluster.moves.leave.get_or_insert_default();
        (leave.look_at, leave.awaited) = (clock.ms(), None);
        self.go_on_leaving(clock, effects);
    }

    /// The leave is taken back. Sessions that were given away may still go, as any that moves.
    pub fn stay(&mut self) {
        self.cluster.members.stay();
        self.cluster.moves.leave = None;
    }

    /// How far a leave is.
    #[must_use]
    pub fn handover(&self) -> Handover {
        let Some(leave) = &self.cluster.moves.leave else { return Handover::default() };
        let left = leave.todo.len() + self.cluster.moves.given.len();
        let alone = self.cluster.members.replicator(self.config.own.node, self.first_bucket()).is_none();
        let over = left == 0 && leave.awaited.as_ref().is_some_and(Vec::is_empty);
        Handover { left, given: leave.found.saturating_sub(left), over, alone }
    }

    /// Gives away what is here, up to a bound at once.
    pub(crate) fn go_on_leaving(&mut self, clock: Clock, effects: &mut Effects) {
        let Some(leave) = &self.cluster.moves.leave else { return };
        let under_way = self.cluster.moves.given.len();
        if !self.has_lease() || under_way > limits::SESSION_MOVES_AT_ONCE / 2 {
            return;
        }
        if leave.todo.is_empty() && under_way == 0 {
            if clock.ms() < leave.look_at {
                return;
            }
            let own = |row: &Row| row.home == self.config.own;
            let todo: Vec<Hid> = self.list.iter().filter(|(_, row)| own(row)).map(|(hid, _)| hid).collect();
            self.on_looked(todo, effects);
        }
        for _ in under_way..limits::SESSION_MOVES_AT_ONCE {
            let Some(hid) = self.cluster.moves.leave.as_mut().and_then(|leave| leave.todo.pop()) else {
                return;
            };
            self.give(
                clock,
                hid,
                self.cluster.members.replicator(self.config.own.node, hid.bucket()),
                effects,
            );
        }
    }

    /// What is here still is to go; once nothing is, the others are asked for their copies.
    fn on_looked(&mut self, todo: Vec<Hid>, effects: &mut Effects) {
        let bucket = self.first_bucket();
        let counted: Vec<Home> = self.cluster.members.counted().collect();
        let again = self.now.plus(ms(limits::SESSION_LEAVE_LOOK));
        let Some(leave) = &mut self.cluster.moves.leave else { return };
        leave.look_at = again;
        if !todo.is_empty() {
            leave.found += todo.len();
            leave.todo = todo;
            leave.awaited = None;
        } else if leave.awaited.is_none() {
            leave.number += 1;
            for home in &counted {
                effects.send(home.node, bucket, &Record::CopiesAsk { number: leave.number });
            }
            leave.awaited = Some(counted);
        }
    }

    fn give(&mut self, clock: Clock, hid: Hid, to: Option<leveret_model::NodeId>, effects: &mut Effects) {
        // one whose claim waits is found again when that has settled
        let here = |row: &Row| row.home == self.config.own && !row.flags.waits();
        let Some(row) = self.list.get(hid).filter(here) else { return };
        if let Some(to) = to {
            effects.send(to, hid.bucket(), &Record::Give { hid, life: row.life, epoch: row.epoch });
        }
        self.cluster.moves.given.insert(hid, clock.ms());
    }

    /// The home of a session wants it to be at home here.
    pub(crate) fn on_give(
        &mut self,
        clock: Clock,
        from: Home,
        (hid, life, epoch): (Hid, Stamp, Epoch),
        effects: &mut Effects,
    ) {
        let same = |row: &Row| (row.home, row.life, row.epoch) == (from, life, epoch) && !row.flags.waits();
        let Some(row) = self.list.get(hid).filter(same) else { return };
        if self.has_lease() && !self.cluster.members.leaves() && self.cluster.claims.get(hid).is_none() {
            self.take_over(clock, hid, row, ClaimKind::Move, effects);
        }
    }

    /// A peer that leaves wants to know when everything that is at home here has its copy.
    pub(crate) fn on_copies_ask(&mut self, from: Home, number: u64) {
        self.cluster.moves.askers.retain(|(asker, ..)| *asker != from);
        self.cluster.moves.askers.push((from, number, self.cluster.copies.begun()));
    }

    /// Looked at by time, not with each record: it looks at every copy that is missing.
    pub(crate) fn tell_copies(&mut self, effects: &mut Effects) {
        if self.cluster.moves.askers.is_empty() {
            return;
        }
        let bucket = self.first_bucket();
        let copies = &self.cluster.copies;
        self.cluster.moves.askers.retain(|&(asker, number, up_to)| {
            let copied = copies.are_copied(up_to);
            if copied {
                effects.send(asker.node, bucket, &Record::CopiesDone { number });
            }
            !copied
        });
    }

    /// Home follows use (S7): through which node a commit or touch came.
    pub(crate) fn note_use(&mut self, call: &Call<'_>, key: StateKey, effects: &mut Effects) {
        let through = match call.caller {
            Caller::Client(_) => None,
            Caller::Node { home, .. } => Some(home.node),
        };
        let Some(node) = self.states.note_user(key, through) else { return };
        let moves = &mut self.cluster.moves;
        let rests =
            moves.moved.contains_key(&call.hid) || moves.moved.len() >= limits::SESSION_MOVES_NOTED_MAX;
        let Some(row) = self.list.get(call.hid).filter(|_| !rests && moves.leave.is_none()) else { return };
        moves.note_moved(call.hid, self.now);
        let give = Record::Give { hid: call.hid, life: row.life, epoch: row.epoch };
        effects.send(node, call.hid.bucket(), &give);
    }
}
