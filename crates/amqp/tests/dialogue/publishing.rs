//! Messages in: assembly, confirms, returns.

use std::time::Duration;

use leveret_amqp::Config;
use leveret_amqp::host::Published;
use leveret_model::limits::{SLICE_BYTES_MIN, TABLE_DEPTH_MAX};
use leveret_model::{Refusal, ReplyCode};
use leveret_wire::frame::write_header_frame;
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, Table};

use crate::support::{
    Call, Talk, body_frame, frame, header_frame, header_payload, publish_frames, raw_frame,
};

fn publish_method() -> Vec<u8> {
    frame(1, BasicPublish { exchange: b"e", routing_key: b"k", ..Default::default() })
}

fn body_of(call: Option<Call>) -> Vec<u8> {
    match call {
        Some(Call::Publish { body, .. }) => body,
        other => panic!("{other:?}"),
    }
}

fn confirming() -> Talk {
    let mut talk = Talk::on_channel_1();
    talk.says(1, ConfirmSelect { no_wait: false });
    talk.hears(1, ConfirmSelectOk);
    talk
}

/// AMQP 0-9-1 §4.2.6: any number of body frames, none for an empty body.
#[test]
fn a_message_comes_whole_however_it_is_cut() {
    let mut talk = Talk::on_channel_1();
    let large: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    for body in [&b""[..], b"x", &large[..SLICE_BYTES_MIN - 1], &large[..SLICE_BYTES_MIN], &large] {
        for piece in [1_000, 4_096, 100_000] {
            let mut bytes = [publish_method(), header_frame(1, body.len())].concat();
            for part in body.chunks(piece) {
                bytes.extend(body_frame(1, part));
                bytes.extend(body_frame(1, b""));
            }
            for cut in [1_500, 65_536, usize::MAX] {
                for block in bytes.chunks(cut) {
                    talk.says_bytes(block);
                }
                assert!(body_of(talk.broker.calls.pop_front()) == body);
                assert_eq!(talk.broker.chunked, body.len() >= SLICE_BYTES_MIN);
                assert_eq!(talk.connection.unfinished_bytes(), 0);
                talk.broker.calls.clear();
                // an empty body frame behind a whole body is one too many
                if body.is_empty() {
                    continue;
                }
                talk = Talk::on_channel_1();
            }
        }
    }
}

/// The rest of a large frame is a slice of the block it comes in.
#[test]
fn a_large_body_is_not_copied() {
    let mut talk = Talk::on_channel_1();
    let bytes = publish_frames(1, "e", "k", false, &[5; 90_000]);
    let blocks: Vec<bytes::Bytes> = bytes.chunks(40_000).map(bytes::Bytes::copy_from_slice).collect();
    for block in &blocks {
        assert_eq!(talk.connection.on_bytes(talk.now, block, &mut talk.broker), block.len());
    }
    assert_eq!(talk.broker.chunks.len(), 3);
    for (chunk, block) in talk.broker.chunks.iter().zip(&blocks) {
        assert!(block.as_ptr_range().contains(&chunk.as_ptr()));
    }
}

/// A body in tiny frames must not pin a block for each.
#[test]
fn a_large_body_in_tiny_frames_is_gathered() {
    let mut talk = Talk::on_channel_1();
    let mut bytes = [publish_method(), header_frame(1, 100_000)].concat();
    for part in [3; 100_000].chunks(10) {
        bytes.extend(body_frame(1, part));
    }
    talk.says_bytes(&bytes);
    assert_eq!(talk.broker.chunks.len(), 2);
}

