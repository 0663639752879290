//! Lengths, times, priorities, returns and the single active consumer through the shards: here, over a ring,
//! over a link.

use std::time::Duration;

use leveret_model::{Arguments, RoutingKey, Value};
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, Table, encode_arguments};

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const PLACES: [(u128, u8); 3] = [(1, 0), (1, 1), (2, 0)];

pub(crate) fn table(entries: &[(&str, Value)]) -> Vec<u8> {
    let entries = entries.iter().map(|(key, value)| (RoutingKey::new(key.as_bytes()), value.clone()));
    let mut table = Vec::new();
    encode_arguments(&Arguments(entries.collect()), &mut table);
    table
}

pub(crate) fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().into())
}

/// A queue of these arguments at home on node 1, shard 0; its declarer, and a client on each kind of place.
pub(crate) fn each_place(arguments: &[(&str, Value)], test: impl Fn(&mut Rig, ClientId, ClientId)) {
    for (node, shard) in PLACES {
        let mut rig = Rig::new(&[2, 1]);
        let (home, client) = (rig.connect(at(1, 0)), rig.connect(at(node, shard)));
        let arguments = table(arguments);
        rig.client(home)
            .says(1, QueueDeclare { queue: b"q", arguments: Table(&arguments), ..Default::default() });
        rig.hears(home, &Heard::Declared { messages: 0, consumers: 0 });
        test(&mut rig, home, client);
    }
}

fn publish_with(rig: &mut Rig, id: ClientId, properties: &BasicProperties<'_>, body: &str) {
    rig.client(id).publishes_with(1, ("", "q"), false, properties, body.as_bytes());
}

fn publish_all(rig: &mut Rig, id: ClientId, bodies: &[&str]) {
    bodies.iter().for_each(|body| rig.publish(id, "q", body));
    rig.run();
}

/// Number and outcome of each confirm, each number by itself.
pub(crate) fn confirmed(rig: &mut Rig, id: ClientId) -> Vec<(u64, bool)> {
    let mut last = 0;
    let mut all = Vec::new();
    for heard in rig.heard(id) {
        let Heard::Confirm { number, multiple, ok } = heard else { panic!("{heard:?}") };
        let from = if multiple { last + 1 } else { number };
        all.extend((from..=number).map(|number| (number, ok)));
        last = number;
    }
    all.sort_unstable();
    all
}

fn consume_with(
    rig: &mut Rig,
    id: ClientId,
    tag: &str,
    arguments: &[(&str, Value)],
    exclusive: bool,
) -> Heard {
    let arguments = table(arguments);
    let (queue, consumer_tag) = (&b"q"[..], tag.as_bytes());
    let arguments = Table(&arguments);
    rig.client(id).says(
        1,
        BasicConsume { queue, consumer_tag, exclusive, arguments, no_ack: false, ..Default::default() },
    );
    rig.one(id)
}

#[test]
fn a_full_queue_drops_its_oldest_and_confirms_the_newest() {
    each_place(&[("x-max-length", Value::I32(2))], |rig, home, client| {
        rig.confirms(client);
        publish_all(rig, client, &["1", "2", "3", "4"]);
        assert_eq!(confirmed(rig, client), [(1, true), (2, true), (3, true), (4, true)]);
        assert_eq!(rig.counts(home, "q"), (2, 0));
        rig.consume(home, "q", "c", true);
        assert_eq!(rig.bodies(home), ["3", "4"]);
    });
}

/// The dropped ones count in the same breath: a count asked in one write with the publishes.
#[test]
fn a_count_behind_publishes_sees_the_length_kept() {
    each_place(&[("x-max-length", Value::I32(2))], |rig, home, _| {
        for body in ["1", "2", "3", "4"] {
            rig.publish(home, "q", body);
        }
        assert_eq!(rig.counts(home, "q"), (2, 0));
    });
}

#[test]
fn a_publish_that_a_full_queue_refuses_is_nacked() {
    let arguments = [("x-max-length", Value::I32(2)), ("x-overflow", text("reject-publish"))];
    each_place(&arguments, |rig, home, client| {
        rig.confirms(client);
        publish_all(rig, client, &["1", "2", "3", "4"]);
        assert_eq!(confirmed(rig, client), [(1, true), (2, true), (3, false), (4, false)]);
        rig.consume(home, "q", "c", true);
        assert_eq!(rig.bodies(home), ["1", "2"]);
        publish_all(rig, client, &["5"]);
        assert_eq!(confirmed(rig, client), [(5, true)]);
        assert_eq!(rig.bodies(home), ["5"]);
    });
}

#[test]
fn one_queue_of_several_that_refuses_is_enough_for_a_nack() {
    let arguments = [("x-max-length", Value::I32(1)), ("x-overflow", text("reject-publish"))];
    each_place(&arguments, |rig, home, client| {
        rig.declare(client, "other");
        rig.bind(home, "q", "amq.fanout", "");
        rig.bind(client, "other", "amq.fanout", "");
        rig.confirms(client);
        for _ in 0..2 {
            rig.client(client).publishes(1, ("amq.fanout", ""), false, b"x");
            rig.run();
        }
        assert_eq!(confirmed(rig, client), [(1, true), (2, false)]);
        assert_eq!(rig.counts(home, "other"), (2, 0));
        rig.pass(Duration::from_secs(10));
        rig.hears_nothing(client);
    });
}

