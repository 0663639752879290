//! Values of arguments that are known: of the wrong type, out of their bounds, or for other queues (RabbitMQ 3.10.8: 406).

use leveret_amqp::host::Operation;
use leveret_model::Value;
use leveret_model::surface::{Feature, SURFACE, Status};
use leveret_wire::Table;
use leveret_wire::method::*;

use crate::support::{Call, Talk, arguments};

fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().into())
}

fn declares(key: &str, value: Value) -> Talk {
    let mut talk = Talk::on_channel_1();
    let table = arguments(&[("mine", Value::Void), (key, value)]);
    talk.says(1, QueueDeclare { queue: b"q", durable: true, arguments: Table(&table), ..Default::default() });
    talk
}

#[track_caller]
fn is_invalid(key: &str, value: Value, why: &str) {
    let mut talk = declares(key, value);
    let text = format!("PRECONDITION_FAILED - invalid arg '{key}' for queue.declare: {why}");
    talk.hears_channel_close(1, 406, (50, 10), &text);
    assert_eq!(talk.broker.calls.make_contiguous(), [Call::Closed(1, vec![])]);
}

#[test]
fn a_value_that_an_argument_does_not_take_is_406() {
    for wrong in [text("laziest"), text(""), text("LAZY"), Value::I32(5), Value::Bytes(b"lazy"[..].into())] {
        is_invalid("x-queue-mode", wrong, "expected 'default' or 'lazy'");
    }
    for wrong in [Value::I32(3), Value::I64(0), text("1"), Value::Bool(true), Value::F64(1.0)] {
        is_invalid("x-queue-version", wrong, "expected an integer from 1 to 2");
    }
    let locators = "expected 'client-local', 'balanced', 'min-masters', 'least-leaders' or 'random'";
    is_invalid("x-queue-leader-locator", text("nowhere"), locators);
    is_invalid("x-queue-master-locator", Value::I32(5), locators);
    for (key, right) in [
        ("x-queue-mode", text("default")),
        ("x-queue-version", Value::U8(2)),
        ("x-queue-leader-locator", text("client-local")),
        ("x-queue-master-locator", text("min-masters")),
    ] {
        assert!(matches!(declares(key, right).asked().1, Operation::QueueDeclare(_)), "{key}");
    }
}

#[test]
fn arguments_of_deduplication_have_bounds() {
    for wrong in [text("true"), Value::I32(1)] {
        is_invalid("x-message-deduplication", wrong, "expected a boolean");
    }
    for wrong in [Value::I32(0), Value::I64(-1), Value::I32(1_000_001), text("5"), Value::F64(5.0)] {
        is_invalid("x-cache-size", wrong, "expected an integer from 1 to 1000000");
    }
    for wrong in [Value::I32(0), Value::I32(-1), text("1000"), Value::I64(315_360_000_001)] {
        is_invalid("x-cache-ttl", wrong, "expected an integer from 1 to 315360000000");
    }
    is_invalid("x-deduplication-header", Value::I32(1), "expected a string");
}

#[test]
fn an_argument_of_another_type_of_queue_is_406() {
    let mut seen = 0;
    for entry in SURFACE.iter().filter(|entry| entry.status == Status::Foreign) {
        assert_eq!((entry.place, entry.feature), ("queue.declare", Feature::Argument));
        is_invalid(entry.name, text("1h"), &format!("it is {}", entry.note));
        seen += 1;
    }
    assert_eq!(seen, 9);
}

#[test]
fn a_consumer_s_argument_of_the_wrong_type_is_406() {
    let mut talk = Talk::on_channel_1();
    let table = arguments(&[("x-cancel-on-ha-failover", text("yes"))]);
    talk.says(1, BasicConsume { queue: b"q", arguments: Table(&table), ..Default::default() });
    let why = "invalid arg 'x-cancel-on-ha-failover' for basic.consume: expected a boolean";
    talk.hears_channel_close(1, 406, (60, 20), &format!("PRECONDITION_FAILED - {why}"));
    let mut talk = Talk::on_channel_1();
    let table = arguments(&[("x-cancel-on-ha-failover", Value::Bool(true))]);
    talk.says(1, BasicConsume { queue: b"q", arguments: Table(&table), ..Default::default() });
    assert!(matches!(talk.asked().1, Operation::Consume { .. }));
}

#[test]
fn a_consumer_s_priority_is_an_integer() {
    for (value, expected) in [
        (Value::I8(-3), -3),
        (Value::I64(10), 10),
        (Value::I64(i64::MAX), i32::MAX),
        (Value::I64(i64::MIN), i32::MIN),
    ] {
        let mut talk = Talk::on_channel_1();
        let table = arguments(&[("x-priority", value)]);
        talk.says(1, BasicConsume { queue: b"q", arguments: Table(&table), ..Default::default() });
        let Operation::Consume { terms, .. } = talk.asked().1 else { panic!("a consumer") };
        assert_eq!(terms.priority, expected);
    }
    let mut talk = Talk::on_channel_1();
    let table = arguments(&[("x-priority", text("high"))]);
    talk.says(1, BasicConsume { queue: b"q", arguments: Table(&table), ..Default::default() });
    let why = "invalid arg 'x-priority' for basic.consume: expected an integer";
    talk.hears_channel_close(1, 406, (60, 20), &format!("PRECONDITION_FAILED - {why}"));
}

/// What is not built says so whatever its value is, a wrong one too.
#[test]
fn an_argument_that_is_not_built_is_540_with_any_value() {
    let mut seen = 0;
    for entry in SURFACE.iter().filter(|entry| entry.feature == Feature::Argument) {
        if entry.status == Status::Later && entry.place == "queue.declare" {
            let text = format!("NOT_IMPLEMENTED - {entry} is not implemented yet");
            for value in [Value::I64(5), Value::I64(-5), Value::LongString(b"x"[..].into()), Value::Void] {
                declares(entry.name, value).hears_connection_close(540, (50, 10), &text);
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "this test goes with the last of them");
}

/// RabbitMQ: strip_cr_lf.
#[test]
fn names_lose_their_ends_of_lines() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueueDeclare { queue: b"a\r\nb\n", ..Default::default() });
    let (channel, operation) = talk.asked();
    assert!(matches!(&operation, Operation::QueueDeclare(queue) if &*queue.name == "ab"), "{operation:?}");
    talk.answers(channel, leveret_amqp::host::Answer::Queue { messages: 0, consumers: 0 });
    talk.hears(1, QueueDeclareOk { queue: b"ab", message_count: 0, consumer_count: 0 });
    talk.says(1, ExchangeDeclare { exchange: b"x\n", kind: b"direct", ..Default::default() });
    let (_, operation) = talk.asked();
    assert!(
        matches!(&operation, Operation::ExchangeDeclare(exchange) if &*exchange.name == "x"),
        "{operation:?}"
    );
    // nothing is left of it: the default exchange
    let mut talk = Talk::on_channel_1();
    talk.says(1, ExchangeDelete { exchange: b"\n", ..Default::default() });
    let text = "ACCESS_REFUSED - operation not permitted on the default exchange";
    talk.hears_channel_close(1, 403, (40, 20), text);
}

/// RabbitMQ: check_dlxrk_arg.
#[test]
fn a_dead_letter_key_without_an_exchange_is_406() {
    let text = "PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': \
                routing_key_but_no_dlx_defined";
    declares("x-dead-letter-routing-key", Value::LongString(b"k"[..].into())).hears_channel_close(
        1,
        406,
        (50, 10),
        text,
    );
}
