//! Exchanges, queues and bindings: fields to operations, answers to `-ok`.

use leveret_amqp::Config;
use leveret_amqp::host::{Answer, Bind, Operation};
use leveret_model::{Arguments, Name, ReplyCode, RoutingKey, Value};
use leveret_wire::method::*;
use leveret_wire::{Method, Table};

use crate::support::{Talk, arguments};

#[test]
fn every_operation_has_its_ok() {
    let mut talk = Talk::on_channel_1();
    macro_rules! dialogue {
        ($($method:expr, $operation:pat, $answer:expr => $ok:expr;)*) => {$(
            talk.says(1, $method);
            let (channel, operation) = talk.asked();
            assert!(matches!(operation, $operation), "{operation:?}");
            talk.answers(channel, $answer);
            talk.hears(1, $ok);
            talk.hears_nothing();
        )*};
    }
    dialogue! {
        ExchangeDeclare { exchange: b"x", kind: b"topic", ..Default::default() }, Operation::ExchangeDeclare(_),
            Answer::Done => ExchangeDeclareOk;
        ExchangeDelete { exchange: b"x", if_unused: true, no_wait: false }, Operation::ExchangeDelete { if_unused: true, .. },
            Answer::Done => ExchangeDeleteOk;
        ExchangeBind { destination: b"d", source: b"s", ..Default::default() }, Operation::ExchangeBind(_),
            Answer::Done => ExchangeBindOk;
        ExchangeUnbind { destination: b"d", source: b"s", ..Default::default() }, Operation::ExchangeUnbind(_),
            Answer::Done => ExchangeUnbindOk;
        QueueDeclare { queue: b"q", ..Default::default() }, Operation::QueueDeclare(_),
            Answer::Queue { messages: 1 << 40, consumers: 2 } =>
            QueueDeclareOk { queue: b"q", message_count: u32::MAX, consumer_count: 2 };
        QueueBind { queue: b"q", exchange: b"x", routing_key: b"k", ..Default::default() }, Operation::QueueBind(_),
            Answer::Done => QueueBindOk;
        QueueUnbind { queue: b"q", exchange: b"x", ..Default::default() }, Operation::QueueUnbind(_),
            Answer::Done => QueueUnbindOk;
        QueuePurge { queue: b"q", no_wait: false }, Operation::QueuePurge { .. },
            Answer::Messages(9) => QueuePurgeOk { message_count: 9 };
        QueueDelete { queue: b"q", if_empty: true, ..Default::default() },
            Operation::QueueDelete { if_empty: true, if_unused: false, .. },
            Answer::Messages(4) => QueueDeleteOk { message_count: 4 };
    }
}

/// What the table does not know is kept; what it ignores is left out.
#[test]
fn unknown_arguments_are_kept_and_ignored_ones_left_out() {
    let mut talk = Talk::on_channel_1();
    let lazy = Value::LongString(b"lazy"[..].into());
    let table = arguments(&[
        ("x-queue-mode", lazy.clone()),
        ("x-queue-type", Value::LongString(b"classic"[..].into())),
        ("mine", Value::I32(3)),
    ]);
    talk.says(1, QueueDeclare { queue: b"q", durable: true, arguments: Table(&table), ..Default::default() });
    let (_, operation) = talk.asked();
    let Operation::QueueDeclare(queue) = operation else { panic!("{operation:?}") };
    assert!(queue.durable);
    let arguments = &queue.arguments;
    assert_eq!(arguments.get("mine"), Some(&Value::I32(3)));
    assert!(arguments.get("x-queue-type").is_some());
    assert_eq!(arguments.get("x-queue-mode"), None);
}

