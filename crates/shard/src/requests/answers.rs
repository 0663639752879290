//! Answers that wait for their connection.

use leveret_amqp::host::Answer;
use leveret_model::{ConsumerNumber, Held, OwnedMessage, QueueHandle, Refusal};

use crate::queues::{GotMessage, HomeAnswer};

/// An answer that waits for its connection.
#[derive(Debug)]
pub(crate) enum OwnedAnswer {
    Done,
    Queue { messages: u64, consumers: u32 },
    Messages(u64),
    Got { held: Held, no_ack: bool, message: OwnedMessage, redelivered: bool, remaining: u64 },
    Empty,
    Refused(Refusal),
}

impl OwnedAnswer {
    /// What a queue answered, to a channel that holds what it was given.
    pub(super) fn of_home(answer: HomeAnswer, queue: QueueHandle, no_ack: bool) -> Self {
        match answer {
            HomeAnswer::Done => Self::Done,
            // one that has to wait is none yet (`Asked::Waits`)
            HomeAnswer::Empty | HomeAnswer::NotYet => Self::Empty,
            HomeAnswer::Got(got) => {
                let held = Held { queue, position: got.position, consumer: ConsumerNumber::OF_GET };
                let GotMessage { redelivered, remaining, message, .. } = got;
                Self::Got { held, no_ack, message, redelivered, remaining }
            }
            HomeAnswer::Counts(messages, consumers) => Self::Queue { messages, consumers },
            HomeAnswer::Purged(messages) => Self::Messages(messages),
            HomeAnswer::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// The answer as the connection wants it, borrowed from its owner.
pub(crate) fn borrow(answer: &OwnedAnswer) -> Answer<'_> {
    match answer {
        OwnedAnswer::Done => Answer::Done,
        OwnedAnswer::Queue { messages, consumers } => {
            Answer::Queue { messages: *messages, consumers: *consumers }
        }
        OwnedAnswer::Messages(count) => Answer::Messages(*count),
        OwnedAnswer::Got { held, message, redelivered, remaining, .. } => {
            let message = message.borrow();
            Answer::Got { held: *held, message, redelivered: *redelivered, remaining: *remaining }
        }
        OwnedAnswer::Empty => Answer::Empty,
        OwnedAnswer::Refused(refusal) => Answer::Refused(refusal.clone()),
    }
}
