//! Exchanges, queues and bindings as clients define them.

use core::fmt;

use crate::{Arguments, Name, RoutingKey};

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
}

impl ExchangeKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
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

/// The exchanges that each vhost has from the start, beside the default one (`""`, direct, every queue by its name).
pub const PREDECLARED: [(&str, ExchangeKind, bool); 6] = [
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.topic", ExchangeKind::Topic, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    // internal: clients cannot publish to it
    ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
];

/// An exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its vhost.
    pub vhost: Name,
    /// Its name; `""` is the default exchange, which is never a record.
    pub name: Name,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Survives a restart (kept for the equivalence check while there are no disks).
    pub durable: bool,
    /// Deleted after its last binding went.
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    pub internal: bool,
    /// Its arguments, unknown ones too.
    pub arguments: Arguments,
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
