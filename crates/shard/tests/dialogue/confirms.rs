//! Publisher confirms over several homes, held publishes, and the order that they keep.

use std::time::Duration;

use leveret_model::directory::Change;
use leveret_model::{Instant, QueueId};
use leveret_wire::method::*;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

fn confirm(number: u64, multiple: bool, ok: bool) -> Heard {
    Heard::Confirm { number, multiple, ok }
}

/// A queue here, one on another shard, one on another node, all bound; and a publisher with confirms here.
fn three_homes() -> (Rig, ClientId, [ClientId; 3]) {
    let mut rig = Rig::new(&[2, 1]);
    let homes = [rig.connect(at(1, 0)), rig.connect(at(1, 1)), rig.connect(at(2, 0))];
    for (id, queue) in homes.into_iter().zip(["a", "b", "c"]) {
        rig.declare(id, queue);
        rig.bind(id, queue, "amq.fanout", "");
    }
    let publisher = rig.connect(at(1, 0));
    rig.confirms(publisher);
    (rig, publisher, homes)
}

fn to_all(rig: &mut Rig, publisher: ClientId, body: &str) {
    rig.client(publisher).publishes(1, ("amq.fanout", ""), false, body.as_bytes());
}

#[test]
fn a_publish_to_several_homes_is_confirmed_once_when_all_have_it() {
    let (mut rig, publisher, homes) = three_homes();
    rig.held_wires.insert((at(2, 0), at(1, 0)));
    to_all(&mut rig, publisher, "1");
    rig.hears_nothing(publisher);
    assert_eq!(rig.counts(homes[0], "a").0, 1);
    assert_eq!(rig.counts(homes[1], "b").0, 1);
    rig.held_wires.clear();
    rig.hears(publisher, &confirm(1, false, true));
    assert_eq!(rig.counts(homes[2], "c").0, 1);
    rig.pass(Duration::from_secs(10));
    rig.hears_nothing(publisher);
}

#[test]
fn a_home_that_is_out_of_reach_nacks_once_and_the_rest_is_no_second_answer() {
    let (mut rig, publisher, homes) = three_homes();
    rig.cut(1, 2);
    // the other shard answers after the nack
    rig.held_wires.insert((at(1, 1), at(1, 0)));
    to_all(&mut rig, publisher, "1");
    rig.pass(Duration::from_millis(1_999));
    rig.hears_nothing(publisher);
    rig.pass(Duration::from_millis(1));
    rig.hears(publisher, &confirm(1, false, false));
    rig.held_wires.clear();
    rig.hears_nothing(publisher);
    // both lanes go on
    rig.heal(1, 2);
    to_all(&mut rig, publisher, "2");
    rig.hears(publisher, &confirm(2, false, true));
    assert_eq!(rig.counts(homes[2], "c").0, 1);
    rig.consume(homes[1], "b", "b", true);
    assert_eq!(rig.bodies(homes[1]), ["1", "2"]);
}

#[test]
fn publishes_wait_for_a_home_and_arrive_once_and_in_order() {
    let (mut rig, publisher, homes) = three_homes();
    rig.cut(1, 2);
    for body in ["1", "2", "3"] {
        rig.publish(publisher, "c", body);
        rig.pass(Duration::from_millis(100));
    }
    rig.publish(publisher, "a", "local");
    rig.hears(publisher, &confirm(4, false, true));
    rig.heal(1, 2);
    rig.publish(publisher, "c", "4");
    let heard = rig.heard(publisher);
    assert_eq!(heard, [confirm(5, true, true)]);
    rig.consume(homes[2], "c", "c", true);
    assert_eq!(rig.bodies(homes[2]), ["1", "2", "3", "4"]);
}

#[test]
fn what_was_given_up_leaves_no_hole_in_the_lane() {
    let (mut rig, publisher, homes) = three_homes();
    rig.cut(1, 2);
    for body in ["1", "2"] {
        rig.publish(publisher, "c", body);
        rig.pass(Duration::from_millis(1_500));
    }
    rig.hears(publisher, &confirm(1, false, false));
    rig.publish(publisher, "c", "3");
    rig.heal(1, 2);
    rig.hears(publisher, &confirm(3, true, true));
    rig.consume(homes[2], "c", "c", true);
    assert_eq!(rig.bodies(homes[2]), ["2", "3"]);
}

