//! Queues that end by themselves: with their connection, after their last consumer, or unused for long.

use std::time::Duration;

use leveret_model::{Arguments, RoutingKey, Value, limits};
use leveret_wire::method::*;
use leveret_wire::{Method, Table, encode_arguments};

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const NEW: Heard = Heard::Declared { messages: 0, consumers: 0 };

fn says_exclusive(rig: &mut Rig, id: ClientId, queue: &str) {
    rig.client(id).says(1, QueueDeclare { queue: queue.as_bytes(), exclusive: true, ..Default::default() });
}

fn says_auto_delete(rig: &mut Rig, id: ClientId, queue: &str) {
    rig.client(id).says(1, QueueDeclare { queue: queue.as_bytes(), auto_delete: true, ..Default::default() });
}

fn locked(queue: &str) -> Heard {
    let text = format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be originally \
         declared on another connection or the exclusive property value does not match that of the original declaration."
    );
    Heard::ChannelClose(405, text)
}

fn gone(queue: &str) -> Heard {
    Heard::ChannelClose(404, format!("NOT_FOUND - no queue '{queue}' in vhost '/'"))
}

/// A passive declare on a channel of its own.
fn asks_for(rig: &mut Rig, id: ClientId, queue: &str) -> Heard {
    rig.client(id).says(9, ChannelOpen);
    rig.client(id).says(9, QueueDeclare { queue: queue.as_bytes(), passive: true, ..Default::default() });
    let heard = rig.heard(id);
    let [Heard::Method("channel.open-ok"), answer] = &heard[..] else { panic!("{heard:?}") };
    if !matches!(answer, Heard::ChannelClose(..)) {
        rig.client(id).says(9, ChannelClose::default());
        rig.heard(id);
    }
    answer.clone()
}

/// RabbitMQ: 405 to whatever another connection does with it, on whichever node; but publishes pass.
#[test]
fn an_exclusive_queue_is_for_its_own_connection() {
    let mut rig = Rig::new(&[2, 1]);
    let owner = rig.connect(at(1, 0));
    says_exclusive(&mut rig, owner, "q");
    rig.hears(owner, &NEW);
    let queue = b"q";
    let (exchange, routing_key) = (b"amq.direct", b"k");
    rig.bind(owner, "q", "amq.direct", "k");
    // the control machine of the rig compares no definitions: a declare is a test of the cluster crate
    let methods: [Method<'static>; 7] = [
        QueueDeclare { queue, passive: true, ..Default::default() }.into(),
        QueueBind { queue, exchange, routing_key, ..Default::default() }.into(),
        QueueUnbind { queue, exchange, routing_key, ..Default::default() }.into(),
        QueuePurge { queue, no_wait: false }.into(),
        QueueDelete { queue, ..Default::default() }.into(),
        BasicConsume { queue, ..Default::default() }.into(),
        BasicGet { queue, no_ack: true }.into(),
    ];
    for method in &methods {
        for other in [at(1, 0), at(1, 1), at(2, 0)] {
            let other = rig.connect(other);
            rig.client(other).says(1, method.clone());
            rig.hears(other, &locked("q"));
        }
    }
    let publisher = rig.connect(at(2, 0));
    rig.client(publisher)
        .says(1, QueueUnbind { queue, exchange, routing_key: b"other", ..Default::default() });
    rig.hears(publisher, &Heard::Method("queue.unbind-ok"));
    rig.publish(publisher, "q", "m");
    rig.run();
    assert_eq!(rig.counts(owner, "q"), (1, 0));
}

#[test]
fn exclusive_queues_are_gone_before_close_ok() {
    let mut rig = Rig::new(&[1, 1]);
    let (owner, other) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    for queue in ["a", "b"] {
        says_exclusive(&mut rig, owner, queue);
        rig.hears(owner, &NEW);
    }
    // the other node has not applied their end
    rig.held_mail.insert(at(2, 0));
    rig.client(owner).says(0, ConnectionClose::default());
    rig.hears_nothing(owner);
    rig.held_mail.clear();
    rig.hears(owner, &Heard::Method("connection.close-ok"));
    assert!(rig.control.queues.is_empty());
    for queue in ["a", "b"] {
        assert_eq!(asks_for(&mut rig, other, queue), gone(queue));
    }
    // who comes again declares them at once
    let again = rig.connect(at(2, 0));
    says_exclusive(&mut rig, again, "a");
    rig.hears(again, &NEW);
    assert_eq!(rig.control.queues["a"].home, at(2, 0));
}

#[test]
fn exclusive_queues_end_with_a_socket_that_breaks_and_others_stay() {
    let mut rig = Rig::new(&[1]);
    let (lost, other) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    says_exclusive(&mut rig, lost, "mine");
    rig.hears(lost, &NEW);
    says_exclusive(&mut rig, other, "others");
    rig.hears(other, &NEW);
    rig.declare(lost, "shared");
    rig.lose(lost);
    assert_eq!(rig.control.queues.keys().map(|name| &**name).collect::<Vec<_>>(), ["others", "shared"]);
}

