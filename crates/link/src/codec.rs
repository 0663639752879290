//! A record's fields as bytes, kind by kind. Drawn in docs/formats/link.md; the head in front of the kind byte
//! is [`crate::batch`]'s.
//!
//! Invariants: what [`encode`] writes [`decode`] reads back equal; `decode` of any bytes gives a record or a
//! [`Damage`], and takes memory in proportion to the bytes that are there.

mod consumers;
pub(crate) mod kind;
mod moves;

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::{
    Body, ConsumerNumber, LaneSequence, Message, MoveAttempt, Position, ReplyCode, ReplySecret, RequestId,
    Terms,
};

use crate::fields::{Damage, Put, Take, total};
use crate::record::{LaneTargets, Record};

/// Writes kind and fields of a PUBLISH without its queues, which end it: more may be added. Gives the bytes
/// that stay beside. hot.
pub(crate) fn encode_publish(message: Message<'_>, own: &mut Vec<u8>, beside: &mut Vec<Bytes>) -> usize {
    own.u8(kind::PUBLISH);
    own.u32(match message.body {
        Body::Flat(bytes) => bytes.len() as u32,
        Body::Chunks(_) => 0,
    });
    encode_message(message, own, beside)
}

/// Bytes of a message's lengths and terms, in front of its address.
const MESSAGE_HEAD_BYTES: usize = 2 + 4 + Terms::BYTES;

/// Writes a message's fields; gives the bytes that stay beside. hot.
pub(crate) fn encode_message(message: Message<'_>, own: &mut Vec<u8>, beside: &mut Vec<Bytes>) -> usize {
    // two short strings (AMQP 0-9-1 §4.2.5.3) are 512 bytes at most
    assert!(message.address.len() <= usize::from(u16::MAX), "an address is two short strings");
    // put together first: one append
    let mut head = [0; MESSAGE_HEAD_BYTES];
    head[..2].copy_from_slice(&(message.address.len() as u16).to_le_bytes());
    head[2..6].copy_from_slice(&(message.header.len() as u32).to_le_bytes());
    head[6..].copy_from_slice(&message.terms.to_bytes());
    own.raw(&head);
    own.raw(message.address);
    own.raw(message.header);
    match message.body {
        Body::Flat(bytes) => {
            own.raw(bytes);
            0
        }
        Body::Chunks(chunks) => {
            beside.extend(chunks.iter().filter(|chunk| !chunk.is_empty()).cloned());
            total(chunks)
        }
    }
}

/// Writes kind and fields; gives the bytes that stay beside the own ones.
pub(crate) fn encode(record: &Record<'_>, own: &mut Vec<u8>, beside: &mut Vec<Bytes>) -> usize {
    match record {
        Record::Publish { message, targets } => {
            let body = encode_publish(*message, own, beside);
            own.raw(targets.as_bytes());
            return body;
        }
        Record::Deliver { queue, channel, consumer, position, redelivered, message } => {
            own.u8(kind::DELIVER);
            own.queue(*queue);
            own.channel(*channel);
            own.u32(consumer.0);
            own.u64(position.0);
            own.flag(*redelivered);
            return encode_message(*message, own, beside);
        }
        Record::Got { request, position, redelivered, remaining, message } => {
            request_only(own, kind::GOT, *request);
            own.u64(position.0);
            own.flag(*redelivered);
            own.u64(*remaining);
            return encode_message(*message, own, beside);
        }
        Record::MoveMessage { queue, attempt, position, state, rule, message } => {
            moves::encode_message_head(own, (*queue, *attempt), *position, *state);
            moves::put_rule(own, *rule);
            return encode_message(*message, own, beside);
        }
        Record::CopyMessage { queue, attempt, position, rule, message } => {
            moves::encode_copy_head(own, (*queue, *attempt), *position);
            moves::put_rule(own, *rule);
            return encode_message(*message, own, beside);
        }
        Record::Reply { to, message } => {
            own.u8(kind::REPLY);
            own.u128(to.0);
            return encode_message(*message, own, beside);
        }
        record => encode_without_body(record, own),
    }
    0
}

