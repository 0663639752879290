//! The channels of a connection, by number.
//!
//! Invariant: slots rise by number. Clients use few and low numbers, so this is one or two comparisons and no table.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::{ChannelKey, ChannelNumber};

use crate::channel::Channel;

/// A number in use.
#[derive(Debug)]
pub(crate) enum Slot<C> {
    /// An open channel.
    Open(Box<Channel<C>>),
    /// We sent channel.close: everything but close and close-ok is ignored until close-ok comes.
    Closing,
}

/// All numbers in use.
#[derive(Debug)]
pub(crate) struct Channels<C> {
    slots: Vec<(ChannelNumber, Slot<C>)>,
}

impl<C> Channels<C> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// hot.
    #[inline]
    pub(crate) fn get(&mut self, number: ChannelNumber) -> Option<&mut Slot<C>> {
        let at = self.find(number).ok()?;
        Some(&mut self.slots[at].1)
    }

    /// The open channel with that number. hot.
    #[inline]
    pub(crate) fn open(&mut self, number: ChannelNumber) -> Option<&mut Channel<C>> {
        match self.get(number)? {
            Slot::Open(channel) => Some(channel),
            Slot::Closing => None,
        }
    }

    /// The opening with that key; a later opening of the same number is somebody else. hot.
    #[inline]
    pub(crate) fn opening(&mut self, key: ChannelKey) -> Option<&mut Channel<C>> {
        self.open(key.number).filter(|channel| channel.key() == key)
    }

    /// The same, to be looked at.
    pub(crate) fn look(&self, key: ChannelKey) -> Option<&Channel<C>> {
        match &self.slots[self.find(key.number).ok()?].1 {
            Slot::Open(channel) if channel.key() == key => Some(channel),
            Slot::Open(_) | Slot::Closing => None,
        }
    }

    /// Takes a number that is not in use.
    pub(crate) fn add(&mut self, number: ChannelNumber, slot: Slot<C>) {
        if let Err(at) = self.find(number) {
            self.slots.insert(at, (number, slot));
        }
    }

    /// Frees a number.
    pub(crate) fn remove(&mut self, number: ChannelNumber) -> Option<Slot<C>> {
        let at = self.find(number).ok()?;
        Some(self.slots.remove(at).1)
    }

    /// Frees all numbers, lowest first.
    pub(crate) fn take_all(&mut self) -> Vec<(ChannelNumber, Slot<C>)> {
        core::mem::take(&mut self.slots)
    }

    /// The open channels, lowest number first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Channel<C>> {
        self.slots.iter().filter_map(|(_, slot)| match slot {
            Slot::Open(channel) => Some(&**channel),
            Slot::Closing => None,
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel<C>> {
        self.slots.iter_mut().filter_map(|(_, slot)| match slot {
            Slot::Open(channel) => Some(&mut **channel),
            Slot::Closing => None,
        })
    }

    #[inline]
    fn find(&self, number: ChannelNumber) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&number, |(number, _)| *number)
    }
}
