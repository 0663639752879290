//! What can go wrong between this client and a broker, by who is to blame.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a call of the client failed.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// Nobody takes the connection. There is no client.
    Unreachable {
        /// Where.
        broker: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The connection ended without a word, as when the broker dies. The client is of no use any more.
    Lost {
        /// To whom.
        broker: SocketAddr,
        /// What the system says; nothing if the stream just ended.
        error: Option<io::Error>,
    },
    /// An answer did not come in time. The connection may still be good.
    Silent {
        /// Who owes it.
        broker: SocketAddr,
        /// What was waited for.
        waiting_for: &'static str,
        /// For how long.
        after: Duration,
    },
    /// The broker closed the connection. The client is of no use any more.
    ConnectionClosed {
        /// Reply code.
        code: u16,
        /// Reply text.
        text: String,
    },
    /// The broker closed the channel. [`super::Client::open_channel`] makes another one.
    ChannelClosed {
        /// Reply code.
        code: u16,
        /// Reply text.
        text: String,
    },
    /// The broker sent what AMQP 0-9-1 does not allow there. The client is of no use any more.
    Garbled {
        /// Who.
        broker: SocketAddr,
        /// What it was.
        what: String,
    },
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable { broker, error } => {
                write!(f, "cannot connect to the broker at {broker}: {error}")
            }
            Self::Lost { broker, error: Some(error) } => {
                write!(f, "the connection to the broker at {broker} is lost: {error}")
            }
            Self::Lost { broker, error: None } => write!(f, "the broker at {broker} ended the connection"),
            Self::Silent { broker, waiting_for, after } => {
                let after = after.as_secs_f32();
                write!(f, "the broker at {broker} did not send {waiting_for} within {after:.1} s")
            }
            Self::ConnectionClosed { code, text } => {
                write!(f, "the broker closed the connection: {code} {text}")
            }
            Self::ChannelClosed { code, text } => write!(f, "the broker closed the channel: {code} {text}"),
            Self::Garbled { broker, what } => write!(f, "the broker at {broker} sent {what}"),
        }
    }
}

impl std::error::Error for ClientError {}
