//! The image of the last node: what a clean stop without a living other leaves (`sessions.img`).
//!
//! The driver writes [`head`] and the records of every shard ([`Sessions::append_image`]) to a new file,
//! syncs and renames it; at the start it renames the file away, reads it whole, and hands [`Image`] to every
//! shard, which takes what it keeps. If a member answers first, the driver sets the file aside instead and
//! says so.

use alloc::vec::Vec;

use leveret_model::NodeId;

use crate::copy::CopyOf;
use crate::fields::{Damage, Put, Take};
use crate::hid::Hid;
use crate::list::Row;
use crate::renames::Renamed;
use crate::sessions::Sessions;
use crate::stamp::{Epoch, Stamp, StateId};
use crate::states::NewState;
use crate::time::{Clock, Deadline};

const MAGIC: &[u8; 8] = b"LEVSESS\0";
const VERSION: u16 = 1;
/// Bytes in front of the records.
pub const IMAGE_HEAD_BYTES: usize = 46;
/// In front of a record's kind: its length and checksum.
const RECORD_HEAD_BYTES: usize = 8;
const SESSION: u8 = 1;
const GONE: u8 = 2;
const RENAMED: u8 = 3;

/// Why a file is not used. It is set aside as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The disk, or a hand: not the beginning of an image.
    #[error("is no image of sessions")]
    Magic,
    /// A later version of ours wrote it.
    #[error("is of version {0}, this is version 1")]
    Version(u16),
    /// The disk: bytes changed.
    #[error("has a wrong checksum")]
    Checksum,
    /// The disk: it ends early, or goes on behind its end.
    #[error("has not the records that it counts")]
    Count,
    /// Ours: a record that is none.
    #[error("has a record that {0}")]
    Record(#[from] Damage),
}

/// The head of a file with `count` records.
#[must_use]
pub fn head(unix_ms: i64, node: NodeId, count: u64) -> [u8; IMAGE_HEAD_BYTES] {
    let mut bytes = Vec::with_capacity(IMAGE_HEAD_BYTES);
    bytes.raw(MAGIC);
    bytes.u16(VERSION);
    bytes.i64(unix_ms);
    bytes.u128(node.0);
    bytes.u64(count);
    let checksum = crc32c::crc32c(&bytes);
    bytes.u32(checksum);
    core::array::from_fn(|at| bytes[at])
}

/// A gone entry in the image.
#[derive(Clone, Copy, Debug)]
struct GoneRecord {
    hid: Hid,
    life: Stamp,
    left_ms: u32,
}

enum Record<'a> {
    Session(CopyOf<'a>),
    Gone(GoneRecord),
    Renamed(Hid, Renamed),
}

/// A file that was read and is whole.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    records: &'a [u8],
    count: u64,
    written_unix_ms: i64,
}

impl<'a> Image<'a> {
    /// Looks at every byte of a file.
    ///
    /// # Errors
    /// [`ImageError`]: nothing of it may be used.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let (head, records) = bytes.split_at_checked(IMAGE_HEAD_BYTES).ok_or(ImageError::Magic)?;
        let mut take = Take::new(head);
        if take.bytes(MAGIC.len())? != MAGIC {
            return Err(ImageError::Magic);
        }
        let version = take.u16()?;
        if version != VERSION {
            return Err(ImageError::Version(version));
        }
        let written_unix_ms = take.i64()?;
        take.node()?;
        let count = take.u64()?;
        if take.u32()? != crc32c::crc32c(&head[..IMAGE_HEAD_BYTES - 4]) {
            return Err(ImageError::Checksum);
        }
        let image = Self { records, count, written_unix_ms };
        let mut found = 0;
        image.each(|_| found += 1)?;
        if found == count { Ok(image) } else { Err(ImageError::Count) }
    }

    /// Sessions, gone entries and renames.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    fn each(&self, mut use_it: impl FnMut(Record<'a>)) -> Result<(), ImageError> {
        let mut take = Take::new(self.records);
        while !take.is_empty() {
            let mut head = Take::new(take.bytes(RECORD_HEAD_BYTES).map_err(|_| ImageError::Count)?);
            let (length, checksum) = (head.u32()?, head.u32()?);
            let body = take.bytes(length as usize).map_err(|_| ImageError::Count)?;
            if checksum_of(body) != checksum {
                return Err(ImageError::Checksum);
            }
            let mut fields = Take::new(body);
            let record = match fields.u8()? {
                SESSION => Record::Session(CopyOf::take(&mut fields)?),
                GONE => {
                    let record =
                        GoneRecord { hid: fields.hid()?, life: fields.stamp()?, left_ms: fields.u32()? };
                    Record::Gone(record)
                }
                RENAMED => {
                    let (hid, life) = (fields.hid()?, fields.stamp()?);
                    let (to, id) = (fields.short()?.into(), fields.short()?.into());
                    Record::Renamed(hid, Renamed { life, to, id })
                }
                _ => return Err(ImageError::Record(Damage::Value("kind"))),
            };
            fields.end()?;
            use_it(record);
        }
        Ok(())
    }
}

