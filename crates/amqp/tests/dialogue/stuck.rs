//! Clients that do not take what is written to them: frozen, or away behind a system that still answers for them.

use leveret_amqp::host::{Answer, Operation};
use leveret_amqp::{Ended, State};
use leveret_model::limits::{
    ACK_AGE_LOOK, CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, LOGIN_REFUSED_HOLD, OUTPUT_BYTES_STOP,
    OUTPUT_STUCK_TIMEOUT,
};
use leveret_model::{Body, ChannelKey, ConsumerNumber, Message, Refusal, ReplyCode};
use leveret_wire::HEARTBEAT;
use leveret_wire::method::*;
use std::time::Duration;

use crate::support::{Talk, address, frame, header_payload, held};

/// Half of the heartbeat interval of these clients.
const HALF: Duration = Duration::from_secs(30);

/// The driver may drop the socket.
#[track_caller]
fn is_over(talk: &mut Talk, why: &Ended) {
    assert_eq!((talk.connection.state(), talk.connection.reason()), (State::Finished, Some(why)));
    assert!(talk.connection.output().is_empty(), "the output holds the socket");
    assert_eq!(talk.connection.next_deadline(), None);
}

#[test]
fn a_client_that_missed_its_heartbeats_is_dropped_with_what_it_did_not_take() {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", false);
    talk.delivers(channel, consumer, 1, b"m");
    // its words count for the first half interval
    for _ in 0..5 {
        talk.passes(HALF);
    }
    is_over(&mut talk, &Ended::HeartbeatMissed);
}

#[test]
fn a_close_ok_that_nobody_takes_is_dropped_after_its_time() {
    let mut talk = Talk::on_channel_1();
    talk.says(0, ConnectionClose { reply_code: 200, ..Default::default() });
    assert!(talk.connection.is_finished());
    assert!(!talk.connection.output().is_empty(), "the client is to hear close-ok");
    assert_eq!(talk.connection.next_deadline(), Some(talk.now + CLOSE_TIMEOUT));
    talk.passes(CLOSE_TIMEOUT - Duration::from_nanos(1));
    assert!(!talk.connection.output().is_empty());
    talk.passes(Duration::from_nanos(1));
    is_over(&mut talk, &Ended::ByClient);
}

#[test]
fn a_close_that_nobody_takes_is_dropped_after_its_time() {
    let mut talk = Talk::on_channel_1();
    talk.says_bytes(&crate::support::raw_frame(9, 0, b""));
    assert_eq!(talk.connection.state(), State::Closing);
    talk.passes(CLOSE_TIMEOUT);
    let why = Ended::ByServer(ReplyCode::FrameError, "FRAME_ERROR - unknown frame type 9".into());
    is_over(&mut talk, &why);
}

#[test]
fn a_stranger_that_takes_nothing_is_dropped_after_its_time() {
    let mut talk = Talk::accepted();
    talk.says_header();
    assert!(!talk.connection.output().is_empty(), "connection.start");
    talk.passes(HANDSHAKE_TIMEOUT);
    is_over(&mut talk, &Ended::HandshakeTimeout);

    let mut talk = Talk::accepted();
    talk.says_header();
    talk.says_start_ok("PLAIN", b"\0guest\0wrong", &[]);
    let refusal = Refusal::new(ReplyCode::AccessRefused, "Login was refused");
    talk.connection.on_login(talk.now, Err(refusal.into()));
    talk.passes(LOGIN_REFUSED_HOLD);
    is_over(&mut talk, &Ended::LoginRefused("Login was refused".into()));

    // its protocol header is answered with ours, and that is all
    let mut talk = Talk::accepted();
    talk.says_bytes(b"AMQP\x01\x01\x00\x0a");
    assert!(talk.connection.is_finished() && !talk.connection.output().is_empty());
    talk.passes(CLOSE_TIMEOUT);
    assert!(talk.connection.output().is_empty());
}

/// A consumer whose output is full: it is not read any more.
fn full() -> Talk {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", true);
    talk.delivers(channel, consumer, 1, &vec![b'm'; OUTPUT_BYTES_STOP]);
    assert!(!talk.connection.wants_read());
    talk
}

