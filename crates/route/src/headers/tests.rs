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

/// As RabbitMQ 4.3, but for timestamps, which 4.x compares with numbers that are 1000 times larger.
#[test]
fn integers_floats_timestamps_and_strings_are_equal_among_themselves() {
    let strings = vec![text("1"), Value::Bytes(b"1".as_slice().into())];
    let kinds = [
        vec![Value::U8(1), Value::I16(1), Value::I64(1)],
        vec![Value::F32(1.0), Value::F64(1.0)],
        vec![Value::Timestamp(1)],
        vec![Value::Decimal(0, 1)],
        vec![Value::Bool(true)],
        strings,
    ];
    for (kind, values) in kinds.iter().enumerate() {
        for (other_kind, others) in kinds.iter().enumerate() {
            for (value, other) in
                values.iter().flat_map(|value| others.iter().map(move |other| (value, other)))
            {
                let equal = matches([("a", value.clone())], [("a", other.clone())]);
                assert_eq!(equal, kind == other_kind, "{value:?} {other:?}");
                let (value, other) = (vec![value.clone()], vec![other.clone()]);
                let same_type = value[0].type_name() == other[0].type_name();
                let equal = matches([("a", Value::Array(value))], [("a", Value::Array(other))]);
                assert_eq!(equal, same_type, "in an array the type counts");
            }
        }
    }
    assert!(!matches([("a", Value::I8(1))], [("a", Value::I8(2))]));
    assert!(!matches([("a", Value::F64(1.0))], [("a", Value::F64(1.5))]));
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

/// The naive one: what two values are, compared case by case.
fn equal(a: &Value, b: &Value) -> bool {
    let alike = |a: &Value, b: &Value| a.type_name() == b.type_name() && equal(a, b);
    match (a, b) {
        (Value::F32(a), Value::F32(b)) => a == b,
        (Value::F64(a), Value::F64(b)) => a == b,
        (Value::F32(a), Value::F64(b)) | (Value::F64(b), Value::F32(a)) => f64::from(*a) == *b,
        (Value::LongString(a) | Value::Bytes(a), Value::LongString(b) | Value::Bytes(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Table(Arguments(a)), Value::Table(Arguments(b))) => {
            let has = |(key, value): &(RoutingKey, Value)| b.iter().any(|(k, v)| k == key && alike(v, value));
            a.len() == b.len() && a.iter().all(has)
        }
        _ => match (a.as_integer(), b.as_integer()) {
            (Some(a), Some(b)) => a == b,
            (None, None) => a == b,
            _ => false,
        },
    }
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
            prop_assert_eq!(found, there.is_some_and(|there| equal(there, value)));
        }
    }

    /// A binding against a message, as one would write it down from RabbitMQ's documents.
    #[test]
    fn a_binding_matches_when_its_criteria_do_one_by_one(
        headers in prop::collection::vec(("(x-)?[abc]", value()), 0..5),
        criteria in prop::collection::vec(("(x-)?[abc]", value()), 0..4),
        shared in 0..5_usize,
        mode in prop::sample::select(vec![None, Some("all"), Some("any"), Some("all-with-x"), Some("any-with-x")]),
    ) {
        let entry = |(key, value): &(String, Value)| (RoutingKey::new(key.as_bytes()), value.clone());
        let kept = Arguments(headers.iter().map(entry).collect());
        // some are surely there
        let mut asked: Vec<_> = criteria.iter().chain(headers.iter().take(shared)).map(entry).collect();
        if let Some(mode) = mode {
            asked.insert(asked.len() / 2, (RoutingKey::new(b"x-match"), text(mode)));
        }
        let asked = Arguments(asked);
        let holds = |(key, value): &&(RoutingKey, Value)| {
            let there = kept.0.iter().find(|(k, _)| k == key);
            there.is_some_and(|(_, there)| *value == Value::Void || equal(there, value))
        };
        let with_x = mode.is_some_and(|mode| mode.ends_with("-with-x"));
        let counts = |(key, _): &&(RoutingKey, Value)| {
            key[..] != *b"x-match" && (with_x || !key.starts_with(b"x-"))
        };
        let (all, held) = (asked.0.iter().filter(counts).count(), asked.0.iter().filter(counts).filter(holds).count());
        let any = mode.is_some_and(|mode| mode.starts_with("any"));
        let expected = if any { held > 0 } else { held == all };
        let payload = payload(&kept);
        prop_assert_eq!(Mode::of(&asked).matches(&asked, &MessageHeaders::new(&payload)), expected);
    }
}
