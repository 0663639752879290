//! Alternate exchanges, exchanges that choose one queue, and further routing keys, on one node and on two.

use leveret_model::definition::{ExchangeDefinition, ExchangeKind};
use leveret_model::directory::Change;
use leveret_model::{Arguments, Name, RoutingKey, Value};
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, Table, encode_arguments};

use crate::declaring::announce;
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

pub(crate) fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().into())
}

pub(crate) fn table(entries: &[(&str, Value)]) -> Vec<u8> {
    let entry = |(key, value): &(&str, Value)| (RoutingKey::new(key.as_bytes()), value.clone());
    let mut out = Vec::new();
    encode_arguments(&Arguments(entries.iter().map(entry).collect()), &mut out);
    out
}

pub(crate) fn declares(rig: &mut Rig, id: ClientId, exchange: &str, kind: &str, entries: &[(&str, Value)]) {
    let arguments = table(entries);
    rig.client(id).says(
        1,
        ExchangeDeclare {
            exchange: exchange.as_bytes(),
            kind: kind.as_bytes(),
            arguments: Table(&arguments),
            ..Default::default()
        },
    );
}

/// A rig of two nodes, with a queue on each of three shards.
fn three_queues() -> (Rig, [ClientId; 3]) {
    let mut rig = Rig::new(&[2, 1]);
    let clients = [rig.connect(at(1, 0)), rig.connect(at(1, 1)), rig.connect(at(2, 0))];
    for (id, queue) in clients.into_iter().zip(["q0", "q1", "q2"]) {
        rig.declare(id, queue);
    }
    (rig, clients)
}

fn ready(rig: &mut Rig, clients: [ClientId; 3]) -> [u32; 3] {
    let mut counts = [0; 3];
    for ((count, id), queue) in counts.iter_mut().zip(clients).zip(["q0", "q1", "q2"]) {
        *count = rig.counts(id, queue).0;
    }
    counts
}

#[test]
fn a_mandatory_message_that_the_alternate_takes_is_not_returned() {
    let (mut rig, clients) = three_queues();
    let publisher = clients[0];
    declares(&mut rig, publisher, "x", "direct", &[("alternate-exchange", text("amq.fanout"))]);
    rig.hears(publisher, &Heard::Method("exchange.declare-ok"));
    rig.confirms(publisher);
    rig.client(publisher).publishes(1, ("x", "a"), true, b"lost");
    let returned = Heard::Return { code: 312, body: b"lost".to_vec() };
    assert_eq!(rig.heard(publisher), [returned, Heard::Confirm { number: 1, multiple: false, ok: true }]);
    rig.bind(clients[2], "q2", "amq.fanout", "");
    rig.client(publisher).publishes(1, ("x", "a"), true, b"kept");
    rig.hears(publisher, &Heard::Confirm { number: 2, multiple: false, ok: true });
    assert_eq!(ready(&mut rig, clients), [0, 0, 1]);
}

#[test]
fn a_consistent_hash_sends_a_key_to_one_queue_from_whichever_shard() {
    let (mut rig, clients) = three_queues();
    declares(&mut rig, clients[0], "x", "x-consistent-hash", &[]);
    rig.hears(clients[0], &Heard::Method("exchange.declare-ok"));
    for (id, queue) in clients.into_iter().zip(["q0", "q1", "q2"]) {
        rig.bind(id, queue, "x", "1");
    }
    for id in clients {
        for key in 0..20 {
            rig.client(id).publishes(1, ("x", &format!("key {key}")), false, b"m");
        }
    }
    rig.run();
    let counts = ready(&mut rig, clients);
    assert_eq!(counts.iter().sum::<u32>(), 60);
    // the three of one key are in one queue
    assert!(counts.iter().all(|count| *count > 0 && count % 3 == 0), "{counts:?}");
}

#[test]
fn a_random_exchange_gives_each_message_to_one_queue_and_a_local_one_to_this_node() {
    let (mut rig, clients) = three_queues();
    for kind in ["x-random", "x-local-random"] {
        declares(&mut rig, clients[0], kind, kind, &[]);
        rig.hears(clients[0], &Heard::Method("exchange.declare-ok"));
        for (id, queue) in clients.into_iter().zip(["q0", "q1", "q2"]) {
            rig.bind(id, queue, kind, "");
        }
    }
    for _ in 0..60 {
        rig.client(clients[0]).publishes(1, ("x-random", "k"), false, b"m");
    }
    rig.run();
    let before = ready(&mut rig, clients);
    assert_eq!(before.iter().sum::<u32>(), 60);
    assert!(before.iter().all(|count| *count > 5), "{before:?}");
    for _ in 0..30 {
        rig.client(clients[0]).publishes(1, ("x-local-random", "k"), false, b"m");
    }
    rig.run();
    let after = ready(&mut rig, clients);
    assert_eq!((after.iter().sum::<u32>(), after[2]), (90, before[2]));
    assert!(after[0] > before[0] && after[1] > before[1]);
}

