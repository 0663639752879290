//! The whole table: sentences about behaviour first, then random histories against a model that has no index at all.

use super::*;
use leveret_model::definition::{
    Binding, DestinationKind, ExchangeDefinition, ExchangeKind, QueueDefinition,
};
use leveret_model::directory::{Change, QueueRecord};
use leveret_model::{
    Address, Arguments, Name, NodeId, QueueId, RoutingKey, Seed, ShardAddress, ShardId, Ulid, Value,
};
use std::string::String;
use std::vec::Vec;

mod chosen;
mod model;

const OWN: ShardAddress = ShardAddress { node: NodeId(1), shard: ShardId(0) };

/// Headers as they are kept, for the naive model.
impl Headers for Arguments {
    fn matches(&self, name: &[u8], value: Option<&Value>) -> bool {
        let header = self.0.iter().find(|(key, _)| key[..] == *name);
        header.is_some_and(|(_, header)| value.is_none_or(|value| header.equivalent(value)))
    }
}

fn table() -> Table {
    Table::new(OWN, Seed(1))
}

fn id(n: u128) -> QueueId {
    QueueId { generation: 0, ulid: Ulid(n) }
}

fn queue(n: u128, name: &str) -> QueueRecord {
    let definition = QueueDefinition::new("/".into(), name.into()).into();
    QueueRecord { definition, id: id(n), home: OWN, epoch: 0 }
}

fn exchange(name: &str, kind: ExchangeKind) -> ExchangeDefinition {
    ExchangeDefinition::new("/".into(), name.into(), kind)
}

fn with_alternate(exchange: ExchangeDefinition, alternate: Option<&str>) -> ExchangeDefinition {
    let entry =
        |name: &str| (RoutingKey::new(b"alternate-exchange"), Value::LongString(name.as_bytes().into()));
    let arguments = Arguments(alternate.into_iter().map(entry).collect()).into();
    ExchangeDefinition { arguments, ..exchange }
}

