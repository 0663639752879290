//! What is said again on a new link, and counts once.

use std::time::Duration;

use leveret_model::directory::ToShard;
use leveret_model::{Instant, NodeId, limits};
use leveret_wire::method::{BasicAck, QueuePurge};

use crate::links::two_nodes;
use crate::rig::client::Heard;
use crate::rig::{Rig, at};

#[test]
fn a_flap_costs_nothing_of_what_is_held_beyond_one_record() {
    let many = 3 * limits::RESUBSCRIBE_PIECE_MAX as u64 + 5;
    let (mut rig, home, away) = two_nodes();
    rig.consume(away, "q", "c", false);
    for at in 1..=many {
        rig.publish(home, "q", &at.to_string());
    }
    assert_eq!(rig.deliveries(away).len() as u64, many);
    rig.held_wires.insert((at(1, 0), at(2, 0)));
    rig.publish(home, "q", "lost with the link");
    rig.run();
    rig.cut(1, 2);
    rig.held_wires.clear();
    rig.heal(1, 2);
    // the end of what is said, and with it the consumer's window, comes behind all of it
    assert_eq!(rig.deliveries(away), [(many + 1, true, "lost with the link".into())]);
    rig.client(away).says(1, BasicAck { delivery_tag: many, multiple: true });
    rig.run();
    rig.lose(away);
    assert_eq!(rig.counts(home, "q"), (1, 0));
}

/// Ten minutes later the same process is there after all: its lane goes on where it is.
#[test]
fn a_node_that_was_forgotten_and_comes_back_publishes_each_message_once() {
    let mut rig = Rig::new(&[1, 1]);
    let (home, away) = (rig.connect_with(at(1, 0), 0), rig.connect_with(at(2, 0), 0));
    rig.declare(home, "q");
    rig.confirms(away);
    rig.publish(away, "q", "1");
    rig.heard(away);
    rig.cut(1, 2);
    rig.publish(away, "q", "given up");
    rig.tell(at(1, 0), ToShard::NodeDown { node: NodeId(2) });
    rig.tell(at(1, 0), ToShard::NodeForgotten { node: NodeId(2) });
    rig.pass(Duration::from_secs(600));
    rig.hears(away, &Heard::Confirm { number: 2, multiple: false, ok: false });
    rig.heal(1, 2);
    rig.publish(away, "q", "2");
    rig.hears(away, &Heard::Confirm { number: 3, multiple: false, ok: true });
    rig.consume(home, "q", "h", true);
    assert_eq!(rig.bodies(home), ["1", "2"]);
}

#[test]
fn a_purge_whose_answer_was_lost_says_how_many_it_dropped_and_drops_no_more() {
    let (mut rig, home, away) = two_nodes();
    for body in ["1", "2", "3"] {
        rig.publish(home, "q", body);
    }
    rig.run();
    rig.held_wires.insert((at(1, 0), at(2, 0)));
    rig.client(away).says(1, QueuePurge { queue: b"q", no_wait: false });
    rig.run();
    rig.cut(1, 2);
    rig.publish(home, "q", "4");
    rig.run();
    rig.held_wires.clear();
    rig.heal(1, 2);
    rig.hears(away, &Heard::Count(3));
    assert_eq!(rig.counts(home, "q").0, 1);
    rig.client(away).says(1, QueuePurge { queue: b"q", no_wait: false });
    rig.hears(away, &Heard::Count(1));
}

/// The home's node may have stood still, and the record may be of long ago: so the asker asks again, while its
/// client waits.
#[test]
fn a_purge_that_reaches_a_home_without_a_lease_waits_for_one() {
    let (mut rig, home, away) = two_nodes();
    rig.publish(home, "q", "1");
    rig.run();
    rig.lease(1, Instant::ZERO);
    rig.client(away).says(1, QueuePurge { queue: b"q", no_wait: false });
    rig.run();
    rig.pass(Duration::from_millis(500));
    assert_eq!(rig.heard(away), [], "it waits as everything does");
    rig.lease(1, Instant::FAR);
    rig.pass(limits::ASK_AGAIN_EVERY);
    rig.hears(away, &Heard::Count(1));
}

#[test]
fn a_purge_that_finds_no_lease_in_time_is_refused_and_drops_nothing_later() {
    let (mut rig, home, away) = two_nodes();
    rig.publish(home, "q", "1");
    rig.run();
    rig.lease(1, Instant::ZERO);
    rig.client(away).says(1, QueuePurge { queue: b"q", no_wait: false });
    rig.run();
    for _ in 0..20 {
        rig.pass(limits::ASK_AGAIN_EVERY);
    }
    assert!(matches!(rig.heard(away)[..], [Heard::ChannelClose(405, _)]));
    rig.lease(1, Instant::FAR);
    rig.pass(limits::ASK_AGAIN_EVERY);
    assert_eq!(rig.counts(home, "q").0, 1);
}
