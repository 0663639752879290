//! Operations: methods that wait for the broker. At most one is under way in a channel.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::known_arguments::milliseconds;
use leveret_model::limits::CONSUMERS_PER_CHANNEL_MAX;
use leveret_model::surface::Feature;
use leveret_model::{ConsumerNumber, ConsumerTerms, DIRECT_REPLY_TO, Name, ReplyCode, RoutingKey, Value};
use leveret_wire::Method;
use leveret_wire::method::{BasicCancel, BasicCancelOk, BasicConsume, QueueDeclare};

use super::arguments::{self, ArgumentsOf};
use super::topology::{
    Declared, exchange_bind, exchange_declare, exchange_delete, exchange_unbind, queue_bind, queue_declare,
    queue_delete, queue_unbind, to_name, to_plain_name,
};
use super::{Channel, Wait};
use crate::exception::{Exception, MethodId};
use crate::host::{Host, Operation};
use crate::surface::demand;
use crate::turn::{Shared, Turn};

/// What an answer is turned into.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nothing: the client said no-wait.
    Quiet,
    ExchangeDeclareOk,
    ExchangeDeleteOk,
    ExchangeBindOk,
    ExchangeUnbindOk,
    QueueDeclareOk {
        name: Name,
        no_wait: bool,
    },
    QueueDeleteOk,
    QueueBindOk,
    QueueUnbindOk,
    QueuePurgeOk,
    ConsumeOk {
        number: ConsumerNumber,
        tag: Name,
        no_ack: bool,
        no_wait: bool,
        ack_timeout: Option<Duration>,
    },
    CancelOk {
        number: ConsumerNumber,
        tag: Name,
        no_wait: bool,
    },
    Got {
        no_ack: bool,
    },
}

impl Reply {
    /// This reply, or none with no-wait.
    fn unless(self, no_wait: bool) -> Self {
        if no_wait { Self::Quiet } else { self }
    }
}

/// An operation under way.
#[derive(Debug)]
pub(crate) struct Pending {
    /// To blame if it is refused.
    pub(super) method: MethodId,
    pub(super) reply: Reply,
    /// Tags of consumers that ended meanwhile; their clients are told after the answer.
    pub(super) ended_consumers: Vec<Name>,
}

impl Pending {
    /// It deletes a queue, and its client is told when that is done: before it is told of its consumers, as by
    /// RabbitMQ.
    pub(super) fn precedes_cancel(&self) -> bool {
        matches!(self.reply, Reply::QueueDeleteOk)
    }

    /// It asks for a message.
    pub(super) fn is_get(&self) -> bool {
        matches!(self.reply, Reply::Got { .. })
    }

    /// The consumer that its client ends.
    pub(super) fn ends_consumer(&self) -> Option<ConsumerNumber> {
        match self.reply {
            Reply::CancelOk { number, .. } => Some(number),
            _ => None,
        }
    }

    /// The consumer that is being added.
    pub(super) fn new_consumer(&self) -> Option<ConsumerNumber> {
        match self.reply {
            Reply::ConsumeOk { number, .. } => Some(number),
            _ => None,
        }
    }
}

