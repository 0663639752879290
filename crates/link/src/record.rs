//! Forward records: what one shard tells another, over a ring or a link, in the same bytes.
//!
//! A batch is a run of records from one shard to one other. Order within (from, to) is kept.

mod consumers;
mod lanes;
mod moves;

use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::{
    ChannelKey, ConsumerNumber, LaneSequence, Message, MessageRule, MessageState, MoveAttempt, Position,
    QueueId, ReplyCode, ReplySecret, RequestId, Settlement,
};

pub use self::consumers::{HeldDelivery, NamedConsumer, RemoteConsumer};
pub use self::lanes::{LaneTarget, LaneTargets};
pub use self::moves::{ListedRun, MovePart, MoveRefused, MovedConsumer, MovedLane};

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
    /// Old home → new home: a message of a queue that moves, in the order of the places of those that were
    /// delivered before, then of those that were not.
    MoveMessage {
        /// The queue.
        queue: QueueId,
        /// Which try.
        attempt: MoveAttempt,
        /// Its place.
        position: Position,
        /// Whether somebody has it, or had it.
        state: MessageState,
        /// What the queue's rules have made of it, in a queue with rules.
        rule: Option<MessageRule>,
        /// The message.
        message: Message<'a>,
    },
    /// Old home → new home: a copy of a message, while the old home serves: what becomes of it until the freeze
    /// is listed then. Only to a node whose hello has [`Capability::COPIES`](crate::handshake::Capability).
    CopyMessage {
        /// The queue.
        queue: QueueId,
        /// Which try.
        attempt: MoveAttempt,
        /// Its place.
        position: Position,
        /// What the queue's rules have made of it, in a queue with rules.
        rule: Option<MessageRule>,
        /// The message.
        message: Message<'a>,
    },
    /// Another part of the move of a queue.
    Move {
        /// The queue.
        queue: QueueId,
        /// Which try.
        attempt: MoveAttempt,
        /// What is said.
        part: MovePart,
    },
    /// Egress → home, behind the last [`Record::Resubscribe`] for a queue that has moved: that was all that
    /// this shard has of it. Deliveries of the queue to it may start.
    ResubscribeQueueEnd {
        /// The queue.
        queue: QueueId,
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
