//! The records of a queue that moves to another home.

use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::{
    Boot, ConsumerKey, ConsumerNumber, LaneSequence, MessageRule, MessageState, MoveAttempt, Position,
    QueueId, ShardAddress, ShardId,
};

use super::consumers::{TERMS_BYTES, put_consumer, take_consumer};
use super::kind;
use crate::fields::{Damage, Put, Take};
use crate::record::{ListedRun, MovePart, MoveRefused, MovedConsumer, MovedLane, Record};

/// Bytes of a shard's address.
const ADDRESS_BYTES: usize = 16 + 1;
/// Bytes of one consumer.
const CONSUMER_BYTES: usize = ADDRESS_BYTES + TERMS_BYTES;
/// Bytes of one lane.
const LANE_BYTES: usize = ADDRESS_BYTES + 8 + 8;

/// Bytes of a run of listed messages, at least.
const RUN_BYTES_MIN: usize = 8 + 4 + 1 + 1;

/// The number of each part on the link; never given to another one.
mod part {
    pub(super) const FENCE: u8 = 1;
    pub(super) const FENCED: u8 = 2;
    pub(super) const UNFENCE: u8 = 3;
    pub(super) const CONSUMERS: u8 = 4;
    pub(super) const LANES: u8 = 5;
    pub(super) const END: u8 = 6;
    pub(super) const TAKEN: u8 = 7;
    pub(super) const RULED: u8 = 8;
    pub(super) const PIECE: u8 = 9;
    pub(super) const PIECE_TAKEN: u8 = 10;
    pub(super) const REFUSED: u8 = 11;
    pub(super) const LISTED: u8 = 12;
}

/// Kind and fields of a message, but for the message.
pub(super) fn encode_message_head(
    own: &mut Vec<u8>,
    (queue, attempt): (QueueId, MoveAttempt),
    position: Position,
    state: MessageState,
) {
    own.u8(kind::MOVE_MESSAGE);
    own.queue(queue);
    own.u64(attempt.0);
    own.u64(position.0);
    put_state(own, state);
}

/// The same of a copy.
pub(super) fn encode_copy_head(
    own: &mut Vec<u8>,
    (queue, attempt): (QueueId, MoveAttempt),
    position: Position,
) {
    own.u8(kind::COPY_MESSAGE);
    own.queue(queue);
    own.u64(attempt.0);
    own.u64(position.0);
}

fn put_state(own: &mut Vec<u8>, state: MessageState) {
    match state {
        MessageState::Fresh => own.u8(1),
        MessageState::Returned => own.u8(2),
        MessageState::Held(holder) => {
            own.u8(3);
            put_address(own, holder.at);
            own.channel(holder.channel);
            own.u32(holder.number.0);
        }
    }
}

pub(super) fn take_state(take: &mut Take<'_>) -> Result<MessageState, Damage> {
    Ok(match take.u8()? {
        1 => MessageState::Fresh,
        2 => MessageState::Returned,
        3 => MessageState::Held(ConsumerKey {
            at: take_address(take)?,
            channel: take.channel()?,
            number: ConsumerNumber(take.u32()?),
        }),
        _ => return Err(Damage::Value("state of a message")),
    })
}

/// Microseconds of a message that does not expire.
const NEVER: u64 = u64::MAX;

pub(super) fn put_rule(own: &mut Vec<u8>, rule: Option<MessageRule>) {
    own.flag(rule.is_some());
    if let Some(MessageRule { left, level, returns }) = rule {
        own.u64(left.map_or(NEVER, |left| u64::try_from(left.as_micros()).unwrap_or(NEVER - 1)));
        own.u8(level);
        own.u32(returns);
    }
}

pub(super) fn take_rule(take: &mut Take<'_>) -> Result<Option<MessageRule>, Damage> {
    if !take.flag()? {
        return Ok(None);
    }
    let left = Some(take.u64()?).filter(|left| *left != NEVER).map(Duration::from_micros);
    Ok(Some(MessageRule { left, level: take.u8()?, returns: take.u32()? }))
}

