//! A run of records from one shard to one other, in the bytes that a ring and a link carry alike.
//!
//! ```text
//!   own bytes:  ┌────────┬─────────┬──────┬────────┐┌────────┬─────────┬──────┬────────┐
//!               │ own u32│ body u32│ kind │ fields ││ own u32│ body u32│ kind │ fields │ …
//!               └────────┴─────────┴──────┴────────┘└────────┴─────────┴──────┴────────┘
//!   beside:      Bytes, Bytes, …  the slices of the first record with body > 0, then of the next …
//! ```
//! `own` counts kind and fields, `body` what lies beside: a body of `limits::SLICE_BYTES_MIN` and more is a run
//! of counted slices of a receive block, never flattened. Over a ring the batch moves as it is; over a link the
//! slices follow the own bytes ([`crate::frame`]) and are cut out of the receive block again.
//!
//! Read first: [`crate::record`]. Invariant: `records`, `cost` and `beside_bytes` are those of what is left, at
//! every moment; the heads of a parsed batch were checked, its fields are checked as they are read.

mod read;

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::{ChannelKey, ConsumerNumber, Message, Position, QueueId, limits};

use crate::codec::{self, kind};
use crate::credit::Cost;
use crate::fields::{Damage, Put, Take};
use crate::record::{LaneTarget, Record};

pub use self::read::Records;
use self::read::{chunks_of, record_cost, take_head};

/// Bytes in front of a record's kind.
const HEAD_BYTES: usize = 8;
/// Bytes of a batch's head on a link: records, own bytes.
pub(crate) const BATCH_HEAD_BYTES: usize = 8;
/// Bytes that [`Batch::split_to`] gives at most unless one record alone is larger, so that they fit in one link
/// frame.
const SPLIT_BYTES_MAX: usize = limits::LINK_FRAME_BYTES_MAX - 1024;

/// A run of records.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    own: Own,
    beside: Vec<Bytes>,
    /// Where the first record is left in `own` and `beside`.
    own_at: usize,
    beside_at: usize,
    beside_bytes: usize,
    records: u32,
    cost: Cost,
    /// The last record is a publish that was pushed for itself, and begins there in `own`: it may get more
    /// queues.
    open_publish: Option<OpenPublish>,
}

/// Where a publish begins, and how many queues it has.
#[derive(Clone, Copy, Debug)]
struct OpenPublish {
    at: usize,
    targets: usize,
}

#[derive(Clone, Debug)]
enum Own {
    Built(Vec<u8>),
    Received(Bytes),
}

impl Default for Own {
    fn default() -> Self {
        Self::Built(Vec::new())
    }
}

impl Own {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Built(bytes) => bytes,
            Self::Received(bytes) => bytes,
        }
    }
}

impl Batch {
    /// An empty batch; takes no memory before its first record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for so many own bytes: who knows about how much comes saves the growing.
    pub fn reserve(&mut self, own_bytes: usize) {
        if let Own::Built(bytes) = &mut self.own {
            bytes.reserve(own_bytes);
        }
    }

    /// Adds a record and gives what it costs.
    pub fn push(&mut self, record: &Record<'_>) -> Cost {
        let counted = !matches!(record, Record::Grant { .. });
        self.write(counted, |own, beside| codec::encode(record, own, beside))
    }

    /// Adds a [`Record::Publish`] from its pieces, for one queue. hot.
    pub fn push_publish(&mut self, target: LaneTarget, message: Message<'_>) -> Cost {
        let at = self.built().len();
        let cost = self.write(true, |own, beside| {
            let body = codec::encode_publish(message, own, beside);
            own.raw(&target.to_bytes());
            body
        });
        self.open_publish = Some(OpenPublish { at, targets: 1 });
        cost
    }

    /// The message of the last [`Batch::push_publish`] goes to one more queue. False if that record is not the
    /// last one any more, or has as many as one takes (`limits::PUBLISH_TARGETS_MAX`): it is to be pushed
    /// again. hot.
    #[must_use]
    pub fn add_target(&mut self, target: LaneTarget) -> bool {
        let (Some(open), Own::Built(own)) = (&mut self.open_publish, &mut self.own) else { return false };
        if open.targets >= limits::PUBLISH_TARGETS_MAX {
            return false;
        }
        open.targets += 1;
        own.raw(&target.to_bytes());
        let own_bytes = own.len() - open.at - HEAD_BYTES;
        own[open.at..open.at + 4].copy_from_slice(&(own_bytes as u32).to_le_bytes());
        self.cost.bytes += LaneTarget::BYTES as u64;
        true
    }

