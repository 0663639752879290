//! Bytes that are no AMQP, and AMQP that is not allowed.

use std::net::Shutdown;

use leveret_model::limits;
use leveret_wire::frame::{FRAME_END, write_head, write_header_frame};
use leveret_wire::method::{
    BasicDeliver, BasicPublish, ChannelClose, ChannelCloseOk, ChannelOpen, ConnectionClose,
    ConnectionCloseOk, ConnectionOpen, ConnectionStartOk, ConnectionTuneOk, QueueDeclare, QueuePurge,
};
use leveret_wire::{EncodeMethod, FrameKind, Table};

use crate::bystander::Bystander;
use crate::my_turn;
use crate::node::{EACH_END, Node, SECRETS};
use crate::speaker::{Heard, Speaker, frame, header, nested_table, oversized, properties, publish};

type Case = (&'static str, fn(&Node));

fn run(cases: &[Case]) {
    let _turn = my_turn();
    let mut node = Node::start(&EACH_END);
    let bystander = Bystander::start(node.amqp);
    for (name, case) in cases {
        case(&node);
        bystander.is_served(name);
        node.assert_sound();
    }
    bystander.end();
}

#[test]
fn who_breaks_the_protocol_before_the_login_is_dropped() {
    run(&[
        ("other protocols", other_protocols),
        ("garbage", garbage),
        ("a frame that is too large before tuning", large_first_frame),
        ("a method that is not due", method_out_of_turn),
        ("deep tables as client properties", deep_properties),
        ("logins that are refused", refused_logins),
    ]);
}

#[test]
fn who_breaks_the_protocol_after_the_login_is_told_how() {
    run(&[
        ("tuning beyond the offer", bad_tuning),
        ("a vhost that is not there", no_vhost),
        ("frames over the limit", large_frame),
        ("bytes that are no frame", no_frame),
        ("a half frame that is completed later", half_frame_after_login),
        ("a half frame and the end", half_frame_and_end),
        ("unknown methods", unknown_methods),
        ("methods of the server", methods_of_the_server),
        ("methods on channels that are not open", channels_not_open),
        ("methods on a channel that the broker closed", channel_closed_by_broker),
        ("bodies over the limit", large_body),
        ("content that is not due", content_out_of_turn),
        ("deep and wide tables", bad_tables),
        ("many bodies that are begun and not ended", unfinished_bodies),
    ]);
}

/// Of the node's log: why this connection ended.
fn ended(node: &Node, speaker: &Speaker, why: &str) {
    node.logs(&[&speaker.name(), why]);
}

// ---- before the login ---------------------------------------------------------------------------------------

fn other_protocols(node: &Node) {
    let tls = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3];
    let cases: [(&[u8], &str); 4] = [
        (b"AMQP\0\x01\0\0", "speaks AMQP 0 1-0-0, not 0-9-1"),
        (b"AMQP\x03\x01\0\0", "speaks AMQP 3 1-0-0, not 0-9-1"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an HTTP client came to the AMQP port"),
        (&tls, "a TLS client came to the plain port"),
    ];
    for (bytes, why) in cases {
        let mut speaker = Speaker::connect(node.amqp);
        speaker.say_bytes(bytes);
        assert_eq!(speaker.hear(), Heard::ProtocolHeader);
        speaker.hears_end();
        ended(node, &speaker, why);
    }
}

/// Bytes that look random and are the same in each run.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn garbage(node: &Node) {
    let mut speaker = Speaker::connect(node.amqp);
    speaker.say_bytes(&noise(100_000));
    // the answer may be lost to the reset that the unread rest brings
    assert!(matches!(speaker.hear(), Heard::ProtocolHeader | Heard::End));
    ended(node, &speaker, "does not speak AMQP");
    let mut speaker = Speaker::greet(node.amqp);
    speaker.say_bytes(&noise(100_000));
    speaker.hears_end();
    ended(node, &speaker, "the handshake was broken");
    // frames that are right and mean nothing
    let mut speaker = Speaker::greet(node.amqp);
    speaker.say_bytes(&[8, 0, 0, 0, 0, 0, 0, FRAME_END].repeat(10_000));
    speaker.hears_end();
    ended(node, &speaker, "too many bytes before the login");
}

