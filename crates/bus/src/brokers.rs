//! Where the brokers are: URLs whose host is an address or a name that is looked up each time.

use std::fmt;
use std::net::SocketAddr;

use lapin::uri::{AMQPScheme, AMQPUri};
use leveret_model::limits::{BROKERS_MAX, BUS_HEARTBEAT_S, BUS_STEP_TIMEOUT};

/// A broker, or all brokers behind one name.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    uri: AMQPUri,
}

/// Why a text names no broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// Not of the form.
    #[error("is not amqp://HOST[:PORT][/VHOST]: {0}")]
    Url(String),
    /// Not there yet.
    #[error("amqps is not built in yet; use amqp over loopback or a tunnel")]
    Tls,
    /// `ps` shows command lines to every user of the machine.
    #[error(
        "holds a password, which every user of this machine sees in `ps`; put the URL into LEVERET_AMQP or into a file \
         (--amqp-file FILE)"
    )]
    Password,
    /// Too many.
    #[error("names more than {BROKERS_MAX} brokers")]
    Many,
}

impl Broker {
    /// Reads `amqp://user:password@host:port/vhost`; without a user `guest` and `guest`, without a port 5672.
    ///
    /// # Errors
    /// [`BrokerError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BrokerError> {
        let mut uri: AMQPUri = text.parse().map_err(BrokerError::Url)?;
        if uri.scheme == AMQPScheme::AMQPS {
            return Err(BrokerError::Tls);
        }
        uri.query.heartbeat.get_or_insert(BUS_HEARTBEAT_S);
        uri.query.connection_timeout.get_or_insert(BUS_STEP_TIMEOUT.as_millis() as u64);
        Ok(Self { uri })
    }

    /// The same from a command line, where no password may stand.
    ///
    /// # Errors
    /// [`BrokerError::Password`] if there is one.
    pub fn parse_visible(text: &str) -> Result<Self, BrokerError> {
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = authority.split(['/', '?']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        if user.is_some_and(|user| user.contains(':')) {
            return Err(BrokerError::Password);
        }
        Self::parse(text)
    }

    /// The user that links of this broker have.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }
}

impl fmt::Display for Broker {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "amqp://{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All that may be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers(Vec<Broker>);

/// One address of one broker.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) uri: AMQPUri,
}

impl Target {
    /// For people, without the password.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

impl Brokers {
    /// The list, in the order in which they are tried.
    ///
    /// # Errors
    /// [`BrokerError::Many`] if there are too many.
    pub fn new(brokers: Vec<Broker>) -> Result<Self, BrokerError> {
        if brokers.len() > BROKERS_MAX { Err(BrokerError::Many) } else { Ok(Self(brokers)) }
    }

    /// Users of the links.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Broker::user)
    }

    /// Every address of every broker, looked up now: a name may have others by the next time. A name that
    /// cannot be looked up is left to the connect, whose error says so.
    pub(crate) async fn addresses(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for broker in &self.0 {
            let (host, port) = (&broker.uri.authority.host, broker.uri.authority.port);
            let looked_up =
                tokio::time::timeout(BUS_STEP_TIMEOUT, tokio::net::lookup_host((host.as_str(), port))).await;
            let found: Vec<SocketAddr> = match looked_up {
                Ok(Ok(found)) => found.take(BROKERS_MAX).collect(),
                Ok(Err(_)) | Err(_) => Vec::new(),
            };
            if found.is_empty() {
                targets.push(Target { uri: broker.uri.clone() });
            }
            for address in found {
                let mut uri = broker.uri.clone();
                uri.authority.host = match address {
                    SocketAddr::V4(v4) => v4.ip().to_string(),
                    SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
                };
                targets.push(Target { uri });
            }
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_broker_and_its_password_is_never_shown() {
        let broker = Broker::parse("amqp://shop:secret@10.0.0.1:5673/web").expect("a broker");
        assert_eq!((broker.user(), format!("{broker:?}")), ("shop", "amqp://10.0.0.1:5673".to_owned()));
        assert_eq!(Broker::parse("amqp://h").expect("a broker").user(), "guest");
        for bad in ["", "h:5672", "http://h", "amqp://h:x"] {
            assert!(matches!(Broker::parse(bad), Err(BrokerError::Url(_))), "{bad}");
        }
        assert_eq!(Broker::parse("amqps://h"), Err(BrokerError::Tls));
    }

    #[test]
    fn a_password_on_a_command_line_is_refused() {
        for bad in ["amqp://a:b@h", "amqp://a:@h/x", "amqp://:b@h", "amqp://a:b:c@h"] {
            assert_eq!(Broker::parse_visible(bad), Err(BrokerError::Password), "{bad}");
        }
        for good in ["amqp://h:5672", "amqp://a@h", "amqp://[::1]:5672/v"] {
            assert!(Broker::parse_visible(good).is_ok(), "{good}");
        }
    }
}
