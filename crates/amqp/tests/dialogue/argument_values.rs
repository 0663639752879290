//! Values of arguments that are known: of the wrong type, out of their bounds, or for other queues (RabbitMQ
//! 3.10.8: 406).

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
fn is_refused(key: &str, value: Value, text: &str) {
    let mut talk = declares(key, value);
    talk.hears_channel_close(1, 406, (50, 10), &format!("PRECONDITION_FAILED - {text}"));
    assert_eq!(talk.broker.calls.make_contiguous(), [Call::Closed(1, vec![])]);
}

#[track_caller]
fn is_invalid(key: &str, value: Value, why: &str) {
    is_refused(key, value, &format!("invalid arg '{key}' for queue 'q' in vhost '/': {why}"));
}

/// The words are those of RabbitMQ 4.3.6; side by side compares more of them.
#[test]
fn a_value_that_an_argument_does_not_take_is_406() {
    is_invalid("x-message-ttl", text("1000"), "\"expected integer, got longstr\"");
    is_invalid("x-message-ttl", Value::I32(-1), "{value_negative,-1}");
    is_invalid("x-message-ttl", Value::I64(i64::MAX), &format!("{{value_too_large,{}}}", i64::MAX));
    is_invalid("x-expires", Value::U8(0), "{value_zero,0}");
    is_invalid("x-max-priority", Value::I32(300), "{max_value_exceeded,300}");
    is_invalid("x-single-active-consumer", Value::I32(1), "{unacceptable_type,signedint}");
    is_invalid("x-overflow", text("explode"), "invalid_overflow");
    is_invalid("x-overflow", Value::Bool(true), "{unacceptable_type,bool}");
    is_invalid("x-queue-leader-locator", text("nowhere"), "invalid_queue_locator_arg");
    is_invalid("x-queue-master-locator", Value::I32(5), "{unacceptable_type,signedint}");
    for (key, right) in [
        ("x-queue-mode", text("default")),
        ("x-queue-mode", Value::I32(5)),
        ("x-queue-version", Value::U8(2)),
        ("x-queue-leader-locator", text("client-local")),
        ("x-queue-master-locator", text("min-masters")),
    ] {
        assert!(matches!(declares(key, right).asked().1, Operation::QueueDeclare(_)), "{key}");
    }
}

#[test]
fn arguments_of_deduplication_have_bounds() {
    is_invalid("x-message-deduplication", text("true"), "{unacceptable_type,longstr}");
    is_invalid("x-message-deduplication", Value::I32(1), "{unacceptable_type,signedint}");
    is_invalid("x-deduplication-header", Value::I32(1), "{unacceptable_type,signedint}");
    for key in ["x-cache-size", "x-cache-ttl"] {
        is_invalid(key, Value::I32(0), "{value_zero,0}");
        is_invalid(key, Value::I64(-1), "{value_negative,-1}");
        is_invalid(key, text("5"), "\"expected integer, got longstr\"");
    }
    is_invalid("x-cache-size", Value::I32(1_000_001), "expected an integer from 1 to 1000000");
    is_invalid("x-cache-ttl", Value::I64(315_360_000_001), "{value_too_large,315360000001}");
}

#[test]
fn an_exchange_s_name_of_the_wrong_type_is_406() {
    let mut talk = Talk::on_channel_1();
    let table = arguments(&[("alternate-exchange", Value::I32(5))]);
    talk.says(
        1,
        ExchangeDeclare { exchange: b"x", kind: b"topic", arguments: Table(&table), ..Default::default() },
    );
    let text = "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'";
    talk.hears_channel_close(1, 406, (40, 10), text);
}

fn of_other_queues(key: &str) -> String {
    format!("invalid arg '{key}' for queue 'q' in vhost '/' of queue type rabbit_classic_queue")
}

#[test]
fn an_argument_of_another_type_of_queue_is_406() {
    let mut seen = 0;
    for entry in SURFACE.iter().filter(|entry| entry.status == Status::Foreign) {
        assert_eq!(entry.feature, Feature::Argument);
        match entry.place {
            "queue.declare" => is_refused(entry.name, text("1h"), &of_other_queues(entry.name)),
            place => {
                assert_eq!(place, "basic.consume");
                let text = format!("PRECONDITION_FAILED - {}", of_other_queues(entry.name));
                consumes(entry.name, Value::I32(3)).hears_channel_close(1, 406, (60, 20), &text);
            }
        }
        seen += 1;
    }
    assert!(seen >= 13, "{seen}");
}

fn consumes(key: &str, value: Value) -> Talk {
    let mut talk = Talk::on_channel_1();
    let table = arguments(&[(key, value)]);
    talk.says(1, BasicConsume { queue: b"q", arguments: Table(&table), ..Default::default() });
    talk
}

#[test]
fn a_consumer_s_argument_of_the_wrong_type_is_406() {
    let why = "invalid arg 'x-cancel-on-ha-failover' for queue 'q' in vhost '/': {unacceptable_type,longstr}";
    let mut talk = consumes("x-cancel-on-ha-failover", text("yes"));
    talk.hears_channel_close(1, 406, (60, 20), &format!("PRECONDITION_FAILED - {why}"));
    let mut talk = consumes("x-cancel-on-ha-failover", Value::Bool(true));
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
        let Operation::Consume { terms, .. } = consumes("x-priority", value).asked().1 else {
            panic!("a consumer")
        };
        assert_eq!(terms.priority, expected);
    }
    let mut talk = consumes("x-priority", text("high"));
    let why = "invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\"";
    talk.hears_channel_close(1, 406, (60, 20), &format!("PRECONDITION_FAILED - {why}"));
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