/// Or the publisher would be told that a message is safe that the queue never took.
#[test]
fn a_refusal_that_a_link_lost_is_told_again() {
    let arguments = [("x-max-length", Value::I32(1)), ("x-overflow", text("reject-publish"))];
    each_place(&arguments, |rig, home, client| {
        let (home_at, client_at) = (rig.client(home).at, rig.client(client).at);
        if home_at.node == client_at.node {
            return;
        }
        rig.confirms(client);
        rig.held_wires.insert((home_at, client_at));
        publish_all(rig, client, &["1", "2"]);
        rig.hears_nothing(client);
        rig.cut(1, 2);
        rig.held_wires.clear();
        rig.heal(1, 2);
        assert_eq!(confirmed(rig, client), [(1, true), (2, false)]);
        assert_eq!(rig.counts(home, "q"), (1, 0));
    });
}

#[test]
fn messages_expire_with_time_alone() {
    each_place(&[("x-message-ttl", Value::I32(1_000))], |rig, home, client| {
        publish_all(rig, client, &["1", "2"]);
        rig.pass(Duration::from_millis(900));
        publish_with(rig, client, &BasicProperties { expiration: Some(b"600"), ..Default::default() }, "3");
        rig.run();
        assert_eq!(rig.counts(home, "q"), (3, 0));
        rig.pass(Duration::from_millis(150));
        assert_eq!(rig.counts(home, "q"), (1, 0));
        rig.pass(Duration::from_millis(500));
        assert_eq!(rig.counts(home, "q"), (0, 0));
        assert_eq!(rig.shard(at(1, 0)).report().traffic.expired, 3);
    });
}

#[test]
fn an_expiration_of_0_is_delivered_at_once_or_not_at_all() {
    each_place(&[], |rig, home, client| {
        let now = BasicProperties { expiration: Some(b"0"), ..Default::default() };
        publish_with(rig, client, &now, "1");
        rig.run();
        assert_eq!(rig.counts(home, "q"), (0, 0));
        rig.consume(home, "q", "c", false);
        publish_with(rig, client, &now, "2");
        assert_eq!(rig.bodies(home), ["2"]);
    });
}

#[test]
fn a_higher_priority_goes_first() {
    each_place(&[("x-max-priority", Value::U8(5))], |rig, home, client| {
        for (body, priority) in
            [("1", None), ("2", Some(3)), ("3", Some(200)), ("4", Some(5)), ("5", Some(0))]
        {
            publish_with(rig, client, &BasicProperties { priority, ..Default::default() }, body);
        }
        rig.run();
        rig.consume(home, "q", "c", true);
        assert_eq!(rig.bodies(home), ["3", "4", "2", "1", "5"]);
    });
}

#[test]
fn a_consumer_of_higher_priority_is_served_first() {
    each_place(&[], |rig, home, client| {
        rig.qos(client, 1);
        assert_eq!(consume_with(rig, home, "low", &[], false), Heard::Consuming("low".into()));
        let high = [("x-priority", Value::I32(5))];
        assert_eq!(consume_with(rig, client, "high", &high, false), Heard::Consuming("high".into()));
        publish_all(rig, home, &["1", "2"]);
        assert_eq!((rig.bodies(client), rig.bodies(home)), (vec!["1".into()], vec!["2".into()]));
    });
}

#[test]
fn one_consumer_is_served_until_it_ends() {
    each_place(&[("x-single-active-consumer", Value::Bool(true))], |rig, home, client| {
        assert_eq!(consume_with(rig, client, "a", &[], false), Heard::Consuming("a".into()));
        assert_eq!(consume_with(rig, home, "b", &[], false), Heard::Consuming("b".into()));
        publish_all(rig, home, &["1", "2"]);
        assert_eq!(rig.bodies(client), ["1", "2"]);
        rig.hears_nothing(home);
        rig.says_cancel(client, "a");
        rig.hears(client, &Heard::CancelOk("a".into()));
        publish_all(rig, home, &["3"]);
        assert_eq!(rig.bodies(home), ["3"]);
        let refused = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
        assert_eq!(consume_with(rig, client, "c", &[], true), Heard::ChannelClose(403, refused.into()));
    });
}

#[test]
fn a_message_that_comes_back_too_often_leaves() {
    each_place(&[("x-delivery-limit", Value::I32(1))], |rig, home, client| {
        publish_all(rig, home, &["1"]);
        rig.consume(client, "q", "c", false);
        for tag in [1, 2] {
            assert_eq!(rig.deliveries(client), [(tag, tag > 1, "1".into())]);
            rig.requeue(client, tag);
        }
        rig.hears_nothing(client);
        assert_eq!(rig.counts(home, "q"), (0, 1));
        assert_eq!(rig.shard(at(1, 0)).report().traffic.returned_too_often, 1);
    });
}
