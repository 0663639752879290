//! The `x-` arguments that mean something: each declared once, with who it belongs to, what values it takes,
//! how far it is built, and which setting it fills.
//!
//! From this table come the checks of the AMQP channel, the lines of [`surface`](crate::surface) and of the
//! README, and the typed settings of a definition. An argument without a line is kept and means nothing.

use core::fmt;
use core::time::Duration;

use Status::{Foreign, Here, Ignored, Later};

use crate::limits::DEDUPLICATION_ENTRIES_MAX;
use crate::settings::{ExchangeSettings, HashOn, HashProperty, Overflow, QueueKind, QueueSettings};
use crate::{Name, RoutingKey, Terms, Value};

/// How far something is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Works.
    Here,
    /// Answered with 540 that names it.
    Later,
    /// Accepted and without effect, by decision.
    Ignored,
    /// Of another type of queue than those that are here: refused with 406 (RabbitMQ:
    /// check_arguments_type_and_value).
    Foreign,
}

/// What values an argument takes, as RabbitMQ checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Accepts {
    Any,
    Bool,
    /// A long string.
    Text,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An integer of any width, within these bounds.
    Integer(i64, i64),
}

impl Accepts {
    /// Longest time of a timer, milliseconds: ten years (RabbitMQ 4.3: check_expiry).
    pub const TIMER_MS_MAX: i64 = Terms::EXPIRATION_MS_MAX as i64;

    /// True if the argument may have this value.
    #[must_use]
    pub fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::Text => matches!(value, Value::LongString(_)),
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
            Self::Text => f.write_str("a string"),
            Self::Integer(i64::MIN, i64::MAX) => f.write_str("an integer"),
            Self::Integer(least, i64::MAX) => write!(f, "an integer of at least {least}"),
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

/// What an argument belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Owner {
    Exchange,
    /// A queue of any type that is here.
    Queue,
    QuorumQueue,
    Stream,
    Consumer,
}

impl Owner {
    /// The method that carries the argument, `class.method`.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::Exchange => "exchange.declare",
            Self::Queue | Self::QuorumQueue | Self::Stream => "queue.declare",
            Self::Consumer => "basic.consume",
        }
    }
}

/// How an argument fills its setting. The value is one that the argument takes.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Setter {
    /// It fills none.
    None,
    Queue(fn(&mut QueueSettings, &Value)),
    Exchange(fn(&mut ExchangeSettings, &Value)),
}

/// An argument that means something.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct KnownArgument {
    pub owner: Owner,
    pub key: &'static str,
    pub status: Status,
    pub accepts: Accepts,
    pub setter: Setter,
    /// One line for people; may be empty.
    pub note: &'static str,
}

impl KnownArgument {
    const fn new(owner: Owner, key: &'static str, status: Status, accepts: Accepts) -> Self {
        Self { owner, key, status, accepts, setter: Setter::None, note: "" }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// An argument of exchanges that fills no setting yet.
const fn exchange(key: &'static str, status: Status, accepts: Accepts) -> KnownArgument {
    KnownArgument::new(Owner::Exchange, key, status, accepts)
}

/// An argument of queues that fills no setting.
const fn queue(key: &'static str, status: Status, accepts: Accepts) -> KnownArgument {
    KnownArgument::new(Owner::Queue, key, status, accepts)
}

/// An argument of queues and its setting.
const fn setting(
    key: &'static str,
    status: Status,
    accepts: Accepts,
    set: fn(&mut QueueSettings, &Value),
) -> KnownArgument {
    KnownArgument { setter: Setter::Queue(set), ..KnownArgument::new(Owner::Queue, key, status, accepts) }
}

/// An argument of another type of queue: here it is only refused.
const fn foreign(owner: Owner, key: &'static str) -> KnownArgument {
    let note = match owner {
        Owner::Stream => "of streams",
        _ => "of quorum queues",
    };
    KnownArgument::new(owner, key, Foreign, Any).note(note)
}

const fn consumer(key: &'static str, status: Status, accepts: Accepts) -> KnownArgument {
    KnownArgument::new(Owner::Consumer, key, status, accepts)
}

use Accepts::{Any, Bool, Integer, OneOf, Text};

/// The names that RabbitMQ has had for where a queue is to live.
const LOCATORS: Accepts = OneOf(&["client-local", "balanced", "min-masters", "least-leaders", "random"]);
const OVERFLOWS: Accepts = OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]);
const TIMER_MS_MAX: i64 = Accepts::TIMER_MS_MAX;
const COUNT: Accepts = Integer(0, i64::MAX);
const CACHE_SIZE: Accepts = Integer(1, DEDUPLICATION_ENTRIES_MAX as i64);

