//! The words of the dialogues: a client, and a broker that does as it is told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leveret_amqp::host::{
    Answer, Body, Content, Delivery, Held, Host, Message, Operation, Publish, Published, QueueHandle,
};
use leveret_amqp::{Config, Connection};
use leveret_model::{
    Arguments, ChannelKey, ChannelNumber, ConnectionKey, ConsumerNumber, Instant, Name, Position,
    PublishNumber, Refusal, ReplyCode, RoutingKey, Settlement, Value,
};
use leveret_wire::content::write_address;
use leveret_wire::frame::{FRAME_END, write_head, write_header_frame};
use leveret_wire::method::*;
use leveret_wire::{
    BasicProperties, Frame, FrameKind, Method, PROTOCOL_HEADER, Table, decode_frame, encode_arguments,
};

/// What the host was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    Login(String, Vec<u8>),
    Vhost(String),
    Publish { channel: u16, address: (String, String), body: Vec<u8>, number: Option<u64>, arrived: Instant },
    Request(ChannelKey, Operation),
    Settle(Position, Settlement),
    Closed(u16, Vec<u32>),
}

/// A broker that answers as told, and checks that no channel asks twice at once.
#[derive(Default)]
pub(crate) struct Broker {
    pub(crate) calls: VecDeque<Call>,
    /// Answers to the next publishes; then mandatory ones are unroutable, all others settled.
    pub(crate) outcomes: VecDeque<Result<Published, Refusal>>,
    pub(crate) vhost: Option<Refusal>,
    pub(crate) pending: BTreeSet<ChannelKey>,
    /// Chunks of the last large publish.
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) chunked: bool,
}

impl Host for Broker {
    type Channel = ();

    fn login(&mut self, mechanism: &str, response: &[u8]) {
        self.calls.push_back(Call::Login(mechanism.into(), response.into()));
    }

    fn open_vhost(&mut self, vhost: &str) -> Result<(), Refusal> {
        self.calls.push_back(Call::Vhost(vhost.into()));
        self.vhost.take().map_or(Ok(()), Err)
    }

    fn publish(
        &mut self,
        channel: ChannelKey,
        (): &mut (),
        publish: Publish<'_>,
    ) -> Result<Published, Refusal> {
        assert!(!self.pending.contains(&channel), "a publish overtook an operation");
        let usual = if publish.mandatory { Published::Unroutable } else { Published::Settled };
        let outcome = self.outcomes.pop_front().unwrap_or(Ok(usual));
        self.chunked = matches!(publish.body, Body::Chunks(_));
        let body = match publish.body {
            Body::Flat(bytes) => bytes.to_vec(),
            Body::Chunks(chunks) => {
                self.chunks = chunks.clone();
                let body = chunks.concat();
                if matches!(outcome, Ok(Published::Settled | Published::Owed)) {
                    chunks.clear();
                }
                body
            }
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.calls.push_back(Call::Publish {
            channel: channel.number.0,
            address: (text(publish.exchange), text(publish.routing_key)),
            body,
            number: publish.number.map(|n| n.0),
            arrived: publish.arrived,
        });
        outcome
    }

    fn request(&mut self, channel: ChannelKey, operation: Operation) {
        assert!(self.pending.insert(channel), "two operations under way on {channel:?}");
        self.calls.push_back(Call::Request(channel, operation));
    }

    fn settle(&mut self, _: ChannelKey, held: Held, verdict: Settlement) {
        self.calls.push_back(Call::Settle(held.position, verdict));
    }

    fn channel_closed(&mut self, channel: ChannelKey, consumers: &[ConsumerNumber]) {
        self.pending.remove(&channel);
        let consumers = consumers.iter().map(|c| c.0).collect();
        self.calls.push_back(Call::Closed(channel.number.0, consumers));
    }
}

/// A frame that was written, for comparison.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) kind: FrameKind,
    pub(crate) channel: u16,
    pub(crate) payload: Vec<u8>,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.kind, Method::decode(&self.payload)) {
            (FrameKind::Method, Ok(method)) => write!(f, "{} {method:?}", self.channel),
            _ => write!(f, "{} {:?} \"{}\"", self.channel, self.kind, self.payload.escape_ascii()),
        }
    }
}

