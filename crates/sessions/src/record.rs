//! Records between nodes: docs/formats/sessions.md draws them.

use alloc::vec::Vec;

use leveret_model::NodeId;

use crate::copy::CopyOf;
use crate::fields::Put;
use crate::hid::{Bucket, Hid};
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

mod take;

pub(crate) use take::{take, take_writes};

mod kind {
    pub(super) const ROW: u8 = 1;
    pub(super) const LEFT: u8 = 2;
    pub(super) const GONE: u8 = 3;
    pub(super) const SYNC_ASK: u8 = 4;
    pub(super) const SYNC_END: u8 = 5;
    pub(super) const HAVE_GONE: u8 = 7;
    pub(super) const COPY: u8 = 16;
    pub(super) const COPIED: u8 = 17;
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

/// Writes a record with its frame.
pub(crate) fn put(out: &mut Vec<u8>, bucket: Bucket, record: &Record<'_>) {
    out.u8(0);
    out.u8(bucket.0);
    out.u32(0);
    let start = out.len();
    let kind = put_fields(out, record);
    let length = (out.len() - start) as u32;
    out[start - 6] = kind;
    out[start - 4..start].copy_from_slice(&length.to_le_bytes());
}

fn put_fields(out: &mut Vec<u8>, record: &Record<'_>) -> u8 {
    match *record {
        Record::SyncAsk { round } => number(out, round, kind::SYNC_ASK),
        Record::SyncEnd { round } => number(out, round, kind::SYNC_END),
        Record::Row { hid, row } => {
            out.hid(hid);
            put_row(out, row);
            kind::ROW
        }
        Record::Left { hid, life } => life_of(out, hid, life, kind::LEFT),
        Record::Gone(ended) => {
            put_ended(out, ended);
            kind::GONE
        }
        Record::HaveGone { hid, life } => life_of(out, hid, life, kind::HAVE_GONE),
        Record::Copy { copy, writes, keeps, epoch } => {
            copy.put(out);
            out.long(writes);
            out.u8(keeps.into());
            out.u32(epoch.0);
            kind::COPY
        }
        Record::Copied { hid, id } => {
            out.hid(hid);
            out.state(id);
            kind::COPIED
        }
        Record::Touched { hid, life, left } => {
            life_of(out, hid, life, kind::TOUCHED);
            out.i64(left);
            kind::TOUCHED
        }
        Record::Retire => kind::RETIRE,
        Record::Retired => kind::RETIRED,
        _ => put_question(out, record),
    }
}

fn put_question(out: &mut Vec<u8>, record: &Record<'_>) -> u8 {
    match *record {
        Record::Load { number, hid } => {
            out.u64(number);
            out.hid(hid);
            kind::LOAD
        }
        Record::Loaded { number, loaded } => {
            out.u64(number);
            match loaded {
                Loaded::None => out.u8(0),
                Loaded::Found(copy) => {
                    out.u8(1);
                    copy.put(out);
                }
                Loaded::NotHere => out.u8(2),
            }
            kind::LOADED
        }
        Record::Forward { number, write, hid, age_ms, reader, request } => {
            out.u64(number);
            put_write(out, write);
            out.hid(hid);
            out.u32(age_ms);
            out.u8(reader.into());
            out.long(request);
            kind::FORWARD
        }
        Record::Answer { number, forwarded } => {
            out.u64(number);
            match forwarded {
                Forwarded::Done(answer) => {
                    out.u8(0);
                    out.long(answer);
                }
                Forwarded::NotHome => out.u8(1),
            }
            kind::ANSWER
        }
        _ => put_claim(out, record),
    }
}

fn put_claim(out: &mut Vec<u8>, record: &Record<'_>) -> u8 {
    match *record {
        Record::Claim { kind, hid, life, epoch, flags, state } => {
            life_of(out, hid, life, kind::CLAIM);
            out.u32(epoch.0);
            out.u8(kind.byte());
            out.u8(flags.byte());
            out.u8(state.is_some().into());
            if let Some((epoch, version)) = state {
                out.u32(epoch.0);
                out.u64(version.0);
            }
            kind::CLAIM
        }
        Record::Vote { hid, life, epoch, copy } => {
            life_of(out, hid, life, kind::VOTE);
            out.u32(epoch.0);
            out.u8(copy.is_some().into());
            if let Some((copy, writes)) = copy {
                copy.put(out);
                out.long(writes);
            }
            kind::VOTE
        }
        Record::Overruled { hid, life, epoch, winner } => {
            life_of(out, hid, life, kind::OVERRULED);
            out.u32(epoch.0);
            match winner {
                Winner::Row(row) => {
                    out.u8(1);
                    put_row(out, row);
                }
                Winner::Gone(ended) => {
                    out.u8(0);
                    put_ended(out, ended);
                }
            }
            kind::OVERRULED
        }
        Record::Orphan { row, copy, writes } => {
            put_row(out, row);
            copy.put(out);
            out.long(writes);
            kind::ORPHAN
        }
        Record::Give { hid, life, epoch } => {
            life_of(out, hid, life, kind::GIVE);
            out.u32(epoch.0);
            kind::GIVE
        }
        Record::CopiesAsk { number: asked } => number(out, asked, kind::COPIES_ASK),
        Record::CopiesDone { number: asked } => number(out, asked, kind::COPIES_DONE),
        _ => unreachable!("the others are written by the callers"),
    }
}

fn number(out: &mut Vec<u8>, number: u64, kind: u8) -> u8 {
    out.u64(number);
    kind
}

fn life_of(out: &mut Vec<u8>, hid: Hid, life: Stamp, kind: u8) -> u8 {
    out.hid(hid);
    out.stamp(life);
    kind
}

fn put_row(out: &mut Vec<u8>, row: Row) {
    out.stamp(row.life);
    out.u32(row.epoch.0);
    out.home(row.home);
    out.u8(row.flags.byte());
}

fn put_ended(out: &mut Vec<u8>, ended: Ended) {
    out.hid(ended.hid);
    out.stamp(ended.life);
    out.u32(ended.left_ms);
}

fn put_write(out: &mut Vec<u8>, write: WriteId) {
    out.home(write.origin);
    out.u32(write.shard);
    out.u64(write.number);
}

/// Short answers of recent writes, as they travel with copies.
pub(crate) fn put_writes<'a>(out: &mut Vec<u8>, writes: impl Iterator<Item = (WriteId, &'a [u8])>) {
    for (write, answer) in writes {
        put_write(out, write);
        out.long(answer);
    }
}

/// A home that nobody is: the row is away.
pub(crate) const NOBODY: Home = Home { node: NodeId(0), boot: leveret_model::Boot(0) };
