//! What a node that stops tells its store, and what it says is lost; and what stays on the disk of a queue that
//! is deleted while its dead letters are on their way.

use leveret_model::Position;
use leveret_shard::StoreLeft;
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, Table};

use crate::limits::{table, text};
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};
use crate::storing::{declare_durable, publish};

/// Home of the queue, and of the one that its dead letters go to.
const SOURCE: (u128, u8) = (1, 0);
const TARGET: (u128, u8) = (2, 0);

/// A client at each home; `q` is at the first one, `dead` at the other.
fn with_queues(auto_delete: bool) -> (Rig, ClientId, ClientId) {
    let mut rig = Rig::with_stores(&[2, 1]);
    let (source, target) = (rig.connect(at(SOURCE.0, SOURCE.1)), rig.connect(at(TARGET.0, TARGET.1)));
    declare_durable(&mut rig, target, "dead", &[]);
    let arguments =
        table(&[("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("dead"))]);
    let arguments = Table(&arguments);
    rig.client(source)
        .says(1, QueueDeclare { queue: b"q", durable: true, auto_delete, arguments, ..Default::default() });
    rig.hears(source, &Heard::Declared { messages: 0, consumers: 0 });
    assert_eq!(rig.control.queues["dead"].home, at(TARGET.0, TARGET.1));
    (rig, source, target)
}

/// Publishes persistent messages, and stores them.
fn stored(rig: &mut Rig, id: ClientId, bodies: &[&str]) {
    bodies.iter().for_each(|body| publish(rig, id, &[], body));
    rig.run();
    assert!(!rig.sync(at(SOURCE.0, SOURCE.1)).is_empty());
}

/// Rejects the first message of `q`.
fn rejects_first(rig: &mut Rig, id: ClientId) {
    rig.says_get(id, "q", false);
    let Heard::Got { tag, .. } = rig.one(id) else { panic!("a message") };
    rig.client(id).says(1, BasicReject { delivery_tag: tag, requeue: false });
    rig.run();
}

/// Places of messages of which the store hears at the stop that somebody had them.
fn delivered_at_stop(rig: &mut Rig) -> Vec<u64> {
    let request = rig.shard(at(SOURCE.0, SOURCE.1)).last_words();
    let mut places = Vec::new();
    for left in request.into_iter().flat_map(|request| request.left) {
        match left {
            StoreLeft::Returned { position: Position(place), count: 0, .. } => places.push(place),
            // how far the places of the queue go
            StoreLeft::Given { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    places
}

fn lost_at_stop(rig: &mut Rig) -> u64 {
    rig.shard(at(SOURCE.0, SOURCE.1)).messages()
}

#[test]
fn what_was_delivered_of_a_queue_that_moves_is_said_at_the_stop() {
    for yielded in [false, true] {
        let (mut rig, source, _) = with_queues(false);
        stored(&mut rig, source, &["a", "b", "c"]);
        let transient = BasicProperties::default();
        rig.client(source).publishes_with(1, ("", "q"), false, &transient, b"transient");
        rig.says_get(source, "q", false);
        assert!(matches!(rig.one(source), Heard::Got { .. }));
        if !yielded {
            rig.held_wires.insert((at(SOURCE.0, SOURCE.1), at(1, 1)));
        }
        rig.control.slow_to_open = true;
        let orders = rig.control.move_queue("q", at(1, 1));
        orders.into_iter().for_each(|(to, mail)| rig.tell(to, mail));
        rig.run();
        rig.sync(at(1, 1));
        if yielded {
            // the next home may have given any of them to somebody
            assert_eq!(lost_at_stop(&mut rig), 0);
            assert_eq!(delivered_at_stop(&mut rig).len(), 4);
        } else {
            assert_eq!(lost_at_stop(&mut rig), 1, "the transient one");
            assert_eq!(delivered_at_stop(&mut rig), [1]);
        }
    }
}

/// They are on the disk in their source, and come back to it.
#[test]
fn what_was_rejected_and_waits_for_its_target_is_said_at_the_stop() {
    for sent in [false, true] {
        let (mut rig, source, _) = with_queues(false);
        stored(&mut rig, source, &["a", "b"]);
        if sent {
            rig.held_wires.insert((at(SOURCE.0, SOURCE.1), at(TARGET.0, TARGET.1)));
        } else {
            // without a lease nobody knows where to
            let now = rig.now;
            rig.lease(1, now);
            rig.run();
        }
        rejects_first(&mut rig, source);
        assert_eq!(lost_at_stop(&mut rig), 0);
        assert_eq!(delivered_at_stop(&mut rig), [1], "{sent}");
    }
}

#[test]
fn a_transient_letter_is_counted_as_lost() {
    let (mut rig, source, _) = with_queues(false);
    rig.publish(source, "q", "transient");
    rig.run();
    rig.held_wires.insert((at(SOURCE.0, SOURCE.1), at(TARGET.0, TARGET.1)));
    rejects_first(&mut rig, source);
    assert_eq!(lost_at_stop(&mut rig), 1);
}

fn is_in_directory(rig: &Rig) -> bool {
    rig.control.queues.keys().any(|name| name.as_str() == "q")
}

#[test]
fn a_deleted_queue_stays_on_the_disk_until_its_letters_have_arrived() {
    for auto_delete in [false, true] {
        let (mut rig, source, target) = with_queues(auto_delete);
        stored(&mut rig, source, &["a", "b"]);
        rig.consume(source, "q", "c", false);
        assert_eq!(rig.bodies(source), ["a", "b"]);
        let way = (at(SOURCE.0, SOURCE.1), at(TARGET.0, TARGET.1));
        rig.held_wires.insert(way);
        rig.client(source).says(1, BasicReject { delivery_tag: 1, requeue: false });
        rig.client(source).says(1, BasicAck { delivery_tag: 2, multiple: false });
        if auto_delete {
            rig.says_cancel(source, "c");
            rig.hears(source, &Heard::CancelOk("c".into()));
        } else {
            rig.client(source).says(1, QueueDelete { queue: b"q", ..Default::default() });
            rig.hears_nothing(source);
        }
        assert!(is_in_directory(&rig), "{auto_delete}");
        assert_eq!(lost_at_stop(&mut rig), 0);
        rig.held_wires.remove(&way);
        rig.run();
        assert!(is_in_directory(&rig), "the target has not stored it");
        rig.sync(at(TARGET.0, TARGET.1));
        assert!(!is_in_directory(&rig), "{auto_delete}");
        if !auto_delete {
            let heard = rig.heard(source);
            assert!(heard.contains(&Heard::Count(0)), "{heard:?}");
        }
        assert_eq!(rig.counts(target, "dead"), (1, 0));
        assert_eq!(lost_at_stop(&mut rig), 0);
    }
}

/// Who deletes a queue does not wait for a link that is down; a stop before it is back says what that costs.
#[test]
fn a_letter_of_a_deleted_queue_that_nobody_can_take_is_counted_as_lost() {
    let (mut rig, source, _) = with_queues(false);
    stored(&mut rig, source, &["a"]);
    rig.cut(1, 2);
    rejects_first(&mut rig, source);
    assert_eq!(lost_at_stop(&mut rig), 0);
    // of the rig's control machine, which waits for all
    rig.client(source).says(1, QueueDelete { queue: b"q", ..Default::default() });
    rig.run();
    assert!(!is_in_directory(&rig));
    assert_eq!(lost_at_stop(&mut rig), 1);
}

/// A queue that was not taken from the disk before the next stop keeps what an unclean start made of it.
#[test]
fn what_was_recovered_and_never_opened_stays_redelivered() {
    use leveret_model::{Message, QueueId, Terms, Ulid};
    let mut rig = Rig::with_stores(&[1]);
    let queue = QueueId { generation: 0, ulid: Ulid(77) };
    let message = Message {
        address: b"\x00\x01q",
        header: &[],
        body: leveret_model::Body::Flat(b"x"),
        terms: Terms::new(true, 0, None),
    };
    let stored = |place, redelivered| leveret_shard::StoredMessage {
        position: Position(place),
        message,
        left: None,
        returns: 0,
        redelivered,
    };
    rig.shard(at(1, 0)).recover(queue, (Position(2), Position(0)), &[stored(1, true), stored(2, false)]);
    assert_eq!(delivered_at_stop(&mut rig), [1]);
}
