mod kinds;
mod moves;
mod publish;
mod replies;

use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use leveret_model::{
    Body, ChannelNumber, ConnectionKey, ConsumerTerms, LaneSequence, Message, ReplyCode, RequestId,
    Settlement, Terms, Ulid, Unread,
};

use super::*;
use crate::record::{HeldDelivery, LaneTargets, NamedConsumer, RemoteConsumer};

fn queue() -> impl Strategy<Value = QueueId> {
    any::<(u32, u128)>().prop_map(|(generation, ulid)| QueueId { generation, ulid: Ulid(ulid) })
}

fn channel() -> impl Strategy<Value = ChannelKey> {
    any::<(u32, u32, u16, u32)>().prop_map(|(slot, generation, number, opening)| ChannelKey {
        connection: ConnectionKey { slot, generation },
        number: ChannelNumber(number),
        generation: opening,
    })
}

fn remote() -> impl Strategy<Value = RemoteConsumer> {
    (channel(), any::<(u32, bool, bool, u16, i32)>()).prop_map(
        |(channel, (number, no_ack, exclusive, prefetch, priority))| RemoteConsumer {
            channel,
            number: ConsumerNumber(number),
            terms: ConsumerTerms { no_ack, exclusive, prefetch, priority },
        },
    )
}

fn named() -> impl Strategy<Value = NamedConsumer> {
    (remote(), any::<(u32, u64)>()).prop_map(|(consumer, (messages, bytes))| NamedConsumer {
        consumer,
        unread: Unread { messages, bytes },
    })
}

fn held() -> impl Strategy<Value = HeldDelivery> {
    (channel(), any::<(u32, u64)>()).prop_map(|(channel, (consumer, position))| HeldDelivery {
        channel,
        consumer: ConsumerNumber(consumer),
        position: Position(position),
    })
}

fn target() -> impl Strategy<Value = LaneTarget> {
    (queue(), any::<(u64, u64)>()).prop_map(|(queue, (sequence, base))| LaneTarget {
        queue,
        sequence: LaneSequence(sequence),
        base: LaneSequence(base),
    })
}

fn row(targets: &[LaneTarget]) -> LaneTargets<'static> {
    let bytes: Vec<u8> = targets.iter().flat_map(|target| target.to_bytes()).collect();
    LaneTargets::read(bytes.leak()).unwrap()
}

/// The publish with this number on the lane of a queue.
pub(crate) fn publish(sequence: u64) -> LaneTarget {
    LaneTarget { queue: QueueId::default(), sequence: LaneSequence(sequence), base: LaneSequence(1) }
}

fn message() -> impl Strategy<Value = Message<'static>> {
    let flat = prop::collection::vec(any::<u8>(), 0..64).prop_map(|bytes| Body::Flat(bytes.leak()));
    let piece = prop::collection::vec(any::<u8>(), 1..32).prop_map(Bytes::from);
    let chunks = prop::collection::vec(piece, 1..4).prop_map(|chunks| Body::Chunks(chunks.leak()));
    let terms = (any::<bool>(), any::<u8>(), any::<Option<u64>>())
        .prop_map(|(persistent, priority, expiration_ms)| Terms::new(persistent, priority, expiration_ms));
    let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| &*bytes.leak());
    (bytes(), bytes(), prop_oneof![flat, chunks], terms).prop_map(|(address, header, body, terms)| Message {
        address,
        header,
        body,
        terms,
    })
}

