//! Places of a queue whose messages the new home has a copy of.
//!
//! Invariant: a place never stands for another message, so an entry is good for as long as the copy is.

use alloc::collections::BTreeMap;

use leveret_model::Position;

/// A set of places. They lie close together, so each entry is for 64 of them: two bits and a half for each
/// message of a queue that nobody consumes from, and the size of an entry at worst.
#[derive(Debug, Default)]
pub(super) struct CopiedPlaces(BTreeMap<u64, u64>);

impl CopiedPlaces {
    pub(super) fn insert(&mut self, place: Position) {
        let (word, bit) = split(place);
        *self.0.entry(word).or_default() |= bit;
    }

    pub(super) fn contains(&self, place: Position) -> bool {
        let (word, bit) = split(place);
        self.0.get(&word).is_some_and(|bits| bits & bit != 0)
    }
}

/// Its word, and its bit there.
const fn split(place: Position) -> (u64, u64) {
    (place.0 / 64, 1 << (place.0 % 64))
}
