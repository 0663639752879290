//! A queue that moves is copied while it serves, and freezes for what is left.

use std::time::Duration;

use leveret_link::record::{ListedRun, MovePart, Record};
use leveret_model::directory::{MoveOrder, MoveReport};
use leveret_model::{MessageState, MoveAttempt, Position, Value, limits};
use leveret_shard::{Bounds, Pressure};
use leveret_wire::method::{BasicAck, BasicNack, QueueDeclare, QueueDelete, QueuePurge};
use leveret_wire::{BasicProperties, Table};

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// The old home is shard 0 of node 1, the new one shard 1 of node 2.
const OLD: (u128, u8) = (1, 0);
const NEW: (u128, u8) = (2, 1);
/// At the old home, beside it, at the new one, beside it, elsewhere.
const PLACES: [(u128, u8); 5] = [OLD, (1, 1), NEW, (2, 0), (3, 0)];

/// A cluster whose queues are copied, however short they are, and freeze when the test says so.
fn rig() -> (Rig, ClientId) {
    let mut rig = Rig::new(&[2, 2, 1]);
    for shard in rig.shards.values_mut() {
        shard.set_bounds(Bounds { freeze_messages: 0, ..Bounds::default() });
    }
    (rig.control.copies, rig.control.slow_to_freeze) = (true, true);
    let owner = rig.connect(at(OLD.0, OLD.1));
    (rig, owner)
}

fn with_queue(bodies: &[&str]) -> (Rig, ClientId) {
    let (mut rig, owner) = rig();
    rig.declare(owner, "q");
    bodies.iter().for_each(|body| rig.publish(owner, "q", body));
    rig.run();
    (rig, owner)
}

/// The messages are at the new home, and the old one serves.
#[track_caller]
fn copies(rig: &mut Rig, name: &str) {
    for (to, mail) in rig.control.move_queue(name, at(NEW.0, NEW.1)) {
        rig.tell(to, mail);
    }
    rig.run();
    assert_eq!(rig.control.reports.last(), Some(&(at(OLD.0, OLD.1), MoveReport::Copied)));
}

/// The old home freezes, and the new one serves.
#[track_caller]
fn freezes(rig: &mut Rig, name: &str) {
    let order = MoveOrder::HandOver { to: at(NEW.0, NEW.1), only_if_short: false };
    let mail = rig.control.order_move(name, &order);
    let (old, mail) = mail.into_iter().find(|(to, _)| *to == at(OLD.0, OLD.1)).expect("to both homes");
    rig.tell(old, mail);
    rig.run();
    let last = rig.control.reports.last().expect("a report");
    assert!(matches!(last, (shard, MoveReport::Opened(_)) if *shard == at(NEW.0, NEW.1)), "{last:?}");
}

fn all_of(rig: &mut Rig, name: &str) -> Vec<(bool, String)> {
    let reader = rig.connect(at(3, 0));
    rig.consume(reader, name, "all", true);
    rig.run();
    rig.deliveries(reader).into_iter().map(|(_, redelivered, body)| (redelivered, body)).collect()
}

fn fresh(bodies: &[&str]) -> Vec<(bool, String)> {
    bodies.iter().map(|body| (false, (*body).into())).collect()
}

#[test]
fn a_queue_serves_while_it_is_copied_and_every_change_counts() {
    for place in PLACES {
        let (mut rig, owner) = with_queue(&["a", "b", "c", "d", "e"]);
        let client = rig.connect(at(place.0, place.1));
        rig.confirms(client);
        rig.qos(client, 3);
        rig.consume(client, "q", "c", false);
        rig.run();
        assert_eq!(rig.bodies(client), ["a", "b", "c"]);
        copies(&mut rig, "q");
        // acknowledged, given back, held, delivered and published after the copy was made
        rig.ack(client, 1);
        rig.requeue(client, 2);
        rig.run();
        assert_eq!(rig.deliveries(client), [(4, true, "b".into()), (5, false, "d".into())], "{place:?}");
        rig.publish(client, "q", "f");
        rig.run();
        assert!(matches!(rig.heard(client)[..], [Heard::Confirm { ok: true, .. }]), "{place:?}");
        freezes(&mut rig, "q");
        rig.ack(client, 3);
        rig.ack(client, 5);
        rig.run();
        assert_eq!(rig.bodies(client), ["e", "f"], "{place:?}: c and d stay settled");
        rig.lose(client);
        rig.run();
        let left = ["b", "e", "f"].map(|body| (true, String::from(body)));
        assert_eq!(all_of(&mut rig, "q"), left, "{place:?}");
        let _ = owner;
    }
}

#[test]
fn a_purge_during_the_copy_leaves_what_came_after_it() {
    for place in PLACES {
        let (mut rig, owner) = with_queue(&["a", "b", "c"]);
        let client = rig.connect(at(place.0, place.1));
        copies(&mut rig, "q");
        rig.client(client).says(1, QueuePurge { queue: b"q", ..Default::default() });
        rig.run();
        assert_eq!(rig.heard(client), [Heard::Count(3)], "{place:?}");
        ["d", "e"].into_iter().for_each(|body| rig.publish(owner, "q", body));
        rig.run();
        freezes(&mut rig, "q");
        assert_eq!(all_of(&mut rig, "q"), fresh(&["d", "e"]), "{place:?}");
    }
}

