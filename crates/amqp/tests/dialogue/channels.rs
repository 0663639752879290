//! Channels, the level of exceptions, closing in both directions, and what waits behind an operation.

use std::time::Duration;

use leveret_amqp::host::{Answer, Operation};
use leveret_amqp::{Config, Ended, State};
use leveret_model::limits::{CLOSE_TIMEOUT, DEFERRED_BYTES_MAX};
use leveret_model::{Position, ReplyCode, Settlement};
use leveret_wire::method::*;

use crate::support::{
    Call, Talk, all_capabilities, body_frame, frame, header_frame, publish_frames, raw_frame,
};

/// RabbitMQ: "second 'channel.open' seen", a connection's end.
#[test]
fn opening_a_channel_twice_is_504() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, ChannelOpen);
    talk.hears_connection_close(504, (20, 10), "CHANNEL_ERROR - second 'channel.open' seen");
}

#[test]
fn using_a_channel_before_it_is_open_is_504() {
    for (bytes, method) in [
        (frame(5, BasicQos::default()), (60, 10)),
        (header_frame(5, 1), (0, 0)),
        (body_frame(5, b"x"), (0, 0)),
    ] {
        let mut talk = Talk::on_channel_1();
        talk.says_bytes(&bytes);
        talk.hears_connection_close(504, method, "CHANNEL_ERROR - expected 'channel.open'");
    }
}

#[test]
fn a_channel_number_above_the_negotiated_is_530() {
    let mut talk = Talk::open();
    talk.says(2048, ChannelOpen);
    talk.hears_connection_close(
        530,
        (0, 0),
        "NOT_ALLOWED - channel number 2048 is above the negotiated 2047",
    );
}

/// RabbitMQ: methods that do not exist are 540, methods that only servers send 503.
#[test]
fn methods_without_a_place_here_end_the_connection() {
    let unknown = raw_frame(1, 1, &[0, 60, 0, 99]);
    for (bytes, code, method, text) in [
        (unknown, 540, (60, 99), "NOT_IMPLEMENTED - unknown method 60.99"),
        (raw_frame(1, 1, &[0, 60, 0, 10]), 501, (60, 10), "FRAME_ERROR - cannot decode <<>>"),
        (
            raw_frame(1, 1, &[0, 60, 0, 10, 0, 0, 1, 255, 7]),
            501,
            (60, 10),
            "FRAME_ERROR - cannot decode <<0,0,1,255,7>>",
        ),
        (
            frame(1, BasicQosOk),
            503,
            (60, 11),
            "COMMAND_INVALID - unexpected method basic.qos-ok from a client",
        ),
        (
            frame(1, ConnectionOpen { virtual_host: b"/" }),
            503,
            (10, 40),
            "COMMAND_INVALID - unexpected method connection.open from a client",
        ),
        (
            frame(1, BasicQos { prefetch_size: 1, ..Default::default() }),
            540,
            (60, 10),
            "NOT_IMPLEMENTED - prefetch_size!=0 (1)",
        ),
        (
            frame(0, BasicQos::default()),
            504,
            (60, 10),
            "CHANNEL_ERROR - unexpected method basic.qos in connection state running",
        ),
        (raw_frame(7, 1, b""), 501, (0, 0), "FRAME_ERROR - unknown frame type 7"),
    ] {
        let mut talk = Talk::on_channel_1();
        talk.says_bytes(&bytes);
        talk.hears_connection_close(code, method, text);
        talk.hears_nothing();
        assert_eq!(talk.broker.calls.pop_back(), Some(Call::Closed(1, vec![])));
    }
}

/// AMQP 0-9-1 §4.2.3
#[test]
fn a_frame_that_does_not_end_with_ce_is_501_and_nothing_after_it_is_read() {
    let mut talk = Talk::on_channel_1();
    let mut bytes = frame(1, BasicQos::default());
    *bytes.last_mut().unwrap() = 0;
    bytes.extend(frame(0, ConnectionCloseOk));
    talk.says_bytes(&bytes);
    talk.hears_connection_close(501, (0, 0), "FRAME_ERROR - frame ends with octet 0 instead of 206");
    talk.says(0, ConnectionCloseOk);
    assert_eq!(talk.connection.state(), State::Closing);
    talk.passes(CLOSE_TIMEOUT);
    assert!(talk.connection.is_finished());
}

