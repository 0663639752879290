//! Messages one behind the other, as they lie in segments and spill files: reading them, also past damage, and
//! writing them.

use alloc::vec::Vec;

use leveret_model::limits::{EXTENT_BYTES_MAX, EXTENT_SPAN_MAX};
use leveret_model::{Position, QueueId};

use crate::frame::{self, ALIGN_BYTES, Frame, FrameError, FrameHead, HEAD_BYTES};
use crate::index::{Extent, FileNumber};
use crate::live_set::LiveSet;
use crate::record::{self, MessageMeta, RECORD_VERSION, kind};

/// A message in a buffer.
#[derive(Debug)]
pub(crate) struct FoundMessage<'a> {
    /// Where it begins.
    pub(crate) at: usize,
    /// Where the next one begins.
    pub(crate) end: usize,
    pub(crate) meta: MessageMeta<'a>,
    /// Address, header and payload, unless they are damaged.
    pub(crate) body: Option<&'a [u8]>,
}

/// The next message of a buffer.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    Found(FoundMessage<'a>),
    /// It begins at `at`, and needs so many bytes from there.
    Short {
        at: usize,
        needed: usize,
    },
    /// There is none.
    End,
}

/// The message at `at`.
pub(crate) fn message_at(bytes: &[u8], at: usize) -> Result<FoundMessage<'_>, FrameError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let frame = Frame::read(rest)?;
    if frame.head.kind != kind::MESSAGE || frame.head.version != RECORD_VERSION {
        return Err(FrameError::Head);
    }
    let meta = MessageMeta::read(frame.meta).map_err(|_| FrameError::Head)?;
    Ok(FoundMessage { at, end: at + frame.head.frame_bytes(), meta, body: frame.body })
}

/// The first message of a queue at `at` or, past damage, behind it.
pub(crate) fn next_message(bytes: &[u8], mut at: usize, queue: QueueId) -> Step<'_> {
    // a head and a meta with one target always have the same length, so what is damaged is never taken for a
    // long one
    const WHOLE_HEAD_BYTES: usize = HEAD_BYTES + record::MESSAGE_TO_ONE_BYTES;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.len() < WHOLE_HEAD_BYTES {
            return Step::Short { at, needed: WHOLE_HEAD_BYTES };
        }
        match message_at(bytes, at) {
            Ok(found) if found.meta.targets().next().is_some_and(|(of, _)| of == queue) => {
                return Step::Found(found);
            }
            Err(FrameError::Short { needed }) if FrameHead::read(&rest[..WHOLE_HEAD_BYTES]).is_ok() => {
                return Step::Short { at, needed };
            }
            _ => at += ALIGN_BYTES,
        }
    }
    Step::End
}

/// Extents of one queue that are being written behind each other.
#[derive(Debug, Default)]
pub(crate) struct ExtentWriter {
    done: Vec<Extent>,
    positions: Vec<u64>,
    offset: u32,
    bytes: u32,
}

impl ExtentWriter {
    /// A message of `bytes` lies at `offset` of the file.
    pub(crate) fn push(&mut self, file: FileNumber, position: u64, offset: u32, bytes: u32) {
        let fits = self.positions.first().is_none_or(|first| {
            self.bytes + bytes <= EXTENT_BYTES_MAX
                && position - first < EXTENT_SPAN_MAX
                && self.offset + self.bytes == offset
        });
        if !fits {
            self.cut(file);
        }
        if self.positions.is_empty() {
            self.offset = offset;
            self.bytes = 0;
        }
        self.positions.push(position);
        self.bytes += bytes;
    }

    /// The next message begins another extent.
    pub(crate) fn cut(&mut self, file: FileNumber) {
        let (Some(&first), Some(&last)) = (self.positions.first(), self.positions.last()) else { return };
        let mut live = LiveSet::empty(first, last);
        for position in self.positions.drain(..) {
            live.insert(position);
        }
        let messages = live.live();
        let (offset, bytes) = (self.offset, self.bytes);
        self.done.push(Extent { file, offset, bytes, messages, first, last, live, cursor: None });
    }

    pub(crate) fn finish(mut self, file: FileNumber) -> Vec<Extent> {
        self.cut(file);
        self.done
    }
}

/// Writes a message for one queue; its body passed its checksum.
pub(crate) fn write_message(
    out: &mut Vec<u8>,
    meta: &MessageMeta<'_>,
    queue: QueueId,
    position: u64,
    body: &[u8],
) {
    let targets = [(queue, Position(position))];
    let put = |out: &mut Vec<u8>| {
        record::put_message(out, &meta.terms, meta.address_bytes, meta.header_bytes, &targets);
    };
    frame::write(out, kind::MESSAGE, RECORD_VERSION, put, &[body]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::StoreTime;
    use crate::record::MessageTerms;
    use leveret_model::Ulid;

    const QUEUE: QueueId = QueueId { generation: 0, ulid: Ulid(5) };

    fn extent(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for position in 1..=count {
            places.push(bytes.len());
            let terms = MessageTerms { stored: StoreTime(position), ..MessageTerms::default() };
            let targets = [(QUEUE, Position(position))];
            let meta = |out: &mut Vec<u8>| record::put_message(out, &terms, 2, 1, &targets);
            frame::write(&mut bytes, kind::MESSAGE, RECORD_VERSION, meta, &[b"adh", &[position as u8; 40]]);
        }
        (bytes, places)
    }

    fn walk(bytes: &[u8]) -> Vec<(u64, bool)> {
        let (mut at, mut found) = (0, Vec::new());
        while let Step::Found(message) = next_message(bytes, at, QUEUE) {
            let (_, position) = message.meta.targets().next().expect("one target");
            found.push((position.0, message.body.is_some()));
            at = message.end;
        }
        found
    }

    #[test]
    fn damage_to_one_message_leaves_the_others() {
        let (whole, places) = extent(3);
        for at in places[1]..places[2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            let found = walk(&bytes);
            assert!(found.contains(&(1, true)) && found.contains(&(3, true)), "at {at}: {found:?}");
            // the pad is no part of it
            let pad = at >= places[2] - 3;
            assert!(pad || !found.contains(&(2, true)), "at {at}: {found:?}");
        }
    }

    #[test]
    fn a_window_that_ends_in_a_message_says_what_it_needs() {
        let (whole, places) = extent(2);
        for end in places[1] + ALIGN_BYTES..whole.len() {
            let Step::Short { at, needed } = next_message(&whole[..end], places[1], QUEUE) else {
                panic!("at {end}")
            };
            assert!(at == places[1] && needed > end - at);
        }
    }
}
