//! From the protocol header to open-ok.

use std::time::Duration;

use leveret_amqp::{Config, Ended, LoginRefused, State};
use leveret_model::limits::{HANDSHAKE_TIMEOUT, LOGIN_REFUSED_HOLD};
use leveret_model::{Instant, Name, Refusal, ReplyCode};
use leveret_wire::method::*;
use leveret_wire::{FieldValue, FrameKind, Method, PROTOCOL_HEADER, ProtocolHeader};

use crate::support::{Call, Talk, all_capabilities, frame};

fn login_refused() -> LoginRefused {
    let text = "Login was refused using authentication mechanism PLAIN.";
    LoginRefused { reply: Refusal::new(ReplyCode::AccessRefused, text), why: "user 'x\ny': wrong".into() }
}

/// AMQP 0-9-1 §2.2.4
#[test]
fn a_client_comes_in() {
    let mut talk = Talk::accepted();
    talk.says_header();
    let start = talk.next_frame().unwrap();
    let Method::ConnectionStart(start) = Method::decode(&start.payload).unwrap() else { panic!() };
    assert_eq!((start.version_major, start.version_minor, start.mechanisms), (0, 9, &b"PLAIN AMQPLAIN"[..]));
    start.server_properties.validate().unwrap();
    let Some(FieldValue::Table(capabilities)) = start.server_properties.get(b"capabilities") else {
        panic!()
    };
    assert_eq!(capabilities.get(b"publisher_confirms"), Some(FieldValue::Bool(true)));
    talk.says_start_ok("PLAIN", b"\0guest\0guest", &all_capabilities());
    assert_eq!(talk.broker.calls.pop_front(), Some(Call::Login("PLAIN".into(), b"\0guest\0guest".into())));
    assert!(!talk.connection.wants_read());
    talk.connection.on_login(talk.now, Ok(Name::new("guest")));
    talk.hears(0, ConnectionTune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 });
    // many clients send these two in one write
    let mut both = frame(0, ConnectionTuneOk { channel_max: 100, frame_max: 4096, heartbeat: 30 });
    both.extend(frame(0, ConnectionOpen { virtual_host: b"/" }));
    talk.says_bytes(&both);
    assert_eq!(talk.broker.calls.pop_front(), Some(Call::Vhost("/".into())));
    talk.hears(0, ConnectionOpenOk);
    talk.hears_nothing();
    assert_eq!(talk.connection.state(), State::Open);
    assert_eq!((&**talk.connection.user(), &**talk.connection.vhost()), ("guest", "/"));
    assert_eq!(
        (&*talk.connection.client().product, &*talk.connection.client().connection_name),
        ("dialogue", "one")
    );
}

/// RabbitMQ: the header of the first drafts is taken too (`1 1 0 9`).
#[test]
fn the_old_protocol_header_is_taken() {
    let mut talk = Talk::accepted();
    talk.says_bytes(b"AMQP\x01\x01\x00\x09");
    assert_eq!(talk.next_frame().unwrap().kind, FrameKind::Method);
}

/// AMQP 0-9-1 §4.2.2: the supported header is written, then the socket is closed.
#[test]
fn a_wrong_protocol_header_is_answered_with_ours() {
    for (bytes, meaning) in [
        (&b"AMQP\x00\x01\x00\x00"[..], ProtocolHeader::OtherAmqp([0, 1, 0, 0])),
        (b"\x16\x03\x01\x02\x00\x01\x00", ProtocolHeader::Tls),
        (b"GET / HTTP/1.1\r\n", ProtocolHeader::Http),
        (b"hello, who is there?", ProtocolHeader::Unknown),
    ] {
        let mut talk = Talk::accepted();
        talk.says_bytes(bytes);
        assert_eq!(talk.connection.output().iter().flatten().copied().collect::<Vec<_>>(), PROTOCOL_HEADER);
        assert!(talk.connection.is_finished());
        assert_eq!(talk.connection.reason(), Some(&Ended::NotAmqp(meaning)));
        assert_eq!(talk.unread_len(), 0);
    }
}

