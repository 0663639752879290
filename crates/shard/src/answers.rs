//! Answers that wait for their connection.

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_amqp::host::{Answer, Content, Held, Message};
use leveret_link::record::{RecordBody, RecordMessage};
use leveret_model::Refusal;
use leveret_queue::{Arena, MessageRef, StoredBody, StoredMessage};

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

/// A copy of a message: only for `basic.get`, which is not a hot path.
#[derive(Debug)]
pub(crate) struct OwnedMessage {
    address: Vec<u8>,
    header: Vec<u8>,
    flat: Vec<u8>,
    chunks: Vec<Bytes>,
}

impl OwnedMessage {
    pub(crate) fn copy(message: &StoredMessage<'_>) -> Self {
        let (flat, chunks) = match message.body {
            StoredBody::Flat(bytes) => (bytes.to_vec(), Vec::new()),
            StoredBody::Chunks(chunks) => (Vec::new(), chunks.to_vec()),
        };
        Self { address: message.address.to_vec(), header: message.header.to_vec(), flat, chunks }
    }

    pub(crate) fn take(arena: &mut Arena, message: MessageRef) -> Self {
        let copy = Self::copy(&arena.get(message));
        arena.release(message);
        copy
    }

    pub(crate) fn of_record(record: &RecordMessage<'_>) -> Self {
        let (flat, chunks) = match &record.body {
            RecordBody::Flat(bytes) => (bytes.to_vec(), Vec::new()),
            RecordBody::Chunks(chunks) => (Vec::new(), chunks.clone()),
        };
        Self { address: record.address.to_vec(), header: record.header.to_vec(), flat, chunks }
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
            let body = if message.chunks.is_empty() {
                Content::Flat(&message.flat)
            } else {
                Content::Chunks(&message.chunks)
            };
            let message = Message { address: &message.address, header: &message.header, body };
            Answer::Got { held: *held, message, redelivered: *redelivered, remaining: *remaining }
        }
        OwnedAnswer::Empty => Answer::Empty,
        OwnedAnswer::Refused(refusal) => Answer::Refused(refusal.clone()),
    }
}
