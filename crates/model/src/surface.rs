//! What of the AMQP surface is here: methods, flags, properties and headers, declared once, and the arguments
//! that [`known_arguments`](crate::known_arguments) declares.
//!
//! The channel asks this table before it acts, and the README's list of what is missing is printed from it, so
//! the two cannot differ. What has no line is unknown: an unknown argument is kept and means nothing.

use core::fmt;

pub use crate::known_arguments::{Accepts, Status};
use crate::known_arguments::{KNOWN_ARGUMENTS, KnownArgument};

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

const fn argument(known: &KnownArgument) -> Entry {
    Entry {
        place: known.owner.place(),
        feature: Feature::Argument,
        name: known.key,
        status: known.status,
        accepts: known.accepts,
        note: known.note,
    }
}

const fn property(place: &'static str, name: &'static str, status: Status, note: &'static str) -> Entry {
    Entry { place, feature: Feature::Property, name, status, accepts: Accepts::Any, note }
}

const fn header(place: &'static str, name: &'static str, status: Status, note: &'static str) -> Entry {
    Entry { place, feature: Feature::Header, name, status, accepts: Accepts::Any, note }
}

use Status::{Here, Ignored, Later};

/// Every line (RabbitMQ: the union of its classic queue's and LavinMQ's surface).
pub static SURFACE: [Entry; DECLARED.len() + KNOWN_ARGUMENTS.len()] = {
    let mut all = [DECLARED[0]; DECLARED.len() + KNOWN_ARGUMENTS.len()];
    // const code has no iterators
    let mut at = 0;
    while at < DECLARED.len() {
        all[at] = DECLARED[at];
        at += 1;
    }
    while at < all.len() {
        all[at] = argument(&KNOWN_ARGUMENTS[at - DECLARED.len()]);
        at += 1;
    }
    all
};

/// What is declared here: everything but arguments.
const DECLARED: &[Entry] = &[
    method("connection.start", Here, "PLAIN and AMQPLAIN"),
    method("connection.tune", Here, "frame_max from 4096"),
    method("connection.open", Here, ""),
    method("connection.close", Here, "both directions"),
    method("connection.blocked", Here, "to clients with the capability"),
    method("connection.update-secret", Here, "answered; no user has a secret that expires"),
    method("channel.open", Here, ""),
    method("channel.close", Here, "both directions"),
    method("channel.flow", Here, "active=false stops the channel's deliveries"),
    method("access.request", Here, "answered with ticket 1, for 0-9 clients"),
    method("exchange.declare", Here, "direct, fanout, topic, headers, hashes, random"),
    method("exchange.delete", Here, ""),
    method("exchange.bind", Here, ""),
    method("exchange.unbind", Here, ""),
    method("queue.declare", Here, "classic queues"),
    method("queue.delete", Here, ""),
    method("queue.purge", Here, ""),
    method("queue.bind", Here, ""),
    method("queue.unbind", Here, ""),
    method("basic.qos", Here, "per consumer, and with global for the channel"),
    flag("basic.qos", "prefetch-size", Later, "RabbitMQ answers 540 as well"),
    method("basic.consume", Here, ""),
    flag("basic.consume", "queue amq.rabbitmq.reply-to", Here, "direct reply-to"),
    flag("basic.consume", "no-local", Ignored, "RabbitMQ ignores it as well"),
    method("basic.cancel", Here, "both directions"),
    method("basic.publish", Here, "with mandatory and basic.return"),
    flag("basic.publish", "immediate", Later, "RabbitMQ answers 540 as well"),
    property("basic.publish", "expiration", Here, ""),
    property("basic.publish", "user-id", Here, "must be the user who is logged in"),
    header("basic.publish", "CC", Here, "further routing keys"),
    header("basic.publish", "BCC", Here, "further routing keys, not delivered"),
    method("basic.get", Here, ""),
    method("basic.ack", Here, ""),
    method("basic.nack", Here, ""),
    method("basic.reject", Here, ""),
    method("basic.recover", Here, "requeue=true"),
    flag("basic.recover", "requeue=false", Later, "RabbitMQ answers 540 as well"),
    method("basic.recover-async", Here, "requeue=true"),
    method("confirm.select", Here, ""),
    method("tx.select", Here, "publishes and acks; not with confirms"),
    method("tx.commit", Here, ""),
    method("tx.rollback", Here, ""),
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
    /// Silence about one of these would be taken for a yes (RabbitMQ: documents of queues, quorum queues and
    /// streams, and of mirrors up to 2.8; LavinMQ: of deduplication and streams).
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