/// One client's connection, with its broker and its clock.
pub(crate) struct Talk {
    pub(crate) connection: Connection<()>,
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    unread: Vec<u8>,
    heard: VecDeque<Written>,
    raw: Vec<u8>,
}

impl Talk {
    /// Accepted, nothing said.
    pub(crate) fn accepted() -> Self {
        Self::with(Config::new("0.1.0", "test"))
    }

    pub(crate) fn with(config: Config) -> Self {
        let now = Instant::ZERO + Duration::from_secs(100);
        let key = ConnectionKey { slot: 7, generation: 1 };
        let connection = Connection::new(now, key, Arc::new(config));
        let (broker, unread, heard, raw) = (Broker::default(), Vec::new(), VecDeque::new(), Vec::new());
        Self { connection, broker, now, unread, heard, raw }
    }

    /// Logged in and tuned; the vhost is open.
    pub(crate) fn open() -> Self {
        Self::open_with(Config::new("0.1.0", "test"), &all_capabilities(), 131_072)
    }

    pub(crate) fn open_with(config: Config, capabilities: &[&str], frame_max: u32) -> Self {
        let mut talk = Self::with(config);
        talk.says_header();
        talk.says_start_ok("PLAIN", b"\0guest\0guest", capabilities);
        talk.connection.on_login(talk.now, Ok(Name::new("guest")));
        talk.says(0, ConnectionTuneOk { channel_max: 2047, frame_max, heartbeat: 60 });
        talk.says(0, ConnectionOpen { virtual_host: b"/" });
        talk.heard.clear();
        talk.collect();
        talk.heard.clear();
        talk.broker.calls.clear();
        assert_eq!(talk.connection.state(), leveret_amqp::State::Open);
        talk
    }

    /// Open, with channel 1.
    pub(crate) fn on_channel_1() -> Self {
        let mut talk = Self::open();
        talk.says(1, ChannelOpen);
        talk.hears(1, ChannelOpenOk);
        talk
    }

    pub(crate) fn says_header(&mut self) {
        self.says_bytes(&PROTOCOL_HEADER);
    }

    pub(crate) fn says_start_ok(&mut self, mechanism: &str, response: &[u8], capabilities: &[&str]) {
        let table = client_properties(capabilities);
        self.says(
            0,
            ConnectionStartOk {
                client_properties: Table(&table),
                mechanism: mechanism.as_bytes(),
                response,
                locale: b"en_US",
            },
        );
    }

    pub(crate) fn says_bytes(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        let offered = Bytes::copy_from_slice(&self.unread);
        let taken = self.connection.on_bytes(self.now, &offered, &mut self.broker);
        self.unread.drain(..taken);
    }

    /// The bytes that were not taken are offered again.
    pub(crate) fn goes_on(&mut self) {
        self.says_bytes(&[]);
    }

    pub(crate) fn unread_len(&self) -> usize {
        self.unread.len()
    }

