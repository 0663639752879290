//! Frames and the protocol header (AMQP 0-9-1 §2.3, §4.2.2).
//!
//! ```text
//!   0      1         3            7                     7 + size
//!   ┌──────┬─────────┬────────────┬─────────────────────┬──────┐
//!   │ kind │ channel │ size (u32) │ payload             │ 0xCE │
//!   └──────┴─────────┴────────────┴─────────────────────┴──────┘
//!   kind 1, method   ┌──────────┬───────────┬────────┐
//!                    │ class u16│ method u16│ fields │                 crate::method
//!                    └──────────┴───────────┴────────┘
//!   kind 2, header   ┌──────────┬───────────┬──────────────┬───────────┬────────┐
//!                    │ class u16│ weight 0  │ body size u64│ flags u16 │ values │   crate::properties
//!                    └──────────┴───────────┴──────────────┴───────────┴────────┘
//!   kind 3, body     bytes of the body, as many frames as it takes
//!   kind 8, heartbeat: no payload, channel 0
//! ```
//! Invariant: [`decode_frame`] answers `None` for every prefix of a valid frame, and an error as soon as the
//! bytes that are there cannot become one.

use alloc::vec::Vec;

use leveret_model::limits::{FRAME_BYTES_MAX, FRAME_OVERHEAD_BYTES};

/// Bytes before the payload.
pub const FRAME_HEAD_BYTES: usize = 7;
/// The last byte of a frame.
pub const FRAME_END: u8 = 0xCE;
/// A whole heartbeat frame.
pub const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, FRAME_END];
/// What a client sends first, and what the server answers to anything else (§4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";
/// As clients of the first drafts send it; RabbitMQ takes it as 0-9-1 too.
const PROTOCOL_HEADER_OLD: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A method.
    Method = 1,
    /// A content header.
    Header = 2,
    /// A piece of a body.
    Body = 3,
    /// A sign of life.
    Heartbeat = 8,
}

/// The first seven bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What it carries.
    pub kind: FrameKind,
    /// The channel; 0 is the connection itself.
    pub channel: u16,
    /// Bytes of payload.
    pub size: u32,
}

/// A whole frame, borrowed from the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its head.
    pub head: FrameHead,
    /// What it carries, `head.size` bytes.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that it takes on the wire.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        self.payload.len() + FRAME_OVERHEAD_BYTES as usize
    }
}

/// Why bytes are no frame: always 501, and the stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No such kind of frame.
    #[error("unknown frame type {0}")]
    UnknownKind(u8),
    /// Larger than was agreed.
    #[error("frame of {size} bytes of payload, at most {limit} were agreed")]
    TooLarge {
        /// Bytes of payload announced.
        size: u32,
        /// Bytes of payload allowed.
        limit: u32,
    },
    /// The byte behind the payload is not 0xCE.
    #[error("frame ends with octet {0} instead of 206")]
    BadEnd(u8),
}

/// hot: reads the head of a frame; `None` until its seven bytes are there.
///
/// # Errors
/// [`FrameError::UnknownKind`], from the first byte on.
#[inline]
pub fn decode_head(bytes: &[u8]) -> Result<Option<FrameHead>, FrameError> {
    let kind = match bytes.first() {
        None => return Ok(None),
        Some(1) => FrameKind::Method,
        Some(2) => FrameKind::Header,
        Some(3) => FrameKind::Body,
        Some(8) => FrameKind::Heartbeat,
        Some(&other) => return Err(FrameError::UnknownKind(other)),
    };
    let Some(&[_, c0, c1, s0, s1, s2, s3]) = bytes.first_chunk::<FRAME_HEAD_BYTES>() else {
        return Ok(None);
    };
    let channel = u16::from_be_bytes([c0, c1]);
    Ok(Some(FrameHead { kind, channel, size: u32::from_be_bytes([s0, s1, s2, s3]) }))
}

/// hot: reads a whole frame; `None` until its last byte is there.
///
/// `frame_max` is what was agreed for a whole frame; the payload alone may be that long (RabbitMQ's 8 bytes of
/// fudge). 0, "no limit", is the broker's own limit, [`FRAME_BYTES_MAX`].
///
/// # Errors
/// [`FrameError`], as soon as it is certain.
#[inline]
pub fn decode_frame(bytes: &[u8], frame_max: u32) -> Result<Option<Frame<'_>>, FrameError> {
    let Some(head) = decode_head(bytes)? else { return Ok(None) };
    let limit = if frame_max == 0 { FRAME_BYTES_MAX } else { frame_max };
    if head.size > limit {
        return Err(FrameError::TooLarge { size: head.size, limit });
    }
    let end = FRAME_HEAD_BYTES + head.size as usize;
    match bytes.get(end) {
        None => Ok(None),
        Some(&FRAME_END) => Ok(Some(Frame { head, payload: &bytes[FRAME_HEAD_BYTES..end] })),
        Some(&other) => Err(FrameError::BadEnd(other)),
    }
}