/// AMQP 0-9-1 §1.5.2.5: after channel.close all but close and close-ok is ignored; the number is free after close-ok.
#[test]
fn a_closed_channel_ignores_everything_until_close_ok() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueuePurge { queue: b"nope", no_wait: false });
    let (channel, _) = talk.asked();
    talk.refuses(channel, ReplyCode::NotFound, "no queue 'nope' in vhost '/'");
    let text = "NOT_FOUND - no queue 'nope' in vhost '/'";
    talk.hears_channel_close(1, 404, (50, 30), text);
    assert_eq!(talk.broker.refused, [(1, 404, text.to_owned())]);
    assert_eq!(talk.broker.calls.pop_front(), Some(Call::Closed(1, vec![])));
    talk.publishes(1, "", "q", b"late");
    talk.publishes(1, "", "q", &[7; 50_000]);
    talk.says(1, ChannelOpen);
    talk.says(1, ConfirmSelect { no_wait: false });
    talk.hears_nothing();
    talk.says(1, ChannelClose::default());
    talk.hears(1, ChannelCloseOk);
    talk.says(1, ChannelCloseOk);
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    talk.hears_nothing();
    assert_eq!(talk.broker.calls, []);
}

#[test]
fn a_client_closes_a_channel_and_uses_the_number_again() {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", false);
    talk.delivers(channel, consumer, 4, b"x");
    talk.delivers(channel, consumer, 5, b"y");
    talk.all_frames();
    talk.says(1, ChannelClose { reply_code: 200, reply_text: b"bye", class_id: 0, method_id: 0 });
    talk.hears(1, ChannelCloseOk);
    let calls: Vec<Call> = talk.broker.calls.drain(..).collect();
    assert_eq!(
        calls,
        [
            Call::Closed(1, vec![consumer.0]),
            Call::Settle(Position(4), Settlement::Requeue),
            Call::Settle(Position(5), Settlement::Requeue),
        ]
    );
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    // a late answer for the old opening finds nobody
    assert!(!talk.connection.on_answer(talk.now, channel, Answer::Done, &mut talk.broker));
}

#[test]
fn one_channel_ends_and_another_goes_on() {
    let mut talk = Talk::on_channel_1();
    talk.says(2, ChannelOpen);
    talk.hears(2, ChannelOpenOk);
    talk.says_bytes(&frame(2, BasicPublish { exchange: b"", routing_key: b"q", ..Default::default() }));
    talk.says(1, BasicAck { delivery_tag: 9, multiple: false });
    talk.hears_channel_close(1, 406, (60, 80), "PRECONDITION_FAILED - unknown delivery tag 9");
    talk.says_bytes(&[header_frame(2, 5), body_frame(2, b"hello")].concat());
    talk.broker.calls.pop_front();
    assert!(matches!(talk.broker.calls.pop_front(), Some(Call::Publish { channel: 2, .. })));
}

