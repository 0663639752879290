//! A client of the rig: what it says, and what it hears, as values that tests compare.

use std::collections::VecDeque;

use leveret_model::{Arguments, ConnectionKey, ShardAddress};
use leveret_wire::client::{capabilities, write_publish};
use leveret_wire::method::*;
use leveret_wire::{
    BasicProperties, ContentHeader, FrameKind, Method, PROTOCOL_HEADER, Table, decode_frame, encode_arguments,
};

use super::{ClientId, Rig};

/// Bytes: less than what is agreed, so that a body of 100,000 is one frame.
const FRAME_MAX: u32 = 100_008;

/// Something that a client hears. Numbers of channels are left out where a test has only one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Deliver {
        channel: u16,
        consumer: String,
        tag: u64,
        redelivered: bool,
        body: Vec<u8>,
    },
    Got {
        tag: u64,
        redelivered: bool,
        remaining: u32,
        body: Vec<u8>,
    },
    Return {
        code: u16,
        body: Vec<u8>,
    },
    Confirm {
        number: u64,
        multiple: bool,
        ok: bool,
    },
    Declared {
        messages: u32,
        consumers: u32,
    },
    /// queue.delete-ok and queue.purge-ok
    Count(u32),
    Consuming(String),
    CancelOk(String),
    /// From the server.
    Cancel(String),
    Empty,
    ChannelClose(u16, String),
    ConnectionClose(u16, String),
    Blocked,
    Unblocked,
    /// Any other method.
    Method(&'static str),
}

pub(crate) struct Client {
    pub(crate) at: ShardAddress,
    pub(crate) key: ConnectionKey,
    /// Bytes that the shard has not taken.
    pub(crate) unread: Vec<u8>,
    /// Bytes that are offered at once.
    pub(crate) block: usize,
    /// Bytes of output that the socket takes in a turn.
    pub(crate) takes: usize,
    pub(crate) unwritten: bool,
    pub(crate) lost: bool,
    received: Vec<u8>,
    heard: VecDeque<Heard>,
    content: Option<Content>,
    /// The queue of the last queue.declare-ok.
    pub(crate) last_queue: String,
    /// The content header of the last message.
    pub(crate) last_header: Vec<u8>,
    /// `reply_to` of the last message.
    pub(crate) last_reply_to: String,
    /// The reason of the last connection.blocked.
    pub(crate) last_blocked: String,
}

/// A method whose content is on its way.
struct Content {
    heard: Heard,
    missing: Option<u64>,
}

