//! Frames of a link: what follows the handshake on its TCP connection, both ways.
//!
//! ```text
//!   ┌─────────┬────────────┬──────┬────────────┬──────────┬──────────┬───────────────┐
//!   │ len u32 │ crc32c u32 │ kind │ from shard │ to shard │ 0        │ payload       │
//!   └─────────┴────────────┴──────┴────────────┴──────────┴──────────┴───────────────┘
//!                           └──────────── len bytes ─────────────────────────────────┘
//!   kind 1, control: for the control machine, which knows what it says; from and to are 0
//!   kind 2, records: records u32, own u32, own bytes, the slices beside (crate::Batch)
//! ```
//! Little-endian; the checksum is over `len` and all that follows it but itself. docs/formats/link.md has the
//! same.
//!
//! Invariants: nothing here is called before [`crate::handshake`] is done; a length over the limit is refused
//! before memory is taken for it; an error ends the link, for nothing behind it can be found again.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use leveret_model::{ShardId, limits};

use crate::batch::{BATCH_HEAD_BYTES, Batch};
use crate::fields::Damage;

/// Bytes in front of a payload.
pub const HEAD_BYTES: usize = 12;
/// Of these, those in front of what `len` counts.
const PREFIX_BYTES: usize = 8;
/// Own bytes up to here are copied behind the head, so that a small frame is one slice.
const JOIN_BYTES_MAX: usize = limits::SLICE_BYTES_MIN;

const CONTROL: u8 = 1;
const RECORDS: u8 = 2;

/// A frame that came.
#[derive(Clone, Debug)]
pub enum Frame {
    /// For the control machine.
    Control(Bytes),
    /// For a shard.
    Records {
        /// The shard there that sent them.
        from: ShardId,
        /// The shard here that they are for.
        to: ShardId,
        /// The records; their bodies are slices of the receive block.
        batch: Batch,
    },
}

/// Why a link ends. The peer passed authentication, so each is a bug or a damaged wire, never a stranger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer announced a frame over `limits::LINK_FRAME_BYTES_MAX`, or one shorter than its head.
    #[error("a frame of {0} bytes")]
    Length(u32),
    /// The bytes changed on their way.
    #[error("a frame with a wrong checksum")]
    Checksum,
    /// The peer sent a kind that this version does not know, or bits that must be 0.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// The peer's batch is none.
    #[error("a batch that {0}")]
    Batch(#[from] Damage),
    /// Ours: what was to be sent is over the limit. Nothing was written.
    #[error("{0} bytes do not fit in a frame")]
    TooLarge(usize),
}

/// Takes the next frame off the front of what was received; `None` until it is complete. hot.
///
/// # Errors
/// [`FrameError`]: the link ends.
pub fn decode(received: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(whole) = announced(received)? else { return Ok(None) };
    if received.len() < whole {
        return Ok(None);
    }
    let frame = received.split_to(whole).freeze();
    let checksum = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]);
    if crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[PREFIX_BYTES..]) != checksum {
        return Err(FrameError::Checksum);
    }
    let (kind, from, to) = (frame[8], ShardId(frame[9]), ShardId(frame[10]));
    if frame[11] != 0 {
        return Err(FrameError::Kind(kind));
    }
    let payload = frame.slice(HEAD_BYTES..);
    match kind {
        CONTROL => Ok(Frame::Control(payload)),
        RECORDS => Ok(Frame::Records { from, to, batch: Batch::parse(&payload)? }),
        unknown => Err(FrameError::Kind(unknown)),
    }
    .map(Some)
}

/// Bytes that the next frame still lacks, for the driver to make room for them in one piece; 0 if it is
/// complete, and what its head lacks while that is not there.
///
/// # Errors
/// [`FrameError::Length`]: the link ends.
pub fn missing(received: &[u8]) -> Result<usize, FrameError> {
    Ok(announced(received)?.unwrap_or(HEAD_BYTES).saturating_sub(received.len()))
}

/// Length of the frame at the front, head included.
fn announced(received: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(&len) = received.first_chunk() else { return Ok(None) };
    let len = u32::from_le_bytes(len);
    let whole = (len as usize).saturating_add(PREFIX_BYTES);
    if !(HEAD_BYTES..=limits::LINK_FRAME_BYTES_MAX).contains(&whole) {
        return Err(FrameError::Length(len));
    }
    Ok(Some(whole))
}

/// The bytes of a control frame.
///
/// # Errors
/// [`FrameError::TooLarge`]: what is sent in pieces (maps, deltas) must be cut smaller.
pub fn encode_control(payload: &[u8]) -> Result<Bytes, FrameError> {
    let head = head(CONTROL, ShardId(0), ShardId(0), &[payload])?;
    Ok([&head[..], payload].concat().into())
}

/// Appends the bytes of a records frame to `out`, slices as they are, and gives how many there are. hot.
///
/// # Errors
/// [`FrameError::TooLarge`] if one record alone is over the limit ([`Batch::split_to`] gives batches that fit
/// otherwise); the batch is lost and the link must end, so that both sides start anew.
pub fn encode_records(
    from: ShardId,
    to: ShardId,
    batch: Batch,
    out: &mut Vec<Bytes>,
) -> Result<usize, FrameError> {
    let (batch_head, own, beside) = batch.into_parts();
    let mut payload: Vec<&[u8]> = Vec::with_capacity(2 + beside.len());
    payload.extend([&batch_head[..], &own[..]]);
    payload.extend(beside.iter().map(|slice| &slice[..]));
    let head = head(RECORDS, from, to, &payload)?;
    let bytes = HEAD_BYTES + payload.iter().map(|piece| piece.len()).sum::<usize>();
    let joined = own.len() <= JOIN_BYTES_MAX;
    let mut first = Vec::with_capacity(HEAD_BYTES + BATCH_HEAD_BYTES + if joined { own.len() } else { 0 });
    first.extend_from_slice(&head);
    first.extend_from_slice(&batch_head);
    if joined {
        first.extend_from_slice(&own);
        out.push(first.into());
    } else {
        out.push(first.into());
        out.push(own);
    }
    out.extend(beside);
    Ok(bytes)
}

fn head(kind: u8, from: ShardId, to: ShardId, payload: &[&[u8]]) -> Result<[u8; HEAD_BYTES], FrameError> {
    let whole = HEAD_BYTES + payload.iter().map(|piece| piece.len()).sum::<usize>();
    if whole > limits::LINK_FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge(whole));
    }
    let len = ((whole - PREFIX_BYTES) as u32).to_le_bytes();
    let about = [kind, from.0, to.0, 0];
    let mut checksum = crc32c::crc32c_append(crc32c::crc32c(&len), &about);
    for piece in payload {
        checksum = crc32c::crc32c_append(checksum, piece);
    }
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&len);
    head[4..PREFIX_BYTES].copy_from_slice(&checksum.to_le_bytes());
    head[PREFIX_BYTES..].copy_from_slice(&about);
    Ok(head)
}

#[cfg(test)]
mod tests;