#[test]
fn arguments_and_keys_that_such_exchanges_cannot_take_are_406() {
    let mut rig = Rig::new(&[1]);
    let property = || ("hash-property", text("message_id"));
    for (entries, reason) in [
        (vec![("hash-property", text("app_id"))], "Unsupported property: app_id"),
        (
            vec![("hash-header", text("h")), property()],
            "hash-header and hash-property are mutually exclusive",
        ),
    ] {
        let a = rig.connect(at(1, 0));
        declares(&mut rig, a, "x", "x-consistent-hash", &entries);
        rig.hears(a, &Heard::ChannelClose(406, format!("PRECONDITION_FAILED - {reason}")));
    }
    let a = rig.connect(at(1, 0));
    rig.declare(a, "q");
    for (exchange, key, reason) in [
        ("x-consistent-hash", "many", "The binding key must be an integer: many"),
        ("x-consistent-hash", "0", "The binding key must be greater than 0"),
        ("x-local-random", "k", "Non-empty binding 'k' key not permitted"),
    ] {
        let a = rig.connect(at(1, 0));
        declares(&mut rig, a, exchange, exchange, &[]);
        rig.hears(a, &Heard::Method("exchange.declare-ok"));
        let (exchange, routing_key) = (exchange.as_bytes(), key.as_bytes());
        rig.client(a).says(1, QueueBind { queue: b"q", exchange, routing_key, ..Default::default() });
        rig.hears(a, &Heard::ChannelClose(406, format!("PRECONDITION_FAILED - {reason}")));
    }
}

#[test]
fn a_message_with_further_keys_reaches_each_queue_once_and_is_confirmed_once() {
    let (mut rig, clients) = three_queues();
    for (id, queue) in clients.into_iter().zip(["q0", "q1", "q2"]) {
        rig.bind(id, queue, "amq.topic", &format!("{queue}.#"));
    }
    let publisher = clients[0];
    rig.confirms(publisher);
    let further = table(&[
        ("CC", Value::Array(vec![text("q1"), text("q1.again"), text("q0.too")])),
        ("BCC", Value::Array(vec![text("q2"), text("nowhere")])),
    ]);
    let properties = BasicProperties { headers: Some(Table(&further)), ..Default::default() };
    for (number, address) in [(1, ("amq.topic", "q0")), (2, ("", "q0"))] {
        rig.client(publisher).publishes_with(1, address, true, &properties, b"m");
        rig.hears(publisher, &Heard::Confirm { number, multiple: false, ok: true });
        let expected = number as u32;
        assert_eq!(ready(&mut rig, clients), [expected; 3]);
    }
    rig.client(publisher).publishes_with(1, ("amq.direct", "q0"), true, &properties, b"m");
    let returned = Heard::Return { code: 312, body: b"m".to_vec() };
    assert_eq!(rig.heard(publisher), [returned, Heard::Confirm { number: 3, multiple: false, ok: true }]);
}

/// A channel remembers the route of an address; one with further keys is another.
#[test]
fn a_remembered_route_knows_nothing_of_further_keys() {
    let (mut rig, clients) = three_queues();
    let further = table(&[("CC", Value::Array(vec![text("q1")]))]);
    let properties = BasicProperties { headers: Some(Table(&further)), ..Default::default() };
    for with_copies in [false, true, false] {
        let none = BasicProperties::default();
        let properties = if with_copies { &properties } else { &none };
        rig.client(clients[0]).publishes_with(1, ("", "q0"), false, properties, b"m");
        rig.run();
    }
    assert_eq!(ready(&mut rig, clients), [3, 1, 0]);
}

#[test]
fn further_keys_are_routed_again_when_a_held_publish_goes() {
    let (mut rig, clients) = three_queues();
    let publisher = clients[0];
    let further = table(&[("CC", Value::Array(vec![text("q2")]))]);
    let properties = BasicProperties { headers: Some(Table(&further)), ..Default::default() };
    rig.lease(1, leveret_model::Instant::ZERO);
    rig.client(publisher).publishes_with(1, ("", "q0"), false, &properties, b"m");
    rig.run();
    rig.lease(1, leveret_model::Instant::FAR);
    rig.run();
    assert_eq!(ready(&mut rig, clients), [1, 0, 1]);
}

/// P8: what a later version declared is there, whatever this one can do with it.
#[test]
fn a_publish_to_an_exchange_of_a_later_type_is_not_called_missing() {
    let mut rig = Rig::new(&[1]);
    let a = rig.connect(at(1, 0));
    let later = ExchangeDefinition::new(Name::new("/"), Name::new("x"), ExchangeKind::Later);
    announce(&mut rig, &Change::PutExchange(later));
    rig.client(a).publishes(1, ("x", "k"), false, b"m");
    let text = "PRECONDITION_FAILED - exchange 'x' in vhost '/' has a type that this node's version does not know; \
                publish to a node of the version that declared it";
    rig.hears(a, &Heard::ChannelClose(406, text.into()));
}
