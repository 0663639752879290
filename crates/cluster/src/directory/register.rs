//! Last-writer registers: what has no natural owner. Ordered by Lamport counter and node id, never by a clock.
//!
//! Each writer's map holds what *it* last wrote; the register is the latest over all maps, so it is covered by the
//! versions of its writers' maps (R1, R4) and survives any of them.

use alloc::collections::BTreeMap;

use leveret_model::NodeId;
use leveret_model::definition::{ExchangeDefinition, ExchangeKind};

use super::map::{NodeMap, ObjectName, Record, RecordKey, Stamp};

/// An exchange register, read over all maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ExchangeRegister {
    /// The exchange; none if it was never there or is deleted.
    pub(crate) value: Option<ExchangeDefinition>,
    /// The latest write.
    pub(crate) stamp: Option<Stamp>,
    /// The last deletion: bindings made at or before it are void.
    pub(crate) deleted: u64,
}

/// A register whose value was replaced by one of another type: two declares that did not know of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retyped {
    pub(crate) name: ObjectName,
    /// The type that the shards were told before.
    pub(crate) was: ExchangeKind,
    /// The type that they are told now.
    pub(crate) is: ExchangeKind,
}

impl ExchangeRegister {
    /// Reads the register `name`.
    pub(crate) fn read(maps: &BTreeMap<NodeId, NodeMap>, name: &ObjectName) -> Self {
        let key = RecordKey::Exchange(name.clone());
        let mut register = Self::default();
        for map in maps.values() {
            if let Some(Record::Exchange { stamp, deleted, value, .. }) = map.records.get(&key) {
                register.deleted = register.deleted.max(*deleted);
                if register.stamp.is_none_or(|known| known < *stamp) {
                    register.stamp = Some(*stamp);
                    register.value.clone_from(value);
                }
            }
        }
        register
    }
}

/// The exchange of that name that every vhost has from the start; it is never a record.
pub(crate) fn predeclared(name: &ObjectName) -> Option<ExchangeDefinition> {
    ExchangeDefinition::predeclared(&name.vhost, &name.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::Name;

    fn exchange(kind: ExchangeKind) -> ExchangeDefinition {
        ExchangeDefinition {
            kind,
            ..predeclared(&ObjectName::new(&Name::new("/"), &Name::new("amq.topic"))).expect("is predeclared")
        }
    }

    fn write(
        maps: &mut BTreeMap<NodeId, NodeMap>,
        lamport: u64,
        node: u128,
        deleted: u64,
        value: Option<ExchangeDefinition>,
    ) {
        let node = NodeId(node);
        let name = ObjectName::new(&Name::new("/"), &Name::new("x"));
        let record = Record::Exchange { name, stamp: Stamp { lamport, node }, deleted, value };
        maps.entry(node).or_default().records.insert(record.key(), record);
    }

    #[test]
    fn the_last_writer_wins_whatever_the_order_and_the_last_deletion_is_kept() {
        let name = ObjectName::new(&Name::new("/"), &Name::new("x"));
        let mut maps = BTreeMap::new();
        write(&mut maps, 7, 2, 7, None);
        write(&mut maps, 8, 1, 0, Some(exchange(ExchangeKind::Fanout)));
        let register = ExchangeRegister::read(&maps, &name);
        assert_eq!(register.value.map(|x| x.kind), Some(ExchangeKind::Fanout));
        assert_eq!(register.deleted, 7);
        write(&mut maps, 8, 3, 7, Some(exchange(ExchangeKind::Direct)));
        assert_eq!(ExchangeRegister::read(&maps, &name).value.map(|x| x.kind), Some(ExchangeKind::Direct));
    }
}