/// It was held for want of a lease while another went into the lane.
#[test]
fn a_publish_behind_a_younger_one_is_answered_within_two_seconds_of_its_arrival() {
    let (mut rig, older, homes) = three_homes();
    let younger = rig.connect(at(1, 0));
    rig.confirms(younger);
    rig.cut(1, 2);
    let until = rig.now;
    rig.lease(1, until);
    to_all(&mut rig, older, "older");
    rig.pass(Duration::from_millis(1_500));
    rig.publish(younger, "c", "younger");
    rig.pass(Duration::from_millis(300));
    rig.lease(1, Instant::FAR);
    rig.pass(Duration::from_millis(199));
    rig.hears_nothing(older);
    rig.pass(Duration::from_millis(1));
    rig.hears(older, &confirm(1, false, false));
    rig.pass(Duration::from_millis(1_499));
    rig.hears_nothing(younger);
    rig.pass(Duration::from_millis(1));
    rig.hears(younger, &confirm(1, false, false));
    assert_eq!(rig.shard(at(1, 0)).report().traffic.given_up, 2);
    rig.heal(1, 2);
    rig.publish(older, "c", "next");
    rig.hears(older, &confirm(2, false, true));
    assert_eq!(rig.counts(homes[2], "c").0, 1);
}

#[test]
fn without_a_lease_a_publish_waits_with_all_behind_it_and_only_on_its_channel() {
    let (mut rig, publisher, homes) = three_homes();
    let until = rig.now;
    rig.lease(1, until);
    to_all(&mut rig, publisher, "1");
    // by its name a queue of the map is reached without a lease, but not past what waits
    rig.publish(publisher, "a", "2");
    rig.client(publisher).says(2, ChannelOpen);
    rig.client(publisher).publishes(2, ("", "a"), false, b"other channel");
    rig.hears(publisher, &Heard::Method("channel.open-ok"));
    rig.consume(homes[0], "a", "a", true);
    assert_eq!(rig.bodies(homes[0]), ["other channel"]);
    rig.pass(Duration::from_millis(1_000));
    rig.lease(1, Instant::FAR);
    let heard = rig.heard(publisher);
    assert!(heard == [confirm(2, true, true)] || heard == [confirm(2, false, true), confirm(1, false, true)]);
    assert_eq!(rig.bodies(homes[0]), ["1", "2"]);
}

#[test]
fn without_a_lease_for_two_seconds_a_publish_is_nacked_and_the_next_has_its_own_time() {
    let (mut rig, publisher, homes) = three_homes();
    let until = rig.now;
    rig.lease(1, until);
    to_all(&mut rig, publisher, "1");
    rig.pass(Duration::from_millis(1_500));
    to_all(&mut rig, publisher, "2");
    rig.publish(publisher, "a", "3");
    rig.pass(Duration::from_millis(499));
    rig.hears_nothing(publisher);
    rig.pass(Duration::from_millis(1));
    rig.hears(publisher, &confirm(1, false, false));
    rig.pass(Duration::from_millis(1_499));
    rig.hears_nothing(publisher);
    rig.pass(Duration::from_millis(1));
    // what waited behind goes at once: it needs no lease
    assert_eq!(rig.heard(publisher), [confirm(2, false, false), confirm(3, false, true)]);
    assert_eq!(rig.counts(homes[0], "a").0, 1);
}

/// Its home was in reach when it came: a confirm without that queue would promise what is not so.
#[test]
fn a_held_publish_that_would_miss_a_home_that_went_down_is_nacked() {
    let (mut rig, publisher, homes) = three_homes();
    let plain = rig.connect(at(1, 0));
    rig.bind(homes[0], "a", "amq.direct", "a");
    let until = rig.now;
    rig.lease(1, until);
    to_all(&mut rig, publisher, "held");
    rig.client(publisher).publishes(1, ("amq.direct", "a"), false, b"elsewhere");
    to_all(&mut rig, plain, "without confirms");
    rig.pass(Duration::from_millis(1_000));
    let id = rig.control.queues["c"].id;
    for (to, mail) in rig.control.announce(&Change::MaskQueue { id }) {
        rig.tell(to, mail);
    }
    rig.lease(1, Instant::FAR);
    assert_eq!(rig.heard(publisher), [confirm(1, false, false), confirm(2, false, true)]);
    assert_eq!(rig.counts(homes[0], "a").0, 2, "what does not miss it, and who asks for no confirm");
    to_all(&mut rig, publisher, "later");
    rig.hears(publisher, &confirm(3, false, true));
}

