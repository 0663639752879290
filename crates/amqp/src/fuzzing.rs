//! What the fuzz target `session` does with any bytes: it is a client that says them to a connection.
//!
//! The broker behind the connection answers at once, and the first letter of a name chooses what: so the fuzzer
//! finds refusals, returns, held publishes and deliveries too. A broken promise panics, and nothing else does.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use leveret_model::{
    Body, ChannelKey, ChannelNumber, ConnectionKey, ConsumerNumber, Held, Instant, Message, Name, Position,
    PublishNumber, QueueHandle, Refusal, ReplyCode, RoutingKey, Settlement, limits,
};
use leveret_wire::{BasicProperties, decode_frame};

use crate::host::{Answer, Delivery, Host, Operation, Publish, Published, VhostOpening};
use crate::{Config, Connection};

/// Offers the bytes to a new connection: the first byte says in pieces of what size, the others are the
/// client's. Before the login every peer can do the same.
pub fn session(bytes: &[u8]) {
    let Some((&cut, said)) = bytes.split_first() else { return };
    let (now, key) = (Instant::ZERO, ConnectionKey { slot: 1, generation: 1 });
    let mut session = Session {
        connection: Connection::new(now, key, Arc::new(Config::new("0", "fuzz"))),
        broker: Broker::default(),
        unread: Vec::new(),
        heard: Vec::new(),
    };
    // 0 is all at once.
    for piece in said.chunks(if cut == 0 { said.len().max(1) } else { usize::from(cut) }) {
        session.unread.extend_from_slice(piece);
        while session.turn() {}
    }
    session.connection.lost(&mut session.broker);
    assert!(session.broker.pending.is_empty(), "operations of channels that are gone");
}

struct Session {
    connection: Connection<()>,
    broker: Broker,
    unread: Vec<u8>,
    heard: Vec<u8>,
}

impl Session {
    /// One turn of a driver; true if it changed something.
    fn turn(&mut self) -> bool {
        let offered = Bytes::copy_from_slice(&self.unread);
        let taken = self.connection.on_bytes(Instant::ZERO, &offered, &mut self.broker);
        assert!(taken <= offered.len(), "more was taken than offered");
        self.unread.drain(..taken);
        let answered = self.answer();
        self.connection.resume(Instant::ZERO, &mut self.broker);
        self.connection.end_turn();
        self.hear();
        taken > 0 || answered
    }

    fn answer(&mut self) -> bool {
        let login = self.broker.login.take();
        if let Some(is_known) = login {
            let user = if is_known {
                Ok(Name::new("u"))
            } else {
                Err(Refusal::new(ReplyCode::AccessRefused, "no").into())
            };
            self.connection.on_login(Instant::ZERO, user);
        }
        for (channel, number) in core::mem::take(&mut self.broker.owed) {
            if self.connection.on_settled(channel, number, number.0.is_multiple_of(2)) {
                self.connection.end_commit(Instant::ZERO, channel, &mut self.broker);
            }
        }
        let mut answered = login.is_some();
        while let Some((channel, operation)) = self.broker.pending.pop_front() {
            self.on_operation(channel, &operation);
            answered = true;
        }
        answered
    }

    fn on_operation(&mut self, channel: ChannelKey, operation: &Operation) {
        let mut header = Vec::new();
        BasicProperties::default().encode_payload(2, &mut header);
        let message = Message::new(b"\x01e\x01k", &header, Body::Flat(b"hi"));
        let held = |consumer| Held { queue: QueueHandle::default(), position: Position(1), consumer };
        let answer = match operation {
            Operation::QueueDelete { name, .. } | Operation::QueueDeclarePassive { name }
                if refuses(name) =>
            {
                Answer::Refused(Refusal::new(ReplyCode::NotFound, "no"))
            }
            Operation::QueueDeclare(queue) if refuses(&queue.name) => {
                Answer::Refused(Refusal::new(ReplyCode::PreconditionFailed, "no"))
            }
            Operation::QueueDeclare(_)
            | Operation::QueueDeclareServerNamed(_)
            | Operation::QueueDeclarePassive { .. } => Answer::Queue { messages: 1, consumers: 1 },
            Operation::QueueDelete { .. } | Operation::QueuePurge { .. } => Answer::Messages(1),
            Operation::Get { queue, .. } if refuses(queue) => Answer::Empty,
            Operation::Get { .. } => {
                Answer::Got { held: held(ConsumerNumber(0)), message, redelivered: true, remaining: 1 }
            }
            _ => Answer::Done,
        };
        self.connection.on_answer(Instant::ZERO, channel, answer, &mut self.broker);
        if let Operation::Consume { consumer, .. } = operation {
            let delivery = Delivery { held: held(*consumer), redelivered: false, message };
            // A channel that closed meanwhile takes nothing.
            let _ = self.connection.deliver(channel, &delivery);
        }
    }