#[test]
fn everything_was_settled_during_the_copy() {
    let (mut rig, _) = with_queue(&["a", "b"]);
    let client = rig.connect(at(2, 0));
    rig.consume(client, "q", "c", false);
    rig.run();
    assert_eq!(rig.bodies(client), ["a", "b"]);
    copies(&mut rig, "q");
    rig.client(client).says(1, BasicAck { delivery_tag: 2, multiple: true });
    rig.run();
    freezes(&mut rig, "q");
    assert_eq!(rig.counts(client, "q"), (0, 1));
}

fn declares(rig: &mut Rig, id: ClientId, arguments: &[(&str, Value)]) {
    let arguments = crate::dead_letters::table(arguments);
    rig.client(id).says(1, QueueDeclare { queue: b"q", arguments: Table(&arguments), ..Default::default() });
    rig.run();
    assert!(matches!(rig.heard(id)[..], [Heard::Declared { .. }]));
}

fn publishes(rig: &mut Rig, id: ClientId, priority: Option<u8>, expiration: Option<&[u8]>, body: &str) {
    let properties = BasicProperties { priority, expiration, ..Default::default() };
    rig.client(id).publishes_with(1, ("", "q"), false, &properties, body.as_bytes());
    rig.run();
}

#[test]
fn levels_and_times_to_live_are_those_of_the_message() {
    let (mut rig, owner) = rig();
    declares(&mut rig, owner, &[("x-max-priority", Value::U8(5))]);
    publishes(&mut rig, owner, Some(0), None, "low");
    publishes(&mut rig, owner, Some(4), Some(b"1000"), "short");
    publishes(&mut rig, owner, Some(4), Some(b"5000"), "long");
    rig.pass(Duration::from_millis(600));
    copies(&mut rig, "q");
    // the new home counts on from when it got the copy
    rig.pass(Duration::from_millis(600));
    publishes(&mut rig, owner, Some(5), None, "first");
    freezes(&mut rig, "q");
    assert_eq!(all_of(&mut rig, "q"), fresh(&["first", "long", "low"]));
}

#[test]
fn returns_are_counted_on() {
    let (mut rig, owner) = rig();
    declares(&mut rig, owner, &[("x-delivery-limit", Value::I32(2))]);
    let client = rig.connect(at(3, 0));
    rig.qos(client, 1);
    rig.publish(owner, "q", "a");
    rig.consume(client, "q", "c", false);
    rig.run();
    for (tag, redelivered) in [(1, false), (2, true)] {
        assert_eq!(rig.deliveries(client), [(tag, redelivered, "a".into())]);
        if tag == 1 {
            copies(&mut rig, "q");
        }
        rig.client(client).says(1, BasicNack { delivery_tag: tag, requeue: true, ..Default::default() });
        rig.run();
    }
    freezes(&mut rig, "q");
    assert_eq!(rig.deliveries(client), [(3, true, "a".into())]);
    rig.requeue(client, 3);
    rig.run();
    assert_eq!(rig.counts(owner, "q"), (0, 1), "the third return was one too many");
}

#[test]
fn what_is_over_the_length_stays_dropped() {
    let (mut rig, owner) = rig();
    declares(&mut rig, owner, &[("x-max-length", Value::I32(2))]);
    ["a", "b"].into_iter().for_each(|body| rig.publish(owner, "q", body));
    rig.run();
    copies(&mut rig, "q");
    rig.publish(owner, "q", "c");
    rig.run();
    freezes(&mut rig, "q");
    rig.publish(owner, "q", "d");
    rig.run();
    assert_eq!(all_of(&mut rig, "q"), fresh(&["c", "d"]));
}

#[test]
fn the_single_active_consumer_stays_the_one() {
    let (mut rig, owner) = rig();
    declares(&mut rig, owner, &[("x-single-active-consumer", Value::Bool(true))]);
    let (first, second) = (rig.connect(at(2, 0)), rig.connect(at(3, 0)));
    rig.consume(first, "q", "c", false);
    rig.consume(second, "q", "c", false);
    rig.publish(owner, "q", "a");
    rig.run();
    copies(&mut rig, "q");
    rig.publish(owner, "q", "b");
    rig.run();
    freezes(&mut rig, "q");
    rig.publish(owner, "q", "c");
    rig.run();
    assert_eq!(rig.bodies(first), ["a", "b", "c"]);
    rig.hears_nothing(second);
    rig.lose(first);
    rig.run();
    assert_eq!(rig.bodies(second), ["a", "b", "c"]);
}

