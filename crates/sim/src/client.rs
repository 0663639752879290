//! A client: AMQP frames on `leveret-wire`, one request at a time per channel, no library.
//!
//! Read first: [`Client`], then `workload.rs`, which says what it does. Here is how: connect, open, frames in,
//! frames out, and what the oracle is told of it.

use std::collections::BTreeMap;

use bytes::BytesMut;
use leveret_model::{Arguments, Instant, NodeId};
use leveret_wire::client::{capabilities, write_publish};
use leveret_wire::method::{
    BasicAck, BasicNack, BasicPublish, BasicReject, ChannelClose, ChannelCloseOk, ChannelOpen,
    ConnectionCloseOk, ConnectionOpen, ConnectionStartOk, ConnectionTuneOk,
};
use leveret_wire::{FrameKind, Method, PROTOCOL_HEADER, Table, decode_frame, encode_arguments};

use crate::body;
use crate::channel::{Channel, ChannelPhase, Coming, Settling};
use crate::event::{ClientId, End, HostId, ProcessId};
use crate::message_id::MessageId;
use crate::network::Item;
use crate::oracle::{Answer, Fate, Sent};
use crate::process::USER;
use crate::reads::Written;
use crate::topology::{self, Exchange};
use crate::workload::{Role, Season};
use crate::world::Ways;

/// What a client can take.
const CAPABILITIES: [&str; 3] =
    ["consumer_cancel_notify", "connection.blocked", "authentication_failure_close"];

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Away,
    Handshake,
    Open,
    Leaving,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    pub(crate) end: Option<End>,
    pub(crate) at: Option<(ProcessId, NodeId, HostId)>,
    received: BytesMut,
    out: Vec<u8>,
    pub(crate) channels: BTreeMap<u16, Channel>,
    /// It does not read for now.
    pub(crate) deaf: bool,
    /// Something came meanwhile.
    pub(crate) missed: bool,
    /// Something ended and has to be begun anew then.
    pub(crate) again_at: Option<Instant>,
}

impl Client {
    pub(crate) fn new(id: ClientId, role: Role) -> Self {
        Self {
            id,
            role,
            phase: Phase::Away,
            end: None,
            at: None,
            received: BytesMut::new(),
            out: Vec::new(),
            channels: BTreeMap::new(),
            deaf: false,
            missed: false,
            again_at: None,
        }
    }

    /// The connection is there.
    pub(crate) fn connected(&mut self, end: End, at: (ProcessId, NodeId, HostId), ways: &mut Ways<'_>) {
        self.phase = Phase::Handshake;
        self.end = Some(end);
        self.at = Some(at);
        self.received.clear();
        self.out.extend_from_slice(&PROTOCOL_HEADER);
        self.flush(ways);
    }

    /// The connection is gone, for whatever reason.
    pub(crate) fn disconnected(&mut self, ways: &mut Ways<'_>) {
        let end = self.end.take();
        end.into_iter().for_each(|end| ways.network.close(ways.schedule, end));
        ways.trace.say(ways.schedule.now, || format!("client {} lost its connection", self.id.0));
        for channel in self.channels.values_mut() {
            channel.end(ways);
            if let Some(End { pipe, .. }) = end {
                channel.leaving.drain(..).for_each(|id| ways.oracle.reads.said(pipe, 0, Written::End(id)));
            }
        }
        self.channels.clear();
        self.phase = Phase::Away;
        self.deaf = false;
        self.at = None;
        self.out.clear();
    }