fn body_of(heard: &mut Heard) -> &mut Vec<u8> {
    match heard {
        Heard::Deliver { body, .. } | Heard::Got { body, .. } | Heard::Return { body, .. } => body,
        other => panic!("{other:?} has no body"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Client {
    pub(crate) fn new(at: ShardAddress, key: ConnectionKey) -> Self {
        Self {
            at,
            key,
            unread: Vec::new(),
            block: 64 * 1024,
            takes: usize::MAX,
            unwritten: false,
            lost: false,
            received: Vec::new(),
            heard: VecDeque::new(),
            content: None,
            last_queue: String::new(),
            last_header: Vec::new(),
            last_reply_to: String::new(),
            last_blocked: String::new(),
        }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        let received = std::mem::take(&mut self.received);
        let mut at = 0;
        while let Some(frame) = decode_frame(&received[at..], 0).expect("the server writes frames") {
            at += frame.wire_len();
            let channel = frame.head.channel;
            match frame.head.kind {
                FrameKind::Heartbeat => {}
                FrameKind::Method => {
                    assert!(self.content.is_none(), "a method inside a message");
                    self.on_method(channel, &Method::decode(frame.payload).expect("a method"));
                }
                FrameKind::Header => {
                    self.last_header = frame.payload.to_vec();
                    let header = ContentHeader::decode(frame.payload).expect("a header");
                    self.last_reply_to = text(header.properties.reply_to().unwrap_or_default());
                    self.content.as_mut().expect("a header is due").missing = Some(header.body_size);
                    self.end_content();
                }
                FrameKind::Body => {
                    let content = self.content.as_mut().expect("a body is due");
                    let missing = content.missing.as_mut().expect("behind the header");
                    *missing = missing.checked_sub(frame.payload.len() as u64).expect("not too much");
                    body_of(&mut content.heard).extend_from_slice(frame.payload);
                    self.end_content();
                }
            }
        }
        self.received = received[at..].to_vec();
    }

    fn end_content(&mut self) {
        if self.content.as_ref().is_some_and(|content| content.missing == Some(0)) {
            let whole = self.content.take().expect("it is there");
            self.heard.push_back(whole.heard);
        }
    }

    fn on_method(&mut self, channel: u16, method: &Method<'_>) {
        let heard = match method {
            Method::BasicDeliver(m) => Heard::Deliver {
                channel,
                consumer: text(m.consumer_tag),
                tag: m.delivery_tag,
                redelivered: m.redelivered,
                body: Vec::new(),
            },
            Method::BasicGetOk(m) => Heard::Got {
                tag: m.delivery_tag,
                redelivered: m.redelivered,
                remaining: m.message_count,
                body: Vec::new(),
            },
            Method::BasicReturn(m) => Heard::Return { code: m.reply_code, body: Vec::new() },
            Method::BasicAck(m) => Heard::Confirm { number: m.delivery_tag, multiple: m.multiple, ok: true },
            Method::BasicNack(m) => {
                Heard::Confirm { number: m.delivery_tag, multiple: m.multiple, ok: false }
            }
            Method::QueueDeclareOk(m) => {
                self.last_queue = text(m.queue);
                Heard::Declared { messages: m.message_count, consumers: m.consumer_count }
            }
            Method::QueueDeleteOk(m) => Heard::Count(m.message_count),
            Method::QueuePurgeOk(m) => Heard::Count(m.message_count),
            Method::BasicConsumeOk(m) => Heard::Consuming(text(m.consumer_tag)),
            Method::BasicCancelOk(m) => Heard::CancelOk(text(m.consumer_tag)),
            Method::BasicCancel(m) => Heard::Cancel(text(m.consumer_tag)),
            Method::BasicGetEmpty(_) => Heard::Empty,
            Method::ChannelClose(m) => {
                let mut ok = Vec::new();
                Method::from(ChannelCloseOk).encode_frame(channel, &mut ok);
                self.unread.extend(ok);
                Heard::ChannelClose(m.reply_code, text(m.reply_text))
            }
            Method::ConnectionClose(m) => Heard::ConnectionClose(m.reply_code, text(m.reply_text)),
            Method::ConnectionBlocked(blocked) => {
                self.last_blocked = text(blocked.reason);
                Heard::Blocked
            }
            Method::ConnectionUnblocked(_) => Heard::Unblocked,
            other => Heard::Method(other.name()),
        };
        match heard {
            Heard::Deliver { .. } | Heard::Got { .. } | Heard::Return { .. } => {
                self.content = Some(Content { heard, missing: None });
            }
            heard => self.heard.push_back(heard),
        }
    }

    pub(crate) fn says<'m>(&mut self, channel: u16, method: impl Into<Method<'m>>) {
        method.into().encode_frame(channel, &mut self.unread);
    }

    /// A publish on a channel, in frames of at most [`FRAME_MAX`].
    pub(crate) fn publishes(
        &mut self,
        channel: u16,
        (exchange, key): (&str, &str),
        mandatory: bool,
        body: &[u8],
    ) {
        self.publishes_with(channel, (exchange, key), mandatory, &BasicProperties::default(), body);
    }

    pub(crate) fn publishes_with(
        &mut self,
        channel: u16,
        (exchange, key): (&str, &str),
        mandatory: bool,
        properties: &BasicProperties<'_>,
        body: &[u8],
    ) {
        let (exchange, routing_key) = (exchange.as_bytes(), key.as_bytes());
        let publish = BasicPublish { exchange, routing_key, mandatory, ..Default::default() };
        write_publish(&mut self.unread, channel, &publish, properties, body, FRAME_MAX);
    }
}

impl Rig {
    pub(crate) fn client(&mut self, id: ClientId) -> &mut Client {
        &mut self.clients[id.0]
    }

    /// A client, logged in, with channel 1.
    pub(crate) fn connect(&mut self, at: ShardAddress) -> ClientId {
        self.connect_with(at, 60)
    }

    pub(crate) fn connect_with(&mut self, at: ShardAddress, heartbeat: u16) -> ClientId {
        let id = self.accept(at);
        let client = self.client(id);
        client.unread.extend(PROTOCOL_HEADER);
        let names = ["consumer_cancel_notify", "connection.blocked", "authentication_failure_close"];
        let mut table = Vec::new();
        encode_arguments(&Arguments(vec![capabilities(&names)]), &mut table);
        client.says(
            0,
            ConnectionStartOk {
                client_properties: Table(&table),
                mechanism: b"PLAIN",
                response: b"\0guest\0guest",
                locale: b"en_US",
            },
        );
        self.run();
        let client = self.client(id);
        client.says(0, ConnectionTuneOk { channel_max: 2047, frame_max: 131_072, heartbeat });
        client.says(0, ConnectionOpen { virtual_host: b"/" });
        client.says(1, ChannelOpen);
        self.run();
        let heard = self.heard(id);
        assert_eq!(heard.last(), Some(&Heard::Method("channel.open-ok")), "{heard:?}");
        id
    }

    /// All that the client has heard since.
    pub(crate) fn heard(&mut self, id: ClientId) -> Vec<Heard> {
        self.run();
        self.client(id).heard.drain(..).collect()
    }

    /// The same without running anything.
    pub(crate) fn heard_so_far(&mut self, id: ClientId) -> Vec<Heard> {
        self.client(id).heard.drain(..).collect()
    }

    #[track_caller]
    pub(crate) fn one(&mut self, id: ClientId) -> Heard {
        let mut heard = self.heard(id);
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }

    #[track_caller]
    pub(crate) fn hears(&mut self, id: ClientId, expected: &Heard) {
        assert_eq!(&self.one(id), expected);
    }

    #[track_caller]
    pub(crate) fn hears_nothing(&mut self, id: ClientId) {
        assert_eq!(self.heard(id), vec![]);
    }

    #[track_caller]
    pub(crate) fn declare(&mut self, id: ClientId, queue: &str) {
        self.client(id).says(1, QueueDeclare { queue: queue.as_bytes(), ..Default::default() });
        self.hears(id, &Heard::Declared { messages: 0, consumers: 0 });
    }

    /// Ready messages and consumers, by a passive declare.
    #[track_caller]
    pub(crate) fn counts(&mut self, id: ClientId, queue: &str) -> (u32, u32) {
        self.client(id)
            .says(1, QueueDeclare { queue: queue.as_bytes(), passive: true, ..Default::default() });
        match self.one(id) {
            Heard::Declared { messages, consumers } => (messages, consumers),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn bind(&mut self, id: ClientId, queue: &str, exchange: &str, key: &str) {
        let method = QueueBind {
            queue: queue.as_bytes(),
            exchange: exchange.as_bytes(),
            routing_key: key.as_bytes(),
            no_wait: false,
            arguments: Table::EMPTY,
        };
        self.client(id).says(1, method);
        self.hears(id, &Heard::Method("queue.bind-ok"));
    }

    #[track_caller]
    pub(crate) fn confirms(&mut self, id: ClientId) {
        self.client(id).says(1, ConfirmSelect { no_wait: false });
        self.hears(id, &Heard::Method("confirm.select-ok"));
    }

    #[track_caller]
    pub(crate) fn qos(&mut self, id: ClientId, prefetch_count: u16) {
        self.client(id).says(1, BasicQos { prefetch_size: 0, prefetch_count, global: false });
        self.hears(id, &Heard::Method("basic.qos-ok"));
    }

    /// To a queue by its name; nothing is run.
    pub(crate) fn publish(&mut self, id: ClientId, queue: &str, body: &str) {
        self.client(id).publishes(1, ("", queue), false, body.as_bytes());
    }

    pub(crate) fn says_consume(&mut self, id: ClientId, queue: &str, tag: &str, no_ack: bool) {
        let (queue, consumer_tag) = (queue.as_bytes(), tag.as_bytes());
        self.client(id).says(1, BasicConsume { queue, consumer_tag, no_ack, ..Default::default() });
    }

    #[track_caller]
    pub(crate) fn consume(&mut self, id: ClientId, queue: &str, tag: &str, no_ack: bool) {
        self.says_consume(id, queue, tag, no_ack);
        self.run();
        let first = self.client(id).heard.pop_front();
        assert_eq!(first, Some(Heard::Consuming(tag.into())));
    }

    pub(crate) fn says_cancel(&mut self, id: ClientId, tag: &str) {
        self.client(id).says(1, BasicCancel { consumer_tag: tag.as_bytes(), no_wait: false });
    }

    pub(crate) fn says_get(&mut self, id: ClientId, queue: &str, no_ack: bool) {
        self.client(id).says(1, BasicGet { queue: queue.as_bytes(), no_ack });
    }

    pub(crate) fn ack(&mut self, id: ClientId, tag: u64) {
        self.client(id).says(1, BasicAck { delivery_tag: tag, multiple: false });
    }

    pub(crate) fn requeue(&mut self, id: ClientId, tag: u64) {
        self.client(id).says(1, BasicNack { delivery_tag: tag, multiple: false, requeue: true });
    }

    /// Deliveries: tag, redelivered, body.
    #[track_caller]
    pub(crate) fn deliveries(&mut self, id: ClientId) -> Vec<(u64, bool, String)> {
        let each = |heard: Heard| match heard {
            Heard::Deliver { tag, redelivered, body, .. } => (tag, redelivered, text(&body)),
            other => panic!("{other:?}"),
        };
        self.heard(id).into_iter().map(each).collect()
    }

    /// Bodies of deliveries.
    #[track_caller]
    pub(crate) fn bodies(&mut self, id: ClientId) -> Vec<String> {
        self.deliveries(id).into_iter().map(|(.., body)| body).collect()
    }
}
