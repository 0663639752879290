//! Answers that wait for their connection.

use leveret_amqp::host::Answer;
use leveret_model::{Held, OwnedMessage, Refusal};

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
