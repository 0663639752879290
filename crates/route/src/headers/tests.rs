//! Criteria against headers, kept and on the wire.

use super::*;
use leveret_wire::{BasicProperties, encode_arguments};
use proptest::prelude::*;
use std::string::String;
use std::vec;

fn table<const N: usize>(entries: [(&str, Value); N]) -> Arguments {
    Arguments(entries.map(|(key, value)| (RoutingKey::new(key.as_bytes()), value)).into())
}

fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().into())
}

/// Headers as they come in a publish.
fn payload(headers: &Arguments) -> Vec<u8> {
    let (mut bytes, mut payload) = (vec![], vec![]);
    encode_arguments(headers, &mut bytes);
    let properties = BasicProperties {
        content_type: Some(b"text/plain"),
        headers: Some(Table(&bytes)),
        priority: Some(3),
        ..BasicProperties::default()
    };
    properties.encode_payload(10, &mut payload);
    payload
}

fn matches<const N: usize, const M: usize>(
    criteria: [(&str, Value); N],
    headers: [(&str, Value); M],
) -> bool {
    let criteria = table(criteria);
    let payload = payload(&table(headers));
    Mode::of(&criteria).matches(&criteria, &MessageHeaders::new(&payload))
}

#[test]
fn all_wants_every_header_and_is_the_default() {
    let both = || [("a", Value::I8(1)), ("b", text("x"))];
    assert!(matches(both(), both()));
    assert!(!matches(both(), [("a", Value::I8(1))]));
    assert!(matches([("x-match", text("all"))], []), "no criteria: all hold");
    assert!(matches([], []));
}

#[test]
fn any_wants_one_header() {
    let criteria = || [("x-match", text("any")), ("a", Value::I8(1)), ("b", text("x"))];
    assert!(matches(criteria(), [("b", text("x"))]));
    assert!(!matches(criteria(), [("b", text("y"))]));
    assert!(!matches([("x-match", text("any"))], [("a", Value::I8(1))]), "no criteria: none holds");
}

#[test]
fn keys_with_x_count_only_when_asked_for() {
    let with = |mode| [("x-match", text(mode)), ("x-a", Value::I8(1))];
    assert!(matches(with("all"), []));
    assert!(!matches(with("all-with-x"), []));
    assert!(matches(with("all-with-x"), [("x-a", Value::I8(1))]));
    assert!(!matches(with("any"), [("x-a", Value::I8(1))]));
    assert!(matches(with("any-with-x"), [("x-a", Value::I8(1))]));
}

#[test]
fn void_asks_for_presence_and_numbers_are_no_strings() {
    assert!(matches([("a", Value::Void)], [("a", text("whatever"))]));
    assert!(!matches([("a", Value::Void)], []));
    assert!(matches([("a", Value::I8(5))], [("a", Value::I64(5))]));
    assert!(!matches([("a", Value::I8(5))], [("a", text("5"))]));
}

/// RabbitMQ: `rabbit_exchange_type_headers`, which compares the bare values.
#[test]
fn numbers_are_numbers_and_strings_are_strings_of_whatever_type() {
    let one = [Value::U8(1), Value::I64(1), Value::F32(1.0), Value::F64(1.0), Value::Timestamp(1)];
    for asked in &one {
        for header in &one {
            assert!(matches([("a", asked.clone())], [("a", header.clone())]), "{asked:?} {header:?}");
        }
        for other in [Value::F64(1.5), Value::I8(2), Value::Bool(true), Value::Decimal(0, 1), text("1")] {
            assert!(!matches([("a", asked.clone())], [("a", other.clone())]), "{asked:?} {other:?}");
            assert!(!matches([("a", other.clone())], [("a", asked.clone())]), "{other:?} {asked:?}");
        }
    }
    assert!(matches([("a", text("x"))], [("a", Value::Bytes(b"x".as_slice().into()))]));
    assert!(!matches([("a", Value::F64(9e18))], [("a", Value::I64(9_000_000_000_000_000_001))]));
}

