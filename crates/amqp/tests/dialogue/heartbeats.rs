//! Signs of life (AMQP 0-9-1 §4.2.7). The interval of these clients is 60 s.

use std::time::Duration;

use leveret_amqp::Ended;
use leveret_model::Instant;
use leveret_model::limits::ACK_AGE_LOOK;
use leveret_wire::{FrameKind, HEARTBEAT};

use crate::support::{Talk, frame};

/// Ticks at the connection's own deadlines until `end`.
fn until(talk: &mut Talk, end: Duration) -> usize {
    let end: Instant = talk.now + end;
    let mut beats = 0;
    while let Some(next) = talk.connection.next_deadline().filter(|next| *next <= end) {
        talk.passes(next.since(talk.now));
        beats += talk.all_frames().iter().filter(|frame| frame.kind == FrameKind::Heartbeat).count();
    }
    talk.passes(end.since(talk.now));
    beats
}

#[test]
fn a_silent_client_is_cut_without_a_close() {
    let mut talk = Talk::open();
    // the first half interval has open-ok in it
    assert_eq!(until(&mut talk, Duration::from_secs(110)), 2);
    assert!(!talk.connection.is_finished());
    until(&mut talk, Duration::from_secs(41));
    assert_eq!(talk.connection.reason(), Some(&Ended::HeartbeatMissed));
    talk.hears_nothing();
}

#[test]
fn any_octet_from_the_client_counts() {
    let mut talk = Talk::open();
    for _ in 0..5 {
        until(&mut talk, Duration::from_secs(60));
        talk.says_bytes(&HEARTBEAT[..4]);
        until(&mut talk, Duration::from_secs(60));
        talk.says_bytes(&HEARTBEAT[4..]);
    }
    assert!(!talk.connection.is_finished());
}

/// RabbitMQ: the check of a blocked connection's heartbeats pauses; our own go on.
#[test]
fn a_blocked_client_is_not_cut_and_still_hears_us() {
    let mut talk = Talk::open();
    talk.connection.block("memory");
    talk.all_frames();
    assert_eq!(until(&mut talk, Duration::from_secs(600)), 19);
    assert!(!talk.connection.is_finished());
    talk.connection.unblock();
    talk.all_frames();
    until(&mut talk, Duration::from_secs(149));
    assert!(!talk.connection.is_finished(), "two intervals from the first tick after the unblock");
    until(&mut talk, Duration::from_secs(10));
    assert!(talk.connection.is_finished());
}

/// AMQP 0-9-1 §4.2.7
#[test]
fn a_heartbeat_on_a_channel_is_505() {
    for number in [1, 2] {
        let mut talk = Talk::on_channel_1();
        talk.says_bytes(&crate::support::raw_frame(8, number, b""));
        let close = talk.next_frame().unwrap();
        let text = format!("{close:?}");
        assert!(text.contains("reply_code: 505"), "{text}");
    }
}

/// RabbitMQ: 0 is off.
#[test]
fn a_client_may_do_without() {
    use leveret_wire::method::{ConnectionOpen, ConnectionTuneOk};
    let mut talk = Talk::accepted();
    talk.says_header();
    talk.says_start_ok("PLAIN", b"\0guest\0guest", &[]);
    talk.connection.on_login(talk.now, Ok("guest".into()));
    talk.says_bytes(&frame(0, ConnectionTuneOk { channel_max: 1, frame_max: 4096, heartbeat: 0 }));
    talk.says_bytes(&frame(0, ConnectionOpen { virtual_host: b"/" }));
    // start, tune and open-ok are taken; only output that is not would keep a clock running (`stuck.rs`)
    assert_eq!(talk.all_frames().len(), 3);
    let look = |talk: &Talk| Some(talk.now + ACK_AGE_LOOK);
    assert_eq!(talk.connection.next_deadline(), look(&talk), "only how long deliveries are held");
    talk.passes(Duration::from_secs(100_000));
    talk.hears_nothing();
    assert_eq!((talk.connection.next_deadline(), talk.connection.is_finished()), (look(&talk), false));
}