#[test]
fn a_client_that_takes_no_output_for_two_intervals_is_dropped_though_it_is_not_read() {
    let mut talk = full();
    let waiting = talk.connection.output().len();
    for _ in 0..4 {
        talk.passes(HALF);
        assert_eq!(talk.connection.state(), State::Open);
        assert_eq!(talk.connection.output().len(), waiting, "no heartbeat goes behind what is stuck");
    }
    talk.passes(HALF);
    is_over(&mut talk, &Ended::HeartbeatMissed);
}

#[test]
fn a_client_that_takes_its_output_slowly_stays() {
    let mut talk = full();
    for _ in 0..8 {
        talk.passes(HALF);
        talk.passes(HALF);
        talk.takes(1);
        assert!(!talk.connection.wants_read());
    }
    assert_eq!(talk.connection.state(), State::Open);
}

/// Its heartbeats wait in the socket: that they come is all that is known.
#[test]
fn a_client_that_is_not_read_but_heard_stays() {
    let mut talk = full();
    for _ in 0..8 {
        talk.passes(HALF);
        talk.passes(HALF);
        talk.connection.on_heard();
    }
    assert_eq!(talk.connection.state(), State::Open);
}

/// RabbitMQ: the check of a blocked connection's heartbeats pauses. A client that waits to write does not read either.
#[test]
fn a_blocked_client_that_takes_no_output_is_not_cut() {
    let mut talk = full();
    talk.connection.block("memory");
    for _ in 0..20 {
        talk.passes(HALF);
    }
    assert_eq!(talk.connection.state(), State::Open);
    talk.connection.unblock();
    for _ in 0..5 {
        talk.passes(HALF);
    }
    is_over(&mut talk, &Ended::HeartbeatMissed);
}

/// No heartbeats; its output is full, or holds one short message.
fn without_heartbeats(bytes: usize) -> Talk {
    let config = leveret_amqp::Config::new("0.1.0", "test");
    let mut talk = Talk::open_tuned(config, &crate::support::all_capabilities(), 131_072, 0);
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    let (channel, consumer) = talk.consumes("c", true);
    talk.delivers(channel, consumer, 1, &vec![b'm'; bytes]);
    talk
}

/// `limits::OUTPUT_STUCK_TIMEOUT`: the system of a frozen client would keep its socket for ever.
#[test]
fn a_client_without_heartbeats_that_takes_nothing_is_dropped_in_the_end() {
    for bytes in [1, OUTPUT_BYTES_STOP] {
        let mut talk = without_heartbeats(bytes);
        let since = talk.now;
        while talk.connection.state() == State::Open {
            let next = talk.connection.next_deadline().expect("a clock runs");
            let wait = next.since(talk.now);
            talk.passes(wait);
        }
        is_over(&mut talk, &Ended::OutputStuck);
        let lasted = talk.now.since(since);
        assert!(lasted >= OUTPUT_STUCK_TIMEOUT && lasted <= OUTPUT_STUCK_TIMEOUT * 3 / 2, "{lasted:?}");
    }
}

#[test]
fn a_client_without_heartbeats_that_takes_or_says_something_stays() {
    let most = OUTPUT_STUCK_TIMEOUT - Duration::from_secs(60);
    let quarters = |talk: &mut Talk| (0..4).for_each(|_| talk.passes(most / 4));
    // it takes some
    let mut talk = without_heartbeats(OUTPUT_BYTES_STOP * 2);
    for _ in 0..10 {
        quarters(&mut talk);
        talk.takes(1);
    }
    // it speaks, but does not read
    let mut other = without_heartbeats(10_000);
    for _ in 0..10 {
        quarters(&mut other);
        other.says(1, BasicAck { delivery_tag: 0, multiple: true });
    }
    // nothing waits for it
    let mut idle = without_heartbeats(1);
    idle.takes(usize::MAX);
    (0..40).for_each(|_| idle.passes(OUTPUT_STUCK_TIMEOUT));
    assert!(idle.connection.output().is_empty(), "no heartbeat was asked for");
    assert_eq!(idle.connection.next_deadline(), Some(idle.now + ACK_AGE_LOOK), "nothing else");
    // it is blocked, and waits to write
    let mut blocked = without_heartbeats(OUTPUT_BYTES_STOP);
    blocked.connection.block("memory");
    (0..40).for_each(|_| blocked.passes(OUTPUT_STUCK_TIMEOUT));
    for talk in [talk, other, idle, blocked] {
        assert_eq!(talk.connection.state(), State::Open);
    }
}

