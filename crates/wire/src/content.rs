//! Messages in and out: the shortcuts of the hot path, where no method struct is made.

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::SHORT_STRING_BYTES_MAX;
use leveret_model::limits::{FRAME_BYTES_MAX, FRAME_OVERHEAD_BYTES, SLICE_BYTES_MIN};

use crate::codec::{Reader, put_shortstr};
use crate::frame::{FRAME_END, FRAME_HEAD_BYTES, FrameKind, head_bytes, write_head};
use crate::method::BasicAck;
use crate::output::Output;

/// Class and method of basic.publish, as a method payload begins.
const PUBLISH: [u8; 4] = [0, 60, 0, 40];
/// The same of basic.ack.
const ACK: [u8; 4] = [0, 60, 0, 80];
/// The same of basic.deliver.
const DELIVER: [u8; 4] = [0, 60, 0, 60];

/// The fields of a basic.publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishFields<'a> {
    /// Exchange and routing key as they came, two short strings one behind the other.
    pub address: &'a [u8],
    /// The exchange's name, inside `address`.
    pub exchange: &'a [u8],
    /// The routing key, inside `address`.
    pub routing_key: &'a [u8],
    /// Return it if no queue takes it.
    pub mandatory: bool,
    /// Return it if no consumer takes it at once.
    pub immediate: bool,
}

/// hot: the fields if the payload is a whole basic.publish; anything else is `None` and left to
/// `Method::decode`.
#[inline]
#[must_use]
pub fn decode_publish(payload: &[u8]) -> Option<PublishFields<'_>> {
    // class, method, and the reserved ticket, whatever is in it
    let (head, rest) = payload.split_first_chunk::<6>()?;
    if head[..4] != PUBLISH {
        return None;
    }
    let mut reader = Reader::new(rest);
    let exchange = reader.shortstr()?;
    let routing_key = reader.shortstr()?;
    let address = &rest[..exchange.len() + routing_key.len() + 2];
    let bits = reader.octet()?;
    let whole = reader.is_empty();
    whole.then_some(PublishFields {
        address,
        exchange,
        routing_key,
        mandatory: bits & 1 != 0,
        immediate: bits & 2 != 0,
    })
}

/// hot: the fields if the payload is a whole basic.ack; anything else is `None` and left to `Method::decode`.
#[inline]
#[must_use]
pub fn decode_ack(payload: &[u8]) -> Option<BasicAck> {
    let payload: &[u8; 13] = payload.try_into().ok()?;
    let (method, fields) = payload.split_first_chunk::<4>()?;
    let (tag, bits) = fields.split_first_chunk()?;
    (*method == ACK).then(|| BasicAck { delivery_tag: u64::from_be_bytes(*tag), multiple: bits[0] & 1 != 0 })
}

/// Appends exchange and routing key as `PublishFields::address` holds them.
pub fn write_address(out: &mut Vec<u8>, exchange: &[u8], routing_key: &[u8]) {
    put_shortstr(out, exchange);
    put_shortstr(out, routing_key);
}

/// Exchange and routing key of an address.
#[must_use]
pub fn split_address(address: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(address);
    let both = (reader.shortstr()?, reader.shortstr()?);
    reader.is_empty().then_some(both)
}

/// hot: appends a basic.deliver frame and the content header frame behind it.
///
/// `consumer_tag` is a short string's bytes without length, `address` and `header` are copied as they came.
#[inline]
pub fn write_deliver(
    out: &mut Vec<u8>,
    channel: u16,
    consumer_tag: &[u8],
    delivery_tag: u64,
    redelivered: bool,
    address: &[u8],
    header: &[u8],
) {
    // a tag came as a short string, so it fits
    let tag_len = consumer_tag.len().min(SHORT_STRING_BYTES_MAX);
    let size = DELIVER.len() + 1 + tag_len + 8 + 1 + address.len();
    out.reserve(size + header.len() + 2 * FRAME_OVERHEAD_BYTES as usize);
    // runs of fixed bytes are put together first: one append each
    let mut front = [0; FRAME_HEAD_BYTES + 5];
    front[..FRAME_HEAD_BYTES].copy_from_slice(&head_bytes(FrameKind::Method, channel, size as u32));
    front[FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + 4].copy_from_slice(&DELIVER);
    front[FRAME_HEAD_BYTES + 4] = tag_len as u8;
    out.extend_from_slice(&front);
    out.extend_from_slice(&consumer_tag[..tag_len]);
    let mut middle = [u8::from(redelivered); 9];
    middle[..8].copy_from_slice(&delivery_tag.to_be_bytes());
    out.extend_from_slice(&middle);
    out.extend_from_slice(address);
    let mut between = [FRAME_END; 1 + FRAME_HEAD_BYTES];
    between[1..].copy_from_slice(&head_bytes(FrameKind::Header, channel, header.len() as u32));
    out.extend_from_slice(&between);
    out.extend_from_slice(header);
    out.push(FRAME_END);
}

/// hot: appends a body in as many frames as it takes; an empty one takes none.
#[inline]
pub fn write_body_frames(out: &mut Vec<u8>, channel: u16, body: &[u8], frame_max: u32) {
    let piece_max = payload_bytes_max(frame_max);
    if (1..=piece_max).contains(&body.len()) {
        return write_body_frame(out, channel, body);
    }
    write_long_body(out, channel, body, piece_max);
}

#[inline(never)]
fn write_long_body(out: &mut Vec<u8>, channel: u16, body: &[u8], piece_max: usize) {
    for piece in body.chunks(piece_max) {
        write_body_frame(out, channel, piece);
    }
}

#[inline(always)]
fn write_body_frame(out: &mut Vec<u8>, channel: u16, piece: &[u8]) {
    out.reserve(piece.len() + FRAME_OVERHEAD_BYTES as usize);
    out.extend_from_slice(&head_bytes(FrameKind::Body, channel, piece.len() as u32));
    out.extend_from_slice(piece);
    out.push(FRAME_END);
}

/// hot: appends a body that lies in several slices, in as many frames as it takes.
///
/// Slices are counted, not copied, except pieces below `limits::SLICE_BYTES_MIN`, where the copy is cheaper.
pub fn write_body_frames_shared(out: &mut Output, channel: u16, body: &[Bytes], frame_max: u32) {
    let piece_max = payload_bytes_max(frame_max);
    let mut left = body.iter().map(Bytes::len).sum::<usize>();
    // bytes that the frame under way still takes; 0 between frames
    let mut room = 0;
    for chunk in body {
        let mut from = 0;
        while from < chunk.len() {
            if room == 0 {
                room = left.min(piece_max);
                left -= room;
                write_head(out.bytes(), FrameKind::Body, channel, room as u32);
            }
            let to = chunk.len().min(from + room);
            if to - from < SLICE_BYTES_MIN {
                out.bytes().extend_from_slice(&chunk[from..to]);
            } else {
                out.push_shared(chunk.slice(from..to));
            }
            room -= to - from;
            from = to;
            if room == 0 {
                out.bytes().push(FRAME_END);
            }
        }
    }
}

/// Bytes of payload in a frame that keeps to what was agreed, without the fudge that we grant to others.
const fn payload_bytes_max(frame_max: u32) -> usize {
    let frame_max = if frame_max == 0 { FRAME_BYTES_MAX } else { frame_max };
    let payload = frame_max.saturating_sub(FRAME_OVERHEAD_BYTES) as usize;
    if payload == 0 { 1 } else { payload }
}

#[cfg(test)]
mod tests;
