//! A queue moves to another home: its clients notice nothing, whichever shard they are at.

use leveret_model::directory::{MoveOrder, MoveReport, ToShard};
use leveret_model::{NodeId, limits};
use leveret_wire::method::QueueDeclare;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// The old home is shard 0 of node 1, the new one shard 1 of node 2.
const OLD: (u128, u8) = (1, 0);
const NEW: (u128, u8) = (2, 1);
/// At the old home, beside it, at the new one, beside it, elsewhere.
const PLACES: [(u128, u8); 5] = [OLD, (1, 1), NEW, (2, 0), (3, 0)];

fn with_queue() -> (Rig, ClientId) {
    let mut rig = Rig::new(&[2, 2, 1]);
    let owner = rig.connect(at(OLD.0, OLD.1));
    rig.declare(owner, "q");
    (rig, owner)
}

fn moves(rig: &mut Rig) {
    begins_to_move(rig);
    rig.run();
    let last = rig.control.reports.last().expect("a report");
    assert!(matches!(last, (shard, MoveReport::Opened(_)) if *shard == at(NEW.0, NEW.1)), "{last:?}");
    assert_eq!(rig.control.queues["q"].home, at(NEW.0, NEW.1));
}

fn begins_to_move(rig: &mut Rig) {
    for (to, mail) in rig.control.move_queue("q", at(NEW.0, NEW.1)) {
        rig.tell(to, mail);
    }
}

fn orders(rig: &mut Rig, order: &MoveOrder) {
    for (to, mail) in rig.control.order_move("q", order) {
        rig.tell(to, mail);
    }
    rig.run();
}

#[test]
fn messages_come_to_the_new_home_in_order() {
    for place in PLACES {
        let (mut rig, owner) = with_queue();
        (0..100).for_each(|number| rig.publish(owner, "q", &number.to_string()));
        rig.run();
        moves(&mut rig);
        let reader = rig.connect(at(place.0, place.1));
        assert_eq!(rig.counts(reader, "q"), (100, 0), "{place:?}");
        rig.consume(reader, "q", "c", true);
        rig.run();
        assert!(rig.bodies(reader).into_iter().eq((0..100).map(|number| number.to_string())), "{place:?}");
    }
}

#[test]
fn a_consumer_goes_on_and_keeps_what_it_holds() {
    for place in PLACES {
        let (mut rig, owner) = with_queue();
        let reader = rig.connect(at(place.0, place.1));
        rig.qos(reader, 2);
        rig.consume(reader, "q", "c", false);
        ["a", "b", "c", "d"].into_iter().for_each(|body| rig.publish(owner, "q", body));
        rig.run();
        assert_eq!(rig.bodies(reader), ["a", "b"], "{place:?}");
        moves(&mut rig);
        rig.hears_nothing(reader);
        rig.ack(reader, 1);
        rig.run();
        assert_eq!(rig.deliveries(reader), [(3, false, "c".into())], "{place:?}");
        rig.requeue(reader, 2);
        rig.run();
        assert_eq!(rig.deliveries(reader), [(4, true, "b".into())], "{place:?}");
        rig.ack(reader, 3);
        rig.ack(reader, 4);
        rig.run();
        assert_eq!(rig.bodies(reader), ["d"], "{place:?}");
    }
}

/// The acks are given while the queue is on its way, and reach whoever has it then.
#[test]
fn what_is_settled_on_the_way_stays_settled() {
    for place in PLACES {
        let (mut rig, owner) = with_queue();
        let reader = rig.connect(at(place.0, place.1));
        rig.consume(reader, "q", "c", false);
        ["a", "b", "c"].into_iter().for_each(|body| rig.publish(owner, "q", body));
        rig.run();
        assert_eq!(rig.bodies(reader), ["a", "b", "c"]);
        rig.control.slow_to_open = true;
        begins_to_move(&mut rig);
        rig.ack(reader, 1);
        rig.run();
        rig.ack(reader, 2);
        rig.run();
        orders(&mut rig, &MoveOrder::Open);
        rig.run();
        rig.lose(reader);
        rig.run();
        let other = rig.connect(at(3, 0));
        rig.consume(other, "q", "c", false);
        rig.run();
        assert_eq!(rig.deliveries(other), [(1, true, "c".into())], "{place:?}");
    }
}