fn consumer_record() -> impl Strategy<Value = Record<'static>> {
    let settle = prop_oneof![Just(Settlement::Ack), Just(Settlement::Requeue), Just(Settlement::Reject)];
    let request = || any::<u64>().prop_map(RequestId);
    let answered = prop::option::of((1..=u64::MAX).prop_map(RequestId));
    let consumer = || any::<u32>().prop_map(ConsumerNumber);
    prop_oneof![
        (request(), queue(), remote()).prop_map(|(request, queue, consumer)| Record::Subscribe {
            request,
            queue,
            consumer
        }),
        (answered, queue(), channel(), consumer()).prop_map(|(request, queue, channel, consumer)| {
            Record::Unsubscribe { request, queue, channel, consumer }
        }),
        (queue(), channel(), consumer(), any::<(u32, u64)>()).prop_map(
            |(queue, channel, consumer, (messages, bytes))| Record::Credit {
                queue,
                channel,
                consumer,
                messages,
                bytes
            }
        ),
        (queue(), channel(), consumer(), any::<u64>(), settle).prop_map(
            |(queue, channel, consumer, position, how)| Record::Settle {
                queue,
                channel,
                consumer,
                position: Position(position),
                how
            }
        ),
        (queue(), channel(), consumer()).prop_map(|(queue, channel, consumer)| Record::Cancelled {
            queue,
            channel,
            consumer
        }),
        (queue(), prop::collection::vec(named(), 0..5), prop::collection::vec(held(), 0..5))
            .prop_map(|(queue, consumers, held)| Record::Resubscribe { queue, consumers, held }),
        Just(Record::ResubscribeEnd),
        (request(), queue(), channel(), any::<bool>())
            .prop_map(|(request, queue, channel, no_ack)| Record::Get { request, queue, channel, no_ack }),
    ]
}

fn plain_record() -> impl Strategy<Value = Record<'static>> {
    let request = || any::<u64>().prop_map(RequestId);
    let lane = || any::<u64>().prop_map(LaneSequence);
    let code = prop::sample::select(ReplyCode::ALL);
    prop_oneof![
        (queue(), lane()).prop_map(|(queue, through)| Record::Stored { queue, through }),
        (queue(), lane()).prop_map(|(queue, after)| Record::Gap { queue, after }),
        queue().prop_map(|queue| Record::Gone { queue }),
        (queue(), any::<bool>()).prop_map(|(queue, on)| Record::Throttle { queue, on }),
        (queue(), lane()).prop_map(|(queue, sequence)| Record::PublishRefused { queue, sequence }),
        (request(), queue()).prop_map(|(request, queue)| Record::Purge { request, queue }),
        (request(), queue()).prop_map(|(request, queue)| Record::Inspect { request, queue }),
        (request(), any::<(u64, u32)>()).prop_map(|(request, (messages, consumers))| Record::Counts {
            request,
            messages,
            consumers
        }),
        request().prop_map(|request| Record::Empty { request }),
        request().prop_map(|request| Record::Done { request }),
        request().prop_map(|request| Record::NotNow { request }),
        any::<u8>().prop_map(|part| Record::Sessions { part, records: b"records of sessions" }),
        (request(), code, any::<String>()).prop_map(|(request, code, text)| Record::Refused {
            request,
            code,
            text
        }),
        any::<(u32, u64)>().prop_map(|(records, bytes)| Record::Grant { records, bytes }),
    ]
}

fn message_record() -> impl Strategy<Value = Record<'static>> {
    let numbers = any::<(u64, u64, u32, bool)>();
    prop_oneof![
        (message(), prop::collection::vec(target(), 1..4))
            .prop_map(|(message, targets)| Record::Publish { message, targets: row(&targets) }),
        (queue(), channel(), numbers, message()).prop_map(
            |(queue, channel, (position, _, consumer, redelivered), message)| Record::Deliver {
                queue,
                channel,
                consumer: ConsumerNumber(consumer),
                position: Position(position),
                redelivered,
                message
            }
        ),
        (numbers, any::<u64>(), message()).prop_map(
            |((request, remaining, _, redelivered), position, message)| {
                Record::Got {
                    request: RequestId(request),
                    position: Position(position),
                    redelivered,
                    remaining,
                    message,
                }
            }
        ),
    ]
}

pub(crate) fn record() -> impl Strategy<Value = Record<'static>> {
    prop_oneof![consumer_record(), plain_record(), message_record(), moves::move_record(), replies::record()]
}

