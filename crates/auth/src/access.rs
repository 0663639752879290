//! What a user may touch in a vhost: three patterns over the names of exchanges and queues (RabbitMQ: access control).
//!
//! | operation | needs |
//! |---|---|
//! | declare, delete | configure on the object |
//! | bind, unbind | write on the destination, read on the source |
//! | publish | write on the exchange |
//! | consume, get, purge | read on the queue |
//!
//! Invariants: matching takes time linear in the name; a pattern is never built from a name; the pattern `""` matches
//! the empty name alone, that is nothing (RabbitMQ: `^$`).

use core::fmt;

use leveret_model::{Name, Refusal, ReplyCode, limits};
use regex::{Regex, RegexBuilder};

/// Kinds of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Declare and delete.
    Configure,
    /// Publish to, bind.
    Write,
    /// Consume from, bind from.
    Read,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}

/// Why text is no pattern. For whoever sets it; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a regular expression of the linear-time kind (RabbitMQ's may also look around and refer back).
    #[error("not a regular expression that this broker supports")]
    Syntax,
    /// Compiled larger than `limits::PERMISSION_PATTERN_BYTES_MAX`.
    #[error("the regular expression is too large")]
    TooLarge,
}

/// A pattern over names, found anywhere in them.
#[derive(Clone, Debug)]
pub struct Pattern(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// `.*`: no engine is made for what nearly everyone has.
    Everything,
    /// The empty name, which no object has.
    Nothing,
    Matching(Regex),
}

impl Pattern {
    /// Every name.
    pub const EVERYTHING: Self = Self(Kind::Everything);
    /// No name.
    pub const NOTHING: Self = Self(Kind::Nothing);

    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        match text {
            ".*" | "^.*$" => return Ok(Self::EVERYTHING),
            "" | "^$" => return Ok(Self::NOTHING),
            _ => {}
        }
        RegexBuilder::new(text)
            .size_limit(limits::PERMISSION_PATTERN_BYTES_MAX)
            .build()
            .map(|regex| Self(Kind::Matching(regex)))
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                _ => PatternError::Syntax,
            })
    }

    /// Is it found in the name?
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Everything => true,
            Kind::Nothing => name.is_empty(),
            Kind::Matching(regex) => regex.is_match(name),
        }
    }
}

/// What a user may do in one vhost.
#[derive(Clone, Debug)]
pub struct Permissions {
    /// Names that may be declared and deleted.
    pub configure: Pattern,
    /// Names that may be written to.
    pub write: Pattern,
    /// Names that may be read from.
    pub read: Pattern,
}

impl Permissions {
    /// Everything.
    pub const ALL: Self =
        Self { configure: Pattern::EVERYTHING, write: Pattern::EVERYTHING, read: Pattern::EVERYTHING };

    /// May this be done to the exchange or queue of that name? The default exchange is asked for as `amq.default`
    /// (RabbitMQ: rabbit_access_control).
    #[must_use]
    pub fn allow(&self, access: Access, name: &str) -> bool {
        let name = if name.is_empty() { "amq.default" } else { name };
        match access {
            Access::Configure => &self.configure,
            Access::Write => &self.write,
            Access::Read => &self.read,
        }
        .matches(name)
    }

    /// As [`Permissions::allow`], with RabbitMQ's words. `kind` is "queue" or "exchange".
    ///
    /// # Errors
    /// 403.
    pub fn check(
        &self,
        access: Access,
        kind: &str,
        name: &str,
        vhost: &Name,
        user: &Name,
    ) -> Result<(), Refusal> {
        if self.allow(access, name) {
            return Ok(());
        }
        Err(Refusal::new(
            ReplyCode::AccessRefused,
            alloc::format!("{access} access to {kind} '{name}' in vhost '{vhost}' refused for user '{user}'"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_is_found_anywhere_unless_it_is_anchored() {
        assert!(matches("app", "my-app-queue"));
        assert!(!matches("^app", "my-app-queue"));
        assert!(matches("^(amq\\.gen.*|amq\\.default)$", "amq.default"));
        assert!(matches(".*", "anything") && matches("^.*$", ""));
    }

    #[test]
    fn the_empty_pattern_allows_nothing() {
        let none = Permissions {
            configure: Pattern::new("").unwrap(),
            write: Pattern::new("^$").unwrap(),
            read: Pattern::NOTHING,
        };
        for access in [Access::Configure, Access::Write, Access::Read] {
            assert!(!none.allow(access, "q"));
            assert!(!none.allow(access, ""), "the default exchange is amq.default");
        }
    }

    #[test]
    fn each_access_has_its_own_pattern() {
        let mixed = Permissions {
            configure: Pattern::new("^c").unwrap(),
            write: Pattern::new("^w").unwrap(),
            read: Pattern::new("^r").unwrap(),
        };
        let all = [Access::Configure, Access::Write, Access::Read];
        for (access, name) in all.into_iter().zip(["c", "w", "r"]) {
            assert!(mixed.allow(access, name));
            assert_eq!(all.into_iter().filter(|&access| mixed.allow(access, name)).count(), 1);
        }
    }

    #[test]
    fn a_refusal_is_worded_as_rabbitmq_words_it() {
        let none = Permissions { write: Pattern::NOTHING, ..Permissions::ALL };
        let refusal =
            none.check(Access::Write, "exchange", "amq.topic", &"/".into(), &"eve".into()).unwrap_err();
        assert_eq!(refusal.code, ReplyCode::AccessRefused);
        assert_eq!(refusal.text, "write access to exchange 'amq.topic' in vhost '/' refused for user 'eve'");
    }

    #[test]
    fn patterns_that_are_wrong_or_too_large_are_refused() {
        assert_eq!(Pattern::new("(").unwrap_err(), PatternError::Syntax);
        assert_eq!(Pattern::new("^(?!amq\\.).*").unwrap_err(), PatternError::Syntax);
        assert_eq!(Pattern::new("((a{100}){100}){100}").unwrap_err(), PatternError::TooLarge);
    }
}