fn large_first_frame(node: &Node) {
    let mut speaker = Speaker::greet(node.amqp);
    speaker.say_bytes(&oversized(0, limits::FIRST_FRAME_BYTES_MAX as usize + 1));
    speaker.hears_end();
    ended(node, &speaker, "FRAME_ERROR");
}

fn method_out_of_turn(node: &Node) {
    let mut speaker = Speaker::greet(node.amqp);
    speaker.say(0, &ConnectionOpen { virtual_host: b"/" });
    speaker.hears_end();
    ended(node, &speaker, "unexpected method connection.open in connection state starting");
    let mut speaker = Speaker::greet(node.amqp);
    speaker.say(1, &ChannelOpen);
    speaker.hears_end();
    ended(node, &speaker, "UNEXPECTED_FRAME");
}

fn start_ok(speaker: &mut Speaker, properties: &[u8], mechanism: &[u8], password: &str) {
    let response = format!("\0guest\0{password}");
    speaker.say(
        0,
        &ConnectionStartOk {
            client_properties: Table(properties),
            mechanism,
            response: response.as_bytes(),
            locale: b"en_US",
        },
    );
}

fn deep_properties(node: &Node) {
    let mut speaker = Speaker::greet(node.amqp);
    start_ok(&mut speaker, &nested_table(1_000), b"PLAIN", "guest");
    speaker.hears_end();
    ended(node, &speaker, "tables nested deeper than");
}

fn refused_logins(node: &Node) {
    let mut told = Speaker::greet(node.amqp);
    start_ok(&mut told, &properties(&["authentication_failure_close"]), b"PLAIN", SECRETS[0]);
    let mut untold = Speaker::greet(node.amqp);
    start_ok(&mut untold, &properties(&[]), b"PLAIN", SECRETS[0]);
    told.hears_close(0, 403, (0, 0));
    told.say(0, &ConnectionCloseOk);
    told.hears_end();
    ended(node, &told, "login refused");
    untold.hears_end();
    ended(node, &untold, "login refused");
    let mut speaker = Speaker::greet(node.amqp);
    start_ok(&mut speaker, &properties(&[]), b"KERBEROS_V4", SECRETS[0]);
    speaker.hears_close(0, 503, (10, 11));
    ended_by_client(node, speaker, "COMMAND_INVALID - unknown authentication mechanism");
}

/// The client answers the close, as it should, and the node drops the socket.
fn ended_by_client(node: &Node, mut speaker: Speaker, why: &str) {
    speaker.say(0, &ConnectionCloseOk);
    speaker.hears_end();
    ended(node, &speaker, why);
}

// ---- after the login ----------------------------------------------------------------------------------------

fn bad_tuning(node: &Node) {
    let offer = ConnectionTuneOk { channel_max: 2_047, frame_max: limits::FRAME_BYTES_MAX, heartbeat: 0 };
    let cases = [
        ConnectionTuneOk { channel_max: 0, ..offer },
        ConnectionTuneOk { channel_max: 2_048, ..offer },
        ConnectionTuneOk { frame_max: 0, ..offer },
        ConnectionTuneOk { frame_max: limits::FRAME_BYTES_MAX + 1, ..offer },
        ConnectionTuneOk { frame_max: limits::FRAME_BYTES_MIN - 1, ..offer },
    ];
    for tune_ok in cases {
        let mut speaker = Speaker::log_in(node.amqp, &[]);
        speaker.say(0, &tune_ok);
        speaker.hears_close(0, 530, (10, 31));
        ended_by_client(node, speaker, "NOT_ALLOWED - negotiated");
    }
}

fn no_vhost(node: &Node) {
    let mut speaker = Speaker::log_in(node.amqp, &[]);
    speaker
        .say(0, &ConnectionTuneOk { channel_max: 2_047, frame_max: limits::FRAME_BYTES_MAX, heartbeat: 0 });
    speaker.say(0, &ConnectionOpen { virtual_host: b"nowhere" });
    speaker.hears_close(0, 530, (10, 40));
    ended_by_client(node, speaker, "NOT_ALLOWED - vhost nowhere not found");
}