/// The kinds that carry no message.
fn encode_without_body(record: &Record<'_>, own: &mut Vec<u8>) {
    let queue_only = |own: &mut Vec<u8>, kind, queue| {
        own.u8(kind);
        own.queue(queue);
    };
    match record {
        Record::Stored { queue, through } => {
            queue_only(own, kind::STORED, *queue);
            own.u64(through.0);
        }
        Record::Gap { queue, after } => {
            queue_only(own, kind::GAP, *queue);
            own.u64(after.0);
        }
        Record::Gone { queue } => queue_only(own, kind::GONE, *queue),
        Record::PublishRefused { queue, sequence } => {
            queue_only(own, kind::PUBLISH_REFUSED, *queue);
            own.u64(sequence.0);
        }
        Record::Throttle { queue, on } => {
            queue_only(own, kind::THROTTLE, *queue);
            own.flag(*on);
        }
        Record::Purge { request, queue } => {
            request_only(own, kind::PURGE, *request);
            own.queue(*queue);
        }
        Record::Inspect { request, queue } => {
            request_only(own, kind::INSPECT, *request);
            own.queue(*queue);
        }
        Record::Counts { .. }
        | Record::Empty { .. }
        | Record::Done { .. }
        | Record::NotNow { .. }
        | Record::FindReplyAddress { .. }
        | Record::ReplyAddressFound { .. }
        | Record::Refused { .. } => encode_answer(record, own),
        Record::Sessions { part, records } => {
            own.u8(kind::SESSIONS);
            own.u8(*part);
            own.raw(records);
        }
        Record::Grant { records, bytes } => {
            own.u8(kind::GRANT);
            own.u32(*records);
            own.u64(*bytes);
        }
        Record::Subscribe { .. }
        | Record::Unsubscribe { .. }
        | Record::Credit { .. }
        | Record::Settle { .. }
        | Record::Cancelled { .. }
        | Record::Resubscribe { .. }
        | Record::ResubscribeEnd
        | Record::Get { .. } => consumers::encode(record, own),
        Record::Move { queue, attempt, part } => moves::encode(own, *queue, *attempt, part),
        Record::ResubscribeQueueEnd { queue } => queue_only(own, kind::RESUBSCRIBE_QUEUE_END, *queue),
        // spelled out, so that a new kind does not compile before it has its bytes
        Record::Publish { .. }
        | Record::Deliver { .. }
        | Record::Got { .. }
        | Record::MoveMessage { .. }
        | Record::CopyMessage { .. }
        | Record::Reply { .. }
        | Record::Unknown { .. } => {
            unreachable!("these carry a message and are written by the caller, or are never written")
        }
    }
}

/// What a home answers, but for the message of a get; and the question for a consumer of replies.
fn encode_answer(record: &Record<'_>, own: &mut Vec<u8>) {
    match record {
        Record::Counts { request, messages, consumers } => {
            request_only(own, kind::COUNTS, *request);
            own.u64(*messages);
            own.u32(*consumers);
        }
        Record::Empty { request } => request_only(own, kind::EMPTY, *request),
        Record::Done { request } => request_only(own, kind::DONE, *request),
        Record::NotNow { request } => request_only(own, kind::NOT_NOW, *request),
        Record::FindReplyAddress { request, to } => {
            request_only(own, kind::FIND_REPLY_ADDRESS, *request);
            own.u128(to.0);
        }
        Record::ReplyAddressFound { request, found } => {
            request_only(own, kind::REPLY_ADDRESS_FOUND, *request);
            own.flag(*found);
        }
        Record::Refused { request, code, text } => {
            request_only(own, kind::REFUSED, *request);
            own.u16(code.code());
            own.raw(text.as_bytes());
        }
        _ => unreachable!("the caller passes answers alone"),
    }
}

fn request_only(own: &mut Vec<u8>, kind: u8, request: RequestId) {
    own.u8(kind);
    own.u64(request.0);
}

/// Reads kind and fields. `beside` are the slices of the body, empty if it is in `own` or there is none. hot.
///
/// # Errors
/// [`Damage`] if the bytes are no record.
pub(crate) fn decode<'a>(own: &'a [u8], beside: &'a [Bytes]) -> Result<Record<'a>, Damage> {
    let mut take = Take::new(own);
    let kind = take.u8()?;
    let record = match kind {
        kind::PUBLISH => {
            let (message, targets) = decode_publish(&mut take, beside)?;
            Record::Publish { message, targets }
        }
        kind::DELIVER => Record::Deliver {
            queue: take.queue()?,
            channel: take.channel()?,
            consumer: ConsumerNumber(take.u32()?),
            position: Position(take.u64()?),
            redelivered: take.flag()?,
            message: take_message(&mut take, beside, None)?,
        },
        kind::GOT => Record::Got {
            request: RequestId(take.u64()?),
            position: Position(take.u64()?),
            redelivered: take.flag()?,
            remaining: take.u64()?,
            message: take_message(&mut take, beside, None)?,
        },
        kind::MOVE_MESSAGE => Record::MoveMessage {
            queue: take.queue()?,
            attempt: MoveAttempt(take.u64()?),
            position: Position(take.u64()?),
            state: moves::take_state(&mut take)?,
            rule: moves::take_rule(&mut take)?,
            message: take_message(&mut take, beside, None)?,
        },
        kind::COPY_MESSAGE => Record::CopyMessage {
            queue: take.queue()?,
            attempt: MoveAttempt(take.u64()?),
            position: Position(take.u64()?),
            rule: moves::take_rule(&mut take)?,
            message: take_message(&mut take, beside, None)?,
        },
        kind::REPLY => {
            Record::Reply { to: ReplySecret(take.u128()?), message: take_message(&mut take, beside, None)? }
        }
        // its sender may put anything there; the head says how long it is
        unknown if kind::is_unknown(unknown) => return Ok(Record::Unknown { kind: unknown }),
        _ if !beside.is_empty() => return Err(Damage::Value("body")),
        _ => decode_without_body(kind, &mut take)?,
    };
    take.end()?;
    Ok(record)
}

