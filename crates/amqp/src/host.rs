//! What the protocol asks of the broker: the only door between this crate and the shard.
//!
//! A [`Host`] is called *during* `Connection::on_bytes`, with borrowed slices and static dispatch, so a publish
//! costs no event and no allocation. What needs time is a request; the shard answers it later through a method
//! of `Connection` (`on_login`, `on_answer`, `on_settled`), never from inside the call.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use leveret_model::definition::{ExchangeDefinition, QueueDefinition};
use leveret_model::{
    Arguments, ChannelKey, ChannelNumber, ConsumerNumber, ConsumerTerms, Held, Instant, Message, Name,
    PublishNumber, QueueHandle, Refusal, ReplyCode, RoutingKey, Settlement,
};

/// A message that a client publishes, complete.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// What is kept of it and delivered: address, header and body are copied as they came.
    pub message: Message<'a>,
    /// The exchange's name, inside the message's address.
    pub exchange: &'a [u8],
    /// The routing key, inside the message's address.
    pub routing_key: &'a [u8],
    /// Return it if no queue takes it.
    pub mandatory: bool,
    /// Its number if the channel is in confirm mode.
    pub number: Option<PublishNumber>,
    /// When its last byte came; it is answered within `limits::PUBLISH_WAIT` of that, whichever waits it meets.
    pub arrived: Instant,
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Every queue that it goes to has it (or there is none): confirmed at the end of the turn.
    Settled,
    /// Queues elsewhere owe an answer; `Connection::on_settled` follows.
    Owed,
    /// No queue, and it was mandatory: the channel returns it (312) before the confirm.
    Unroutable,
    /// It cannot be routed now (no lease, no room, memory). The channel keeps it, with everything behind it,
    /// and offers it again at `Connection::resume`; after `limits::PUBLISH_WAIT` the host answers
    /// [`Published::GivenUp`].
    NotNow,
    /// Held too long: nack, or without confirms dropped (the host counts it).
    GivenUp,
}

/// Something that waits for an answer. A channel has at most one under way; what comes behind it waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// `exchange.declare`
    ExchangeDeclare(Box<ExchangeDefinition>),
    /// `exchange.declare` with passive: is it there?
    ExchangeDeclarePassive {
        /// The name.
        name: Name,
    },
    /// `exchange.delete`
    ExchangeDelete {
        /// The name.
        name: Name,
        /// Only without bindings.
        if_unused: bool,
    },
    /// `exchange.bind`
    ExchangeBind(Bind),
    /// `exchange.unbind`
    ExchangeUnbind(Bind),
    /// `queue.declare`. An exclusive queue is its connection's; the shard of that is the host's to fill in.
    QueueDeclare(Arc<QueueDefinition>),
    /// The same with an empty name: the definition has a name that the host drew just before.
    QueueDeclareServerNamed(Arc<QueueDefinition>),
    /// `queue.declare` with passive: is it there, and with how many messages and consumers?
    QueueDeclarePassive {
        /// The name.
        name: Name,
    },
    /// `queue.delete`
    QueueDelete {
        /// The name.
        name: Name,
        /// Only without consumers.
        if_unused: bool,
        /// Only without ready messages.
        if_empty: bool,
    },
    /// `queue.bind`
    QueueBind(Bind),
    /// `queue.unbind`
    QueueUnbind(Bind),
    /// `queue.purge`
    QueuePurge {
        /// The queue.
        name: Name,
    },
    /// `basic.consume`. Deliveries may follow the answer, never precede it.
    Consume {
        /// The queue.
        queue: Name,
        /// The consumer's number, drawn by the channel.
        consumer: ConsumerNumber,
        /// How it wants to be served.
        terms: ConsumerTerms,
    },
    /// `basic.cancel`: no delivery after the answer.
    Cancel {
        /// The consumer.
        consumer: ConsumerNumber,
    },
    /// `basic.get`
    Get {
        /// The queue.
        queue: Name,
        /// No acknowledgement.
        no_ack: bool,
    },
}

/// Arguments of the four bind and unbind methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Bind {
    /// The queue or exchange that messages go to.
    pub destination: Name,
    /// The exchange that they come from.
    pub source: Name,
    /// The binding key.
    pub key: RoutingKey,
    /// Arguments.
    pub arguments: Arguments,
}

