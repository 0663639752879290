//! A client that closes its connection while its channels still work off what it said before.

use std::time::Duration;

use leveret_amqp::host::Answer;
use leveret_model::limits::LEAVE_WAIT;
use leveret_wire::method::*;

use crate::support::{Call, Talk, frame, publish_frames};

/// RabbitMQ: a channel is told to end behind what it was sent.
#[test]
fn a_close_counts_behind_what_was_said_before() {
    let mut talk = Talk::on_channel_1();
    let declare = QueueDeclare { queue: b"q", no_wait: true, ..Default::default() };
    let all = [
        frame(1, declare),
        publish_frames(1, "", "q", false, b"behind"),
        frame(1, QueueDelete { queue: b"other", no_wait: true, ..Default::default() }),
        frame(0, ConnectionClose::default()),
    ];
    talk.says_bytes(&all.concat());
    let (channel, _) = talk.asked();
    talk.hears_nothing();
    assert!(!talk.connection.wants_read() && talk.unread_len() > 0);
    talk.answers(channel, Answer::Queue { messages: 0, consumers: 0 });
    let Some(Call::Publish { body, .. }) = talk.broker.calls.pop_front() else { panic!() };
    assert_eq!(&body[..], b"behind");
    let (channel, _) = talk.asked();
    assert!(!talk.connection.wants_read());
    talk.answers(channel, Answer::Messages(0));
    assert!(talk.connection.wants_read());
    talk.goes_on();
    assert_eq!(talk.broker.calls, [Call::Closed(1, vec![])]);
    talk.hears(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
}

/// `limits::LEAVE_WAIT`
#[test]
fn a_close_does_not_wait_for_ever() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueueDeclare { queue: b"q", ..Default::default() });
    talk.asked();
    talk.says(0, ConnectionClose::default());
    talk.passes(LEAVE_WAIT - Duration::from_millis(1));
    assert!(!talk.connection.wants_read() && !talk.connection.is_finished());
    talk.passes(Duration::from_millis(1));
    talk.goes_on();
    talk.hears(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
}

/// RabbitMQ: exclusive queues are gone before close-ok, so that a client which comes again may declare them at once.
#[test]
fn close_ok_waits_for_the_end_of_exclusive_queues() {
    let mut talk = Talk::on_channel_1();
    talk.broker.queues_left = true;
    talk.says(0, ConnectionClose::default());
    talk.says(1, QueuePurge { queue: b"q", no_wait: false });
    talk.hears_nothing();
    assert_eq!(talk.broker.calls, [Call::Closed(1, vec![])]);
    talk.connection.on_queues_gone(talk.now, &mut talk.broker);
    talk.hears(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
}

/// `limits::LEAVE_WAIT`: a cluster that does not answer keeps no client.
#[test]
fn close_ok_does_not_wait_for_exclusive_queues_for_ever() {
    let mut talk = Talk::on_channel_1();
    talk.broker.queues_left = true;
    talk.says(0, ConnectionClose::default());
    talk.passes(LEAVE_WAIT - Duration::from_millis(1));
    talk.hears_nothing();
    assert_eq!(talk.connection.next_deadline(), Some(talk.now + Duration::from_millis(1)));
    talk.passes(Duration::from_millis(1));
    talk.hears(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
}
