//! What the relay answers on a connection: just enough AMQP 0-9-1 for the benchmark's scenarios.
//!
//! A message is handled when all of its frames are there, and copied once: from the receive buffer behind a
//! `basic.deliver` into the output of each consumer.

use std::collections::HashMap;

use crate::protocol::{
    CONTENT_BODY, CONTENT_HEADER, FRAME_OVERHEAD, Fields, Frame, FrameWriter, Method, PROTOCOL_HEADER,
    first_frame,
};

/// The connection is over: it closed, or does not speak the protocol.
#[derive(Debug)]
pub(super) struct Gone;

/// What connections share.
#[derive(Default)]
pub(super) struct Broker {
    /// Unwritten bytes of each connection.
    pub(super) outs: Vec<Vec<u8>>,
    /// Connections with new unwritten bytes.
    pub(super) touched: Vec<usize>,
    queues: HashMap<Vec<u8>, Option<Consumer>>,
    exchanges: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Raised when a route may have changed.
    generation: u64,
}

#[derive(Clone)]
struct Consumer {
    connection: usize,
    channel: u16,
    tag: Vec<u8>,
}

impl Broker {
    /// A connection is gone.
    pub(super) fn forget(&mut self, index: usize, session: &Session) {
        if session.consumes {
            self.generation += 1;
            for consumer in self.queues.values_mut() {
                consumer.take_if(|consumer| consumer.connection == index);
            }
        }
    }

    fn touch(&mut self, index: usize) -> &mut Vec<u8> {
        let out = &mut self.outs[index];
        if out.is_empty() {
            self.touched.push(index);
        }
        out
    }
}

/// Where the last publish went: valid while address and generation are the same.
#[derive(Default)]
struct Route {
    generation: u64,
    address: Vec<u8>,
    targets: Vec<Target>,
}

struct Target {
    connection: usize,
    channel: [u8; 2],
    /// The deliver frame with the last delivery tag; tags start anew with the route, as acks are passed over.
    deliver: Vec<u8>,
    tag_at: usize,
}

/// A connection's state.
pub(super) struct Session {
    index: usize,
    greeted: bool,
    /// It has published.
    pub(super) publishes: bool,
    /// It has consumed.
    pub(super) consumes: bool,
    route: Route,
    /// Publishes by channel in confirm mode: sent, confirmed.
    confirms: HashMap<u16, (u64, u64)>,
}

