//! Records as they are taken up.

use alloc::vec::Vec;

use crate::copy::CopyOf;
use crate::fields::{Damage, Take};
use crate::hid::Bucket;
use crate::list::{Flags, Row};
use crate::record::{ClaimKind, Ended, Forwarded, Loaded, Record, Winner, WriteId, kind};
use crate::stamp::{Epoch, Version};

fn take_row(take: &mut Take<'_>) -> Result<Row, Damage> {
    Ok(Row {
        life: take.stamp()?,
        epoch: Epoch(take.u32()?),
        home: take.home()?,
        flags: Flags::from_byte(take.u8()?),
    })
}

fn take_ended(take: &mut Take<'_>) -> Result<Ended, Damage> {
    Ok(Ended { hid: take.hid()?, life: take.stamp()?, left_ms: take.u32()? })
}

/// Takes the next record off the front; `None` for one of a kind that a later version may send.
pub(crate) fn take<'a>(bytes: &mut Take<'a>) -> Result<Option<(Bucket, Record<'a>)>, Damage> {
    let (kind, bucket) = (bytes.u8()?, Bucket(bytes.u8()?));
    let mut fields = Take::new(bytes.long()?);
    let record = take_fields(kind, &mut fields)?;
    if record.is_some() {
        fields.end()?;
    }
    Ok(record.map(|record| (bucket, record)))
}

fn take_fields<'a>(kind: u8, take: &mut Take<'a>) -> Result<Option<Record<'a>>, Damage> {
    Ok(Some(match kind {
        kind::SYNC_ASK => Record::SyncAsk { round: take.u64()? },
        kind::SYNC_END => Record::SyncEnd { round: take.u64()? },
        kind::ROW => Record::Row { hid: take.hid()?, row: take_row(take)? },
        kind::LEFT => Record::Left { hid: take.hid()?, life: take.stamp()? },
        kind::GONE => Record::Gone(take_ended(take)?),
        kind::HAVE_GONE => Record::HaveGone { hid: take.hid()?, life: take.stamp()? },
        kind::RENAMED => {
            let (hid, life) = (take.hid()?, take.stamp()?);
            Record::Renamed { hid, life, to: take.short()?, id: take.short()? }
        }
        kind::COPY => {
            let (copy, writes) = (CopyOf::take(take)?, take.long()?);
            Record::Copy { copy, writes, keeps: take.u8()? != 0, epoch: Epoch(take.u32()?) }
        }
        kind::COPIED => Record::Copied { hid: take.hid()?, id: take.state()? },
        kind::LACKS => Record::Lacks { hid: take.hid()? },
        kind::TOUCHED => Record::Touched { hid: take.hid()?, life: take.stamp()?, left: take.i64()? },
        kind::RETIRE => Record::Retire,
        kind::RETIRED => Record::Retired,
        kind::LOAD => Record::Load { number: take.u64()?, hid: take.hid()? },
        kind::LOADED => {
            let number = take.u64()?;
            let loaded = match take.u8()? {
                0 => Loaded::None,
                1 => Loaded::Found(CopyOf::take(take)?),
                2 => Loaded::NotHere,
                _ => return Err(Damage::Value("outcome of a load")),
            };
            Record::Loaded { number, loaded }
        }
        kind::FORWARD => Record::Forward {
            number: take.u64()?,
            write: WriteId { origin: take.home()?, shard: take.u32()?, number: take.u64()? },
            hid: take.hid()?,
            age_ms: take.u32()?,
            reader: take.u8()? != 0,
            request: take.long()?,
        },
        kind::ANSWER => {
            let number = take.u64()?;
            let forwarded = match take.u8()? {
                0 => Forwarded::Done(take.long()?),
                1 => Forwarded::NotHome,
                _ => return Err(Damage::Value("outcome of a command")),
            };
            Record::Answer { number, forwarded }
        }
        _ => return take_claim(kind, take),
    }))
}

fn take_claim<'a>(kind: u8, take: &mut Take<'a>) -> Result<Option<Record<'a>>, Damage> {
    Ok(Some(match kind {
        kind::CLAIM => {
            let (hid, life, epoch) = (take.hid()?, take.stamp()?, Epoch(take.u32()?));
            let kind = match take.u8()? {
                0 => ClaimKind::Birth,
                1 => ClaimKind::Takeover,
                2 => ClaimKind::Move,
                _ => return Err(Damage::Value("kind of a claim")),
            };
            let (flags, has_state) = (Flags::from_byte(take.u8()?), take.u8()? != 0);
            let state = if has_state { Some((Epoch(take.u32()?), Version(take.u64()?))) } else { None };
            Record::Claim { kind, hid, life, epoch, flags, state }
        }
        kind::VOTE => {
            let (hid, life, epoch) = (take.hid()?, take.stamp()?, Epoch(take.u32()?));
            let has_copy = take.u8()? != 0;
            let copy = if has_copy { Some((CopyOf::take(take)?, take.long()?)) } else { None };
            Record::Vote { hid, life, epoch, copy }
        }
        kind::OVERRULED => {
            let (hid, life, epoch) = (take.hid()?, take.stamp()?, Epoch(take.u32()?));
            let winner = match take.u8()? {
                0 => Winner::Gone(take_ended(take)?),
                _ => Winner::Row(take_row(take)?),
            };
            Record::Overruled { hid, life, epoch, winner }
        }
        kind::ORPHAN => {
            Record::Orphan { row: take_row(take)?, copy: CopyOf::take(take)?, writes: take.long()? }
        }
        kind::GIVE => Record::Give { hid: take.hid()?, life: take.stamp()?, epoch: Epoch(take.u32()?) },
        kind::COPIES_ASK => Record::CopiesAsk { number: take.u64()? },
        kind::COPIES_DONE => Record::CopiesDone { number: take.u64()? },
        _ => return Ok(None),
    }))
}

/// The reverse of [`put_writes`].
pub(crate) fn take_writes(bytes: &[u8]) -> Result<Vec<(WriteId, &[u8])>, Damage> {
    let mut take = Take::new(bytes);
    let mut writes = Vec::new();
    while !take.is_empty() {
        let write = WriteId { origin: take.home()?, shard: take.u32()?, number: take.u64()? };
        writes.push((write, take.long()?));
    }
    Ok(writes)
}
