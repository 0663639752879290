//! What a client asks and waits for, one at a time per channel.

use leveret_model::NodeId;
use leveret_wire::method::{
    BasicCancel, BasicConsume, BasicGet, BasicQos, ConfirmSelect, ExchangeBind, ExchangeDeclare,
    ExchangeDelete, QueueBind, QueueDeclare, QueueDelete, QueuePurge, QueueUnbind,
};
use leveret_wire::{Method, Table, encode_arguments};

use crate::channel::{Channel, Consumer};
use crate::event::HostId;
use crate::removals::{self, RemovalNumber};
use crate::topology::{BRIEF, Base, Exchange, OWN, base_of};
use crate::world::Ways;

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    ConfirmSelect,
    Qos(u16),
    DeclareExchange(Exchange),
    DeleteExchange(Exchange),
    /// Source, destination.
    BindExchange(Exchange, Exchange),
    DeclareQueue(Base),
    Bind(Exchange, &'static str, Base),
    Unbind(Exchange, &'static str, Base),
    Consume {
        queue: String,
        tag: String,
        prefetch: u16,
        no_ack: bool,
        consumer: u32,
    },
    /// Ends the channel's one consumer.
    Cancel(String),
    Get {
        base: Base,
        no_ack: bool,
        consumer: u32,
    },
    Delete(Base, RemovalNumber),
    Purge(Base, RemovalNumber),
    /// The exclusive queue that several clients want.
    DeclareOwn,
    /// The auto-delete queue, which nobody publishes to.
    DeclareBrief,
    ConsumeBrief(String),
    CancelBrief(String),
}

impl Request {
    /// Writes it.
    pub(crate) fn send(
        &mut self,
        (channel, at): (u16, (NodeId, HostId)),
        out: &mut Vec<u8>,
        ways: &mut Ways<'_>,
    ) {
        self.note(ways);
        self.enter(at, ways);
        let arguments = self.arguments();
        let arguments = Table(&arguments);
        let mut say = |method: Method<'_>| method.encode_frame(channel, out);
        match self {
            Self::ConfirmSelect => say(ConfirmSelect { no_wait: false }.into()),
            Self::Qos(prefetch) => {
                say(BasicQos { prefetch_size: 0, prefetch_count: *prefetch, global: false }.into());
            }
            Self::DeclareExchange(_) | Self::DeleteExchange(_) | Self::BindExchange(..) => {
                self.send_exchange(channel, out);
            }
            Self::DeclareQueue(base) => {
                say(QueueDeclare {
                    queue: base.name().as_bytes(),
                    durable: base.0 % 2 == 0,
                    ..Default::default()
                }
                .into());
            }
            Self::Bind(exchange, key, base) => say(QueueBind {
                queue: base.name().as_bytes(),
                exchange: exchange.name().as_bytes(),
                routing_key: key.as_bytes(),
                arguments,
                ..Default::default()
            }
            .into()),
            Self::Unbind(exchange, key, base) => {
                say(QueueUnbind {
                    queue: base.name().as_bytes(),
                    exchange: exchange.name().as_bytes(),
                    routing_key: key.as_bytes(),
                    arguments,
                }
                .into());
            }
            Self::Consume { queue, tag, no_ack, .. } => {
                say(BasicConsume {
                    queue: queue.as_bytes(),
                    consumer_tag: tag.as_bytes(),
                    no_ack: *no_ack,
                    ..Default::default()
                }
                .into());
            }
            Self::Cancel(tag) => say(BasicCancel { consumer_tag: tag.as_bytes(), no_wait: false }.into()),
            Self::Get { base, no_ack, .. } => {
                say(BasicGet { queue: base.name().as_bytes(), no_ack: *no_ack }.into());
            }
            Self::DeclareOwn | Self::DeclareBrief | Self::ConsumeBrief(_) | Self::CancelBrief(_) => {
                self.send_ending(channel, out);
            }
            Self::Delete(base, _) => {
                say(QueueDelete { queue: base.name().as_bytes(), ..Default::default() }.into());
            }
            Self::Purge(base, _) => {
                say(QueuePurge { queue: base.name().as_bytes(), no_wait: false }.into());
            }
        }
    }

    fn send_ending(&self, channel: u16, out: &mut Vec<u8>) {
        let mut say = |method: Method<'_>| method.encode_frame(channel, out);
        match self {
            Self::DeclareOwn | Self::DeclareBrief => {
                let exclusive = matches!(self, Self::DeclareOwn);
                let queue = if exclusive { OWN } else { BRIEF };
                say(QueueDeclare {
                    queue: queue.as_bytes(),
                    exclusive,
                    auto_delete: !exclusive,
                    ..Default::default()
                }
                .into());
            }
            Self::ConsumeBrief(tag) => {
                say(BasicConsume {
                    queue: BRIEF.as_bytes(),
                    consumer_tag: tag.as_bytes(),
                    ..Default::default()
                }
                .into());
            }
            Self::CancelBrief(tag) => {
                say(BasicCancel { consumer_tag: tag.as_bytes(), no_wait: false }.into());
            }
            _ => {}
        }
    }

    fn send_exchange(&self, channel: u16, out: &mut Vec<u8>) {
        let mut say = |method: Method<'_>| method.encode_frame(channel, out);
        match self {
            Self::DeclareExchange(exchange) => say(ExchangeDeclare {
                exchange: exchange.name().as_bytes(),
                kind: exchange.kind().as_bytes(),
                ..Default::default()
            }
            .into()),
            Self::DeleteExchange(exchange) => {
                say(ExchangeDelete { exchange: exchange.name().as_bytes(), ..Default::default() }.into());
            }
            Self::BindExchange(source, destination) => say(ExchangeBind {
                source: source.name().as_bytes(),
                destination: destination.name().as_bytes(),
                ..Default::default()
            }
            .into()),
            _ => {}
        }
    }

    /// Whoever takes messages gets a number of its own.
    fn enter(&mut self, at: (NodeId, HostId), ways: &mut Ways<'_>) {
        let (base, renamed, no_ack, is_get, number) = match self {
            Self::Consume { queue, no_ack, consumer, .. } => {
                let Some((base, renamed)) = base_of(queue) else { return };
                (base, renamed, *no_ack, false, consumer)
            }
            Self::Get { base, no_ack, consumer } => (*base, false, *no_ack, true, consumer),
            _ => return,
        };
        *number = ways.oracle.consuming(ways.schedule.now, base, renamed);
        if no_ack {
            ways.oracle.losses.asked(ways.schedule.now, *number, base, at, is_get);
        }
    }

    /// Who it lets messages go to.
    pub(crate) fn taker(&self) -> Option<u32> {
        match self {
            Self::Consume { consumer, .. } | Self::Get { consumer, .. } => Some(*consumer),
            _ => None,
        }
    }

    /// The oracle hears of what may end something from now on.
    fn note(&mut self, ways: &mut Ways<'_>) {
        let now = ways.schedule.now;
        match self {
            Self::DeleteExchange(exchange) => ways.oracle.deleting_exchange(now, *exchange),
            Self::Unbind(exchange, key, base) => ways.oracle.unbinding(now, *exchange, key, *base),
            Self::Delete(base, number) => *number = ways.oracle.deleting(now, *base),
            Self::Purge(base, number) => {
                *number = ways.oracle.removals.asked(now, *base, removals::Kind::Purge);
            }
            _ => {}
        }
    }

    /// It was refused: its channel is closed for it.
    pub(crate) fn refused(&self, (code, text): (u16, &[u8]), ways: &mut Ways<'_>) {
        if let Self::Delete(base, number) | Self::Purge(base, number) = self
            && removals::is_certain(code, text)
        {
            ways.oracle.removals.refused(*base, *number);
        }
    }

    /// The fields of a binding's arguments.
    fn arguments(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        if let Self::Bind(exchange, key, _) | Self::Unbind(exchange, key, _) = self {
            encode_arguments(&exchange.binding_arguments(key), &mut fields);
        }
        fields
    }

    /// Its answer came.
    pub(crate) fn answered(self, channel: &mut Channel, answer: &Method<'_>, ways: &mut Ways<'_>) {
        let now = ways.schedule.now;
        match (self, answer) {
            (Self::ConfirmSelect, Method::ConfirmSelectOk(_)) => channel.confirms = true,
            (Self::DeclareQueue(base), Method::QueueDeclareOk(_)) => {
                ways.oracle.bound(now, Exchange::Default, &base.name(), base);
            }
            (Self::Bind(exchange, key, base), Method::QueueBindOk(_)) => {
                ways.oracle.bound(now, exchange, key, base);
            }
            (Self::Unbind(exchange, key, base), Method::QueueUnbindOk(_)) => {
                ways.oracle.unbound(exchange, key, base);
            }
            (Self::Consume { queue, tag, prefetch, no_ack, consumer }, Method::BasicConsumeOk(_)) => {
                let Some((base, renamed)) = base_of(&queue) else { return };
                ways.oracle.consumes(now, consumer, base, renamed);
                let known =
                    Consumer { id: consumer, queue, base, prefetch, no_ack, expects_redelivered: None };
                channel.consumers.insert(tag, known);
            }
            (Self::Cancel(tag), Method::BasicCancelOk(_)) => {
                if let Some(consumer) = channel.consumers.remove(&tag) {
                    ways.oracle.losses.ended(now, consumer.id, true);
                }
            }
            (Self::Get { consumer, .. }, Method::BasicGetEmpty(_)) => {
                ways.oracle.losses.ended(now, consumer, true);
            }
            (Self::Qos(_), Method::BasicQosOk(_))
            | (Self::DeclareExchange(_), Method::ExchangeDeclareOk(_))
            | (Self::DeleteExchange(_), Method::ExchangeDeleteOk(_))
            | (Self::BindExchange(..), Method::ExchangeBindOk(_))
            | (Self::DeclareOwn | Self::DeclareBrief, Method::QueueDeclareOk(_))
            | (Self::ConsumeBrief(_), Method::BasicConsumeOk(_))
            | (Self::CancelBrief(_), Method::BasicCancelOk(_)) => {}
            (Self::Delete(base, number), Method::QueueDeleteOk(_))
            | (Self::Purge(base, number), Method::QueuePurgeOk(_)) => {
                ways.oracle.removals.done(now, base, number);
            }
            (request, answer) => {
                ways.oracle.violation(now, "liveness", format!("{request:?} was answered by {answer:?}"));
            }
        }
    }
}
