//! Transactions: what is kept, what a commit does, and what it says when it fails.

use leveret_amqp::host::Published;
use leveret_model::{Position, Refusal, ReplyCode};
use leveret_wire::Method;
use leveret_wire::method::*;

use crate::support::{Call, Talk, publish_frames};

fn selected() -> Talk {
    let mut talk = Talk::on_channel_1();
    talk.says(1, TxSelect);
    talk.hears(1, TxSelectOk);
    talk
}

/// The bodies that were published, and what was settled, in order.
fn done(talk: &mut Talk) -> Vec<String> {
    let each = |call| match call {
        Call::Publish { body, .. } => String::from_utf8(body).unwrap(),
        Call::Settle(Position(position), how) => format!("{how:?} {position}"),
        other => panic!("{other:?}"),
    };
    talk.broker.calls.drain(..).map(each).collect()
}

/// With a consumer "c" that holds the messages 11 to 13 under the tags 1 to 3.
fn holding_three() -> Talk {
    let mut talk = selected();
    let (channel, consumer) = talk.consumes("c", false);
    for position in 11..=13 {
        talk.delivers(channel, consumer, position, b"x");
    }
    talk.all_frames();
    talk.broker.calls.clear();
    talk
}

#[test]
fn nothing_reaches_the_broker_before_the_commit_and_all_of_it_then_in_order() {
    let mut talk = holding_three();
    talk.publishes(1, "x", "k", b"whole");
    // in pieces
    for piece in publish_frames(1, "x", "k", false, b"pieces").chunks(9) {
        talk.says_bytes(piece);
    }
    talk.says(1, BasicAck { delivery_tag: 2, multiple: true });
    talk.says(1, BasicNack { delivery_tag: 3, multiple: false, requeue: false });
    talk.hears_nothing();
    assert_eq!(done(&mut talk), [""; 0]);
    assert!(talk.connection.unfinished_bytes() > 0 && talk.connection.holds_unacked());
    talk.says(1, TxCommit);
    talk.hears(1, TxCommitOk);
    assert_eq!(done(&mut talk), ["whole", "pieces", "Ack 11", "Ack 12", "Reject 13"]);
    assert!(talk.connection.unfinished_bytes() == 0 && !talk.connection.holds_unacked());
    talk.says(1, TxCommit);
    talk.hears(1, TxCommitOk);
    assert_eq!(done(&mut talk), [""; 0]);
}

/// RabbitMQ: a rollback of an ack does not requeue; the tag can be acked again.
#[test]
fn a_rollback_drops_publishes_and_the_deliveries_are_held_again() {
    let mut talk = holding_three();
    talk.publishes(1, "x", "k", b"m");
    talk.says(1, BasicAck { delivery_tag: 2, multiple: false });
    talk.says(1, BasicReject { delivery_tag: 1, requeue: true });
    talk.says(1, TxRollback);
    talk.hears(1, TxRollbackOk);
    assert_eq!((done(&mut talk).len(), talk.connection.unfinished_bytes()), (0, 0));
    talk.says(1, BasicAck { delivery_tag: 0, multiple: true });
    talk.says(1, TxCommit);
    talk.hears(1, TxCommitOk);
    assert_eq!(done(&mut talk), ["Ack 11", "Ack 12", "Ack 13"]);
}

#[test]
fn a_channel_that_closes_without_a_commit_gives_its_deliveries_back() {
    let mut talk = holding_three();
    talk.publishes(1, "x", "k", b"m");
    talk.says(1, BasicAck { delivery_tag: 2, multiple: true });
    talk.says(1, ChannelClose::default());
    talk.hears(1, ChannelCloseOk);
    assert_eq!(talk.broker.calls.pop_front(), Some(Call::Closed(1, vec![1])));
    assert_eq!(done(&mut talk), ["Requeue 11", "Requeue 12", "Requeue 13"]);
    assert_eq!(talk.connection.unfinished_bytes(), 0);
}

#[test]
fn a_commit_waits_for_owed_answers_and_a_held_publish_and_what_follows_waits_too() {
    let mut talk = selected();
    for body in [&b"1"[..], b"2", b"3"] {
        talk.publishes(1, "x", "k", body);
    }
    talk.broker.outcomes.extend([Ok(Published::Owed), Ok(Published::NotNow)]);
    talk.says(1, TxCommit);
    talk.says(1, BasicQos::default());
    assert_eq!(done(&mut talk), ["1", "2"]);
    assert!(talk.connection.holds_publish());
    talk.settled(1, 1, true);
    talk.hears_nothing();
    talk.broker.outcomes.push_back(Ok(Published::Owed));
    talk.connection.resume(talk.now, &mut talk.broker);
    assert_eq!(done(&mut talk), ["2", "3"]);
    assert!(!talk.connection.holds_publish());
    talk.hears_nothing();
    talk.settled(1, 2, true);
    talk.hears(1, TxCommitOk);
    talk.hears(1, BasicQosOk);
    talk.settled(1, 2, true);
    talk.hears_nothing();
}

