//! Links that break in every phase, and what comes again on the next one.

use std::time::Duration;

use leveret_link::Batch;
use leveret_model::directory::{Change, ToShard};
use leveret_model::{Boot, NodeId, limits};

use crate::bounds::output;
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// Queue `q` at home on node 1 with a client there; another client on node 2.
pub(crate) fn two_nodes() -> (Rig, ClientId, ClientId) {
    let mut rig = Rig::new(&[1, 1]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    rig.declare(home, "q");
    (rig, home, away)
}

fn flap(rig: &mut Rig) {
    rig.cut(1, 2);
    rig.run();
    rig.heal(1, 2);
    rig.run();
}

/// Neither side has an outbox to the other when the link comes: nobody says the end of RESUB then.
#[test]
fn a_consumer_is_served_whose_shard_knew_nobody_when_the_link_came() {
    for flaps in 0..2 {
        let mut rig = Rig::new(&[1, 1]);
        (0..flaps).for_each(|_| flap(&mut rig));
        let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
        rig.declare(home, "q");
        rig.consume(away, "q", "c", true);
        rig.publish(home, "q", "m");
        assert_eq!(rig.bodies(away), ["m"]);
    }
}

#[test]
fn held_deliveries_stay_held_over_a_flap() {
    let (mut rig, home, away) = two_nodes();
    rig.qos(away, 2);
    rig.consume(away, "q", "c", false);
    for body in ["1", "2", "3"] {
        rig.publish(home, "q", body);
    }
    assert_eq!(rig.bodies(away), ["1", "2"]);
    flap(&mut rig);
    rig.hears_nothing(away);
    rig.ack(away, 1);
    assert_eq!(rig.deliveries(away), [(3, false, "3".into())]);
    rig.ack(away, 2);
    rig.ack(away, 3);
    rig.run();
    rig.lose(away);
    assert_eq!(rig.counts(home, "q"), (0, 0));
}

#[test]
fn a_delivery_lost_with_the_link_comes_again_in_its_place() {
    let (mut rig, home, away) = two_nodes();
    rig.consume(away, "q", "c", false);
    rig.held_wires.insert((at(1, 0), at(2, 0)));
    for body in ["1", "2"] {
        rig.publish(home, "q", body);
    }
    rig.run();
    rig.cut(1, 2);
    rig.publish(home, "q", "3");
    rig.run();
    rig.held_wires.clear();
    rig.heal(1, 2);
    let expected = [(1, true, "1".into()), (2, true, "2".into()), (3, false, "3".into())];
    assert_eq!(rig.deliveries(away), expected);
}

#[test]
fn an_ack_lost_with_the_link_is_said_again() {
    for at_flap in ["before", "during"] {
        let (mut rig, home, away) = two_nodes();
        rig.consume(away, "q", "c", false);
        rig.publish(home, "q", "1");
        rig.heard(away);
        rig.held_wires.insert((at(2, 0), at(1, 0)));
        if at_flap == "during" {
            rig.cut(1, 2);
        }
        rig.ack(away, 1);
        rig.run();
        rig.cut(1, 2);
        rig.held_wires.clear();
        rig.heal(1, 2);
        rig.run();
        rig.lose(away);
        assert_eq!(rig.counts(home, "q"), (0, 0), "{at_flap}");
    }
}

/// The home has processed the requeue and given the message again, the grant that says so is not due yet.
#[test]
fn a_settlement_that_was_answered_by_a_delivery_is_not_said_again() {
    let (mut rig, home, away) = two_nodes();
    rig.consume(away, "q", "c", false);
    rig.publish(home, "q", "1");
    rig.heard(away);
    rig.requeue(away, 1);
    assert_eq!(rig.deliveries(away), [(2, true, "1".into())]);
    flap(&mut rig);
    // it is held, so it comes to nobody else
    rig.hears_nothing(away);
    rig.consume(home, "q", "h", true);
    rig.hears_nothing(home);
    rig.ack(away, 2);
    rig.run();
    rig.lose(away);
    rig.hears_nothing(home);
}

#[test]
fn the_same_holds_for_a_message_that_was_got_again() {
    let (mut rig, home, away) = two_nodes();
    rig.publish(home, "q", "1");
    rig.run();
    rig.says_get(away, "q", false);
    rig.heard(away);
    rig.requeue(away, 1);
    rig.says_get(away, "q", false);
    assert!(matches!(rig.one(away), Heard::Got { tag: 2, redelivered: true, .. }));
    flap(&mut rig);
    assert_eq!(rig.counts(home, "q").0, 0);
    rig.ack(away, 2);
    rig.run();
    rig.lose(away);
    assert_eq!(rig.counts(home, "q").0, 0);
}

#[test]
fn an_ack_under_way_over_two_flaps_still_counts() {
    let (mut rig, home, away) = two_nodes();
    rig.consume(away, "q", "c", false);
    rig.publish(home, "q", "1");
    rig.publish(home, "q", "2");
    rig.heard(away);
    rig.cut(1, 2);
    rig.ack(away, 1);
    rig.run();
    rig.held_wires.insert((at(2, 0), at(1, 0)));
    rig.heal(1, 2);
    rig.run();
    rig.cut(1, 2);
    rig.held_wires.clear();
    rig.ack(away, 2);
    rig.run();
    rig.heal(1, 2);
    rig.run();
    rig.lose(away);
    assert_eq!(rig.counts(home, "q"), (0, 0));
}

#[test]
fn requests_are_asked_again_on_a_new_link() {
    for lose in ["question", "answer"] {
        let (mut rig, home, away) = two_nodes();
        rig.publish(home, "q", "1");
        rig.run();
        let wire = if lose == "question" { (at(2, 0), at(1, 0)) } else { (at(1, 0), at(2, 0)) };
        rig.held_wires.insert(wire);
        rig.says_get(away, "q", false);
        let consumer = rig.connect(at(2, 0));
        rig.says_consume(consumer, "q", "c", false);
        rig.run();
        rig.cut(1, 2);
        rig.hears_nothing(away);
        rig.held_wires.clear();
        rig.heal(1, 2);
        let Heard::Got { tag: 1, body, .. } = rig.one(away) else { panic!("a message") };
        assert_eq!(body, b"1");
        rig.hears(consumer, &Heard::Consuming("c".into()));
        rig.requeue(away, 1);
        assert_eq!(rig.deliveries(consumer), [(1, true, "1".into())]);
    }
}

#[test]
fn what_a_client_gave_back_during_the_cut_is_given_to_others() {
    let (mut rig, home, away) = two_nodes();
    rig.consume(away, "q", "c", false);
    rig.publish(home, "q", "1");
    rig.heard(away);
    rig.cut(1, 2);
    rig.lose(away);
    rig.run();
    rig.consume(home, "q", "h", true);
    rig.hears_nothing(home);
    rig.heal(1, 2);
    assert_eq!(rig.deliveries(home), [(1, true, "1".into())]);
    assert_eq!(rig.counts(home, "q"), (0, 1));
}

#[test]
fn a_consumer_cancelled_during_the_cut_is_done_at_once_and_gone_after_it() {
    for before in [true, false] {
        let (mut rig, home, away) = two_nodes();
        rig.consume(away, "q", "c", false);
        if before {
            rig.held_wires.insert((at(2, 0), at(1, 0)));
            rig.says_cancel(away, "c");
            rig.hears_nothing(away);
            rig.cut(1, 2);
            rig.held_wires.clear();
        } else {
            rig.cut(1, 2);
            rig.says_cancel(away, "c");
        }
        rig.hears(away, &Heard::CancelOk("c".into()));
        rig.heal(1, 2);
        rig.publish(home, "q", "1");
        rig.hears_nothing(away);
        assert_eq!(rig.counts(home, "q"), (1, 0));
    }
}

/// Its window is in use by what it has not read: each new link would send it another one else.
#[test]
fn a_consumer_that_does_not_read_gets_no_window_anew_with_each_link() {
    let (mut rig, home, slow) = two_nodes();
    rig.consume(slow, "q", "c", true);
    rig.client(slow).takes = 0;
    let body = "x".repeat(1_000);
    for _ in 0..3_000 {
        rig.publish(home, "q", &body);
    }
    rig.run();
    let before = output(&mut rig, slow);
    assert!(before > limits::CONSUMER_WINDOW_BYTES as usize - 2_000, "{before}");
    for _ in 0..3 {
        flap(&mut rig);
    }
    assert_eq!(output(&mut rig, slow), before);
    rig.client(slow).takes = usize::MAX;
    assert_eq!(rig.heard(slow).len(), 3_000, "and the window opens again");
}

/// RESUB of the first new link is there, its end is not; the second new link names the queue no more.
#[test]
fn what_was_named_on_a_link_before_does_not_count() {
    let mut rig = Rig::new(&[1, 2]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    rig.declare(home, "q");
    rig.consume(away, "q", "c", false);
    rig.publish(home, "q", "1");
    rig.heard(away);
    // a batch that ends between the two
    let now = rig.now;
    let queue = rig.control.queues["q"].id;
    let mut batch = Batch::new();
    batch.push(&leveret_link::record::Record::Resubscribe { queue, consumers: vec![], held: vec![] });
    let shard = rig.shard(at(1, 0));
    shard.begin_turn(now);
    shard.on_batch(at(2, 0), Boot(1), &batch).unwrap();
    rig.cut(1, 2);
    rig.lose(away);
    rig.heal(1, 2);
    rig.run();
    assert_eq!(rig.counts(home, "q"), (1, 0));
}

#[test]
fn a_queue_deleted_during_the_cut_cancels_its_consumers_after_it() {
    let (mut rig, home, away) = two_nodes();
    rig.consume(away, "q", "c", false);
    rig.cut(1, 2);
    rig.held_mail.insert(at(2, 0));
    let id = rig.control.queues["q"].id;
    for (to, mail) in rig.control.announce(&Change::DropQueue { id }) {
        rig.tell(to, mail);
    }
    rig.run();
    rig.heal(1, 2);
    rig.hears(away, &Heard::Cancel("c".into()));
    rig.held_mail.clear();
    rig.hears_nothing(away);
    rig.hears_nothing(home);
}

#[test]
fn what_a_node_held_that_is_down_goes_back() {
    let (mut rig, home, away) = two_nodes();
    rig.consume(away, "q", "c", false);
    rig.publish(home, "q", "1");
    rig.heard(away);
    rig.cut(1, 2);
    rig.tell(at(1, 0), ToShard::NodeDown { node: NodeId(2) });
    rig.run();
    assert_eq!(rig.counts(home, "q"), (1, 0));
    // it was not dead, and comes back with an ack for what is not its own any more
    rig.ack(away, 1);
    rig.says_get(home, "q", false);
    rig.heard(home);
    rig.heal(1, 2);
    rig.run();
    rig.hears_nothing(away);
    rig.lose(home);
    assert_eq!(rig.deliveries(away), [(2, true, "1".into())]);
}

/// Every turn between the first byte and the last confirm is a place for the cut.
#[test]
fn a_cut_in_any_phase_loses_no_confirmed_message_and_doubles_none() {
    for cut_at in 0..24 {
        let mut rig = Rig::new(&[1, 1]);
        let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
        rig.declare(home, "q");
        rig.confirms(away);
        rig.qos(away, 3);
        rig.consume(away, "q", "c", false);
        let mut step = 0;
        let mut acked = Vec::new();
        for body in ["1", "2", "3", "4", "5", "6"] {
            rig.publish(away, "q", body);
            for shard in [at(2, 0), at(1, 0), at(2, 0), at(1, 0)] {
                rig.turn(shard);
                if step == cut_at {
                    rig.cut(1, 2);
                    rig.turn(at(1, 0));
                    rig.turn(at(2, 0));
                    rig.heal(1, 2);
                }
                step += 1;
                for heard in rig.heard_so_far(away) {
                    if let Heard::Deliver { tag, body, .. } = heard {
                        acked.push(body);
                        rig.ack(away, tag);
                    }
                }
            }
        }
        loop {
            let heard = rig.heard(away);
            for heard in &heard {
                match heard {
                    Heard::Deliver { tag, body, .. } => {
                        acked.push(body.clone());
                        rig.ack(away, *tag);
                    }
                    Heard::Confirm { ok, .. } => assert!(ok),
                    other => panic!("{other:?}"),
                }
            }
            if heard.is_empty() {
                break;
            }
        }
        let acked: Vec<_> = acked.iter().map(|body| std::str::from_utf8(body).unwrap()).collect();
        assert_eq!(acked, ["1", "2", "3", "4", "5", "6"], "cut at {cut_at}");
        rig.pass(Duration::from_secs(3));
        rig.hears_nothing(away);
        rig.lose(away);
        assert_eq!(rig.counts(home, "q"), (0, 0), "cut at {cut_at}");
    }
}