/// The table (RabbitMQ: the union of its classic queue's and LavinMQ's arguments).
pub const KNOWN_ARGUMENTS: &[KnownArgument] = &[
    KnownArgument {
        setter: Setter::Exchange(|settings, value| settings.alternate_exchange = name(value)),
        ..exchange("alternate-exchange", Here, Text)
    },
    KnownArgument {
        setter: Setter::Exchange(|settings, value| {
            if let Some(header) = value.as_bytes() {
                settings.hash_on = HashOn::Header(RoutingKey::new(header));
            }
        }),
        ..exchange("hash-header", Here, Text).note("of x-consistent-hash")
    },
    KnownArgument {
        setter: Setter::Exchange(|settings, value| {
            if let Some(property) = value.as_bytes().and_then(HashProperty::from_name) {
                settings.hash_on = HashOn::Property(property);
            }
        }),
        ..exchange("hash-property", Here, Text).note("of x-consistent-hash")
    },
    exchange("x-delayed-type", Later, Any),
    exchange("x-message-deduplication", Later, Any),
    exchange("x-deduplication-header", Later, Any),
    exchange("x-cache-size", Later, Any),
    exchange("x-cache-ttl", Later, Any),
    setting("x-queue-type", Here, Any, |settings, value| {
        settings.kind = value.as_bytes().and_then(QueueKind::from_name).unwrap_or_default();
    })
    .note("classic; quorum and stream are refused with 406"),
    queue("x-queue-mode", Ignored, Any)
        .note("what is stored leaves memory when that is short, in every mode"),
    queue("x-queue-version", Ignored, Integer(1, 2)).note("there is one version"),
    setting("x-message-ttl", Here, Integer(0, TIMER_MS_MAX), |settings, value| {
        settings.message_ttl = milliseconds(value);
    }),
    setting("x-expires", Here, Integer(1, TIMER_MS_MAX), |settings, value| {
        settings.expires = milliseconds(value);
    }),
    setting("x-max-length", Here, COUNT, |settings, value| settings.max_length = count(value)),
    setting("x-max-length-bytes", Here, COUNT, |settings, value| settings.max_length_bytes = count(value)),
    setting("x-overflow", Here, OVERFLOWS, |settings, value| {
        settings.overflow = value.as_bytes().and_then(Overflow::from_name).unwrap_or_default();
    }),
    setting("x-dead-letter-exchange", Here, Text, |settings, value| {
        settings.dead_letter_exchange = name(value);
    }),
    setting("x-dead-letter-routing-key", Here, Text, |settings, value| {
        settings.dead_letter_routing_key = value.as_bytes().map(RoutingKey::new);
    }),
    setting("x-delivery-limit", Here, COUNT, |settings, value| settings.delivery_limit = count(value)),
    setting("x-max-priority", Here, Integer(0, 255), |settings, value| {
        settings.max_priority = value.as_integer().and_then(|n| u8::try_from(n).ok());
    }),
    setting("x-single-active-consumer", Here, Bool, |settings, value| {
        settings.single_active_consumer = *value == Value::Bool(true);
    }),
    setting("x-consumer-timeout", Here, Integer(0, TIMER_MS_MAX), |settings, value| {
        settings.consumer_timeout = milliseconds(value);
    })
    .note("0 for none"),
    setting("x-message-deduplication", Here, Bool, |settings, value| {
        settings.deduplication.on = *value == Value::Bool(true);
    }),
    setting("x-deduplication-header", Here, Text, |settings, value| {
        settings.deduplication.header = value.as_bytes().map(RoutingKey::new);
    })
    .note("x-deduplication-header by default"),
    setting("x-cache-size", Here, CACHE_SIZE, |settings, value| {
        settings.deduplication.cache_size = count(value).map(|size| size as usize);
    })
    .note("of deduplication, 128 by default"),
    setting("x-cache-ttl", Here, Integer(1, TIMER_MS_MAX), |settings, value| {
        settings.deduplication.cache_ttl = milliseconds(value);
    })
    .note("of deduplication, for ever by default"),
    queue("x-name-prefix", Ignored, Any).note("RabbitMQ 4.3 ignores it as well"),
    queue("x-queue-master-locator", Ignored, LOCATORS).note("a queue lives where it is declared"),
    queue("x-queue-leader-locator", Ignored, LOCATORS).note("a queue lives where it is declared"),
    foreign(Owner::QuorumQueue, "x-dead-letter-strategy"),
    foreign(Owner::QuorumQueue, "x-quorum-initial-group-size"),
    queue("x-quorum-target-group-size", Ignored, Any)
        .note("RabbitMQ 4.3 ignores it at classic queues as well"),
    foreign(Owner::QuorumQueue, "x-delayed-retry-type"),
    foreign(Owner::QuorumQueue, "x-consumer-disconnected-timeout"),
    foreign(Owner::QuorumQueue, "x-max-in-memory-length"),
    foreign(Owner::QuorumQueue, "x-max-in-memory-bytes"),
    foreign(Owner::Stream, "x-max-age"),
    foreign(Owner::Stream, "x-stream-max-segment-size-bytes"),
    foreign(Owner::Stream, "x-stream-filter-size-bytes"),
    foreign(Owner::Stream, "x-initial-cluster-size"),
    queue("x-ha-policy", Ignored, Any).note("RabbitMQ ignores it as well since 3.0"),
    queue("x-ha-policy-params", Ignored, Any).note("RabbitMQ ignores it as well since 3.0"),
    consumer("x-priority", Here, Integer(i64::MIN, i64::MAX)),
    consumer("x-stream-offset", Foreign, Any).note("of streams"),
    consumer("x-consumer-timeout", Here, Integer(0, TIMER_MS_MAX)).note("0 for none"),
    consumer("x-cancel-on-ha-failover", Ignored, Bool).note("there are no mirrors to fail over to"),
    consumer("x-stream-filter", Foreign, Any).note("of streams"),
    consumer("x-stream-match-unfiltered", Foreign, Any).note("of streams"),
    consumer("x-filter-match-type", Foreign, Any).note("of streams"),
];

/// The line of an argument at the method `place`.
#[must_use]
pub fn find(place: &str, key: &[u8]) -> Option<&'static KnownArgument> {
    KNOWN_ARGUMENTS.iter().find(|known| known.owner.place() == place && known.key.as_bytes() == key)
}

/// The time that an argument gives.
#[must_use]
pub fn milliseconds(value: &Value) -> Option<Duration> {
    count(value).map(Duration::from_millis)
}

fn count(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|n| u64::try_from(n).ok())
}

/// The name in a string; one that is no name leaves the setting empty.
fn name(value: &Value) -> Option<Name> {
    value.as_bytes().and_then(|bytes| Name::from_bytes(bytes).ok())
}
