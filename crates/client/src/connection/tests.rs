use alloc::vec;

use leveret_wire::frame::write_header_frame;
use leveret_wire::method::{
    BasicAck, BasicDeliver, BasicNack, ChannelOpenOk, ConfirmSelectOk, ConnectionOpenOk, ConnectionStart,
    ConnectionTune, QueueDeclareOk,
};
use leveret_wire::{FrameKind, Table, decode_frame, write_body_frames};

use super::*;

/// The names of the frames that the client has written, which are taken out.
fn sent(client: &mut Connection) -> Vec<&'static str> {
    let bytes = core::mem::take(client.output());
    let (mut at, mut names) = (0, Vec::new());
    while let Some(frame) = decode_frame(&bytes[at..], 0).expect("the client writes frames") {
        at += frame.wire_len();
        names.push(match frame.head.kind {
            FrameKind::Method => Method::decode(frame.payload).expect("a method").info().name,
            FrameKind::Header => "header",
            FrameKind::Body => "body",
            FrameKind::Heartbeat => "heartbeat",
        });
    }
    names
}

fn hear(client: &mut Connection, channel: u16, method: &impl EncodeMethod) -> Result<(), Violation> {
    let mut bytes = Vec::new();
    method.encode_frame(channel, &mut bytes);
    client.on_bytes(&bytes)
}

fn events(client: &mut Connection) -> Vec<Event> {
    core::iter::from_fn(|| client.poll()).collect()
}

fn done(channel: u16, name: &'static str) -> Event {
    Event::Answered { channel, answer: Answer::Done(name) }
}

/// A client that is logged in, with channel 1 open.
fn open() -> Connection {
    let mut client = Connection::new(Login::default());
    assert_eq!(core::mem::take(client.output()), PROTOCOL_HEADER);
    let start = ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: Table::EMPTY,
        mechanisms: b"PLAIN",
        locales: b"en_US",
    };
    hear(&mut client, 0, &start).expect("in order");
    assert_eq!(sent(&mut client), ["connection.start-ok"]);
    hear(&mut client, 0, &ConnectionTune { channel_max: 9, frame_max: 4_096, heartbeat: 60 })
        .expect("in order");
    assert_eq!(sent(&mut client), ["connection.tune-ok", "connection.open"]);
    hear(&mut client, 0, &ConnectionOpenOk).expect("in order");
    client.open_channel(1);
    assert_eq!(sent(&mut client), ["channel.open"]);
    hear(&mut client, 1, &ChannelOpenOk).expect("in order");
    assert_eq!(events(&mut client), [done(0, "connection.open-ok"), done(1, "channel.open-ok")]);
    client
}

#[test]
fn frames_are_no_larger_than_the_broker_takes() {
    let mut client = open();
    client.publish(1, &BasicPublish::default(), &BasicProperties::default(), &[7; 8_000]);
    assert_eq!(sent(&mut client), ["basic.publish", "header", "body", "body"]);
}

#[test]
fn what_comes_before_an_answer_is_told_before_it() {
    let mut client = open();
    let (mut bytes, body) = (Vec::new(), vec![b'x'; 10_000]);
    let deliver = BasicDeliver {
        consumer_tag: b"c",
        delivery_tag: 1,
        redelivered: true,
        exchange: b"",
        routing_key: b"q",
    };
    deliver.encode_frame(1, &mut bytes);
    let mut header = Vec::new();
    BasicProperties::default().encode_payload(body.len() as u64, &mut header);
    write_header_frame(&mut bytes, 1, &header);
    write_body_frames(&mut bytes, 1, &body, 4_096);
    QueueDeclareOk { queue: b"q", message_count: 2, consumer_count: 1 }.encode_frame(1, &mut bytes);
    client.on_bytes(&bytes).expect("a broker that keeps to the protocol");
    let origin = Origin::Delivered { consumer_tag: "c".into(), delivery_tag: 1, redelivered: true };
    let message = Message { origin, header, body };
    let declared = Answer::Declared { queue: "q".into(), messages: 2, consumers: 1 };
    let expected = [Event::Message { channel: 1, message }, Event::Answered { channel: 1, answer: declared }];
    assert_eq!(events(&mut client), expected);
}

#[test]
fn each_publish_is_answered_once_and_a_second_answer_is_a_violation() {
    let mut client = open();
    client.select_confirms(1);
    hear(&mut client, 1, &ConfirmSelectOk).expect("in order");
    events(&mut client);
    let publish = BasicPublish::default();
    let numbers: Vec<u64> =
        (0..3).map(|_| client.publish(1, &publish, &BasicProperties::default(), b"")).collect();
    assert_eq!(numbers, [1, 2, 3]);
    hear(&mut client, 1, &BasicNack { delivery_tag: 2, multiple: true, requeue: false }).expect("two wait");
    hear(&mut client, 1, &BasicAck { delivery_tag: 3, multiple: false }).expect("one waits");
    let confirmed = |number, taken| Event::Confirmed { channel: 1, number, taken };
    assert_eq!(events(&mut client), [confirmed(1, false), confirmed(2, false), confirmed(3, true)]);
    assert!(hear(&mut client, 1, &BasicAck { delivery_tag: 3, multiple: false }).is_err());
}

#[test]
fn a_close_is_answered_and_a_channel_of_the_same_number_counts_anew() {
    let mut client = open();
    client.select_confirms(1);
    client.publish(1, &BasicPublish::default(), &BasicProperties::default(), b"");
    sent(&mut client);
    let close = ChannelClose { reply_code: 404, reply_text: b"NOT_FOUND", class_id: 50, method_id: 10 };
    hear(&mut client, 1, &close).expect("in order");
    assert_eq!(sent(&mut client), ["channel.close-ok"]);
    let closed = Event::ChannelClosed { channel: 1, code: 404, text: "NOT_FOUND".into() };
    assert_eq!(events(&mut client), [closed]);
    assert_eq!(client.publish(1, &BasicPublish::default(), &BasicProperties::default(), b""), 0);
    client.select_confirms(1);
    assert_eq!(client.publish(1, &BasicPublish::default(), &BasicProperties::default(), b""), 1);
    sent(&mut client);
    let close = ConnectionClose { reply_code: 320, reply_text: b"CLOSED", class_id: 0, method_id: 0 };
    hear(&mut client, 0, &close).expect("in order");
    assert_eq!(sent(&mut client), ["connection.close-ok"]);
    assert_eq!(events(&mut client), [Event::ConnectionClosed { code: 320, text: "CLOSED".into() }]);
}

#[test]
fn a_broker_that_speaks_something_else_is_told_apart() {
    let mut client = Connection::new(Login::default());
    client.on_bytes(&PROTOCOL_HEADER).expect("a legal answer");
    assert_eq!(events(&mut client), [Event::Refused]);
    let mut client = Connection::new(Login::default());
    assert!(client.on_bytes(b"SSH-2.0-x\r\n").is_err());
}
