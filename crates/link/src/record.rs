//! Forward records: what one shard tells another, over a ring or a link, in the same bytes.
//!
//! A batch is a run of records from one shard to one other. Order within (from, to) is kept.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::{
    ChannelKey, ConsumerNumber, ConsumerTerms, LaneSequence, Message, Position, QueueId, ReplyCode,
    ReplySecret, RequestId, Settlement, Ulid, Unread,
};

use crate::fields::Damage;

/// A queue that a publish goes to, and its place on the lane there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneTarget {
    /// The queue.
    pub queue: QueueId,
    /// The publish's number on the lane.
    pub sequence: LaneSequence,
    /// Lowest number that is not answered.
    pub base: LaneSequence,
}

impl LaneTarget {
    /// Bytes that one takes.
    pub(crate) const BYTES: usize = 4 + 16 + 8 + 8;

    /// As it is laid down. hot.
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.queue.generation.to_le_bytes());
        bytes[4..20].copy_from_slice(&self.queue.ulid.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[28..].copy_from_slice(&self.base.0.to_le_bytes());
        bytes
    }

    /// hot.
    #[inline]
    fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let u64_at = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        let generation = u32::from_le_bytes(core::array::from_fn(|byte| bytes[byte]));
        let ulid = Ulid(u128::from(u64_at(4)) | u128::from(u64_at(12)) << 64);
        let queue = QueueId { generation, ulid };
        Self { queue, sequence: LaneSequence(u64_at(20)), base: LaneSequence(u64_at(28)) }
    }
}

/// The queues of one publish, in the bytes of its record: one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneTargets<'a>(&'a [[u8; LaneTarget::BYTES]]);

impl<'a> LaneTargets<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// [`Damage`] if there is none, or a piece of one.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Damage> {
        match bytes.as_chunks() {
            (targets, []) if !targets.is_empty() => Ok(Self(targets)),
            _ => Err(Damage::Value("row of queues")),
        }
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.len() as u32
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0.as_flattened()
    }
}

impl<'a> IntoIterator for LaneTargets<'a> {
    type Item = LaneTarget;
    type IntoIter = core::iter::Map<
        core::slice::Iter<'a, [u8; LaneTarget::BYTES]>,
        fn(&[u8; LaneTarget::BYTES]) -> LaneTarget,
    >;

    /// hot.
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(LaneTarget::from_bytes)
    }
}

/// A delivery that an egress shard holds, as RESUB lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldDelivery {
    /// The channel that holds it.
    pub channel: ChannelKey,
    /// The consumer it came to; [`ConsumerNumber::OF_GET`] for `basic.get`.
    pub consumer: ConsumerNumber,
    /// Its place in the queue.
    pub position: Position,
}

/// A consumer of a channel elsewhere, as the home of its queue is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteConsumer {
    /// The channel.
    pub channel: ChannelKey,
    /// The consumer in it.
    pub number: ConsumerNumber,
    /// How it wants to be served.
    pub terms: ConsumerTerms,
}

/// A consumer as RESUB names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedConsumer {
    /// Who and how.
    pub consumer: RemoteConsumer,
    /// What it was sent on links before and its client has not read: [`Record::Credit`] follows when it has.
    pub unread: Unread,
}

