//! Queues of this shard that end by themselves: with the connection that they are exclusive to, after their last
//! consumer, or because nobody used them.
//!
//! Such a queue closes at once, so that nobody comes in between; then its record is deleted by the control
//! machine, as after a client's `queue.delete` (`requests/endings.rs`).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::definition::QueueDefinition;
use leveret_model::{ConnectionKey, QueueHandle, QueueId, ShardAddress};

use super::Queues;
use super::places::Place;

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

    fn of(&self, owner: ConnectionKey) -> Vec<QueueHandle> {
        let first = (owner, QueueHandle::default());
        self.0.range(first..).take_while(|(at, _)| *at == owner).map(|(_, handle)| *handle).collect()
    }
}

/// The connection of this shard that a queue is exclusive to.
pub(super) fn owner(definition: &QueueDefinition, own: ShardAddress) -> Option<ConnectionKey> {
    definition.exclusive.filter(|owner| owner.at == own).map(|owner| owner.connection)
}

impl Queues {
    /// A connection is over, and its exclusive queues with it.
    pub(crate) fn end_exclusive(&mut self, connection: ConnectionKey) {
        for handle in self.exclusive.of(connection) {
            if let Some(mut home) = self.home(handle) {
                home.end();
            }
        }
    }

    /// Queues that have closed by themselves since the last time, and whose they were alone.
    pub(crate) fn take_over(&mut self) -> Vec<(QueueId, Option<ConnectionKey>)> {
        let over = core::mem::take(&mut self.lists.over);
        let closed = |handle| match self.places.get(handle).map(|entry| (entry.id, &entry.place)) {
            Some((id, Place::Home(home))) => Some((id, home.owner)),
            Some((_, Place::Away(_))) | None => None,
        };
        over.into_iter().filter_map(closed).collect()
    }
}
