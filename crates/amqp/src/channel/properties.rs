//! The properties of a publish that a broker acts on: none may be dropped in silence.
//!
//! Order as RabbitMQ 4.3: expiration, the headers, user-id, reply-to (3.10 looked at user-id first).

use alloc::format;
use alloc::string::String;

use leveret_model::{DIRECT_REPLY_TO, ReplyCode, Terms};
use leveret_wire::ContentHeader;

use super::copies;
use super::replies::Rewrites;
use crate::exception::{Exception, MethodId};
use crate::turn::Shared;

/// Looks at a valid content header whose properties concern the broker; allocates nothing unless it objects.
/// `answered` says that the channel has a consumer of replies.
#[inline(never)]
pub(super) fn check(shared: &Shared, header: &[u8], answered: bool) -> Result<Rewrites, Exception> {
    let id = MethodId::PUBLISH;
    let Ok(ContentHeader { properties, .. }) = ContentHeader::decode(header) else {
        return Ok(Rewrites::default());
    };
    if let Some(expiration) = properties.expiration()
        && let Err(why) = check_expiration(expiration)
    {
        let text = format!("invalid expiration '{}': {why}", expiration.escape_ascii());
        return Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
    }
    let copies = match properties.headers() {
        Some(headers) => copies::check(headers)?,
        None => false,
    };
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
    let reply_to = properties.reply_to() == Some(DIRECT_REPLY_TO);
    // RabbitMQ: maybe_set_fast_reply_to
    if reply_to && !answered {
        let text = "fast reply consumer does not exist";
        return Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
    }
    Ok(Rewrites { copies, reply_to })
}

/// Why an expiration is none, in RabbitMQ's words (parse_expiration and check_expiry; all seen on 3.10.8 and
/// 4.3.6): a decimal number of milliseconds, a sign before it, nothing behind it.
fn check_expiration(text: &[u8]) -> Result<(), String> {
    let digits_at = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits = text[digits_at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return Err("no_integer".into());
    }
    let (number, rest) = text.split_at(digits_at + digits);
    if !rest.is_empty() {
        return Err(format!("{{leftover_string,\"{}\"}}", rest.escape_ascii()));
    }
    // decimal digits with a sign, so it is text; more digits than fit are above the bound all the same
    let number = str::from_utf8(number).unwrap_or_default();
    match number.parse::<i64>() {
        Ok(0..=MILLISECONDS_MAX) => Ok(()),
        Ok(negative) if negative < 0 => Err(format!("{{value_negative,{negative}}}")),
        Err(_) if number.starts_with('-') => Err(format!("{{value_negative,{number}}}")),
        Ok(_) | Err(_) => Err(format!("{{value_too_large,{}}}", number.trim_start_matches('+'))),
    }
}

const MILLISECONDS_MAX: i64 = Terms::EXPIRATION_MS_MAX as i64;