#[test]
fn a_bad_x_match_is_refused_at_the_bind() {
    for bad in [text("some"), Value::I8(1), Value::Void] {
        assert_eq!(validate(&table([("x-match", bad)])).unwrap_err().code, ReplyCode::PreconditionFailed);
    }
    for good in ["all", "any", "all-with-x", "any-with-x"] {
        assert_eq!(validate(&table([("x-match", text(good))])), Ok(()));
    }
}

/// Large tables are looked up another way, with the same outcome: the first of equal names counts.
#[test]
fn a_table_of_many_headers_is_matched_as_one_of_few() {
    let many = |from: usize, upto: usize| {
        (from..upto).map(|n| (RoutingKey::new(format!("k{n}").as_bytes()), Value::I32(n as i32)))
    };
    let twice = (RoutingKey::new(b"k7"), Value::Bool(true));
    let headers = Arguments(many(0, 10_000).chain([twice]).rev().chain(many(7, 8)).collect());
    let payload = payload(&headers);
    let holds = |criteria: Vec<(RoutingKey, Value)>| {
        let criteria = Arguments(criteria);
        Mode::of(&criteria).matches(&criteria, &MessageHeaders::new(&payload))
    };
    assert!(holds(many(8, 10_000).collect()));
    assert!(holds(vec![(RoutingKey::new(b"k7"), Value::Bool(true))]), "the first of two");
    assert!(!holds(vec![(RoutingKey::new(b"k7"), Value::I32(7))]));
    assert!(!holds(many(9_990, 10_001).collect()), "one is not there");
}

#[test]
fn large_tables_in_headers_are_equal_by_their_entries_in_any_order() {
    let entries = |last: i32| {
        let entry = |n: i32| (RoutingKey::new(format!("k{n}").as_bytes()), Value::I32(n));
        (0..1_000).chain([last]).map(entry).collect::<Vec<_>>()
    };
    let nested = |entries: Vec<_>| Arguments(vec![(RoutingKey::new(b"t"), Value::Table(Arguments(entries)))]);
    let payload = payload(&nested(entries(5_000).into_iter().rev().collect()));
    for (last, equal) in [(5_000, true), (5_001, false)] {
        let criteria = nested(entries(last));
        assert_eq!(Mode::of(&criteria).matches(&criteria, &MessageHeaders::new(&payload)), equal, "{last}");
    }
}

#[test]
fn a_payload_without_headers_or_sense_has_none() {
    assert!(!MessageHeaders::new(b"").matches(b"a", None));
    let mut payload = vec![];
    BasicProperties::default().encode_payload(0, &mut payload);
    assert!(!MessageHeaders::new(&payload).matches(b"a", None));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (-2..3i8).prop_map(Value::I8),
        (0..3u32).prop_map(Value::U32),
        (-2..3i64).prop_map(Value::I64),
        (0..2u8).prop_map(|n| Value::F32(n.into())),
        (0..2u8).prop_map(|n| Value::F64(n.into())),
        Just(Value::Decimal(1, 2)),
        "[ab]?".prop_map(|s: String| text(&s)),
        "[ab]?".prop_map(|s: String| Value::Bytes(s.into_bytes().into())),
        (0..2u64).prop_map(Value::Timestamp),
        Just(Value::Void),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|map| {
                let entries = map.into_iter().map(|(key, value)| (RoutingKey::new(key.as_bytes()), value));
                Value::Table(Arguments(entries.collect()))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_there_is_found_and_what_is_not_is_not(
        headers in prop::collection::vec(("[abc]", value()), 0..4),
        asked in prop::collection::vec(("[abc]", value()), 1..6),
    ) {
        let entries = headers.iter().map(|(key, value)| (RoutingKey::new(key.as_bytes()), value.clone()));
        let kept = Arguments(entries.collect());
        let payload = payload(&kept);
        let on_wire = MessageHeaders::new(&payload);
        // each value that is there is asked for too, so that equal ones are not left to luck
        for (name, value) in asked.iter().chain(&headers) {
            let there = kept.get(name);
            prop_assert_eq!(on_wire.matches(name.as_bytes(), None), there.is_some());
            let found = on_wire.matches(name.as_bytes(), Some(value));
            prop_assert!(!found || there.is_some());
            prop_assert!(found || there.is_none_or(|there| !there.equivalent(value)));
        }
    }
}
