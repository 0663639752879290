//! Alternate exchanges, and exchanges that choose one of their bindings.

use super::*;
use leveret_wire::{BasicProperties, encode_arguments};
use std::collections::BTreeMap;
use std::format;

const KEYS: usize = 20_000;

fn of_kind(kind: ExchangeKind, arguments: &[(&str, &str)]) -> ExchangeDefinition {
    let entry = |(key, value): &(&str, &str)| {
        (RoutingKey::new(key.as_bytes()), Value::LongString(value.as_bytes().into()))
    };
    let arguments = Arguments(arguments.iter().map(entry).collect()).into();
    ExchangeDefinition { arguments, ..exchange("x", kind) }
}

/// The queues 0, 1, … with these weights, bound in this order.
fn bound(exchange: ExchangeDefinition, weights: &[&str], order: &[usize]) -> Table {
    let mut table = table();
    table.apply(&Change::PutExchange(exchange));
    for at in order {
        table.apply(&Change::PutQueue(queue(*at as u128, &format!("q{at}"))));
        table.apply(&Change::PutBinding(to_queue("x", &format!("q{at}"), weights[*at])));
    }
    table
}

/// How many of the keys 0, 1, … each queue gets; every one goes to exactly one.
fn shares(table: &Table) -> Vec<usize> {
    let mut shares = std::vec![0; table.queue_count()];
    for key in 0..KEYS {
        let reached = routed(table, "x", &format!("{key}"));
        assert_eq!(reached.len(), 1);
        shares[reached[0] as usize] += 1;
    }
    shares
}

fn is_about(count: usize, expected: usize) -> bool {
    count.abs_diff(expected) * 20 < expected
}

#[test]
fn what_no_binding_matches_goes_to_the_alternate_and_a_cycle_of_them_ends() {
    let mut table = table();
    table.apply(&Change::PutQueue(queue(1, "bound")));
    table.apply(&Change::PutQueue(queue(2, "rest")));
    for (name, kind, alternate) in [
        ("x", ExchangeKind::Direct, "middle"),
        ("middle", ExchangeKind::Topic, "last"),
        ("last", ExchangeKind::Direct, "x"),
    ] {
        table.apply(&Change::PutExchange(with_alternate(exchange(name, kind), Some(alternate))));
    }
    table.apply(&Change::PutBinding(to_queue("x", "bound", "a")));
    assert_eq!(routed(&table, "x", "a"), [1]);
    assert!(routed(&table, "x", "b").is_empty());
    table.apply(&Change::PutBinding(to_queue("last", "rest", "b")));
    assert_eq!(routed(&table, "x", "b"), [2]);
    assert_eq!(routed(&table, "last", "a"), [1], "around the cycle");
}

/// RabbitMQ 3.10 and 4.3, seen on the wire.
#[test]
fn a_binding_that_leads_to_nothing_keeps_the_alternate_from_being_asked() {
    let mut table = table();
    table.apply(&Change::PutQueue(queue(1, "rest")));
    table
        .apply(&Change::PutExchange(with_alternate(exchange("x", ExchangeKind::Fanout), Some("amq.fanout"))));
    table.apply(&Change::PutBinding(to_queue("amq.fanout", "rest", "")));
    assert_eq!(routed(&table, "x", ""), [1]);
    table.apply(&Change::PutExchange(exchange("empty", ExchangeKind::Fanout)));
    table.apply(&Change::PutBinding(to_exchange("x", "empty", "")));
    assert!(routed(&table, "x", "").is_empty());
}

#[test]
fn an_alternate_may_come_later_and_go_and_changes_the_generation_upstream() {
    let mut table = table();
    table.apply(&Change::PutQueue(queue(1, "rest")));
    table.apply(&Change::PutExchange(with_alternate(exchange("x", ExchangeKind::Direct), Some("later"))));
    assert!(routed(&table, "x", "a").is_empty());
    let dropped = table.apply(&Change::DropExchange { vhost: "/".into(), name: "later".into() });
    assert_eq!(dropped, Applied::Unchanged, "it is a name and no exchange");
    let before = table.generation_of(named(&table, "x"));
    table.apply(&Change::PutExchange(exchange("later", ExchangeKind::Fanout)));
    table.apply(&Change::PutBinding(to_queue("later", "rest", "")));
    assert_eq!(routed(&table, "x", "a"), [1]);
    assert!(table.generation_of(named(&table, "x")) > before);
    table.apply(&Change::DropExchange { vhost: "/".into(), name: "later".into() });
    assert!(routed(&table, "x", "a").is_empty());
    table.apply(&Change::DropExchange { vhost: "/".into(), name: "x".into() });
    table.apply(&Change::DropQueue { id: id(1) });
    assert_eq!(table.names_in_use(), (7, 0));
}

#[test]
fn a_consistent_hash_shares_keys_by_weight() {
    let table = bound(of_kind(ExchangeKind::ConsistentHash, &[]), &["1", "2", "5"], &[0, 1, 2]);
    let shares = shares(&table);
    for (share, weight) in shares.iter().zip([1, 2, 5]) {
        assert!(is_about(*share, KEYS * weight / 8), "{shares:?}");
    }
    assert!(!table.varies(named(&table, "x")));
}