/// Codes and texts of RabbitMQ 4.3.
#[test]
fn content_out_of_order_ends_the_connection() {
    const METHOD: &str = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    const HEADER: &str =
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
    const BODY: &str = "UNEXPECTED_FRAME - expected content body, got non content body frame instead";
    let (class, weight) = (8, 10);
    let wrong = |at: usize| {
        let mut header = header_frame(1, 3);
        header[at] = 50;
        header
    };
    let (begun, header) = (publish_method(), header_frame(1, 3));
    let other_class = "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead";
    let too_long = "FRAME_ERROR - content body frame exceeds remaining content size";
    for (frames, code, method, text) in [
        (vec![header.clone()], 505, (0, 0), METHOD),
        (vec![body_frame(1, b"x")], 505, (0, 0), METHOD),
        (vec![begun.clone(), begun.clone()], 505, (60, 40), HEADER),
        (vec![begun.clone(), body_frame(1, b"x")], 505, (60, 40), HEADER),
        (vec![begun.clone(), wrong(weight)], 505, (60, 40), HEADER),
        (vec![begun.clone(), wrong(class)], 505, (60, 40), other_class),
        (vec![begun.clone(), header.clone(), header.clone()], 505, (60, 40), BODY),
        (vec![begun.clone(), header.clone(), frame(1, BasicQos::default())], 505, (60, 40), BODY),
        (vec![begun, header, body_frame(1, b"four")], 501, (60, 40), too_long),
    ] {
        let mut talk = Talk::on_channel_1();
        talk.says_bytes(&frames.concat());
        talk.hears_connection_close(code, method, text);
    }
}

/// Headers that are nested deeper than ours may be are well formed: their channel ends, and the rest of the
/// message is skipped.
#[test]
fn headers_that_are_too_deep_are_406() {
    let nested = |depth: usize| {
        let deepest = leveret_model::Value::Void;
        (0..depth).fold(deepest, |inner, _| leveret_model::Value::Array(vec![inner]))
    };
    for (depth, taken) in [(16, true), (TABLE_DEPTH_MAX - 1, true), (TABLE_DEPTH_MAX, false)] {
        let table = crate::support::arguments(&[("n", nested(depth))]);
        let properties = BasicProperties { headers: Some(Table(&table)), ..Default::default() };
        let (mut payload, mut header) = (Vec::new(), Vec::new());
        properties.encode_payload(1, &mut payload);
        write_header_frame(&mut header, 1, &payload);
        let mut talk = Talk::on_channel_1();
        talk.says_bytes(&[publish_method(), header, body_frame(1, b"m")].concat());
        if taken {
            assert_eq!(body_of(talk.broker.calls.pop_front()), b"m", "{depth}");
        } else {
            let text = "PRECONDITION_FAILED - malformed headers: tables nested deeper than 128";
            talk.hears_channel_close(1, 406, (60, 40), text);
        }
    }
}

/// What is forwarded as it came must be readable for every consumer.
#[test]
fn a_malformed_content_header_is_502() {
    let mut talk = Talk::on_channel_1();
    // content-type is flagged and missing
    let header = raw_frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0]);
    talk.says_bytes(&[publish_method(), header].concat());
    talk.hears_connection_close(502, (60, 40), "SYNTAX_ERROR - malformed content header");
}

/// RabbitMQ: max_message_size is 406; here at the header already, and the rest is ignored.
#[test]
fn a_body_above_the_limit_is_406_and_skipped() {
    for cut in [usize::MAX, 700] {
        let config = Config { body_bytes_max: 10_000, ..Config::new("0.1.0", "test") };
        let mut talk = Talk::open_with(config, &[], 131_072);
        talk.says(1, ChannelOpen);
        talk.hears(1, ChannelOpenOk);
        for block in publish_frames(1, "e", "k", false, &[1; 10_001]).chunks(cut) {
            talk.says_bytes(block);
        }
        let text = "PRECONDITION_FAILED - message size 10001 is larger than configured max size 10000";
        talk.hears_channel_close(1, 406, (60, 40), text);
        assert_eq!(talk.unread_len(), 0);
        talk.says(1, ChannelCloseOk);
        talk.says(1, ChannelOpen);
        talk.hears(1, ChannelOpenOk);
        talk.publishes(1, "e", "k", &[1; 10_000]);
        talk.broker.calls.pop_front();
        assert_eq!(body_of(talk.broker.calls.pop_front()).len(), 10_000);
    }
}

