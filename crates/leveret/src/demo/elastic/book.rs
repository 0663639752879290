//! Where clients may connect: what a name of all nodes says, or a list that is kept like one.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::demo::name_server::NameServer;

/// The addresses, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    addresses: Vec<SocketAddr>,
    turn: usize,
    names: Option<NameServer>,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the name server is asked, which the nodes themselves tell.
    pub(super) fn ask(&self, names: NameServer) {
        self.lock().names = Some(names);
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
        if let Some(names) = &entries.names {
            entries.addresses = names.clients();
        }
        let turn = entries.turn.checked_rem(entries.addresses.len())?;
        entries.addresses.get(turn).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_turn_and_one_that_left_has_none() {
        let book = Book::default();
        assert_eq!(book.next(), None);
        let [one, two] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        book.add(one);
        book.add(two);
        let mut turns = [book.next(), book.next()];
        turns.sort_unstable();
        assert_eq!(turns, [Some(one), Some(two)]);
        book.remove(one);
        assert_eq!([book.next(), book.next()], [Some(two); 2]);
    }
}
