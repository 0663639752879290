//! What of the AMQP surface is here: methods, flags and `x-` arguments, declared once.
//!
//! The channel asks this table before it acts, and the README's list of what is missing is printed from it, so the two
//! cannot differ. What has no line is unknown: an unknown argument is kept and means nothing.

use core::fmt;

use crate::Value;

/// What a line of the table speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// A method as a whole.
    Method,
    /// A bit or field of a method, in the words of the specification.
    Flag,
    /// An entry of the method's arguments table.
    Argument,
    /// A property of the content that follows the method.
    Property,
    /// An entry of the content's headers.
    Header,
}

/// How far it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Works.
    Here,
    /// Answered with 540 that names it.
    Later,
    /// Accepted and without effect, by decision.
    Ignored,
    /// Of another type of queue than those that are here: refused with 406 (RabbitMQ: check_arguments_type_and_value).
    Foreign,
}

/// What values an argument takes, as RabbitMQ checks them. Of what is [`Status::Later`] nothing is known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Any value.
    Any,
    /// `t`
    Bool,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An integer of any width, within these bounds.
    Integer(i64, i64),
}

impl Accepts {
    /// True if the argument may have this value.
    #[must_use]
    pub fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::OneOf(known) => {
                matches!(value, Value::LongString(text) if known.iter().any(|one| one.as_bytes() == &text[..]))
            }
            Self::Integer(least, most) => value.as_integer().is_some_and(|n| (least..=most).contains(&n)),
        }
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Any => f.write_str("anything"),
            Self::Bool => f.write_str("a boolean"),
            Self::Integer(least, most) => write!(f, "an integer from {least} to {most}"),
            Self::OneOf(known) => {
                for (at, one) in known.iter().enumerate() {
                    let between = if at == 0 {
                        ""
                    } else if at + 1 < known.len() {
                        ", "
                    } else {
                        " or "
                    };
                    write!(f, "{between}'{one}'")?;
                }
                Ok(())
            }
        }
    }
}

/// One line: a method, or something at a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The method, `class.method`.
    pub place: &'static str,
    /// What kind of thing.
    pub feature: Feature,
    /// Its name; the method's own name for [`Feature::Method`].
    pub name: &'static str,
    /// How far it is built.
    pub status: Status,
    /// What values it takes, if it is an argument.
    pub accepts: Accepts,
    /// One line for people.
    pub note: &'static str,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.feature {
            Feature::Method => f.write_str(self.place),
            Feature::Flag => write!(f, "{} with {}", self.place, self.name),
            Feature::Argument => write!(f, "{} with argument {}", self.place, self.name),
            Feature::Property => write!(f, "{} with property {}", self.place, self.name),
            Feature::Header => write!(f, "{} with header {}", self.place, self.name),
        }
    }
}

/// The line of something; `None` for what the table does not know.
#[must_use]
pub fn find(place: &str, feature: Feature, name: &[u8]) -> Option<&'static Entry> {
    SURFACE
        .iter()
        .find(|entry| entry.place == place && entry.feature == feature && entry.name.as_bytes() == name)
}

/// The line of what is refused with 540; `None` for everything else, unknown things too.
#[must_use]
pub fn missing(place: &str, feature: Feature, name: &[u8]) -> Option<&'static Entry> {
    find(place, feature, name).filter(|entry| entry.status == Later)
}

const fn method(place: &'static str, status: Status, note: &'static str) -> Entry {
    Entry { place, feature: Feature::Method, name: place, status, accepts: Accepts::Any, note }
}

const fn flag(place: &'static str, name: &'static str, status: Status, note: &'static str) -> Entry {
    Entry { place, feature: Feature::Flag, name, status, accepts: Accepts::Any, note }
}

const fn argument(place: &'static str, name: &'static str, status: Status, note: &'static str) -> Entry {
    Entry { place, feature: Feature::Argument, name, status, accepts: Accepts::Any, note }
}

/// An argument whose values are checked.
const fn typed(
    place: &'static str,
    name: &'static str,
    status: Status,
    accepts: Accepts,
    note: &'static str,
) -> Entry {
    Entry { place, feature: Feature::Argument, name, status, accepts, note }
}

const fn property(place: &'static str, name: &'static str, status: Status, note: &'static str) -> Entry {
    Entry { place, feature: Feature::Property, name, status, accepts: Accepts::Any, note }
}

const fn header(place: &'static str, name: &'static str, status: Status, note: &'static str) -> Entry {
    Entry { place, feature: Feature::Header, name, status, accepts: Accepts::Any, note }
}

