//! Idle connections to instances, by slot: another boot at the same address has another slot, and gets none
//! of the old ones.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use hyper::client::conn::http1::SendRequest;
use leveret_model::limits::UPSTREAM_IDLE_CONNECTIONS_MAX;
use leveret_services::{Slot, Snapshot, retry};

use super::bodies::RequestBody;

/// A connection to an instance.
pub(crate) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    /// It has carried a request before.
    pub(super) reused: bool,
}

/// One thread's.
#[derive(Default)]
pub(crate) struct Pool {
    slots: RefCell<HashMap<usize, Idle>>,
}

struct Idle {
    /// Keeps the key from being given to another slot.
    slot: Arc<Slot>,
    connections: Vec<(Connection, Instant)>,
}

fn key(slot: &Arc<Slot>) -> usize {
    Arc::as_ptr(slot).addr()
}

impl Pool {
    /// A connection that may carry another request (T9): the one used last.
    pub(super) fn take(&self, slot: &Arc<Slot>, keep_alive_ms: u32) -> Option<Connection> {
        let mut slots = self.slots.borrow_mut();
        let idle = slots.get_mut(&key(slot))?;
        while let Some((connection, since)) = idle.connections.pop() {
            if !retry::may_reuse(since.elapsed(), keep_alive_ms) {
                // Those below it are older.
                idle.connections.clear();
                return None;
            }
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, slot: &Arc<Slot>, mut connection: Connection) {
        if connection.sender.is_closed() || slot.is_cut() {
            return;
        }
        connection.reused = true;
        let mut slots = self.slots.borrow_mut();
        let idle = slots
            .entry(key(slot))
            .or_insert_with(|| Idle { slot: Arc::clone(slot), connections: Vec::new() });
        if idle.connections.len() >= UPSTREAM_IDLE_CONNECTIONS_MAX {
            idle.connections.remove(0);
        }
        idle.connections.push((connection, Instant::now()));
    }

    /// Closes connections to instances that get no more requests.
    pub(super) fn keep_only(&self, snapshot: &Snapshot) {
        let candidates = snapshot.services.iter().flat_map(|service| &service.candidates);
        let living: std::collections::HashSet<usize> =
            candidates.map(|candidate| key(&candidate.slot)).collect();
        self.slots.borrow_mut().retain(|key, idle| living.contains(key) && !idle.slot.is_cut());
    }
}
