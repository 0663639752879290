//! Methods about exchanges, queues and bindings: from fields to [`Operation`]s, with the rules that need no
//! broker.
//!
//! What is not built yet is refused from the one table, `model/surface.rs`. Whether a thing exists, equals what
//! is asked, or may be touched is the broker's business; so is the rule that `amq.` names cannot be *created*,
//! because declaring an existing one again is fine.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;

use leveret_model::definition::{ExchangeDefinition, ExchangeKind, QueueDefinition};
use leveret_model::settings::HashProperty;
use leveret_model::{
    Arguments, ConnectionAddress, ConnectionKey, Name, ReplyAddress, ReplyCode, RoutingKey, ShardAddress,
    Value, refusals,
};
use leveret_wire::Table;
use leveret_wire::method::{
    ExchangeBind, ExchangeDeclare, ExchangeDelete, ExchangeUnbind, QueueBind, QueueDeclare, QueueDelete,
    QueueUnbind,
};

use super::arguments::{self, ArgumentsOf};
use crate::exception::{Exception, MethodId};
use crate::host::{Bind, Operation};

/// The name of an exchange or a queue, without ends of lines (RabbitMQ: strip_cr_lf): it is shown in logs and
/// lists.
pub(super) fn to_plain_name(method: MethodId, what: &str, bytes: &[u8]) -> Result<Name, Exception> {
    let name = to_name(method, what, bytes)?;
    if name.contains(['\r', '\n']) {
        return Ok(Name::new(&name.replace(['\r', '\n'], "")));
    }
    Ok(name)
}

/// A name from a short string.
pub(super) fn to_name(method: MethodId, what: &str, bytes: &[u8]) -> Result<Name, Exception> {
    Name::from_bytes(bytes)
        .map_err(|error| Exception::new(ReplyCode::SyntaxError, method, format!("{what}: {error}")))
}

/// A queue that is declared, beside the fields of the method.
pub(super) struct Declared<'a> {
    pub(super) vhost: &'a Name,
    pub(super) connection: ConnectionKey,
    pub(super) name: Name,
    /// The host drew the name.
    pub(super) server_named: bool,
    /// `Config::substitute_queue_types`
    pub(super) substitutes: bool,
}

/// The default exchange is refused to a passive declare too (RabbitMQ 3.10.8 and 4 check that first).
pub(super) fn exchange_declare(
    id: MethodId,
    m: &ExchangeDeclare<'_>,
    vhost: &Name,
) -> Result<Operation, Exception> {
    const PLACE: &str = "exchange.declare";
    let name = exchange_name(id, m.exchange)?;
    // passive ignores all other fields (RabbitMQ)
    if m.passive {
        return Ok(Operation::ExchangeDeclarePassive { name });
    }
    let arguments_of = ArgumentsOf { method: id, place: PLACE, kind: "exchange", name: &name, vhost };
    let table = arguments_of.check(arguments::read(id, m.arguments)?)?;
    let Some(kind) = ExchangeKind::from_name(m.kind) else {
        // RabbitMQ answered 503 before 4.x; the channel is enough to close. The two that its registry has no
        // module for are `invalid` there.
        let why = if matches!(m.kind, b"" | b"system") { "invalid" } else { "unknown" };
        let text = format!("{why} exchange type '{}'", m.kind.escape_ascii());
        return Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
    };
    if kind == ExchangeKind::ConsistentHash {
        check_hash_arguments(id, &table)?;
    }
    Ok(Operation::ExchangeDeclare(Box::new(ExchangeDefinition {
        durable: m.durable,
        auto_delete: m.auto_delete,
        internal: m.internal,
        arguments: table.into(),
        ..ExchangeDefinition::new(vhost.clone(), name, kind)
    })))
}

/// RabbitMQ: `rabbit_exchange_type_consistent_hash:validate/1`, and its words.
fn check_hash_arguments(id: MethodId, table: &Arguments) -> Result<(), Exception> {
    let refuse = |text| Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
    let Some(property) = table.get("hash-property").and_then(Value::as_bytes) else { return Ok(()) };
    if table.get("hash-header").is_some() {
        return refuse("hash-header and hash-property are mutually exclusive".into());
    }
    if HashProperty::from_name(property).is_none() {
        return refuse(format!("Unsupported property: {}", property.escape_ascii()));
    }
    Ok(())
}

pub(super) fn exchange_delete(id: MethodId, m: &ExchangeDelete<'_>) -> Result<Operation, Exception> {
    Ok(Operation::ExchangeDelete { name: exchange_name(id, m.exchange)?, if_unused: m.if_unused })
}

pub(super) fn exchange_bind(id: MethodId, m: &ExchangeBind<'_>) -> Result<Operation, Exception> {
    let destination = exchange_name(id, m.destination)?;
    bind(id, destination, m.source, m.routing_key, m.arguments).map(Operation::ExchangeBind)
}

pub(super) fn exchange_unbind(id: MethodId, m: &ExchangeUnbind<'_>) -> Result<Operation, Exception> {
    let destination = exchange_name(id, m.destination)?;
    bind(id, destination, m.source, m.routing_key, m.arguments).map(Operation::ExchangeUnbind)
}