/// So many basic.get frames for channel 1.
fn gets(count: usize) -> Vec<u8> {
    frame(1, BasicGet { queue: b"q", no_ack: true }).repeat(count)
}

/// Answers gets of channel 1 with large messages as long as it asks; how many.
fn serves(talk: &mut Talk, body: &[u8]) -> usize {
    let mut served = 0;
    while let Some((channel, operation)) = talk.next_request() {
        assert!(matches!(operation, Operation::Get { .. }));
        got(talk, channel, body);
        served += 1;
    }
    served
}

fn got(talk: &mut Talk, channel: ChannelKey, body: &[u8]) {
    let (address, header) = (address("e", "k"), header_payload(body.len()));
    let message = Message::new(&address, &header, Body::Flat(body));
    let held = held(1, ConsumerNumber::OF_GET);
    talk.answers(channel, Answer::Got { held, message, redelivered: false, remaining: 0 });
}

#[test]
fn gets_behind_a_full_output_wait_until_it_is_written_and_keep_their_order() {
    let body = vec![b'm'; 512 * 1024];
    let mut talk = Talk::on_channel_1();
    talk.says_bytes(&gets(9));
    assert_eq!(serves(&mut talk, &body), 4, "four messages fill the output");
    assert!(talk.connection.output().len() < 5 * body.len());
    // what comes meanwhile is not taken
    talk.says(1, BasicQos { prefetch_count: 1, ..Default::default() });
    assert!(talk.unread_len() > 0);
    // a little is no room yet
    talk.takes(1);
    assert_eq!(serves(&mut talk, &body), 0);
    talk.takes(body.len());
    assert_eq!(serves(&mut talk, &body), 1);
    // what is taken now goes behind the gets
    talk.takes(2 * body.len());
    talk.goes_on();
    assert_eq!(talk.unread_len(), 0);
    assert_eq!(serves(&mut talk, &body), 2);
    talk.takes(usize::MAX);
    assert_eq!(serves(&mut talk, &body), 2);
    talk.hears_after_messages(9, BasicQosOk);
}

#[test]
fn frames_that_are_answered_at_once_stop_at_a_full_output() {
    let mut talk = Talk::on_channel_1();
    let mandatory = crate::support::publish_frames(1, "e", "k", true, &vec![b'm'; 1024 * 1024]);
    talk.says_bytes(&mandatory.repeat(5));
    assert!(talk.connection.output().len() < 3 * 1024 * 1024, "{}", talk.connection.output().len());
    assert!(talk.unread_len() > 2 * 1024 * 1024);
    talk.takes(usize::MAX);
    talk.goes_on();
    talk.takes(usize::MAX);
    talk.goes_on();
    assert_eq!(talk.unread_len(), 0);
}

#[test]
fn a_channel_that_waits_for_room_can_end() {
    let body = vec![b'm'; OUTPUT_BYTES_STOP];
    let mut talk = Talk::on_channel_1();
    talk.says_bytes(&gets(3));
    assert_eq!(serves(&mut talk, &body), 1);
    talk.connection.close(talk.now, ReplyCode::ConnectionForced, "stop", &mut talk.broker);
    talk.broker.calls.clear();
    talk.takes(usize::MAX);
    assert!(talk.broker.calls.is_empty());
    talk.says_bytes(&HEARTBEAT);
    talk.says(0, ConnectionCloseOk);
    assert!(talk.connection.is_finished());
}
