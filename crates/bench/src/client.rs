//! The blocking part of a connection: handshake, declarations, goodbye. The hot threads take its socket over.
//!
//! Each error names the broker and says what to do.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::protocol::{
    CONTENT_BODY, CONTENT_HEADER, Fields, Frame, FrameWriter, HEARTBEAT, Method, PROTOCOL_HEADER, close_text,
    first_frame,
};
use super::url::Url;

/// Until a TCP connection stands.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Until a request is answered.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// The largest frame that we ask for (RabbitMQ: the default frame_max).
const FRAME_MAX: u32 = 131_072;

/// A connection after its handshake.
pub(super) struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
    /// What the broker calls itself.
    pub(super) server: String,
    /// The largest frame that both sides take.
    pub(super) frame_max: u32,
    who: String,
}

/// What an answer carried behind class and method.
pub(super) type Answer = Vec<u8>;

impl Client {
    /// Connects and opens the URL's vhost. `heartbeat_seconds` 0 asks for none.
    pub(super) fn connect(url: &Url, heartbeat_seconds: u16) -> Result<Self> {
        let who = url.to_string();
        let addresses: Vec<_> = (url.host.as_str(), url.port)
            .to_socket_addrs()
            .with_context(|| format!("{who}: the host name does not resolve; check --url"))?
            .collect();
        let mut last = anyhow!("{who}: the host name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT_WAIT) {
                Ok(stream) => return Self::shake_hands(stream, url, who, heartbeat_seconds),
                Err(error) => {
                    let advice = match error.kind() {
                        ErrorKind::ConnectionRefused => {
                            ": is the broker running and listening there? check --url"
                        }
                        ErrorKind::TimedOut => ": nothing answers there; check --url",
                        _ => "",
                    };
                    last = anyhow!("{who}: cannot connect: {error}{advice}");
                }
            }
        }
        Err(last)
    }

    fn shake_hands(stream: TcpStream, url: &Url, who: String, heartbeat: u16) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_write_timeout(Some(ANSWER_WAIT))?;
        let mut client = Self { stream, inbox: Vec::new(), server: String::new(), frame_max: FRAME_MAX, who };
        let start = client.call(&PROTOCOL_HEADER, Method::CONNECTION_START)?;
        client.server = server_name(&start).unwrap_or_else(|| "unnamed broker".to_owned());

        let mut out = Vec::new();
        let login = ["", &url.user, &url.password].join("\0");
        FrameWriter::method(&mut out, 0, Method::CONNECTION_START_OK)
            .long(&client_properties())
            .short(b"PLAIN")
            .long(login.as_bytes())
            .short(b"en_US")
            .end();
        let tune =
            client.call(&out, Method::CONNECTION_TUNE).map_err(|error| client.login_refused(url, error))?;
        let mut fields = Fields(&tune);
        let (channel_max, frame_max) = fields
            .u16()
            .zip(fields.u32())
            .ok_or_else(|| anyhow!("{}: connection.tune is too short", client.who))?;
        client.frame_max = if frame_max == 0 { FRAME_MAX } else { frame_max.min(FRAME_MAX) };

        out.clear();
        FrameWriter::method(&mut out, 0, Method::CONNECTION_TUNE_OK)
            .u16(channel_max)
            .u32(client.frame_max)
            .u16(heartbeat)
            .end();
        FrameWriter::method(&mut out, 0, Method::CONNECTION_OPEN)
            .short(url.vhost.as_bytes())
            .short(b"")
            .u8(0)
            .end();
        client.call(&out, Method::CONNECTION_OPEN_OK).with_context(|| {
            format!("cannot open vhost {:?}; check the part of --url behind the last /", url.vhost)
        })?;
        Ok(client)
    }

    fn login_refused(&self, url: &Url, error: anyhow::Error) -> anyhow::Error {
        error.context(format!(
            "{}: the login of user {:?} was refused; check user and password in --url (guest may log in from \
             loopback only)",
            self.who, url.user
        ))
    }

    /// Sends `out` and waits for `expected`; what else comes is passed over, a close is an error with its text.
    pub(super) fn call(&mut self, out: &[u8], expected: Method) -> Result<Answer> {
        self.exchange(out, &expected.to_string(), |frame| match frame.method() {
            Some((method, fields)) if method == expected => Some(fields.0.to_vec()),
            _ => None,
        })
    }

    /// Sends `out` and shows all that comes to `look` until it has found what it looks for, which errors call
    /// `expected`; a close is an error with its text.
    fn exchange<T>(
        &mut self,
        out: &[u8],
        expected: &str,
        mut look: impl FnMut(&Frame<'_>) -> Option<T>,
    ) -> Result<T> {
        self.stream.write_all(out).with_context(|| format!("{}: the connection broke", self.who))?;
        loop {
            while let Some(frame) = first_frame(&self.inbox).with_context(|| self.who.clone())? {
                let length = frame.len();
                let found = look(&frame);
                if let (None, Some((method @ (Method::CONNECTION_CLOSE | Method::CHANNEL_CLOSE), fields))) =
                    (&found, frame.method())
                {
                    bail!("{}: {method} instead of {expected}: {}", self.who, close_text(fields));
                }
                self.inbox.drain(..length);
                if let Some(found) = found {
                    return Ok(found);
                }
            }
            let mut block = [0; 4096];
            match self.stream.read(&mut block) {
                Ok(0) => bail!("{}: the broker closed the connection instead of {expected}", self.who),
                Ok(length) => self.inbox.extend_from_slice(&block[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    bail!("{}: no {expected} within {} s", self.who, ANSWER_WAIT.as_secs())
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("{}: waiting for {expected}", self.who));
                }
            }
        }
    }

    /// Opens a channel.
    pub(super) fn open_channel(&mut self, channel: u16) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::CHANNEL_OPEN).short(b"").end();
        self.call(&out, Method::CHANNEL_OPEN_OK).map(drop)
    }

    /// Declares a shared queue that stays until it is deleted.
    pub(super) fn declare_queue(&mut self, channel: u16, name: &str, durable: bool) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::QUEUE_DECLARE)
            .u16(0)
            .short(name.as_bytes())
            .u8(u8::from(durable) << 1)
            .long(b"")
            .end();
        self.call(&out, Method::QUEUE_DECLARE_OK).map(drop)
    }

    /// Deletes a queue and tells how many messages were still ready in it.
    pub(super) fn delete_queue(&mut self, channel: u16, name: &str) -> Result<u32> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::QUEUE_DELETE)
            .u16(0)
            .short(name.as_bytes())
            .u8(0)
            .end();
        let answer = self.call(&out, Method::QUEUE_DELETE_OK)?;
        Fields(&answer).u32().ok_or_else(|| anyhow!("{}: queue.delete-ok is too short", self.who))
    }

    /// Declares a fanout exchange that stays until it is deleted.
    pub(super) fn declare_fanout(&mut self, channel: u16, name: &str) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::EXCHANGE_DECLARE)
            .u16(0)
            .short(name.as_bytes())
            .short(b"fanout")
            .u8(0)
            .long(b"")
            .end();
        self.call(&out, Method::EXCHANGE_DECLARE_OK).map(drop)
    }

    /// Deletes an exchange.
    pub(super) fn delete_exchange(&mut self, channel: u16, name: &str) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::EXCHANGE_DELETE)
            .u16(0)
            .short(name.as_bytes())
            .u8(0)
            .end();
        self.call(&out, Method::EXCHANGE_DELETE_OK).map(drop)
    }

    /// Binds a queue to an exchange with an empty key.
    pub(super) fn bind(&mut self, channel: u16, queue: &str, exchange: &str) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::QUEUE_BIND)
            .u16(0)
            .short(queue.as_bytes())
            .short(exchange.as_bytes())
            .short(b"")
            .u8(0)
            .long(b"")
            .end();
        self.call(&out, Method::QUEUE_BIND_OK).map(drop)
    }

    /// Sets the prefetch of the consumers to come (per consumer).
    pub(super) fn qos(&mut self, channel: u16, prefetch: u16) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::BASIC_QOS).u32(0).u16(prefetch).u8(0).end();
        self.call(&out, Method::BASIC_QOS_OK).map(drop)
    }

    /// Puts the channel into confirm mode.
    pub(super) fn confirm_select(&mut self, channel: u16) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::CONFIRM_SELECT).u8(0).end();
        self.call(&out, Method::CONFIRM_SELECT_OK).map(drop)
    }

    /// Consumes a queue under the tag `c`.
    pub(super) fn consume(&mut self, channel: u16, queue: &str, no_ack: bool) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::BASIC_CONSUME)
            .u16(0)
            .short(queue.as_bytes())
            .short(CONSUMER_TAG)
            .u8(u8::from(no_ack) << 1)
            .long(b"")
            .end();
        self.call(&out, Method::BASIC_CONSUME_OK).map(drop)
    }

    /// Publishes to a queue that this channel, in confirm mode, consumes; waits until it is confirmed and
    /// delivered.
    pub(super) fn publish_to_ourselves(&mut self, channel: u16, queue: &str, body: &[u8]) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::BASIC_PUBLISH)
            .u16(0)
            .short(b"")
            .short(queue.as_bytes())
            .u8(0)
            .end();
        FrameWriter::new(&mut out, CONTENT_HEADER, channel)
            .u16(60)
            .u16(0)
            .u64(body.len() as u64)
            .u16(0)
            .end();
        FrameWriter::new(&mut out, CONTENT_BODY, channel).raw(body).end();
        let (mut confirmed, mut delivered) = (false, false);
        self.exchange(&out, "confirm and delivery", |frame| {
            confirmed |= frame.method().is_some_and(|(method, _)| method == Method::BASIC_ACK);
            delivered |= frame.kind == CONTENT_BODY && frame.payload == body;
            (confirmed && delivered).then_some(())
        })
    }

    /// Closes the channel.
    pub(super) fn close_channel(&mut self, channel: u16) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, channel, Method::CHANNEL_CLOSE).u16(200).short(b"").u16(0).u16(0).end();
        self.call(&out, Method::CHANNEL_CLOSE_OK).map(drop)
    }

    /// Says goodbye.
    pub(super) fn close(mut self) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::method(&mut out, 0, Method::CONNECTION_CLOSE).u16(200).short(b"").u16(0).u16(0).end();
        self.call(&out, Method::CONNECTION_CLOSE_OK).map(drop)
    }

    /// Shows the broker that we live.
    pub(super) fn heartbeat(&mut self) -> Result<()> {
        let mut out = Vec::new();
        FrameWriter::new(&mut out, HEARTBEAT, 0).end();
        self.stream.write_all(&out).with_context(|| format!("{}: the connection broke", self.who))
    }

    /// The socket, and what was received behind the last answer.
    pub(super) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.inbox)
    }

    /// A client on a socket that was given away.
    pub(super) fn from_parts(stream: TcpStream, inbox: Vec<u8>, who: String) -> Self {
        Self { stream, inbox, server: String::new(), frame_max: FRAME_MAX, who }
    }
}