    /// Writes what is to be written.
    pub(crate) fn flush(&mut self, ways: &mut Ways<'_>) {
        let Some(end) = self.end else { return self.out.clear() };
        ways.oracle.reads.wrote(end.pipe, self.out.len());
        if self.out.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.out);
        ways.trace.bytes(&bytes);
        ways.network.send(ways.schedule, end, Item::Bytes(bytes.into()));
    }

    pub(crate) fn say<'m>(&mut self, channel: u16, method: impl Into<Method<'m>>) {
        method.into().encode_frame(channel, &mut self.out);
    }

    /// Something came. False if the connection is over.
    pub(crate) fn on_readable(&mut self, ways: &mut Ways<'_>) -> bool {
        let Some(end) = self.end else { return true };
        while let Some(item) = ways.network.read(end) {
            match item {
                Item::Bytes(bytes) => self.received.extend_from_slice(&bytes),
                Item::Close => return false,
                Item::Open(_) => {}
            }
        }
        let mut received = std::mem::take(&mut self.received).freeze();
        loop {
            match decode_frame(&received, 0) {
                Ok(Some(frame)) => {
                    let wire_len = frame.wire_len();
                    let (kind, channel) = (frame.head.kind, frame.head.channel);
                    let payload = received.slice(7..wire_len - 1);
                    if !self.on_frame(kind, channel, &payload, ways) {
                        self.flush(ways);
                        return false;
                    }
                    received = received.slice(wire_len..);
                }
                Ok(None) => break,
                Err(error) => {
                    let text = format!("client {} cannot read a frame: {error}", self.id.0);
                    ways.oracle.violation(ways.schedule.now, "no_phantom", text);
                    return false;
                }
            }
        }
        self.received = BytesMut::from(&received[..]);
        if ways.season != Season::Busy {
            self.settle_all(ways);
        }
        self.send_requests(ways);
        self.flush(ways);
        true
    }

    fn on_frame(&mut self, kind: FrameKind, channel: u16, payload: &[u8], ways: &mut Ways<'_>) -> bool {
        match kind {
            FrameKind::Heartbeat => true,
            FrameKind::Method => match Method::decode(payload) {
                Ok(method) if channel == 0 => self.on_connection_method(&method, ways),
                Ok(method) => {
                    self.on_method(channel, &method, ways);
                    true
                }
                Err(error) => {
                    let text = format!("client {} cannot read a method: {error}", self.id.0);
                    ways.oracle.violation(ways.schedule.now, "no_phantom", text);
                    false
                }
            },
            FrameKind::Header | FrameKind::Body => {
                if let Some(channel) = self.channels.get_mut(&channel) {
                    channel.on_content(kind, payload, ways);
                }
                true
            }
        }
    }

    fn on_connection_method(&mut self, method: &Method<'_>, ways: &mut Ways<'_>) -> bool {
        match method {
            Method::ConnectionStart(_) => {
                let response = format!("\0{USER}\0{USER}");
                let mut properties = Vec::new();
                encode_arguments(&Arguments(vec![capabilities(&CAPABILITIES)]), &mut properties);
                self.say(
                    0,
                    ConnectionStartOk {
                        client_properties: Table(&properties),
                        mechanism: b"PLAIN",
                        response: response.as_bytes(),
                        locale: b"en_US",
                    },
                );
            }
            Method::ConnectionTune(tune) => {
                self.say(
                    0,
                    ConnectionTuneOk {
                        channel_max: tune.channel_max,
                        frame_max: tune.frame_max,
                        heartbeat: 0,
                    },
                );
                self.say(0, ConnectionOpen { virtual_host: b"/" });
            }
            Method::ConnectionOpenOk(_) => {
                self.phase = Phase::Open;
                for number in 1..=self.role.channels() {
                    self.open_channel(number, ways);
                }
            }
            Method::ConnectionClose(close) => {
                let text = String::from_utf8_lossy(close.reply_text).into_owned();
                let code = close.reply_code;
                ways.trace
                    .say(ways.schedule.now, || format!("client {} is closed: {code} {text}", self.id.0));
                // the node stops; any other would be somebody's fault, for clients keep to the protocol
                if code != 320 {
                    let text = format!("client {} was closed with {code} {text}", self.id.0);
                    ways.oracle.violation(ways.schedule.now, "liveness", text);
                }
                self.say(0, ConnectionCloseOk);
                return false;
            }
            Method::ConnectionCloseOk(_) => return false,
            _ => {}
        }
        true
    }

    pub(crate) fn open_channel(&mut self, number: u16, ways: &mut Ways<'_>) {
        let (Some((_, node, host)), Some(end)) = (self.at, self.end) else { return };
        let publisher = ways.oracle.new_publisher(end.pipe, number);
        let requests = self.role.script(ways).into();
        self.channels.insert(number, Channel::new(publisher, (node, host), requests));
        self.say(number, ChannelOpen);
    }

    fn on_method(&mut self, number: u16, method: &Method<'_>, ways: &mut Ways<'_>) {
        let now = ways.schedule.now;
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.phase == ChannelPhase::Closing
            && !matches!(method, Method::ChannelCloseOk(_) | Method::ChannelClose(_))
        {
            // what comes behind our close is void
            return;
        }
        match method {
            Method::ChannelOpenOk(_) => channel.phase = ChannelPhase::Open,
            Method::ChannelClose(close) => {
                let (code, text) = (close.reply_code, String::from_utf8_lossy(close.reply_text).into_owned());
                ways.trace.say(now, || format!("client {} channel {number}: {code} {text}", self.id.0));
                channel.on_close(close, ways);
                channel.phase = ChannelPhase::Closed(now);
                self.say(number, ChannelCloseOk);
            }
            Method::ChannelCloseOk(_) => {
                channel.phase = ChannelPhase::Closed(now);
                channel.leaving.drain(..).for_each(|taker| ways.oracle.losses.learnt(now, taker));
            }
            Method::BasicDeliver(deliver) => {
                let consumer = String::from_utf8_lossy(deliver.consumer_tag).into_owned();
                channel.coming(Coming::Delivery {
                    consumer,
                    tag: deliver.delivery_tag,
                    redelivered: deliver.redelivered,
                });
            }
            Method::BasicGetOk(got) => {
                channel.coming(Coming::Got { tag: got.delivery_tag, redelivered: got.redelivered });
            }
            Method::BasicReturn(_) => channel.coming(Coming::Return),
            Method::BasicAck(ack) => {
                channel.on_confirm(ack.delivery_tag, ack.multiple, Answer::Confirmed(now), ways);
            }
            Method::BasicNack(nack) => {
                channel.on_confirm(nack.delivery_tag, nack.multiple, Answer::Nacked, ways);
            }
            Method::BasicCancel(cancel) => {
                let tag = String::from_utf8_lossy(cancel.consumer_tag).into_owned();
                ways.trace.say(now, || format!("client {} channel {number}: {tag} was cancelled", self.id.0));
                channel.on_cancel(&tag, ways);
                self.again_at = Some(now + ways.schedule.dice.millis(100, 600));
            }
            answer => channel.on_answer(answer, ways),
        }
    }

    /// Sends the next request of each channel that waits for nothing.
    pub(crate) fn send_requests(&mut self, ways: &mut Ways<'_>) {
        let now = ways.schedule.now;
        for (number, channel) in &mut self.channels {
            if channel.phase != ChannelPhase::Open || channel.asked_at.is_some() {
                continue;
            }
            if let Some(request) = channel.requests.front_mut() {
                channel.asked_at = Some(now);
                request.send((*number, channel.at), &mut self.out, ways);
            }
        }
    }

    /// Publishes one message.
    pub(crate) fn publish(
        &mut self,
        number: u16,
        exchange: Exchange,
        key: &str,
        len: usize,
        ways: &mut Ways<'_>,
    ) {
        let (Some((_, node, host)), Some(end)) = (self.at, self.end) else { return };
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let id = MessageId { publisher: channel.publisher, number: channel.numbers + 1 };
        let body = body::make(id, len, ways.schedule.dice.bits());
        let sent = Sent {
            exchange,
            key: key.to_owned(),
            sent_at: ways.schedule.now,
            read_at: None,
            ingress: (node, host),
            answer: Answer::Pending,
            returned: false,
            persistent: body::properties(id).delivery_mode.is_some(),
            routed: Vec::new(),
            checksum: body::checksum(&body),
        };
        let id = ways.oracle.published(channel.publisher, sent);
        channel.numbers += 1;
        channel.unanswered.insert(channel.numbers, id);
        let publish = BasicPublish {
            exchange: exchange.name().as_bytes(),
            routing_key: key.as_bytes(),
            mandatory: true,
            ..Default::default()
        };
        let mut headers = Vec::new();
        let mut properties = body::properties(id);
        if exchange == Exchange::Headers {
            encode_arguments(&topology::headers(key), &mut headers);
            properties.headers = Some(Table(&headers));
        }
        write_publish(&mut self.out, number, &publish, &properties, &body, 131_072);
        ways.oracle.reads.said(end.pipe, self.out.len(), Written::Publish(id));
        ways.trace.event(ways.schedule.now, 20, &[u64::from(id.publisher), id.number]);
    }

    /// Settles what a channel holds: `how` it ends, `multiple` with all before it.
    pub(crate) fn settle(
        &mut self,
        number: u16,
        tag: u64,
        how: Settling,
        multiple: bool,
        ways: &mut Ways<'_>,
    ) {
        let now = ways.schedule.now;
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let tags: Vec<u64> =
            if multiple { channel.held.range(..=tag).map(|(tag, _)| *tag).collect() } else { vec![tag] };
        for tag in tags {
            if let Some(holding) = channel.held.remove(&tag) {
                ways.trace.say(now, || format!("client {} settles {:?}: {how:?}", self.id.0, holding));
                match how {
                    Settling::Requeue => holding.give_back(ways),
                    Settling::Ack | Settling::Drop => {
                        ways.oracle.fate(holding.message, holding.base, Fate::Settled);
                    }
                }
            }
        }
        match (how, multiple) {
            (Settling::Ack, _) => self.say(number, BasicAck { delivery_tag: tag, multiple }),
            (Settling::Requeue, _) => {
                self.say(number, BasicNack { delivery_tag: tag, multiple, requeue: true });
            }
            (Settling::Drop, false) => self.say(number, BasicReject { delivery_tag: tag, requeue: false }),
            (Settling::Drop, true) => {
                self.say(number, BasicNack { delivery_tag: tag, multiple, requeue: false });
            }
        }
    }

    /// Closes a channel, with whatever it holds.
    pub(crate) fn close_channel(&mut self, number: u16, ways: &mut Ways<'_>) {
        let Some(channel) = self.channels.get_mut(&number).filter(|channel| channel.is_open()) else {
            return;
        };
        channel.end(ways);
        channel.phase = ChannelPhase::Closing;
        self.say(number, ChannelClose { reply_code: 200, reply_text: b"", class_id: 0, method_id: 0 });
    }
}