/// What a client opens a connection with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// AMQP 0-9-1, in either spelling.
    Amqp091,
    /// AMQP of another version: the four bytes after the name (AMQP 1.0 is `[0, 1, 0, 0]`).
    OtherAmqp([u8; 4]),
    /// A TLS ClientHello on the plain port.
    Tls,
    /// HTTP on the AMQP port.
    Http,
    /// Something else.
    Unknown,
}

impl ProtocolHeader {
    /// Bytes of a header that is AMQP.
    pub const BYTES: usize = 8;

    /// What the first bytes of a connection are; `None` until that is certain.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if let Some(header) = bytes.first_chunk::<8>() {
            if *header == PROTOCOL_HEADER || *header == PROTOCOL_HEADER_OLD {
                return Some(Self::Amqp091);
            }
            if let [b'A', b'M', b'Q', b'P', version @ ..] = *header {
                return Some(Self::OtherAmqp(version));
            }
        }
        if starts_as(bytes, b"AMQP") {
            return None;
        }
        for (sign, meaning) in SIGNS {
            if starts_as(bytes, sign) {
                return (bytes.len() >= sign.len()).then_some(meaning);
            }
        }
        Some(Self::Unknown)
    }
}

/// What other protocols start with: a TLS handshake record of any version, and the methods of HTTP.
const SIGNS: [(&[u8], ProtocolHeader); 4] = [
    (&[0x16, 0x03], ProtocolHeader::Tls),
    (b"GET ", ProtocolHeader::Http),
    (b"HEAD", ProtocolHeader::Http),
    (b"POST", ProtocolHeader::Http),
];

/// The bytes are the sign, begin with it, or may still become it.
fn starts_as(bytes: &[u8], sign: &[u8]) -> bool {
    let len = bytes.len().min(sign.len());
    bytes[..len] == sign[..len]
}

/// Where a frame that is being written began.
#[derive(Debug)]
#[must_use = "a frame that was begun must be ended"]
pub struct FrameMark(usize);

/// Appends a frame's head; its size is filled in by [`end_frame`].
pub fn begin_frame(out: &mut Vec<u8>, kind: FrameKind, channel: u16) -> FrameMark {
    let mark = FrameMark(out.len());
    write_head(out, kind, channel, 0);
    mark
}

/// Ends the frame that began at `mark`: all bytes since are its payload.
#[expect(clippy::needless_pass_by_value, reason = "a mark is good for one end")]
pub fn end_frame(out: &mut Vec<u8>, mark: FrameMark) {
    let size = out.len() - mark.0 - FRAME_HEAD_BYTES;
    out[mark.0 + 3..mark.0 + FRAME_HEAD_BYTES].copy_from_slice(&(size as u32).to_be_bytes());
    out.push(FRAME_END);
}

/// hot: a frame's head.
#[inline]
pub(crate) fn head_bytes(kind: FrameKind, channel: u16, size: u32) -> [u8; FRAME_HEAD_BYTES] {
    let ([c0, c1], [s0, s1, s2, s3]) = (channel.to_be_bytes(), size.to_be_bytes());
    [kind as u8, c0, c1, s0, s1, s2, s3]
}

/// hot: appends a frame's head for a payload whose length is known. The payload and [`FRAME_END`] follow.
#[inline]
pub fn write_head(out: &mut Vec<u8>, kind: FrameKind, channel: u16, size: u32) {
    out.extend_from_slice(&head_bytes(kind, channel, size));
}