    /// Adds a [`Record::Deliver`] from its pieces. hot.
    pub fn push_deliver(
        &mut self,
        queue: QueueId,
        (channel, consumer): (ChannelKey, ConsumerNumber),
        position: Position,
        redelivered: bool,
        message: Message<'_>,
    ) -> Cost {
        self.write(true, |own, beside| {
            own.u8(kind::DELIVER);
            own.queue(queue);
            own.channel(channel);
            own.u32(consumer.0);
            own.u64(position.0);
            own.flag(redelivered);
            codec::encode_message(message, own, beside)
        })
    }

    /// The records, in order. A batch that was built here reads without errors.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        Records::new(self.own_bytes(), self.beside())
    }

    /// Records in it.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.records
    }

    /// True without records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes in it, own and beside.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.own_bytes().len() + self.beside_bytes
    }

    /// What it takes from a window: all records but the grants, which are outside of it.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Forgets the records; keeps the memory for the next ones, but not a receive block.
    pub fn clear(&mut self) {
        match &mut self.own {
            Own::Built(bytes) => bytes.clear(),
            own @ Own::Received(_) => *own = Own::default(),
        }
        self.beside.clear();
        *self = Self {
            own: core::mem::take(&mut self.own),
            beside: core::mem::take(&mut self.beside),
            ..Self::default()
        };
    }

    /// Takes off the records at the front that `room` lets pass, in order: as many as it has records, and as
    /// long as it has a byte left, so the last one may overshoot (see [`crate::credit`]). Never more than a
    /// link frame holds.
    #[must_use]
    pub fn split_to(&mut self, room: Cost) -> Self {
        let fits = self.cost.records <= room.records && self.cost.bytes <= room.bytes;
        if fits && self.len_bytes() <= SPLIT_BYTES_MAX {
            // the common case, without a look at each record
            return core::mem::take(self);
        }
        let mut taken = Taken::default();
        let mut take = Take::new(self.own_bytes());
        let mut beside_left = self.beside();
        while taken.records < self.records {
            let Ok((own, body)) = take_head(&mut take) else { break };
            let bytes = HEAD_BYTES + own.len() + body;
            let cost = record_cost(own, body);
            let fits =
                cost == Cost::NONE || (taken.cost.records < room.records && taken.cost.bytes < room.bytes);
            let framed = taken.own_bytes + taken.beside_bytes + bytes <= SPLIT_BYTES_MAX;
            if !fits || !(framed || taken.records == 0) {
                break;
            }
            let chunks = chunks_of(beside_left, body);
            beside_left = &beside_left[chunks.len()..];
            taken.add(HEAD_BYTES + own.len(), body, chunks.len(), cost);
        }
        if taken.records == self.records { core::mem::take(self) } else { self.split_taken(&taken) }
    }

    fn split_taken(&mut self, taken: &Taken) -> Self {
        let own_end = self.own_at + taken.own_bytes;
        let beside_end = self.beside_at + taken.beside;
        let front = Self {
            own: match &self.own {
                Own::Built(bytes) => Own::Built(bytes[self.own_at..own_end].to_vec()),
                Own::Received(bytes) => Own::Received(bytes.slice(self.own_at..own_end)),
            },
            beside: self.beside[self.beside_at..beside_end].iter_mut().map(core::mem::take).collect(),
            own_at: 0,
            beside_at: 0,
            beside_bytes: taken.beside_bytes,
            records: taken.records,
            cost: taken.cost,
            open_publish: None,
        };
        self.open_publish = None;
        self.own_at = own_end;
        self.beside_at = beside_end;
        self.beside_bytes -= taken.beside_bytes;
        self.records -= taken.records;
        self.cost = self.cost.less(taken.cost);
        // moved down only when more than half is behind, so that splitting again and again stays linear
        if let Own::Built(bytes) = &mut self.own
            && self.own_at > bytes.len() / 2
        {
            bytes.drain(..self.own_at);
            self.own_at = 0;
        }
        if self.beside_at > self.beside.len() / 2 {
            self.beside.drain(..self.beside_at);
            self.beside_at = 0;
        }
        front
    }

    /// A batch as a link brought it: head, own bytes, slices, all in one receive block, which the batch then
    /// shares.
    ///
    /// # Errors
    /// [`Damage`] if heads, counts and lengths do not fit each other.
    pub fn parse(payload: &Bytes) -> Result<Self, Damage> {
        let mut head = Take::new(payload);
        let records = head.u32()?;
        let own_end = (head.u32()? as usize).checked_add(BATCH_HEAD_BYTES).ok_or(Damage::Short)?;
        if own_end > payload.len() {
            return Err(Damage::Short);
        }
        let own = payload.slice(BATCH_HEAD_BYTES..own_end);
        let mut taken = Taken::default();
        let mut beside = Vec::new();
        let mut take = Take::new(&own);
        let mut body_at = own_end;
        while take.left() > 0 {
            let (fields, body) = take_head(&mut take)?;
            if body > 0 {
                let body_end = body_at + body;
                if body_end > payload.len() {
                    return Err(Damage::Short);
                }
                beside.push(payload.slice(body_at..body_end));
                body_at = body_end;
            }
            taken.add(HEAD_BYTES + fields.len(), body, usize::from(body > 0), record_cost(fields, body));
        }
        if body_at != payload.len() {
            return Err(Damage::Trailing);
        }
        if taken.records != records {
            return Err(Damage::Value("record count"));
        }
        Ok(Self {
            own: Own::Received(own),
            beside,
            own_at: 0,
            beside_at: 0,
            beside_bytes: taken.beside_bytes,
            records,
            cost: taken.cost,
            open_publish: None,
        })
    }

    /// The batch as a link carries it: head, own bytes, slices.
    #[must_use]
    pub(crate) fn into_parts(mut self) -> ([u8; BATCH_HEAD_BYTES], Bytes, Vec<Bytes>) {
        let mut head = [0; BATCH_HEAD_BYTES];
        head[..4].copy_from_slice(&self.records.to_le_bytes());
        head[4..].copy_from_slice(&(self.own_bytes().len() as u32).to_le_bytes());
        let own = match self.own {
            Own::Built(bytes) => Bytes::from(bytes),
            Own::Received(bytes) => bytes,
        };
        self.beside.drain(..self.beside_at);
        (head, own.slice(self.own_at..), self.beside)
    }

    fn own_bytes(&self) -> &[u8] {
        &self.own.as_slice()[self.own_at..]
    }

    fn beside(&self) -> &[Bytes] {
        &self.beside[self.beside_at..]
    }

    /// The own bytes, to be written to. hot.
    #[inline]
    fn built(&mut self) -> &mut Vec<u8> {
        if matches!(self.own, Own::Received(_)) {
            self.take_over();
        }
        let Own::Built(own) = &mut self.own else { unreachable!("made so above") };
        own
    }

    /// Copies what is left of a batch that came, so that it can grow.
    #[cold]
    fn take_over(&mut self) {
        self.own = Own::Built(self.own_bytes().to_vec());
        self.own_at = 0;
    }

    /// Head, then what `fields` writes; `fields` gives the bytes that it left beside. hot.
    fn write(&mut self, counted: bool, fields: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> usize) -> Cost {
        let mut beside = core::mem::take(&mut self.beside);
        let own = self.built();
        let at = own.len();
        own.raw(&[0; HEAD_BYTES]);
        let body = fields(own, &mut beside);
        let own_bytes = own.len() - at - HEAD_BYTES;
        own[at..at + 4].copy_from_slice(&(own_bytes as u32).to_le_bytes());
        own[at + 4..at + HEAD_BYTES].copy_from_slice(&(body as u32).to_le_bytes());
        self.beside = beside;
        self.records += 1;
        self.open_publish = None;
        self.beside_bytes += body;
        if !counted {
            return Cost::NONE;
        }
        let cost = Cost::record(HEAD_BYTES + own_bytes + body);
        self.cost = self.cost.plus(cost);
        cost
    }
}

/// What was taken from the front of a batch.
#[derive(Default)]
struct Taken {
    own_bytes: usize,
    beside_bytes: usize,
    beside: usize,
    records: u32,
    cost: Cost,
}

impl Taken {
    fn add(&mut self, own_bytes: usize, body: usize, chunks: usize, cost: Cost) {
        self.own_bytes += own_bytes;
        self.beside_bytes += body;
        self.beside += chunks;
        self.records += 1;
        self.cost = self.cost.plus(cost);
    }
}

#[cfg(test)]
pub(crate) mod tests;
