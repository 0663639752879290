//! One message for several queues.

use super::*;
use leveret_model::{Body, Message};

#[test]
fn a_publish_takes_more_queues_while_it_is_the_last_record() {
    let targets: Vec<_> = (1..=3).map(publish).collect();
    let message = Message::new(b"\0\x01q", b"h", Body::Flat(b"body"));
    let mut batch = Batch::new();
    assert!(!batch.add_target(targets[0]), "no publish yet");
    batch.push(&Record::Done { request: RequestId(1) });
    assert!(!batch.add_target(targets[0]), "no publish");
    batch.push_publish(targets[0], flat(b"body"));
    assert!(batch.add_target(targets[1]) && batch.add_target(targets[2]));
    let whole = [Record::Done { request: RequestId(1) }, Record::Publish { message, targets: row(&targets) }];
    assert_eq!(read(&batch), whole);
    assert_eq!(batch.cost(), built(&whole).cost());
    batch.push(&Record::Done { request: RequestId(2) });
    assert!(!batch.add_target(targets[0]), "something lies behind it");
    let payload = on_the_link(batch);
    let mut back = Batch::parse(&payload).unwrap();
    back.push_publish(targets[1], flat(b"body"));
    assert!(back.add_target(targets[2]), "behind what a link brought");
    assert_eq!(read(&back)[3], Record::Publish { message, targets: row(&targets[1..]) });
    let first = back.split_to(Cost { records: 1, bytes: 1 });
    assert_eq!((first.records(), back.records()), (1, 3));
    assert!(!back.add_target(targets[0]), "bytes have moved");
}

#[test]
fn a_publish_to_very_many_queues_takes_several_records() {
    let mut batch = Batch::new();
    batch.push_publish(publish(1), flat(b"body"));
    let added = (2..).map(publish).take_while(|target| batch.add_target(*target)).count();
    assert_eq!(added, limits::PUBLISH_TARGETS_MAX - 1);
}

#[test]
fn a_publish_without_queues_or_with_a_piece_of_one_is_damage() {
    for bytes in [0, 1, LaneTarget::BYTES - 1, LaneTarget::BYTES + 1] {
        assert!(LaneTargets::read(&vec![0; bytes]).is_err(), "{bytes}");
    }
}

#[test]
fn publishes_that_are_read_by_themselves_are_those_of_the_records() {
    let chunks = [Bytes::from(vec![7; limits::SLICE_BYTES_MIN])];
    let mut batch = Batch::new();
    batch.push_publish(publish(1), flat(b"body"));
    batch.push(&Record::Done { request: RequestId(1) });
    batch.push_publish(publish(2), Message::new(b"\0\x01q", b"h", Body::Chunks(&chunks)));
    batch.push_publish(publish(3), flat(b""));
    let mut records = batch.iter();
    let mut apart = Vec::new();
    loop {
        if let Some(publish) = records.next_publish() {
            let (message, targets) = publish.unwrap();
            apart.push(Record::Publish { message, targets });
        } else if let Some(record) = records.next() {
            apart.push(record.unwrap());
        } else {
            break;
        }
    }
    assert_eq!(apart, read(&batch));
}

#[test]
fn a_damaged_publish_ends_the_reading() {
    let mut batch = Batch::new();
    batch.push_publish(publish(1), flat(b"body"));
    batch.push(&Record::Done { request: RequestId(1) });
    let mut payload = on_the_link(batch).to_vec();
    // the length of the flat body, behind two heads and the kind
    payload[BATCH_HEAD_BYTES + HEAD_BYTES + 1] = 0xff;
    let batch = Batch::parse(&payload.into()).unwrap();
    let mut records = batch.iter();
    assert!(records.next_publish().unwrap().is_err());
    assert!(records.next_publish().is_none() && records.next().is_none());
}