#[test]
fn what_is_published_on_the_way_is_confirmed_once_and_in_order() {
    for place in PLACES {
        let (mut rig, _) = with_queue();
        let publisher = rig.connect(at(place.0, place.1));
        rig.confirms(publisher);
        rig.publish(publisher, "q", "1");
        rig.run();
        rig.control.slow_to_open = true;
        rig.publish(publisher, "q", "2");
        begins_to_move(&mut rig);
        rig.publish(publisher, "q", "3");
        rig.run();
        rig.publish(publisher, "q", "4");
        rig.run();
        orders(&mut rig, &MoveOrder::Open);
        rig.publish(publisher, "q", "5");
        rig.run();
        let confirmed: u64 = rig
            .heard(publisher)
            .into_iter()
            .map(|heard| match heard {
                Heard::Confirm { number, ok: true, .. } => number,
                other => panic!("{place:?}: {other:?}"),
            })
            .max()
            .expect("there are confirms");
        assert_eq!(confirmed, 5, "{place:?}");
        let reader = rig.connect(at(3, 0));
        rig.consume(reader, "q", "c", true);
        rig.run();
        assert_eq!(rig.bodies(reader), ["1", "2", "3", "4", "5"], "{place:?}");
    }
}

#[test]
fn a_move_that_is_given_up_leaves_the_queue_as_it_was() {
    for place in PLACES {
        let (mut rig, owner) = with_queue();
        let reader = rig.connect(at(place.0, place.1));
        rig.confirms(owner);
        rig.qos(reader, 1);
        rig.consume(reader, "q", "c", false);
        rig.publish(owner, "q", "a");
        rig.publish(owner, "q", "b");
        rig.run();
        assert_eq!(rig.bodies(reader), ["a"]);
        // the new home's answer does not come
        rig.held_wires.insert((at(NEW.0, NEW.1), at(OLD.0, OLD.1)));
        begins_to_move(&mut rig);
        rig.run();
        rig.publish(owner, "q", "c");
        rig.ack(reader, 1);
        rig.run();
        assert_eq!(rig.bodies(reader), Vec::<String>::new(), "{place:?}: it is frozen");
        orders(&mut rig, &MoveOrder::Cancel);
        rig.held_wires.clear();
        rig.run();
        assert_eq!(rig.bodies(reader), ["b"], "{place:?}");
        rig.ack(reader, 2);
        rig.run();
        assert_eq!(rig.bodies(reader), ["c"], "{place:?}");
        assert_eq!(rig.control.reports, [(at(OLD.0, OLD.1), MoveReport::Failed)]);
    }
}

#[test]
fn what_is_asked_on_the_way_is_answered_by_the_new_home() {
    for place in PLACES {
        let (mut rig, owner) = with_queue();
        let asker = rig.connect(at(place.0, place.1));
        rig.publish(owner, "q", "a");
        rig.run();
        rig.control.slow_to_open = true;
        begins_to_move(&mut rig);
        rig.run();
        rig.says_get(asker, "q", false);
        rig.run();
        orders(&mut rig, &MoveOrder::Open);
        rig.pass(core::time::Duration::from_millis(200));
        rig.run();
        let body = b"a".to_vec();
        let got = Heard::Got { tag: 1, redelivered: false, remaining: 0, body };
        assert_eq!(rig.heard(asker), [got], "{place:?}");
    }
}

#[test]
fn a_queue_moves_on_and_back() {
    let (mut rig, owner) = with_queue();
    let reader = rig.connect(at(3, 0));
    rig.qos(reader, 1);
    rig.consume(reader, "q", "c", false);
    for (step, to) in [NEW, (3, 0), (1, 1), OLD, NEW].into_iter().enumerate() {
        rig.publish(owner, "q", &step.to_string());
        rig.run();
        assert_eq!(rig.bodies(reader), [step.to_string()]);
        for (shard, mail) in rig.control.move_queue("q", at(to.0, to.1)) {
            rig.tell(shard, mail);
        }
        rig.run();
        assert_eq!(rig.control.queues["q"].home, at(to.0, to.1));
        rig.ack(reader, step as u64 + 1);
        rig.run();
    }
    assert_eq!(rig.counts(owner, "q"), (0, 1));
}

#[test]
fn a_long_queue_stays_if_only_a_short_one_is_to_move() {
    let (mut rig, owner) = with_queue();
    rig.control.only_if_short = true;
    for _ in 0..limits::REBALANCE_MESSAGES_MAX {
        rig.publish(owner, "q", "a");
    }
    rig.publish(owner, "q", "one too many");
    rig.run();
    begins_to_move(&mut rig);
    rig.run();
    assert_eq!(rig.control.reports, [(at(OLD.0, OLD.1), MoveReport::Failed)]);
    rig.consume(owner, "q", "c", false);
    rig.run();
    rig.ack(owner, 1);
    rig.run();
    moves(&mut rig);
}

