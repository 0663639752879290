//! A small blocking AMQP 0-9-1 client: one connection, one channel at a time, a deadline on every wait.
//!
//! Read first: [`Client`]. What the broker sends on its own (messages, answers to publishes, cancellations) waits in
//! order until [`Client::poll`] gives it out; requests wait for their answer and lose none of that.
//!
//! `leveret demo` uses it. It is no client for applications: no TLS, no recovery, no heartbeats, user `guest`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use leveret_model::limits::FRAME_BYTES_MAX;
use leveret_model::{Arguments, RoutingKey, Value};
use leveret_wire::client::{capabilities, write_publish};
use leveret_wire::method::{
    BasicAck, BasicCancel, BasicConsume, BasicGet, BasicNack, BasicPublish, BasicQos, ChannelCloseOk,
    ChannelOpen, ConfirmSelect, ConnectionClose, ConnectionCloseOk, ConnectionOpen, ConnectionStartOk,
    ConnectionTuneOk, QueueBind, QueueDeclare,
};
use leveret_wire::{
    BasicProperties, EncodeMethod, FrameKind, Method, PROTOCOL_HEADER, Table, encode_arguments,
};

mod assembly;
mod confirms;
mod error;
mod socket;

pub(crate) use assembly::Delivery;
use assembly::{Assembly, Content};
use confirms::Confirms;
pub(crate) use error::ClientError;
use socket::{Received, Socket};

/// Until a request is answered: longer than a broker may hold one (`limits::OPERATION_WAIT`).
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// The channel number that is the connection's own.
const CONNECTION: u16 = 0;
/// The one channel. Its number is free again as soon as a close is answered.
const CHANNEL: u16 = 1;

/// What a broker sends without being asked at that moment.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message for a consumer.
    Delivered(Delivery),
    /// A mandatory message that no queue took: its body. Its answer follows.
    Returned(Vec<u8>),
    /// The answer to a publish.
    Answered {
        /// What [`Client::publish`] gave.
        number: u64,
        /// `basic.ack`, not `basic.nack`.
        confirmed: bool,
    },
    /// The broker ended a consumer: its queue is gone.
    Cancelled,
}

/// A connection with a channel.
#[derive(Debug)]
pub(crate) struct Client {
    socket: Socket,
    frame_max: u32,
    /// Counts publishes once `confirm.select` is on.
    confirms: Option<Confirms>,
    assembly: Assembly,
    events: VecDeque<Event>,
}

/// An answer to a request: its name, and what it carried.
#[derive(Debug)]
struct Reply {
    name: &'static str,
    /// Of `basic.get-ok`.
    got: Option<Delivery>,
    /// Of `connection.tune`.
    frame_max: Option<u32>,
}

impl Client {
    /// Connects, logs in as `guest` to the vhost `/`, and opens a channel.
    pub(crate) fn connect(broker: SocketAddr) -> Result<Self, ClientError> {
        let mut client = Self {
            socket: Socket::connect(broker)?,
            frame_max: FRAME_BYTES_MAX,
            confirms: None,
            assembly: Assembly::Idle,
            events: VecDeque::new(),
        };
        client.log_in()?;
        client.open_channel()?;
        Ok(client)
    }

    fn log_in(&mut self) -> Result<(), ClientError> {
        self.socket.out()?.extend_from_slice(&PROTOCOL_HEADER);
        self.reply(&["connection.start"])?;
        let properties = client_properties();
        let start_ok = ConnectionStartOk {
            client_properties: Table(&properties),
            mechanism: b"PLAIN",
            response: b"\0guest\0guest",
            locale: b"en_US",
        };
        self.send(CONNECTION, &start_ok)?;
        let offered = self.reply(&["connection.tune"])?.frame_max.unwrap_or_default();
        // 0 is no limit (AMQP 0-9-1 §1.4.2.5)
        self.frame_max = if offered == 0 { FRAME_BYTES_MAX } else { offered.min(FRAME_BYTES_MAX) };
        self.send(
            CONNECTION,
            &ConnectionTuneOk { channel_max: CHANNEL, frame_max: self.frame_max, heartbeat: 0 },
        )?;
        self.send(CONNECTION, &ConnectionOpen { virtual_host: b"/" })?;
        self.reply(&["connection.open-ok"]).map(drop)
    }

    /// Opens another channel in place of one that the broker closed.
    pub(crate) fn open_channel(&mut self) -> Result<(), ClientError> {
        self.confirms = None;
        self.assembly = Assembly::Idle;
        self.request(&ChannelOpen, &["channel.open-ok"]).map(drop)
    }

    /// Declares a queue.
    pub(crate) fn declare(&mut self, queue: &str) -> Result<(), ClientError> {
        let declare = QueueDeclare {
            queue: queue.as_bytes(),
            passive: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: Table::EMPTY,
        };
        self.request(&declare, &["queue.declare-ok"]).map(drop)
    }

