//! A vector with holes: stable places for things that link to each other.
//!
//! Invariant: who holds a [`Slot`] has it from an insert and lets go of it before the remove; a slot that leads nowhere
//! is our bug and panics.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::num::NonZeroU32;
use core::ops::{Index, IndexMut};

/// A place in [`Slots`] of the same type. `Option<Slot>` takes four bytes.
pub(crate) struct Slot<T>(NonZeroU32, PhantomData<fn() -> T>);

impl<T> Slot<T> {
    /// The place as a number.
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }

    /// The place with this number; nothing may be there.
    pub(crate) fn from_number(number: NonZeroU32) -> Self {
        Self(number, PhantomData)
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Slot<T> {}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The places. Iteration is in the order of the places, which is the same for the same history.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    cells: Vec<Option<T>>,
    free: Vec<Slot<T>>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { cells: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> Slot<T> {
        if let Some(slot) = self.free.pop() {
            self.cells[slot.index()] = Some(value);
            return slot;
        }
        self.cells.push(Some(value));
        // limits::BINDINGS_MAX and QUEUES_MAX keep the count far below 2^32
        let number = u32::try_from(self.cells.len()).ok().and_then(NonZeroU32::new);
        Slot::from_number(number.expect("fewer than 2^32 slots"))
    }

    pub(crate) fn remove(&mut self, slot: Slot<T>) -> T {
        let value = self.cells[slot.index()].take().expect("a linked slot is filled");
        self.free.push(slot);
        value
    }

    pub(crate) fn get(&self, slot: Slot<T>) -> Option<&T> {
        self.cells.get(slot.index())?.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot<T>, &T)> {
        (1..)
            .zip(&self.cells)
            .filter_map(|(number, cell)| Some((Slot::from_number(NonZeroU32::new(number)?), cell.as_ref()?)))
    }

    /// Filled places.
    pub(crate) fn len(&self) -> usize {
        self.cells.len() - self.free.len()
    }
}

impl<T> Index<Slot<T>> for Slots<T> {
    type Output = T;
    fn index(&self, slot: Slot<T>) -> &T {
        self.cells[slot.index()].as_ref().expect("a linked slot is filled")
    }
}

impl<T> IndexMut<Slot<T>> for Slots<T> {
    fn index_mut(&mut self, slot: Slot<T>) -> &mut T {
        self.cells[slot.index()].as_mut().expect("a linked slot is filled")
    }
}