impl Session {
    /// A new connection.
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            greeted: false,
            publishes: false,
            consumes: false,
            route: Route::default(),
            confirms: HashMap::new(),
        }
    }

    /// Handles what is complete and tells how much that was. hot.
    pub(super) fn on_bytes(&mut self, bytes: &[u8], broker: &mut Broker) -> Result<usize, Gone> {
        let mut at = 0;
        if !self.greeted {
            let Some(header) = bytes.first_chunk::<8>() else { return Ok(0) };
            if *header != PROTOCOL_HEADER {
                return Err(Gone);
            }
            self.greeted = true;
            at = 8;
            greet(broker.touch(self.index));
        }
        while let Some(frame) = first_frame(&bytes[at..]).map_err(|_| Gone)? {
            match frame.method() {
                Some((Method::BASIC_PUBLISH, fields)) => {
                    let content = at + frame.len();
                    let Some(length) = content_length(&bytes[content..])? else { break };
                    let content = &bytes[content..content + length];
                    self.publish(frame.channel, fields, content, broker)?;
                    at += frame.len() + length;
                }
                Some((method, fields)) => {
                    self.on_method(&frame, method, fields, broker)?;
                    at += frame.len();
                }
                None => at += frame.len(),
            }
        }
        self.confirm(broker);
        Ok(at)
    }

    /// hot.
    fn publish(
        &mut self,
        channel: u16,
        fields: Fields<'_>,
        content: &[u8],
        broker: &mut Broker,
    ) -> Result<(), Gone> {
        self.publishes = true;
        // exchange and routing key, as they stand between the reserved field and the flags
        let address = fields.0.get(2..fields.0.len() - 1).ok_or(Gone)?;
        if self.route.generation != broker.generation || self.route.address != address {
            self.route = find_route(address, broker).ok_or(Gone)?;
        }
        for target in &mut self.route.targets {
            let tag_at = target.tag_at;
            let tag =
                u64::from_be_bytes(target.deliver[tag_at..tag_at + 8].try_into().map_err(|_| Gone)?) + 1;
            target.deliver[tag_at..tag_at + 8].copy_from_slice(&tag.to_be_bytes());
            let out = broker.touch(target.connection);
            out.reserve(target.deliver.len() + content.len());
            out.extend_from_slice(&target.deliver);
            let start = out.len();
            out.extend_from_slice(content);
            if target.channel != channel.to_be_bytes() {
                rewrite_channel(&mut out[start..], target.channel);
            }
        }
        if let Some((sent, _)) = self.confirms.get_mut(&channel) {
            *sent += 1;
        }
        Ok(())
    }

    fn confirm(&mut self, broker: &mut Broker) {
        for (channel, (sent, confirmed)) in &mut self.confirms {
            if *sent > *confirmed {
                *confirmed = *sent;
                let multiple = 1;
                FrameWriter::method(broker.touch(self.index), *channel, Method::BASIC_ACK)
                    .u64(*sent)
                    .u8(multiple)
                    .end();
            }
        }
    }

    fn on_method(
        &mut self,
        frame: &Frame<'_>,
        method: Method,
        fields: Fields<'_>,
        broker: &mut Broker,
    ) -> Result<(), Gone> {
        let channel = frame.channel;
        match method {
            Method::CONNECTION_TUNE_OK | Method::BASIC_ACK => return Ok(()),
            Method::CONNECTION_CLOSE => {
                self.answer(broker, channel, Method::CONNECTION_CLOSE_OK, &[]);
                return Err(Gone);
            }
            Method::CONFIRM_SELECT => _ = self.confirms.insert(channel, (0, 0)),
            _ => {}
        }
        if let Some((answer, fields)) = formality(method) {
            self.answer(broker, channel, answer, &fields);
            return Ok(());
        }
        match method {
            Method::QUEUE_DECLARE | Method::QUEUE_DELETE | Method::QUEUE_BIND => {
                self.on_queue_method(channel, method, fields, broker)
            }
            Method::BASIC_CONSUME | Method::BASIC_CANCEL => {
                self.on_consumer_method(channel, method, fields, broker)
            }
            other => {
                let text = format!("NOT_IMPLEMENTED - the relay has no {other}");
                FrameWriter::method(broker.touch(self.index), 0, Method::CONNECTION_CLOSE)
                    .u16(540)
                    .short(text.as_bytes())
                    .u16(other.0)
                    .u16(other.1)
                    .end();
                Err(Gone)
            }
        }
    }

    fn on_queue_method(
        &self,
        channel: u16,
        method: Method,
        mut fields: Fields<'_>,
        broker: &mut Broker,
    ) -> Result<(), Gone> {
        let queue = fields.bytes(2).and_then(|_| fields.short()).ok_or(Gone)?;
        match method {
            Method::QUEUE_DECLARE => {
                let answer = [&short(queue)[..], &[0; 8]].concat();
                self.answer(broker, channel, Method::QUEUE_DECLARE_OK, &answer);
                broker.queues.entry(queue.to_vec()).or_default();
            }
            Method::QUEUE_BIND => {
                let exchange = fields.short().ok_or(Gone)?;
                self.answer(broker, channel, Method::QUEUE_BIND_OK, &[]);
                broker.exchanges.entry(exchange.to_vec()).or_default().push(queue.to_vec());
                broker.generation += 1;
            }
            _ => {
                self.answer(broker, channel, Method::QUEUE_DELETE_OK, &[0; 4]);
                broker.queues.remove(queue);
                broker.exchanges.retain(|_, queues| {
                    queues.retain(|other| other != queue);
                    !queues.is_empty()
                });
                broker.generation += 1;
            }
        }
        Ok(())
    }

    fn on_consumer_method(
        &mut self,
        channel: u16,
        method: Method,
        mut fields: Fields<'_>,
        broker: &mut Broker,
    ) -> Result<(), Gone> {
        if method == Method::BASIC_CONSUME {
            fields.bytes(2).ok_or(Gone)?;
            let (queue, tag) = fields.short().zip(fields.short()).ok_or(Gone)?;
            self.answer(broker, channel, Method::BASIC_CONSUME_OK, &short(tag));
            let consumer = Consumer { connection: self.index, channel, tag: tag.to_vec() };
            broker.queues.insert(queue.to_vec(), Some(consumer));
            self.consumes = true;
        } else {
            let tag = fields.short().ok_or(Gone)?;
            self.answer(broker, channel, Method::BASIC_CANCEL_OK, &short(tag));
            for consumer in broker.queues.values_mut() {
                consumer.take_if(|c| c.connection == self.index && c.channel == channel && c.tag == tag);
            }
        }
        broker.generation += 1;
        Ok(())
    }

    fn answer(&self, broker: &mut Broker, channel: u16, method: Method, fields: &[u8]) {
        FrameWriter::method(broker.touch(self.index), channel, method).raw(fields).end();
    }
}

