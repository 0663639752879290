//! Lives, epochs, homes: what orders the states of one key (S1).

use alloc::vec::Vec;

use leveret_model::{Boot, NodeId};

/// A life of a key: a Lamport counter and the node where it began. Of two lives the higher stamp wins whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Stamp {
    /// Higher than every life and gone entry that the node knew.
    pub(crate) counter: u64,
    /// Breaks ties.
    pub(crate) node: NodeId,
}

/// Rises by one when the home changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Epoch(pub(crate) u32);

/// Rises by one with each commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Version(pub(crate) u64);

/// The process that alone changes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Home {
    /// The node.
    pub node: NodeId,
    /// Its process: after a restart the node is another home.
    pub boot: Boot,
}

/// A state among all states of a key: later ones are greater inside one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct StateId {
    /// The life.
    pub(crate) life: Stamp,
    /// How often the home changed.
    pub(crate) epoch: Epoch,
    /// How often it was committed to.
    pub(crate) version: Version,
}

/// Small numbers for things that are long and few, so that tables of millions stay small. Nothing is ever
/// taken out: there are as many as nodes and boots of the cluster while this process runs.
#[derive(Clone, Debug)]
pub(crate) struct Interner<T> {
    known: Vec<T>,
}

impl<T: Copy + Eq> Interner<T> {
    pub(crate) const fn new() -> Self {
        Self { known: Vec::new() }
    }

    /// The number of `thing`, a new one if it is new. `None` if there are too many: the caller refuses the
    /// thing.
    pub(crate) fn number(&mut self, thing: T) -> Option<u16> {
        let at = self.known.iter().position(|known| *known == thing).unwrap_or_else(|| {
            self.known.push(thing);
            self.known.len() - 1
        });
        u16::try_from(at).ok()
    }

    /// What has this number.
    pub(crate) fn get(&self, number: u16) -> T {
        self.known[usize::from(number)]
    }
}