/// With two masked queues of one name the bindings of one leave the map; all that a start of the home had
/// leaves it when the next start is here.
#[test]
fn a_held_publish_is_nacked_when_bindings_left_with_a_home() {
    let masked = |id| Change::MaskQueue { id };
    let withdrawn = |id| Change::WithdrawQueue { id };
    for leaves in [masked, withdrawn] as [fn(QueueId) -> Change; 2] {
        let (mut rig, publisher, homes) = three_homes();
        let until = rig.now;
        rig.lease(1, until);
        to_all(&mut rig, publisher, "held");
        rig.pass(Duration::from_millis(1_000));
        let id = rig.control.queues["c"].id;
        let binding =
            rig.control.bindings.iter().find(|binding| binding.destination.as_str() == "c").cloned();
        for change in [Change::DropBinding(binding.expect("it is bound")), leaves(id)] {
            for (to, mail) in rig.control.announce(&change) {
                rig.tell(to, mail);
            }
        }
        rig.lease(1, Instant::FAR);
        rig.hears(publisher, &confirm(1, false, false));
        assert_eq!(rig.counts(homes[0], "a").0, 0);
    }
}

#[test]
fn a_lease_that_ends_is_seen_by_the_route_cache() {
    let (mut rig, publisher, _) = three_homes();
    to_all(&mut rig, publisher, "1");
    rig.hears(publisher, &confirm(1, false, true));
    let until = rig.now + Duration::from_secs(1);
    rig.lease(1, until);
    to_all(&mut rig, publisher, "2");
    rig.hears(publisher, &confirm(2, false, true));
    rig.pass(Duration::from_secs(1));
    to_all(&mut rig, publisher, "3");
    rig.hears_nothing(publisher);
    rig.lease(1, Instant::FAR);
    rig.hears(publisher, &confirm(3, false, true));
}

#[test]
fn a_channel_that_closes_takes_its_held_publish_with_it() {
    let (mut rig, publisher, homes) = three_homes();
    let until = rig.now;
    rig.lease(1, until);
    to_all(&mut rig, publisher, "1");
    rig.run();
    rig.lose(publisher);
    rig.lease(1, Instant::FAR);
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.counts(homes[0], "a").0, 0);
}

#[test]
fn a_queue_deleted_under_way_counts_as_not_matched() {
    let (mut rig, publisher, homes) = three_homes();
    rig.cut(1, 2);
    to_all(&mut rig, publisher, "1");
    rig.hears_nothing(publisher);
    let id = rig.control.queues["c"].id;
    for (to, mail) in rig.control.announce(&Change::DropQueue { id }) {
        rig.tell(to, mail);
    }
    rig.hears(publisher, &confirm(1, false, true));
    assert_eq!(rig.counts(homes[1], "b").0, 1);
}

/// Its home went Down and its name was taken: nothing says that it was deleted.
#[test]
fn a_masked_queue_that_leaves_under_way_is_nacked() {
    let (mut rig, publisher, _) = three_homes();
    rig.cut(1, 2);
    to_all(&mut rig, publisher, "1");
    rig.hears_nothing(publisher);
    let id = rig.control.queues["c"].id;
    for change in [Change::MaskQueue { id }, Change::DropQueue { id }] {
        for (to, mail) in rig.control.announce(&change) {
            rig.tell(to, mail);
        }
    }
    rig.hears(publisher, &confirm(1, false, false));
}

/// Two queues of one home by turns: each lane hears once in a turn.
#[test]
fn lanes_that_alternate_are_answered_once_each() {
    let mut rig = Rig::new(&[2]);
    let (home, publisher) = (rig.connect(at(1, 1)), rig.connect(at(1, 0)));
    rig.declare(home, "x");
    rig.declare(home, "y");
    rig.confirms(publisher);
    for _ in 0..500 {
        rig.publish(publisher, "x", "m");
        rig.publish(publisher, "y", "m");
    }
    rig.hears(publisher, &confirm(1_000, true, true));
    assert_eq!((rig.counts(home, "x").0, rig.counts(home, "y").0), (500, 500));
}

/// Of a node that is Down every record leaves the map of others, and comes back under its id when the node
/// does. The home was there all the time: it still knows how far this ingress had counted.
#[test]
fn what_is_published_to_a_queue_that_left_the_map_and_came_back_is_stored_as_well() {
    let (mut rig, publisher, homes) = three_homes();
    rig.publish(publisher, "c", "before");
    rig.hears(publisher, &confirm(1, false, true));
    let record = rig.control.queues["c"].clone();
    let id = record.id;
    for change in [Change::MaskQueue { id }, Change::DropQueue { id }, Change::PutQueue(record)] {
        for (to, mail) in rig.control.announce(&change) {
            if to.node == at(1, 0).node {
                rig.tell(to, mail);
            }
        }
    }
    rig.publish(publisher, "c", "after");
    rig.hears(publisher, &confirm(2, false, true));
    assert_eq!(rig.counts(homes[2], "c").0, 2);
}
