//! Records as bytes, on the way out; `take.rs` is their way in.

use alloc::vec::Vec;

use crate::fields::Put;
use crate::hid::{Bucket, Hid};
use crate::list::Row;
use crate::record::{Ended, Forwarded, Loaded, Record, Winner, WriteId, kind};
use crate::stamp::Stamp;

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
        Record::Renamed { hid, life, to, id } => {
            life_of(out, hid, life, kind::RENAMED);
            out.short(to);
            out.short(id);
            kind::RENAMED
        }
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
        Record::Lacks { hid } => {
            out.hid(hid);
            kind::LACKS
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
