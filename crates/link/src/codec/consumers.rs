//! The records that speak of one consumer, or of all of a shard.

use alloc::vec::Vec;

use leveret_model::{ConsumerNumber, ConsumerTerms, Position, RequestId, Settlement, Unread};

use super::kind;
use crate::fields::{Damage, Put, Take};
use crate::record::{HeldDelivery, NamedConsumer, Record, RemoteConsumer};

/// On the link, the request of one that wants no answer: shards count their requests from 1.
const UNANSWERED: u64 = 0;
/// Bytes of a consumer.
pub(super) const TERMS_BYTES: usize = 14 + 4 + 1 + 1 + 2 + 4;
/// Bytes of one consumer in a RESUBSCRIBE.
const CONSUMER_BYTES: usize = TERMS_BYTES + 4 + 8;
/// Bytes of one held delivery in a RESUBSCRIBE.
const HELD_BYTES: usize = 14 + 4 + 8;

/// Writes kind and fields.
pub(super) fn encode(record: &Record<'_>, own: &mut Vec<u8>) {
    match record {
        Record::Subscribe { request, queue, consumer } => {
            own.u8(kind::SUBSCRIBE);
            own.u64(request.0);
            own.queue(*queue);
            put_consumer(own, consumer);
        }
        Record::Unsubscribe { request, queue, channel, consumer } => {
            own.u8(kind::UNSUBSCRIBE);
            own.u64(request.map_or(UNANSWERED, |request| request.0));
            own.queue(*queue);
            own.channel(*channel);
            own.u32(consumer.0);
        }
        Record::Credit { queue, channel, consumer, messages, bytes } => {
            own.u8(kind::CREDIT);
            own.queue(*queue);
            own.channel(*channel);
            own.u32(consumer.0);
            own.u32(*messages);
            own.u64(*bytes);
        }
        Record::Settle { queue, channel, consumer, position, how } => {
            own.u8(kind::SETTLE);
            own.queue(*queue);
            own.channel(*channel);
            own.u32(consumer.0);
            own.u64(position.0);
            own.u8(match how {
                Settlement::Ack => 1,
                Settlement::Requeue => 2,
                Settlement::Reject => 3,
            });
        }
        Record::Cancelled { queue, channel, consumer } => {
            own.u8(kind::CANCELLED);
            own.queue(*queue);
            own.channel(*channel);
            own.u32(consumer.0);
        }
        Record::Resubscribe { queue, consumers, held } => {
            own.u8(kind::RESUBSCRIBE);
            own.queue(*queue);
            own.u32(consumers.len() as u32);
            for NamedConsumer { consumer, unread } in consumers {
                put_consumer(own, consumer);
                own.u32(unread.messages);
                own.u64(unread.bytes);
            }
            own.u32(held.len() as u32);
            for delivery in held {
                own.channel(delivery.channel);
                own.u32(delivery.consumer.0);
                own.u64(delivery.position.0);
            }
        }
        Record::ResubscribeEnd => own.u8(kind::RESUBSCRIBE_END),
        Record::Get { request, queue, channel, no_ack } => {
            own.u8(kind::GET);
            own.u64(request.0);
            own.queue(*queue);
            own.channel(*channel);
            own.flag(*no_ack);
        }
        _ => unreachable!("the caller writes the other kinds"),
    }
}

pub(super) fn put_consumer(own: &mut Vec<u8>, consumer: &RemoteConsumer) {
    let ConsumerTerms { no_ack, exclusive, prefetch, priority } = consumer.terms;
    own.channel(consumer.channel);
    own.u32(consumer.number.0);
    own.flag(no_ack);
    own.flag(exclusive);
    own.u16(prefetch);
    own.u32(priority.cast_unsigned());
}

pub(super) fn take_consumer(take: &mut Take<'_>) -> Result<RemoteConsumer, Damage> {
    Ok(RemoteConsumer {
        channel: take.channel()?,
        number: ConsumerNumber(take.u32()?),
        terms: ConsumerTerms {
            no_ack: take.flag()?,
            exclusive: take.flag()?,
            prefetch: take.u16()?,
            priority: take.u32()?.cast_signed(),
        },
    })
}

/// Reads the fields of a kind that nobody else knows.
pub(super) fn decode<'a>(kind: u8, take: &mut Take<'a>) -> Result<Record<'a>, Damage> {
    Ok(match kind {
        kind::SUBSCRIBE => Record::Subscribe {
            request: RequestId(take.u64()?),
            queue: take.queue()?,
            consumer: take_consumer(take)?,
        },
        kind::UNSUBSCRIBE => Record::Unsubscribe {
            request: Some(take.u64()?).filter(|request| *request != UNANSWERED).map(RequestId),
            queue: take.queue()?,
            channel: take.channel()?,
            consumer: ConsumerNumber(take.u32()?),
        },
        kind::CREDIT => Record::Credit {
            queue: take.queue()?,
            channel: take.channel()?,
            consumer: ConsumerNumber(take.u32()?),
            messages: take.u32()?,
            bytes: take.u64()?,
        },
        kind::SETTLE => Record::Settle {
            queue: take.queue()?,
            channel: take.channel()?,
            consumer: ConsumerNumber(take.u32()?),
            position: Position(take.u64()?),
            how: match take.u8()? {
                1 => Settlement::Ack,
                2 => Settlement::Requeue,
                3 => Settlement::Reject,
                _ => return Err(Damage::Value("settlement")),
            },
        },
        kind::CANCELLED => Record::Cancelled {
            queue: take.queue()?,
            channel: take.channel()?,
            consumer: ConsumerNumber(take.u32()?),
        },
        kind::RESUBSCRIBE => Record::Resubscribe {
            queue: take.queue()?,
            consumers: {
                let count = take.count(CONSUMER_BYTES)?;
                (0..count).map(|_| take_named(take)).collect::<Result<_, _>>()?
            },
            held: {
                let count = take.count(HELD_BYTES)?;
                (0..count).map(|_| take_held(take)).collect::<Result<_, _>>()?
            },
        },
        kind::RESUBSCRIBE_END => Record::ResubscribeEnd,
        kind::GET => Record::Get {
            request: RequestId(take.u64()?),
            queue: take.queue()?,
            channel: take.channel()?,
            no_ack: take.flag()?,
        },
        unknown => return Err(Damage::Kind(unknown)),
    })
}

fn take_named(take: &mut Take<'_>) -> Result<NamedConsumer, Damage> {
    let consumer = take_consumer(take)?;
    let unread = Unread { messages: take.u32()?, bytes: take.u64()? };
    Ok(NamedConsumer { consumer, unread })
}

fn take_held(take: &mut Take<'_>) -> Result<HeldDelivery, Damage> {
    Ok(HeldDelivery {
        channel: take.channel()?,
        consumer: ConsumerNumber(take.u32()?),
        position: Position(take.u64()?),
    })
}