#[test]
fn a_binding_keeps_its_key_and_arguments() {
    let mut talk = Talk::on_channel_1();
    let table = arguments(&[("x-match", Value::LongString(b"any"[..].into()))]);
    talk.says(
        1,
        QueueBind {
            queue: b"q",
            exchange: b"x",
            routing_key: b"\xff",
            arguments: Table(&table),
            ..Default::default()
        },
    );
    let (_, operation) = talk.asked();
    assert_eq!(
        operation,
        Operation::QueueBind(Bind {
            destination: Name::new("q"),
            source: Name::new("x"),
            key: RoutingKey::new(b"\xff"),
            arguments: Arguments(vec![(RoutingKey::new(b"x-match"), Value::LongString(b"any"[..].into()))]),
        })
    );
}

/// RabbitMQ: passive ignores all other fields.
#[test]
fn passive_ignores_all_other_fields() {
    let mut talk = Talk::on_channel_1();
    let table = arguments(&[("x-max-length", Value::I32(3))]);
    let arguments = Table(&table);
    talk.says(
        1,
        QueueDeclare {
            queue: b"q",
            passive: true,
            exclusive: true,
            auto_delete: true,
            arguments,
            ..Default::default()
        },
    );
    let (channel, operation) = talk.asked();
    assert!(matches!(operation, Operation::QueueDeclarePassive { .. }));
    talk.refuses(channel, ReplyCode::NotFound, "no queue 'q' in vhost '/'");
    talk.hears_channel_close(1, 404, (50, 10), "NOT_FOUND - no queue 'q' in vhost '/'");
    let mut talk = Talk::on_channel_1();
    talk.says(
        1,
        ExchangeDeclare {
            exchange: b"x",
            kind: b"nonsense",
            passive: true,
            auto_delete: true,
            ..Default::default()
        },
    );
    assert!(matches!(talk.asked().1, Operation::ExchangeDeclarePassive { .. }));
}

/// RabbitMQ 3.10.8: 403 to any operation on the default exchange, a passive declare too.
#[test]
fn the_default_exchange_cannot_be_touched() {
    for (method, id) in [
        (Method::from(ExchangeDeclare { passive: true, ..Default::default() }), (40, 10)),
        (ExchangeDeclare { kind: b"direct", ..Default::default() }.into(), (40, 10)),
        (ExchangeDelete::default().into(), (40, 20)),
        (ExchangeBind { destination: b"x", ..Default::default() }.into(), (40, 30)),
        (ExchangeBind { source: b"x", ..Default::default() }.into(), (40, 30)),
        (ExchangeUnbind { source: b"x", ..Default::default() }.into(), (40, 40)),
        (QueueBind { queue: b"q", ..Default::default() }.into(), (50, 20)),
        (QueueUnbind { queue: b"q", ..Default::default() }.into(), (50, 50)),
    ] {
        let mut talk = Talk::on_channel_1();
        talk.says(1, method);
        let text = "ACCESS_REFUSED - operation not permitted on the default exchange";
        talk.hears_channel_close(1, 403, id, text);
    }
}

/// RabbitMQ 4: an unknown exchange type is 406.
#[test]
fn an_unknown_exchange_type_is_406() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, ExchangeDeclare { exchange: b"x", kind: b"sideways", ..Default::default() });
    let text = "PRECONDITION_FAILED - unknown exchange type 'sideways'";
    talk.hears_channel_close(1, 406, (40, 10), text);
    let mut talk = Talk::on_channel_1();
    talk.says(1, ExchangeDeclare { exchange: b"x", kind: b"", ..Default::default() });
    talk.hears_channel_close(1, 406, (40, 10), "PRECONDITION_FAILED - invalid exchange type ''");
}

/// Never silently another type of queue.
#[test]
fn other_types_of_queues_are_406() {
    let substituted = |kind| {
        format!(
            "queue 'q' in vhost '/': {kind} queues are not supported; --substitute-queue-types takes them as classic"
        )
    };
    let invalid = |why| format!("invalid arg 'x-queue-type' for queue 'q' in vhost '/': {why}");
    for (kind, text) in [
        (Value::LongString(b"quorum"[..].into()), substituted("quorum")),
        (Value::LongString(b"stream"[..].into()), substituted("stream")),
        (Value::LongString(b"warren"[..].into()), invalid("\"unsupported queue type 'warren'\"")),
        (Value::I32(4), invalid("{unacceptable_type,signedint}")),
        (Value::Bytes(b"classic"[..].into()), invalid("{unacceptable_type,binary}")),
    ] {
        let mut talk = Talk::on_channel_1();
        let table = arguments(&[("x-initial-cluster-size", Value::I32(3)), ("x-queue-type", kind)]);
        talk.says(
            1,
            QueueDeclare { queue: b"q", durable: true, arguments: Table(&table), ..Default::default() },
        );
        talk.hears_channel_close(1, 406, (50, 10), &format!("PRECONDITION_FAILED - {text}"));
    }
}