    pub(crate) fn says<'m>(&mut self, channel: u16, method: impl Into<Method<'m>>) {
        self.says_bytes(&frame(channel, method));
    }

    pub(crate) fn publishes(&mut self, channel: u16, exchange: &str, key: &str, body: &[u8]) {
        self.says_bytes(&publish_frames(channel, exchange, key, false, body));
    }

    /// The connection's output so far, as frames.
    fn collect(&mut self) {
        self.connection.end_turn();
        let output = self.connection.output();
        for chunk in output.iter() {
            self.raw.extend_from_slice(chunk);
        }
        output.clear();
        let mut at = 0;
        while let Some(Frame { head, payload }) =
            decode_frame(&self.raw[at..], 0).expect("our own frames are frames")
        {
            at += payload.len() + 8;
            self.heard.push_back(Written { kind: head.kind, channel: head.channel, payload: payload.into() });
        }
        assert_eq!(at, self.raw.len(), "half a frame was written");
        self.raw.clear();
    }

    pub(crate) fn next_frame(&mut self) -> Option<Written> {
        self.collect();
        self.heard.pop_front()
    }

    pub(crate) fn all_frames(&mut self) -> Vec<Written> {
        self.collect();
        self.heard.drain(..).collect()
    }

    #[track_caller]
    pub(crate) fn hears<'m>(&mut self, channel: u16, method: impl Into<Method<'m>>) {
        let mut payload = Vec::new();
        method.into().encode_payload(&mut payload);
        let expected = Written { kind: FrameKind::Method, channel, payload };
        assert_eq!(self.next_frame().as_ref(), Some(&expected));
    }

    #[track_caller]
    pub(crate) fn hears_content(&mut self, channel: u16, body: &[u8]) {
        let header = self.next_frame().expect("a content header");
        assert_eq!((header.kind, header.channel), (FrameKind::Header, channel));
        assert_eq!(header.payload, header_payload(body.len()));
        let mut whole = Vec::new();
        while whole.len() < body.len() {
            let piece = self.next_frame().expect("a body frame");
            assert_eq!((piece.kind, piece.channel), (FrameKind::Body, channel));
            whole.extend(piece.payload);
        }
        assert!(whole == body, "another body");
    }

    #[track_caller]
    pub(crate) fn hears_nothing(&mut self) {
        assert_eq!(self.next_frame(), None);
    }

    #[track_caller]
    pub(crate) fn hears_channel_close(&mut self, channel: u16, code: u16, method: (u16, u16), text: &str) {
        self.hears(
            channel,
            ChannelClose {
                reply_code: code,
                reply_text: text.as_bytes(),
                class_id: method.0,
                method_id: method.1,
            },
        );
    }

    #[track_caller]
    pub(crate) fn hears_connection_close(&mut self, code: u16, method: (u16, u16), text: &str) {
        self.hears(
            0,
            ConnectionClose {
                reply_code: code,
                reply_text: text.as_bytes(),
                class_id: method.0,
                method_id: method.1,
            },
        );
    }

    /// The next call, which is an operation.
    #[track_caller]
    pub(crate) fn asked(&mut self) -> (ChannelKey, Operation) {
        match self.broker.calls.pop_front() {
            Some(Call::Request(channel, operation)) => (channel, operation),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn answers(&mut self, channel: ChannelKey, answer: Answer<'_>) {
        self.broker.pending.remove(&channel);
        assert!(self.connection.on_answer(self.now, channel, answer, &mut self.broker));
    }

    #[track_caller]
    pub(crate) fn refuses(&mut self, channel: ChannelKey, code: ReplyCode, text: &str) {
        self.answers(channel, Answer::Refused(Refusal::new(code, text)));
    }

    /// A consumer on channel 1, numbered in order.
    pub(crate) fn consumes(&mut self, tag: &str, no_ack: bool) -> (ChannelKey, ConsumerNumber) {
        self.says(
            1,
            BasicConsume { queue: b"q", consumer_tag: tag.as_bytes(), no_ack, ..Default::default() },
        );
        let (channel, operation) = self.asked();
        let Operation::Consume { consumer, .. } = operation else { panic!("{operation:?}") };
        self.answers(channel, Answer::Done);
        self.hears(1, BasicConsumeOk { consumer_tag: tag.as_bytes() });
        (channel, consumer)
    }

    /// The broker delivers a message; its place is `position`.
    pub(crate) fn delivers(
        &mut self,
        channel: ChannelKey,
        consumer: ConsumerNumber,
        position: u64,
        body: &[u8],
    ) {
        let (address, header) = (address("e", "k"), header_payload(body.len()));
        let message = Message { address: &address, header: &header, body: Content::Flat(body) };
        let delivery = Delivery { held: held(position, consumer), redelivered: false, message };
        self.connection.deliver(channel, &delivery).expect("the consumer is there");
    }

    #[track_caller]
    pub(crate) fn hears_delivery(&mut self, tag: &str, delivery_tag: u64, body: &[u8]) {
        self.hears(
            1,
            BasicDeliver {
                consumer_tag: tag.as_bytes(),
                delivery_tag,
                redelivered: false,
                exchange: b"e",
                routing_key: b"k",
            },
        );
        self.hears_content(1, body);
    }

    pub(crate) fn passes(&mut self, time: Duration) {
        self.now = self.now + time;
        self.connection.on_timer(self.now, &mut self.broker);
    }

    pub(crate) fn settled(&mut self, channel: u16, number: u64, ok: bool) {
        let key = ChannelKey {
            connection: self.connection.key(),
            number: ChannelNumber(channel),
            generation: u32::from(channel),
        };
        self.connection.on_settled(key, PublishNumber(number), ok);
    }
}

pub(crate) fn held(position: u64, consumer: ConsumerNumber) -> Held {
    Held { queue: QueueHandle::default(), position: Position(position), consumer }
}

pub(crate) fn all_capabilities() -> [&'static str; 3] {
    ["authentication_failure_close", "connection.blocked", "consumer_cancel_notify"]
}

pub(crate) fn client_properties(capabilities: &[&str]) -> Vec<u8> {
    let key = |key: &str| RoutingKey::new(key.as_bytes());
    let text = |text: &str| Value::LongString(text.as_bytes().into());
    let capabilities = capabilities.iter().map(|name| (key(name), Value::Bool(true))).collect();
    let mut table = Vec::new();
    let properties = Arguments(vec![
        (key("product"), text("dialogue")),
        (key("connection_name"), text("one")),
        (key("capabilities"), Value::Table(Arguments(capabilities))),
    ]);
    encode_arguments(&properties, &mut table);
    table
}

pub(crate) fn arguments(entries: &[(&str, Value)]) -> Vec<u8> {
    let entries = entries.iter().map(|(k, v)| (RoutingKey::new(k.as_bytes()), v.clone())).collect();
    let mut table = Vec::new();
    encode_arguments(&Arguments(entries), &mut table);
    table
}

pub(crate) fn frame<'m>(channel: u16, method: impl Into<Method<'m>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    method.into().encode_frame(channel, &mut bytes);
    bytes
}

