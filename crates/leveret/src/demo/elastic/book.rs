//! Where clients may connect, as a name of all nodes would say it.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The addresses, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    addresses: Vec<SocketAddr>,
    turn: usize,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, address: SocketAddr) {
        self.lock().addresses.push(address);
    }

    pub(super) fn remove(&self, address: SocketAddr) {
        self.lock().addresses.retain(|known| *known != address);
    }

    /// Each in turn; nothing while there is none.
    pub(super) fn next(&self) -> Option<SocketAddr> {
        let mut entries = self.lock();
        entries.turn += 1;
        let turn = entries.turn;
        let count = entries.addresses.len();
        entries.addresses.get(turn.checked_rem(count)?).copied()
    }
}
