//! SASL mechanisms: what `connection.start-ok` carries, and the login in it.
//!
//! Invariant: a credential that is absent is never taken for an empty one (CVE-2016-9877: a login with a user name and
//! no password passed).

use alloc::string::String;

use leveret_model::{Name, Refusal, ReplyCode};
use leveret_wire::{FieldValue, Table};

use crate::password::Password;

/// A mechanism that this broker offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616: authorization id, user and password, separated by NUL.
    Plain,
    /// RabbitMQ: a field table without its length, with `LOGIN` and `PASSWORD`.
    AmqPlain,
}

/// A login as the client sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// The user.
    pub user: Name,
    /// The password, perhaps empty, but sent.
    pub password: Password,
}

/// Why a response is no login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The client broke the mechanism's format: 502 as RabbitMQ.
    #[error("{0} response invalid: {1}")]
    Malformed(&'static str, &'static str),
    /// The client chose a mechanism that was not offered: 503 as RabbitMQ.
    #[error("unknown authentication mechanism '{0}'")]
    UnknownMechanism(String),
    /// The client wants to act as another user, which nobody may: 403.
    #[error("acting as another user is not supported")]
    OtherUser,
}

impl From<LoginError> for Refusal {
    fn from(error: LoginError) -> Self {
        let code = match error {
            LoginError::Malformed(..) => ReplyCode::SyntaxError,
            LoginError::UnknownMechanism(_) => ReplyCode::CommandInvalid,
            LoginError::OtherUser => ReplyCode::AccessRefused,
        };
        Self::new(code, alloc::format!("{error}"))
    }
}

impl Mechanism {
    /// All mechanisms.
    pub const ALL: [Self; 2] = [Self::Plain, Self::AmqPlain];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
        }
    }

    /// The mechanism of that name.
    ///
    /// # Errors
    /// [`LoginError::UnknownMechanism`].
    pub fn from_name(name: &str) -> Result<Self, LoginError> {
        let shown = || name.chars().take(32).flat_map(char::escape_default).collect();
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.as_str() == name)
            .ok_or_else(|| LoginError::UnknownMechanism(shown()))
    }

    /// The login in a response.
    ///
    /// # Errors
    /// [`LoginError`]; its text never contains what was sent.
    pub fn parse(self, response: &[u8]) -> Result<Login, LoginError> {
        match self {
            Self::Plain => parse_plain(response),
            Self::AmqPlain => parse_amqplain(response),
        }
    }
}

fn parse_plain(response: &[u8]) -> Result<Login, LoginError> {
    let malformed = |why| LoginError::Malformed("PLAIN", why);
    let mut parts = response.split(|&byte| byte == 0);
    let (Some(acting_as), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("not three parts"));
    };
    if !acting_as.is_empty() && acting_as != user {
        return Err(LoginError::OtherUser);
    }
    login(user, password).ok_or_else(|| malformed("no user name"))
}

fn parse_amqplain(response: &[u8]) -> Result<Login, LoginError> {
    let malformed = |why| LoginError::Malformed("AMQPLAIN", why);
    let table = Table(response);
    table.validate().map_err(|_| malformed("not a table"))?;
    let field = |key: &[u8]| match table.get(key) {
        Some(FieldValue::LongString(bytes)) => Some(bytes),
        _ => None,
    };
    let user = field(b"LOGIN").ok_or_else(|| malformed("no LOGIN"))?;
    let password = field(b"PASSWORD").ok_or_else(|| malformed("no PASSWORD"))?;
    login(user, password).ok_or_else(|| malformed("no user name"))
}

fn login(user: &[u8], password: &[u8]) -> Option<Login> {
    let user = Name::from_bytes(user).ok()?;
    Some(Login { user, password: Password::new(password) })
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use leveret_model::{Arguments, RoutingKey, Value};
    use proptest::prelude::*;

    use super::*;

    fn guest(password: &[u8]) -> Result<Login, LoginError> {
        Ok(Login { user: Name::new("guest"), password: Password::new(password) })
    }

    /// The bare table of AMQPLAIN.
    fn bare(entries: &[(&str, Value)]) -> Vec<u8> {
        let entries = entries.iter().map(|(key, value)| (RoutingKey::new(key.as_bytes()), value.clone()));
        let mut out = Vec::new();
        leveret_wire::encode_arguments(&Arguments(entries.collect()), &mut out);
        out
    }

    fn string(text: &str) -> Value {
        Value::LongString(text.as_bytes().into())
    }

    #[test]
    fn plain_has_three_parts() {
        assert_eq!(Mechanism::Plain.parse(b"\0guest\0secret"), guest(b"secret"));
        assert_eq!(Mechanism::Plain.parse(b"guest\0guest\0secret"), guest(b"secret"));
        assert_eq!(Mechanism::Plain.parse(b"root\0guest\0secret"), Err(LoginError::OtherUser));
        for wrong in [&b""[..], b"\0", b"guest", b"\0guest", b"guest\0secret", b"\0guest\0a\0b"] {
            assert!(matches!(Mechanism::Plain.parse(wrong), Err(LoginError::Malformed(..))), "{wrong:?}");
        }
    }

    #[test]
    fn an_empty_password_is_there_and_a_missing_one_is_not() {
        assert_eq!(Mechanism::Plain.parse(b"\0guest\0"), guest(b""));
        assert!(Mechanism::Plain.parse(b"\0guest").is_err());
        let empty = bare(&[("LOGIN", string("guest")), ("PASSWORD", string(""))]);
        assert_eq!(Mechanism::AmqPlain.parse(&empty), guest(b""));
        assert!(Mechanism::AmqPlain.parse(&bare(&[("LOGIN", string("guest"))])).is_err());
        assert!(
            Mechanism::AmqPlain
                .parse(&bare(&[("LOGIN", string("guest")), ("PASSWORD", Value::Void)]))
                .is_err()
        );
    }

    #[test]
    fn amqplain_is_a_table_without_its_length() {
        let bytes = bare(&[("LOGIN", string("guest")), ("PASSWORD", string("secret"))]);
        assert_eq!(Mechanism::AmqPlain.parse(&bytes), guest(b"secret"));
        let with_length = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
        assert!(Mechanism::AmqPlain.parse(&with_length).is_err());
    }

    #[test]
    fn refusals_have_the_codes_of_rabbitmq_and_show_no_password() {
        let code = |error: LoginError| Refusal::from(error).code;
        assert_eq!(code(Mechanism::from_name("EXTERNAL").unwrap_err()), ReplyCode::CommandInvalid);
        let malformed = Mechanism::Plain.parse(b"\0guest\0hunter2\0").unwrap_err();
        assert!(!format!("{malformed:?} {malformed}").contains("hunter2"));
        assert_eq!(code(malformed), ReplyCode::SyntaxError);
        let login = Mechanism::Plain.parse(b"\0guest\0hunter2").unwrap();
        assert!(!format!("{login:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_login_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            for mechanism in Mechanism::ALL {
                drop(mechanism.parse(&bytes));
            }
        }
    }
}
