//! Refusals that the control machine alone gives, in RabbitMQ's words; those that shards give too are
//! [`leveret_model::refusals`].

use alloc::format;
use alloc::string::{String, ToString};

use leveret_model::definition::{ExchangeDefinition, QueueDefinition};
use leveret_model::surface::{self, Feature};
use leveret_model::{Arguments, Name, Refusal, ReplyCode, Value, refusals};

use crate::directory::names::ObjectName;
use crate::directory::size::Bound;

pub(crate) fn no_queue(name: &ObjectName) -> Refusal {
    refusals::no_queue(&name.name, &name.vhost)
}

pub(crate) fn no_exchange(name: &ObjectName) -> Refusal {
    refusals::no_exchange(&name.name, &name.vhost)
}

pub(crate) fn home_down(name: &ObjectName, durable: bool, home: &Name) -> Refusal {
    refusals::home_down(&name.name, &name.vhost, durable, home)
}

/// The home of a queue runs a version that does not answer to such a command.
pub(crate) fn not_supported(name: &ObjectName, home: &Name) -> Refusal {
    let text =
        format!("home node '{home}' of queue {name} runs a version that does not take this from other nodes");
    Refusal::new(ReplyCode::PreconditionFailed, text)
}

/// RabbitMQ: `rabbit_channel:check_name/2`.
pub(crate) fn reserved(what: &str, name: &ObjectName) -> Refusal {
    Refusal::new(
        ReplyCode::AccessRefused,
        format!("{what} name '{}' contains reserved prefix 'amq.*'", name.name),
    )
}

/// RabbitMQ: `rabbit_channel:check_exchange_deletion/1`.
pub(crate) fn system_exchange(name: &ObjectName) -> Refusal {
    Refusal::new(ReplyCode::AccessRefused, format!("deletion of system exchange {name} not allowed"))
}

/// RabbitMQ: exchange.delete with if-unused.
pub(crate) fn exchange_in_use(name: &ObjectName) -> Refusal {
    Refusal::new(ReplyCode::PreconditionFailed, format!("exchange {name} in use"))
}

/// An operator asked for what is not there.
pub(crate) fn no_policy(name: &ObjectName) -> Refusal {
    Refusal::new(ReplyCode::NotFound, format!("no policy {name}"))
}

/// A bound of the cluster was met.
pub(crate) fn too_many(Bound { what, most }: Bound) -> Refusal {
    Refusal::new(ReplyCode::PreconditionFailed, format!("the cluster has {most} {what}, which is its limit"))
}

/// RabbitMQ: `rabbit_exchange:assert_equivalence/6`. None if `asked` is what is there.
pub(crate) fn other_exchange(asked: &ExchangeDefinition, current: &ExchangeDefinition) -> Option<Refusal> {
    let name = ObjectName::new(&asked.vhost, &asked.name);
    let differs = |key: &str, asked: String, current: String| {
        (asked != current).then(|| inequivalent(key, &format!("exchange {name}"), &asked, &current))
    };
    let flag = |on: bool| format!("'{on}'");
    differs("type", format!("'{}'", asked.kind), format!("'{}'", current.kind))
        .or_else(|| differs("durable", flag(asked.durable), flag(current.durable)))
        .or_else(|| differs("auto_delete", flag(asked.auto_delete), flag(current.auto_delete)))
        .or_else(|| differs("internal", flag(asked.internal), flag(current.internal)))
        .or_else(|| {
            let what = format!("exchange {name}");
            other_arguments("exchange.declare", &what, &asked.arguments, &current.arguments)
        })
}

/// RabbitMQ: `rabbit_amqqueue:assert_equivalence/5`. None if what is asked is what is there.
pub(crate) fn other_queue(asked: &QueueDefinition, current: &QueueDefinition) -> Option<Refusal> {
    let name = ObjectName::new(&current.vhost, &current.name);
    if asked.exclusive != current.exclusive {
        return Some(refusals::locked(&name.name, &name.vhost));
    }
    let what = format!("queue {name}");
    let differs = |key: &str, asked: bool, current: bool| {
        (asked != current).then(|| inequivalent(key, &what, &format!("'{asked}'"), &format!("'{current}'")))
    };
    differs("durable", asked.durable, current.durable)
        .or_else(|| differs("auto_delete", asked.auto_delete, current.auto_delete))
        .or_else(|| other_arguments("queue.declare", &what, &asked.arguments, &current.arguments))
}

/// Only arguments that mean something are compared (RabbitMQ: `rabbit_misc:assert_args_equivalence/4` with
/// the keys that the type knows); of those that mean nothing the first declaration's stay.
fn other_arguments(place: &str, what: &str, asked: &Arguments, current: &Arguments) -> Option<Refusal> {
    let classic = Value::LongString(b"classic".as_slice().into());
    for (key, _) in asked.0.iter().chain(&current.0) {
        if surface::find(place, Feature::Argument, key).is_none() {
            continue;
        }
        let find = |table: &Arguments| {
            let given = table.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
            // a queue is classic unless it says otherwise
            given.or_else(|| (key[..] == *b"x-queue-type").then(|| classic.clone()))
        };
        let (asked, current) = (find(asked), find(current));
        let equal = match (&asked, &current) {
            (Some(asked), Some(current)) => asked.equivalent(current),
            _ => false,
        };
        if !equal {
            let key = String::from_utf8_lossy(key);
            let (asked, current) = match (&asked, &current) {
                (Some(asked), Some(current)) => (quoted(asked), quoted(current)),
                _ => (shown(asked.as_ref()), shown(current.as_ref())),
            };
            return Some(inequivalent(&key, what, &asked, &current));
        }
    }
    None
}

