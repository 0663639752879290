//! What of AMQP is built: the table of `model/surface.rs` is asked before anything is done.

use alloc::format;

use leveret_model::surface::{Accepts, Entry, Feature, Status, find, missing};
use leveret_model::{ReplyCode, Value};

use crate::exception::{Exception, MethodId};

/// Goes on only with what is built.
///
/// # Errors
/// 540 that names the thing.
pub(crate) fn demand(place: &str, feature: Feature, name: &[u8], method: MethodId) -> Result<(), Exception> {
    match missing(place, feature, name) {
        None => Ok(()),
        Some(entry) => {
            let text = format!("{entry} is not implemented yet");
            Err(Exception::new(ReplyCode::NotImplemented, method, text))
        }
    }
}

/// What RabbitMQ refuses for good, in its words.
pub(crate) fn as_rabbitmq_refuses(method: MethodId, text: &str) -> Exception {
    Exception::new(ReplyCode::NotImplemented, method, text)
}

/// A flag that the client has set.
pub(crate) fn demand_flag(place: &str, flag: &str, method: MethodId) -> Result<(), Exception> {
    demand(place, Feature::Flag, flag.as_bytes(), method)
}

/// An argument and its value. Gives its line; an unknown one has none and may be anything.
///
/// # Errors
/// 540 if it is not built, 406 if its value is none that it takes, or if it is for another type of queue.
pub(crate) fn demand_argument(
    place: &str,
    key: &[u8],
    value: &Value,
    method: MethodId,
) -> Result<Option<&'static Entry>, Exception> {
    demand(place, Feature::Argument, key, method)?;
    let Some(entry) = find(place, Feature::Argument, key) else { return Ok(None) };
    let invalid = |why| {
        let text = format!("invalid arg '{}' for {place}: {why}", entry.name);
        Err(Exception::new(ReplyCode::PreconditionFailed, method, text))
    };
    if entry.status == Status::Foreign {
        return invalid(format!("it is {}", entry.note));
    }
    if entry.accepts != Accepts::Any && !entry.accepts.takes(value) {
        return invalid(format!("expected {}", entry.accepts));
    }
    Ok(Some(entry))
}