/// The answer to a method that changes nothing between connections.
fn formality(method: Method) -> Option<(Method, Vec<u8>)> {
    Some(match method {
        Method::CONNECTION_START_OK => {
            let limits = [&2047_u16.to_be_bytes()[..], &131_072_u32.to_be_bytes(), &[0; 2]].concat();
            (Method::CONNECTION_TUNE, limits)
        }
        Method::CONNECTION_OPEN => (Method::CONNECTION_OPEN_OK, vec![0]),
        Method::CHANNEL_OPEN => (Method::CHANNEL_OPEN_OK, vec![0; 4]),
        Method::CHANNEL_CLOSE => (Method::CHANNEL_CLOSE_OK, Vec::new()),
        Method::BASIC_QOS => (Method::BASIC_QOS_OK, Vec::new()),
        Method::EXCHANGE_DECLARE => (Method::EXCHANGE_DECLARE_OK, Vec::new()),
        Method::EXCHANGE_DELETE => (Method::EXCHANGE_DELETE_OK, Vec::new()),
        Method::CONFIRM_SELECT => (Method::CONFIRM_SELECT_OK, Vec::new()),
        _ => return None,
    })
}

/// A short string with its length in front.
fn short(text: &[u8]) -> Vec<u8> {
    [&[text.len() as u8], text].concat()
}

fn greet(out: &mut Vec<u8>) {
    let mut table = b"\x07productS\0\0\0\x05relay".to_vec();
    table.extend_from_slice(b"\x07versionS\0\0\0");
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    table.push(version.len() as u8);
    table.extend_from_slice(version);
    FrameWriter::method(out, 0, Method::CONNECTION_START)
        .raw(&[0, 9])
        .long(&table)
        .long(b"PLAIN")
        .long(b"en_US")
        .end();
}

/// Bytes of the header and body frames of a message, if all are there. hot.
fn content_length(bytes: &[u8]) -> Result<Option<usize>, Gone> {
    let Some(header) = first_frame(bytes).map_err(|_| Gone)? else { return Ok(None) };
    if header.kind != CONTENT_HEADER {
        return Err(Gone);
    }
    let size = Fields(header.payload.get(4..).ok_or(Gone)?).u64().ok_or(Gone)?;
    let (mut at, mut body) = (header.len(), 0);
    while body < size {
        let Some(frame) = first_frame(&bytes[at..]).map_err(|_| Gone)? else { return Ok(None) };
        if frame.kind != CONTENT_BODY {
            return Err(Gone);
        }
        at += frame.len();
        body += frame.payload.len() as u64;
    }
    Ok(Some(at))
}

fn rewrite_channel(mut content: &mut [u8], channel: [u8; 2]) {
    while let Ok(Some(frame)) = first_frame(content) {
        let length = frame.payload.len() + FRAME_OVERHEAD;
        content[1..3].copy_from_slice(&channel);
        content = &mut content[length..];
    }
}

fn find_route(address: &[u8], broker: &Broker) -> Option<Route> {
    let mut fields = Fields(address);
    let (exchange, key) = (fields.short()?, fields.short()?);
    let default = [key.to_vec()];
    let queues = if exchange.is_empty() {
        &default[..]
    } else {
        broker.exchanges.get(exchange).map_or(&[][..], Vec::as_slice)
    };
    let targets = queues.iter().filter_map(|queue| broker.queues.get(queue)?.as_ref()).map(|consumer| {
        let mut deliver = Vec::new();
        FrameWriter::method(&mut deliver, consumer.channel, Method::BASIC_DELIVER)
            .short(&consumer.tag)
            .u64(0)
            .u8(0)
            .raw(address)
            .end();
        let tag_at = 7 + 4 + 1 + consumer.tag.len();
        Target { connection: consumer.connection, channel: consumer.channel.to_be_bytes(), deliver, tag_at }
    });
    Some(Route { generation: broker.generation, address: address.to_vec(), targets: targets.collect() })
}