/// RabbitMQ allows 8 bytes over what was agreed, so the payload alone may be that long.
fn large_frame(node: &Node) {
    let limit = limits::FRAME_BYTES_MAX as usize;
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.say_bytes(&oversized(1, limit + 1));
    speaker.hears_close(0, 501, (0, 0));
    drop_deaf(node, &speaker, "FRAME_ERROR");
    // announced only
    let mut speaker = Speaker::open(node.amqp, &[]);
    let mut head = Vec::new();
    write_head(&mut head, FrameKind::Body, 1, u32::MAX);
    speaker.say_bytes(&head);
    speaker.hears_close(0, 501, (0, 0));
    drop_deaf(node, &speaker, "FRAME_ERROR");
    // the largest that is allowed
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.declare("large-frame");
    let body = vec![7; limit];
    let mut out = Vec::new();
    let publish = BasicPublish { routing_key: b"large-frame", ..Default::default() };
    publish.encode_frame(1, &mut out);
    write_header_frame(&mut out, 1, &header(body.len() as u64));
    out.extend(frame(FrameKind::Body, 1, &body));
    speaker.say_bytes(&out);
    speaker.say(1, &QueuePurge { queue: b"large-frame", ..Default::default() });
    assert_eq!(speaker.hear(), Heard::Count(1));
}

/// What follows bytes that are no frame cannot be read: the client goes, the log says why.
fn drop_deaf(node: &Node, speaker: &Speaker, why: &str) {
    speaker.stream.shutdown(Shutdown::Both).ok();
    ended(node, speaker, why);
}

fn no_frame(node: &Node) {
    let mut wrong_end = frame(FrameKind::Method, 1, &[0, 20, 0, 10, 0]);
    *wrong_end.last_mut().expect("an end") = 0;
    let cases: [(&[u8], &str); 3] = [
        (&[4; 100], "unknown frame type 4"),
        (&wrong_end, "frame ends with octet 0"),
        (&noise(300_000), "FRAME_ERROR"),
    ];
    for (bytes, why) in cases {
        let mut speaker = Speaker::open(node.amqp, &[]);
        speaker.say_bytes(bytes);
        speaker.hears_close(0, 501, (0, 0));
        drop_deaf(node, &speaker, why);
    }
}

fn half_frame_after_login(node: &Node) {
    let mut speaker = Speaker::open(node.amqp, &[]);
    let mut bytes = Vec::new();
    QueueDeclare { queue: b"half", ..Default::default() }.encode_frame(1, &mut bytes);
    let (last, rest) = bytes.split_last().expect("a frame");
    for byte in rest {
        speaker.say_bytes(&[*byte]);
    }
    // another one's answer comes meanwhile
    let mut other = Speaker::open(node.amqp, &[]);
    other.declare("other");
    speaker.say_bytes(&[*last]);
    assert_eq!(speaker.hear(), Heard::Count(0));
}

fn half_frame_and_end(node: &Node) {
    for cut in [1, 7, 8, 20] {
        let mut bytes = Vec::new();
        publish(1, "half", &[1; 100_000], &mut bytes);
        let mut speaker = Speaker::open(node.amqp, &[]);
        speaker.say_bytes(&bytes[..bytes.len() - cut]);
        speaker.stream.shutdown(Shutdown::Write).expect("a socket");
        speaker.hears_end();
        ended(node, &speaker, "the client dropped it");
    }
}

fn unknown_methods(node: &Node) {
    for (class, method) in [(60, 999), (999, 10), (0, 0)] {
        let mut speaker = Speaker::open(node.amqp, &[]);
        let [c, m] = [class, method].map(u16::to_be_bytes);
        speaker.say_bytes(&frame(FrameKind::Method, 1, &[c[0], c[1], m[0], m[1], 1, 2, 3]));
        speaker.hears_close(0, 540, (class, method));
        ended_by_client(node, speaker, "NOT_IMPLEMENTED");
    }
    // no room for even the two numbers
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.say_bytes(&frame(FrameKind::Method, 1, &[0, 60]));
    speaker.hears_close(0, 501, (0, 0));
    ended_by_client(node, speaker, "FRAME_ERROR");
}