impl<C> Channel<C> {
    /// A method that is none of those that are done at once.
    pub(super) fn on_operation<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        id: MethodId,
        method: Method<'_>,
    ) -> Result<(), Exception> {
        let (operation, reply) = match method {
            Method::ExchangeDeclare(m) => (
                exchange_declare(id, &m, &turn.shared.client.vhost)?,
                Reply::ExchangeDeclareOk.unless(m.no_wait),
            ),
            Method::ExchangeDelete(m) => {
                (exchange_delete(id, &m)?, Reply::ExchangeDeleteOk.unless(m.no_wait))
            }
            Method::ExchangeBind(m) => (exchange_bind(id, &m)?, Reply::ExchangeBindOk.unless(m.no_wait)),
            Method::ExchangeUnbind(m) => {
                (exchange_unbind(id, &m)?, Reply::ExchangeUnbindOk.unless(m.no_wait))
            }
            Method::QueueDeclare(m) => declare_queue(turn, id, &m)?,
            Method::QueueDelete(m) => {
                let queue = self.queue_named(id, m.queue)?;
                (queue_delete(queue, &m), Reply::QueueDeleteOk.unless(m.no_wait))
            }
            Method::QueueBind(m) => {
                let ends = self.ends_of_binding(id, m.queue, m.routing_key)?;
                (queue_bind(id, ends, &m)?, Reply::QueueBindOk.unless(m.no_wait))
            }
            Method::QueueUnbind(m) => {
                let ends = self.ends_of_binding(id, m.queue, m.routing_key)?;
                (queue_unbind(id, ends, &m)?, Reply::QueueUnbindOk)
            }
            Method::QueuePurge(m) => {
                let name = self.queue_named(id, m.queue)?;
                (Operation::QueuePurge { name }, Reply::QueuePurgeOk.unless(m.no_wait))
            }
            Method::BasicConsume(m) if m.queue == DIRECT_REPLY_TO => {
                return self.consume_replies(turn, id, &m);
            }
            Method::BasicConsume(m) => {
                self.demand_room(turn.shared, id, m.no_ack)?;
                self.consume(turn.shared, id, &m)?
            }
            Method::BasicCancel(m) => match self.cancel(turn, id, &m)? {
                Some(both) => both,
                None => return Ok(()),
            },
            Method::BasicGet(m) => {
                let queue = self.queue_named(id, m.queue)?;
                self.demand_room(turn.shared, id, m.no_ack)?;
                (Operation::Get { queue, no_ack: m.no_ack }, Reply::Got { no_ack: m.no_ack })
            }
            other => return Err(misplaced(id, other.name())),
        };
        let pending = Pending { method: id, reply, ended_consumers: Vec::new() };
        if pending.is_get() && !turn.shared.gets.begin(self.key.number) {
            self.wait = Wait::Turn(Box::new((pending, operation)));
            return Ok(());
        }
        self.wait = Wait::Answer(Box::new(pending));
        turn.host.request(self.key, operation);
        Ok(())
    }

    /// A queue by its name; an empty one stands for the queue that was declared last (AMQP 0-9-1 §1.7.2.3).
    fn queue_named(&self, id: MethodId, bytes: &[u8]) -> Result<Name, Exception> {
        if !bytes.is_empty() {
            return to_plain_name(id, "queue name", bytes);
        }
        if self.last_queue.is_empty() {
            // RabbitMQ: rabbit_channel:expand_queue_name_shortcut/2
            return Err(Exception::new(ReplyCode::NotFound, id, "no previously declared queue"));
        }
        Ok(self.last_queue.clone())
    }

    /// Queue and key of a binding. With both empty the key is the name of the queue too (AMQP 0-9-1 §1.7.2.5).
    fn ends_of_binding(
        &self,
        id: MethodId,
        queue: &[u8],
        key: &[u8],
    ) -> Result<(Name, RoutingKey), Exception> {
        let name = self.queue_named(id, queue)?;
        let key = if queue.is_empty() && key.is_empty() { name.as_bytes() } else { key };
        let key = RoutingKey::new(key);
        Ok((name, key))
    }

    /// `limits::UNACKED_PER_CHANNEL_MAX`
    fn demand_room(&self, shared: &Shared, id: MethodId, no_ack: bool) -> Result<(), Exception> {
        if no_ack || !self.is_full(shared) {
            return Ok(());
        }
        let max = shared.config.unacked_per_channel_max;
        let text = format!("channel holds {max} unacknowledged messages, which is the limit");
        Err(Exception::new(ReplyCode::PreconditionFailed, id, text))
    }

    /// It is its turn: it asks for its message.
    pub(crate) fn get_now<H: Host<Channel = C>>(&mut self, host: &mut H) {
        match core::mem::replace(&mut self.wait, Wait::Nothing) {
            Wait::Turn(turn) => {
                let (pending, operation) = *turn;
                self.wait = Wait::Answer(Box::new(pending));
                host.request(self.key, operation);
            }
            other => unreachable!("who stands in line waits for its turn, not {other:?}"),
        }
    }

    fn consume(
        &mut self,
        shared: &Shared,
        id: MethodId,
        m: &BasicConsume<'_>,
    ) -> Result<(Operation, Reply), Exception> {
        const PLACE: &str = "basic.consume";
        let queue = self.queue_named(id, m.queue)?;
        let mut table = arguments::read(id, m.arguments)?;
        if shared.config.substitute_queue_types {
            arguments::drop_foreign(PLACE, &mut table);
        }
        let arguments_of = ArgumentsOf {
            method: id,
            place: PLACE,
            kind: "queue",
            name: &queue,
            vhost: &shared.client.vhost,
        };
        let arguments = arguments_of.check(table)?;
        let priority = arguments.get("x-priority").and_then(Value::as_integer).unwrap_or(0);
        let ack_timeout = arguments.get("x-consumer-timeout").and_then(milliseconds);
        let (number, tag) = self.draw_consumer(id, m.consumer_tag)?;
        let terms = ConsumerTerms {
            no_ack: m.no_ack,
            exclusive: m.exclusive,
            prefetch: self.prefetch,
            // a priority is no more than an order, so one beyond 32 bits is as good as the last within
            priority: priority.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        };
        let operation = Operation::Consume { queue, consumer: number, terms };
        Ok((operation, Reply::ConsumeOk { number, tag, no_ack: m.no_ack, no_wait: m.no_wait, ack_timeout }))
    }

    /// Number and tag of a new consumer; the tag is drawn if the client asks for none.
    pub(super) fn draw_consumer(
        &mut self,
        id: MethodId,
        tag: &[u8],
    ) -> Result<(ConsumerNumber, Name), Exception> {
        let asked = to_name(id, "consumer tag", tag)?;
        if self.consumers.by_tag(&asked).is_some() {
            let text = format!("attempt to reuse consumer tag '{asked}'");
            return Err(Exception::new(ReplyCode::NotAllowed, id, text));
        }
        if self.consumers.len() >= CONSUMERS_PER_CHANNEL_MAX {
            let text = format!("more than {CONSUMERS_PER_CHANNEL_MAX} consumers on one channel");
            return Err(Exception::new(ReplyCode::NotAllowed, id, text));
        }
        self.last_consumer += 1;
        let number = ConsumerNumber(self.last_consumer);
        let tag = if asked.is_empty() { Name::new(&self.server_tag(number)) } else { asked };
        Ok((number, tag))
    }

    /// `None` if it is done: the consumer of replies, or no such consumer, which is answered like success (AMQP
    /// 0-9-1 §1.8.3.5: idempotent).
    fn cancel<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        id: MethodId,
        m: &BasicCancel<'_>,
    ) -> Result<Option<(Operation, Reply)>, Exception> {
        let tag = to_name(id, "consumer tag", m.consumer_tag)?;
        let Some(consumer) = self.consumers.by_tag(&tag) else {
            if !m.no_wait {
                turn.shared.send(self.key.number, &BasicCancelOk { consumer_tag: tag.as_bytes() });
            }
            return Ok(None);
        };
        let number = consumer.number;
        if self.cancel_replies(turn, number, m.no_wait) {
            return Ok(None);
        }
        Ok(Some((
            Operation::Cancel { consumer: number },
            Reply::CancelOk { number, tag, no_wait: m.no_wait },
        )))
    }
}

