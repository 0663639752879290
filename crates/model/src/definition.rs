//! Exchanges, queues and bindings as clients define them.

use core::fmt;
use core::ops::Deref;

use crate::known_arguments::{self, Setter};
use crate::settings::{ExchangeSettings, QueueSettings};
use crate::{Arguments, ConnectionAddress, Name, RoutingKey, Value};

/// The vhost that every broker has.
pub const DEFAULT_VHOST: &str = "/";
/// The user that every broker has, from loopback only (RabbitMQ: loopback_users).
pub const DEFAULT_USER: &str = "guest";

/// How an exchange routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExchangeKind {
    /// Binding key equals routing key (AMQP 0-9-1 §3.1.3.1).
    Direct,
    /// Every binding (§3.1.3.2).
    Fanout,
    /// Words, `*` and `#` (§3.1.3.3).
    Topic,
    /// Headers against the binding's arguments (§3.1.3.4).
    Headers,
    /// One binding, chosen by a hash of the message in proportion to the bindings' weights (RabbitMQ:
    /// rabbitmq_consistent_hash_exchange).
    ConsistentHash,
    /// One binding, chosen by the routing key's hash modulo their count (RabbitMQ: x-modulus-hash).
    ModulusHash,
    /// One binding at random (RabbitMQ: rabbitmq_random_exchange).
    Random,
    /// One queue of this node at random (RabbitMQ: local random exchange).
    LocalRandom,
    /// A type that only a later version knows. No client can ask for it; shards have it so that they do not
    /// call the exchange missing.
    Later,
}

impl ExchangeKind {
    /// The kinds that can be declared.
    pub const ALL: [Self; 8] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::ModulusHash,
        Self::Random,
        Self::LocalRandom,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::Later => "of a later version",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().as_bytes() == name)
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The exchanges that each vhost has from the start, beside the default one (`""`, direct, every queue by its
/// name).
pub const PREDECLARED: [(&str, ExchangeKind, bool); 6] = [
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.topic", ExchangeKind::Topic, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    // internal: clients cannot publish to it
    ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
];

/// A table of arguments and the typed settings that it gives, read from it once.
///
/// Every argument is kept, unknown ones and those with a value that this version does not take too: another
/// node may act on them. Of two equal keys the first counts.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Parsed<S> {
    table: Arguments,
    settings: S,
}

/// Settings that arguments can fill.
pub trait Settings: Default {
    /// The method whose arguments they are.
    const PLACE: &'static str;

    /// Fills the setting of `setter`, if it is one of these.
    fn set(&mut self, setter: Setter, value: &Value);
}

impl Settings for QueueSettings {
    const PLACE: &'static str = "queue.declare";

    fn set(&mut self, setter: Setter, value: &Value) {
        if let Setter::Queue(set) = setter {
            set(self, value);
        }
    }
}

impl Settings for ExchangeSettings {
    const PLACE: &'static str = "exchange.declare";

    fn set(&mut self, setter: Setter, value: &Value) {
        if let Setter::Exchange(set) = setter {
            set(self, value);
        }
    }
}

impl<S> Parsed<S> {
    /// What the arguments mean.
    #[must_use]
    pub const fn settings(&self) -> &S {
        &self.settings
    }
}

impl<S: Settings> From<Arguments> for Parsed<S> {
    fn from(table: Arguments) -> Self {
        let mut settings = S::default();
        // backwards, so that the first of two equal keys is set last
        for (key, value) in table.0.iter().rev() {
            if let Some(known) =
                known_arguments::find(S::PLACE, key).filter(|known| known.accepts.takes(value))
            {
                settings.set(known.setter, value);
            }
        }
        Self { table, settings }
    }
}

impl<S> Deref for Parsed<S> {
    type Target = Arguments;

    fn deref(&self) -> &Arguments {
        &self.table
    }
}

/// An exchange as its declarer defined it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ExchangeDefinition {
    pub vhost: Name,
    /// `""` is the default exchange, which is never a record.
    pub name: Name,
    pub kind: ExchangeKind,
    /// Survives a restart (kept for the equivalence check while there are no disks).
    pub durable: bool,
    /// Deleted after its last binding went.
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    pub internal: bool,
    pub arguments: Parsed<ExchangeSettings>,
}

impl ExchangeDefinition {
    /// A transient exchange without arguments.
    #[must_use]
    pub fn new(vhost: Name, name: Name, kind: ExchangeKind) -> Self {
        let arguments = Parsed::default();
        Self { vhost, name, kind, durable: false, auto_delete: false, internal: false, arguments }
    }