fn methods_of_the_server(node: &Node) {
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.say(1, &BasicDeliver::default());
    speaker.hears_close(0, 503, (60, 60));
    ended_by_client(node, speaker, "COMMAND_INVALID");
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.say_bytes(&frame(FrameKind::Heartbeat, 1, &[]));
    speaker.hears_close(0, 505, (0, 0));
    ended_by_client(node, speaker, "UNEXPECTED_FRAME");
}

fn channels_not_open(node: &Node) {
    let declare = QueueDeclare { queue: b"q", ..Default::default() };
    // never opened
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.say(2, &declare);
    speaker.hears_close(0, 504, (50, 10));
    ended_by_client(node, speaker, "CHANNEL_ERROR");
    // above what was agreed
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.say(2_048, &ChannelOpen);
    speaker.hears_close(0, 530, (0, 0));
    ended_by_client(node, speaker, "NOT_ALLOWED");
    // opened twice
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.say(1, &ChannelOpen);
    speaker.hears_close(0, 504, (20, 10));
    ended_by_client(node, speaker, "CHANNEL_ERROR");
    // closed by the client
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.say(1, &ChannelClose { reply_code: 200, reply_text: b"", class_id: 0, method_id: 0 });
    assert_eq!(speaker.hear(), Heard::Method(1, "channel.close-ok"));
    let mut bytes = Vec::new();
    publish(1, "q", b"m", &mut bytes);
    speaker.say_bytes(&bytes);
    speaker.hears_close(0, 504, (60, 40));
    ended_by_client(node, speaker, "CHANNEL_ERROR");
}

fn channel_closed_by_broker(node: &Node) {
    let mut speaker = Speaker::open(node.amqp, &[]);
    let mut bytes = Vec::new();
    publish(1, "q", b"m", &mut bytes);
    QueuePurge { queue: b"not there", ..Default::default() }.encode_frame(1, &mut bytes);
    // all of this is ignored: the close is on its way
    for _ in 0..100 {
        publish(1, "q", &[0; 10_000], &mut bytes);
        QueueDeclare { queue: b"ignored", ..Default::default() }.encode_frame(1, &mut bytes);
    }
    speaker.say_bytes(&bytes);
    speaker.hears_close(1, 404, (50, 30));
    speaker.say(1, &ChannelCloseOk);
    speaker.open_channel(1);
    speaker.say(1, &QueueDeclare { queue: b"ignored", passive: true, ..Default::default() });
    speaker.hears_close(1, 404, (50, 10));
    close(speaker);
}

/// Both say goodbye.
fn close(mut speaker: Speaker) {
    speaker.say(0, &ConnectionClose { reply_code: 200, reply_text: b"", class_id: 0, method_id: 0 });
    assert_eq!(speaker.hear(), Heard::Method(0, "connection.close-ok"));
    speaker.hears_end();
}

fn large_body(node: &Node) {
    for size in [limits::BODY_BYTES_MAX + 1, u64::MAX] {
        let mut speaker = Speaker::open(node.amqp, &[]);
        speaker.open_channel(2);
        speaker.say(1, &BasicPublish { routing_key: b"q", ..Default::default() });
        speaker.say_bytes(&frame(FrameKind::Header, 1, &header(size)));
        speaker.hears_close(1, 406, (60, 40));
        node.logs(&[&speaker.name(), "channel closed", "channel=1", "code=406", "PRECONDITION_FAILED"]);
        // the client is in the midst of the body; it may go on, and other channels live
        speaker.say_bytes(&frame(FrameKind::Body, 1, &[0; 100_000]).repeat(20));
        speaker.say(2, &QueueDeclare { queue: b"beside", ..Default::default() });
        assert_eq!(speaker.hear(), Heard::Count(0));
        speaker.say(1, &ChannelCloseOk);
        speaker.open_channel(1);
        close(speaker);
    }
}

