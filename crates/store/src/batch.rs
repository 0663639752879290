//! Heads: of a log segment, of a segment or spill file, and of a batch in the log. Drawn in
//! docs/formats/store.md §2.

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::limits::LOG_ALIGN_BYTES;

use crate::clock::StoreTime;
use crate::fields::{Malformed, Put};
use crate::frame;

/// Version of the files' heads, of batches and of snapshots.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Where the first batch of a log segment begins: behind two copies of its head, each in a block of its own.
pub(crate) const LOG_DATA_AT: u64 = 2 * LOG_ALIGN_BYTES as u64;
/// Where the first extent of a file begins.
pub(crate) const EXTENTS_AT: u64 = LOG_ALIGN_BYTES as u64;
/// Bytes of a batch's head.
pub(crate) const BATCH_HEAD_BYTES: usize = 64;

const LOG_MAGIC: &[u8; 8] = b"LEVERLOG";
const SEGMENT_MAGIC: &[u8; 8] = b"LEVERSEG";
const SPILL_MAGIC: &[u8; 8] = b"LEVERSPL";
const BATCH_MAGIC: &[u8; 4] = b"LVBT";
/// Bytes that the checksums of the heads cover.
const LOG_HEAD_SUMMED: usize = 52;
const BATCH_HEAD_SUMMED: usize = 52;

/// Which store a file belongs to: the node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StoreId(pub u128);

/// A segment of the log; rising, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogNumber(pub u64);

/// A batch of the log; rising by one over all segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(pub u64);

/// What the head of a log segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogHead {
    pub(crate) store: StoreId,
    pub(crate) log: LogNumber,
    /// Tells the batches of this use of the file from those of earlier ones.
    pub(crate) nonce: u64,
    /// Of the whole file.
    pub(crate) bytes: u64,
}

/// Why a head says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// Not there, or damaged.
    Damaged,
    /// Of another version of this program.
    Version(u32),
}

impl From<Malformed> for HeadError {
    fn from(Malformed: Malformed) -> Self {
        Self::Damaged
    }
}

impl LogHead {
    /// Both copies, each in its block.
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut head = Vec::with_capacity(LOG_DATA_AT as usize);
        head.raw(LOG_MAGIC);
        head.u32(FORMAT_VERSION);
        head.u128(self.store.0);
        head.u64(self.log.0);
        head.u64(self.nonce);
        head.u64(self.bytes);
        head.u32(crc32c::crc32c(&head));
        head.resize(LOG_ALIGN_BYTES, 0);
        head.extend_from_within(..);
        head.into()
    }

    /// The head in one block.
    pub(crate) fn read(block: &[u8]) -> Result<Self, HeadError> {
        let mut take = frame::summed(block, LOG_HEAD_SUMMED).ok_or(HeadError::Damaged)?;
        if take.bytes(8)? != LOG_MAGIC {
            return Err(HeadError::Damaged);
        }
        match take.u32()? {
            FORMAT_VERSION => {}
            version => return Err(HeadError::Version(version)),
        }
        Ok(Self {
            store: StoreId(take.u128()?),
            log: LogNumber(take.u64()?),
            nonce: take.u64()?,
            bytes: take.u64()?,
        })
    }
}

/// The head of a segment, or of a spill file.
pub(crate) fn file_head(store: StoreId, number: u64, spill: bool) -> Bytes {
    let mut head = Vec::with_capacity(EXTENTS_AT as usize);
    head.raw(if spill { SPILL_MAGIC } else { SEGMENT_MAGIC });
    head.u32(FORMAT_VERSION);
    head.u128(store.0);
    head.u64(number);
    head.u32(crc32c::crc32c(&head));
    head.resize(EXTENTS_AT as usize, 0);
    head.into()
}

/// What the head of a batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    pub(crate) log: LogNumber,
    pub(crate) nonce: u64,
    pub(crate) number: BatchNumber,
    /// Of all frames together, pads included.
    pub(crate) frames_bytes: u32,
    pub(crate) frames: u32,
    /// What the store's clock showed.
    pub(crate) clock: StoreTime,
    pub(crate) digest: u32,
}

