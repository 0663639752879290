//! What one turn of a shard, or of the control machine, hands to the log: framed records.
//!
//! Read first: [`Turn::message`]. The records of a turn go into one batch, so they are all on the disk or none
//! is. Acknowledgements are gathered and written as ranges behind everything else.
//!
//! Invariant: [`SealedTurn::parts`], one behind the other, are frames and nothing else.

mod sealed;

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::limits::{FRAME_META_BYTES_MAX, STORE_KEY_BYTES_MAX};
use leveret_model::{Position, QueueId};

use crate::clock::MachineTime;
use crate::fields::Put;
use crate::frame;
use crate::record::{self, MessageTerms, RECORD_VERSION, RegisterKey, kind};

pub use self::sealed::SealedTurn;

/// Ranges in one record: 1 MiB of meta would hold more, but a record is also what is lost when it is damaged.
const RANGES_PER_RECORD: usize = 1024;

/// The body of a message that is written into a turn.
#[derive(Clone, Copy, Debug)]
pub enum TurnBody<'a> {
    /// Copied.
    Flat(&'a [u8]),
    /// Counted: the turn keeps clones of the slices until they are on the disk.
    Chunks(&'a [Bytes]),
}

/// The records of one turn.
#[derive(Debug, Default)]
pub struct Turn {
    own: Vec<u8>,
    /// Slices, and where in `own` each belongs.
    beside: Vec<(usize, Bytes)>,
    beside_bytes: usize,
    frames: u32,
    /// Somebody waits for the sync.
    urgent: bool,
    acked: Vec<AckedRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AckedRange {
    queue: QueueId,
    first: u64,
    last: u64,
}

impl Turn {
    /// An empty turn.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// True if there is nothing to hand over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0 && self.acked.is_empty()
    }

    /// A persistent message joins these queues, whose positions rise. `address` are exchange and routing key as
    /// two short strings, `header` the payload of the content header frame. hot.
    ///
    /// # Panics
    /// Without a target, or with more than `limits::PUBLISH_TARGETS_MAX` allows: the meta has a bound.
    pub fn message(
        &mut self,
        terms: &MessageTerms,
        targets: &[(QueueId, Position)],
        address: &[u8],
        header: &[u8],
        body: TurnBody<'_>,
    ) {
        assert!(!targets.is_empty(), "a message without a queue");
        self.urgent = true;
        self.frames += 1;
        let own = &mut self.own;
        let open =
            frame::begin(own, |out| record::put_message(out, terms, address.len(), header.len(), targets));
        own.raw(address);
        own.raw(header);
        let mut crc = crc32c::crc32c_append(crc32c::crc32c(address), header);
        let mut body_bytes = address.len() + header.len();
        match body {
            TurnBody::Flat(bytes) => {
                own.raw(bytes);
                crc = crc32c::crc32c_append(crc, bytes);
                body_bytes += bytes.len();
            }
            TurnBody::Chunks(chunks) => {
                for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                    crc = crc32c::crc32c_append(crc, chunk);
                    body_bytes += chunk.len();
                    self.beside_bytes += chunk.len();
                    self.beside.push((own.len(), chunk.clone()));
                }
            }
        }
        frame::finish(own, open, (kind::MESSAGE, RECORD_VERSION), body_bytes, crc);
        self.pad();
    }

    /// A message is acknowledged, expired, dropped or purged: it leaves the queue. hot.
    pub fn acked(&mut self, queue: QueueId, position: Position) {
        self.acked_range(queue, position, position);
    }

    /// The same for all messages from `first` to `last`.
    pub fn acked_range(&mut self, queue: QueueId, first: Position, last: Position) {
        let (first, last) = (first.0, last.0);
        if let Some(range) = self.acked.last_mut()
            && range.queue == queue
            && range.last.checked_add(1) == Some(first)
        {
            range.last = last;
            return;
        }
        self.acked.push(AckedRange { queue, first, last });
    }

    /// A durable queue is created.
    pub fn queue_created(&mut self, queue: QueueId, definition: &[u8]) {
        self.queue_record(kind::QUEUE_CREATED, queue, definition);
    }

    /// A queue has another name, or other settings.
    pub fn queue_changed(&mut self, queue: QueueId, definition: &[u8]) {
        self.queue_record(kind::QUEUE_CHANGED, queue, definition);
    }

    /// A queue is deleted with all that is in it. No record names it again.
    pub fn queue_deleted(&mut self, queue: QueueId) {
        self.queue_record(kind::QUEUE_DELETED, queue, &[]);
    }

    /// A register of the directory has a new value.
    pub fn register(&mut self, register: u16, key: &[u8], stamp: &[u8], value: &[u8]) {
        self.put_register(kind::REGISTER, register, key, stamp, value);
    }

    /// What the register named was deleted: that stays known until [`Turn::forgotten`].
    pub fn tombstone(&mut self, register: u16, key: &[u8], stamp: &[u8]) {
        self.put_register(kind::TOMBSTONE, register, key, stamp, &[]);
    }

    /// A register or tombstone is not needed any more.
    pub fn forgotten(&mut self, register: u16, key: &[u8]) {
        let meta = |out: &mut Vec<u8>| {
            out.u16(register);
            out.raw(key);
        };
        assert!(key.len() <= STORE_KEY_BYTES_MAX, "a key too long");
        self.put(kind::FORGOTTEN, meta, &[]);
        self.urgent = true;
    }

    /// A small value of a queue, or of the node: replaces the one under that key. Empty, it goes. A queue's
    /// marks go with the queue. It does not ask for a sync: it goes with what it belongs to.
    pub fn mark(&mut self, queue: Option<QueueId>, key: &[u8], value: &[u8]) {
        assert!(key.len() <= STORE_KEY_BYTES_MAX && value.len() <= STORE_KEY_BYTES_MAX, "a mark too long");
        let meta = |out: &mut Vec<u8>| {
            out.queue(queue.unwrap_or_default());
            out.raw(key);
        };
        self.put(kind::MARK, meta, value);
    }

    /// How often a message was delivered without being acknowledged. Lazily durable, like an acknowledgement.
    pub fn deliveries(&mut self, queue: QueueId, position: Position, count: u32) {
        let meta = |out: &mut Vec<u8>| {
            out.queue(queue);
            out.u64(position.0);
            out.u32(count);
        };
        self.put(kind::DELIVERIES, meta, &[]);
    }

    /// What the machine's clocks show.
    pub(crate) fn time(&mut self, machine: &MachineTime) {
        let meta = |out: &mut Vec<u8>| {
            out.raw(&machine.boot_id);
            out.u64(machine.boot_ms);
            out.u64(machine.wall_ms);
        };
        self.put(kind::TIME, meta, &[]);
    }

    /// Asks for a sync though nothing in the turn needs one.
    pub fn hurry(&mut self) {
        self.urgent = true;
    }

    fn queue_record(&mut self, kind: u8, queue: QueueId, definition: &[u8]) {
        self.put(kind, |out| out.queue(queue), definition);
        self.urgent = true;
    }

    fn put_register(&mut self, kind: u8, register: u16, key: &[u8], stamp: &[u8], value: &[u8]) {
        assert!(key.len() <= STORE_KEY_BYTES_MAX && stamp.len() <= STORE_KEY_BYTES_MAX, "a key too long");
        write_register(&mut self.own, kind, &RegisterKey { kind: register, key }, stamp, value);
        self.frames += 1;
        self.urgent = true;
    }

    fn put(&mut self, kind: u8, meta: impl FnOnce(&mut Vec<u8>), body: &[u8]) {
        // the place of a frame counts what lies beside, so the pad of `frame::write` is right here too
        frame::write(&mut self.own, kind, RECORD_VERSION, meta, &[body]);
        self.frames += 1;
    }

    /// Up to where the next frame may begin, with what lies beside.
    fn pad(&mut self) {
        let bytes = self.own.len() + self.beside_bytes;
        self.own.resize(self.own.len() + frame::padded(bytes) - bytes, 0);
    }

    /// Nothing more comes.
    #[must_use]
    pub fn seal(mut self) -> SealedTurn {
        // by queue, so that one record says it all; the order of acknowledgements means nothing
        self.acked.sort_by_key(|range| (range.queue, range.first));
        let acked = core::mem::take(&mut self.acked);
        for of_queue in acked.chunk_by(|one, next| one.queue == next.queue) {
            for ranges in of_queue.chunks(RANGES_PER_RECORD) {
                let meta = |out: &mut Vec<u8>| {
                    out.queue(ranges[0].queue);
                    for range in ranges {
                        out.u64(range.first);
                        out.u64(range.last);
                    }
                };
                self.put(kind::ACKED, meta, &[]);
            }
        }
        let bytes = self.own.len() + self.beside_bytes;
        SealedTurn {
            own: self.own.into(),
            beside: self.beside,
            bytes,
            frames: self.frames,
            urgent: self.urgent,
        }
    }
}