pub(crate) fn built(records: &[Record<'_>]) -> Batch {
    let mut batch = Batch::new();
    for record in records {
        batch.push(record);
    }
    batch
}

fn on_the_link(batch: Batch) -> Bytes {
    let (head, own, beside) = batch.into_parts();
    let mut all = head.to_vec();
    all.extend_from_slice(&own);
    for chunk in beside {
        all.extend_from_slice(&chunk);
    }
    all.into()
}

/// A link joins the slices of one body; everything else is equal.
pub(crate) fn joined(mut record: Record<'_>) -> Record<'_> {
    if let Record::Publish { message, .. }
    | Record::Deliver { message, .. }
    | Record::Got { message, .. }
    | Record::MoveMessage { message, .. }
    | Record::CopyMessage { message, .. }
    | Record::Reply { message, .. } = &mut record
        && let Body::Chunks(chunks) = &mut message.body
    {
        *chunks = vec![Bytes::from(chunks.concat())].leak();
    }
    record
}

fn read(batch: &Batch) -> Vec<Record<'_>> {
    batch.iter().collect::<Result<_, _>>().expect("undamaged")
}

proptest! {
    #[test]
    fn records_come_out_of_a_ring_as_they_went_in(records in prop::collection::vec(record(), 0..12)) {
        let batch = built(&records);
        prop_assert_eq!(batch.records() as usize, records.len());
        prop_assert_eq!(read(&batch), records);
    }

    #[test]
    fn records_come_out_of_a_link_as_they_went_in(records in prop::collection::vec(record(), 0..12)) {
        let batch = built(&records);
        let (cost, bytes) = (batch.cost(), batch.len_bytes());
        let payload = on_the_link(batch);
        let back = Batch::parse(&payload).unwrap();
        prop_assert_eq!((back.cost(), back.len_bytes(), back.records() as usize), (cost, bytes, records.len()));
        prop_assert_eq!(read(&back), records.into_iter().map(joined).collect::<Vec<_>>());
        prop_assert_eq!(on_the_link(back), payload);
    }

    #[test]
    fn pieces_split_off_under_any_credit_are_the_batch(
        records in prop::collection::vec(record(), 1..20),
        rooms in prop::collection::vec((1..4u32, 1..200u64), 1..8),
        received in any::<bool>(),
    ) {
        let mut batch = built(&records);
        if received {
            batch = Batch::parse(&on_the_link(batch)).unwrap();
        }
        let whole = batch.cost();
        let (mut sum, mut seen) = (Cost::NONE, Vec::new());
        for (records, bytes) in rooms.iter().copied().cycle() {
            let room = Cost { records, bytes };
            let piece = batch.split_to(room);
            prop_assert!(!piece.is_empty());
            prop_assert!(piece.cost().records <= room.records);
            prop_assert_eq!(read(&piece).len(), piece.records() as usize);
            let counted: u64 = piece.cost().bytes;
            let grants = piece.iter().filter(|record| matches!(record, Ok(Record::Grant { .. }))).count();
            prop_assert_eq!(piece.len_bytes() as u64, counted + grants as u64 * 21);
            sum = sum.plus(piece.cost());
            seen.extend(read(&piece).into_iter().map(|record| std::format!("{:?}", joined(record))));
            if batch.is_empty() {
                break;
            }
        }
        prop_assert_eq!(sum, whole);
        prop_assert_eq!(seen, records.into_iter().map(|r| std::format!("{:?}", joined(r))).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_are_a_batch_or_damage(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(batch) = Batch::parse(&Bytes::from(bytes)) {
            batch.iter().for_each(drop);
        }
    }

    #[test]
    fn any_bytes_behind_a_true_head_are_records_or_damage(
        kind in 0..=kind::LAST,
        fields in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut own = ((fields.len() + 1) as u32).to_le_bytes().to_vec();
        own.extend_from_slice(&[0; 4]);
        own.push(kind);
        own.extend_from_slice(&fields);
        let mut payload = 1u32.to_le_bytes().to_vec();
        payload.extend_from_slice(&(own.len() as u32).to_le_bytes());
        payload.extend_from_slice(&own);
        let batch = Batch::parse(&payload.into()).unwrap();
        prop_assert_eq!(batch.iter().count(), 1);
    }

    #[test]
    fn a_batch_cut_short_anywhere_is_damage(records in prop::collection::vec(record(), 1..6), cut in any::<prop::sample::Index>()) {
        let payload = on_the_link(built(&records));
        let cut = cut.index(payload.len());
        prop_assert!(Batch::parse(&payload.slice(..cut)).is_err());
    }
}

fn flat(body: &[u8]) -> Message<'_> {
    Message::new(b"\0\x01q", b"h", Body::Flat(body))
}

#[test]
fn the_direct_pushes_write_what_push_writes() {
    let id = QueueId { generation: 0, ulid: Ulid(7) };
    let message = Message::new(b"\0\x01q", b"h", Body::Flat(b"body"));
    let key = ChannelKey { number: ChannelNumber(3), ..ChannelKey::default() };
    let mut direct = Batch::new();
    let target = LaneTarget { queue: id, sequence: LaneSequence(2), base: LaneSequence(1) };
    direct.push_publish(target, flat(b"body"));
    direct.push_deliver(id, (key, ConsumerNumber(1)), Position(9), true, flat(b"body"));
    let slow = built(&[
        Record::Publish { message, targets: row(&[target]) },
        Record::Deliver {
            queue: id,
            channel: key,
            consumer: ConsumerNumber(1),
            position: Position(9),
            redelivered: true,
            message,
        },
    ]);
    assert_eq!(direct.cost(), slow.cost());
    assert_eq!(on_the_link(direct), on_the_link(slow));
}

#[test]
fn a_large_body_is_a_slice_of_the_receive_block() {
    let body = Bytes::from(vec![7; limits::SLICE_BYTES_MIN]);
    let mut batch = Batch::new();
    let chunks = [body.clone(), Bytes::new(), body.clone()];
    let parts = Message::new(b"\0\x01q", b"h", Body::Chunks(&chunks));
    batch.push_publish(publish(1), parts);
    assert!(batch.own_bytes().len() < 100, "the body is not flattened");
    let payload = on_the_link(batch);
    let block = payload.as_ptr_range();
    let back = Batch::parse(&payload).unwrap();
    let Some(Ok(Record::Publish { message, .. })) = back.iter().next() else { panic!("a publish") };
    let Body::Chunks(chunks) = message.body else { panic!("chunks") };
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].len(), 2 * limits::SLICE_BYTES_MIN);
    assert!(block.contains(&chunks[0].as_ptr()), "no copy");
}