impl BatchHead {
    pub(crate) fn to_bytes(self) -> [u8; BATCH_HEAD_BYTES] {
        let mut head = Vec::with_capacity(BATCH_HEAD_BYTES);
        head.raw(BATCH_MAGIC);
        head.u32(FORMAT_VERSION);
        head.u64(self.log.0);
        head.u64(self.nonce);
        head.u64(self.number.0);
        head.u32(self.frames_bytes);
        head.u32(self.frames);
        head.u64(self.clock.0);
        head.u32(self.digest);
        head.u32(crc32c::crc32c(&head));
        let mut bytes = [0; BATCH_HEAD_BYTES];
        bytes[..head.len()].copy_from_slice(&head);
        bytes
    }

    /// The head at the front, if it is one of this use of the file.
    pub(crate) fn read(bytes: &[u8], of: &LogHead) -> Option<Self> {
        let mut take = frame::summed(bytes, BATCH_HEAD_SUMMED)?;
        if take.bytes(4).ok()? != BATCH_MAGIC || take.u32().ok()? != FORMAT_VERSION {
            return None;
        }
        let head = Self {
            log: LogNumber(take.u64().ok()?),
            nonce: take.u64().ok()?,
            number: BatchNumber(take.u64().ok()?),
            frames_bytes: take.u32().ok()?,
            frames: take.u32().ok()?,
            clock: StoreTime(take.u64().ok()?),
            digest: take.u32().ok()?,
        };
        (head.log == of.log && head.nonce == of.nonce).then_some(head)
    }

    /// True if a head of this use of the file was here before something happened to it: its nonce is there,
    /// which nobody else writes, and the rest is not right.
    pub(crate) fn was_here(bytes: &[u8], of: &LogHead) -> bool {
        let fields = |from: usize| bytes.get(from..from + 8);
        let [log, nonce] = [fields(8), fields(16)];
        let right = [log == Some(&of.log.0.to_le_bytes()[..]), nonce == Some(&of.nonce.to_le_bytes()[..])];
        let magic = bytes.starts_with(BATCH_MAGIC);
        (right[1] || (right[0] && magic)) && Self::read(bytes, of).is_none()
    }

    /// Bytes from this batch to where the next one begins.
    pub(crate) fn batch_bytes(&self) -> u64 {
        batch_bytes(self.frames_bytes as usize)
    }
}

/// Bytes of a batch with so many bytes of frames.
pub(crate) fn batch_bytes(frames_bytes: usize) -> u64 {
    (BATCH_HEAD_BYTES + frames_bytes).next_multiple_of(LOG_ALIGN_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogHead = LogHead { store: StoreId(7), log: LogNumber(3), nonce: 99, bytes: 1 << 20 };

    #[test]
    fn heads_come_back_from_either_copy_and_no_flipped_bit_passes() {
        let bytes = LOG.to_bytes();
        for copy in bytes.chunks(LOG_ALIGN_BYTES) {
            assert_eq!(LogHead::read(copy), Ok(LOG));
        }
        for bit in 0..(LOG_HEAD_SUMMED + 4) * 8 {
            let mut block = bytes[..LOG_ALIGN_BYTES].to_vec();
            block[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(LogHead::read(&block), Err(HeadError::Damaged));
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut block = LOG.to_bytes()[..LOG_ALIGN_BYTES].to_vec();
        block[8] = 9;
        let crc = crc32c::crc32c(&block[..LOG_HEAD_SUMMED]);
        block[LOG_HEAD_SUMMED..][..4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(LogHead::read(&block), Err(HeadError::Version(9)));
    }

    #[test]
    fn a_batch_of_an_earlier_use_of_the_file_is_none() {
        let head = BatchHead {
            log: LOG.log,
            nonce: LOG.nonce,
            number: BatchNumber(12),
            frames_bytes: 100,
            frames: 2,
            clock: StoreTime(5),
            digest: 77,
        };
        let bytes = head.to_bytes();
        assert_eq!(BatchHead::read(&bytes, &LOG), Some(head));
        assert_eq!(BatchHead::read(&bytes, &LogHead { nonce: 98, ..LOG }), None);
        assert!(!BatchHead::was_here(&bytes, &LOG) && !BatchHead::was_here(&[0; BATCH_HEAD_BYTES], &LOG));
        for bit in 0..BATCH_HEAD_SUMMED * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                BatchHead::read(&damaged, &LOG).is_none() && BatchHead::was_here(&damaged, &LOG),
                "{bit}"
            );
        }
        assert_eq!(BatchHead::read(&bytes, &LogHead { log: LogNumber(4), ..LOG }), None);
        assert_eq!(head.batch_bytes(), 4096);
    }
}