fn inequivalent(key: &str, what: &str, asked: &str, current: &str) -> Refusal {
    let text = format!("inequivalent arg '{key}' for {what}: received {asked} but current is {current}");
    Refusal::new(ReplyCode::PreconditionFailed, text)
}

/// RabbitMQ: `rabbit_misc:val/1`, which names the type only if the other side has no value.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "none".to_string(),
        Some(value) => format!("the value {} of type '{}'", quoted(value), value.type_name()),
    }
}

fn quoted(value: &Value) -> String {
    let text = match value {
        Value::Bool(on) => on.to_string(),
        Value::I8(n) => n.to_string(),
        Value::U8(n) => n.to_string(),
        Value::I16(n) => n.to_string(),
        Value::U16(n) => n.to_string(),
        Value::I32(n) => n.to_string(),
        Value::U32(n) => n.to_string(),
        Value::I64(n) => n.to_string(),
        Value::F32(n) => n.to_string(),
        Value::F64(n) => n.to_string(),
        Value::Decimal(scale, unscaled) => format!("{unscaled}e-{scale}"),
        Value::LongString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Array(items) => format!("{} values", items.len()),
        Value::Timestamp(seconds) => seconds.to_string(),
        Value::Table(table) => format!("{} entries", table.0.len()),
        Value::Void => "undefined".to_string(),
    };
    format!("'{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::{ConnectionAddress, RoutingKey};
    use std::vec;

    fn queue(arguments: Arguments) -> QueueDefinition {
        let (durable, arguments) = (true, arguments.into());
        QueueDefinition { durable, arguments, ..QueueDefinition::new(Name::new("/"), Name::new("q")) }
    }

    fn refusal(asked: &QueueDefinition, current: &QueueDefinition) -> Option<String> {
        other_queue(asked, current).map(|refusal| refusal.text)
    }

    #[test]
    fn an_exclusive_queue_is_locked_for_everyone_else() {
        let none = queue(Arguments::default());
        let locked = QueueDefinition { exclusive: Some(ConnectionAddress::default()), ..none.clone() };
        assert_eq!(other_queue(&locked, &locked), None);
        for (asked, current) in [(&none, &locked), (&locked, &none)] {
            let refusal = other_queue(asked, current).expect("refused");
            assert_eq!(refusal.code, ReplyCode::ResourceLocked);
            let begin = "cannot obtain exclusive access to locked queue 'q' in vhost '/'. ";
            assert!(refusal.text.starts_with(begin), "{}", refusal.text);
        }
    }

    #[test]
    fn a_refusal_reads_as_rabbitmq_writes_it() {
        let current = queue(Arguments::default());
        let text = refusal(&QueueDefinition { durable: false, ..current.clone() }, &current);
        let want =
            "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'";
        assert_eq!(text.as_deref(), Some(want));
        let text = system_exchange(&ObjectName::new(&Name::new("/"), &Name::new("amq.topic"))).text;
        assert_eq!(text, "deletion of system exchange 'amq.topic' in vhost '/' not allowed");
        let ttl = Arguments(vec![(RoutingKey::new(b"x-message-ttl"), Value::I32(5))]);
        let text = refusal(&queue(ttl), &current);
        let want = "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value '5' of type \
                    'signedint' but current is none";
        assert_eq!(text.as_deref(), Some(want));
    }

    #[test]
    fn arguments_that_mean_nothing_make_no_difference() {
        let with = |key: &str, value: &str| {
            let value = Value::LongString(value.as_bytes().into());
            Arguments(vec![(RoutingKey::new(key.as_bytes()), value)])
        };
        let none = Arguments::default;
        assert_eq!(other_queue(&queue(with("foo", "a")), &queue(none())), None);
        assert_eq!(other_queue(&queue(none()), &queue(with("foo", "a"))), None);
        assert_eq!(other_queue(&queue(with("foo", "b")), &queue(with("foo", "a"))), None);
        assert_eq!(other_queue(&queue(with("x-queue-type", "classic")), &queue(none())), None);
        assert_eq!(other_queue(&queue(none()), &queue(with("x-queue-type", "classic"))), None);
        assert!(other_queue(&queue(with("x-queue-type", "quorum")), &queue(none())).is_some());
    }

    /// The order of arguments and the width of integers do not matter, the kind of a value and its absence do.
    #[test]
    fn x_arguments_are_equal_by_value() {
        use leveret_model::Value::{I8, I64, LongString};
        let text = |bytes: &[u8]| LongString(bytes.into());
        let table = |entries: &[(&str, Value)]| {
            let entry = |(key, value): &(&str, Value)| (RoutingKey::new(key.as_bytes()), value.clone());
            Arguments(entries.iter().map(entry).collect())
        };
        let (length, overflow) = ("x-max-length", "x-overflow");
        let there = queue(table(&[(length, I64(5)), (overflow, text(b"drop-head"))]));
        let equal = table(&[(overflow, text(b"drop-head")), (length, I8(5))]);
        assert_eq!(other_queue(&queue(equal), &there), None);
        for (key, asked) in [
            (length, vec![(length, text(b"5")), (overflow, text(b"drop-head"))]),
            (length, vec![(length, I8(6)), (overflow, text(b"drop-head"))]),
            (overflow, vec![(length, I8(5)), (overflow, text(b"DROP-HEAD"))]),
            (overflow, vec![(length, I8(5))]),
            (length, vec![]),
        ] {
            let refusal = other_queue(&queue(table(&asked)), &there).expect(key);
            assert_eq!(refusal.code, ReplyCode::PreconditionFailed);
            let begin = format!("inequivalent arg '{key}' for queue 'q' in vhost '/': received ");
            assert!(refusal.text.starts_with(&begin), "{}", refusal.text);
        }
    }
}
