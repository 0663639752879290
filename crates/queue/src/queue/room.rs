//! Room in memory that messages of a queue make by going to the disk alone: which ones of a row go.

use alloc::collections::VecDeque;

use leveret_model::Position;
use leveret_model::limits::READ_AHEAD_MESSAGES;

use super::entry::Entry;
use crate::{Arena, PageOut};

/// The first message in line is on the disk alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitsForDisk;

/// What is to become free.
#[derive(Debug)]
pub(super) struct Room {
    wanted: u64,
    /// Bodies at the front of each row that stay, bytes.
    keep: u64,
    freed: u64,
    paged: bool,
}

impl Room {
    pub(super) fn new(wanted: u64, keep: u64) -> Self {
        Self { wanted, keep, freed: 0, paged: false }
    }

    pub(super) fn freed(&self) -> u64 {
        self.freed
    }

    /// Some message went.
    pub(super) fn has_paged(&self) -> bool {
        self.paged
    }

    pub(super) fn is_enough(&self) -> bool {
        self.freed >= self.wanted
    }

    /// The bytes of a message go, unless there is room enough.
    pub(super) fn page_out(&mut self, entry: &mut Entry, arena: &mut Arena) {
        if !self.is_enough() {
            self.try_out(entry, arena);
        }
    }

    /// False if the store has it not yet.
    fn try_out(&mut self, entry: &mut Entry, arena: &mut Arena) -> bool {
        match arena.page_out(entry.message) {
            PageOut::Done(message, bytes) => {
                entry.message = message;
                self.freed += bytes;
                self.paged = true;
                true
            }
            PageOut::Stays => true,
            PageOut::Unstored => false,
        }
    }
}

/// The places of a row that were looked at to be paged out, so that nobody looks at them again and again.
/// Behind them is what came since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LookedAt {
    from: u64,
    to: u64,
}

impl LookedAt {
    /// Pages out from the back of a row: all that came since the last time, then as much as is wanted.
    pub(super) fn page_out<T>(
        &mut self,
        row: &mut VecDeque<T>,
        (position, entry): (impl Fn(usize, &T) -> u64, impl Fn(&mut T) -> &mut Entry),
        room: &mut Room,
        arena: &mut Arena,
    ) {
        let mut kept = 0;
        let mut keep = 0;
        while keep < row.len().min(READ_AHEAD_MESSAGES) && kept < room.keep {
            kept += u64::from(entry(&mut row[keep]).body_bytes);
            keep += 1;
        }
        let index = |row: &VecDeque<T>, place: u64| {
            let (mut low, mut high) = (0, row.len());
            while low < high {
                let middle = (low + high) / 2;
                if position(middle, &row[middle]) < place { low = middle + 1 } else { high = middle }
            }
            low
        };
        let is_new = self.to == 0;
        let behind = index(row, self.to + 1).max(keep);
        let mut top = None;
        for at in (behind..row.len()).rev() {
            if is_new && room.is_enough() {
                break;
            }
            let place = position(at, &row[at]);
            if !room.try_out(entry(&mut row[at]), arena) {
                // it, and what came behind it, is to be looked at again
                top = None;
                continue;
            }
            top = top.or(Some(place));
            if is_new {
                self.from = place;
            }
        }
        self.to = top.unwrap_or(self.to);
        let ahead = index(row, self.from);
        for at in (keep..ahead).rev() {
            if room.is_enough() {
                break;
            }
            room.try_out(entry(&mut row[at]), arena);
            self.from = position(at, &row[at]);
        }
    }

    /// What was paged out is here again up to a place: it may go again.
    pub(super) fn forget(&mut self, through: Position) {
        if self.to > 0 {
            self.from = self.from.max(through.0.min(self.to) + 1);
        }
    }
}
