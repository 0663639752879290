//! Refusals that the control machine and the shards share, each with its one code and text, in RabbitMQ's words
//! where it has them: clients and their users search for these texts.
//!
//! Nothing is said to be missing (404) or defined otherwise (406) that is not known to be so. What cannot be
//! known in time is 405: it closes the channel alone, so a wait that was in vain costs nobody else anything,
//! and no client takes it for an answer. (RabbitMQ answers some of these with 404 and some with 541, which
//! closes the connection.)

use alloc::format;

use crate::{Refusal, ReplyCode};

/// RabbitMQ: `rabbit_misc:not_found/1`.
#[must_use]
pub fn no_queue(name: &str, vhost: &str) -> Refusal {
    Refusal::new(ReplyCode::NotFound, format!("no queue '{name}' in vhost '{vhost}'"))
}

/// RabbitMQ: `rabbit_misc:not_found/1`.
#[must_use]
pub fn no_exchange(name: &str, vhost: &str) -> Refusal {
    Refusal::new(ReplyCode::NotFound, format!("no exchange '{name}' in vhost '{vhost}'"))
}

/// A publish to an exchange that is there, and whose type only later versions know.
#[must_use]
pub fn later_exchange(name: &str, vhost: &str) -> Refusal {
    let text = format!(
        "exchange '{name}' in vhost '{vhost}' has a type that this node's version does not know; publish to a node of the \
         version that declared it"
    );
    Refusal::new(ReplyCode::PreconditionFailed, text)
}

/// RabbitMQ: a queue whose home is away.
#[must_use]
pub fn home_down(name: &str, vhost: &str, durable: bool, home: &str) -> Refusal {
    let durable = if durable { "durable " } else { "" };
    let text =
        format!("home node '{home}' of {durable}queue '{name}' in vhost '{vhost}' is down or inaccessible");
    Refusal::new(ReplyCode::NotFound, text)
}

/// RabbitMQ: `rabbit_channel:check_not_default_exchange/1`.
#[must_use]
pub fn default_exchange() -> Refusal {
    Refusal::new(ReplyCode::AccessRefused, "operation not permitted on the default exchange")
}

/// RabbitMQ: queue.delete with if-unused.
#[must_use]
pub fn queue_in_use(name: &str, vhost: &str) -> Refusal {
    Refusal::new(ReplyCode::PreconditionFailed, format!("queue '{name}' in vhost '{vhost}' in use"))
}

/// RabbitMQ: queue.delete with if-empty.
#[must_use]
pub fn queue_not_empty(name: &str, vhost: &str) -> Refusal {
    Refusal::new(ReplyCode::PreconditionFailed, format!("queue '{name}' in vhost '{vhost}' not empty"))
}

/// RabbitMQ: a queue with an exclusive consumer, or an exclusive consumer that would not be alone.
#[must_use]
pub fn exclusive_use(name: &str, vhost: &str) -> Refusal {
    Refusal::new(ReplyCode::AccessRefused, format!("queue '{name}' in vhost '{vhost}' in exclusive use"))
}

/// RabbitMQ: `rabbit_amqqueue:check_exclusive_access/3`.
#[must_use]
pub fn locked(name: &str, vhost: &str) -> Refusal {
    let text = format!(
        "cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It could be originally \
         declared on another connection or the exclusive property value does not match that of the original \
         declaration."
    );
    Refusal::new(ReplyCode::ResourceLocked, text)
}

/// No lease: nothing that this node could say would be known to be true. `missing` names who does not answer,
/// if that is known.
#[must_use]
pub fn no_view(missing: Option<&str>) -> Refusal {
    let missing = missing.map(|missing| format!(" (no answer from {missing})")).unwrap_or_default();
    let text = format!("this node has no current view of its cluster{missing}; try again");
    Refusal::new(ReplyCode::ResourceLocked, text)
}

/// Who was asked did not answer in time.
#[must_use]
pub fn no_answer() -> Refusal {
    Refusal::new(ReplyCode::ResourceLocked, "no answer from the node in charge within the time; try again")
}

/// Somebody else's operation on the same name did not end in time.
#[must_use]
pub fn busy() -> Refusal {
    Refusal::new(ReplyCode::ResourceLocked, "another operation on this name is still under way; try again")
}

/// A second process runs with this node's identity.
#[must_use]
pub fn cloned() -> Refusal {
    let text = "another process runs under this node's identity; this one stopped serving";
    Refusal::new(ReplyCode::ResourceLocked, text)
}
