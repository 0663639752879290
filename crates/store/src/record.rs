//! What frames say. Drawn in docs/formats/store.md §2.
//!
//! Read first: [`Record::parse`]. [`crate::Turn`] writes what this reads.
//! Invariants: a kind is never given to another record; any bytes give a record, [`RecordError::Unknown`] or
//! [`RecordError::Malformed`].

use leveret_model::{Position, QueueId};

use crate::clock::{MachineTime, StoreTime};
use crate::fields::{Malformed, Put, QUEUE_BYTES, Take};
use crate::frame::Frame;

/// The kind byte of each frame. A number is never given to another kind again.
pub(crate) mod kind {
    pub(crate) const MESSAGE: u8 = 1;
    pub(crate) const ACKED: u8 = 2;
    pub(crate) const QUEUE_CREATED: u8 = 3;
    pub(crate) const QUEUE_CHANGED: u8 = 4;
    pub(crate) const QUEUE_DELETED: u8 = 5;
    pub(crate) const REGISTER: u8 = 6;
    pub(crate) const TOMBSTONE: u8 = 7;
    pub(crate) const FORGOTTEN: u8 = 8;
    pub(crate) const MARK: u8 = 9;
    pub(crate) const DELIVERIES: u8 = 10;
    pub(crate) const TIME: u8 = 11;
    pub(crate) const SNAPSHOT_BEGIN: u8 = 64;
    pub(crate) const SNAPSHOT_QUEUE: u8 = 65;
    pub(crate) const SNAPSHOT_IN_LOG: u8 = 66;
    pub(crate) const SNAPSHOT_EXTENT: u8 = 67;
    pub(crate) const SNAPSHOT_DAMAGE: u8 = 68;
    pub(crate) const SNAPSHOT_KEPT_LOG: u8 = 69;
    pub(crate) const SNAPSHOT_FILE: u8 = 70;
    pub(crate) const SNAPSHOT_END: u8 = 127;
}

/// The version of every record that this crate writes.
pub(crate) const RECORD_VERSION: u8 = 1;
/// In a message's flags: it was delivered before.
const DELIVERED_BEFORE: u8 = 1;
/// It is a dead letter of the broker's.
const DEAD_LETTER: u8 = 2;
/// Its CC header does not route it any more.
const COPIES_SPENT: u8 = 4;
/// Bytes of a message's meta in front of its targets.
const MESSAGE_FIXED_BYTES: usize = 34;
/// Bytes of a target.
const TARGET_BYTES: usize = QUEUE_BYTES + 8;
/// Bytes of a message's meta with one target, as in extents.
pub(crate) const MESSAGE_TO_ONE_BYTES: usize = MESSAGE_FIXED_BYTES + TARGET_BYTES;

/// What is kept of a message beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageTerms {
    /// When it was stored first.
    pub stored: StoreTime,
    /// When it expires; `None`: never.
    pub expires: Option<StoreTime>,
    /// Not to be delivered before; `None`: at once.
    pub due: Option<StoreTime>,
    /// Of the message, 0 to 255.
    pub priority: u8,
    /// It was delivered before it was stored here.
    pub delivered_before: bool,
    /// It is a dead letter: its `x-death` is the broker's.
    pub dead_letter: bool,
    /// Its CC header is history.
    pub copies_spent: bool,
}

/// A message's meta.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageMeta<'a> {
    pub(crate) terms: MessageTerms,
    pub(crate) address_bytes: usize,
    pub(crate) header_bytes: usize,
    targets: &'a [u8],
}

impl<'a> MessageMeta<'a> {
    pub(crate) fn read(meta: &'a [u8]) -> Result<Self, Malformed> {
        let mut take = Take::new(meta);
        let stored = StoreTime(take.u64()?);
        let [expires, due] = [take.u64()?, take.u64()?].map(|ms| (ms != 0).then_some(StoreTime(ms)));
        let (priority, flags) = (take.u8()?, take.u8()?);
        let count = usize::from(take.u16()?);
        let (address_bytes, header_bytes) = (usize::from(take.u16()?), take.u32()? as usize);
        let targets = take.bytes(count * TARGET_BYTES)?;
        take.end()?;
        let terms = MessageTerms {
            stored,
            expires,
            due,
            priority,
            delivered_before: flags & DELIVERED_BEFORE != 0,
            dead_letter: flags & DEAD_LETTER != 0,
            copies_spent: flags & COPIES_SPENT != 0,
        };
        Ok(Self { terms, address_bytes, header_bytes, targets })
    }

    /// The queues that have the message, and where. hot.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (QueueId, Position)> + 'a {
        self.targets.chunks_exact(TARGET_BYTES).map_while(|bytes| {
            let mut take = Take::new(bytes);
            Some((take.queue().ok()?, take.position().ok()?))
        })
    }
}

