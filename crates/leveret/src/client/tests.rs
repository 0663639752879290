//! The client against a broker that says what a test tells it to: frames in, frames out, over a real socket.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use leveret_wire::frame::write_header_frame;
use leveret_wire::method::{
    BasicCancel as Cancel, BasicReturn as Return, ChannelClose, ChannelOpenOk, ConnectionCloseOk as CloseOk,
    ConnectionOpenOk, ConnectionStart, ConnectionTune, QueueDeclareOk,
};
use leveret_wire::{FrameKind, Method, PROTOCOL_HEADER, Table, decode_frame, write_body_frames};

use super::*;

/// What the broker sends once the client's frame number `after` (the login's three and `channel.open` are 1 to
/// 4) came.
type Script = Vec<(usize, Vec<u8>)>;

fn frames(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// A broker with a script; its thread gives the names of what the client sent.
fn broker(mut script: Script) -> (SocketAddr, JoinHandle<Vec<&'static str>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    script.extend([
        (0, frames(start)),
        (
            1,
            frames(|out| {
                ConnectionTune { channel_max: 9, frame_max: 4_096, heartbeat: 60 }.encode_frame(0, out);
            }),
        ),
        (3, frames(|out| ConnectionOpenOk.encode_frame(0, out))),
        (4, frames(|out| ChannelOpenOk.encode_frame(1, out))),
    ]);
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut names, mut inbox, mut block) = (Vec::new(), Vec::new(), [0; 4_096]);
        let mut header = [0; 8];
        stream.read_exact(&mut header).unwrap();
        assert_eq!(header, PROTOCOL_HEADER);
        loop {
            for (_, bytes) in script.extract_if(.., |(after, _)| *after == names.len()) {
                stream.write_all(&bytes).unwrap();
            }
            let Some(frame) = decode_frame(&inbox, 4_096).unwrap() else {
                match stream.read(&mut block) {
                    Ok(n) if n > 0 => inbox.extend_from_slice(&block[..n]),
                    _ => return names,
                }
                continue;
            };
            let name = match frame.head.kind {
                FrameKind::Method => Method::decode(frame.payload).unwrap().info().name,
                FrameKind::Header => "header",
                FrameKind::Body => "body",
                FrameKind::Heartbeat => "heartbeat",
            };
            let len = frame.wire_len();
            names.push(name);
            inbox.drain(..len);
        }
    });
    (address, thread)
}

fn start(out: &mut Vec<u8>) {
    let start = ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: Table::EMPTY,
        mechanisms: b"PLAIN",
        locales: b"en_US",
    };
    start.encode_frame(0, out);
}

fn returned(out: &mut Vec<u8>, body: &[u8]) {
    let method = Return { reply_code: 312, reply_text: b"NO_ROUTE", exchange: b"", routing_key: b"q" };
    method.encode_frame(1, out);
    let mut header = Vec::new();
    BasicProperties::default().encode_payload(body.len() as u64, &mut header);
    write_header_frame(out, 1, &header);
    write_body_frames(out, 1, body, 4_096);
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn the_handshake_is_what_brokers_expect_and_close_ends_it() {
    let (address, thread) = broker(vec![(5, frames(|out| CloseOk.encode_frame(0, out)))]);
    Client::connect(address).unwrap().close().unwrap();
    let expected =
        ["connection.start-ok", "connection.tune-ok", "connection.open", "channel.open", "connection.close"];
    assert_eq!(thread.join().unwrap(), expected);
}

#[test]
fn what_comes_before_an_answer_is_given_out_in_order() {
    let (address, _thread) = broker(vec![(
        5,
        frames(|out| {
            returned(out, b"hare");
            Cancel { consumer_tag: b"c", no_wait: true }.encode_frame(1, out);
            QueueDeclareOk { queue: b"q", message_count: 0, consumer_count: 0 }.encode_frame(1, out);
        }),
    )]);
    let mut client = Client::connect(address).unwrap();
    client.declare("q").unwrap();
    let event = client.poll(soon()).unwrap();
    assert!(matches!(&event, Some(Event::Message { message, .. }) if message.body == b"hare"), "{event:?}");
    assert!(matches!(client.poll(soon()).unwrap(), Some(Event::Cancelled { .. })));
    assert!(client.poll(Instant::now()).unwrap().is_none(), "nothing else, and no wait past the deadline");
}

#[test]
fn a_channel_that_the_broker_closed_is_answered_and_replaced() {
    let close = ChannelClose { reply_code: 404, reply_text: b"NOT_FOUND", class_id: 50, method_id: 10 };
    let (address, thread) = broker(vec![
        (5, frames(|out| close.encode_frame(1, out))),
        (7, frames(|out| ChannelOpenOk.encode_frame(1, out))),
        (8, frames(|out| CloseOk.encode_frame(0, out))),
    ]);
    let mut client = Client::connect(address).unwrap();
    let error = client.declare("q").unwrap_err();
    assert!(matches!(&error, ClientError::ChannelClosed { code: 404, .. }), "{error}");
    client.open_channel().unwrap();
    client.close().unwrap();
    let sent = thread.join().unwrap();
    assert_eq!(sent[4..], ["queue.declare", "channel.close-ok", "channel.open", "connection.close"]);
}

#[test]
fn a_broker_that_is_not_there_and_one_that_goes_are_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gone = thread::spawn(move || drop(listener.accept()));
    let error = Client::connect(address).unwrap_err();
    assert!(
        matches!(error, ClientError::Lost { .. }) && error.to_string().contains(&address.to_string()),
        "{error}"
    );
    gone.join().unwrap();
    let error = Client::connect(address).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}