/// RabbitMQ: a missing exchange closes the channel; what was published before stands.
#[test]
fn a_refused_publish_closes_the_channel_after_the_confirms_before_it() {
    for body_len in [3, 200_000] {
        let mut talk = confirming();
        let not_found = Refusal::new(ReplyCode::NotFound, "no exchange 'e' in vhost '/'");
        talk.broker.outcomes = [Ok(Published::Settled), Ok(Published::Settled), Err(not_found)].into();
        for _ in 0..4 {
            talk.publishes(1, "e", "k", &vec![1; body_len]);
        }
        talk.hears(1, BasicAck { delivery_tag: 2, multiple: true });
        talk.hears_channel_close(1, 404, (60, 40), "NOT_FOUND - no exchange 'e' in vhost '/'");
        talk.hears_nothing();
        assert_eq!(talk.broker.calls.len(), 4, "three publishes and the end of the channel");
        assert_eq!(talk.connection.unfinished_bytes(), 0);
    }
}

/// RabbitMQ: publisher confirms start with 1 at confirm.select and may be told with multiple.
#[test]
fn confirms_of_a_turn_are_one_frame() {
    let mut talk = Talk::on_channel_1();
    talk.publishes(1, "e", "k", b"before");
    talk.hears_nothing();
    talk.says(1, ConfirmSelect { no_wait: true });
    talk.says(1, ConfirmSelect { no_wait: false });
    talk.hears(1, ConfirmSelectOk);
    talk.broker.calls.clear();
    let three: Vec<u8> = (0..3).flat_map(|_| publish_frames(1, "e", "k", false, b"x")).collect();
    talk.says_bytes(&three);
    talk.hears(1, BasicAck { delivery_tag: 3, multiple: true });
    talk.publishes(1, "e", "k", b"x");
    talk.hears(1, BasicAck { delivery_tag: 4, multiple: false });
    let numbers: Vec<Option<u64>> = talk
        .broker
        .calls
        .iter()
        .map(|call| match call {
            Call::Publish { number, .. } => *number,
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3), Some(4)]);
}

/// RabbitMQ: multiple never passes a number that is owed or nacked.
#[test]
fn confirms_never_pass_what_is_owed() {
    let mut talk = confirming();
    talk.broker.outcomes =
        [Ok(Published::Settled), Ok(Published::Owed), Ok(Published::Settled), Ok(Published::Owed)].into();
    for _ in 0..4 {
        talk.says_bytes(&publish_frames(1, "e", "k", false, b"x"));
    }
    talk.hears(1, BasicAck { delivery_tag: 1, multiple: false });
    talk.hears(1, BasicAck { delivery_tag: 3, multiple: false });
    talk.settled(1, 4, false);
    talk.hears(1, BasicNack { delivery_tag: 4, multiple: false, requeue: false });
    talk.settled(1, 2, true);
    talk.settled(1, 2, false);
    talk.hears(1, BasicAck { delivery_tag: 2, multiple: false });
    talk.hears_nothing();
}

/// RabbitMQ: basic.return with the whole content comes before the ack, and it is an ack.
#[test]
fn an_unroutable_mandatory_message_is_returned_before_its_ack() {
    for body_len in [0, 5, 200_000] {
        for cut in [usize::MAX, 64] {
            let body = vec![7; body_len];
            let mut talk = confirming();
            for block in publish_frames(1, "e", "k", true, &body).chunks(cut) {
                talk.says_bytes(block);
            }
            talk.hears(
                1,
                BasicReturn { reply_code: 312, reply_text: b"NO_ROUTE", exchange: b"e", routing_key: b"k" },
            );
            talk.hears_content(1, &body);
            talk.hears(1, BasicAck { delivery_tag: 1, multiple: false });
            talk.hears_nothing();
        }
    }
}

