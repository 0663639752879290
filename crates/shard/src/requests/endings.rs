//! Queues of this shard that ended by themselves: their records are being deleted, and a client that closes its
//! connection waits for those that were its own.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::directory::FromShard;
use leveret_model::{ConnectionKey, QueueId, RequestId};

use super::Requests;

/// Deletions under way.
#[derive(Debug, Default)]
pub(super) struct Endings {
    /// With the connection that the queue was exclusive to.
    under_way: BTreeMap<RequestId, Option<ConnectionKey>>,
    /// How many each connection has among them.
    of_connections: BTreeMap<ConnectionKey, u32>,
    /// Connections whose last one is done.
    done: Vec<ConnectionKey>,
}

impl Requests {
    /// A queue of this shard has closed by itself: its record is to be deleted.
    pub(crate) fn delete_record(&mut self, id: QueueId, owner: Option<ConnectionKey>) {
        let request = self.draw();
        self.endings.under_way.insert(request, owner);
        if let Some(owner) = owner {
            *self.endings.of_connections.entry(owner).or_default() += 1;
        }
        self.control.push(FromShard::QueueOver { request, id });
    }

    /// The control machine answered. True if that was about such a queue.
    pub(crate) fn on_record_deleted(&mut self, request: RequestId) -> bool {
        let Some(owner) = self.endings.under_way.remove(&request) else { return false };
        if let Some(owner) = owner
            && let Some(left) = self.endings.of_connections.get_mut(&owner)
        {
            *left -= 1;
            if *left == 0 {
                self.endings.of_connections.remove(&owner);
                self.endings.done.push(owner);
            }
        }
        true
    }

    /// Exclusive queues of a connection are closed and not gone everywhere.
    pub(crate) fn ends_queues_of(&self, connection: ConnectionKey) -> bool {
        self.endings.of_connections.contains_key(&connection)
    }

    /// A connection whose exclusive queues that had closed are gone.
    pub(crate) fn pop_without_queues(&mut self) -> Option<ConnectionKey> {
        self.endings.done.pop()
    }
}