/// Writes kind and fields.
pub(super) fn encode(own: &mut Vec<u8>, queue: QueueId, attempt: MoveAttempt, part: &MovePart) {
    own.u8(kind::MOVE);
    own.queue(queue);
    own.u64(attempt.0);
    match part {
        MovePart::Fence => own.u8(part::FENCE),
        MovePart::Fenced => own.u8(part::FENCED),
        MovePart::Unfence => own.u8(part::UNFENCE),
        MovePart::Consumers(consumers) => {
            own.u8(part::CONSUMERS);
            own.u32(consumers.len() as u32);
            for MovedConsumer { at, consumer } in consumers {
                put_address(own, *at);
                put_consumer(own, consumer);
            }
        }
        MovePart::Lanes(lanes) => {
            own.u8(part::LANES);
            own.u32(lanes.len() as u32);
            for lane in lanes {
                put_address(own, lane.ingress);
                own.u64(lane.boot.0);
                own.u64(lane.last.0);
            }
        }
        MovePart::End { messages, next } => {
            own.u8(part::END);
            own.u64(*messages);
            own.u64(next.0);
        }
        MovePart::Taken => own.u8(part::TAKEN),
        MovePart::Ruled(from) => {
            own.u8(part::RULED);
            own.u64(from.0);
        }
        MovePart::Piece(number) => {
            own.u8(part::PIECE);
            own.u64(*number);
        }
        MovePart::PieceTaken(number) => {
            own.u8(part::PIECE_TAKEN);
            own.u64(*number);
        }
        MovePart::Refused(why) => {
            own.u8(part::REFUSED);
            own.u8(match why {
                MoveRefused::Unfit => 1,
                MoveRefused::NoMemory => 2,
            });
        }
        MovePart::Listed(runs) => {
            own.u8(part::LISTED);
            own.u32(runs.len() as u32);
            for run in runs {
                own.u64(run.from.0);
                own.u32(run.count);
                put_state(own, run.state);
                own.flag(run.returns.is_some());
                run.returns.into_iter().for_each(|returns| own.u32(returns));
            }
        }
    }
}

/// Reads the fields.
pub(super) fn decode<'a>(take: &mut Take<'_>) -> Result<Record<'a>, Damage> {
    let (queue, attempt) = (take.queue()?, MoveAttempt(take.u64()?));
    let part = match take.u8()? {
        part::FENCE => MovePart::Fence,
        part::FENCED => MovePart::Fenced,
        part::UNFENCE => MovePart::Unfence,
        part::CONSUMERS => {
            let count = take.count(CONSUMER_BYTES)?;
            let consumer = |_| Ok(MovedConsumer { at: take_address(take)?, consumer: take_consumer(take)? });
            MovePart::Consumers((0..count).map(consumer).collect::<Result<_, Damage>>()?)
        }
        part::LANES => {
            let count = take.count(LANE_BYTES)?;
            MovePart::Lanes((0..count).map(|_| take_lane(take)).collect::<Result<_, _>>()?)
        }
        part::END => MovePart::End { messages: take.u64()?, next: Position(take.u64()?) },
        part::TAKEN => MovePart::Taken,
        part::RULED => MovePart::Ruled(Position(take.u64()?)),
        part::PIECE => MovePart::Piece(take.u64()?),
        part::PIECE_TAKEN => MovePart::PieceTaken(take.u64()?),
        part::REFUSED => MovePart::Refused(match take.u8()? {
            1 => MoveRefused::Unfit,
            2 => MoveRefused::NoMemory,
            _ => return Err(Damage::Value("why a move is off")),
        }),
        part::LISTED => {
            let count = take.count(RUN_BYTES_MIN)?;
            MovePart::Listed((0..count).map(|_| take_run(take)).collect::<Result<_, _>>()?)
        }
        _ => return Err(Damage::Value("part of a move")),
    };
    Ok(Record::Move { queue, attempt, part })
}

fn take_lane(take: &mut Take<'_>) -> Result<MovedLane, Damage> {
    Ok(MovedLane { ingress: take_address(take)?, boot: Boot(take.u64()?), last: LaneSequence(take.u64()?) })
}

fn take_run(take: &mut Take<'_>) -> Result<ListedRun, Damage> {
    let (from, count) = (Position(take.u64()?), take.u32()?);
    let state = take_state(take)?;
    let returns = if take.flag()? { Some(take.u32()?) } else { None };
    Ok(ListedRun { from, count, state, returns })
}

fn put_address(own: &mut Vec<u8>, address: ShardAddress) {
    own.node(address.node);
    own.u8(address.shard.0);
}

fn take_address(take: &mut Take<'_>) -> Result<ShardAddress, Damage> {
    Ok(ShardAddress { node: take.node()?, shard: ShardId(take.u8()?) })
}