#[test]
fn a_client_closes_the_connection() {
    let mut talk = Talk::on_channel_1();
    talk.says(0, ConnectionClose { reply_code: 200, reply_text: b"bye", class_id: 0, method_id: 0 });
    assert_eq!(talk.broker.calls.pop_front(), Some(Call::Closed(1, vec![])));
    talk.hears(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
    assert_eq!(talk.connection.reason(), Some(&Ended::ByClient));
    assert_eq!(talk.connection.next_deadline(), None);
}

/// RabbitMQ: 320 with a readable reason; clients reconnect on it.
#[test]
fn the_server_closes_the_connection() {
    let mut talk = Talk::on_channel_1();
    talk.connection.close(talk.now, ReplyCode::ConnectionForced, "node is stopping", &mut talk.broker);
    assert_eq!(talk.broker.calls.pop_front(), Some(Call::Closed(1, vec![])));
    talk.hears_connection_close(320, (0, 0), "CONNECTION_FORCED - node is stopping");
    // what was on its way is ignored, half frames too
    let publish = publish_frames(1, "", "q", false, &[1; 10_000]);
    talk.says_bytes(&publish[..6_000]);
    talk.says_bytes(&publish[6_000..]);
    talk.hears_nothing();
    talk.says(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
    assert_eq!(talk.broker.calls, []);
}

#[test]
fn closes_that_cross_end_the_connection() {
    let mut talk = Talk::open();
    talk.connection.close(talk.now, ReplyCode::ConnectionForced, "stop", &mut talk.broker);
    talk.next_frame();
    talk.says(0, ConnectionClose::default());
    talk.hears(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
}

#[test]
fn a_close_without_an_answer_times_out() {
    let mut talk = Talk::open();
    talk.connection.close(talk.now, ReplyCode::ConnectionForced, "stop", &mut talk.broker);
    talk.passes(CLOSE_TIMEOUT - Duration::from_millis(1));
    assert!(!talk.connection.is_finished());
    talk.passes(Duration::from_millis(1));
    assert!(talk.connection.is_finished());
}

#[test]
fn a_lost_socket_closes_every_channel_towards_the_broker() {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", false);
    talk.delivers(channel, consumer, 8, b"x");
    talk.connection.lost(&mut talk.broker);
    let calls: Vec<Call> = talk.broker.calls.drain(..).collect();
    assert_eq!(calls, [Call::Closed(1, vec![1]), Call::Settle(Position(8), Settlement::Requeue)]);
    assert_eq!(talk.connection.reason(), Some(&Ended::Lost));
}

/// A consumer that was asked for and not answered is named too: the broker may know it already.
#[test]
fn a_consumer_under_way_is_named_when_the_channel_goes() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, BasicConsume { queue: b"q", ..Default::default() });
    talk.asked();
    talk.connection.lost(&mut talk.broker);
    assert_eq!(talk.broker.calls, [Call::Closed(1, vec![1])]);
}

/// DESIGN: publish, get and ack of a channel wait behind its operation, replies come in order, other channels go on.
#[test]
fn what_comes_behind_an_operation_waits_and_other_channels_do_not() {
    let mut talk = Talk::on_channel_1();
    talk.says(2, ChannelOpen);
    talk.hears(2, ChannelOpenOk);
    talk.says(1, QueueDeclare { queue: b"a", ..Default::default() });
    let early = talk.now;
    talk.publishes(1, "", "a", b"behind");
    talk.passes(Duration::from_millis(300));
    talk.publishes(1, "", "a", &[9; 9_000]);
    talk.says(1, QueueDeclare { queue: b"b", ..Default::default() });
    talk.says(1, BasicQos { prefetch_count: 5, ..Default::default() });
    talk.publishes(2, "", "b", b"beside");
    let (channel, operation) = talk.asked();
    assert!(matches!(operation, Operation::QueueDeclare(queue) if &*queue.name == "a"));
    assert!(matches!(talk.broker.calls.pop_front(), Some(Call::Publish { channel: 2, .. })));
    assert_eq!(talk.broker.calls, []);
    talk.passes(Duration::from_millis(700));
    talk.answers(channel, Answer::Queue { messages: 3, consumers: 1 });
    talk.hears(1, QueueDeclareOk { queue: b"a", message_count: 3, consumer_count: 1 });
    let Some(Call::Publish { body, arrived, .. }) = talk.broker.calls.pop_front() else { panic!() };
    assert_eq!((&body[..], arrived), (&b"behind"[..], early));
    let Some(Call::Publish { body, arrived, .. }) = talk.broker.calls.pop_front() else { panic!() };
    assert_eq!((body.len(), arrived), (9_000, early + Duration::from_millis(300)));
    let (channel, operation) = talk.asked();
    assert!(matches!(operation, Operation::QueueDeclare(queue) if &*queue.name == "b"));
    talk.hears_nothing();
    talk.answers(channel, Answer::Queue { messages: 0, consumers: 0 });
    talk.hears(1, QueueDeclareOk { queue: b"b", message_count: 0, consumer_count: 0 });
    talk.hears(1, BasicQosOk);
    talk.hears_nothing();
}

/// `limits::DEFERRED_BYTES_MAX`: past it the connection is not read, and goes on when the channel does.
#[test]
fn a_channel_that_defers_too_much_stops_the_reading() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueueDeclare { queue: b"a", ..Default::default() });
    let (channel, _) = talk.asked();
    let mut sent = 0;
    while talk.connection.wants_read() {
        talk.publishes(1, "", "a", &[1; 1_000]);
        sent += 1;
        assert!(sent < 1_000);
    }
    assert!(sent * 1_000 < DEFERRED_BYTES_MAX + 10_000);
    talk.publishes(1, "", "a", b"not taken");
    assert!(talk.unread_len() > 0);
    assert_eq!(talk.broker.calls, []);
    talk.answers(channel, Answer::Queue { messages: 0, consumers: 0 });
    assert!(talk.connection.wants_read());
    talk.goes_on();
    assert_eq!((talk.broker.calls.len(), talk.unread_len()), (sent + 1, 0));
}

