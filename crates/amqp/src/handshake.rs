//! From the protocol header to connection.open-ok (AMQP 0-9-1 §2.2.4), each state consumed by the step it allows.
//!
//! ```text
//!   ExpectHeader ─AMQP0091─► ExpectStartOk ─start-ok─► CheckingLogin ─on_login─► ExpectTuneOk ─tune-ok─► ExpectOpen ─open─► OpeningVhost ─on_vhost─► done
//! ```
//! Before the login nobody is trusted: what is wrong there ends the connection without a word, except what an honest client
//! can get wrong (the mechanism, the password).

use alloc::format;

use leveret_model::limits::FRAME_BYTES_MIN;
use leveret_model::{ChannelNumber, Name, ReplyCode};
use leveret_wire::method::{
    ConnectionOpen, ConnectionOpenOk, ConnectionStart, ConnectionStartOk, ConnectionTune, ConnectionTuneOk,
};
use leveret_wire::{Method, Table};

use crate::channel::method_id;
use crate::config::Client;
use crate::exception::{Exception, MethodId};
use crate::host::{Host, VhostOpening};
use crate::turn::Shared;

const ZERO: ChannelNumber = ChannelNumber(0);

/// Where the handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// Nothing came yet.
    ExpectHeader,
    /// connection.start is sent.
    ExpectStartOk,
    /// The host checks the login; nothing is read.
    CheckingLogin,
    /// connection.tune is sent.
    ExpectTuneOk,
    /// Tuned.
    ExpectOpen,
    /// The host cannot say yet whether the vhost is there; nothing is read.
    OpeningVhost,
    /// connection.open-ok is sent.
    Done,
}

impl Handshake {
    /// True once the client is logged in: it gets a connection.close for its mistakes.
    pub(crate) fn is_trusted(self) -> bool {
        matches!(self, Self::ExpectTuneOk | Self::ExpectOpen | Self::OpeningVhost | Self::Done)
    }

    /// The protocol header came: connection.start.
    pub(crate) fn on_header(self, shared: &mut Shared) -> Self {
        let config = shared.config.clone();
        let start = ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: Table(&config.server_properties),
            mechanisms: config.mechanisms.as_bytes(),
            locales: b"en_US",
        };
        shared.send(ZERO, &start);
        Self::ExpectStartOk
    }

    /// A method on channel 0.
    pub(crate) fn on_method<H: Host>(
        self,
        shared: &mut Shared,
        host: &mut H,
        method: &Method<'_>,
    ) -> Result<Self, Exception> {
        let id = method_id(method);
        match (self, method) {
            (Self::ExpectStartOk, Method::ConnectionStartOk(m)) => start_ok(shared, host, id, m),
            (Self::ExpectTuneOk, Method::ConnectionTuneOk(m)) => tune_ok(shared, id, m),
            (Self::ExpectOpen, Method::ConnectionOpen(m)) => open(shared, host, id, m),
            (state, method) => {
                let text =
                    format!("unexpected method {} in connection state {}", method.name(), state.name());
                Err(Exception::new(ReplyCode::ChannelError, id, text))
            }
        }
    }

    /// The login holds: connection.tune.
    pub(crate) fn on_login(self, shared: &mut Shared) -> Self {
        let config = &shared.config;
        let tune = ConnectionTune {
            channel_max: config.channel_max,
            frame_max: config.frame_max,
            heartbeat: config.heartbeat_s,
        };
        shared.send(ZERO, &tune);
        Self::ExpectTuneOk
    }

    /// As RabbitMQ names its states.
    fn name(self) -> &'static str {
        match self {
            Self::ExpectHeader => "pre_init",
            Self::ExpectStartOk => "starting",
            Self::CheckingLogin => "securing",
            Self::ExpectTuneOk => "tuning",
            Self::ExpectOpen | Self::OpeningVhost => "opening",
            Self::Done => "running",
        }
    }
}

fn start_ok<H: Host>(
    shared: &mut Shared,
    host: &mut H,
    id: MethodId,
    m: &ConnectionStartOk<'_>,
) -> Result<Handshake, Exception> {
    m.client_properties
        .validate()
        .map_err(|error| Exception::new(ReplyCode::SyntaxError, id, format!("client properties: {error}")))?;
    *shared.client = Client::from_properties(m.client_properties);
    let offered = shared.config.mechanisms.split(' ').find(|offered| offered.as_bytes() == m.mechanism);
    let Some(mechanism) = offered else {
        let text = format!("unknown authentication mechanism '{}'", m.mechanism.escape_ascii());
        return Err(Exception::new(ReplyCode::CommandInvalid, id, text));
    };
    host.login(mechanism, m.response);
    Ok(Handshake::CheckingLogin)
}

/// A client may ask for less than was offered, not for more; 0 is "no limit", hence more (RabbitMQ:
/// validate_negotiated_integer_value). The heartbeat is the client's choice.
fn tune_ok(shared: &mut Shared, id: MethodId, m: &ConnectionTuneOk) -> Result<Handshake, Exception> {
    negotiate(id, "channel_max", m.channel_max.into(), 1, shared.config.channel_max.into())?;
    negotiate(id, "frame_max", m.frame_max, FRAME_BYTES_MIN, shared.config.frame_max)?;
    shared.channel_max = m.channel_max;
    shared.frame_max = m.frame_max;
    Ok(Handshake::ExpectOpen)
}

fn negotiate(id: MethodId, field: &str, client: u32, min: u32, max: u32) -> Result<(), Exception> {
    let (client_shown, relation, bound) = match client {
        0 => (" (no limit)", ("higher", "maximum"), max),
        _ if client > max => ("", ("higher", "maximum"), max),
        _ if client < min => ("", ("lower", "minimum"), min),
        _ => return Ok(()),
    };
    let text = format!(
        "negotiated {field} = {client}{client_shown} is {} than the {} allowed value ({bound})",
        relation.0, relation.1
    );
    Err(Exception::new(ReplyCode::NotAllowed, id, text))
}

fn open<H: Host>(
    shared: &mut Shared,
    host: &mut H,
    id: MethodId,
    m: &ConnectionOpen<'_>,
) -> Result<Handshake, Exception> {
    let vhost = Name::from_bytes(m.virtual_host)
        .map_err(|error| Exception::new(ReplyCode::NotAllowed, id, format!("vhost: {error}")))?;
    let opening = host.open_vhost(&vhost).map_err(|refusal| Exception::refused(refusal, id))?;
    shared.client.vhost = vhost;
    Ok(match opening {
        VhostOpening::Now => opened(shared),
        VhostOpening::Later => Handshake::OpeningVhost,
    })
}

/// The vhost is open: connection.open-ok.
pub(crate) fn opened(shared: &mut Shared) -> Handshake {
    shared.send(ZERO, &ConnectionOpenOk);
    Handshake::Done
}
