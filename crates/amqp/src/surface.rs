//! What of AMQP is built: the table of `model/surface.rs` is asked before anything is done.

use alloc::format;

use leveret_model::ReplyCode;
use leveret_model::surface::{Feature, missing};

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
