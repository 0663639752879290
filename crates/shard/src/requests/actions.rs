//! What an operation comes to: who may ask for it, and a command for the control machine or a question for a
//! home.

use alloc::sync::Arc;

use leveret_amqp::host::{Bind, Operation};
use leveret_auth::Access;
use leveret_model::definition::{Binding, DestinationKind, QueueDefinition};
use leveret_model::directory::Command;
use leveret_model::{
    ConnectionAddress, ConnectionKey, ConsumerNumber, Name, Refusal, ShardAddress, refusals,
};
use leveret_route::validate_binding;

use super::Rooms;
use crate::queues::Question;

/// What is to be done about an operation first.
#[derive(Debug)]
pub(super) enum Action {
    /// It is the directory's.
    Command(Command),
    /// Is the exchange there?
    FindExchange(Name),
    /// The queue is to be found and asked.
    Ask(Name, Question),
    /// The consumer is to end.
    Cancel(ConsumerNumber),
}

impl Rooms<'_> {
    /// RabbitMQ's table: declare and delete need configure; bind and unbind write at the destination and read
    /// at the source; consume, get and purge need read. A passive declare needs any right.
    pub(super) fn may(&self, connection: ConnectionKey, operation: &Operation) -> Result<(), Refusal> {
        let (exchange, queue) = ("exchange", "queue");
        match operation {
            Operation::ExchangeDeclare(definition) => {
                self.clients.authorize(connection, Access::Configure, exchange, &definition.name)
            }
            Operation::ExchangeDelete { name, .. } => {
                self.clients.authorize(connection, Access::Configure, exchange, name)
            }
            Operation::QueueDeclare(definition) | Operation::QueueDeclareServerNamed(definition) => {
                self.clients.authorize(connection, Access::Configure, queue, &definition.name)
            }
            Operation::QueueDelete { name, .. } => {
                self.clients.authorize(connection, Access::Configure, queue, name)
            }
            Operation::ExchangeDeclarePassive { name } => self.authorize_any(connection, exchange, name),
            Operation::QueueDeclarePassive { name } => self.authorize_any(connection, queue, name),
            Operation::ExchangeBind(bind) | Operation::ExchangeUnbind(bind) => {
                self.clients.authorize(connection, Access::Write, exchange, &bind.destination)?;
                self.clients.authorize(connection, Access::Read, exchange, &bind.source)
            }
            Operation::QueueBind(bind) | Operation::QueueUnbind(bind) => {
                self.clients.authorize(connection, Access::Write, queue, &bind.destination)?;
                self.clients.authorize(connection, Access::Read, exchange, &bind.source)
            }
            Operation::QueuePurge { name }
            | Operation::Consume { queue: name, .. }
            | Operation::Get { queue: name, .. } => {
                self.clients.authorize(connection, Access::Read, queue, name)
            }
            Operation::Cancel { .. } => Ok(()),
        }
    }

    /// What the kind of the source asks of key and arguments; a source that is not there is the directory's to
    /// refuse.
    fn check_binding(&self, vhost: &Name, bind: &Bind) -> Result<(), Refusal> {
        let vhost = self.view.table.vhost(vhost);
        let source = vhost.and_then(|vhost| self.view.table.exchange(vhost, bind.source.as_bytes()));
        let definition = source.and_then(|source| self.view.table.definition(source));
        definition.map_or(Ok(()), |exchange| validate_binding(exchange.kind, &bind.key, &bind.arguments))
    }

    /// An exclusive queue is for its own connection (RabbitMQ: `rabbit_amqqueue:check_exclusive_access/2`). One
    /// that is not in the map is the directory's to judge.
    fn check_lock(&self, client: ConnectionAddress, queue: &Name) -> Result<(), Refusal> {
        let vhost = self.clients.get(client.connection).vhost;
        let entry = vhost.and_then(|vhost| self.view.table.queue(vhost, queue.as_bytes()));
        match entry {
            Some(entry) if !entry.masked => check_lock_of(client, &entry.record.definition),
            Some(_) | None => Ok(()),
        }
    }

    /// A binding that is not there may be unbound by anybody (RabbitMQ).
    fn check_unbind(&self, client: ConnectionAddress, binding: &Binding) -> Result<(), Refusal> {
        let Err(locked) = self.check_lock(client, &binding.destination) else { return Ok(()) };
        let table = &self.view.table;
        let vhost = table.vhost(&binding.vhost);
        let source = vhost.and_then(|vhost| table.exchange(vhost, binding.source.as_bytes()));
        let mut bindings = source.into_iter().flat_map(|source| table.bindings_of(source));
        if bindings.any(|known| known.to_binding().same(binding)) { Err(locked) } else { Ok(()) }
    }

    fn authorize_any(&self, connection: ConnectionKey, kind: &str, name: &str) -> Result<(), Refusal> {
        self.clients
            .authorize(connection, Access::Configure, kind, name)
            .or_else(|_| self.clients.authorize(connection, Access::Write, kind, name))
            .or_else(|_| self.clients.authorize(connection, Access::Read, kind, name))
    }

    /// What an operation of a client is.
    pub(super) fn action_of(
        &self,
        own: ShardAddress,
        operation: &Operation,
        by: ConnectionKey,
    ) -> Result<Action, Refusal> {
        let vhost = self.clients.get(by).vhost_name.clone();
        let client = ConnectionAddress { at: own, connection: by };
        let command = match operation {
            Operation::ExchangeDeclarePassive { name } => {
                return Ok(Action::FindExchange(name.clone()));
            }
            Operation::ExchangeDeclare(definition) => {
                if definition.name.is_empty() {
                    return Err(refusals::default_exchange());
                }
                Command::DeclareExchange((**definition).clone())
            }
            Operation::ExchangeDelete { name, .. } if name.is_empty() => {
                return Err(refusals::default_exchange());
            }
            Operation::ExchangeDelete { name, if_unused } => {
                Command::DeleteExchange { vhost, name: name.clone(), if_unused: *if_unused }
            }
            Operation::ExchangeBind(bind) => {
                self.check_binding(&vhost, bind)?;
                Command::Bind(binding(vhost, DestinationKind::Exchange, bind)?)
            }
            Operation::ExchangeUnbind(bind) => {
                Command::Unbind(binding(vhost, DestinationKind::Exchange, bind)?)
            }
            Operation::QueueBind(bind) => {
                self.check_lock(client, &bind.destination)?;
                self.check_binding(&vhost, bind)?;
                Command::Bind(binding(vhost, DestinationKind::Queue, bind)?)
            }
            Operation::QueueUnbind(bind) => {
                let unbound = binding(vhost, DestinationKind::Queue, bind)?;
                self.check_unbind(client, &unbound)?;
                Command::Unbind(unbound)
            }
            Operation::QueueDeclarePassive { name } => {
                return Ok(Action::Ask(name.clone(), Question::Inspect));
            }
            Operation::QueueDeclare(definition) | Operation::QueueDeclareServerNamed(definition) => {
                let mut definition = definition.clone();
                if definition.exclusive.is_some() {
                    Arc::make_mut(&mut definition).exclusive = Some(client);
                }
                let server_named = matches!(operation, Operation::QueueDeclareServerNamed(_));
                Command::DeclareQueue { definition, home: own, server_named }
            }
            Operation::QueueDelete { name, if_unused, if_empty } => {
                self.check_lock(client, name)?;
                Command::DeleteQueue { vhost, name: name.clone(), if_unused: *if_unused, if_empty: *if_empty }
            }
            Operation::QueuePurge { name } => return Ok(Action::Ask(name.clone(), Question::Purge)),
            Operation::Consume { queue, consumer, terms } => {
                let question = Question::Subscribe { consumer: *consumer, terms: *terms };
                return Ok(Action::Ask(queue.clone(), question));
            }
            Operation::Get { queue, no_ack } => {
                return Ok(Action::Ask(queue.clone(), Question::Get { no_ack: *no_ack }));
            }
            Operation::Cancel { consumer } => return Ok(Action::Cancel(*consumer)),
        };
        Ok(Action::Command(command))
    }
}

/// Is the queue free for a client?
pub(super) fn check_lock_of(client: ConnectionAddress, queue: &QueueDefinition) -> Result<(), Refusal> {
    match queue.exclusive {
        Some(owner) if owner != client => Err(refusals::locked(&queue.name, &queue.vhost)),
        Some(_) | None => Ok(()),
    }
}

fn binding(vhost: Name, kind: DestinationKind, bind: &Bind) -> Result<Binding, Refusal> {
    if bind.source.is_empty() || (kind == DestinationKind::Exchange && bind.destination.is_empty()) {
        return Err(refusals::default_exchange());
    }
    Ok(Binding {
        vhost,
        source: bind.source.clone(),
        kind,
        destination: bind.destination.clone(),
        key: bind.key.clone(),
        arguments: bind.arguments.clone(),
    })
}