/// The answer to an [`Operation`].
#[derive(Debug)]
pub enum Answer<'a> {
    /// The plain `-ok` of the operation.
    Done,
    /// `queue.declare-ok`
    Queue {
        /// Ready messages.
        messages: u64,
        /// Consumers.
        consumers: u32,
    },
    /// `queue.delete-ok`, `queue.purge-ok`
    Messages(u64),
    /// `basic.get-ok`
    Got {
        /// What the channel holds unless it asked with no-ack.
        held: Held,
        /// The message.
        message: Message<'a>,
        /// Delivered before.
        redelivered: bool,
        /// Ready messages left.
        remaining: u64,
    },
    /// `basic.get-empty`
    Empty,
    /// An exception, with the class and method of the operation.
    Refused(Refusal),
}

/// A delivery from a queue to a consumer of this connection.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Where it came from, and for whom.
    pub held: Held,
    /// Delivered before.
    pub redelivered: bool,
    /// The message.
    pub message: Message<'a>,
}

/// Whether a vhost is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VhostOpening {
    /// It is.
    Now,
    /// `Connection::on_vhost` follows: the node has no lease, so it cannot say that there is none.
    Later,
}

/// The broker, as a connection sees it.
pub trait Host {
    /// What the host keeps for each open channel (its route cache).
    type Channel: Default;

    /// Check a login; `Connection::on_login` follows. `mechanism` is one of those that the server offered.
    fn login(&mut self, mechanism: &str, response: &[u8]);

    /// May the user enter the vhost? What cannot be known now is answered by `Connection::on_vhost`.
    ///
    /// # Errors
    /// 530, as RabbitMQ.
    fn open_vhost(&mut self, vhost: &Name) -> Result<VhostOpening, Refusal>;

    /// A message. hot.
    ///
    /// # Errors
    /// 403 or 404 close the channel, 540 the connection.
    fn publish(
        &mut self,
        channel: ChannelKey,
        state: &mut Self::Channel,
        publish: Publish<'_>,
    ) -> Result<Published, Refusal>;

    /// A message with further routing keys, to be routed by each of them in the same exchange; a queue gets it
    /// once (RabbitMQ: sender-selected distribution).
    ///
    /// # Errors
    /// As for [`Host::publish`].
    fn publish_copies(
        &mut self,
        channel: ChannelKey,
        publish: Publish<'_>,
        keys: &[RoutingKey],
    ) -> Result<Published, Refusal>;

    /// The content of a publish is at fault: is something wrong with its exchange, which is to be said first
    /// (RabbitMQ: write permission, then whether it is there, then internal, then user-id and the others)? What
    /// cannot be known now is not wrong.
    ///
    /// # Errors
    /// 403 or 404, as for the publish.
    fn may_publish(&mut self, channel: ChannelKey, exchange: &[u8]) -> Result<(), Refusal>;

    /// A queue of a type that is not here was declared and is taken as a classic one
    /// (`Config::substitute_queue_types`).
    fn queue_type_substituted(&mut self, queue: &Name, kind: &'static str);

    /// How long a delivery of that queue may be held, if the queue says so (`x-consumer-timeout`); zero is for
    /// ever.
    fn ack_timeout(&self, queue: QueueHandle) -> Option<Duration>;

    /// A name for a queue whose client leaves that to the server.
    fn draw_queue_name(&mut self) -> Name;

    /// The channel consumes replies to its requests from now on: gives the routing key, in the default
    /// exchange, that leads to it. A channel has one at most.
    ///
    /// # Errors
    /// 506 at the bound of such consumers.
    fn open_reply_address(&mut self, channel: ChannelKey, consumer: ConsumerNumber) -> Result<Name, Refusal>;

    /// The channel consumes replies no more. [`Host::channel_closed`] does the same.
    fn close_reply_address(&mut self, channel: ChannelKey);

    /// Something that takes time; `Connection::on_answer` follows.
    fn request(&mut self, channel: ChannelKey, operation: Operation);

    /// The client settled a delivery. hot.
    fn settle(&mut self, channel: ChannelKey, held: Held, how: Settlement);

    /// The channel is closed for something that its client asked; for the log.
    fn channel_refused(&mut self, channel: ChannelNumber, code: ReplyCode, text: &Name);

    /// The channel is gone: its consumers end, then each delivery that it held is given back in order, which
    /// the connection does through [`Host::settle`] *after* this call. A pending request is forgotten.
    fn channel_closed(&mut self, channel: ChannelKey, consumers: &[ConsumerNumber]);

    /// The connection is over, after all of its channels: its exclusive queues go with it. May be called again.
    /// True while they are not gone everywhere; then `Connection::on_queues_gone` follows, if the connection is
    /// still there.
    fn connection_closed(&mut self) -> bool;
}