/// The option `substitute_queue_types`; what only other types of queues take goes with the type.
#[test]
fn other_types_of_queues_are_taken_as_classic_where_the_operator_says_so() {
    for kind in ["quorum", "stream"] {
        let config = Config { substitute_queue_types: true, ..Config::new("0.1.0", "test") };
        let mut talk = Talk::open_with(config, &[], 131_072);
        talk.says(1, ChannelOpen);
        talk.hears(1, ChannelOpenOk);
        let table = arguments(&[
            ("x-queue-type", Value::LongString(kind.as_bytes().into())),
            ("x-quorum-initial-group-size", Value::I32(3)),
            ("x-max-age", Value::LongString(b"1D"[..].into())),
            ("mine", Value::I32(3)),
        ]);
        talk.says(
            1,
            QueueDeclare { queue: b"q", durable: true, arguments: Table(&table), ..Default::default() },
        );
        let (_, Operation::QueueDeclare(definition)) = talk.asked() else { panic!("a declare") };
        assert_eq!(definition.arguments.0, [(RoutingKey::new(b"mine"), Value::I32(3))]);
        assert_eq!(talk.broker.substituted, [("q".to_owned(), kind)]);
    }
}

#[test]
fn names_and_tables_that_cannot_be_read_are_502() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueuePurge { queue: b"\xff", no_wait: false });
    talk.hears_connection_close(502, (50, 30), "SYNTAX_ERROR - queue name: not valid UTF-8");
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueueDeclare { queue: b"q", arguments: Table(b"\x05abc"), ..Default::default() });
    talk.hears_connection_close(
        502,
        (50, 10),
        "SYNTAX_ERROR - arguments: a field runs past the end of its table",
    );
}

/// An answer that does not fit is our bug; the client is told.
#[test]
fn an_answer_that_does_not_fit_is_541() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueuePurge { queue: b"q", no_wait: false });
    let (channel, _) = talk.asked();
    talk.answers(channel, Answer::Empty);
    talk.hears_connection_close(541, (50, 30), "INTERNAL_ERROR - the answer does not fit the request");
}

/// RabbitMQ bounds the frame alone; deeper tables than ours cost the channel.
#[test]
fn arguments_may_have_any_number_of_entries_and_a_depth_that_is_ours_to_bound() {
    let mut talk = Talk::on_channel_1();
    let entries: Vec<(String, Value)> = (0..1_001).map(|n| (format!("k{n}"), Value::I32(1))).collect();
    let entries: Vec<(&str, Value)> = entries.iter().map(|(key, value)| (&key[..], value.clone())).collect();
    let table = arguments(&entries);
    let bind = QueueBind { queue: b"q", exchange: b"x", arguments: Table(&table), ..Default::default() };
    talk.says(1, bind);
    let (channel, operation) = talk.asked();
    assert!(matches!(operation, Operation::QueueBind(bind) if bind.arguments.0.len() == 1_001));
    talk.answers(channel, Answer::Done);
    talk.hears(1, QueueBindOk);
    let deep = (0..200).fold(Value::Void, |inner, _| Value::Array(vec![inner]));
    let table = arguments(&[("n", deep)]);
    talk.says(1, QueueBind { queue: b"q", exchange: b"x", arguments: Table(&table), ..Default::default() });
    let text = "PRECONDITION_FAILED - arguments: tables nested deeper than 128";
    talk.hears_channel_close(1, 406, (50, 20), text);
}