/// Writes a register or tombstone: snapshots have them too.
pub(crate) fn write_register(
    out: &mut Vec<u8>,
    kind: u8,
    register: &RegisterKey<'_>,
    stamp: &[u8],
    value: &[u8],
) {
    let meta = |out: &mut Vec<u8>| {
        out.u16(register.kind);
        out.u16(stamp.len() as u16);
        out.raw(stamp);
        out.raw(register.key);
    };
    frame::write(out, kind, RECORD_VERSION, meta, &[value]);
}

// 1,024 targets of 28 bytes and the fixed part fit by far
const _: () = assert!(leveret_model::limits::PUBLISH_TARGETS_MAX * 28 + 64 < FRAME_META_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::record::Record;
    use leveret_model::Ulid;

    fn queue(n: u128) -> QueueId {
        QueueId { generation: 0, ulid: Ulid(n) }
    }

    fn whole(turn: SealedTurn) -> Vec<u8> {
        let mut parts = Vec::new();
        turn.parts(&mut parts);
        parts.concat()
    }

    #[test]
    fn frames_are_where_the_turn_says_with_slices_of_all_lengths() {
        for slice_bytes in 0..9 {
            let chunks = [Bytes::from(std::vec![7; slice_bytes]), Bytes::from_static(b"tail")];
            let mut turn = Turn::new();
            for n in 1..4 {
                let targets = [(queue(1), Position(n)), (queue(2), Position(n + 10))];
                let body = TurnBody::Chunks(&chunks);
                turn.message(&MessageTerms::default(), &targets, b"ab", b"header", body);
                turn.message(&MessageTerms::default(), &targets[..1], b"", b"h", TurnBody::Flat(b"flat"));
                turn.mark(None, b"k", b"v");
            }
            let turn = turn.seal();
            let mut places = Vec::new();
            turn.each_frame(|at, _| places.push(at));
            assert_eq!(places.len() as u32, turn.frames());
            let bytes = turn.bytes();
            let whole = whole(turn);
            assert_eq!(whole.len(), bytes);
            let mut at = 0;
            for place in places {
                assert_eq!(place, at);
                let frame = Frame::read(&whole[at..]).expect("a frame");
                assert!(frame.body.is_some());
                at += frame.head.frame_bytes();
            }
            assert_eq!(at, bytes);
        }
    }

    #[test]
    fn acknowledgements_become_ranges_by_queue() {
        let mut turn = Turn::new();
        for position in [1, 2, 3, 9, 10] {
            turn.acked(queue(1), Position(position));
        }
        turn.acked(queue(2), Position(4));
        turn.acked(queue(1), Position(5));
        assert!(!turn.is_empty());
        let turn = turn.seal();
        assert!(!turn.urgent(), "nobody waits for an acknowledgement");
        assert_eq!(turn.frames(), 2);
        let whole = whole(turn);
        let frame = Frame::read(&whole).expect("a frame");
        let Ok(Record::Acked { queue: of, ranges }) = Record::parse(&frame) else {
            panic!("acks come first")
        };
        assert_eq!(of, queue(1));
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(1, 3), (5, 5), (9, 10)]);
    }
}
