//! Records between nodes: docs/formats/sessions.md draws them.

use leveret_model::NodeId;

use crate::copy::CopyOf;
use crate::hid::Hid;
use crate::list::{Flags, Row};
use crate::stamp::{Epoch, Home, Stamp, StateId, Version};

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimKind {
    Birth,
    /// Of a home that is dead.
    Takeover,
    /// Of a home that lives and gives it away.
    Move,
}

impl ClaimKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Birth => 0,
            Self::Takeover => 1,
            Self::Move => 2,
        }
    }
}

/// A gone entry on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) hid: Hid,
    pub(crate) life: Stamp,
    pub(crate) left_ms: u32,
}

/// What a loader is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Loaded<'a> {
    /// No such session, said by its home.
    None,
    Found(CopyOf<'a>),
    /// The answerer may not say.
    NotHere,
}

/// What a home says to a forwarded command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded<'a> {
    /// An answer, encoded.
    Done(&'a [u8]),
    NotHome,
}

/// Who wins against a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Winner {
    Row(Row),
    Gone(Ended),
}

/// The id of a write: the same for each repeat. The boot belongs to it, because a process counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WriteId {
    pub(crate) origin: Home,
    pub(crate) shard: u32,
    pub(crate) number: u64,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Record<'a> {
    SyncAsk {
        round: u64,
    },
    SyncEnd {
        round: u64,
    },
    Row {
        hid: Hid,
        row: Row,
    },
    Left {
        hid: Hid,
        life: Stamp,
    },
    Gone(Ended),
    HaveGone {
        hid: Hid,
        life: Stamp,
    },
    /// The session that ended with this life lives on under that key.
    Renamed {
        hid: Hid,
        life: Stamp,
        to: &'a [u8],
        id: &'a [u8],
    },
    /// `keeps`: the receiver is the replicator, not the one that is being retired. `epoch`: of the home.
    Copy {
        copy: CopyOf<'a>,
        writes: &'a [u8],
        keeps: bool,
        epoch: Epoch,
    },
    Copied {
        hid: Hid,
        id: StateId,
    },
    /// The change that came was made to another state than mine.
    Lacks {
        hid: Hid,
    },
    Touched {
        hid: Hid,
        life: Stamp,
        left: i64,
    },
    Retire,
    Retired,
    Load {
        number: u64,
        hid: Hid,
    },
    Loaded {
        number: u64,
        loaded: Loaded<'a>,
    },
    Forward {
        number: u64,
        write: WriteId,
        hid: Hid,
        age_ms: u32,
        reader: bool,
        request: &'a [u8],
    },
    Answer {
        number: u64,
        forwarded: Forwarded<'a>,
    },
    Claim {
        kind: ClaimKind,
        hid: Hid,
        life: Stamp,
        epoch: Epoch,
        flags: Flags,
        /// Version of the state that the claimant has.
        state: Option<(Epoch, Version)>,
    },
    Vote {
        hid: Hid,
        life: Stamp,
        epoch: Epoch,
        copy: Option<(CopyOf<'a>, &'a [u8])>,
    },
    Overruled {
        hid: Hid,
        life: Stamp,
        epoch: Epoch,
        winner: Winner,
    },
    Orphan {
        row: Row,
        copy: CopyOf<'a>,
        writes: &'a [u8],
    },
    /// The home wants the receiver to claim it.
    Give {
        hid: Hid,
        life: Stamp,
        epoch: Epoch,
    },
    /// Say when all has its copy that is at home with you now.
    CopiesAsk {
        number: u64,
    },
    CopiesDone {
        number: u64,
    },
}

mod put;
mod take;

pub(crate) use put::{put, put_writes};
pub(crate) use take::{take, take_writes};

mod kind {
    pub(super) const ROW: u8 = 1;
    pub(super) const LEFT: u8 = 2;
    pub(super) const GONE: u8 = 3;
    pub(super) const SYNC_ASK: u8 = 4;
    pub(super) const SYNC_END: u8 = 5;
    pub(super) const HAVE_GONE: u8 = 7;
    pub(super) const RENAMED: u8 = 8;
    pub(super) const COPY: u8 = 16;
    pub(super) const COPIED: u8 = 17;
    pub(super) const LACKS: u8 = 18;
    pub(super) const TOUCHED: u8 = 19;
    pub(super) const RETIRE: u8 = 20;
    pub(super) const RETIRED: u8 = 21;
    pub(super) const LOAD: u8 = 32;
    pub(super) const LOADED: u8 = 33;
    pub(super) const FORWARD: u8 = 34;
    pub(super) const ANSWER: u8 = 35;
    pub(super) const CLAIM: u8 = 48;
    pub(super) const VOTE: u8 = 49;
    pub(super) const OVERRULED: u8 = 50;
    pub(super) const ORPHAN: u8 = 53;
    pub(super) const GIVE: u8 = 60;
    pub(super) const COPIES_ASK: u8 = 61;
    pub(super) const COPIES_DONE: u8 = 62;
}

/// A home that nobody is: the row is away.
pub(crate) const NOBODY: Home = Home { node: NodeId(0), boot: leveret_model::Boot(0) };