/// Also gives the type that the queue was to have, if it becomes a classic one instead.
pub(super) fn queue_declare(
    id: MethodId,
    m: &QueueDeclare<'_>,
    declared: Declared<'_>,
) -> Result<(Operation, Option<&'static str>), Exception> {
    const PLACE: &str = "queue.declare";
    // an address of replies is not there for a client to make (RabbitMQ: declare_fast_reply_to)
    if m.passive || ReplyAddress::is_meant(m.queue) {
        // ignores all other fields (RabbitMQ)
        return Ok((Operation::QueueDeclarePassive { name: declared.name }, None));
    }
    let arguments_of =
        ArgumentsOf { method: id, place: PLACE, kind: "queue", name: &declared.name, vhost: declared.vhost };
    let mut table = arguments::read(id, m.arguments)?;
    let substituted = if declared.substitutes { substitute(&mut table) } else { None };
    // before the others: which of them are taken depends on it
    check_queue_type(arguments_of, &mut table)?;
    let arguments = arguments_of.check(table)?;
    if arguments.get("x-dead-letter-routing-key").is_some()
        && arguments.get("x-dead-letter-exchange").is_none()
    {
        // RabbitMQ: check_dlxrk_arg
        let text = format!(
            "invalid arg 'x-dead-letter-routing-key' for queue '{}' in vhost '{}': routing_key_but_no_dlx_defined",
            declared.name, declared.vhost
        );
        return Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
    }
    let exclusive = m
        .exclusive
        .then(|| ConnectionAddress { at: ShardAddress::default(), connection: declared.connection });
    let definition = Arc::new(QueueDefinition {
        // an exclusive queue does not outlive its connection, whatever its client says (RabbitMQ)
        durable: m.durable && !m.exclusive,
        exclusive,
        auto_delete: m.auto_delete,
        arguments: arguments.into(),
        ..QueueDefinition::new(declared.vhost.clone(), declared.name)
    });
    let operation = if declared.server_named {
        Operation::QueueDeclareServerNamed(definition)
    } else {
        Operation::QueueDeclare(definition)
    };
    Ok((operation, substituted))
}

/// Makes the arguments of a quorum queue or a stream those of a classic queue, and says which of the two it
/// was.
fn substitute(arguments: &mut Arguments) -> Option<&'static str> {
    let kind = match arguments.get("x-queue-type") {
        Some(Value::LongString(kind)) if **kind == *b"quorum" => "quorum",
        Some(Value::LongString(kind)) if **kind == *b"stream" => "stream",
        _ => return None,
    };
    arguments.0.retain(|(key, _)| key[..] != *b"x-queue-type");
    arguments::drop_foreign("queue.declare", arguments);
    Some(kind)
}

/// Never silently another type of queue than was asked for. An empty type is the default one (RabbitMQ 4.3).
fn check_queue_type(arguments_of: ArgumentsOf<'_>, table: &mut Arguments) -> Result<(), Exception> {
    const KEY: &str = "x-queue-type";
    let ArgumentsOf { name, vhost, .. } = arguments_of;
    match table.get(KEY) {
        None => Ok(()),
        Some(Value::LongString(kind)) => match &kind[..] {
            b"classic" => Ok(()),
            b"" => {
                table.0.retain(|(key, _)| key[..] != *KEY.as_bytes());
                Ok(())
            }
            b"quorum" | b"stream" => Err(arguments_of.refusal(format!(
                "queue '{name}' in vhost '{vhost}': {} queues are not supported; --substitute-queue-types takes them as \
                 classic",
                kind.escape_ascii()
            ))),
            other => {
                let why = format!("\"unsupported queue type '{}'\"", other.escape_ascii());
                Err(arguments_of.invalid(KEY, &why))
            }
        },
        Some(other) => {
            Err(arguments_of.invalid(KEY, &format!("{{unacceptable_type,{}}}", other.type_name())))
        }
    }
}

pub(super) fn queue_delete(name: Name, m: &QueueDelete<'_>) -> Operation {
    Operation::QueueDelete { name, if_unused: m.if_unused, if_empty: m.if_empty }
}

pub(super) fn queue_bind(
    id: MethodId,
    (queue, key): (Name, RoutingKey),
    m: &QueueBind<'_>,
) -> Result<Operation, Exception> {
    bind(id, queue, m.exchange, &key, m.arguments).map(Operation::QueueBind)
}

pub(super) fn queue_unbind(
    id: MethodId,
    (queue, key): (Name, RoutingKey),
    m: &QueueUnbind<'_>,
) -> Result<Operation, Exception> {
    bind(id, queue, m.exchange, &key, m.arguments).map(Operation::QueueUnbind)
}

fn bind(
    id: MethodId,
    destination: Name,
    source: &[u8],
    key: &[u8],
    arguments: Table<'_>,
) -> Result<Bind, Exception> {
    let source = exchange_name(id, source)?;
    let arguments = arguments::read(id, arguments)?;
    Ok(Bind { destination, source, key: RoutingKey::new(key), arguments })
}

/// The name of an exchange that is declared or changed; the default one cannot be (RabbitMQ:
/// check_not_default_exchange).
fn exchange_name(id: MethodId, bytes: &[u8]) -> Result<Name, Exception> {
    let name = to_plain_name(id, "exchange name", bytes)?;
    if name.is_empty() {
        return Err(Exception::refused(refusals::default_exchange(), id));
    }
    Ok(name)
}
