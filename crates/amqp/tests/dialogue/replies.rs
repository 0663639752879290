//! Direct reply-to, as the channel sees it (RabbitMQ's extension).

use leveret_amqp::host::Operation;
use leveret_model::{Name, Value};
use leveret_wire::frame::write_header_frame;
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, ContentHeader, Table};

use crate::support::{Call, Talk, arguments, body_frame, frame};

const PSEUDO: &[u8] = b"amq.rabbitmq.reply-to";

fn consumes(talk: &mut Talk, tag: &[u8], no_ack: bool) {
    talk.says(1, BasicConsume { queue: PSEUDO, consumer_tag: tag, no_ack, ..Default::default() });
}

fn consuming() -> Talk {
    let mut talk = Talk::on_channel_1();
    consumes(&mut talk, b"t", true);
    talk.hears(1, BasicConsumeOk { consumer_tag: b"t" });
    talk
}

/// A request of one byte; whole in one block, or frame by frame.
fn requests(talk: &mut Talk, properties: &BasicProperties<'_>, whole: bool) {
    let properties = BasicProperties { reply_to: Some(PSEUDO), ..*properties };
    let mut payload = Vec::new();
    properties.encode_payload(1, &mut payload);
    let mut frames = vec![frame(1, BasicPublish { routing_key: b"q", ..Default::default() }), Vec::new()];
    write_header_frame(&mut frames[1], 1, &payload);
    frames.push(body_frame(1, b"x"));
    if whole {
        talk.says_bytes(&frames.concat());
    } else {
        frames.iter().for_each(|frame| talk.says_bytes(frame));
    }
}

#[test]
fn the_address_of_the_channel_goes_out_in_place_of_the_queue_that_stands_for_it() {
    for whole in [true, false] {
        let mut talk = consuming();
        let table = arguments(&[("CC", Value::Array(vec![Value::LongString(b"c".as_slice().into())]))]);
        for headers in [None, Some(Table(&table))] {
            let properties = BasicProperties {
                headers,
                correlation_id: Some(b"c1"),
                message_id: Some(b"7"),
                ..Default::default()
            };
            requests(&mut talk, &properties, whole);
            let Some(Call::Publish { body, .. }) = talk.broker.calls.pop_front() else { panic!() };
            assert_eq!(body, b"x");
            let header = ContentHeader::validate(&talk.broker.header).expect("written anew");
            let got = header.properties.to_basic();
            assert_eq!(header.body_size, 1);
            assert_eq!(got, BasicProperties { reply_to: Some(b"amq.rabbitmq.reply-to.1-1"), ..properties });
        }
        assert_eq!(talk.broker.copies.len(), 1, "CC goes on");
    }
}

#[test]
fn a_request_needs_a_consumer_of_replies_on_its_channel() {
    for whole in [true, false] {
        for mut talk in [Talk::on_channel_1(), {
            let mut talk = consuming();
            talk.says(1, BasicCancel { consumer_tag: b"t", no_wait: false });
            talk.hears(1, BasicCancelOk { consumer_tag: b"t" });
            assert!(talk.broker.reply_addresses.is_empty());
            talk
        }] {
            requests(&mut talk, &BasicProperties::default(), whole);
            let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
            talk.hears_channel_close(1, 406, (60, 40), text);
        }
    }
}

#[test]
fn a_channel_has_one_consumer_of_replies_without_acks() {
    let mut talk = Talk::on_channel_1();
    consumes(&mut talk, b"t", false);
    let text = "PRECONDITION_FAILED - reply consumer cannot acknowledge";
    talk.hears_channel_close(1, 406, (60, 20), text);
    for no_ack in [true, false] {
        let mut talk = consuming();
        consumes(&mut talk, b"t2", no_ack);
        talk.hears_channel_close(1, 406, (60, 20), "PRECONDITION_FAILED - reply consumer already set");
        assert!(talk.broker.reply_addresses.is_empty(), "it ended with its channel");
    }
    let mut talk = consuming();
    consumes(&mut talk, b"t", true);
    talk.hears_connection_close(530, (60, 20), "NOT_ALLOWED - attempt to reuse consumer tag 't'");
}

#[test]
fn a_consume_after_a_cancel_has_another_address() {
    let mut talk = consuming();
    talk.says(1, BasicCancel { consumer_tag: b"t", no_wait: true });
    consumes(&mut talk, b"t", true);
    talk.hears(1, BasicConsumeOk { consumer_tag: b"t" });
    let addresses: Vec<_> = talk.broker.reply_addresses.values().cloned().collect();
    assert_eq!(addresses, ["amq.rabbitmq.reply-to.1-2"]);
}

#[test]
fn a_declare_of_such_a_name_only_asks_whether_it_is_there() {
    for name in [PSEUDO, b"amq.rabbitmq.reply-to.1-1"] {
        let mut talk = Talk::on_channel_1();
        talk.says(1, QueueDeclare { queue: name, durable: true, ..Default::default() });
        let Some(Call::Request(_, operation)) = talk.broker.calls.pop_front() else { panic!() };
        let name = Name::from_bytes(name).expect("it is one");
        assert_eq!(operation, Operation::QueueDeclarePassive { name });
    }
}