#[test]
fn the_choice_is_the_same_whatever_the_order_of_the_binds() {
    for kind in [ExchangeKind::ConsistentHash, ExchangeKind::ModulusHash] {
        let weights = ["1", "1", "3", "1"];
        let one = bound(of_kind(kind, &[]), &weights, &[0, 1, 2, 3]);
        let mut other = bound(of_kind(kind, &[]), &weights, &[3, 1, 0, 2]);
        other.apply(&Change::DropBinding(to_queue("x", "q0", "1")));
        other.apply(&Change::PutBinding(to_queue("x", "q0", "1")));
        for key in 0..1_000 {
            let key = format!("{key}");
            assert_eq!(routed(&one, "x", &key), routed(&other, "x", &key));
        }
    }
}

#[test]
fn a_binding_that_goes_moves_only_its_own_keys() {
    let mut table = bound(of_kind(ExchangeKind::ConsistentHash, &[]), &["1"; 5], &[0, 1, 2, 3, 4]);
    let key = |n: usize| format!("{n}");
    let before: Vec<_> = (0..KEYS).map(|n| routed(&table, "x", &key(n))).collect();
    table.apply(&Change::DropBinding(to_queue("x", "q3", "1")));
    for (n, before) in before.iter().enumerate().filter(|(_, before)| **before != [3]) {
        assert_eq!(routed(&table, "x", &key(n)), *before);
    }
}

#[test]
fn a_modulus_hash_uses_every_queue_alike() {
    let shares = shares(&bound(of_kind(ExchangeKind::ModulusHash, &[]), &[""; 4], &[0, 1, 2, 3]));
    assert!(shares.iter().all(|share| is_about(*share, KEYS / 4)), "{shares:?}");
}

#[test]
fn random_exchanges_use_every_queue_alike_and_must_not_be_cached() {
    for kind in [ExchangeKind::Random, ExchangeKind::LocalRandom] {
        let table = bound(of_kind(kind, &[]), &[""; 4], &[0, 1, 2, 3]);
        let shares = shares(&table);
        assert!(shares.iter().all(|share| is_about(*share, KEYS / 4)), "{kind} {shares:?}");
        assert!(table.varies(named(&table, "x")));
    }
}

#[test]
fn a_local_random_exchange_keeps_to_this_node_and_a_random_one_leaves_out_masked_queues() {
    let mut table = bound(of_kind(ExchangeKind::LocalRandom, &[]), &[""; 2], &[0, 1]);
    let elsewhere = ShardAddress { node: NodeId(2), shard: ShardId(0) };
    table.apply(&Change::PutQueue(QueueRecord { home: elsewhere, ..queue(0, "q0") }));
    assert!((0..50).all(|_| routed(&table, "x", "") == [1]));
    table.apply(&Change::MaskQueue { id: id(1) });
    assert!(routed(&table, "x", "").is_empty());
    table.apply(&Change::PutExchange(of_kind(ExchangeKind::Random, &[])));
    assert!((0..50).all(|_| routed(&table, "x", "") == [0]));
}

/// What a message with that header or property reaches.
fn routed_by(table: &Table, header: Option<Value>, properties: &BasicProperties<'_>) -> Vec<u128> {
    let mut encoded = Vec::new();
    let entries = header.map(|value| (RoutingKey::new(b"h"), value));
    encode_arguments(&Arguments(entries.into_iter().collect()), &mut encoded);
    let headers = leveret_wire::Table(&encoded);
    let mut payload = Vec::new();
    BasicProperties { headers: Some(headers), ..*properties }.encode_payload(0, &mut payload);
    let mut out = Vec::new();
    table.route(named(table, "x"), b"", &MessageHeaders::new(&payload), &mut out);
    out.iter().map(|found| found.id.ulid.0).collect()
}

#[test]
fn a_header_or_a_property_is_hashed_if_the_exchange_says_so() {
    let none = BasicProperties::default();
    let on_header = of_kind(ExchangeKind::ConsistentHash, &[("hash-header", "h")]);
    let table = bound(on_header, &["1"; 3], &[0, 1, 2]);
    assert!(table.varies(named(&table, "x")));
    let mut counts: BTreeMap<Vec<u128>, usize> = BTreeMap::new();
    for n in 0..3_000_i64 {
        let reached = routed_by(&table, Some(Value::I64(n)), &none);
        assert_eq!(reached, routed_by(&table, Some(Value::I32(n as i32)), &none), "by value");
        *counts.entry(reached).or_default() += 1;
    }
    assert!(counts.len() == 3 && counts.values().all(|count| *count > 800), "{counts:?}");
    let without = routed_by(&table, None, &none);
    assert!((0..9).all(|_| routed_by(&table, None, &none) == without));

    for property in ["message_id", "correlation_id", "timestamp"] {
        let exchange = of_kind(ExchangeKind::ConsistentHash, &[("hash-property", property)]);
        let table = bound(exchange, &["1"; 3], &[0, 1, 2]);
        let mut reached: Vec<_> = (0..100_u64)
            .map(|n| {
                let text: String = format!("{n}");
                let mut properties = BasicProperties::default();
                match property {
                    "message_id" => properties.message_id = Some(text.as_bytes()),
                    "correlation_id" => properties.correlation_id = Some(text.as_bytes()),
                    _ => properties.timestamp = Some(n),
                }
                routed_by(&table, None, &properties)
            })
            .collect();
        reached.sort();
        reached.dedup();
        assert_eq!(reached.len(), 3, "{property}");
    }
}
