//! Definitions through bytes and back.

use std::string::String;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::encoding::arguments::tests::arguments;

pub(crate) fn any_name() -> impl Strategy<Value = Name> {
    any::<String>().prop_map(|text| Name::new(&text))
}

pub(crate) fn any_shard() -> impl Strategy<Value = ShardAddress> {
    any::<(u128, u8)>().prop_map(|(node, shard)| ShardAddress { node: NodeId(node), shard: ShardId(shard) })
}

pub(crate) fn any_owner() -> impl Strategy<Value = Option<ConnectionAddress>> {
    let connection = any::<(u32, u32)>().prop_map(|(slot, generation)| ConnectionKey { slot, generation });
    let owner = (any_shard(), connection);
    prop::option::of(owner.prop_map(|(at, connection)| ConnectionAddress { at, connection }))
}

pub(crate) fn exchange() -> impl Strategy<Value = definition::ExchangeDefinition> {
    let kind = prop::sample::select(&ExchangeKind::ALL[..]);
    (any_name(), any_name(), kind, any::<[bool; 3]>(), arguments()).prop_map(
        |(vhost, name, kind, [durable, auto_delete, internal], arguments)| definition::ExchangeDefinition {
            vhost,
            name,
            kind,
            durable,
            auto_delete,
            internal,
            arguments: arguments.into(),
        },
    )
}

pub(crate) fn binding() -> impl Strategy<Value = definition::Binding> {
    let kind = prop_oneof![Just(DestinationKind::Queue), Just(DestinationKind::Exchange)];
    let key = prop::collection::vec(any::<u8>(), 0..=255).prop_map(|key| RoutingKey::new(&key));
    (any_name(), any_name(), kind, any_name(), key, arguments()).prop_map(
        |(vhost, source, kind, destination, key, arguments)| definition::Binding {
            vhost,
            source,
            kind,
            destination,
            key,
            arguments,
        },
    )
}

pub(crate) fn queue() -> impl Strategy<Value = definition::QueueDefinition> {
    (any_name(), any_name(), any::<[bool; 2]>(), any_owner(), arguments()).prop_map(
        |(vhost, name, [durable, auto_delete], exclusive, arguments)| definition::QueueDefinition {
            vhost,
            name,
            durable,
            exclusive,
            auto_delete,
            arguments: arguments.into(),
        },
    )
}

/// Through bytes, as a message of another node.
fn sent<M: Message + Default>(message: &M) -> M {
    M::decode(&message.encode_to_vec()[..]).unwrap()
}

/// Floats that are no numbers are not equal, but they print alike.
fn shown(value: &impl core::fmt::Debug) -> String {
    std::format!("{value:?}")
}

proptest! {
    #[test]
    fn queues_exchanges_and_bindings_come_back_as_they_were(
        queue in queue(), exchange in exchange(), binding in binding()
    ) {
        let back = sent(&QueueDefinition::from(&queue));
        prop_assert_eq!(shown(&definition::QueueDefinition::try_from(&back).unwrap()), shown(&queue));
        let back = sent(&ExchangeDefinition::from(&exchange));
        prop_assert_eq!(shown(&definition::ExchangeDefinition::try_from(&back).unwrap()), shown(&exchange));
        let back = sent(&Binding::from(&binding));
        prop_assert_eq!(shown(&definition::Binding::try_from(&back).unwrap()), shown(&binding));
    }
}

#[test]
fn a_value_that_the_model_cannot_hold_is_damage() {
    let shard = Shard { shard: 256, ..Shard::default() };
    assert_eq!(ShardAddress::try_from(shard), Err(Damage::Value("shard")));
    let queue = QueueDefinition { name: "x".repeat(256), ..QueueDefinition::default() };
    assert_eq!(definition::QueueDefinition::try_from(&queue), Err(Damage::Value("name")));
    let exchange = ExchangeDefinition { kind: "x-of-tomorrow".into(), ..ExchangeDefinition::default() };
    assert_eq!(definition::ExchangeDefinition::try_from(&exchange), Err(Damage::Value("exchange type")));
}