/// One forward record. Ingress = shard of the publisher, home = shard of the queue, egress = shard of the
/// consumer.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// Ingress → home: a message for one queue there or several. Each has a lane of its own (sender shard and
    /// boot → queue), `sequence` is the lane's, `base` the lowest one that the ingress still waits for
    /// (reliability: 2.5 sequence 3). The home appends exactly `max(last, base-1)+1`, answers
    /// [`Record::Stored`] for what is at or below, [`Record::Gap`] above.
    Publish {
        /// The message.
        message: Message<'a>,
        /// Where it goes.
        targets: LaneTargets<'a>,
    },
    /// Home → ingress: everything up to here is in the queue.
    Stored {
        /// The queue.
        queue: QueueId,
        /// Last number.
        through: LaneSequence,
    },
    /// Home → ingress: send again what comes after.
    Gap {
        /// The queue.
        queue: QueueId,
        /// Last number that the home has.
        after: LaneSequence,
    },
    /// Home → ingress: the queue was deleted; what is not answered counts as not matched.
    Gone {
        /// The queue.
        queue: QueueId,
    },
    /// Home → ingress: the queue is at its length and refused this publish (`x-overflow`): its publisher gets a
    /// nack. Comes before the [`Record::Stored`] that ends it, and again with each that repeats that.
    PublishRefused {
        /// The queue.
        queue: QueueId,
        /// The number of the publish.
        sequence: LaneSequence,
    },
    /// Home → ingress: its memory is short and the queue is long: who publishes to it is to wait, or need not
    /// any more.
    Throttle {
        /// The queue.
        queue: QueueId,
        /// Wait.
        on: bool,
    },
    /// Egress → home: a consumer.
    Subscribe {
        /// To answer with [`Record::Done`] or [`Record::Refused`].
        request: RequestId,
        /// The queue.
        queue: QueueId,
        /// Who and how.
        consumer: RemoteConsumer,
    },
    /// Egress → home: no more deliveries; what is held stays held.
    Unsubscribe {
        /// To answer with [`Record::Done`], if somebody waits for that.
        request: Option<RequestId>,
        /// The queue.
        queue: QueueId,
        /// The channel.
        channel: ChannelKey,
        /// The consumer in it.
        consumer: ConsumerNumber,
    },
    /// Home → egress: a message for a consumer.
    Deliver {
        /// The queue.
        queue: QueueId,
        /// The channel.
        channel: ChannelKey,
        /// The consumer in it.
        consumer: ConsumerNumber,
        /// Its place.
        position: Position,
        /// Delivered before.
        redelivered: bool,
        /// The message.
        message: Message<'a>,
    },
    /// Egress → home: so much of what was delivered has left through the consumer's socket (its window opens
    /// again).
    Credit {
        /// The queue.
        queue: QueueId,
        /// The channel.
        channel: ChannelKey,
        /// The consumer in it.
        consumer: ConsumerNumber,
        /// Messages.
        messages: u32,
        /// Bytes.
        bytes: u64,
    },
    /// Egress → home: a held delivery is settled.
    Settle {
        /// The queue.
        queue: QueueId,
        /// The channel that held it.
        channel: ChannelKey,
        /// The consumer it went to.
        consumer: ConsumerNumber,
        /// Its place.
        position: Position,
        /// How.
        how: Settlement,
    },
    /// Home → egress: the consumer ended here (queue deleted or lost): tell the client with `basic.cancel`.
    Cancelled {
        /// The queue.
        queue: QueueId,
        /// The channel.
        channel: ChannelKey,
        /// The consumer in it.
        consumer: ConsumerNumber,
    },
    /// Egress → home, first on each new link, for each queue there of which it has any: all its consumers and
    /// all it holds, in as many records as that takes. At the [`Record::ResubscribeEnd`] the home removes and
    /// requeues what it believes beyond all of them; held places that were given elsewhere meanwhile are void.
    Resubscribe {
        /// The queue.
        queue: QueueId,
        /// Consumers of this shard.
        consumers: Vec<NamedConsumer>,
        /// Deliveries that this shard's channels hold, settlements under way included.
        held: Vec<HeldDelivery>,
    },
    /// Egress → home, behind the last [`Record::Resubscribe`] of a new link: whatever the home believes of this
    /// shard and was not named on this link ended during the cut. Deliveries to it may start.
    ResubscribeEnd,
    /// Egress → home: `basic.get`.
    Get {
        /// To answer with [`Record::Got`] or [`Record::Empty`].
        request: RequestId,
        /// The queue.
        queue: QueueId,
        /// The channel.
        channel: ChannelKey,
        /// No acknowledgement.
        no_ack: bool,
    },
    /// Home → egress: the answer to a get.
    Got {
        /// Which request.
        request: RequestId,
        /// Its place.
        position: Position,
        /// Delivered before.
        redelivered: bool,
        /// Ready messages left.
        remaining: u64,
        /// The message.
        message: Message<'a>,
    },
    /// Home → egress: nothing ready.
    Empty {
        /// Which request.
        request: RequestId,
    },
    /// Anyone → home: drop what is ready, answer [`Record::Counts`] with how many.
    Purge {
        /// To answer.
        request: RequestId,
        /// The queue.
        queue: QueueId,
    },
    /// Anyone → home: ready messages and consumers, answered by [`Record::Counts`].
    Inspect {
        /// To answer.
        request: RequestId,
        /// The queue.
        queue: QueueId,
    },
    /// Home → asker.
    Counts {
        /// Which request.
        request: RequestId,
        /// Ready messages, or messages purged.
        messages: u64,
        /// Consumers.
        consumers: u32,
    },
    /// Home → asker: done.
    Done {
        /// Which request.
        request: RequestId,
    },
    /// Home → asker: refused.
    Refused {
        /// Which request.
        request: RequestId,
        /// The reply code.
        code: ReplyCode,
        /// Why.
        text: String,
    },
    /// Home → asker: its node has no lease, and the record may be of long ago: ask again, while somebody waits.
    NotNow {
        /// Which request.
        request: RequestId,
    },
    /// Sessions of one node → the same part of another: records that `sessions` reads
    /// (docs/formats/sessions.md). Only to a node whose hello has the capability.
    Sessions {
        /// Which of the machines of a node.
        part: u8,
        /// Their bytes, one behind the other.
        records: &'a [u8],
    },
    /// Ingress → shard of the requester: a reply by direct reply-to. At most once: nobody repeats it, and a
    /// consumer that is gone is not told of.
    Reply {
        /// The consumer there.
        to: ReplySecret,
        /// The message.
        message: Message<'a>,
    },
    /// Anyone → shard of the requester: is the consumer of replies still there? Answered by
    /// [`Record::ReplyAddressFound`].
    FindReplyAddress {
        /// To answer.
        request: RequestId,
        /// The consumer there.
        to: ReplySecret,
    },
    /// Shard of the requester → asker.
    ReplyAddressFound {
        /// Which request.
        request: RequestId,
        /// It is there.
        found: bool,
    },
    /// A kind that only later versions know: skipped by its length, counted and reported (DESIGN P8). Never
    /// written here.
    Unknown {
        /// Its kind byte.
        kind: u8,
    },
    /// Receiver → sender: so much was processed; the window opens again. Outside the window itself.
    Grant {
        /// Records.
        records: u32,
        /// Bytes.
        bytes: u64,
    },
}