/// The tag of every consumer; channels tell them apart.
pub(super) const CONSUMER_TAG: &[u8] = b"c";

fn server_name(start: &[u8]) -> Option<String> {
    let mut fields = Fields(start);
    fields.bytes(2)?;
    let table = fields.long()?;
    let product = Fields::string_in_table(table, "product")?;
    Some(match Fields::string_in_table(table, "version") {
        Some(version) => format!("{product} {version}"),
        None => product,
    })
}

/// Capabilities without which RabbitMQ closes the socket wordlessly after a refused login.
fn client_properties() -> Vec<u8> {
    let mut capabilities = Vec::new();
    for name in ["authentication_failure_close", "publisher_confirms", "basic.nack", "connection.blocked"] {
        capabilities.push(name.len() as u8);
        capabilities.extend_from_slice(name.as_bytes());
        capabilities.extend_from_slice(b"t\x01");
    }
    let mut table = Vec::new();
    let mut entry = |name: &str, kind: u8, value: &[u8]| {
        table.push(name.len() as u8);
        table.extend_from_slice(name.as_bytes());
        table.push(kind);
        table.extend_from_slice(&(value.len() as u32).to_be_bytes());
        table.extend_from_slice(value);
    };
    entry("product", b'S', b"leveret bench");
    entry("version", b'S', env!("CARGO_PKG_VERSION").as_bytes());
    entry("capabilities", b'F', &capabilities);
    table
}
