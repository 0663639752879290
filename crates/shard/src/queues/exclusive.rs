//! Exclusive queues of this shard, and whose they are.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::definition::QueueDefinition;
use leveret_model::{ConnectionKey, QueueHandle, ShardAddress};

/// Exclusive queues that are at home here, which is where their connection is.
#[derive(Debug, Default)]
pub(super) struct Exclusive(BTreeSet<(ConnectionKey, QueueHandle)>);

impl Exclusive {
    pub(super) fn insert(&mut self, owner: ConnectionKey, handle: QueueHandle) {
        self.0.insert((owner, handle));
    }

    pub(super) fn remove(&mut self, owner: ConnectionKey, handle: QueueHandle) {
        self.0.remove(&(owner, handle));
    }

    pub(super) fn of(&self, owner: ConnectionKey) -> Vec<QueueHandle> {
        let first = (owner, QueueHandle::default());
        self.0.range(first..).take_while(|(at, _)| *at == owner).map(|(_, handle)| *handle).collect()
    }
}

/// The connection of this shard that a queue is exclusive to.
pub(super) fn owner(definition: &QueueDefinition, own: ShardAddress) -> Option<ConnectionKey> {
    definition.exclusive.filter(|owner| owner.at == own).map(|owner| owner.connection)
}
