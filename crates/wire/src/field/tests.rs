//! Tables: round trips of arbitrary ones, bounds to the entry, and any bytes.

use std::vec;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use super::*;
use crate::fuzzing;

fn values() -> impl Strategy<Value = Value> {
    let bytes = || vec_of(any::<u8>(), 0..20).prop_map(Vec::into_boxed_slice);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        any::<(u8, i32)>().prop_map(|(scale, n)| Value::Decimal(scale, n)),
        bytes().prop_map(Value::LongString),
        bytes().prop_map(Value::Bytes),
        any::<u64>().prop_map(Value::Timestamp),
        Just(Value::Void),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec_of(inner.clone(), 0..5).prop_map(Value::Array),
            tables_of(inner).prop_map(Value::Table)
        ]
    })
}

fn tables_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Arguments> {
    let key = vec_of(any::<u8>(), 0..8).prop_map(|bytes| RoutingKey::new(&bytes));
    vec_of((key, values), 0..6).prop_map(Arguments)
}

fn encoded(arguments: &Arguments) -> Vec<u8> {
    let mut out = vec![];
    encode_arguments(arguments, &mut out);
    out
}

proptest! {
    #[test]
    fn a_table_that_was_written_is_read_as_the_same(arguments in tables_of(values())) {
        let bytes = encoded(&arguments);
        prop_assert_eq!(Table(&bytes).validate(), Ok(()));
        prop_assert_eq!(Table(&bytes).iter().count(), arguments.0.len());
        prop_assert_eq!(Table(&bytes).to_arguments(), Ok(arguments));
        fuzzing::table(&bytes);
    }

    #[test]
    fn a_table_that_is_cut_is_a_shorter_one_or_truncated(arguments in tables_of(values())) {
        let bytes = encoded(&arguments);
        for end in 0..bytes.len() {
            match Table(&bytes[..end]).to_arguments() {
                Ok(shorter) => prop_assert_eq!(&shorter.0[..], &arguments.0[..shorter.0.len()]),
                Err(error) => prop_assert_eq!(error, FieldError::Truncated),
            }
        }
    }

    #[test]
    fn a_table_with_one_byte_changed_is_read_or_refused(
        arguments in tables_of(values()), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = encoded(&arguments);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzzing::table(&bytes);
    }

    #[test]
    fn any_bytes_are_a_table_or_refused(bytes in vec_of(any::<u8>(), 0..200)) {
        fuzzing::table(&bytes);
    }
}

/// Tables in tables, `depth` of them with the outer one.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = vec![];
    for _ in 1..depth {
        let mut outer = vec![1, b'k', b'F'];
        outer.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        outer.append(&mut bytes);
        bytes = outer;
    }
    bytes
}

#[test]
fn nesting_is_bounded_to_the_level() {
    assert_eq!(Table(&nested(TABLE_DEPTH_MAX)).validate(), Ok(()));
    assert_eq!(Table(&nested(TABLE_DEPTH_MAX + 1)).validate(), Err(FieldError::TooDeep));
    assert_eq!(Table(&nested(1_000)).to_arguments(), Err(FieldError::TooDeep));
}

#[test]
fn arrays_count_as_levels() {
    let mut value = Value::Void;
    for _ in 1..TABLE_DEPTH_MAX {
        value = Value::Array(vec![value]);
    }
    let table = |value: Value| encoded(&Arguments(vec![(RoutingKey::new(b"k"), value)]));
    assert_eq!(Table(&table(value.clone())).validate(), Ok(()));
    assert_eq!(Table(&table(Value::Array(vec![value]))).validate(), Err(FieldError::TooDeep));
}

#[test]
fn entries_have_no_bound_but_the_bytes() {
    let array = Value::Array(vec![Value::Void; 100_000]);
    let entry = |n: usize| (RoutingKey::new(std::format!("k{n}").as_bytes()), Value::I32(1));
    let arguments: Vec<_> = (0..1_001).map(entry).chain([(RoutingKey::new(b"k"), array)]).collect();
    let bytes = encoded(&Arguments(arguments));
    assert_eq!(Table(&bytes).validate(), Ok(()));
    assert_eq!(encoded(&Table(&bytes).to_arguments().unwrap()), bytes);
}

/// Tables side by side below the levels that are checked at once: each is walked to its end.
#[test]
fn what_stands_behind_a_deep_value_is_checked_too() {
    for depth in
        [TABLE_LEVELS_AT_ONCE - 1, TABLE_LEVELS_AT_ONCE, TABLE_LEVELS_AT_ONCE + 1, TABLE_DEPTH_MAX - 1]
    {
        let mut value = Value::Array(vec![Value::Array(vec![Value::Void]), Value::I32(7)]);
        for _ in 3..depth {
            value = Value::Array(vec![value, Value::Bool(true)]);
        }
        let mut bytes = encoded(&Arguments(vec![(RoutingKey::new(b"k"), value)]));
        assert_eq!(Table(&bytes).validate(), Ok(()), "{depth}");
        let at = bytes.windows(5).position(|part| part == [b'I', 0, 0, 0, 7]).unwrap();
        bytes[at] = b'!';
        assert_eq!(Table(&bytes).validate(), Err(FieldError::UnknownType(b'!')), "{depth}");
    }
}

#[test]
fn an_unknown_type_is_named() {
    assert_eq!(Table(b"\x01k!").validate(), Err(FieldError::UnknownType(b'!')));
    assert_eq!(Table(b"\x01k!").get(b"k"), None);
}

#[test]
fn both_letters_of_an_integer_are_read_and_one_is_written() {
    let bytes = b"\x01aU\xff\xfe\x01bL\xff\xff\xff\xff\xff\xff\xff\xfd";
    let arguments = Table(bytes).to_arguments().unwrap();
    assert_eq!((arguments.get("a"), arguments.get("b")), (Some(&Value::I16(-2)), Some(&Value::I64(-3))));
    assert_eq!(encoded(&arguments), b"\x01as\xff\xfe\x01bl\xff\xff\xff\xff\xff\xff\xff\xfd");
}

#[test]
fn of_two_equal_keys_the_first_is_found() {
    let table = Table(b"\x01kB\x01\x01kB\x02");
    assert_eq!(table.get(b"k"), Some(FieldValue::U8(1)));
    assert_eq!(table.get(b"l"), None);
}

#[test]
fn iterating_ends_after_an_error() {
    let mut entries = Table(b"\x01kB\x01\x01k!\x01kB\x02").iter();
    assert_eq!(entries.next(), Some(Ok((&b"k"[..], FieldValue::U8(1)))));
    assert_eq!(entries.next(), Some(Err(FieldError::UnknownType(b'!'))));
    assert_eq!(entries.next(), None);
}
