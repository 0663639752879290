//! Control frames' fields from and to the model's nouns. To the model is checked: the peer may be of another version.

use alloc::string::ToString;
use alloc::sync::Arc;

use leveret_link::Damage;
use leveret_model::definition::{self, DestinationKind, ExchangeKind};
use leveret_model::directory::{Command, QueueRecord, Reply};
use leveret_model::{
    ConnectionAddress, ConnectionKey, Name, NodeId, Refusal, ReplyCode, RoutingKey, ShardAddress, ShardId,
    Ulid,
};

use super::arguments;
use super::message::{Body, CommandKind, ControlFrame, DeleteQueue, Done, Id, Refused, ReplyKind};
use super::record::{Binding, Connection, ExchangeDefinition, Queue, QueueDefinition, QueueId, Shard};

impl From<Body> for ControlFrame {
    fn from(body: Body) -> Self {
        Self { body: Some(body) }
    }
}

impl From<u128> for Id {
    fn from(bits: u128) -> Self {
        Self { high: (bits >> 64) as u64, low: bits as u64 }
    }
}

impl From<Id> for u128 {
    fn from(id: Id) -> Self {
        (Self::from(id.high) << 64) | Self::from(id.low)
    }
}

impl From<NodeId> for Id {
    fn from(node: NodeId) -> Self {
        node.0.into()
    }
}

impl From<Id> for NodeId {
    fn from(id: Id) -> Self {
        Self(id.into())
    }
}

impl From<leveret_model::QueueId> for QueueId {
    fn from(id: leveret_model::QueueId) -> Self {
        Self { generation: id.generation, ulid: id.ulid.0.into() }
    }
}

impl From<QueueId> for leveret_model::QueueId {
    fn from(id: QueueId) -> Self {
        Self { generation: id.generation, ulid: Ulid(id.ulid.into()) }
    }
}

/// A name of a peer; [`Damage`] if it is too long for one.
pub(crate) fn name(text: &str) -> Result<Name, Damage> {
    Name::from_bytes(text.as_bytes()).map_err(|_| Damage::Value("name"))
}

impl From<ShardAddress> for Shard {
    fn from(at: ShardAddress) -> Self {
        Self { node: at.node.into(), shard: at.shard.0.into() }
    }
}

impl TryFrom<Shard> for ShardAddress {
    type Error = Damage;
    fn try_from(at: Shard) -> Result<Self, Damage> {
        let shard = u8::try_from(at.shard).map(ShardId).map_err(|_| Damage::Value("shard"))?;
        Ok(Self { node: at.node.into(), shard })
    }
}

impl From<ConnectionAddress> for Connection {
    fn from(ConnectionAddress { at, connection }: ConnectionAddress) -> Self {
        Self { at: at.into(), slot: connection.slot, generation: connection.generation }
    }
}

impl TryFrom<Connection> for ConnectionAddress {
    type Error = Damage;
    fn try_from(owner: Connection) -> Result<Self, Damage> {
        let connection = ConnectionKey { slot: owner.slot, generation: owner.generation };
        Ok(Self { at: owner.at.try_into()?, connection })
    }
}

impl From<&definition::ExchangeDefinition> for ExchangeDefinition {
    fn from(exchange: &definition::ExchangeDefinition) -> Self {
        Self {
            vhost: exchange.vhost.to_string(),
            name: exchange.name.to_string(),
            kind: exchange.kind.to_string(),
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
            arguments: arguments::encode(&exchange.arguments),
        }
    }
}

impl TryFrom<&ExchangeDefinition> for definition::ExchangeDefinition {
    type Error = Damage;
    fn try_from(exchange: &ExchangeDefinition) -> Result<Self, Damage> {
        Ok(Self {
            vhost: name(&exchange.vhost)?,
            name: name(&exchange.name)?,
            kind: ExchangeKind::from_name(exchange.kind.as_bytes()).ok_or(Damage::Value("exchange type"))?,
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
            arguments: arguments::decode(&exchange.arguments)?.into(),
        })
    }
}

impl From<&definition::Binding> for Binding {
    fn from(binding: &definition::Binding) -> Self {
        Self {
            vhost: binding.vhost.to_string(),
            source: binding.source.to_string(),
            to_exchange: binding.kind == DestinationKind::Exchange,
            destination: binding.destination.to_string(),
            key: binding.key.to_vec(),
            arguments: arguments::encode(&binding.arguments),
        }
    }
}

