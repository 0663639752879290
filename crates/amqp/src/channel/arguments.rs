//! Arguments of declarations and consumers: which are kept, and in which words the others are refused.
//!
//! The words are RabbitMQ 4.3's (`rabbit_amqqueue`: check_arguments_type_and_value), because clients and their
//! users search for them. Read first: `model/known_arguments.rs`, which says what each argument takes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::surface::{Accepts, Entry, Feature, Status, find};
use leveret_model::{Arguments, Name, ReplyCode, Value};
use leveret_wire::{FieldError, Table};

use crate::exception::{Exception, MethodId};
use crate::surface::demand;

/// Whose arguments they are.
#[derive(Clone, Copy)]
pub(super) struct ArgumentsOf<'a> {
    pub(super) method: MethodId,
    /// The method's name, under which `model/surface.rs` has their lines.
    pub(super) place: &'static str,
    /// `queue` or `exchange`
    pub(super) kind: &'static str,
    pub(super) name: &'a Name,
    pub(super) vhost: &'a Name,
}

impl ArgumentsOf<'_> {
    /// Known arguments that are not built, or have a value that they do not take, are refused by name; ignored
    /// ones are left out, unknown ones are kept and mean nothing.
    pub(super) fn check(self, arguments: Arguments) -> Result<Arguments, Exception> {
        let mut kept = Vec::new();
        for (key, value) in arguments.0 {
            demand(self.place, Feature::Argument, &key, self.method)?;
            let entry = find(self.place, Feature::Argument, &key);
            if let Some(entry) = entry {
                self.check_value(entry, &value)?;
            }
            if entry.is_none_or(|entry| entry.status != Status::Ignored) {
                kept.push((key, value));
            }
        }
        Ok(Arguments(kept))
    }

    fn check_value(self, entry: &Entry, value: &Value) -> Result<(), Exception> {
        let Self { kind, name, vhost, .. } = self;
        if entry.status == Status::Foreign {
            let text = format!(
                "invalid arg '{}' for {kind} '{name}' in vhost '{vhost}' of queue type rabbit_classic_queue",
                entry.name
            );
            return Err(self.refusal(text));
        }
        if entry.accepts == Accepts::Any || entry.accepts.takes(value) {
            return Ok(());
        }
        if matches!(entry.name, "alternate-exchange" | "x-dead-letter-exchange") {
            // RabbitMQ: rabbit_misc:r_arg/4
            let given = value.type_name();
            let text = format!(
                "invalid type '{given}' for arg '{}' in {kind} '{name}' in vhost '{vhost}'",
                entry.name
            );
            return Err(self.refusal(text));
        }
        Err(self.invalid(entry.name, &why_not(entry, value)))
    }

    /// `invalid arg` with its reason.
    pub(super) fn invalid(self, key: &str, why: &str) -> Exception {
        let Self { kind, name, vhost, .. } = self;
        self.refusal(format!("invalid arg '{key}' for {kind} '{name}' in vhost '{vhost}': {why}"))
    }

    /// 406 in words of the caller's.
    pub(super) fn refusal(self, text: String) -> Exception {
        Exception::new(ReplyCode::PreconditionFailed, self.method, text)
    }
}

/// The reason as RabbitMQ prints it: an Erlang term, a string in quotes among them.
fn why_not(entry: &Entry, value: &Value) -> String {
    let kind = value.type_name();
    match (entry.accepts, value.as_integer()) {
        (Accepts::Integer(..), None) => format!("\"expected integer, got {kind}\""),
        (Accepts::Integer(..), Some(n)) if n < 0 => format!("{{value_negative,{n}}}"),
        (Accepts::Integer(1.., _), Some(0)) => "{value_zero,0}".into(),
        (Accepts::Integer(_, 255), Some(n)) => format!("{{max_value_exceeded,{n}}}"),
        (Accepts::Integer(0.., Accepts::TIMER_MS_MAX), Some(n)) => format!("{{value_too_large,{n}}}"),
        (Accepts::OneOf(_), _) if matches!(value, Value::LongString(_)) => match entry.name {
            "x-overflow" => "invalid_overflow".into(),
            name if name.ends_with("-locator") => "invalid_queue_locator_arg".into(),
            _ => format!("expected {}", entry.accepts),
        },
        (Accepts::Bool | Accepts::Text | Accepts::OneOf(_), _) => format!("{{unacceptable_type,{kind}}}"),
        (Accepts::Integer(..) | Accepts::Any, _) => format!("expected {}", entry.accepts),
    }
}

/// A table as it came.
pub(super) fn read(method: MethodId, table: Table<'_>) -> Result<Arguments, Exception> {
    table.to_arguments().map_err(|error| {
        // arguments that are too deep for us are well formed: the channel is enough to close
        let too_deep = error == FieldError::TooDeep;
        let code = if too_deep { ReplyCode::PreconditionFailed } else { ReplyCode::SyntaxError };
        Exception::new(code, method, format!("arguments: {error}"))
    })
}

/// Takes out what only another type of queue has: for a queue of another type that becomes a classic one, and
/// its consumers.
pub(super) fn drop_foreign(place: &str, arguments: &mut Arguments) {
    let is_foreign =
        |key: &[u8]| find(place, Feature::Argument, key).is_some_and(|entry| entry.status == Status::Foreign);
    arguments.0.retain(|(key, _)| !is_foreign(&key[..]));
}
