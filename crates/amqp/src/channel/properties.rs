//! The properties of a publish that a broker acts on: none may be dropped in silence.
//!
//! Order as RabbitMQ: user-id, expiration, the headers, reply-to.

use alloc::format;

use leveret_model::ReplyCode;
use leveret_model::surface::Feature;
use leveret_wire::ContentHeader;

use super::copies;
use crate::exception::{Exception, MethodId};
use crate::surface::demand;
use crate::turn::Shared;

const PLACE: &str = "basic.publish";

/// Looks at a valid content header whose properties concern the broker; allocates nothing unless it objects.
/// Answers whether the message has further routing keys.
#[inline(never)]
pub(super) fn check(shared: &Shared, header: &[u8]) -> Result<bool, Exception> {
    let id = MethodId::PUBLISH;
    let Ok(ContentHeader { properties, .. }) = ContentHeader::decode(header) else { return Ok(false) };
    if let Some(claimed) = properties.user_id()
        && claimed != shared.client.user.as_bytes()
    {
        // RabbitMQ: check_user_id_header
        let text = format!(
            "user_id property set to '{}' but authenticated user was '{}'",
            claimed.escape_ascii(),
            shared.client.user
        );
        return Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
    }
    if properties.expiration().is_some() {
        demand(PLACE, Feature::Property, b"expiration", id)?;
    }
    let copies = match properties.headers() {
        Some(headers) => copies::check(headers)?,
        None => false,
    };
    // nobody can consume from it yet (RabbitMQ: maybe_set_fast_reply_to)
    if properties.reply_to() == Some(DIRECT_REPLY_TO) {
        let text = "fast reply consumer does not exist";
        return Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
    }
    Ok(copies)
}

/// The queue that stands for "back to this channel" (RabbitMQ: direct reply-to).
pub(super) const DIRECT_REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";
