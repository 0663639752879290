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
//! Little-endian; the checksum is over `len` and all that follows it but itself. docs/formats/link.md has the same.
//!
//! Invariants: nothing here is called before [`crate::handshake`] is done; a length over the limit is refused before
//! memory is taken for it; an error ends the link, for nothing behind it can be found again.

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

/// Bytes that the next frame still lacks, for the driver to make room for them in one piece; 0 if it is complete, and
/// what its head lacks while that is not there.
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
mod tests {
    use std::vec;

    use leveret_model::{LaneSequence, QueueId, RequestId};
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Record, RecordBody};
    use crate::{BodyParts, MessageParts};

    fn some_records() -> Batch {
        let mut batch = Batch::new();
        batch.push(&Record::Done { request: RequestId(5) });
        let body = [Bytes::from(vec![1; 5_000]), Bytes::from(vec![2; 5_000])];
        let parts = MessageParts { address: b"\0\x01q", header: b"h", body: BodyParts::Chunks(&body) };
        batch.push_publish(QueueId::default(), LaneSequence(1), LaneSequence(1), parts);
        batch.push(&Record::Done { request: RequestId(6) });
        batch
    }

    /// A control frame, a records frame, a control frame.
    fn some_frames() -> Vec<u8> {
        let mut out = vec![encode_control(b"ping").unwrap()];
        encode_records(ShardId(1), ShardId(2), some_records(), &mut out).unwrap();
        out.push(encode_control(b"ping").unwrap());
        out.concat()
    }

    #[test]
    fn frames_come_out_in_order_however_the_bytes_arrive() {
        let bytes = some_frames();
        for step in [1, 7, 4_096, bytes.len()] {
            let mut received = BytesMut::new();
            let mut frames = Vec::new();
            for piece in bytes.chunks(step) {
                received.extend_from_slice(piece);
                while let Some(frame) = decode(&mut received).unwrap() {
                    frames.push(frame);
                }
                assert!(missing(&received).unwrap() > 0, "a complete frame was left");
            }
            assert!(received.is_empty());
            let [Frame::Control(first), Frame::Records { from, to, batch }, Frame::Control(last)] =
                &frames[..]
            else {
                panic!("three frames")
            };
            assert_eq!((&first[..], &last[..]), (&b"ping"[..], &b"ping"[..]));
            assert_eq!((*from, *to, batch.records()), (ShardId(1), ShardId(2), 3));
            let records: Vec<_> = batch.iter().collect::<Result<_, _>>().unwrap();
            let Record::Publish { message, .. } = &records[1] else { panic!("a publish") };
            let RecordBody::Chunks(chunks) = &message.body else { panic!("beside") };
            assert_eq!(chunks.concat(), [vec![1; 5_000], vec![2; 5_000]].concat());
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_ends_the_link() {
        let mut out = Vec::new();
        encode_records(ShardId(1), ShardId(2), some_records(), &mut out).unwrap();
        let bytes = out.concat();
        for at in 0..bytes.len() {
            let mut damaged = BytesMut::from(&bytes[..]);
            damaged[at] ^= 0x10;
            // a longer length may leave the frame incomplete; it is never a frame
            assert!(!matches!(decode(&mut damaged), Ok(Some(_))), "byte {at}");
        }
    }

    #[test]
    fn an_impossible_length_is_refused_from_four_bytes() {
        for len in [0u32, 3, limits::LINK_FRAME_BYTES_MAX as u32, u32::MAX] {
            let mut received = BytesMut::from(&len.to_le_bytes()[..]);
            assert_eq!(decode(&mut received).unwrap_err(), FrameError::Length(len));
        }
    }

    #[test]
    fn a_kind_of_a_later_version_ends_the_link() {
        let head = head(9, ShardId(0), ShardId(0), &[]).unwrap();
        assert_eq!(decode(&mut BytesMut::from(&head[..])).unwrap_err(), FrameError::Kind(9));
    }

    #[test]
    fn the_largest_message_fits_in_a_frame() {
        let header = vec![0; limits::FRAME_BYTES_MAX as usize];
        let body = [Bytes::from(vec![0; limits::BODY_BYTES_MAX as usize])];
        let parts = MessageParts { address: &[1; 512], header: &header, body: BodyParts::Chunks(&body) };
        let mut batch = Batch::new();
        batch.push_publish(QueueId::default(), LaneSequence(1), LaneSequence(1), parts);
        let mut out = Vec::new();
        let bytes = encode_records(ShardId(0), ShardId(0), batch, &mut out).unwrap();
        assert_eq!(bytes, out.iter().map(Bytes::len).sum::<usize>());
        let mut batch = Batch::new();
        let parts = MessageParts { body: BodyParts::Chunks(&[body[0].clone(), body[0].clone()]), ..parts };
        batch.push_publish(QueueId::default(), LaneSequence(1), LaneSequence(1), parts);
        let refused = encode_records(ShardId(0), ShardId(0), batch, &mut out);
        assert!(matches!(refused, Err(FrameError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut received = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut received) {}
        }

        #[test]
        fn any_payload_under_a_true_checksum_is_a_frame_or_an_error(
            kind in 0..4u8,
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let head = head(kind, ShardId(0), ShardId(1), &[&payload]).unwrap();
            let mut received = BytesMut::from(&[&head[..], &payload].concat()[..]);
            if let Ok(Some(Frame::Records { batch, .. })) = decode(&mut received) {
                batch.iter().for_each(drop);
            }
        }
    }
}
