//! Tables and properties against the bytes that RabbitMQ writes.

use leveret_model::Value;
use leveret_wire::{BasicProperties, ContentHeader, Table, encode_arguments};

const RABBITMQ: &str = include_str!("rabbitmq/content.txt");

fn bytes(name: &str) -> Vec<u8> {
    let hex = RABBITMQ.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_table_with_every_type_is_the_bytes_that_rabbitmq_writes() {
    let bytes = bytes("table");
    let arguments = Table(&bytes).to_arguments().unwrap();
    let text = |text: &str| Value::LongString(text.as_bytes().into());
    let expected = [
        ("bool", Value::Bool(true)),
        ("byte", Value::I8(-5)),
        ("ubyte", Value::U8(200)),
        ("short", Value::I16(-300)),
        ("ushort", Value::U16(60_000)),
        ("int", Value::I32(-70_000)),
        ("uint", Value::U32(4_000_000_000)),
        ("long", Value::I64(-5_000_000_000)),
        ("float", Value::F32(1.5)),
        ("double", Value::F64(-2.25)),
        ("decimal", Value::Decimal(2, 314)),
        ("string", text("text")),
        ("bytes", Value::Bytes([0, 255].into())),
        (
            "array",
            Value::Array(vec![Value::I32(1), text("two"), Value::Table(leveret_model::Arguments::default())]),
        ),
        ("time", Value::Timestamp(1_700_000_000)),
    ];
    for (key, value) in expected {
        assert_eq!(arguments.get(key), Some(&value), "{key}");
    }
    let Some(Value::Table(inner)) = arguments.get("table") else { panic!("table") };
    assert_eq!(inner.get("inner"), Some(&Value::Void));
    assert_eq!((arguments.get("void"), arguments.0.len()), (Some(&Value::Void), 17));
    let mut again = Vec::new();
    encode_arguments(&arguments, &mut again);
    assert_eq!(again, bytes);
}

#[test]
fn all_properties_are_the_bytes_that_rabbitmq_writes() {
    let basic = BasicProperties {
        content_type: Some(b"ct"),
        content_encoding: Some(b"ce"),
        headers: Some(Table(b"\x01hS\0\0\0\x01v")),
        delivery_mode: Some(2),
        priority: Some(5),
        correlation_id: Some(b"corr"),
        reply_to: Some(b"reply"),
        expiration: Some(b"60000"),
        message_id: Some(b"id"),
        timestamp: Some(1_700_000_000),
        kind: Some(b"type"),
        user_id: Some(b"guest"),
        app_id: Some(b"app"),
        cluster_id: Some(b"cluster"),
    };
    let mut payload = Vec::new();
    basic.encode_payload(3, &mut payload);
    assert_eq!(payload[..12], [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(payload[12..], bytes("props"));
    assert_eq!(ContentHeader::validate(&payload).unwrap().properties.to_basic(), basic);
}
