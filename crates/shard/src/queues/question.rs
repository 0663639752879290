//! What a queue is asked, by whom, and what it answers.

use leveret_link::record::{Record, RemoteConsumer};
use leveret_model::{
    ChannelKey, ConsumerNumber, ConsumerTerms, OwnedMessage, Position, QueueId, Refusal, RequestId,
    ShardAddress,
};

/// What a queue is asked, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// `basic.consume`
    Subscribe { consumer: ConsumerNumber, terms: ConsumerTerms },
    /// `basic.cancel`
    Unsubscribe { consumer: ConsumerNumber },
    /// `basic.get`
    Get { no_ack: bool },
    /// `queue.purge`
    Purge,
    /// `queue.declare` of a queue that is there.
    Inspect,
}

impl Question {
    /// The record that asks a home elsewhere.
    pub(crate) fn to_record(
        self,
        request: RequestId,
        queue: QueueId,
        channel: ChannelKey,
    ) -> Record<'static> {
        match self {
            Self::Subscribe { consumer, terms } => {
                let consumer = RemoteConsumer { channel, number: consumer, terms };
                Record::Subscribe { request, queue, consumer }
            }
            Self::Unsubscribe { consumer } => {
                Record::Unsubscribe { request: Some(request), queue, channel, consumer }
            }
            Self::Get { no_ack } => Record::Get { request, queue, channel, no_ack },
            Self::Purge => Record::Purge { request, queue },
            Self::Inspect => Record::Inspect { request, queue },
        }
    }
}

/// Who asks a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) at: ShardAddress,
    pub(crate) channel: ChannelKey,
    pub(crate) request: RequestId,
}

/// What a queue answers.
#[derive(Debug)]
pub(crate) enum HomeAnswer {
    Done,
    Empty,
    /// The message is to be read from the disk first: to be asked again.
    NotYet,
    Got(GotMessage),
    /// Ready messages and consumers.
    Counts(u64, u32),
    /// So many messages were ready.
    Purged(u64),
    Refused(Refusal),
}

/// What became of a question.
#[derive(Debug)]
pub(crate) enum Asked {
    Answered(HomeAnswer),
    /// The answer comes as a record of the home, or by the end of the queue.
    Waits {
        /// The home is elsewhere.
        elsewhere: bool,
    },
}

/// A message that `basic.get` took.
#[derive(Debug)]
pub(crate) struct GotMessage {
    pub(crate) position: Position,
    pub(crate) redelivered: bool,
    /// Ready messages left.
    pub(crate) remaining: u64,
    pub(crate) message: OwnedMessage,
}
