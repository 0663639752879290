//! A client that keeps to the protocol: logs in, counts confirms, answers closes, and says what happened.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use leveret_wire::client::write_publish;
use leveret_wire::method::{
    BasicPublish, ChannelClose, ChannelCloseOk, ChannelOpen, ConfirmSelect, ConnectionClose,
    ConnectionCloseOk,
};
use leveret_wire::{BasicProperties, EncodeMethod, Method, PROTOCOL_HEADER};

use crate::assembly::{Message, Origin, text};
use crate::confirms::Confirms;
use crate::{Inbox, Incoming, Login, Violation};

/// The channel number that is the connection's own.
const CONNECTION: u16 = 0;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A method that carries nothing else, by its name: `queue.bind-ok`. A login ends with
    /// `connection.open-ok`.
    Done(&'static str),
    /// `queue.declare-ok`
    Declared {
        /// As the broker names it, also if the client left the name to it.
        queue: String,
        /// Ready messages.
        messages: u32,
        /// Consumers of all connections.
        consumers: u32,
    },
    /// `queue.purge-ok`, `queue.delete-ok`: messages that are gone.
    Count(u32),
    /// `basic.consume-ok`
    Consuming {
        /// As the broker names it, also if the client left the name to it.
        consumer_tag: String,
    },
    /// `basic.get-ok`
    Got(Message),
    /// `basic.get-empty`
    Empty,
}

/// Something that the broker told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request on this channel is answered.
    Answered {
        /// 0 for the connection's own.
        channel: u16,
        /// What the broker says.
        answer: Answer,
    },
    /// A message for a consumer, or one that comes back. `basic.get-ok` is an answer instead.
    Message {
        /// Of the consumer, or of the publisher.
        channel: u16,
        /// Whole.
        message: Message,
    },
    /// A publish is answered. An answer to several publishes is an event for each, in order.
    Confirmed {
        /// Of the publisher.
        channel: u16,
        /// What [`Connection::publish`] gave.
        number: u64,
        /// `basic.ack`, not `basic.nack`.
        taken: bool,
    },
    /// The broker ended a consumer: its queue is gone.
    Cancelled {
        /// Of the consumer.
        channel: u16,
        /// Which of the channel's.
        consumer_tag: String,
    },
    /// The broker takes no publishes for now, or takes them again.
    Blocked(bool),
    /// The broker closed a channel, and the client agreed. Its number is free again.
    ChannelClosed {
        /// Which.
        channel: u16,
        /// Reply code.
        code: u16,
        /// Reply text.
        text: String,
    },
    /// The broker closed the connection, and the client agreed. Nothing comes behind it.
    ConnectionClosed {
        /// Reply code.
        code: u16,
        /// Reply text.
        text: String,
    },
    /// The broker does not speak AMQP 0-9-1. Nothing comes behind it.
    Refused,
}

/// A connection's end, without its socket. Whoever carries its bytes calls [`Connection::on_bytes`] with what
/// comes, and sends what [`Connection::output`] holds.
#[derive(Debug)]
pub struct Connection {
    login: Login,
    inbox: Inbox,
    out: Vec<u8>,
    events: VecDeque<Event>,
    /// As agreed; before that, as wished for.
    frame_max: u32,
    /// Channels in confirm mode.
    confirms: BTreeMap<u16, Confirms>,
}

impl Connection {
    /// Begins to log in. The login is done when `connection.open-ok` is an [`Event::Answered`] of channel 0.
    #[must_use]
    pub fn new(login: Login) -> Self {
        let frame_max = login.frame_max;
        Self {
            login,
            inbox: Inbox::default(),
            out: PROTOCOL_HEADER.to_vec(),
            events: VecDeque::new(),
            frame_max,
            confirms: BTreeMap::new(),
        }
    }

