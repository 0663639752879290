//! A client that says what it is told to, right or wrong, and tells what it hears.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use leveret_client::{Inbox, Incoming, Message};
use leveret_model::Arguments;
use leveret_model::limits::FRAME_BYTES_MAX;
use leveret_wire::frame::{FRAME_END, begin_frame, end_frame, write_head};
use leveret_wire::method::{
    BasicConsume, BasicPublish, ChannelOpen, ConfirmSelect, ConnectionOpen, ConnectionStartOk,
    ConnectionTuneOk, QueueDeclare,
};
use leveret_wire::{
    BasicProperties, EncodeMethod, FrameKind, Method, PROTOCOL_HEADER, Table, client, encode_arguments,
};

use socket2::{Domain, Socket, Type};

use crate::PATIENCE;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A method that carries nothing of interest.
    Method(u16, &'static str),
    /// `channel.close`, or on channel 0 `connection.close`: code, class and method at fault.
    Close { channel: u16, code: u16, blamed: (u16, u16), text: String },
    /// `basic.ack` or `basic.nack` for publishes.
    Confirm { number: u64, multiple: bool, ok: bool },
    /// `basic.deliver` with its content.
    Delivery { tag: u64, body: Vec<u8> },
    /// Messages that a queue gave up or still has.
    Count(u32),
    /// The protocol header of the server.
    ProtocolHeader,
    /// The end of the connection, by whatever means.
    End,
}

/// A client.
pub(crate) struct Speaker {
    pub(crate) stream: TcpStream,
    inbox: Inbox,
}

impl Speaker {
    /// Connects and says nothing.
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("connected");
        stream.set_nodelay(true).expect("a socket");
        Self::from_stream(stream)
    }

    /// Like `open` over a connection of which the kernels at both ends keep little: small segments, a small
    /// window.
    pub(crate) fn open_narrow(to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
        socket.set_tcp_mss(1_400).expect("before the connect");
        socket.set_recv_buffer_size(16 * 1024).expect("a socket");
        socket.connect(&to.into()).expect("connected");
        Self::from_stream(socket.into()).greets().logs_in(&[]).opens(0)
    }

    /// Says and hears on a connection that is there.
    pub(crate) fn from_stream(stream: TcpStream) -> Self {
        Self { stream, inbox: Inbox::default() }
    }

    /// Up to connection.start.
    pub(crate) fn greet(to: SocketAddr) -> Self {
        Self::connect(to).greets()
    }

    fn greets(mut self) -> Self {
        self.say_bytes(&PROTOCOL_HEADER);
        assert_eq!(self.hear(), Heard::Method(0, "connection.start"));
        self
    }

    /// Logged in and tuned.
    pub(crate) fn log_in(to: SocketAddr, capabilities: &[&str]) -> Self {
        Self::greet(to).logs_in(capabilities)
    }

    fn logs_in(mut self, capabilities: &[&str]) -> Self {
        self.say(0, &start_ok(&properties(capabilities)));
        assert_eq!(self.hear(), Heard::Method(0, "connection.tune"));
        self
    }

    /// In use, with channel 1 open.
    pub(crate) fn open(to: SocketAddr, capabilities: &[&str]) -> Self {
        Self::open_with(to, capabilities, 0)
    }

    /// The same with heartbeats; this client sends none.
    pub(crate) fn open_with(to: SocketAddr, capabilities: &[&str], heartbeat: u16) -> Self {
        Self::log_in(to, capabilities).opens(heartbeat)
    }

    fn opens(mut self, heartbeat: u16) -> Self {
        self.say(0, &ConnectionTuneOk { channel_max: 2_047, frame_max: FRAME_BYTES_MAX, heartbeat });
        self.say(0, &ConnectionOpen { virtual_host: b"/" });
        assert_eq!(self.hear(), Heard::Method(0, "connection.open-ok"));
        self.open_channel(1);
        self
    }

    /// From connection.start to connection.open-ok; nothing if the node ends it before.
    pub(crate) fn tries_to_log_in(mut self) -> Option<Self> {
        self.say(0, &start_ok(&properties(&[])));
        if self.hear() != Heard::Method(0, "connection.tune") {
            return None;
        }
        self.say(0, &ConnectionTuneOk { channel_max: 2_047, frame_max: FRAME_BYTES_MAX, heartbeat: 0 });
        self.say(0, &ConnectionOpen { virtual_host: b"/" });
        (self.hear() == Heard::Method(0, "connection.open-ok")).then_some(self)
    }

    pub(crate) fn open_channel(&mut self, channel: u16) {
        self.say(channel, &ChannelOpen);
        assert_eq!(self.hear(), Heard::Method(channel, "channel.open-ok"));
    }

    pub(crate) fn declare(&mut self, queue: &str) {
        self.say(1, &QueueDeclare { queue: queue.as_bytes(), ..Default::default() });
        assert!(matches!(self.hear(), Heard::Count(_)));
    }

    pub(crate) fn confirms(&mut self) {
        self.say(1, &ConfirmSelect { no_wait: false });
        assert_eq!(self.hear(), Heard::Method(1, "confirm.select-ok"));
    }

    pub(crate) fn consume(&mut self, queue: &str, no_ack: bool) {
        self.say(1, &BasicConsume { queue: queue.as_bytes(), no_ack, ..Default::default() });
        assert_eq!(self.hear(), Heard::Method(1, "basic.consume-ok"));
    }

    /// Writes all of it; a broker that has had enough may reset the connection meanwhile.
    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                panic!("not written: {error}")
            }
            _ => {}
        }
    }

    pub(crate) fn say(&mut self, channel: u16, method: &impl EncodeMethod) {
        let mut bytes = Vec::new();
        method.encode_frame(channel, &mut bytes);
        self.say_bytes(&bytes);
    }

    /// What the peer's log calls this connection.
    pub(crate) fn name(&self) -> String {
        self.stream.local_addr().expect("a socket").to_string()
    }

    /// The next thing that comes, but heartbeats; waits for it.
    pub(crate) fn hear(&mut self) -> Heard {
        self.hear_within(PATIENCE).unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"))
    }

    /// The next thing that comes in that time.
    pub(crate) fn hear_within(&mut self, time: Duration) -> Option<Heard> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(heard) = self.take() {
                return Some(heard);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.stream.set_read_timeout(Some(left)).expect("a socket");
            let mut block = [0; 64 * 1024];
            match self.stream.read(&mut block) {
                Ok(0) => return Some(Heard::End),
                Ok(count) => self.inbox.push(&block[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => return Some(Heard::End),
                },
            }
        }
    }

    /// Hears this close, answers nothing.
    pub(crate) fn hears_close(&mut self, channel: u16, code: u16, blamed: (u16, u16)) {
        match self.hear() {
            Heard::Close { channel: on, code: heard, blamed: whom, text } => {
                assert_eq!((on, heard, whom), (channel, code, blamed), "{text}");
            }
            other => panic!("not a close with {code}: {other:?}"),
        }
    }

    pub(crate) fn hears_end(&mut self) {
        assert_eq!(self.hear(), Heard::End);
    }

    fn take(&mut self) -> Option<Heard> {
        loop {
            let heard = match self.inbox.pull().expect("the broker speaks AMQP")? {
                Incoming::Heartbeat => None,
                Incoming::ProtocolHeader => Some(Heard::ProtocolHeader),
                Incoming::Method(channel, method) => Some(heard(channel, &method)),
                Incoming::Message(_, Message { origin, body, .. }) => {
                    origin.delivery_tag().map(|tag| Heard::Delivery { tag, body })
                }
            };
            if heard.is_some() {
                return heard;
            }
        }
    }
}