/// hot: appends a content header frame around a payload.
#[inline]
pub fn write_header_frame(out: &mut Vec<u8>, channel: u16, payload: &[u8]) {
    write_head(out, FrameKind::Header, channel, payload.len() as u32);
    out.extend_from_slice(payload);
    out.push(FRAME_END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing;
    use proptest::collection::vec as vec_of;
    use proptest::prelude::*;
    use std::vec;

    fn body_frame(payload: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        write_head(&mut out, FrameKind::Body, 0x0102, payload.len() as u32);
        out.extend_from_slice(payload);
        out.push(FRAME_END);
        out
    }

    proptest! {
        #[test]
        fn a_frame_is_read_when_its_last_byte_is_there(payload in vec_of(any::<u8>(), 0..300), more in vec_of(any::<u8>(), 0..20)) {
            let mut bytes = body_frame(&payload);
            for end in 0..bytes.len() {
                prop_assert_eq!(decode_frame(&bytes[..end], 4_096), Ok(None));
                prop_assert_eq!(decode_head(&bytes[..end]).unwrap().is_some(), end >= FRAME_HEAD_BYTES);
            }
            let len = bytes.len();
            bytes.extend_from_slice(&more);
            let frame = decode_frame(&bytes, 4_096).unwrap().unwrap();
            prop_assert_eq!(frame.head, FrameHead { kind: FrameKind::Body, channel: 0x0102, size: payload.len() as u32 });
            prop_assert_eq!((frame.payload, frame.wire_len()), (&payload[..], len));
        }

        #[test]
        fn any_bytes_are_frames_or_refused(bytes in vec_of(prop_oneof![0_u8..9, any::<u8>()], 0..300)) {
            fuzzing::frame(&bytes);
        }
    }

    #[test]
    fn a_frame_may_exceed_the_limit_by_its_own_overhead() {
        let bytes = body_frame(&[0; 4_096]);
        assert!(decode_frame(&bytes, 4_096).unwrap().is_some());
        let refused = FrameError::TooLarge { size: 4_096, limit: 4_095 };
        assert_eq!(decode_frame(&bytes, 4_095), Err(refused));
        assert_eq!(decode_frame(&bytes[..7], 4_095), Err(refused), "the head is enough to tell");
    }

    #[test]
    fn no_limit_is_our_limit() {
        assert!(decode_frame(&body_frame(&vec![0; FRAME_BYTES_MAX as usize]), 0).unwrap().is_some());
        assert!(decode_frame(&body_frame(&vec![0; FRAME_BYTES_MAX as usize + 1]), 0).is_err());
    }

    #[test]
    fn a_bad_end_and_an_unknown_kind_are_errors() {
        let mut bytes = body_frame(b"x");
        *bytes.last_mut().unwrap() = 0;
        assert_eq!(decode_frame(&bytes, 0), Err(FrameError::BadEnd(0)));
        assert_eq!(decode_frame(&[4], 0), Err(FrameError::UnknownKind(4)));
    }

    #[test]
    fn a_heartbeat_is_a_frame() {
        let frame = decode_frame(&HEARTBEAT, 0).unwrap().unwrap();
        assert_eq!(frame.head, FrameHead { kind: FrameKind::Heartbeat, channel: 0, size: 0 });
    }

    #[test]
    fn a_header_frame_and_a_begun_frame_are_the_same() {
        let (mut plain, mut begun) = (vec![9], vec![9]);
        write_header_frame(&mut plain, 7, b"payload");
        let mark = begin_frame(&mut begun, FrameKind::Header, 7);
        begun.extend_from_slice(b"payload");
        end_frame(&mut begun, mark);
        assert_eq!(plain, begun);
    }

    #[test]
    fn a_protocol_header_is_told_as_soon_as_it_is_certain() {
        let cases: [(&[u8], usize, ProtocolHeader); 10] = [
            (b"AMQP\x00\x00\x09\x01", 8, ProtocolHeader::Amqp091),
            (b"AMQP\x01\x01\x00\x09", 8, ProtocolHeader::Amqp091),
            (b"AMQP\x00\x01\x00\x00", 8, ProtocolHeader::OtherAmqp([0, 1, 0, 0])),
            (b"AMQX\x00\x00\x09\x01", 4, ProtocolHeader::Unknown),
            (b"\x16\x03\x01\x02\x00", 2, ProtocolHeader::Tls),
            (b"\x16\x04", 2, ProtocolHeader::Unknown),
            (b"GET / HTTP/1.1", 4, ProtocolHeader::Http),
            (b"HEAD / HTTP/1.1", 4, ProtocolHeader::Http),
            (b"POST / HTTP/1.1", 4, ProtocolHeader::Http),
            (b"hello", 1, ProtocolHeader::Unknown),
        ];
        for (bytes, certain, meaning) in cases {
            for end in 0..bytes.len() {
                let expected = (end >= certain).then_some(meaning);
                assert_eq!(ProtocolHeader::decode(&bytes[..end]), expected, "{:?}", &bytes[..end]);
            }
            assert_eq!(ProtocolHeader::decode(bytes), Some(meaning));
        }
    }
}
