//! Frames: the unit of everything that the store writes. Drawn in docs/formats/store.md §1.
//!
//! Read first: [`FrameHead::read`], then [`Frame::read`], which checks the body too. The two checksums are
//! apart so that a damaged body still tells which message of which queue it was.
//!
//! Invariants: reading any bytes gives a frame or says why not, and never looks past the slice; a length over
//! its bound is an error before anything is taken for it.

use alloc::vec::Vec;

use leveret_model::limits::{FRAME_BODY_BYTES_MAX, FRAME_META_BYTES_MAX};

use crate::fields::{Put, Take};

/// Bytes in front of a meta.
pub(crate) const HEAD_BYTES: usize = 20;
/// Of these, those that the head's own checksum covers.
const SUMMED_BYTES: usize = 16;
/// Frames begin at multiples of this.
pub(crate) const ALIGN_BYTES: usize = 4;

/// What the fixed part of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) kind: u8,
    pub(crate) version: u8,
    meta_bytes: u32,
    body_bytes: u32,
    body_crc: u32,
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// So many bytes are needed, as far as is known now.
    Short { needed: usize },
    /// The head or the meta is damaged: nothing is known, not even the length.
    Head,
}

/// A frame in a buffer; the head and meta passed their checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) head: FrameHead,
    pub(crate) meta: &'a [u8],
    /// The body, unless it fails its checksum.
    pub(crate) body: Option<&'a [u8]>,
}

impl FrameHead {
    /// Head and meta at the front of `bytes`. hot.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        let Some(fixed) = bytes.first_chunk::<HEAD_BYTES>() else {
            return Err(FrameError::Short { needed: HEAD_BYTES });
        };
        let word = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let head = Self {
            kind: fixed[0],
            version: fixed[1],
            meta_bytes: word(4),
            body_bytes: word(8),
            body_crc: word(12),
        };
        let meta_bytes = head.meta_bytes as usize;
        if head.kind == 0
            || fixed[2..4] != [0, 0]
            || meta_bytes > FRAME_META_BYTES_MAX
            || head.body_bytes as usize > FRAME_BODY_BYTES_MAX
        {
            return Err(FrameError::Head);
        }
        let Some(meta) = bytes.get(HEAD_BYTES..HEAD_BYTES + meta_bytes) else {
            return Err(FrameError::Short { needed: HEAD_BYTES + meta_bytes });
        };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&fixed[..SUMMED_BYTES]), meta);
        if crc == word(SUMMED_BYTES) { Ok((head, meta)) } else { Err(FrameError::Head) }
    }

    /// Bytes of the whole frame, pad included.
    pub(crate) fn frame_bytes(&self) -> usize {
        padded(HEAD_BYTES + self.meta_bytes as usize + self.body_bytes as usize)
    }

    /// Bytes of the body.
    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes as usize
    }
}

impl<'a> Frame<'a> {
    /// The frame at the front of `bytes`, its body checked. hot.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (head, meta) = FrameHead::read(bytes)?;
        let needed = head.frame_bytes();
        if bytes.len() < needed {
            return Err(FrameError::Short { needed });
        }
        let body = &bytes[HEAD_BYTES + meta.len()..][..head.body_bytes()];
        let body = (crc32c::crc32c(body) == head.body_crc).then_some(body);
        Ok(Self { head, meta, body })
    }
}

/// A length up to the next place where a frame may begin.
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN_BYTES)
}

/// Appends a frame whose meta is what `meta` writes and whose body are the pieces of `body`. hot.
pub(crate) fn write(
    out: &mut Vec<u8>,
    kind: u8,
    version: u8,
    meta: impl FnOnce(&mut Vec<u8>),
    body: &[&[u8]],
) {
    let open = begin(out, meta);
    let mut crc = 0;
    for piece in body {
        out.raw(piece);
        crc = crc32c::crc32c_append(crc, piece);
    }
    let body_bytes = body.iter().map(|piece| piece.len()).sum();
    finish(out, open, (kind, version), body_bytes, crc);
    out.resize(padded(out.len() - open.at) + open.at, 0);
}