#[test]
fn a_copy_that_is_given_up_leaves_nothing_behind() {
    type Ends = fn(&mut Rig);
    let ends: [(&str, Ends); 3] = [
        ("told to", |rig| {
            for (to, mail) in rig.control.order_move("q", &MoveOrder::Cancel) {
                rig.tell(to, mail);
            }
        }),
        ("cut", |rig| {
            rig.cut(1, 2);
            rig.run();
            rig.heal(1, 2);
        }),
        ("full", |rig| {
            rig.shard(at(NEW.0, NEW.1)).on_memory(Pressure::Full);
            let owner = rig.connect(at(OLD.0, OLD.1));
            rig.control.slow_to_freeze = true;
            for (to, mail) in rig.control.move_queue("q", at(NEW.0, NEW.1)) {
                rig.tell(to, mail);
            }
            rig.run();
            rig.shard(at(NEW.0, NEW.1)).on_memory(Pressure::Calm);
            rig.counts(owner, "q");
        }),
    ];
    for (why, end) in ends {
        let (mut rig, owner) = with_queue(&["a", "b"]);
        let client = rig.connect(at(2, 0));
        rig.qos(client, 1);
        rig.consume(client, "q", "c", false);
        rig.run();
        assert_eq!(rig.bodies(client), ["a"]);
        copies(&mut rig, "q");
        end(&mut rig);
        rig.run();
        assert_eq!(rig.control.reports.last(), Some(&(at(OLD.0, OLD.1), MoveReport::Failed)), "{why}");
        rig.publish(owner, "q", "c");
        rig.ack(client, 1);
        rig.run();
        assert_eq!(rig.bodies(client), ["b"], "{why}");
        // the next try has numbers and copies of its own
        copies(&mut rig, "q");
        freezes(&mut rig, "q");
        rig.ack(client, 2);
        rig.run();
        assert_eq!(rig.bodies(client), ["c"], "{why}");
    }
}

#[test]
fn a_queue_that_is_deleted_during_the_copy_moves_nowhere() {
    let (mut rig, owner) = with_queue(&["a"]);
    copies(&mut rig, "q");
    rig.client(owner).says(1, QueueDelete { queue: b"q", ..Default::default() });
    rig.run();
    assert_eq!(rig.heard(owner), [Heard::Count(1)]);
    assert_eq!(rig.control.reports.last(), Some(&(at(OLD.0, OLD.1), MoveReport::Failed)));
}

/// What the new home says must be so: pieces that were sent, and once; lists of what was copied, and once.
#[test]
fn nonsense_ends_the_copy_and_the_queue_serves_on() {
    let said = |part| move |queue| Record::Move { queue, attempt: MoveAttempt(2), part };
    let run = |from, count| {
        let (from, state, returns) = (Position(from), MessageState::Fresh, None);
        MovePart::Listed(vec![ListedRun { from, count, state, returns }])
    };
    let (old, new) = (at(OLD.0, OLD.1), at(NEW.0, NEW.1));
    let nonsense = [
        (new, old, MovePart::PieceTaken(99)),
        (new, old, MovePart::PieceTaken(0)),
        (old, new, run(1, u32::MAX)),
        (old, new, run(u64::MAX, 2)),
        (old, new, run(2, 1)),
        (old, new, MovePart::End { messages: 3, next: Position(9) }),
    ];
    for (from, to, part) in nonsense {
        let text = format!("{part:?}");
        let (mut rig, owner) = with_queue(&["a", "b"]);
        copies(&mut rig, "q");
        let record = said(part)(rig.control.queues["q"].id);
        rig.forge(from, to, &record);
        rig.run();
        if !matches!(rig.control.reports.last(), Some((at, MoveReport::Failed)) if *at == old) {
            // a list without its first message is seen when the rest comes
            rig.forge(from, to, &said(run(1, 1))(rig.control.queues["q"].id));
            rig.run();
        }
        assert_eq!(rig.control.reports.last(), Some(&(old, MoveReport::Failed)), "{text}");
        rig.publish(owner, "q", "c");
        rig.run();
        assert_eq!(all_of(&mut rig, "q"), fresh(&["a", "b", "c"]), "{text}");
    }
}

/// Bodies of 64 KiB, more than may be on its way at once.
#[test]
fn a_short_queue_does_not_wait_behind_a_long_one() {
    let (mut rig, owner) = rig();
    let body = "x".repeat(64 * 1024);
    let many = 3 * limits::COPY_WINDOW_BYTES / body.len() as u64;
    for name in ["long", "short"] {
        rig.declare(owner, name);
    }
    (0..many).for_each(|_| rig.publish(owner, "long", &body));
    rig.publish(owner, "short", "a");
    rig.run();
    let long = rig.control.queues["long"].id;
    for name in ["long", "short"] {
        for (to, mail) in rig.control.move_queue(name, at(NEW.0, NEW.1)) {
            rig.tell(to, mail);
        }
    }
    rig.run();
    let copied = &rig.control.copied;
    assert_eq!(copied.len(), 2);
    assert_eq!(copied.last(), Some(&long), "the short one was ready first");
}