    /// Bytes for the broker. Whoever sends some of them drains them here.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Takes bytes of the broker, cut anywhere.
    ///
    /// # Errors
    /// The broker sent what it may not. Events of what came before are there all the same.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.inbox.push(bytes);
        // Out of its place while it lends what it holds.
        let mut inbox = core::mem::take(&mut self.inbox);
        let result = self.take_all(&mut inbox);
        self.inbox = inbox;
        result
    }

    /// The next event.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sends a method. What the broker answers is an [`Event::Answered`].
    pub fn send(&mut self, channel: u16, method: &impl EncodeMethod) {
        method.encode_frame(channel, &mut self.out);
    }

    /// Asks for a channel, answered by `channel.open-ok`.
    pub fn open_channel(&mut self, channel: u16) {
        self.send(channel, &ChannelOpen);
    }

    /// Closes a channel, answered by `channel.close-ok`.
    pub fn close_channel(&mut self, channel: u16) {
        self.send(
            channel,
            &ChannelClose { reply_code: 200, reply_text: b"Goodbye", class_id: 0, method_id: 0 },
        );
    }

    /// Has the broker answer each publish of the channel from here on; answered by `confirm.select-ok`.
    pub fn select_confirms(&mut self, channel: u16) {
        self.send(channel, &ConfirmSelect { no_wait: false });
        self.confirms.entry(channel).or_default();
    }

    /// Publishes. Gives the number that the broker's answer will bear; 0 without confirms.
    pub fn publish(
        &mut self,
        channel: u16,
        publish: &BasicPublish<'_>,
        properties: &BasicProperties<'_>,
        body: &[u8],
    ) -> u64 {
        write_publish(&mut self.out, channel, publish, properties, body, self.frame_max);
        self.confirms.get_mut(&channel).map_or(0, Confirms::publish)
    }

    /// Ends the connection, answered by `connection.close-ok`.
    pub fn close(&mut self) {
        let close = ConnectionClose { reply_code: 200, reply_text: b"Goodbye", class_id: 0, method_id: 0 };
        self.send(CONNECTION, &close);
    }

    fn take_all(&mut self, inbox: &mut Inbox) -> Result<(), Violation> {
        while let Some(incoming) = inbox.pull()? {
            match incoming {
                Incoming::Heartbeat => {}
                Incoming::ProtocolHeader => self.events.push_back(Event::Refused),
                Incoming::Message(channel, message) => self.on_message(channel, message),
                Incoming::Method(channel, Method::ChannelClose(close)) => {
                    let (code, text) = (close.reply_code, text(close.reply_text));
                    self.events.push_back(Event::ChannelClosed { channel, code, text });
                    self.send(channel, &ChannelCloseOk);
                    self.forget_channel(channel, inbox);
                }
                Incoming::Method(channel, method) => {
                    let closed = matches!(method, Method::ChannelCloseOk(_));
                    self.on_method(channel, &method)?;
                    if closed {
                        self.forget_channel(channel, inbox);
                    }
                }
            }
            inbox.set_frame_max(self.frame_max);
        }
        Ok(())
    }

    fn forget_channel(&mut self, channel: u16, inbox: &mut Inbox) {
        inbox.forget_channel(channel);
        self.confirms.remove(&channel);
    }

    fn on_message(&mut self, channel: u16, message: Message) {
        self.events.push_back(match message.origin {
            Origin::Got { .. } => Event::Answered { channel, answer: Answer::Got(message) },
            Origin::Delivered { .. } | Origin::Returned { .. } => Event::Message { channel, message },
        });
    }

    fn on_method(&mut self, channel: u16, method: &Method<'_>) -> Result<(), Violation> {
        let answer = match method {
            Method::ConnectionStart(_) => {
                self.login.write_start_ok(&mut self.out);
                return Ok(());
            }
            Method::ConnectionTune(tune) => {
                self.frame_max = self.login.write_open(tune.frame_max, &mut self.out);
                return Ok(());
            }
            Method::ConnectionClose(close) => {
                let (code, text) = (close.reply_code, text(close.reply_text));
                self.send(CONNECTION, &ConnectionCloseOk);
                self.events.push_back(Event::ConnectionClosed { code, text });
                return Ok(());
            }
            Method::BasicAck(ack) => return self.on_confirm(channel, ack.delivery_tag, ack.multiple, true),
            Method::BasicNack(nack) => {
                return self.on_confirm(channel, nack.delivery_tag, nack.multiple, false);
            }
            Method::BasicCancel(cancel) => {
                let consumer_tag = text(cancel.consumer_tag);
                self.events.push_back(Event::Cancelled { channel, consumer_tag });
                return Ok(());
            }
            Method::ConnectionBlocked(_) | Method::ConnectionUnblocked(_) => {
                let blocked = matches!(method, Method::ConnectionBlocked(_));
                self.events.push_back(Event::Blocked(blocked));
                return Ok(());
            }
            Method::QueueDeclareOk(ok) => Answer::Declared {
                queue: text(ok.queue),
                messages: ok.message_count,
                consumers: ok.consumer_count,
            },
            Method::QueuePurgeOk(ok) => Answer::Count(ok.message_count),
            Method::QueueDeleteOk(ok) => Answer::Count(ok.message_count),
            Method::BasicConsumeOk(ok) => Answer::Consuming { consumer_tag: text(ok.consumer_tag) },
            Method::BasicGetEmpty(_) => Answer::Empty,
            other => Answer::Done(other.info().name),
        };
        self.events.push_back(Event::Answered { channel, answer });
        Ok(())
    }

    fn on_confirm(
        &mut self,
        channel: u16,
        number: u64,
        multiple: bool,
        taken: bool,
    ) -> Result<(), Violation> {
        let settled = self
            .confirms
            .get_mut(&channel)
            .and_then(|confirms| confirms.settle(number, multiple))
            .ok_or_else(|| {
                Violation::new(format_args!("an answer to publish {number}, which waits for none"))
            })?;
        let confirmed = |number| Event::Confirmed { channel, number, taken };
        self.events.extend(settled.into_iter().map(confirmed));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