    /// Binds a queue to an exchange.
    pub(crate) fn bind(&mut self, queue: &str, exchange: &str, routing_key: &str) -> Result<(), ClientError> {
        let bind = QueueBind {
            queue: queue.as_bytes(),
            exchange: exchange.as_bytes(),
            routing_key: routing_key.as_bytes(),
            no_wait: false,
            arguments: Table::EMPTY,
        };
        self.request(&bind, &["queue.bind-ok"]).map(drop)
    }

    /// Has the broker answer each publish from now on.
    pub(crate) fn select_confirms(&mut self) -> Result<(), ClientError> {
        self.request(&ConfirmSelect { no_wait: false }, &["confirm.select-ok"])?;
        self.confirms = Some(Confirms::default());
        Ok(())
    }

    /// Publishes, mandatory, with the next [`Client::poll`] or when enough has gathered. Gives the number that its
    /// answer will bear; 0 without confirms.
    pub(crate) fn publish(
        &mut self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
    ) -> Result<u64, ClientError> {
        let publish = BasicPublish {
            exchange: exchange.as_bytes(),
            routing_key: routing_key.as_bytes(),
            mandatory: true,
            immediate: false,
        };
        let (properties, frame_max) = (BasicProperties::default(), self.frame_max);
        write_publish(self.socket.out()?, CHANNEL, &publish, &properties, body, frame_max);
        Ok(self.confirms.as_mut().map_or(0, Confirms::publish))
    }

    /// Starts a consumer that must acknowledge, with at most `prefetch` messages unacknowledged.
    pub(crate) fn consume(&mut self, queue: &str, tag: &str, prefetch: u16) -> Result<(), ClientError> {
        let qos = BasicQos { prefetch_size: 0, prefetch_count: prefetch, global: false };
        self.request(&qos, &["basic.qos-ok"])?;
        let consume = BasicConsume {
            queue: queue.as_bytes(),
            consumer_tag: tag.as_bytes(),
            no_local: false,
            no_ack: false,
            exclusive: false,
            no_wait: false,
            arguments: Table::EMPTY,
        };
        self.request(&consume, &["basic.consume-ok"]).map(drop)
    }

    /// Ends a consumer. Messages that came before the answer are still given out.
    pub(crate) fn cancel(&mut self, tag: &str) -> Result<(), ClientError> {
        let cancel = BasicCancel { consumer_tag: tag.as_bytes(), no_wait: false };
        self.request(&cancel, &["basic.cancel-ok"]).map(drop)
    }

    /// Asks for one message; `None` if the queue has none ready.
    pub(crate) fn get(&mut self, queue: &str) -> Result<Option<Delivery>, ClientError> {
        let get = BasicGet { queue: queue.as_bytes(), no_ack: false };
        Ok(self.request(&get, &["basic.get-ok", "basic.get-empty"])?.got)
    }

    /// Acknowledges a delivery; with `multiple`, all up to it. Sent with the next [`Client::poll`].
    pub(crate) fn ack(&mut self, delivery_tag: u64, multiple: bool) -> Result<(), ClientError> {
        self.send(CHANNEL, &BasicAck { delivery_tag, multiple })
    }

    /// Gives a delivery back to its queue. Sent with the next [`Client::poll`].
    pub(crate) fn nack(&mut self, delivery_tag: u64) -> Result<(), ClientError> {
        self.send(CHANNEL, &BasicNack { delivery_tag, multiple: false, requeue: true })
    }

