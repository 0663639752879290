//! The slots of the arena, in pages, so that a table that was large once gives its memory back.
//!
//! Read first: [`Slots::take`] and [`Slots::release`]. Free slots of all pages form one list, last in, first
//! out: a steady flow uses the same warm slots. [`Slots::trim`] drops pages without taken slots once few slots
//! are taken, and makes the list anew; that is rare enough (the taken ones must have halved since) to cost
//! little per message.
//!
//! Invariant: a slot with `refs` 0 is in the list, and its page has memory.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::CoarseTime;

/// Slots of a page; a power of two.
const PAGE_SLOTS: usize = 1_024;
/// Pages that are not worth trimming.
const PAGES_KEPT: u64 = 4;
/// The end of the list of free slots.
const NONE: u32 = u32::MAX;
/// [`Slot::chunks`] of a flat body.
pub(super) const NO_CHUNKS: u32 = u32::MAX;
/// [`Slot::refs`] of an owner.
pub(super) const OWNER: u32 = 1;
/// [`Slot::refs`] of a store that has not stored it for one of its queues yet: above as many owners as there
/// may be (`MESSAGE_OWNERS_MAX`, and some that look at it for a moment).
pub(super) const HOLD: u32 = 1 << 16;

/// One message. Of a free slot only `refs` (0) and `offset` (the next free slot) mean something. Aligned, so
/// that two share a cache line and an index is a shift.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Slot {
    pub(super) block: u32,
    /// Where its record starts in the block.
    pub(super) offset: u32,
    /// Bytes of its record, head included.
    pub(super) record_bytes: u32,
    pub(super) header_bytes: u32,
    pub(super) address_bytes: u32,
    pub(super) chunks: u32,
    pub(super) refs: u32,
    /// When it came, where the alignment leaves room anyway.
    pub(super) came: CoarseTime,
}

pub(super) const FREE: Slot = Slot {
    block: 0,
    offset: NONE,
    record_bytes: 0,
    header_bytes: 0,
    address_bytes: 0,
    chunks: NO_CHUNKS,
    refs: 0,
    came: CoarseTime(0),
};

type Page = Box<[Slot; PAGE_SLOTS]>;

#[derive(Debug)]
pub(super) struct Slots {
    /// A page without taken slots may have no memory.
    pages: Vec<Option<Page>>,
    /// Pages without memory.
    vacant: Vec<u32>,
    /// The first free slot.
    free: u32,
    taken: u64,
    pages_held: u64,
    /// Trimming is worth a look when fewer are taken.
    trim_below: u64,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { pages: Vec::new(), vacant: Vec::new(), free: NONE, taken: 0, pages_held: 0, trim_below: 0 }
    }

    /// Puts `slot` somewhere. hot.
    #[inline]
    pub(super) fn take(&mut self, slot: Slot) -> u32 {
        if self.free == NONE {
            self.grow();
        }
        let index = self.free;
        let place = self.at_mut(index);
        let next = place.offset;
        *place = slot;
        self.free = next;
        self.taken += 1;
        index
    }

    /// One less of [`OWNER`] or [`HOLD`]. If that was the last one the slot is free, and its block, record
    /// bytes and chunks are returned. hot.
    #[inline(always)]
    pub(super) fn release<const ONE: u32>(&mut self, index: u32) -> Option<(u32, u32, u32)> {
        let next = self.free;
        let slot = self.at_mut(index);
        assert!(slot.refs >= ONE, "released more often than retained");
        slot.refs -= ONE;
        if slot.refs > 0 {
            return None;
        }
        let was = (slot.block, slot.record_bytes, slot.chunks);
        slot.offset = next;
        self.free = index;
        self.taken -= 1;
        Some(was)
    }

    #[inline]
    pub(super) fn at(&self, index: u32) -> &Slot {
        let page = &self.pages[index as usize / PAGE_SLOTS];
        &page.as_ref().expect("a message that is retained keeps its page")[index as usize % PAGE_SLOTS]
    }

    #[inline]
    pub(super) fn at_mut(&mut self, index: u32) -> &mut Slot {
        let page = &mut self.pages[index as usize / PAGE_SLOTS];
        &mut page.as_mut().expect("a message that is retained keeps its page")[index as usize % PAGE_SLOTS]
    }

    /// The slot if it is taken; for indices that may be out of date.
    pub(super) fn if_taken(&self, index: u32) -> Option<&Slot> {
        let page = self.pages.get(index as usize / PAGE_SLOTS)?.as_ref()?;
        Some(&page[index as usize % PAGE_SLOTS]).filter(|slot| slot.refs > 0)
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn bytes_held(&self) -> u64 {
        self.pages_held * size_of::<[Slot; PAGE_SLOTS]>() as u64
    }

    /// Gives pages back if that has become worth a look.
    pub(super) fn trim(&mut self) {
        if self.taken < self.trim_below {
            self.drop_empty_pages();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.pages.push(None);
            (self.pages.len() - 1) as u32
        });
        let page: Page = vec![FREE; PAGE_SLOTS].try_into().expect("it has the length of a page");
        self.pages[number as usize] = Some(page);
        self.pages_held += 1;
        self.link_free_of(number as usize);
        self.trim_below = self.trim_below.max(self.worth_a_look());
    }

    #[cold]
    fn drop_empty_pages(&mut self) {
        self.free = NONE;
        for number in (0..self.pages.len()).rev() {
            let Some(page) = &self.pages[number] else { continue };
            if page.iter().all(|slot| slot.refs == 0) {
                self.pages[number] = None;
                self.pages_held -= 1;
                self.vacant.push(number as u32);
            } else {
                self.link_free_of(number);
            }
        }
        self.trim_below = self.worth_a_look().min(self.taken / 2);
    }

    /// Where a quarter of what is held would do.
    fn worth_a_look(&self) -> u64 {
        if self.pages_held > PAGES_KEPT { self.pages_held * PAGE_SLOTS as u64 / 4 } else { 0 }
    }

    /// Puts the free slots of a page in front of the list.
    fn link_free_of(&mut self, number: usize) {
        let Some(page) = &mut self.pages[number] else { return };
        for (at, slot) in page.iter_mut().enumerate().rev().filter(|(_, slot)| slot.refs == 0) {
            slot.offset = self.free;
            self.free = (number * PAGE_SLOTS + at) as u32;
        }
    }
}