/// The other publishes stand. The acks do not (RabbitMQ's do): what the client took from one queue must not be
/// lost because the next one refused it.
#[test]
fn a_commit_of_which_a_publish_is_refused_closes_the_channel_with_406_and_settles_nothing() {
    for later in [true, false] {
        let mut talk = holding_three();
        talk.publishes(1, "x", "k", b"1");
        talk.publishes(1, "x", "k", b"2");
        talk.says(1, BasicAck { delivery_tag: 3, multiple: true });
        talk.broker.outcomes.push_back(Ok(if later { Published::Owed } else { Published::GivenUp }));
        talk.says(1, TxCommit);
        if later {
            talk.settled(1, 1, false);
        }
        talk.hears_channel_close(1, 406, (90, 20), "PRECONDITION_FAILED - partial tx completion");
        assert_eq!(talk.broker.calls.remove(2), Some(Call::Closed(1, vec![1])));
        assert_eq!(done(&mut talk), ["1", "2", "Requeue 11", "Requeue 12", "Requeue 13"]);
    }
}

#[test]
fn an_unroutable_mandatory_message_is_returned_before_commit_ok() {
    let mut talk = selected();
    talk.says_bytes(&publish_frames(1, "x", "k", true, b"back"));
    talk.hears_nothing();
    talk.says(1, TxCommit);
    talk.hears(
        1,
        BasicReturn { reply_code: 312, reply_text: b"NO_ROUTE", exchange: b"x", routing_key: b"k" },
    );
    talk.hears_content(1, b"back");
    talk.hears(1, TxCommitOk);
}

/// RabbitMQ looks at the exchange when the message comes.
#[test]
fn what_is_wrong_with_the_exchange_is_said_at_the_publish() {
    let mut talk = selected();
    talk.publishes(1, "x", "k", b"kept");
    talk.broker.exchange = Some(Refusal::new(ReplyCode::NotFound, "no exchange 'x'"));
    talk.publishes(1, "x", "k", b"m");
    talk.hears_channel_close(1, 404, (60, 40), "NOT_FOUND - no exchange 'x'");
    assert_eq!(talk.broker.calls.pop_back(), Some(Call::Closed(1, vec![])));
    assert_eq!((done(&mut talk).len(), talk.connection.unfinished_bytes()), (0, 0));
}

#[test]
fn the_modes_of_a_channel_exclude_each_other() {
    let mut talk = selected();
    talk.says(1, TxSelect);
    talk.hears(1, TxSelectOk);
    talk.says(1, ConfirmSelect { no_wait: false });
    talk.hears_channel_close(1, 406, (85, 10), "PRECONDITION_FAILED - cannot switch from tx to confirm mode");
    let mut talk = Talk::on_channel_1();
    talk.says(1, ConfirmSelect { no_wait: true });
    talk.says(1, TxSelect);
    talk.hears_channel_close(1, 406, (90, 10), "PRECONDITION_FAILED - cannot switch from confirm to tx mode");
    for (method, id) in [(Method::from(TxCommit), 20), (TxRollback.into(), 30)] {
        let mut talk = Talk::on_channel_1();
        talk.says(1, method);
        let text = "PRECONDITION_FAILED - channel is not transactional";
        talk.hears_channel_close(1, 406, (90, id), text);
    }
}

/// A transaction that never commits is bounded, and its client alone hears of it.
#[test]
fn a_transaction_that_grows_past_its_bound_is_406_and_leaves_nothing_behind() {
    let mut talk = selected();
    talk.says(2, ChannelOpen);
    talk.hears(2, ChannelOpenOk);
    let body = vec![7; 4 * 1024 * 1024];
    for _ in 0..7 {
        talk.publishes(1, "x", "k", &body);
    }
    talk.hears_nothing();
    talk.publishes(1, "x", "k", &body);
    let text = "PRECONDITION_FAILED - more than 33554432 bytes in uncommitted messages";
    talk.hears_channel_close(1, 406, (60, 40), text);
    assert_eq!(talk.connection.unfinished_bytes(), 0);
    talk.broker.calls.clear();
    talk.publishes(2, "x", "k", b"m");
    assert_eq!(done(&mut talk), ["m"]);
}
