//! Messages from and to the model's nouns. What comes from bytes is checked: a peer may be of another version.

use alloc::string::ToString;

use leveret_link::Damage;
use leveret_model::definition::{self, DestinationKind, ExchangeKind};
use leveret_model::policy::{ApplyTo, PolicyDefinition};
use leveret_model::{
    ConnectionAddress, ConnectionKey, Name, NodeId, RoutingKey, ShardAddress, ShardId, Ulid,
};

use super::arguments;
use super::messages::{Binding, Connection, ExchangeDefinition, Id, Policy, QueueDefinition, QueueId, Shard};

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

impl From<&PolicyDefinition> for Policy {
    fn from(policy: &PolicyDefinition) -> Self {
        Self {
            vhost: policy.vhost.to_string(),
            name: policy.name.to_string(),
            pattern: policy.pattern.to_string(),
            apply_to: policy.apply_to.to_string(),
            priority: policy.priority,
            settings: arguments::encode(&policy.settings),
        }
    }
}

impl TryFrom<&Policy> for PolicyDefinition {
    type Error = Damage;
    fn try_from(policy: &Policy) -> Result<Self, Damage> {
        Ok(Self {
            vhost: name(&policy.vhost)?,
            name: name(&policy.name)?,
            pattern: policy.pattern.as_str().into(),
            // a later version may know more
            apply_to: ApplyTo::from_name(&policy.apply_to).ok_or(Damage::Value("apply-to"))?,
            priority: policy.priority,
            settings: arguments::decode(&policy.settings)?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