#[test]
fn grants_cost_nothing_and_pass_a_closed_window() {
    let mut batch = Batch::new();
    assert_eq!(batch.push(&Record::Grant { records: 1, bytes: 1 }), Cost::NONE);
    assert_ne!(batch.push(&Record::Done { request: RequestId(1) }), Cost::NONE);
    let passed = batch.split_to(Cost::NONE);
    assert_eq!((passed.records(), batch.records()), (1, 1));
}

#[test]
fn a_record_larger_than_the_window_passes_an_open_one() {
    let body = Bytes::from(vec![0; 2 * limits::FORWARD_BYTES_MAX as usize]);
    let parts = Message::new(b"", b"", Body::Chunks(core::slice::from_ref(&body)));
    let mut batch = Batch::new();
    batch.push_publish(publish(1), parts);
    batch.push_publish(publish(2), parts);
    let first = batch.split_to(Cost::WINDOW);
    assert_eq!(first.records(), 1);
    assert!(first.len_bytes() <= limits::LINK_FRAME_BYTES_MAX);
}

#[test]
fn a_cleared_batch_takes_records_again() {
    let mut batch = built(&[Record::Done { request: RequestId(1) }, Record::Done { request: RequestId(2) }]);
    let _ = batch.split_to(Cost { records: 1, bytes: 1 });
    batch.clear();
    assert!(batch.is_empty() && batch.len_bytes() == 0 && batch.cost() == Cost::NONE);
    let record = Record::Done { request: RequestId(3) };
    batch.push(&record);
    assert_eq!(read(&batch), [record]);
}