use Status::{Foreign, Here, Ignored, Later};

const MODES: Accepts = Accepts::OneOf(&["default", "lazy"]);
/// The names that RabbitMQ has had for where a queue is to live.
const LOCATORS: Accepts =
    Accepts::OneOf(&["client-local", "balanced", "min-masters", "least-leaders", "random"]);
const QUORUM: &str = "of quorum queues";
const STREAM: &str = "of streams";

/// The table (RabbitMQ: the union of its classic queue's and LavinMQ's surface).
pub const SURFACE: &[Entry] = &[
    method("connection.start", Here, "PLAIN and AMQPLAIN"),
    method("connection.tune", Here, "frame_max from 4096"),
    method("connection.open", Here, ""),
    method("connection.close", Here, "both directions"),
    method("connection.blocked", Here, "to clients with the capability"),
    method("connection.update-secret", Later, "comes with OAuth"),
    method("channel.open", Here, ""),
    method("channel.close", Here, "both directions"),
    method("channel.flow", Here, ""),
    flag("channel.flow", "active=false", Later, "RabbitMQ answers 540 as well"),
    method("access.request", Here, "answered with ticket 1, for 0-9 clients"),
    method("exchange.declare", Here, "direct, fanout, topic, headers"),
    flag("exchange.declare", "auto-delete", Later, ""),
    argument("exchange.declare", "alternate-exchange", Later, ""),
    argument("exchange.declare", "x-delayed-type", Later, ""),
    argument("exchange.declare", "x-message-deduplication", Later, ""),
    argument("exchange.declare", "x-deduplication-header", Later, ""),
    argument("exchange.declare", "x-cache-size", Later, ""),
    argument("exchange.declare", "x-cache-ttl", Later, ""),
    method("exchange.delete", Here, ""),
    method("exchange.bind", Here, ""),
    method("exchange.unbind", Here, ""),
    method("queue.declare", Here, "classic queues"),
    flag("queue.declare", "exclusive", Later, ""),
    flag("queue.declare", "auto-delete", Later, ""),
    flag("queue.declare", "empty queue name", Later, "server-named queues"),
    flag("queue.declare", "queue amq.rabbitmq.reply-to", Later, "direct reply-to"),
    argument("queue.declare", "x-queue-type", Here, "classic; quorum and stream are refused with 406"),
    typed("queue.declare", "x-queue-mode", Ignored, MODES, "every queue may keep its messages on disk"),
    typed("queue.declare", "x-queue-version", Ignored, Accepts::Integer(1, 2), "there is one version"),
    argument("queue.declare", "x-message-ttl", Later, ""),
    argument("queue.declare", "x-expires", Later, ""),
    argument("queue.declare", "x-max-length", Later, ""),
    argument("queue.declare", "x-max-length-bytes", Later, ""),
    argument("queue.declare", "x-overflow", Later, ""),
    argument("queue.declare", "x-dead-letter-exchange", Later, ""),
    argument("queue.declare", "x-dead-letter-routing-key", Later, ""),
    argument("queue.declare", "x-dead-letter-strategy", Later, ""),
    argument("queue.declare", "x-delivery-limit", Later, ""),
    argument("queue.declare", "x-max-priority", Later, ""),
    argument("queue.declare", "x-single-active-consumer", Later, ""),
    argument("queue.declare", "x-consumer-timeout", Later, ""),
    argument("queue.declare", "x-message-deduplication", Later, ""),
    argument("queue.declare", "x-deduplication-header", Later, ""),
    argument("queue.declare", "x-cache-size", Later, ""),
    argument("queue.declare", "x-cache-ttl", Later, ""),
    argument("queue.declare", "x-name-prefix", Later, "comes with server-named queues"),
    typed("queue.declare", "x-queue-master-locator", Ignored, LOCATORS, "a queue lives where it is declared"),
    typed("queue.declare", "x-queue-leader-locator", Ignored, LOCATORS, "a queue lives where it is declared"),
    argument("queue.declare", "x-quorum-initial-group-size", Foreign, QUORUM),
    argument("queue.declare", "x-quorum-target-group-size", Foreign, QUORUM),
    argument("queue.declare", "x-max-in-memory-length", Foreign, QUORUM),
    argument("queue.declare", "x-max-in-memory-bytes", Foreign, QUORUM),
    argument("queue.declare", "x-max-age", Foreign, STREAM),
    argument("queue.declare", "x-stream-max-segment-size-bytes", Foreign, STREAM),
    argument("queue.declare", "x-stream-filter-size-bytes", Foreign, STREAM),
    argument("queue.declare", "x-initial-cluster-size", Foreign, STREAM),
    argument("queue.declare", "x-ha-policy", Ignored, "RabbitMQ ignores it as well since 3.0"),
    argument("queue.declare", "x-ha-policy-params", Ignored, "RabbitMQ ignores it as well since 3.0"),
    method("queue.delete", Here, ""),
    flag("queue.delete", "empty queue name", Later, ""),
    method("queue.purge", Here, ""),
    flag("queue.purge", "empty queue name", Later, ""),
    method("queue.bind", Here, ""),
    flag("queue.bind", "empty queue name", Later, ""),
    method("queue.unbind", Here, ""),
    flag("queue.unbind", "empty queue name", Later, ""),
    method("basic.qos", Here, "per consumer"),
    flag("basic.qos", "global=true", Later, ""),
    flag("basic.qos", "prefetch-size", Later, "RabbitMQ answers 540 as well"),
    method("basic.consume", Here, ""),
    flag("basic.consume", "empty queue name", Later, ""),
    flag("basic.consume", "queue amq.rabbitmq.reply-to", Later, "direct reply-to"),
    flag("basic.consume", "no-local", Ignored, "RabbitMQ ignores it as well"),
    argument("basic.consume", "x-priority", Later, ""),
    argument("basic.consume", "x-stream-offset", Later, ""),
    typed(
        "basic.consume",
        "x-cancel-on-ha-failover",
        Ignored,
        Accepts::Bool,
        "there are no mirrors to fail over to",
    ),
    argument("basic.consume", "x-stream-filter", Later, ""),
    argument("basic.consume", "x-stream-match-unfiltered", Later, ""),
    argument("basic.consume", "x-filter-match-type", Later, ""),
    method("basic.cancel", Here, "both directions"),
    method("basic.publish", Here, "with mandatory and basic.return"),
    flag("basic.publish", "immediate", Later, "RabbitMQ answers 540 as well"),
    property("basic.publish", "expiration", Later, ""),
    property("basic.publish", "user-id", Here, "must be the user who is logged in"),
    header("basic.publish", "CC", Later, ""),
    header("basic.publish", "BCC", Later, ""),
    method("basic.get", Here, ""),
    flag("basic.get", "empty queue name", Later, ""),
    method("basic.ack", Here, ""),
    method("basic.nack", Here, ""),
    method("basic.reject", Here, ""),
    method("basic.recover", Here, "requeue=true"),
    flag("basic.recover", "requeue=false", Later, "RabbitMQ answers 540 as well"),
    method("basic.recover-async", Here, "requeue=true"),
    method("confirm.select", Here, ""),
    method("tx.select", Later, "transactions"),
    method("tx.commit", Later, "transactions"),
    method("tx.rollback", Later, "transactions"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_declared_twice() {
        for (at, entry) in SURFACE.iter().enumerate() {
            assert_eq!(
                find(entry.place, entry.feature, entry.name.as_bytes()),
                Some(&SURFACE[at]),
                "{entry}"
            );
        }
    }
    /// Silence about one of these would be taken for a yes (RabbitMQ: documents of queues, quorum queues and streams,
    /// and of mirrors up to 2.8; LavinMQ: of deduplication and streams).
    #[test]
    fn arguments_that_other_brokers_heed_have_a_line() {
        let known = [
            ("queue.declare", "x-max-in-memory-length x-max-in-memory-bytes x-quorum-initial-group-size"),
            ("queue.declare", "x-quorum-target-group-size x-initial-cluster-size x-max-age"),
            ("queue.declare", "x-stream-max-segment-size-bytes x-stream-filter-size-bytes"),
            ("queue.declare", "x-ha-policy x-ha-policy-params"),
            ("queue.declare", "x-message-deduplication x-deduplication-header x-cache-size x-cache-ttl"),
            ("exchange.declare", "x-message-deduplication x-deduplication-header x-cache-size x-cache-ttl"),
            (
                "basic.consume",
                "x-stream-offset x-stream-filter x-stream-match-unfiltered x-filter-match-type",
            ),
        ];
        for (place, names) in known {
            for name in names.split(' ') {
                assert!(find(place, Feature::Argument, name.as_bytes()).is_some(), "{place} {name}");
            }
        }
    }
}
