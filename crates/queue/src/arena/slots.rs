//! The slots of the arena, in pages: a page whose slots are all free gives its memory back.
//!
//! Read first: [`Slots::take`]. Invariants: a page that is not the current one and has a free slot is in `partial`
//! (entries there may be stale, never missing); a page without taken slots has no memory unless it is the current one.

use alloc::vec::Vec;

use super::RECORD_HEAD_BYTES;

/// Slots of a page; a power of two.
const PAGE_SLOTS: u32 = 1_024;
/// The end of a page's list of free slots.
const NONE: u32 = u32::MAX;
/// [`Slot::chunks`] of a flat body.
pub(super) const NO_CHUNKS: u32 = u32::MAX;

/// One message. Of a free slot only `refs` (0) and `offset` (the next free slot of the page) mean something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) block: u32,
    pub(super) offset: u32,
    pub(super) refs: u32,
    pub(super) chunks: u32,
    pub(super) header_bytes: u32,
    pub(super) flat_bytes: u32,
    pub(super) address_bytes: u16,
}

impl Slot {
    /// Bytes of its record in the block.
    pub(super) fn record_bytes(&self) -> usize {
        RECORD_HEAD_BYTES
            + usize::from(self.address_bytes)
            + self.header_bytes as usize
            + self.flat_bytes as usize
    }
}

#[derive(Debug)]
struct Page {
    /// Grows up to [`PAGE_SLOTS`].
    slots: Vec<Slot>,
    /// The first free slot below the length.
    free: u32,
    taken: u32,
}

impl Page {
    fn has_room(&self) -> bool {
        self.taken < PAGE_SLOTS
    }
}

#[derive(Debug)]
pub(super) struct Slots {
    pages: Vec<Page>,
    /// Slots are taken from here.
    current: u32,
    partial: Vec<u32>,
    /// Pages without memory.
    vacant: Vec<u32>,
    taken: u64,
    pages_held: u64,
}

impl Slots {
    pub(super) fn new() -> Self {
        let page = Page { slots: Vec::new(), free: NONE, taken: 0 };
        Self {
            pages: alloc::vec![page],
            current: 0,
            partial: Vec::new(),
            vacant: Vec::new(),
            taken: 0,
            pages_held: 0,
        }
    }

    /// Puts `slot` somewhere. hot.
    pub(super) fn take(&mut self, slot: Slot) -> u32 {
        if !self.pages[self.current as usize].has_room() {
            self.turn_page();
        }
        self.taken += 1;
        let page = &mut self.pages[self.current as usize];
        page.taken += 1;
        let index = if page.free == NONE {
            if page.slots.capacity() == 0 {
                page.slots.reserve_exact(PAGE_SLOTS as usize);
                self.pages_held += 1;
            }
            page.slots.push(slot);
            page.slots.len() as u32 - 1
        } else {
            let index = page.free;
            page.free = page.slots[index as usize].offset;
            page.slots[index as usize] = slot;
            index
        };
        self.current * PAGE_SLOTS + index
    }

    pub(super) fn at(&self, index: u32) -> &Slot {
        &self.pages[(index / PAGE_SLOTS) as usize].slots[(index % PAGE_SLOTS) as usize]
    }

    pub(super) fn at_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.pages[(index / PAGE_SLOTS) as usize].slots[(index % PAGE_SLOTS) as usize]
    }

    /// The slot if it is taken; for indices that may be out of date.
    pub(super) fn at_or_free(&self, index: u32) -> Option<&Slot> {
        let page = self.pages.get((index / PAGE_SLOTS) as usize)?;
        page.slots.get((index % PAGE_SLOTS) as usize).filter(|slot| slot.refs > 0)
    }

    /// The slot, whose `refs` is 0, is free. hot.
    pub(super) fn give_back(&mut self, index: u32) {
        let number = index / PAGE_SLOTS;
        let page = &mut self.pages[number as usize];
        let was_full = !page.has_room();
        self.taken -= 1;
        page.taken -= 1;
        page.slots[(index % PAGE_SLOTS) as usize].offset = page.free;
        page.free = index % PAGE_SLOTS;
        if number != self.current {
            if page.taken == 0 {
                *page = Page { slots: Vec::new(), free: NONE, taken: 0 };
                self.pages_held -= 1;
                self.vacant.push(number);
            } else if was_full {
                self.partial.push(number);
            }
        }
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn bytes_held(&self) -> u64 {
        self.pages_held * u64::from(PAGE_SLOTS) * size_of::<Slot>() as u64
    }

    #[cold]
    fn turn_page(&mut self) {
        while let Some(number) = self.partial.pop() {
            let page = &self.pages[number as usize];
            if number != self.current && page.has_room() && page.taken > 0 {
                self.current = number;
                return;
            }
        }
        self.current = self.vacant.pop().unwrap_or_else(|| {
            self.pages.push(Page { slots: Vec::new(), free: NONE, taken: 0 });
            (self.pages.len() - 1) as u32
        });
    }
}