fn checksum_of(body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&(body.len() as u32).to_le_bytes()), body)
}

/// For fuzzing: any bytes as records (a length byte before each), with lengths and checksums that fit.
pub(crate) fn sealed(mut bytes: &[u8]) -> (u64, Vec<u8>) {
    let (mut count, mut out) = (0, Vec::new());
    while let Some((&length, rest)) = bytes.split_first() {
        let (body, rest) = rest.split_at(rest.len().min(length.into()));
        put_record(&mut out, |out| out.raw(body));
        (count, bytes) = (count + 1, rest);
    }
    (count, out)
}

fn put_record(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.raw(&[0; RECORD_HEAD_BYTES]);
    write(out);
    let body = &out[start + RECORD_HEAD_BYTES..];
    let (length, checksum) = (body.len() as u32, checksum_of(body));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + RECORD_HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

impl Sessions {
    /// Appends a record for each session, gone entry and rename of this shard; gives how many.
    pub fn append_image(&self, clock: Clock, out: &mut Vec<u8>) -> u64 {
        let now = clock.ms();
        let mut count = 0;
        for key in self.states.keys() {
            put_record(out, |out| {
                out.u8(SESSION);
                CopyOf::whole(&self.states, key, now).put(out);
            });
            count += 1;
        }
        for (hid, gone) in self.gone.iter() {
            put_record(out, |out| {
                out.u8(GONE);
                out.hid(hid);
                out.stamp(gone.life);
                out.u32(u32::try_from(gone.until.since(now)).unwrap_or(u32::MAX));
            });
            count += 1;
        }
        for (hid, renamed) in self.renames.iter() {
            put_record(out, |out| {
                out.u8(RENAMED);
                out.hid(hid);
                out.stamp(renamed.life);
                out.short(&renamed.to);
                out.short(&renamed.id);
            });
            count += 1;
        }
        count
    }

    /// Takes what this shard keeps of an image. Times that remain are shortened by what passed since it was
    /// written, never lengthened; who expired meanwhile is left out. Gives the sessions that were taken.
    ///
    /// # Errors
    /// None that [`Image::read`] did not find before.
    pub fn take_image(&mut self, clock: Clock, image: &Image<'_>) -> Result<usize, ImageError> {
        let now = clock.ms();
        // a wall clock that went back has not made anybody younger
        let passed = clock.unix_ms().saturating_sub(image.written_unix_ms).max(0);
        let mut taken = 0;
        image.each(|record| match record {
            Record::Gone(gone) if self.keeps(gone.hid.bucket()) => {
                let left = u64::from(gone.left_ms).saturating_sub(passed.unsigned_abs());
                self.counter = self.counter.max(gone.life.counter);
                self.gone.insert(gone.hid, gone.life, now, left, &[]);
            }
            Record::Session(mut copy) if self.keeps(copy.hid.bucket()) => {
                if copy.left >= 0 {
                    copy.left = (copy.left - passed).max(0);
                }
                if copy.left != 0 {
                    taken += usize::from(self.take_from_image(clock, copy));
                }
            }
            Record::Renamed(hid, renamed) if self.keeps(hid.bucket()) => self.renames.insert(hid, renamed),
            Record::Gone(_) | Record::Session(_) | Record::Renamed(..) => {}
        })?;
        Ok(taken)
    }

    /// The home is another boot now, so the epoch rises.
    fn take_from_image(&mut self, clock: Clock, copy: CopyOf<'_>) -> bool {
        let Some(new) = copy.to_state(clock.ms()) else { return false };
        let epoch = Epoch(copy.id.epoch.0.saturating_add(1));
        self.counter = self.counter.max(copy.id.life.counter);
        let row = Row { life: copy.id.life, epoch, home: self.config.own, flags: copy.flags };
        let id = StateId { epoch, ..copy.id };
        if !self.list.set(copy.hid, row) {
            return false;
        }
        let Some(key) = self.states.insert(copy.hid, NewState { id, ..new }, clock.ms()) else {
            return false;
        };
        // the image does not say whether it was: no user is to lose by that
        self.states.mark_used(key, clock.ms());
        debug_assert!(self.states.get(key).deadline() >= Deadline::after(clock.ms(), 0));
        self.expiry.file(&mut self.states, key);
        true
    }
}
