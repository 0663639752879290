//! The AMQP client of `leveret demo`: [`leveret_client::Connection`] over a blocking socket, with a deadline on
//! each wait.
//!
//! One connection, one channel at a time. What the broker sends on its own (messages, confirms, cancellations)
//! waits in order until [`Client::poll`] gives it out; requests wait for their answer and lose none of that.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use leveret_client::{Answer, Connection, Event, Login, Message};
use leveret_wire::method::{
    BasicAck, BasicCancel, BasicConsume, BasicGet, BasicNack, BasicPublish, BasicQos, QueueBind, QueueDeclare,
};
use leveret_wire::{BasicProperties, EncodeMethod};

mod error;
mod socket;

pub(crate) use error::ClientError;
use socket::Socket;

/// Until a request is answered: longer than a broker may hold one (`limits::OPERATION_WAIT`).
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Bytes that gather before they are written without being asked for.
const OUT_BYTES_MAX: usize = 64 * 1024;
/// The one channel. Its number is free again as soon as a close is answered.
const CHANNEL: u16 = 1;

/// A connection with a channel.
#[derive(Debug)]
pub(crate) struct Client {
    socket: Socket,
    connection: Connection,
    /// What came while an answer was waited for.
    set_aside: VecDeque<Event>,
}

impl Client {
    /// Connects, logs in as `guest` to the vhost `/`, and opens a channel.
    pub(crate) fn connect(broker: SocketAddr) -> Result<Self, ClientError> {
        let login = Login { product: "leveret demo".into(), channel_max: CHANNEL, ..Login::default() };
        let socket = Socket::connect(broker)?;
        let mut client = Self { socket, connection: Connection::new(login), set_aside: VecDeque::new() };
        client.answer("connection.open-ok")?;
        client.open_channel()?;
        Ok(client)
    }

    /// Opens another channel in place of one that the broker closed.
    pub(crate) fn open_channel(&mut self) -> Result<(), ClientError> {
        self.connection.open_channel(CHANNEL);
        self.answer("channel.open-ok").map(drop)
    }

    pub(crate) fn declare(&mut self, queue: &str) -> Result<(), ClientError> {
        let declare = QueueDeclare { queue: queue.as_bytes(), ..Default::default() };
        self.request(&declare, "queue.declare-ok").map(drop)
    }

    pub(crate) fn bind(&mut self, queue: &str, exchange: &str, routing_key: &str) -> Result<(), ClientError> {
        let bind = QueueBind {
            queue: queue.as_bytes(),
            exchange: exchange.as_bytes(),
            routing_key: routing_key.as_bytes(),
            ..Default::default()
        };
        self.request(&bind, "queue.bind-ok").map(drop)
    }

    /// Has the broker answer each publish from now on.
    pub(crate) fn select_confirms(&mut self) -> Result<(), ClientError> {
        self.connection.select_confirms(CHANNEL);
        self.answer("confirm.select-ok").map(drop)
    }

    /// Publishes, mandatory, with the next [`Client::poll`] or when enough has gathered. Gives the number that
    /// its confirm will bear; 0 without confirms.
    pub(crate) fn publish(
        &mut self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
    ) -> Result<u64, ClientError> {
        if self.connection.output().len() >= OUT_BYTES_MAX {
            self.socket.send(self.connection.output())?;
        }
        let publish = BasicPublish {
            exchange: exchange.as_bytes(),
            routing_key: routing_key.as_bytes(),
            mandatory: true,
            immediate: false,
        };
        Ok(self.connection.publish(CHANNEL, &publish, &BasicProperties::default(), body))
    }

    /// Starts a consumer that must acknowledge, with at most `prefetch` messages unacknowledged.
    pub(crate) fn consume(&mut self, queue: &str, tag: &str, prefetch: u16) -> Result<(), ClientError> {
        let qos = BasicQos { prefetch_size: 0, prefetch_count: prefetch, global: false };
        self.request(&qos, "basic.qos-ok")?;
        let consume =
            BasicConsume { queue: queue.as_bytes(), consumer_tag: tag.as_bytes(), ..Default::default() };
        self.request(&consume, "basic.consume-ok").map(drop)
    }

