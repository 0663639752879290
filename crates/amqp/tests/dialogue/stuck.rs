//! Clients that do not take what is written to them: frozen, or away behind a system that still answers for them.

use leveret_amqp::{Ended, State};
use leveret_model::limits::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, LOGIN_REFUSED_HOLD};
use leveret_model::{Refusal, ReplyCode};
use leveret_wire::method::*;
use std::time::Duration;

use crate::support::Talk;

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
    talk.connection.on_login(talk.now, Err(refusal.clone()));
    talk.passes(LOGIN_REFUSED_HOLD);
    is_over(&mut talk, &Ended::LoginRefused("ACCESS_REFUSED - Login was refused".into()));

    // its protocol header is answered with ours, and that is all
    let mut talk = Talk::accepted();
    talk.says_bytes(b"AMQP\x01\x01\x00\x0a");
    assert!(talk.connection.is_finished() && !talk.connection.output().is_empty());
    talk.passes(CLOSE_TIMEOUT);
    assert!(talk.connection.output().is_empty());
}
