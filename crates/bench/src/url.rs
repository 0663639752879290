//! `amqp://user:password@host:port/vhost`, as the AMQP URI specification of RabbitMQ has it.
//!
//! Invariant *quiet*: the password is never displayed.

use std::fmt;
use std::str::FromStr;

/// Where a broker is and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// User name, decoded.
    pub(super) user: String,
    /// Password, decoded.
    pub(super) password: String,
    /// Host name or address, without the brackets of an IPv6 one.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// Virtual host, decoded.
    pub(super) vhost: String,
}

impl Url {
    /// A URL of a broker on this machine with everything else as usual.
    pub(super) fn loopback(port: u16) -> Self {
        Self {
            user: "guest".into(),
            password: "guest".into(),
            host: "127.0.0.1".into(),
            port,
            vhost: "/".into(),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port, vhost, .. } = self;
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "amqp://{user}@{open}{host}{close}:{port}")?;
        if vhost == "/" { Ok(()) } else { write!(f, "/{vhost}") }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("amqp://")
            .ok_or_else(|| "a URL starts with amqp:// (TLS is not offered here)".to_owned())?;
        let (authority, vhost) = match rest.split_once('/') {
            // RabbitMQ: "amqp://host/" names the vhost "", but everyone means the default one
            None | Some((_, "")) => (rest.trim_end_matches('/'), "/".to_owned()),
            Some((authority, vhost)) => (authority, decode(vhost)?),
        };
        let (user, password, place) = match authority.rsplit_once('@') {
            None => ("guest".to_owned(), "guest".to_owned(), authority),
            Some((login, place)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (decode(user)?, decode(password)?, place)
            }
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or("the IPv6 address lacks its ]")?;
                (host, after.strip_prefix(':'))
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None => 5672,
            Some(port) => port.parse().map_err(|_| format!("port {port:?} is not a number up to 65535"))?,
        };
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(Self { user, password, host: host.to_owned(), port, vhost })
    }
}

/// Undoes percent encoding.
fn decode(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()].map(|d| d.and_then(|d| char::from(d).to_digit(16)));
        let [Some(high), Some(low)] = digits else {
            return Err(format!("{text:?}: two hexadecimal digits follow a %"));
        };
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).map_err(|_| format!("{text:?} does not decode to UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_url_leaves_out_is_as_rabbitmq_has_it() {
        assert_eq!(parsed("amqp://"), Url::loopback(5672));
        assert_eq!(parsed("amqp://guest:guest@127.0.0.1:5673/"), Url::loopback(5673));
    }

    #[test]
    fn all_parts_of_a_url_are_decoded() {
        let url = parsed("amqp://a%40b:p%2Fw@[::1]:1234/%2Fstaging");
        assert_eq!((url.user.as_str(), url.password.as_str()), ("a@b", "p/w"));
        assert_eq!((url.host.as_str(), url.port, url.vhost.as_str()), ("::1", 1234, "/staging"));
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = parsed("amqp://me:secret@broker:5673/v");
        assert_eq!(url.to_string(), "amqp://me@broker:5673/v");
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[test]
    fn a_bad_url_is_refused_with_its_fault() {
        for (text, fault) in [
            ("http://x", "amqp://"),
            ("amqp://h:99999", "99999"),
            ("amqp://h/%zz", "hexadecimal"),
            ("amqp://[::1", "]"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