/// A frame whose head is not filled in yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenFrame {
    at: usize,
    meta_bytes: usize,
}

/// Leaves room for the head and writes the meta.
pub(crate) fn begin(out: &mut Vec<u8>, meta: impl FnOnce(&mut Vec<u8>)) -> OpenFrame {
    let at = out.len();
    out.raw(&[0; HEAD_BYTES]);
    meta(out);
    OpenFrame { at, meta_bytes: out.len() - at - HEAD_BYTES }
}

/// Fills in the head. The pad is the caller's.
///
/// # Panics
/// If meta or body are over their bounds: what makes records keeps below them.
pub(crate) fn finish(
    out: &mut [u8],
    open: OpenFrame,
    (kind, version): (u8, u8),
    body_bytes: usize,
    body_crc: u32,
) {
    assert!(
        open.meta_bytes <= FRAME_META_BYTES_MAX && body_bytes <= FRAME_BODY_BYTES_MAX,
        "a record too large"
    );
    let frame = &mut out[open.at..];
    frame[0] = kind;
    frame[1] = version;
    frame[4..8].copy_from_slice(&(open.meta_bytes as u32).to_le_bytes());
    frame[8..12].copy_from_slice(&(body_bytes as u32).to_le_bytes());
    frame[12..16].copy_from_slice(&body_crc.to_le_bytes());
    let crc = crc32c::crc32c(&frame[..SUMMED_BYTES]);
    let crc = crc32c::crc32c_append(crc, &frame[HEAD_BYTES..HEAD_BYTES + open.meta_bytes]);
    frame[SUMMED_BYTES..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// Extends a digest by a frame: CRC-32C over the fixed parts of all of them.
pub(crate) fn digest(before: u32, frame: &[u8]) -> u32 {
    crc32c::crc32c_append(before, &frame[..HEAD_BYTES])
}

/// Reads a head of fixed fields that ends with its CRC-32C.
pub(crate) fn summed(bytes: &[u8], count: usize) -> Option<Take<'_>> {
    let (fields, rest) = bytes.split_at_checked(count)?;
    let crc = u32::from_le_bytes(*rest.first_chunk()?);
    (crc32c::crc32c(fields) == crc).then(|| Take::new(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, 7, 1, |out| out.raw(b"meta"), &[b"bo", b"dy!"]);
        bytes
    }

    #[test]
    fn a_frame_comes_back_and_ends_at_a_multiple_of_four() {
        let bytes = sample();
        let frame = Frame::read(&bytes).expect("a frame");
        assert_eq!((frame.head.kind, frame.head.version), (7, 1));
        assert_eq!((frame.meta, frame.body), (&b"meta"[..], Some(&b"body!"[..])));
        assert_eq!(frame.head.frame_bytes(), bytes.len());
        assert_eq!(bytes.len() % ALIGN_BYTES, 0);
    }

    #[test]
    fn each_flipped_bit_is_seen_and_a_damaged_body_leaves_the_meta() {
        let whole = sample();
        let body_at = HEAD_BYTES + 4;
        for bit in 0..(body_at + 5) * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match Frame::read(&bytes) {
                Ok(frame) if bit / 8 >= body_at => assert_eq!((frame.meta, frame.body), (&b"meta"[..], None)),
                Ok(frame) => panic!("bit {bit} passed: {frame:?}"),
                Err(_) => assert!(bit / 8 < body_at),
            }
        }
    }

    #[test]
    fn half_a_frame_says_how_much_it_needs() {
        let whole = sample();
        for count in 0..whole.len() {
            let Err(FrameError::Short { needed }) = Frame::read(&whole[..count]) else {
                panic!("at {count}")
            };
            assert!(needed > count && needed <= whole.len());
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(Frame::read(&[0; 64]).map(|_| ()), Err(FrameError::Head));
    }
}