    /// Ends a consumer. Messages that came before the answer are still given out.
    pub(crate) fn cancel(&mut self, tag: &str) -> Result<(), ClientError> {
        let cancel = BasicCancel { consumer_tag: tag.as_bytes(), no_wait: false };
        self.request(&cancel, "basic.cancel-ok").map(drop)
    }

    /// Asks for one message; `None` if the queue has none ready.
    pub(crate) fn get(&mut self, queue: &str) -> Result<Option<Message>, ClientError> {
        let get = BasicGet { queue: queue.as_bytes(), no_ack: false };
        Ok(match self.request(&get, "basic.get-ok")? {
            Answer::Got(message) => Some(message),
            _ => None,
        })
    }

    /// Acknowledges a delivery; with `multiple`, all up to it. Sent with the next [`Client::poll`].
    pub(crate) fn ack(&mut self, delivery_tag: u64, multiple: bool) {
        self.connection.send(CHANNEL, &BasicAck { delivery_tag, multiple });
    }

    /// Gives a delivery back to its queue. Sent with the next [`Client::poll`].
    pub(crate) fn nack(&mut self, delivery_tag: u64) {
        self.connection.send(CHANNEL, &BasicNack { delivery_tag, multiple: false, requeue: true });
    }

    /// The next event; `None` if none comes by the deadline. Sends what waits to be sent.
    pub(crate) fn poll(&mut self, deadline: Instant) -> Result<Option<Event>, ClientError> {
        if let Some(event) = self.set_aside.pop_front() {
            return Ok(Some(event));
        }
        match self.next(deadline)? {
            Some(Event::Answered { answer, .. }) => {
                Err(self.garbled(&format!("{}, which nothing asked for", name(&answer))))
            }
            event => Ok(event),
        }
    }

    /// Says goodbye and waits for the answer.
    pub(crate) fn close(mut self) -> Result<(), ClientError> {
        self.connection.close();
        self.answer("connection.close-ok").map(drop)
    }

    fn request(&mut self, method: &impl EncodeMethod, expected: &'static str) -> Result<Answer, ClientError> {
        self.connection.send(CHANNEL, method);
        self.answer(expected)
    }

    /// Waits for an answer of that name; `basic.get-empty` answers for `basic.get-ok`. What else comes is set
    /// aside.
    fn answer(&mut self, expected: &'static str) -> Result<Answer, ClientError> {
        let deadline = Instant::now() + ANSWER_WAIT;
        loop {
            match self.next(deadline)? {
                Some(Event::Answered { answer, .. }) if name(&answer) == expected => return Ok(answer),
                Some(Event::Answered { answer: Answer::Empty, .. }) if expected == "basic.get-ok" => {
                    return Ok(Answer::Empty);
                }
                Some(Event::Answered { answer, .. }) => {
                    return Err(self.garbled(&format!("{} instead of {expected}", name(&answer))));
                }
                Some(event) => self.set_aside.push_back(event),
                None => {
                    let broker = self.socket.broker();
                    return Err(ClientError::Silent { broker, waiting_for: expected, after: ANSWER_WAIT });
                }
            }
        }
    }

    /// What happens next; closes by the broker are errors.
    fn next(&mut self, deadline: Instant) -> Result<Option<Event>, ClientError> {
        loop {
            match self.connection.poll() {
                Some(Event::ChannelClosed { code, text, .. }) => {
                    return Err(ClientError::ChannelClosed { code, text });
                }
                Some(Event::ConnectionClosed { code, text }) => {
                    self.socket.send(self.connection.output())?;
                    return Err(ClientError::ConnectionClosed { code, text });
                }
                Some(event) => return Ok(Some(event)),
                None => {}
            }
            self.socket.send(self.connection.output())?;
            let Some(bytes) = self.socket.receive(deadline)? else { return Ok(None) };
            let came = self.connection.on_bytes(bytes);
            came.map_err(|violation| self.garbled(&violation.to_string()))?;
        }
    }

    fn garbled(&self, what: &str) -> ClientError {
        ClientError::Garbled { broker: self.socket.broker(), what: what.to_owned() }
    }
}

/// The method that carried an answer.
fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done(name) => name,
        Answer::Declared { .. } => "queue.declare-ok",
        Answer::Count(_) => "a count of messages",
        Answer::Consuming { .. } => "basic.consume-ok",
        Answer::Got(_) => "basic.get-ok",
        Answer::Empty => "basic.get-empty",
    }
}

#[cfg(test)]
mod tests;
