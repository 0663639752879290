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

use crate::hid::Hid;
use crate::stamp::Home;
use crate::time::Ms;

/// How often moves that are over, or had no effect, are looked for.
const LOOK_MS: u64 = 100;

/// Moves under way, and the leave of this node.
#[derive(Default)]
pub(crate) struct Moves {
    /// Given away and not arrived, with when.
    pub(crate) given: BTreeMap<Hid, Ms>,
    /// Sessions that moved lately: they rest.
    pub(crate) moved: BTreeMap<Hid, Ms>,
    pub(crate) leave: Option<Leave>,
    /// When both are looked through next.
    look_at: Ms,
    /// Nodes that leave and want to know when all up to that number has its copy.
    pub(crate) askers: Vec<(Home, u64, u64)>,
}

#[derive(Default)]
pub(crate) struct Leave {
    pub(crate) todo: Vec<Hid>,
    /// Sessions that were here when it began, or came since.
    pub(crate) found: usize,
    pub(crate) number: u64,
    /// When it is looked again whether something is at home here.
    pub(crate) look_at: Ms,
    /// Whom this node waits for; none before it has asked.
    pub(crate) awaited: Option<Vec<Home>>,
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

pub(crate) fn ms(duration: core::time::Duration) -> u64 {
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
