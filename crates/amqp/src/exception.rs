//! Exceptions: what ends a channel or the whole connection, with the code, the text and the method at fault.
//!
//! Which of the two a code ends is `ReplyCode::scope` (AMQP 0-9-1 §1.1, RabbitMQ's levels) and nowhere else.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;

use leveret_model::{Name, Refusal, ReplyCode, SHORT_STRING_BYTES_MAX, Scope};

/// Class and method id of the method that a `close` blames; zeros if none is at fault (AMQP 0-9-1 §1.4.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct MethodId {
    pub(crate) class: u16,
    pub(crate) method: u16,
}

impl MethodId {
    /// No method is to blame.
    pub(crate) const NONE: Self = Self { class: 0, method: 0 };
    /// `connection.open`, whose vhost is refused.
    pub(crate) const OPEN: Self = Self { class: 10, method: 40 };
    /// `basic.publish`, to blame for what is wrong with its content.
    pub(crate) const PUBLISH: Self = Self { class: 60, method: 40 };
}

/// A broken rule or a refused request. Boxed: it is rare, and the happy result stays one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception(Box<Fault>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    code: ReplyCode,
    text: String,
    method: MethodId,
    framing_lost: bool,
}

impl Exception {
    /// A broken rule, blamed on `method`.
    pub(crate) fn new(code: ReplyCode, method: MethodId, text: impl Into<String>) -> Self {
        Self(Box::new(Fault { code, text: text.into(), method, framing_lost: false }))
    }

    /// Bytes that are no frame: what follows cannot be read either, so not even close-ok will be understood.
    pub(crate) fn framing(code: ReplyCode, text: impl Into<String>) -> Self {
        Self(Box::new(Fault { code, text: text.into(), method: MethodId::NONE, framing_lost: true }))
    }

    /// A request that the broker refused.
    pub(crate) fn refused(refusal: Refusal, method: MethodId) -> Self {
        Self::new(refusal.code, method, refusal.text)
    }

    pub(crate) fn code(&self) -> ReplyCode {
        self.0.code
    }

    pub(crate) fn scope(&self) -> Scope {
        self.0.code.scope()
    }

    pub(crate) fn method(&self) -> MethodId {
        self.0.method
    }

    pub(crate) fn framing_lost(&self) -> bool {
        self.0.framing_lost
    }

    /// The reply text, cut to a short string at a character (`Name::new` cuts so).
    pub(crate) fn reply_text(&self) -> Name {
        reply_text(self.0.code, &self.0.text)
    }
}

/// "CODE_NAME - explanation", as RabbitMQ writes it, at most 255 bytes: a longer one ends with three dots.
pub(crate) fn reply_text(code: ReplyCode, explanation: &str) -> Name {
    if explanation.is_empty() {
        return Name::new(code.text());
    }
    let text = format!("{} - {explanation}", code.text());
    if text.len() <= SHORT_STRING_BYTES_MAX {
        return Name::new(&text);
    }
    Name::new(&format!("{}...", &text[..text.floor_char_boundary(SHORT_STRING_BYTES_MAX - 3)]))
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.code.code(), self.reply_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_text_is_cut_at_a_character() {
        let text = "ü".repeat(200);
        let cut = Exception::new(ReplyCode::NotFound, MethodId::NONE, text).reply_text();
        assert!(cut.len() <= 255 && cut.len() >= 254, "{}", cut.len());
        assert!(cut.starts_with("NOT_FOUND - ü") && cut.ends_with("ü..."));
    }
}