    /// The exchange of that name that every vhost has from the start; it is never a record.
    #[must_use]
    pub fn predeclared(vhost: &Name, name: &str) -> Option<Self> {
        let &(name, kind, internal) = PREDECLARED.iter().find(|(text, ..)| *text == name)?;
        Some(Self { durable: true, internal, ..Self::new(vhost.clone(), Name::new(name), kind) })
    }
}

/// A queue as its declarer defined it. Where it lives is its [`QueueRecord`](crate::directory::QueueRecord)'s
/// business.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct QueueDefinition {
    pub vhost: Name,
    pub name: Name,
    /// Survives a restart (kept for the equivalence check while there are no disks).
    pub durable: bool,
    /// The connection that alone may use the queue, and that the queue ends with.
    pub exclusive: Option<ConnectionAddress>,
    /// Deleted after its last consumer went.
    pub auto_delete: bool,
    /// Its type is among their settings.
    pub arguments: Parsed<QueueSettings>,
}

impl QueueDefinition {
    /// A transient classic queue without arguments.
    #[must_use]
    pub fn new(vhost: Name, name: Name) -> Self {
        Self {
            vhost,
            name,
            durable: false,
            exclusive: None,
            auto_delete: false,
            arguments: Parsed::default(),
        }
    }
}

/// What a binding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DestinationKind {
    /// A queue.
    Queue,
    /// Another exchange (RabbitMQ: exchange to exchange bindings).
    Exchange,
}

/// A binding. Its identity is all of it: the same key with other arguments is another binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Its vhost.
    pub vhost: Name,
    /// The exchange that messages come from.
    pub source: Name,
    /// Queue or exchange.
    pub kind: DestinationKind,
    /// The name of the queue or exchange that they go to.
    pub destination: Name,
    /// The binding key.
    pub key: RoutingKey,
    /// The arguments.
    pub arguments: Arguments,
}

impl Binding {
    /// The same binding: source, destination, key, and arguments by value.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.vhost == other.vhost
            && self.source == other.source
            && self.kind == other.kind
            && self.destination == other.destination
            && self.key == other.key
            && self.arguments.equivalent(&other.arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Overflow, QueueKind};
    use core::time::Duration;
    use std::vec::Vec;

    fn table(entries: &[(&str, Value)]) -> Arguments {
        let entry = |(key, value): &(&str, Value)| (RoutingKey::new(key.as_bytes()), value.clone());
        Arguments(entries.iter().map(entry).collect::<Vec<_>>())
    }

    fn text(text: &str) -> Value {
        Value::LongString(text.as_bytes().into())
    }

    #[test]
    fn arguments_fill_their_settings_and_all_of_them_are_kept() {
        let given = table(&[
            ("x-message-ttl", Value::I32(1_500)),
            ("x-max-length", Value::U8(9)),
            ("x-overflow", text("reject-publish")),
            ("x-dead-letter-exchange", text("dlx")),
            ("x-max-priority", Value::I64(255)),
            ("x-single-active-consumer", Value::Bool(true)),
            ("x-queue-type", text("stream")),
            ("x-of-tomorrow", Value::Void),
        ]);
        let parsed = Parsed::<QueueSettings>::from(given.clone());
        assert_eq!(*parsed, given);
        let expected = QueueSettings {
            kind: QueueKind::Stream,
            message_ttl: Some(Duration::from_millis(1_500)),
            max_length: Some(9),
            overflow: Overflow::RejectPublish,
            dead_letter_exchange: Some(Name::new("dlx")),
            max_priority: Some(255),
            single_active_consumer: true,
            ..QueueSettings::default()
        };
        assert_eq!(parsed.settings(), &expected);
        let exchange = Parsed::<ExchangeSettings>::from(table(&[("alternate-exchange", text("ae"))]));
        assert_eq!(exchange.settings().alternate_exchange, Some(Name::new("ae")));
    }

    #[test]
    fn a_value_that_is_not_taken_sets_nothing_and_the_first_of_equal_keys_counts() {
        let settings =
            |entries: &[(&str, Value)]| Parsed::<QueueSettings>::from(table(entries)).settings().clone();
        for wrong in [Value::I64(-1), text("5"), Value::I64(1 << 40)] {
            assert_eq!(settings(&[("x-message-ttl", wrong)]), QueueSettings::default());
        }
        let twice = [("x-max-length", Value::I8(1)), ("x-max-length", Value::I8(2))];
        assert_eq!(settings(&twice).max_length, Some(1));
        // of an exchange, not of a queue
        assert_eq!(settings(&[("alternate-exchange", text("ae"))]), QueueSettings::default());
    }
}
