//! The words of the dialogues: a client, and what it hears. Its broker is in `support/broker.rs`.

mod broker;
mod frames;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leveret_amqp::host::{Answer, Delivery, Operation};
use leveret_amqp::{Config, Connection};
use leveret_model::{
    Body, ChannelKey, ChannelNumber, ConnectionKey, ConsumerNumber, Instant, Message, Name, PublishNumber,
    Refusal, ReplyCode,
};
use leveret_wire::method::*;
use leveret_wire::{Frame, FrameKind, Method, PROTOCOL_HEADER, Table, decode_frame};

pub(crate) use self::broker::{Broker, Call, held};
pub(crate) use self::frames::{
    address, all_capabilities, arguments, body_frame, client_properties, frame, header_frame, header_payload,
    publish_frames, raw_frame,
};

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
        Self::open_tuned(config, capabilities, frame_max, 60)
    }

    pub(crate) fn open_tuned(config: Config, capabilities: &[&str], frame_max: u32, heartbeat: u16) -> Self {
        let mut talk = Self::with(config);
        talk.says_header();
        talk.says_start_ok("PLAIN", b"\0guest\0guest", capabilities);
        talk.connection.on_login(talk.now, Ok(Name::new("guest")));
        talk.says(0, ConnectionTuneOk { channel_max: 2047, frame_max, heartbeat });
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

    /// The client takes so many bytes of the output, and they are gone.
    pub(crate) fn takes(&mut self, bytes: usize) {
        self.connection.end_turn();
        let output = self.connection.output();
        let bytes = bytes.min(output.len());
        let taken: Vec<u8> = output.iter().flatten().copied().take(bytes).collect();
        self.raw.extend(taken);
        output.advance(bytes);
        self.connection.on_written(self.now, &mut self.broker);
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

    /// What the broker was asked next, if anything.
    pub(crate) fn next_request(&mut self) -> Option<(ChannelKey, Operation)> {
        match self.broker.calls.pop_front()? {
            Call::Request(channel, operation) => Some((channel, operation)),
            other => panic!("{other:?}"),
        }
    }

    /// So many messages, then that.
    #[track_caller]
    pub(crate) fn hears_after_messages<'m>(&mut self, count: usize, method: impl Into<Method<'m>>) {
        let frames = self.all_frames();
        let headers = frames.iter().filter(|frame| frame.kind == FrameKind::Header).count();
        assert_eq!(headers, count);
        self.heard.extend(frames.into_iter().next_back());
        self.hears(1, method);
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
        let message = Message::new(&address, &header, Body::Flat(body));
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
        if self.connection.on_settled(key, PublishNumber(number), ok) {
            self.connection.end_commit(self.now, key, &mut self.broker);
        }
    }
}