/// The copy was kept until the new home served.
#[test]
fn a_queue_that_was_given_to_nobody_is_taken_back() {
    for place in PLACES {
        let (mut rig, owner) = with_queue();
        let reader = rig.connect(at(place.0, place.1));
        rig.qos(reader, 1);
        rig.consume(reader, "q", "c", false);
        rig.publish(owner, "q", "a");
        rig.publish(owner, "q", "b");
        rig.run();
        assert_eq!(rig.bodies(reader), ["a"]);
        rig.control.slow_to_open = true;
        begins_to_move(&mut rig);
        rig.run();
        rig.ack(reader, 1);
        rig.run();
        rig.takes_back("q");
        assert_eq!(rig.bodies(reader), ["b"], "{place:?}");
        rig.publish(owner, "q", "c");
        rig.ack(reader, 2);
        rig.run();
        assert_eq!(rig.bodies(reader), ["c"], "{place:?}");
    }
}

/// A shard that had other records to read when the queue froze may never have heard of the queue.
#[test]
fn a_queue_that_was_taken_back_moves_again() {
    let (mut rig, owner) = with_queue();
    rig.declare(owner, "beside");
    let reader = rig.connect(at(3, 0));
    rig.consume(reader, "beside", "c", true);
    rig.publish(owner, "q", "a");
    rig.run();
    rig.control.slow_to_open = true;
    rig.publish(owner, "beside", "b");
    rig.turn(at(OLD.0, OLD.1));
    begins_to_move(&mut rig);
    rig.run();
    rig.takes_back("q");
    rig.control.slow_to_open = false;
    moves(&mut rig);
    assert_eq!(rig.counts(owner, "q"), (1, 0));
}

/// Before the old home hears of it and freezes nothing any more, or once it has yielded.
#[test]
fn what_a_node_held_that_is_down_before_the_queue_opens_is_given_to_others() {
    for is_early in [true, false] {
        let (mut rig, owner) = with_queue();
        let gone = rig.connect(at(3, 0));
        rig.consume(gone, "q", "c", false);
        rig.publish(owner, "q", "a");
        rig.run();
        assert_eq!(rig.bodies(gone), ["a"]);
        rig.control.slow_to_open = true;
        let down = ToShard::NodeDown { node: NodeId(3) };
        if is_early {
            rig.tell_node(2, &down);
        }
        begins_to_move(&mut rig);
        rig.run();
        rig.cut(2, 3);
        rig.cut(1, 3);
        if !is_early {
            rig.tell_node(2, &down);
        }
        orders(&mut rig, &MoveOrder::Open);
        assert_eq!(rig.counts(owner, "q"), (1, 0), "{is_early}");
        let reader = rig.connect(at(2, 0));
        rig.consume(reader, "q", "c", false);
        assert_eq!(rig.deliveries(reader), [(1, true, "a".into())], "{is_early}");
        rig.control.slow_to_open = false;
        let moved_on = rig.control.move_queue("q", at(1, 1));
        moved_on.into_iter().for_each(|(to, mail)| rig.tell(to, mail));
        rig.run();
        assert_eq!(rig.control.queues["q"].home, at(1, 1), "{is_early}");
    }
}

/// At the new home, which has never seen its consumer, and at the old one if it takes the queue back.
#[test]
fn an_auto_delete_queue_whose_consumer_goes_with_its_node_during_the_move_ends() {
    for (is_early, back) in [(true, false), (false, false), (false, true)] {
        let mut rig = Rig::new(&[2, 2, 1]);
        let owner = rig.connect(at(OLD.0, OLD.1));
        rig.client(owner).says(1, QueueDeclare { queue: b"q", auto_delete: true, ..Default::default() });
        rig.hears(owner, &Heard::Declared { messages: 0, consumers: 0 });
        let gone = rig.connect(at(3, 0));
        rig.consume(gone, "q", "c", false);
        rig.control.slow_to_open = true;
        let down = ToShard::NodeDown { node: NodeId(3) };
        if is_early {
            rig.tell_node(2, &down);
        }
        begins_to_move(&mut rig);
        rig.run();
        rig.cut(2, 3);
        rig.cut(1, 3);
        rig.tell_node(if back { 1 } else { 2 }, &down);
        rig.run();
        assert!(rig.control.queues.contains_key("q"));
        orders(&mut rig, if back { &MoveOrder::TakeBack } else { &MoveOrder::Open });
        rig.run();
        assert!(!rig.control.queues.contains_key("q"), "early {is_early}, back {back}");
    }
}

impl Rig {
    /// As the control machine does: the order, and a record that beats the one that was given away.
    fn takes_back(&mut self, name: &str) {
        orders(self, &MoveOrder::TakeBack);
        let mut record = self.control.queues[name].clone();
        record.epoch += 2;
        self.control.queues.insert(record.definition.name.clone(), record.clone());
        crate::declaring::announce(self, &leveret_model::directory::Change::PutQueue(record));
        self.run();
    }
}