#[test]
fn an_exclusive_queue_that_comes_after_its_connection_went_ends_at_once() {
    let mut rig = Rig::new(&[1]);
    let lost = rig.connect(at(1, 0));
    rig.held_mail.insert(at(1, 0));
    says_exclusive(&mut rig, lost, "q");
    rig.run();
    assert!(rig.control.queues.contains_key("q"));
    rig.lose(lost);
    rig.held_mail.clear();
    rig.run();
    assert!(rig.control.queues.is_empty());
}

#[test]
fn a_queue_that_the_server_names_has_a_new_name_each_time() {
    let mut rig = Rig::new(&[2, 1]);
    let mut names = std::collections::BTreeSet::new();
    for shard in [at(1, 0), at(1, 1), at(2, 0)] {
        let id = rig.connect(shard);
        for _ in 0..10 {
            rig.client(id).says(1, QueueDeclare::default());
            rig.hears(id, &NEW);
            let name = rig.client(id).last_queue.clone();
            let drawn = name.strip_prefix("amq.gen-").expect("RabbitMQ's prefix");
            assert!(
                drawn.len() == 22 && drawn.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            );
            assert!(names.insert(name));
        }
    }
}

#[test]
fn an_auto_delete_queue_ends_with_its_last_consumer_and_never_before_the_first() {
    let mut rig = Rig::new(&[1, 1]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    says_auto_delete(&mut rig, home, "q");
    rig.hears(home, &NEW);
    rig.bind(home, "q", "amq.direct", "k");
    rig.says_get(home, "q", true);
    rig.hears(home, &Heard::Empty);
    assert_eq!(asks_for(&mut rig, away, "q"), NEW);
    rig.consume(home, "q", "a", false);
    rig.consume(away, "q", "b", false);
    rig.says_cancel(home, "a");
    rig.hears(home, &Heard::CancelOk("a".into()));
    assert_eq!(asks_for(&mut rig, home, "q"), Heard::Declared { messages: 0, consumers: 1 });
    rig.says_cancel(away, "b");
    rig.hears(away, &Heard::CancelOk("b".into()));
    assert_eq!(asks_for(&mut rig, home, "q"), gone("q"));
    assert!(rig.control.queues.is_empty() && rig.control.bindings.is_empty());
}

#[test]
fn an_auto_delete_queue_ends_with_the_channel_or_the_connection_of_its_last_consumer() {
    for connection in [false, true] {
        let mut rig = Rig::new(&[1, 1]);
        let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
        says_auto_delete(&mut rig, home, "q");
        rig.hears(home, &NEW);
        rig.consume(away, "q", "c", false);
        rig.publish(home, "q", "m");
        assert_eq!(rig.bodies(away), ["m"]);
        if connection {
            rig.lose(away);
        } else {
            rig.client(away).says(1, ChannelClose::default());
            rig.run();
        }
        assert!(rig.control.queues.is_empty());
        assert_eq!(asks_for(&mut rig, home, "q"), gone("q"));
    }
}

fn says_expiring(rig: &mut Rig, id: ClientId, ms: i64) {
    let mut table = Vec::new();
    encode_arguments(&Arguments(vec![(RoutingKey::new(b"x-expires"), Value::I64(ms))]), &mut table);
    rig.client(id).says(1, QueueDeclare { queue: b"q", arguments: Table(&table), ..Default::default() });
}

/// RabbitMQ: declares, gets and consumers are use; publishes and bindings are not.
#[test]
fn an_expiring_queue_ends_when_it_was_not_used_for_its_time() {
    let mut rig = Rig::new(&[1, 1]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    let part = Duration::from_millis(600);
    says_expiring(&mut rig, home, 1_000);
    rig.hears(home, &NEW);
    rig.pass(part);
    says_expiring(&mut rig, away, 1_000);
    rig.hears(away, &NEW);
    rig.pass(part);
    rig.says_get(away, "q", true);
    rig.hears(away, &Heard::Empty);
    rig.pass(part);
    rig.consume(away, "q", "c", false);
    rig.pass(limits::CLOSE_TIMEOUT);
    assert_eq!(rig.counts(home, "q"), (0, 1));
    rig.says_cancel(away, "c");
    rig.hears(away, &Heard::CancelOk("c".into()));
    rig.pass(part);
    assert!(rig.control.queues.contains_key("q"));
    rig.publish(away, "q", "m");
    rig.bind(away, "q", "amq.direct", "k");
    rig.pass(Duration::from_millis(399));
    assert!(rig.control.queues.contains_key("q"));
    rig.pass(Duration::from_millis(1));
    assert!(rig.control.queues.is_empty());
    assert_eq!(asks_for(&mut rig, away, "q"), gone("q"));
}

#[test]
fn a_queue_that_expired_while_it_was_declared_again_is_made_anew() {
    let mut rig = Rig::new(&[1, 1]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    says_expiring(&mut rig, home, 1_000);
    rig.hears(home, &NEW);
    let first = rig.control.queues["q"].id;
    // the question of the other node comes after the end
    rig.held_wires.insert((at(2, 0), at(1, 0)));
    says_expiring(&mut rig, away, 1_000);
    rig.run();
    rig.pass(Duration::from_millis(1_000));
    rig.hears(away, &NEW);
    assert_ne!(rig.control.queues["q"].id, first);
}