fn declare_queue<H: Host>(
    turn: &mut Turn<'_, H>,
    id: MethodId,
    m: &QueueDeclare<'_>,
) -> Result<(Operation, Reply), Exception> {
    let mut name = to_plain_name(id, "queue name", m.queue)?;
    // a passive declare draws none: there is no queue without a name (RabbitMQ: 404)
    let server_named = name.is_empty() && !m.passive;
    if server_named {
        name = turn.host.draw_queue_name();
    }
    let declared = Declared {
        vhost: &turn.shared.client.vhost,
        connection: turn.shared.key,
        name: name.clone(),
        server_named,
        substitutes: turn.shared.config.substitute_queue_types,
    };
    let (operation, substituted) = queue_declare(id, m, declared)?;
    if let Some(kind) = substituted {
        turn.host.queue_type_substituted(&name, kind);
    }
    Ok((operation, Reply::QueueDeclareOk { name, no_wait: m.no_wait }))
}

/// A method that has no place here: not built yet, for the connection, or only for servers to send. Of a family
/// (tx) the requests are in the table.
fn misplaced(id: MethodId, name: &str) -> Exception {
    match demand(name, Feature::Method, name.as_bytes(), id) {
        Err(not_built) => not_built,
        Ok(()) => {
            Exception::new(ReplyCode::CommandInvalid, id, format!("unexpected method {name} from a client"))
        }
    }
}
