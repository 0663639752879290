//! The keys that a policy may set: for each the argument that it stands for, and what counts if both are given.
//! The argument's line in [`known_arguments`] says which values are taken and which setting is filled, so a
//! policy's value is judged by what judges the argument.

use alloc::format;
use alloc::string::String;

use crate::known_arguments::{self, KnownArgument, Owner, Status};
use crate::{Arguments, SHORT_STRING_BYTES_MAX, Value};

/// What counts if a policy and an argument both give a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Both {
    /// The smaller number (RabbitMQ: `rabbit_misc:res_min`).
    Smaller,
    /// The argument.
    Argument,
}

/// A key of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PolicyKey {
    pub key: &'static str,
    pub owner: Owner,
    pub argument: &'static str,
    pub both: Both,
}

const fn queue(key: &'static str, argument: &'static str, both: Both) -> PolicyKey {
    PolicyKey { key, owner: Owner::Queue, argument, both }
}

/// All keys (RabbitMQ: those of classic queues and of exchanges; `max-priority` is none, because the priorities
/// of a queue are fixed when it is declared).
pub const POLICY_KEYS: &[PolicyKey] = &[
    PolicyKey {
        key: "alternate-exchange",
        owner: Owner::Exchange,
        argument: "alternate-exchange",
        both: Both::Argument,
    },
    queue("message-ttl", "x-message-ttl", Both::Smaller),
    queue("expires", "x-expires", Both::Smaller),
    queue("max-length", "x-max-length", Both::Smaller),
    queue("max-length-bytes", "x-max-length-bytes", Both::Smaller),
    queue("overflow", "x-overflow", Both::Argument),
    queue("dead-letter-exchange", "x-dead-letter-exchange", Both::Argument),
    queue("dead-letter-routing-key", "x-dead-letter-routing-key", Both::Argument),
    queue("delivery-limit", "x-delivery-limit", Both::Smaller),
];

impl PolicyKey {
    /// The key of that name.
    #[must_use]
    pub fn find(key: &[u8]) -> Option<&'static Self> {
        POLICY_KEYS.iter().find(|known| known.key.as_bytes() == key)
    }

    /// The key that stands for an argument.
    #[must_use]
    pub fn of_argument(argument: &KnownArgument) -> Option<&'static Self> {
        POLICY_KEYS.iter().find(|known| known.argument == argument.key && known.owner == argument.owner)
    }

    /// The line of its argument, if this version acts on it.
    #[must_use]
    pub fn known(&self) -> Option<&'static KnownArgument> {
        let known = known_arguments::find(self.owner.place(), self.argument.as_bytes());
        known.filter(|known| known.status == Status::Here)
    }

    /// The value in a policy's settings, if it is one that the key takes.
    #[must_use]
    pub fn value_in<'a>(&self, settings: &'a Arguments) -> Option<&'a Value> {
        let known = self.known()?;
        settings.get(self.key).filter(|value| known.accepts.takes(value))
    }
}

/// Why settings are none of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A policy has one setting at least (RabbitMQ refuses it too).
    #[error("a policy sets something; known keys: {}", known_keys())]
    Empty,
    /// No such key.
    #[error("unknown key '{}'; known keys: {}", .0.escape_debug(), known_keys())]
    Unknown(String),
    /// The value is not one that its argument takes.
    #[error("'{key}' takes {takes}")]
    #[allow(missing_docs, reason = "the names say it")]
    Value { key: &'static str, takes: String },
}

/// Checks what an operator wrote.
///
/// # Errors
/// [`SettingsError`] names the first key that is wrong.
pub fn check_settings(settings: &Arguments) -> Result<(), SettingsError> {
    if settings.is_empty() {
        return Err(SettingsError::Empty);
    }
    for (key, value) in &settings.0 {
        let found = PolicyKey::find(key).and_then(|known| Some((known.key, known.known()?.accepts)));
        let Some((key, accepts)) = found else {
            return Err(SettingsError::Unknown(String::from_utf8_lossy(key).into_owned()));
        };
        if !accepts.takes(value) {
            return Err(SettingsError::Value { key, takes: format!("{accepts}") });
        }
        if value.as_bytes().is_some_and(|bytes| bytes.len() > SHORT_STRING_BYTES_MAX) {
            let takes = format!("a string of at most {SHORT_STRING_BYTES_MAX} bytes");
            return Err(SettingsError::Value { key, takes });
        }
    }
    Ok(())
}

/// The keys that this version acts on, for people.
#[must_use]
fn known_keys() -> String {
    let mut text = String::new();
    for known in POLICY_KEYS.iter().filter(|key| key.known().is_some()) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(known.key);
    }
    text
}