    /// The next event; `None` if none comes by the deadline. Sends what waits to be sent.
    pub(crate) fn poll(&mut self, deadline: Instant) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(frame) = self.socket.receive(deadline, self.frame_max)? else { return Ok(None) };
            if let Some(reply) = self.on_frame(&frame)? {
                return Err(self.garbled(&format!("{}, which nothing asked for", reply.name)));
            }
        }
    }

    /// Says goodbye and waits for the answer.
    pub(crate) fn close(mut self) -> Result<(), ClientError> {
        let close = ConnectionClose { reply_code: 200, reply_text: b"Goodbye", class_id: 0, method_id: 0 };
        self.send(CONNECTION, &close)?;
        self.reply(&["connection.close-ok"]).map(drop)
    }

    fn send(&mut self, channel: u16, method: &impl EncodeMethod) -> Result<(), ClientError> {
        method.encode_frame(channel, self.socket.out()?);
        Ok(())
    }

    fn request(
        &mut self,
        method: &impl EncodeMethod,
        answers: &'static [&'static str],
    ) -> Result<Reply, ClientError> {
        self.send(CHANNEL, method)?;
        self.reply(answers)
    }

    /// Waits for one of these answers. What else comes becomes events.
    fn reply(&mut self, answers: &'static [&'static str]) -> Result<Reply, ClientError> {
        let deadline = Instant::now() + ANSWER_WAIT;
        loop {
            let Some(frame) = self.socket.receive(deadline, self.frame_max)? else {
                let broker = self.socket.broker();
                return Err(ClientError::Silent { broker, waiting_for: answers[0], after: ANSWER_WAIT });
            };
            match self.on_frame(&frame)? {
                Some(reply) if answers.contains(&reply.name) => return Ok(reply),
                Some(reply) => return Err(self.garbled(&format!("{} instead of {}", reply.name, answers[0]))),
                None => {}
            }
        }
    }

    /// Takes one frame: an answer, or what becomes an event.
    fn on_frame(&mut self, frame: &Received) -> Result<Option<Reply>, ClientError> {
        let content = match frame.head.kind {
            FrameKind::Heartbeat => Ok(None),
            FrameKind::Header => self.assembly.on_header(&frame.payload),
            FrameKind::Body => self.assembly.on_body(&frame.payload),
            FrameKind::Method => {
                let method =
                    Method::decode(&frame.payload).map_err(|error| self.garbled(&error.to_string()))?;
                return self.on_method(&method);
            }
        };
        match content.map_err(|what| self.garbled(what))? {
            None => {}
            Some(Content::Delivered(delivery)) => self.events.push_back(Event::Delivered(delivery)),
            Some(Content::Returned(body)) => self.events.push_back(Event::Returned(body)),
            Some(Content::Got(delivery)) => {
                return Ok(Some(Reply { name: "basic.get-ok", got: Some(delivery), frame_max: None }));
            }
        }
        Ok(None)
    }

    fn on_method(&mut self, method: &Method<'_>) -> Result<Option<Reply>, ClientError> {
        let mut frame_max = None;
        match method {
            Method::BasicDeliver(deliver) => {
                let delivery = announced(deliver.delivery_tag, deliver.redelivered);
                return self.announce(Content::Delivered(delivery));
            }
            Method::BasicGetOk(got) => {
                return self.announce(Content::Got(announced(got.delivery_tag, got.redelivered)));
            }
            Method::BasicReturn(_) => return self.announce(Content::Returned(Vec::new())),
            Method::BasicAck(ack) => return self.on_answer(ack.delivery_tag, ack.multiple, true),
            Method::BasicNack(nack) => return self.on_answer(nack.delivery_tag, nack.multiple, false),
            Method::BasicCancel(_) => {
                self.events.push_back(Event::Cancelled);
                return Ok(None);
            }
            Method::ConnectionBlocked(_) | Method::ConnectionUnblocked(_) => return Ok(None),
            Method::ChannelClose(close) => {
                self.send(CHANNEL, &ChannelCloseOk)?;
                let text = String::from_utf8_lossy(close.reply_text).into_owned();
                return Err(ClientError::ChannelClosed { code: close.reply_code, text });
            }
            Method::ConnectionClose(close) => {
                let text = String::from_utf8_lossy(close.reply_text).into_owned();
                self.send(CONNECTION, &ConnectionCloseOk)?;
                self.socket.flush()?;
                return Err(ClientError::ConnectionClosed { code: close.reply_code, text });
            }
            Method::ConnectionTune(tune) => frame_max = Some(tune.frame_max),
            _ => {}
        }
        Ok(Some(Reply { name: method.info().name, got: None, frame_max }))
    }

    fn announce(&mut self, content: Content) -> Result<Option<Reply>, ClientError> {
        self.assembly.on_method(content).map_err(|what| self.garbled(what))?;
        Ok(None)
    }

    fn on_answer(
        &mut self,
        number: u64,
        multiple: bool,
        confirmed: bool,
    ) -> Result<Option<Reply>, ClientError> {
        let settled = self.confirms.as_mut().and_then(|confirms| confirms.settle(number, multiple));
        let settled = settled
            .ok_or_else(|| self.garbled(&format!("an answer to publish {number}, which waits for none")))?;
        self.events.extend(settled.into_iter().map(|number| Event::Answered { number, confirmed }));
        Ok(None)
    }

    fn garbled(&self, what: &str) -> ClientError {
        ClientError::Garbled { broker: self.socket.broker(), what: what.to_owned() }
    }
}

fn announced(tag: u64, redelivered: bool) -> Delivery {
    Delivery { tag, redelivered, body: Vec::new() }
}

/// What this client understands. Without `consumer_cancel_notify` a broker does not say that a consumer's queue is gone,
/// without `authentication_failure_close` it does not say why it refuses a login (RabbitMQ: client capabilities).
fn client_properties() -> Vec<u8> {
    let names =
        ["consumer_cancel_notify", "publisher_confirms", "basic.nack", "authentication_failure_close"];
    let product = Value::LongString(b"leveret demo".as_slice().into());
    let properties = Arguments(vec![(RoutingKey::new(b"product"), product), capabilities(&names)]);
    let mut table = Vec::new();
    encode_arguments(&properties, &mut table);
    table
}

#[cfg(test)]
mod tests;