/// What follows the kind of a PUBLISH. hot.
#[inline]
pub(crate) fn decode_publish<'a>(
    take: &mut Take<'a>,
    beside: &'a [Bytes],
) -> Result<(Message<'a>, LaneTargets<'a>), Damage> {
    let flat = take.u32()? as usize;
    let message = take_message(take, beside, Some(flat))?;
    Ok((message, LaneTargets::read(take.rest())?))
}

/// The kinds that carry no message.
fn decode_without_body<'a>(kind: u8, take: &mut Take<'a>) -> Result<Record<'a>, Damage> {
    Ok(match kind {
        kind::STORED => Record::Stored { queue: take.queue()?, through: LaneSequence(take.u64()?) },
        kind::GAP => Record::Gap { queue: take.queue()?, after: LaneSequence(take.u64()?) },
        kind::GONE => Record::Gone { queue: take.queue()? },
        kind::PUBLISH_REFUSED => {
            Record::PublishRefused { queue: take.queue()?, sequence: LaneSequence(take.u64()?) }
        }
        kind::THROTTLE => Record::Throttle { queue: take.queue()?, on: take.flag()? },
        kind::PURGE => Record::Purge { request: RequestId(take.u64()?), queue: take.queue()? },
        kind::INSPECT => Record::Inspect { request: RequestId(take.u64()?), queue: take.queue()? },
        kind::COUNTS => {
            Record::Counts { request: RequestId(take.u64()?), messages: take.u64()?, consumers: take.u32()? }
        }
        kind::EMPTY => Record::Empty { request: RequestId(take.u64()?) },
        kind::DONE => Record::Done { request: RequestId(take.u64()?) },
        kind::NOT_NOW => Record::NotNow { request: RequestId(take.u64()?) },
        kind::FIND_REPLY_ADDRESS => {
            Record::FindReplyAddress { request: RequestId(take.u64()?), to: ReplySecret(take.u128()?) }
        }
        kind::REPLY_ADDRESS_FOUND => {
            Record::ReplyAddressFound { request: RequestId(take.u64()?), found: take.flag()? }
        }
        kind::SESSIONS => Record::Sessions { part: take.u8()?, records: take.rest() },
        kind::REFUSED => Record::Refused {
            request: RequestId(take.u64()?),
            code: ReplyCode::from_code(take.u16()?).ok_or(Damage::Value("reply code"))?,
            text: core::str::from_utf8(take.rest())
                .map(String::from)
                .map_err(|_| Damage::Value("reply text"))?,
        },
        kind::GRANT => Record::Grant { records: take.u32()?, bytes: take.u64()? },
        kind::MOVE => moves::decode(take)?,
        kind::RESUBSCRIBE_QUEUE_END => Record::ResubscribeQueueEnd { queue: take.queue()? },
        _ => consumers::decode(kind, take)?,
    })
}

/// A message whose flat body has so many bytes, or all that are left. hot.
fn take_message<'a>(
    take: &mut Take<'a>,
    beside: &'a [Bytes],
    flat: Option<usize>,
) -> Result<Message<'a>, Damage> {
    let head: [u8; MESSAGE_HEAD_BYTES] = take.array()?;
    let [a0, a1, h0, h1, h2, h3, terms @ ..] = head;
    let address_bytes = u16::from_le_bytes([a0, a1]).into();
    let header_bytes = u32::from_le_bytes([h0, h1, h2, h3]) as usize;
    let terms = Terms::from_bytes(terms).ok_or(Damage::Value("terms"))?;
    let address = take.bytes(address_bytes)?;
    let header = take.bytes(header_bytes)?;
    let body = match flat {
        // a body beside leaves nothing here, and `end` refuses what is left nevertheless
        _ if !beside.is_empty() => Body::Chunks(beside),
        Some(bytes) => Body::Flat(take.bytes(bytes)?),
        None => Body::Flat(take.rest()),
    };
    Ok(Message { address, header, body, terms })
}