impl TryFrom<&Binding> for definition::Binding {
    type Error = Damage;
    fn try_from(binding: &Binding) -> Result<Self, Damage> {
        if binding.key.len() > 255 {
            return Err(Damage::Value("binding key"));
        }
        Ok(Self {
            vhost: name(&binding.vhost)?,
            source: name(&binding.source)?,
            kind: if binding.to_exchange { DestinationKind::Exchange } else { DestinationKind::Queue },
            destination: name(&binding.destination)?,
            key: RoutingKey::new(&binding.key),
            arguments: arguments::decode(&binding.arguments)?,
        })
    }
}

impl From<&definition::QueueDefinition> for QueueDefinition {
    fn from(queue: &definition::QueueDefinition) -> Self {
        Self {
            vhost: queue.vhost.to_string(),
            name: queue.name.to_string(),
            durable: queue.durable,
            exclusive: queue.exclusive.map(Into::into),
            auto_delete: queue.auto_delete,
            arguments: arguments::encode(&queue.arguments),
        }
    }
}

impl TryFrom<&QueueDefinition> for definition::QueueDefinition {
    type Error = Damage;
    fn try_from(queue: &QueueDefinition) -> Result<Self, Damage> {
        Ok(Self {
            vhost: name(&queue.vhost)?,
            name: name(&queue.name)?,
            durable: queue.durable,
            exclusive: queue.exclusive.map(TryInto::try_into).transpose()?,
            auto_delete: queue.auto_delete,
            arguments: arguments::decode(&queue.arguments)?.into(),
        })
    }
}

impl From<&QueueRecord> for Queue {
    fn from(record: &QueueRecord) -> Self {
        Self {
            definition: (&*record.definition).into(),
            id: record.id.into(),
            home: record.home.into(),
            epoch: record.epoch,
        }
    }
}

impl TryFrom<&Queue> for QueueRecord {
    type Error = Damage;
    fn try_from(queue: &Queue) -> Result<Self, Damage> {
        Ok(Self {
            definition: Arc::new((&queue.definition).try_into()?),
            id: queue.id.into(),
            home: queue.home.try_into()?,
            epoch: queue.epoch,
        })
    }
}

impl From<&Command> for CommandKind {
    /// Of a command that is passed on to the home of its queue.
    fn from(command: &Command) -> Self {
        match command {
            Command::DeleteQueue { vhost, name, if_unused, if_empty } => Self::DeleteQueue(DeleteQueue {
                vhost: vhost.to_string(),
                name: name.to_string(),
                if_unused: *if_unused,
                if_empty: *if_empty,
            }),
            Command::Bind(binding) => Self::Bind(binding.into()),
            Command::Unbind(binding) => Self::Unbind(binding.into()),
            Command::DeclareExchange(_) | Command::DeleteExchange { .. } | Command::DeclareQueue { .. } => {
                unreachable!("each node does this itself: {command:?}")
            }
        }
    }
}

impl TryFrom<&CommandKind> for Command {
    type Error = Damage;
    fn try_from(command: &CommandKind) -> Result<Self, Damage> {
        Ok(match command {
            CommandKind::DeleteQueue(delete) => Self::DeleteQueue {
                vhost: name(&delete.vhost)?,
                name: name(&delete.name)?,
                if_unused: delete.if_unused,
                if_empty: delete.if_empty,
            },
            CommandKind::Bind(binding) => Self::Bind(queue_binding(binding)?),
            CommandKind::Unbind(binding) => Self::Unbind(queue_binding(binding)?),
        })
    }
}

/// Of those between exchanges each node keeps registers of its own.
fn queue_binding(binding: &Binding) -> Result<definition::Binding, Damage> {
    if binding.to_exchange { Err(Damage::Value("destination")) } else { binding.try_into() }
}

impl From<&Reply> for ReplyKind {
    /// Of an answer to a command that was passed on.
    fn from(reply: &Reply) -> Self {
        match reply {
            Reply::Done => Self::Done(Done {}),
            Reply::Deleted { messages } => Self::Deleted(*messages),
            Reply::Refused(refusal) => {
                Self::Refused(Refused { code: refusal.code.code().into(), text: refusal.text.clone() })
            }
            Reply::Queue { .. } => unreachable!("no declaration is passed on: {reply:?}"),
        }
    }
}

impl TryFrom<&ReplyKind> for Reply {
    type Error = Damage;
    fn try_from(reply: &ReplyKind) -> Result<Self, Damage> {
        Ok(match reply {
            ReplyKind::Done(Done {}) => Self::Done,
            ReplyKind::Deleted(messages) => Self::Deleted { messages: *messages },
            ReplyKind::Refused(refused) => {
                let code = u16::try_from(refused.code).ok().and_then(ReplyCode::from_code);
                Self::Refused(Refusal::new(code.ok_or(Damage::Value("reply code"))?, refused.text.clone()))
            }
        })
    }
}

#[cfg(test)]
mod tests;