fn alternate_of(exchange: &ExchangeDefinition) -> Option<String> {
    let name = exchange.arguments.get("alternate-exchange")?.as_bytes()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

fn is_called(queue: &QueueRecord, vhost: &str, name: &str) -> bool {
    *queue.definition.vhost == *vhost && *queue.definition.name == *name
}

fn headers() -> [Arguments; 4] {
    let n = |n: i32| (RoutingKey::new(b"n"), Value::I32(n));
    let v = (RoutingKey::new(b"v"), Value::Bool(true));
    [
        Arguments::default(),
        Arguments([n(1)].into()),
        Arguments([v.clone(), n(2)].into()),
        Arguments([v].into()),
    ]
}

fn binding(source: &str, kind: DestinationKind, destination: &str, key: &str) -> Binding {
    Binding {
        vhost: "/".into(),
        source: source.into(),
        kind,
        destination: destination.into(),
        key: RoutingKey::new(key.as_bytes()),
        arguments: Arguments::default(),
    }
}

fn to_queue(source: &str, queue: &str, key: &str) -> Binding {
    binding(source, DestinationKind::Queue, queue, key)
}

fn to_exchange(source: &str, exchange: &str, key: &str) -> Binding {
    binding(source, DestinationKind::Exchange, exchange, key)
}

fn named(table: &Table, exchange: &str) -> ExchangeId {
    table.exchange(table.vhost("/").unwrap(), exchange.as_bytes()).unwrap()
}

/// The ulids that a message reaches, in order.
fn routed(table: &Table, exchange: &str, key: &str) -> Vec<u128> {
    let mut out = Vec::new();
    table.route(named(table, exchange), key.as_bytes(), &NoHeaders, &mut out);
    out.iter().map(|found| found.id.ulid.0).collect()
}

#[test]
fn a_new_table_has_the_vhost_slash_with_its_exchanges() {
    let table = table();
    let vhost = table.vhost("/").unwrap();
    assert_eq!(table.vhost("other"), None);
    assert_eq!(table.definition(named(&table, "")).unwrap().kind, ExchangeKind::Direct);
    assert_eq!(table.definition(named(&table, "amq.match")).unwrap().kind, ExchangeKind::Headers);
    assert!(table.definition(named(&table, "amq.rabbitmq.trace")).unwrap().internal);
    assert_eq!(table.exchange(vhost, b"amq.none"), None);
    assert_eq!(table.exchanges().count(), 7);
}

#[test]
fn the_default_exchange_routes_to_a_queue_by_its_name() {
    let mut table = table();
    let elsewhere = ShardAddress { node: NodeId(2), shard: ShardId(3) };
    assert_eq!(table.apply(&Change::PutQueue(queue(1, "q"))), Applied::Added);
    table.apply(&Change::PutQueue(QueueRecord { home: elsewhere, ..queue(2, "far") }));
    assert_eq!(routed(&table, "", "q"), [1]);
    assert_eq!(routed(&table, "", "none"), []);
    let mut out = Vec::new();
    table.route(named(&table, ""), b"far", &NoHeaders, &mut out);
    assert_eq!(out, [Match { id: id(2), address: Address::Node(NodeId(2), ShardId(3)) }]);
}

#[test]
fn the_exchanges_of_every_vhost_cannot_be_changed_or_dropped() {
    let mut table = table();
    let before = table.generation();
    for name in ["", "amq.topic"] {
        assert_eq!(
            table.apply(&Change::PutExchange(exchange(name, ExchangeKind::Fanout))),
            Applied::Unchanged
        );
        let drop = Change::DropExchange { vhost: "/".into(), name: name.into() };
        assert_eq!(table.apply(&drop), Applied::Unchanged);
    }
    assert_eq!(table.apply(&Change::PutBinding(to_queue("", "q", "k"))), Applied::Unchanged);
    assert_eq!(table.apply(&Change::PutBinding(to_exchange("amq.topic", "", "k"))), Applied::Unchanged);
    assert_eq!((table.generation(), table.binding_count()), (before, 0));
}

#[test]
fn the_same_key_with_other_arguments_is_another_binding_but_one_copy() {
    let mut table = table();
    let with = |value| {
        let arguments = Arguments([(RoutingKey::new(b"n"), value)].into());
        Change::PutBinding(Binding { arguments, ..to_queue("amq.direct", "q", "k") })
    };
    table.apply(&Change::PutQueue(queue(1, "q")));
    assert_eq!(table.apply(&with(Value::I8(5))), Applied::Added);
    assert_eq!(table.apply(&with(Value::I64(5))), Applied::Unchanged, "equal by value");
    assert_eq!(table.apply(&with(Value::I8(6))), Applied::Added);
    assert_eq!(routed(&table, "amq.direct", "k"), [1]);
    assert_eq!(table.bindings_to(id(1)).count(), 2);
    let Change::PutBinding(first) = with(Value::U16(5)) else { unreachable!() };
    assert_eq!(table.apply(&Change::DropBinding(first)), Applied::Removed);
    assert_eq!(routed(&table, "amq.direct", "k"), [1], "the other one is still there");
}

#[test]
fn a_binding_with_nan_is_bound_once_and_can_be_unbound() {
    let mut table = table();
    let arguments = Arguments([(RoutingKey::new(b"n"), Value::F64(f64::NAN))].into());
    let nan = Binding { arguments, ..to_queue("amq.headers", "q", "") };
    assert_eq!(table.apply(&Change::PutBinding(nan.clone())), Applied::Added);
    assert_eq!(table.apply(&Change::PutBinding(nan.clone())), Applied::Unchanged);
    assert_eq!(table.apply(&Change::DropBinding(nan)), Applied::Removed);
}

#[test]
fn a_masked_queue_gets_nothing_and_keeps_its_record_and_bindings() {
    let mut table = table();
    table.apply(&Change::PutQueue(queue(1, "q")));
    table.apply(&Change::PutBinding(to_queue("amq.fanout", "q", "")));
    table.apply(&Change::MaskQueue { id: id(1) });
    assert_eq!((routed(&table, "amq.fanout", ""), routed(&table, "", "q")), (Vec::new(), Vec::new()));
    assert!(table.queue(table.vhost("/").unwrap(), b"q").unwrap().masked);
    assert_eq!(table.bindings_to(id(1)).count(), 1);
    let reaches_masked = |table: &Table, exchange: &[u8], key: &[u8]| {
        let exchange = table.exchange(table.vhost("/").unwrap(), exchange).unwrap();
        table.reaches_masked(exchange, key, &NoHeaders)
    };
    assert!(reaches_masked(&table, b"amq.fanout", b"") && reaches_masked(&table, b"", b"q"));
    assert!(!reaches_masked(&table, b"amq.direct", b"") && !reaches_masked(&table, b"", b"other"));
    table.apply(&Change::UnmaskQueue { id: id(1) });
    assert!(!reaches_masked(&table, b"amq.fanout", b""));
    assert_eq!((routed(&table, "amq.fanout", ""), routed(&table, "", "q")), (Vec::from([1]), Vec::from([1])));
}

#[test]
fn a_name_declared_anew_over_a_masked_queue_takes_the_messages() {
    let mut table = table();
    let vhost = table.vhost("/").unwrap();
    table.apply(&Change::PutQueue(queue(1, "q")));
    table.apply(&Change::PutBinding(to_queue("amq.fanout", "q", "")));
    table.apply(&Change::MaskQueue { id: id(1) });
    table.apply(&Change::PutQueue(queue(2, "q")));
    assert_eq!(routed(&table, "amq.fanout", ""), [2]);
    assert_eq!(table.queue(vhost, b"q").unwrap().record.id, id(2));
    table.apply(&Change::DropQueue { id: id(2) });
    assert_eq!(table.binding_count(), 1, "the masked one has the name still");
    table.apply(&Change::DropQueue { id: id(1) });
    assert_eq!(table.binding_count(), 0);
}

#[test]
fn the_loser_of_a_merge_leaves_its_bindings_to_the_winner_in_either_order_of_the_changes() {
    let loser_renamed = Change::PutQueue(queue(2, "q").renamed("q~2".into()));
    let winner = Change::PutQueue(queue(1, "q"));
    for changes in [[&winner, &loser_renamed], [&loser_renamed, &winner]] {
        let mut table = table();
        table.apply(&Change::PutQueue(queue(2, "q")));
        table.apply(&Change::PutBinding(to_queue("amq.fanout", "q", "")));
        let applied: Vec<_> = changes.iter().map(|change| table.apply(change)).collect();
        assert!(applied.contains(&Applied::Renamed { from: "q".into() }));
        assert_eq!(routed(&table, "amq.fanout", ""), [1]);
        assert_eq!(routed(&table, "", "q~2"), [2]);
    }
}

#[test]
fn a_binding_that_comes_before_its_ends_routes_as_soon_as_they_are_there() {
    let mut table = table();
    table.apply(&Change::PutBinding(to_exchange("amq.fanout", "e", "")));
    table.apply(&Change::PutBinding(to_queue("e", "q", "k")));
    assert_eq!(table.exchange(table.vhost("/").unwrap(), b"e"), None);
    assert_eq!(routed(&table, "amq.fanout", "k"), []);
    table.apply(&Change::PutExchange(exchange("e", ExchangeKind::Topic)));
    table.apply(&Change::PutQueue(queue(1, "q")));
    assert_eq!(routed(&table, "amq.fanout", "k"), [1]);
}

#[test]
fn dropping_an_end_drops_its_bindings_without_being_told() {
    let mut table = table();
    table.apply(&Change::PutExchange(exchange("e", ExchangeKind::Direct)));
    table.apply(&Change::PutQueue(queue(1, "q")));
    for bind in [to_exchange("amq.topic", "e", "#"), to_exchange("e", "e", "k"), to_queue("e", "q", "k")] {
        table.apply(&Change::PutBinding(bind));
    }
    table.apply(&Change::PutBinding(to_queue("amq.topic", "q", "*")));
    let old = named(&table, "e");
    assert_eq!(table.apply(&Change::DropExchange { vhost: "/".into(), name: "e".into() }), Applied::Removed);
    assert_eq!(table.binding_count(), 1);
    assert_eq!((table.definition(old), table.generation_of(old)), (None, 0));
    table.apply(&Change::PutExchange(exchange("e", ExchangeKind::Direct)));
    assert_ne!(named(&table, "e"), old);
    assert_eq!((routed(&table, "amq.topic", "k"), routed(&table, "e", "k")), (Vec::from([1]), Vec::new()));
    table.apply(&Change::DropQueue { id: id(1) });
    assert_eq!(table.binding_count(), 0);
    assert!(!table.has_bindings(named(&table, "amq.topic")));
}

#[test]
fn a_loop_of_exchanges_gives_each_queue_one_copy() {
    let mut table = table();
    table.apply(&Change::PutExchange(exchange("e", ExchangeKind::Fanout)));
    table.apply(&Change::PutQueue(queue(1, "q")));
    for bind in
        [to_exchange("amq.fanout", "e", ""), to_exchange("e", "amq.fanout", ""), to_queue("e", "q", "")]
    {
        table.apply(&Change::PutBinding(bind));
    }
    table.apply(&Change::PutBinding(to_queue("amq.fanout", "q", "")));
    assert_eq!(routed(&table, "amq.fanout", "k"), [1]);
    assert_eq!(routed(&table, "e", "k"), [1]);
}

#[test]
fn a_chain_longer_than_the_hops_of_a_message_ends() {
    let mut table = table();
    let hops = leveret_model::limits::EXCHANGE_HOPS_MAX;
    let name = |n: usize| std::format!("e{n}");
    for n in 0..hops + 2 {
        table.apply(&Change::PutExchange(exchange(&name(n), ExchangeKind::Fanout)));
        table.apply(&Change::PutBinding(to_exchange(&name(n), &name(n + 1), "")));
        table.apply(&Change::PutQueue(queue(n as u128, &name(n))));
        table.apply(&Change::PutBinding(to_queue(&name(n), &name(n), "")));
    }
    assert_eq!(routed(&table, "e0", "").len(), hops + 1);
}

#[test]
fn a_binding_on_one_exchange_leaves_the_generation_of_others_and_raises_those_upstream() {
    let mut table = table();
    table.apply(&Change::PutBinding(to_exchange("amq.fanout", "amq.topic", "")));
    let generations = |table: &Table| {
        ["amq.fanout", "amq.topic", "amq.direct", ""].map(|name| table.generation_of(named(table, name)))
    };
    let before = generations(&table);
    table.apply(&Change::PutBinding(to_queue("amq.topic", "q", "#")));
    let after = generations(&table);
    assert!(after[0] > before[0] && after[1] > before[1]);
    assert_eq!(after[2..], before[2..]);
    table.apply(&Change::PutBinding(to_queue("amq.topic", "q", "#")));
    assert_eq!(generations(&table), after, "a repeated change is no change");
}

#[test]
fn a_route_varies_if_a_headers_exchange_is_on_the_way() {
    let mut table = table();
    table.apply(&Change::PutBinding(to_exchange("amq.fanout", "amq.topic", "")));
    assert!(!table.varies(named(&table, "amq.fanout")));
    assert!(table.varies(named(&table, "amq.headers")));
    table.apply(&Change::PutBinding(to_exchange("amq.topic", "amq.headers", "never")));
    assert!(table.varies(named(&table, "amq.fanout")));
    table.apply(&Change::DropBinding(to_exchange("amq.topic", "amq.headers", "never")));
    assert!(!table.varies(named(&table, "amq.fanout")));
}

#[test]
fn a_merge_that_changes_an_exchanges_kind_keeps_its_bindings() {
    let mut table = table();
    table.apply(&Change::PutQueue(queue(1, "q")));
    for kind in ExchangeKind::ALL {
        table.apply(&Change::PutExchange(exchange("e", kind)));
        table.apply(&Change::PutBinding(to_queue("e", "q", "a.*")));
        let matching: &[&str] = match kind {
            ExchangeKind::Direct => &["a.*"],
            ExchangeKind::Topic => &["a.*", "a.b"],
            // the pattern is no weight for a hash, so it counts as 1
            _ => &["a.*", "a.b", "x"],
        };
        let reached = ["a.*", "a.b", "x"].into_iter().filter(|key| !routed(&table, "e", key).is_empty());
        assert_eq!(reached.collect::<Vec<_>>(), matching, "{kind}");
    }
}

#[test]
fn a_vhost_keeps_its_names_to_itself() {
    let mut table = table();
    let other = |record: QueueRecord| QueueRecord {
        definition: QueueDefinition { vhost: "other".into(), ..(*record.definition).clone() }.into(),
        ..record
    };
    table.apply(&Change::PutQueue(queue(1, "q")));
    table.apply(&Change::PutQueue(other(queue(2, "q"))));
    assert_eq!(routed(&table, "", "q"), [1]);
    let vhost = table.vhost("other").unwrap();
    assert_eq!(table.queue(vhost, b"q").unwrap().record.id, id(2));
    assert_eq!(table.vhost_name(vhost), Some(&Name::from("other")));
    assert!(table.exchange(vhost, b"amq.fanout").is_some());
}

#[test]
fn a_hundred_thousand_queues_come_and_go_and_leave_nothing() {
    let mut table = table();
    let before = (table.exchanges().count(), table.queue_count(), table.binding_count());
    for n in 0..100_000 {
        let name = std::format!("amq.gen-{n}");
        table.apply(&Change::PutQueue(queue(n, &name)));
        // the worst for lists: everything at one fanout and under one key
        table.apply(&Change::PutBinding(to_queue("amq.fanout", &name, "")));
        table.apply(&Change::PutBinding(to_queue("amq.direct", &name, "all")));
        table.apply(&Change::PutBinding(to_queue("amq.topic", &name, &std::format!("{n}.#"))));
    }
    assert_eq!(table.binding_count(), 300_000);
    assert_eq!(routed(&table, "amq.direct", "all").len(), 100_000);
    assert_eq!(routed(&table, "amq.topic", "77777.x"), [77_777]);
    for n in 0..100_000 {
        table.apply(&Change::DropQueue { id: id(n) });
    }
    assert_eq!((table.exchanges().count(), table.queue_count(), table.binding_count()), before);
    assert_eq!(table.names_in_use(), (before.0, 0));
}

#[test]
fn a_queue_costs_few_bytes() {
    // record with its names inline, label, and what they are found by
    assert!(size_of::<QueueEntry>() <= 208, "{}", size_of::<QueueEntry>());
    assert!(size_of::<queues::Label>() <= 72, "{}", size_of::<queues::Label>());
    assert!(size_of::<bindings::Bound>() <= 80, "{}", size_of::<bindings::Bound>());
}