fn heard(channel: u16, method: &Method<'_>) -> Heard {
    let close = |code, blamed, text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        Heard::Close { channel, code, blamed, text }
    };
    match method {
        Method::ConnectionClose(m) => close(m.reply_code, (m.class_id, m.method_id), m.reply_text),
        Method::ChannelClose(m) => close(m.reply_code, (m.class_id, m.method_id), m.reply_text),
        Method::BasicAck(m) => Heard::Confirm { number: m.delivery_tag, multiple: m.multiple, ok: true },
        Method::BasicNack(m) => Heard::Confirm { number: m.delivery_tag, multiple: m.multiple, ok: false },
        Method::QueueDeclareOk(m) => Heard::Count(m.message_count),
        Method::QueuePurgeOk(m) => Heard::Count(m.message_count),
        other => Heard::Method(channel, other.info().name),
    }
}

fn start_ok(properties: &[u8]) -> ConnectionStartOk<'_> {
    ConnectionStartOk {
        client_properties: Table(properties),
        mechanism: b"PLAIN",
        response: b"\0guest\0guest",
        locale: b"en_US",
    }
}

/// A client's properties with these capabilities.
pub(crate) fn properties(capabilities: &[&str]) -> Vec<u8> {
    let mut table = Vec::new();
    encode_arguments(&Arguments(vec![client::capabilities(capabilities)]), &mut table);
    table
}

/// The frames of a publish to the queue of that name.
pub(crate) fn publish(channel: u16, queue: &str, body: &[u8], out: &mut Vec<u8>) {
    let publish = BasicPublish { routing_key: queue.as_bytes(), ..Default::default() };
    client::write_publish(out, channel, &publish, &BasicProperties::default(), body, FRAME_BYTES_MAX);
}

/// A content header that announces so many bytes.
pub(crate) fn header(body_bytes: u64) -> Vec<u8> {
    let mut header = Vec::new();
    BasicProperties::default().encode_payload(body_bytes, &mut header);
    header
}

/// A frame of that payload.
pub(crate) fn frame(kind: FrameKind, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mark = begin_frame(&mut out, kind, channel);
    out.extend_from_slice(payload);
    end_frame(&mut out, mark);
    out
}

/// A whole frame whose head says another size than is agreed.
pub(crate) fn oversized(channel: u16, payload_bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    write_head(&mut out, FrameKind::Method, channel, payload_bytes as u32);
    out.resize(out.len() + payload_bytes, 0);
    out.push(FRAME_END);
    out
}

/// A table in a table in a table…, without the length in front.
pub(crate) fn nested_table(depth: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..depth {
        let mut outer = vec![1, b't', b'F'];
        outer.extend_from_slice(&(table.len() as u32).to_be_bytes());
        outer.append(&mut table);
        table = outer;
    }
    table
}