/// A publish that cannot be routed now is kept, with all that is behind it, and offered again as it was.
#[test]
fn a_held_publish_is_offered_again_with_its_arrival() {
    for body_len in [10, 150_000] {
        let mut talk = confirming();
        let arrived = talk.now;
        let body = vec![3; body_len];
        talk.broker.outcomes = [Ok(Published::NotNow), Ok(Published::NotNow), Ok(Published::Settled)].into();
        talk.publishes(1, "e", "first", &body);
        talk.publishes(1, "e", "second", b"x");
        assert!(talk.connection.holds_publish());
        let front_bytes = b"\x01e\x05first".len() + header_payload(0).len();
        assert_eq!(talk.connection.unfinished_bytes(), front_bytes + body_len);
        assert_eq!(talk.broker.calls.len(), 1);
        for _ in 0..2 {
            talk.passes(Duration::from_millis(500));
            talk.hears_nothing();
            talk.broker.calls.clear();
            talk.connection.resume(talk.now, &mut talk.broker);
        }
        let first = Call::Publish {
            channel: 1,
            address: ("e".into(), "first".into()),
            body,
            number: Some(1),
            arrived,
        };
        assert!(talk.broker.calls.pop_front() == Some(first));
        assert_eq!(body_of(talk.broker.calls.pop_front()), b"x");
        talk.hears(1, BasicAck { delivery_tag: 2, multiple: true });
        assert!(!talk.connection.holds_publish());
        assert_eq!(talk.connection.unfinished_bytes(), 0);
    }
}

/// `limits::HELD_PUBLISH_BYTES_MAX`: what is held does not count as unfinished; the connection is not read instead.
#[test]
fn a_connection_that_holds_too_much_is_not_read() {
    let mut talk = Talk::open();
    let mut channel = 0;
    while talk.connection.wants_read() {
        channel += 1;
        talk.says(channel, ChannelOpen);
        talk.hears(channel, ChannelOpenOk);
        talk.broker.outcomes.push_back(Ok(Published::NotNow));
        talk.publishes(channel, "e", "k", &vec![1; 6_000_000]);
    }
    let front_bytes = b"\x01e\x01k".len() + header_payload(0).len();
    assert_eq!((channel, talk.connection.unfinished_bytes()), (3, 3 * (6_000_000 + front_bytes)));
    talk.connection.resume(talk.now, &mut talk.broker);
    assert!(talk.connection.wants_read());
    assert_eq!(talk.connection.unfinished_bytes(), 0);
}

/// After `limits::PUBLISH_WAIT` the host gives it up: nack.
#[test]
fn a_publish_that_is_given_up_is_nacked() {
    let mut talk = confirming();
    talk.broker.outcomes = [Ok(Published::NotNow), Ok(Published::GivenUp)].into();
    talk.publishes(1, "e", "k", b"x");
    talk.publishes(1, "e", "k", b"y");
    talk.connection.resume(talk.now, &mut talk.broker);
    talk.hears(1, BasicNack { delivery_tag: 1, multiple: false, requeue: false });
    talk.hears(1, BasicAck { delivery_tag: 2, multiple: false });
}

#[test]
fn a_held_publish_goes_with_its_channel() {
    let mut talk = Talk::on_channel_1();
    talk.broker.outcomes = [Ok(Published::NotNow)].into();
    talk.publishes(1, "e", "k", &[1; 10_000]);
    talk.connection.lost(&mut talk.broker);
    assert_eq!((talk.connection.unfinished_bytes(), talk.connection.holds_publish()), (0, false));
}

/// `limits::BODIES_UNFINISHED_BYTES_MAX`
#[test]
fn too_many_unfinished_bytes_are_506() {
    let mut talk = Talk::open();
    let max = leveret_model::limits::BODIES_UNFINISHED_BYTES_MAX;
    let mut sent = 0;
    for channel in 1..=17 {
        talk.says(channel, ChannelOpen);
        talk.hears(channel, ChannelOpenOk);
        let method = BasicPublish { exchange: b"e", routing_key: b"k", ..Default::default() };
        talk.says_bytes(&[frame(channel, method), header_frame(channel, 16 * 1024 * 1024)].concat());
        for _ in 0..163 {
            talk.says_bytes(&body_frame(channel, &[0; 100_000]));
            sent += 100_000;
            if sent > max {
                let text = format!("RESOURCE_ERROR - more than {max} bytes in unfinished messages");
                talk.hears_connection_close(506, (60, 40), &text);
                assert_eq!(talk.connection.unfinished_bytes(), 0);
                return;
            }
        }
    }
    panic!("{sent} bytes were taken");
}
