//! Queues of this shard that ended by themselves: their records are being deleted, and a client that closes its
//! connection waits for those that were its own.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::{ConnectionKey, RequestId};

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

impl Endings {
    /// A record is to be deleted.
    pub(super) fn begin(&mut self, request: RequestId, owner: Option<ConnectionKey>) {
        self.under_way.insert(request, owner);
        if let Some(owner) = owner {
            *self.of_connections.entry(owner).or_default() += 1;
        }
    }

    /// The control machine answered. True if that was about such a queue.
    pub(super) fn end(&mut self, request: RequestId) -> bool {
        let Some(owner) = self.under_way.remove(&request) else { return false };
        if let Some(owner) = owner
            && let Some(left) = self.of_connections.get_mut(&owner)
        {
            *left -= 1;
            if *left == 0 {
                self.of_connections.remove(&owner);
                self.done.push(owner);
            }
        }
        true
    }

    pub(super) fn has(&self, connection: ConnectionKey) -> bool {
        self.of_connections.contains_key(&connection)
    }

    pub(super) fn pop_done(&mut self) -> Option<ConnectionKey> {
        self.done.pop()
    }
}
