//! Direct exchanges (AMQP 0-9-1 §3.1.3.1): the binding key equals the routing key.

use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::bindings::{Bindings, Bound};
use crate::slots::Slot;

/// Key → chain of the bindings with that key. The key itself is read from the chain's first binding.
#[derive(Debug)]
pub(crate) struct Direct {
    chains: HashTable<Slot<Bound>>,
    state: FixedState,
}

impl Direct {
    pub(crate) fn new(state: FixedState) -> Self {
        Self { chains: HashTable::new(), state }
    }

    pub(crate) fn insert(&mut self, bindings: &mut Bindings, slot: Slot<Bound>) {
        let hash = self.state.hash_one(&bindings[slot].key[..]);
        let entry = self.chains.entry(
            hash,
            |first| bindings[*first].key == bindings[slot].key,
            |first| self.state.hash_one(&bindings[*first].key[..]),
        );
        match entry {
            Entry::Occupied(mut entry) => {
                let mut first = Some(*entry.get());
                bindings.chain(&mut first, slot);
                *entry.get_mut() = slot;
            }
            Entry::Vacant(entry) => {
                bindings.chain(&mut None, slot);
                entry.insert(slot);
            }
        }
    }

    pub(crate) fn remove(&mut self, bindings: &mut Bindings, slot: Slot<Bound>) {
        let hash = self.state.hash_one(&bindings[slot].key[..]);
        let Ok(mut entry) = self.chains.find_entry(hash, |first| bindings[*first].key == bindings[slot].key)
        else {
            return;
        };
        let mut first = Some(*entry.get());
        bindings.unchain(&mut first, slot);
        match first {
            Some(first) => *entry.get_mut() = first,
            None => {
                entry.remove();
            }
        }
    }

    /// hot: one look-up, then the bindings that match.
    pub(crate) fn route(&self, bindings: &Bindings, key: &[u8], found: &mut impl FnMut(Slot<Bound>)) {
        let hash = self.state.hash_one(key);
        let first = self.chains.find(hash, |first| bindings[*first].key[..] == *key).copied();
        bindings.chained(first).for_each(found);
    }
}