/// Writes a message's meta. hot.
pub(crate) fn put_message(
    out: &mut alloc::vec::Vec<u8>,
    terms: &MessageTerms,
    address_bytes: usize,
    header_bytes: usize,
    targets: &[(QueueId, Position)],
) {
    out.reserve(MESSAGE_FIXED_BYTES + targets.len() * TARGET_BYTES);
    out.u64(terms.stored.0);
    // 0 says "none": a deadline at the very start of the clock is over with the first millisecond anyway
    out.u64(terms.expires.map_or(0, |time| time.0.max(1)));
    out.u64(terms.due.map_or(0, |time| time.0.max(1)));
    out.u8(terms.priority);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.u8(flag(terms.delivered_before, DELIVERED_BEFORE)
        | flag(terms.dead_letter, DEAD_LETTER)
        | flag(terms.copies_spent, COPIES_SPENT));
    out.u16(targets.len() as u16);
    out.u16(address_bytes as u16);
    out.u32(header_bytes as u32);
    for (queue, position) in targets {
        out.queue(*queue);
        out.u64(position.0);
    }
}

/// A record of the log, or one that snapshots share with it.
#[derive(Clone, Debug)]
pub(crate) enum Record<'a> {
    Message(MessageMeta<'a>),
    Acked { queue: QueueId, ranges: AckedRanges<'a> },
    QueueCreated { queue: QueueId, definition: &'a [u8] },
    QueueChanged { queue: QueueId, definition: &'a [u8] },
    QueueDeleted { queue: QueueId },
    Register { key: RegisterKey<'a>, stamp: &'a [u8], value: Option<&'a [u8]> },
    Forgotten { key: RegisterKey<'a> },
    Mark { queue: Option<QueueId>, key: &'a [u8], value: &'a [u8] },
    Deliveries { queue: QueueId, position: Position, count: u32 },
    Time(MachineTime),
}

/// What a register is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisterKey<'a> {
    pub(crate) kind: u16,
    pub(crate) key: &'a [u8],
}

/// Acknowledged positions, as first and last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckedRanges<'a>(&'a [u8]);

impl AckedRanges<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.chunks_exact(16).map_while(|bytes| {
            let mut take = Take::new(bytes);
            Some((take.u64().ok()?, take.u64().ok()?))
        })
    }
}

/// Why a frame with right checksums is no record for this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordError {
    /// Of a later version: it is kept.
    Unknown,
    /// The body is damaged, or the fields are none of that kind.
    Malformed,
}

impl From<Malformed> for RecordError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl<'a> Record<'a> {
    /// What a frame says. A message's body is not looked at: it may be damaged, and is read when it is needed.
    pub(crate) fn parse(frame: &Frame<'a>) -> Result<Self, RecordError> {
        if frame.head.version != RECORD_VERSION || !(kind::MESSAGE..=kind::TIME).contains(&frame.head.kind) {
            return Err(RecordError::Unknown);
        }
        if frame.head.kind == kind::MESSAGE {
            return Ok(Self::Message(MessageMeta::read(frame.meta)?));
        }
        let body = frame.body.ok_or(RecordError::Malformed)?;
        let mut take = Take::new(frame.meta);
        let record = match frame.head.kind {
            kind::ACKED => {
                let queue = take.queue()?;
                if !take.left().is_multiple_of(16) {
                    return Err(RecordError::Malformed);
                }
                Self::Acked { queue, ranges: AckedRanges(take.rest()) }
            }
            kind::QUEUE_CREATED => Self::QueueCreated { queue: take.queue()?, definition: body },
            kind::QUEUE_CHANGED => Self::QueueChanged { queue: take.queue()?, definition: body },
            kind::QUEUE_DELETED => Self::QueueDeleted { queue: take.queue()? },
            kind @ (kind::REGISTER | kind::TOMBSTONE) => {
                let register = take.u16()?;
                let stamp_bytes = usize::from(take.u16()?);
                let stamp = take.bytes(stamp_bytes)?;
                let key = RegisterKey { kind: register, key: take.rest() };
                Self::Register { key, stamp, value: (kind == kind::REGISTER).then_some(body) }
            }
            kind::FORGOTTEN => Self::Forgotten { key: RegisterKey { kind: take.u16()?, key: take.rest() } },
            kind::MARK => {
                let queue = take.queue()?;
                let queue = (queue != QueueId::default()).then_some(queue);
                Self::Mark { queue, key: take.rest(), value: body }
            }
            kind::DELIVERIES => {
                Self::Deliveries { queue: take.queue()?, position: take.position()?, count: take.u32()? }
            }
            _ => {
                Self::Time(MachineTime { boot_id: take.array()?, boot_ms: take.u64()?, wall_ms: take.u64()? })
            }
        };
        take.end()?;
        Ok(record)
    }
}
