//! Sessions that go to another home while their own lives: because this node leaves (S9), or because they are
//! used there (S7).
//!
//! ```text
//!   home ── GIVE ──▶ new home ── CLAIM ──▶ all ── VOTE ──▶ new home ── ROW ──▶ all
//! ```
//! The home goes on until the claim comes; its vote brings along what the new home lacks, and from then on it
//! is as any other node. A GIVE that has no effect is sent again after a while, perhaps to another node.
//!
//! A node that leaves gives away what is at home with it, so many at once; then it asks every other node
//! whether all that is at home there has a copy, for it was a keeper itself.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::limits;

use crate::effects::Effects;
use crate::hid::Hid;
use crate::list::Row;
use crate::pending::Caller;
use crate::planted::Planted;
use crate::record::{ClaimKind, Record};
use crate::requests::Call;
use crate::sessions::Sessions;
use crate::stamp::{Epoch, Home, Stamp};
use crate::states::StateKey;
use crate::time::{Clock, Ms};

/// How often moves that are over, or had no effect, are looked for.
const LOOK_MS: u64 = 100;

/// Moves under way, and the leave of this node.
#[derive(Default)]
pub(crate) struct Moves {
    /// Given away and not arrived, with when.
    given: BTreeMap<Hid, Ms>,
    /// Sessions that moved lately: they rest.
    moved: BTreeMap<Hid, Ms>,
    leave: Option<Leave>,
    /// When both are looked through next.
    look_at: Ms,
    /// Nodes that leave and want to know when all up to that number has its copy.
    askers: Vec<(Home, u64, u64)>,
}

#[derive(Default)]
struct Leave {
    todo: Vec<Hid>,
    /// Sessions that were here when it began, or came since.
    found: usize,
    number: u64,
    /// When it is looked again whether something is at home here.
    look_at: Ms,
    /// Whom this node waits for; none before it has asked.
    awaited: Option<Vec<Home>>,
}

/// How far the leave of this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Handover {
    /// Sessions that are at home here, or on their way.
    pub left: usize,
    /// Sessions that were given away.
    pub given: usize,
    /// Nothing is at home here any more, and everything has a copy among the others.
    pub over: bool,
    /// No node is there that could take them.
    pub alone: bool,
}

impl core::ops::AddAssign for Handover {
    fn add_assign(&mut self, other: Self) {
        self.left += other.left;
        self.given += other.given;
        self.over &= other.over;
        self.alone &= other.alone;
    }
}

fn ms(duration: core::time::Duration) -> u64 {
    duration.as_millis() as u64
}

impl Moves {
    /// It is at home elsewhere, or no more.
    pub(crate) fn arrived(&mut self, hid: Hid) {
        self.given.remove(&hid);
    }

    pub(crate) fn note_moved(&mut self, hid: Hid, now: Ms) {
        if self.moved.len() < limits::SESSION_MOVES_NOTED_MAX {
            self.moved.insert(hid, now);
        }
    }

    /// A peer says that all has its copy.
    pub(crate) fn on_copies_done(&mut self, from: Home, number: u64) {
        if let Some(leave) = self.leave.as_mut().filter(|leave| leave.number == number)
            && let Some(awaited) = &mut leave.awaited
        {
            awaited.retain(|home| *home != from);
        }
    }

    /// It is Down.
    pub(crate) fn not_awaited(&mut self, home: Home) {
        self.askers.retain(|(asker, ..)| *asker != home);
        if let Some(awaited) = self.leave.as_mut().and_then(|leave| leave.awaited.as_mut()) {
            awaited.retain(|other| *other != home);
        }
    }

    pub(crate) fn on_tick(&mut self, now: Ms) {
        if now < self.look_at {
            return;
        }
        self.look_at = now.plus(LOOK_MS);
        self.given.retain(|_, at| now.since(*at) < ms(limits::SESSION_MOVE_AGAIN));
        self.moved.retain(|_, at| now.since(*at) < ms(limits::SESSION_MOVE_REST));
    }

    /// True while time alone brings something.
    pub(crate) fn is_busy(&self) -> bool {
        !self.given.is_empty() || !self.moved.is_empty() || !self.askers.is_empty() || self.leave.is_some()
    }
}

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

    /// How far that is.
    #[must_use]
    pub fn handover(&self) -> Handover {
        let Some(leave) = &self.cluster.moves.leave else { return Handover::default() };
        let left = leave.todo.len() + self.cluster.moves.given.len();
        let alone = self.cluster.members.replicator(self.config.own.node, self.first_bucket()).is_none();
        let copied = leave.awaited.as_ref().is_some_and(Vec::is_empty);
        let over = left == 0 && (copied || self.bug.is(Planted::LeftWithoutCopies));
        Handover { left, given: leave.found - left, over, alone }
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