fn content_out_of_turn(node: &Node) {
    let mut begun = Vec::new();
    BasicPublish { routing_key: b"q", ..Default::default() }.encode_frame(1, &mut begun);
    let mut declare = Vec::new();
    QueueDeclare { queue: b"q", ..Default::default() }.encode_frame(1, &mut declare);
    let mut other_class = header(1);
    other_class[1] = 50;
    let too_long = [&begun[..], &frame(FrameKind::Header, 1, &header(1)), &frame(FrameKind::Body, 1, b"mm")];
    let cases: [(Vec<u8>, u16, (u16, u16)); 6] = [
        (frame(FrameKind::Header, 1, &header(1)), 505, (0, 0)),
        (frame(FrameKind::Body, 1, b"m"), 505, (0, 0)),
        ([&begun[..], &declare].concat(), 505, (60, 40)),
        ([&begun[..], &frame(FrameKind::Body, 1, b"m")].concat(), 505, (60, 40)),
        ([&begun[..], &frame(FrameKind::Header, 1, &other_class)].concat(), 505, (60, 40)),
        (too_long.concat(), 501, (60, 40)),
    ];
    for (bytes, code, blamed) in cases {
        let mut speaker = Speaker::open(node.amqp, &[]);
        speaker.say_bytes(&bytes);
        speaker.hears_close(0, code, blamed);
        ended_by_client(node, speaker, if code == 501 { "FRAME_ERROR" } else { "UNEXPECTED_FRAME" });
    }
}

fn bad_tables(node: &Node) {
    // a string in it that says it is longer than all that is there
    let lying = [&[1, b'k', b'S'][..], &u32::MAX.to_be_bytes()].concat();
    let unknown_type = [1, b'k', b'?', 0];
    for table in [&lying[..], &unknown_type] {
        let mut speaker = Speaker::open(node.amqp, &[]);
        speaker.say(1, &QueueDeclare { queue: b"q", arguments: Table(table), ..Default::default() });
        speaker.hears_close(0, 502, (50, 10));
        ended_by_client(node, speaker, "SYNTAX_ERROR");
    }
    // as the headers of a message
    let with_headers = |headers: &[u8]| {
        let mut properties = header(0);
        let flags = properties.len() - 2;
        properties[flags..].copy_from_slice(&0x2000u16.to_be_bytes());
        properties.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        properties.extend_from_slice(headers);
        let mut bytes = Vec::new();
        BasicPublish { routing_key: b"q", ..Default::default() }.encode_frame(1, &mut bytes);
        write_header_frame(&mut bytes, 1, &properties);
        let mut speaker = Speaker::open(node.amqp, &[]);
        speaker.say_bytes(&bytes);
        speaker
    };
    let mut speaker = with_headers(&unknown_type);
    speaker.hears_close(0, 502, (60, 40));
    ended_by_client(node, speaker, "SYNTAX_ERROR");
    // too deep for us, and nothing worse
    let mut speaker = with_headers(&nested_table(1_000));
    speaker.hears_close(1, 406, (60, 40));
    speaker.say(1, &ChannelCloseOk);
    speaker.open_channel(1);
    close(speaker);
}

/// Each channel begins a body and never ends it.
fn unfinished_bodies(node: &Node) {
    let mut speaker = Speaker::open(node.amqp, &[]);
    let before = node.rss_bytes();
    let piece = frame(FrameKind::Body, 1, &vec![0; 100_000]);
    let mut sent = 0;
    let mut channel = 1;
    while sent <= limits::BODIES_UNFINISHED_BYTES_MAX + (1 << 20) {
        let mut bytes = Vec::new();
        if channel > 1 {
            ChannelOpen.encode_frame(channel, &mut bytes);
        }
        BasicPublish { routing_key: b"q", ..Default::default() }.encode_frame(channel, &mut bytes);
        write_header_frame(&mut bytes, channel, &header(limits::BODY_BYTES_MAX));
        speaker.say_bytes(&bytes);
        let mut piece = piece.clone();
        piece[1..3].copy_from_slice(&channel.to_be_bytes());
        for _ in 0..100 {
            speaker.say_bytes(&piece);
            sent += 100_000;
        }
        channel += 1;
    }
    let close = loop {
        match speaker.hear() {
            Heard::Method(_, "channel.open-ok") => {}
            other => break other,
        }
    };
    assert!(matches!(close, Heard::Close { channel: 0, code: 506, .. }), "{close:?}");
    ended_by_client(node, speaker, "bytes in unfinished messages");
    let grown = node.rss_bytes().saturating_sub(before);
    assert!(grown < limits::BODIES_UNFINISHED_BYTES_MAX as u64 * 3 / 2, "{grown}");
}