#[test]
fn a_channel_that_ends_while_it_is_full_lets_the_reading_go_on() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueueDeclare { queue: b"a", ..Default::default() });
    let (channel, _) = talk.asked();
    while talk.connection.wants_read() {
        talk.publishes(1, "", "a", &[1; 10_000]);
    }
    talk.refuses(channel, ReplyCode::PreconditionFailed, "inequivalent arg 'durable'");
    assert!(talk.connection.wants_read());
    talk.hears_channel_close(1, 406, (50, 10), "PRECONDITION_FAILED - inequivalent arg 'durable'");
    assert_eq!(talk.broker.calls, [Call::Closed(1, vec![])]);
}

/// `limits::OUTPUT_BYTES_STOP`: a client that asks and never reads the answers.
#[test]
fn a_client_that_does_not_read_is_not_read() {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", true);
    for position in 0..3 {
        talk.delivers(channel, consumer, position, &vec![0; 1024 * 1024]);
    }
    assert!(!talk.connection.wants_read());
    talk.all_frames();
    assert!(talk.connection.wants_read());
}

/// RabbitMQ: only to clients with the capability.
#[test]
fn blocked_is_told_to_those_who_understand_it() {
    let mut talk = Talk::open();
    talk.connection.block("low on memory");
    talk.connection.block("low on memory");
    talk.hears(0, ConnectionBlocked { reason: b"low on memory" });
    talk.connection.unblock();
    talk.connection.unblock();
    talk.hears(0, ConnectionUnblocked);
    talk.hears_nothing();
    let mut talk = Talk::open_with(Config::new("0.1.0", "test"), &all_capabilities()[..1], 4096);
    talk.connection.block("low on memory");
    talk.connection.unblock();
    talk.hears_nothing();
}

/// Old 0-9 clients ask for tickets.
#[test]
fn a_ticket_is_granted() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, AccessRequest { realm: b"/data", active: true, ..Default::default() });
    talk.hears(1, AccessRequestOk { ticket: 1 });
}

/// `limits::DEFERRED_PER_CONNECTION_BYTES_MAX`: many channels that each defer less than they may.
#[test]
fn channels_that_defer_too_much_together_stop_the_reading() {
    let mut talk = Talk::open();
    let mut asked = Vec::new();
    for channel in 1..=100 {
        talk.says(channel, ChannelOpen);
        talk.hears(channel, ChannelOpenOk);
        talk.says(channel, QueueDeclare { queue: b"a", ..Default::default() });
        asked.push(talk.asked().0);
    }
    let mut channel = 1;
    while talk.connection.wants_read() {
        talk.publishes(channel, "", "a", &[1; 100_000]);
        channel += 1;
    }
    assert_eq!(channel, 22, "2 MiB");
    for channel in asked {
        talk.answers(channel, Answer::Queue { messages: 0, consumers: 0 });
    }
    assert!(talk.connection.wants_read());
    assert_eq!(talk.broker.calls.len(), 21);
}