    /// Reads the output as a client would.
    fn hear(&mut self) {
        let output = self.connection.output();
        output.iter().for_each(|chunk| self.heard.extend_from_slice(chunk));
        output.clear();
        self.connection.on_written(Instant::ZERO, &mut self.broker);
        let mut at = 0;
        while !self.heard[at..].starts_with(b"AMQP")
            && let Some(frame) = decode_frame(&self.heard[at..], 0).expect("a server writes frames")
        {
            at += frame.wire_len();
        }
        let is_header = self.heard[at..] == leveret_wire::PROTOCOL_HEADER;
        assert!(is_header || at == self.heard.len(), "half a frame was written");
        self.heard.clear();
    }
}

/// A broker whose answers follow from what it is asked.
#[derive(Default)]
struct Broker {
    /// A login to be answered, and whether it is good.
    login: Option<bool>,
    pending: VecDeque<(ChannelKey, Operation)>,
    owed: Vec<(ChannelKey, PublishNumber)>,
    /// The publish that was held last, so that it is held once.
    held: bool,
}

fn refuses(name: &Name) -> bool {
    name.as_bytes().first() == Some(&b'!')
}

impl Host for Broker {
    type Channel = ();

    fn login(&mut self, _mechanism: &str, response: &[u8]) {
        self.login = Some(!response.contains(&b'!'));
    }

    fn open_vhost(&mut self, vhost: &Name) -> Result<VhostOpening, Refusal> {
        if vhost.starts_with('!') {
            return Err(Refusal::new(ReplyCode::NotAllowed, "no"));
        }
        Ok(VhostOpening::Now)
    }

    fn ack_timeout(&self, _: QueueHandle) -> Option<Duration> {
        None
    }

    fn publish(
        &mut self,
        channel: ChannelKey,
        (): &mut (),
        publish: Publish<'_>,
    ) -> Result<Published, Refusal> {
        assert!(!self.pending.iter().any(|(key, _)| *key == channel), "a publish overtook an operation");
        assert!(publish.message.body.len() as u64 <= limits::BODY_BYTES_MAX, "a message over its bound");
        match (publish.routing_key.first(), publish.number) {
            (Some(b'!'), _) => Err(Refusal::new(ReplyCode::NotFound, "no")),
            (Some(b'-'), _) if publish.mandatory => Ok(Published::Unroutable),
            (Some(b'~'), _) => {
                self.held = !self.held;
                Ok(if self.held { Published::NotNow } else { Published::GivenUp })
            }
            (Some(b'+'), Some(number)) => {
                self.owed.push((channel, number));
                Ok(Published::Owed)
            }
            _ => Ok(Published::Settled),
        }
    }

    fn publish_copies(
        &mut self,
        channel: ChannelKey,
        publish: Publish<'_>,
        _: &[RoutingKey],
    ) -> Result<Published, Refusal> {
        self.publish(channel, &mut Default::default(), publish)
    }

    fn may_publish(&mut self, _: ChannelKey, _: &[u8]) -> Result<(), Refusal> {
        Ok(())
    }

    fn request(&mut self, channel: ChannelKey, operation: Operation) {
        assert!(
            !self.pending.iter().any(|(key, _)| *key == channel),
            "two operations under way on {channel:?}"
        );
        self.pending.push_back((channel, operation));
    }

    fn settle(&mut self, _: ChannelKey, _: Held, _: Settlement) {}

    fn channel_refused(&mut self, _: ChannelNumber, _: ReplyCode, _: &Name) {}

    fn channel_closed(&mut self, channel: ChannelKey, _: &[ConsumerNumber]) {
        self.pending.retain(|(key, _)| *key != channel);
        self.owed.retain(|(key, _)| *key != channel);
    }

    fn queue_type_substituted(&mut self, _: &Name, _: &'static str) {}

    fn draw_queue_name(&mut self) -> Name {
        Name::new("amq.gen-1")
    }

    fn open_reply_address(&mut self, _: ChannelKey, _: ConsumerNumber) -> Result<Name, Refusal> {
        Ok(Name::new("amq.rabbitmq.reply-to.1"))
    }

    fn close_reply_address(&mut self, _: ChannelKey) {}

    fn connection_closed(&mut self) -> bool {
        false
    }
}