/// RabbitMQ: unknown mechanism is 503.
#[test]
fn an_unknown_mechanism_is_503() {
    let mut talk = Talk::accepted();
    talk.says_header();
    talk.next_frame();
    talk.says_start_ok("GSSAPI", b"", &[]);
    talk.hears_connection_close(503, (10, 11), "COMMAND_INVALID - unknown authentication mechanism 'GSSAPI'");
    talk.says(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
}

/// RabbitMQ: authentication_failure_close.
#[test]
fn a_refused_login_is_403_for_a_client_that_understands_it() {
    let mut talk = Talk::accepted();
    talk.says_header();
    talk.next_frame();
    talk.says_start_ok("PLAIN", b"\0guest\0wrong", &all_capabilities());
    talk.connection.on_login(talk.now, Err(login_refused()));
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.";
    talk.hears_connection_close(403, (0, 0), text);
    talk.says(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
    let reason = talk.connection.reason().unwrap().to_string();
    assert_eq!(reason, "login refused: user 'x\\ny': wrong", "the log's own words, in one line");
}

/// RabbitMQ: without the capability the socket is held and dropped, without a close frame.
#[test]
fn a_refused_login_is_silent_for_other_clients() {
    let mut talk = Talk::accepted();
    talk.says_header();
    talk.next_frame();
    talk.says_start_ok("PLAIN", b"\0guest\0wrong", &[]);
    talk.connection.on_login(talk.now, Err(login_refused()));
    talk.hears_nothing();
    talk.says_bytes(b"whatever");
    assert!(!talk.connection.is_finished());
    assert_eq!(talk.connection.next_deadline(), Some(talk.now + LOGIN_REFUSED_HOLD));
    talk.passes(LOGIN_REFUSED_HOLD);
    assert!(talk.connection.is_finished());
    talk.hears_nothing();
}

fn tuning() -> Talk {
    let mut talk = Talk::accepted();
    talk.says_header();
    talk.says_start_ok("PLAIN", b"\0guest\0guest", &all_capabilities());
    talk.connection.on_login(talk.now, Ok(Name::new("guest")));
    talk.all_frames();
    talk
}

/// RabbitMQ: a client may ask for less, not for more, and 0 is "no limit" (validate_negotiated_integer_value).
#[test]
fn asking_for_more_than_was_offered_is_530() {
    for (channel_max, frame_max, text) in [
        (0, 131_072, "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
        (2048, 131_072, "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"),
        (10, 0, "negotiated frame_max = 0 (no limit) is higher than the maximum allowed value (131072)"),
        (10, 131_073, "negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"),
        (10, 4095, "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
    ] {
        let mut talk = tuning();
        talk.says(0, ConnectionTuneOk { channel_max, frame_max, heartbeat: 0 });
        talk.hears_connection_close(530, (10, 31), &format!("NOT_ALLOWED - {text}"));
    }
}

/// The client hears its own words as they are; the log keeps to one line.
#[test]
fn a_name_with_ends_of_lines_begins_no_line_of_the_log() {
    let mut talk = Talk::on_channel_1();
    talk.consumes("c\n2026 INFO all is \x1b[32mwell", true);
    let consumer_tag = b"c\n2026 INFO all is \x1b[32mwell";
    talk.says(1, BasicConsume { queue: b"q", consumer_tag, ..Default::default() });
    let text = "NOT_ALLOWED - attempt to reuse consumer tag 'c\n2026 INFO all is \x1b[32mwell'";
    talk.hears_connection_close(530, (60, 20), text);
    let logged = talk.connection.reason().expect("it ended").to_string();
    let escaped = r"attempt to reuse consumer tag 'c\n2026 INFO all is \u{1b}[32mwell'";
    assert_eq!(logged, format!("closed with 530 NOT_ALLOWED - {escaped}"));
}

/// RabbitMQ: a vhost that is unknown or closed to the user is 530.
#[test]
fn a_refused_vhost_is_530() {
    let mut talk = tuning();
    talk.broker.vhost = Some(Refusal::new(ReplyCode::NotAllowed, "vhost x not found"));
    talk.says(0, ConnectionTuneOk { channel_max: 10, frame_max: 4096, heartbeat: 0 });
    talk.says(0, ConnectionOpen { virtual_host: b"x" });
    talk.hears_connection_close(530, (10, 40), "NOT_ALLOWED - vhost x not found");
}

/// While a node cannot say whether the vhost is there, nothing more of the client is read.
#[test]
fn a_vhost_may_be_opened_later_and_the_client_is_not_read_until_then() {
    for (result, refused) in [(Ok(()), false), (Err(Refusal::new(ReplyCode::NotAllowed, "no")), true)] {
        let mut talk = tuning();
        talk.broker.vhost_later = true;
        talk.says(0, ConnectionTuneOk { channel_max: 10, frame_max: 4096, heartbeat: 0 });
        talk.says(0, ConnectionOpen { virtual_host: b"/" });
        talk.hears_nothing();
        assert!(!talk.connection.wants_read());
        talk.connection.on_vhost(Instant::ZERO, result, &mut talk.broker);
        if refused {
            talk.hears_connection_close(530, (10, 40), "NOT_ALLOWED - no");
        } else {
            talk.hears(0, ConnectionOpenOk);
        }
        assert!(talk.connection.wants_read());
    }
}

/// RabbitMQ: "unexpected method in connection state", 504.
#[test]
fn a_method_out_of_turn_is_504_once_logged_in() {
    let mut talk = tuning();
    talk.says(0, ConnectionOpen { virtual_host: b"/" });
    let text = "CHANNEL_ERROR - unexpected method connection.open in connection state tuning";
    talk.hears_connection_close(504, (10, 40), text);
}

#[test]
fn nonsense_before_the_login_gets_no_answer() {
    for bytes in [
        frame(0, ConnectionOpen { virtual_host: b"/" }),
        frame(1, ChannelOpen),
        crate::support::raw_frame(9, 0, b""),
        // larger than any start-ok may be
        vec![1, 0, 0, 0, 1, 0, 0],
    ] {
        let mut talk = Talk::accepted();
        talk.says_header();
        talk.next_frame();
        talk.says_bytes(&bytes);
        talk.hears_nothing();
        assert!(talk.connection.is_finished());
        assert!(matches!(talk.connection.reason(), Some(Ended::BrokeHandshake(_))));
    }
}

#[test]
fn endless_heartbeats_before_the_login_are_cut() {
    let mut talk = Talk::accepted();
    talk.says_header();
    talk.next_frame();
    for _ in 0..2_049 {
        talk.says_bytes(&leveret_wire::HEARTBEAT);
    }
    assert!(talk.connection.is_finished());
}

/// RabbitMQ: handshake_timeout.
#[test]
fn a_handshake_that_takes_too_long_is_dropped() {
    let mut talk = Talk::accepted();
    talk.passes(HANDSHAKE_TIMEOUT - Duration::from_millis(1));
    assert!(!talk.connection.is_finished());
    talk.passes(Duration::from_millis(1));
    assert!(talk.connection.is_finished());
    assert_eq!(talk.connection.reason(), Some(&Ended::HandshakeTimeout));
}

#[test]
fn a_stop_during_the_login_just_ends_it() {
    let mut talk = Talk::accepted();
    talk.says_header();
    talk.next_frame();
    talk.connection.close(talk.now, ReplyCode::ConnectionForced, "stop", &mut talk.broker);
    talk.hears_nothing();
    assert!(talk.connection.is_finished());
}

/// A frame is judged by its head, not when its last byte has come.
#[test]
fn an_oversized_frame_is_judged_by_its_head() {
    let mut talk = Talk::open_with(Config::new("0.1.0", "test"), &[], 4096);
    talk.says_bytes(&[3, 0, 1, 0, 0, 0x10, 1]);
    talk.hears_connection_close(
        501,
        (0, 0),
        "FRAME_ERROR - frame of 4097 bytes of payload, at most 4096 were agreed",
    );
}
