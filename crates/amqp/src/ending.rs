//! How a connection stands, and how it ended.

use core::fmt::{self, Write as _};

use leveret_model::limits::OUTPUT_STUCK_TIMEOUT;
use leveret_model::{Name, Refusal, ReplyCode};
use leveret_wire::ProtocolHeader;

/// How a connection stands, for the driver and for `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before connection.open-ok.
    Handshake,
    /// In use.
    Open,
    /// We asked to close, or hold a refused login: channels are gone, the end of the client is awaited.
    Closing,
    /// Over: once the output is written the socket is to be dropped.
    Finished,
}

/// A login that is refused: what the client is told, and what the log of this node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRefused {
    /// For the client.
    pub reply: Refusal,
    /// For the log alone: who, and why.
    pub why: Name,
}

impl From<Refusal> for LoginRefused {
    /// Where the client may know all that the log says.
    fn from(reply: Refusal) -> Self {
        Self { why: Name::new(&reply.text), reply }
    }
}

/// Why a connection ended; one line for the log, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client closed it.
    ByClient,
    /// An exception or an operator: code and reply text.
    ByServer(ReplyCode, Name),
    /// It began with something else than AMQP 0-9-1.
    NotAmqp(ProtocolHeader),
    /// It broke the protocol before it was logged in.
    BrokeHandshake(Name),
    /// The login was refused: who, and why.
    LoginRefused(Name),
    /// connection.open-ok was not reached in `limits::HANDSHAKE_TIMEOUT`.
    HandshakeTimeout,
    /// Nothing was heard for two heartbeat intervals.
    HeartbeatMissed,
    /// It has no heartbeats, and took nothing of its output for `limits::OUTPUT_STUCK_TIMEOUT`.
    OutputStuck,
    /// The socket went away.
    Lost,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByClient => f.write_str("closed by the client"),
            Self::ByServer(code, text) => write!(f, "closed with {} {}", code.code(), OneLine(text)),
            Self::NotAmqp(ProtocolHeader::Tls) => f.write_str("a TLS client came to the plain port"),
            Self::NotAmqp(ProtocolHeader::Http) => f.write_str("an HTTP client came to the AMQP port"),
            Self::NotAmqp(ProtocolHeader::OtherAmqp([id, major, minor, revision])) => {
                write!(f, "the client speaks AMQP {id} {major}-{minor}-{revision}, not 0-9-1")
            }
            Self::NotAmqp(_) => f.write_str("the client does not speak AMQP"),
            Self::BrokeHandshake(text) => write!(f, "the handshake was broken: {}", OneLine(text)),
            Self::LoginRefused(text) => write!(f, "login refused: {}", OneLine(text)),
            Self::HandshakeTimeout => f.write_str("the handshake took too long"),
            Self::HeartbeatMissed => f.write_str("missed heartbeats from the client"),
            Self::OutputStuck => {
                let minutes = OUTPUT_STUCK_TIMEOUT.as_secs() / 60;
                write!(f, "the client took none of its output for {minutes} minutes")
            }
            Self::Lost => f.write_str("the client dropped the connection"),
        }
    }
}

/// Words with names in them that a client chose: control characters are escaped, so that no name begins a line of the log
/// that is not ours, or commands the terminal on which it is read.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}