pub(crate) fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend((payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(FRAME_END);
    bytes
}

pub(crate) fn header_payload(body_len: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    let properties = BasicProperties { content_type: Some(b"text/plain"), ..Default::default() };
    properties.encode_payload(body_len as u64, &mut payload);
    payload
}

pub(crate) fn address(exchange: &str, key: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_address(&mut bytes, exchange.as_bytes(), key.as_bytes());
    bytes
}

pub(crate) fn header_frame(channel: u16, body_len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header_frame(&mut bytes, channel, &header_payload(body_len));
    bytes
}

pub(crate) fn body_frame(channel: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_head(&mut bytes, FrameKind::Body, channel, body.len() as u32);
    bytes.extend_from_slice(body);
    bytes.push(FRAME_END);
    bytes
}

/// Frames of a message; the body in frames of at most 100,000 bytes.
pub(crate) fn publish_frames(
    channel: u16,
    exchange: &str,
    key: &str,
    mandatory: bool,
    body: &[u8],
) -> Vec<u8> {
    let method = BasicPublish {
        exchange: exchange.as_bytes(),
        routing_key: key.as_bytes(),
        mandatory,
        ..Default::default()
    };
    let mut bytes = frame(channel, method);
    bytes.extend(header_frame(channel, body.len()));
    for piece in body.chunks(100_000) {
        bytes.extend(body_frame(channel, piece));
    }
    bytes
}
