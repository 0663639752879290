//! What a file contains now, and what of it is on the disk.
//!
//! A write changes the first and is remembered until a sync brings it to the second. At a power cut each sector
//! of each remembered write is on the disk or is not, in any order, and now and then one is half there.

use std::collections::BTreeMap;

use leveret_model::SplitMix;

use super::tree::Loss;

const PAGE_BYTES: u64 = 4096;
/// What a disk writes as a whole; even this may be torn.
const SECTOR_BYTES: u64 = 512;
/// One kept sector in so many is torn.
const TORN_ONE_IN: u64 = 20;

/// Bytes, of which only the pages that were written take room.
#[derive(Clone, Debug, Default)]
struct Pages {
    length: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Pages {
    fn read(&self, offset: u64, bytes: u64) -> Vec<u8> {
        let end = (offset + bytes).min(self.length).max(offset);
        let mut read = vec![0; (end - offset) as usize];
        for (number, page) in self.pages.range(offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES)) {
            let begin = number * PAGE_BYTES;
            let (from, to) = (begin.max(offset), (begin + PAGE_BYTES).min(end));
            let part = &page[(from - begin) as usize..(to - begin) as usize];
            read[(from - offset) as usize..(to - offset) as usize].copy_from_slice(part);
        }
        read
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        self.length = self.length.max(end);
        for number in offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            let begin = number * PAGE_BYTES;
            let (from, to) = (begin.max(offset), (begin + PAGE_BYTES).min(end));
            let page = self.pages.entry(number).or_insert_with(|| vec![0; PAGE_BYTES as usize].into());
            page[(from - begin) as usize..(to - begin) as usize]
                .copy_from_slice(&bytes[(from - offset) as usize..(to - offset) as usize]);
        }
    }

    fn set_length(&mut self, length: u64) {
        if length < self.length {
            self.pages.retain(|number, _| number * PAGE_BYTES < length);
            // what is cut off reads as zeros when the file grows again
            let begin = length / PAGE_BYTES * PAGE_BYTES;
            if let Some(page) = self.pages.get_mut(&(length / PAGE_BYTES)) {
                page[(length - begin) as usize..].fill(0);
            }
        }
        self.length = length;
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

/// A file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    now: Pages,
    synced: Pages,
    unsynced: Vec<Change>,
}

impl Contents {
    pub(crate) fn length(&self) -> u64 {
        self.now.length
    }

    /// Fewer than were asked for at the end of the file.
    pub(crate) fn read(&self, offset: u64, bytes: u64) -> Vec<u8> {
        self.now.read(offset, bytes)
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.now.write(offset, bytes);
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(crate) fn set_length(&mut self, length: u64) {
        self.now.set_length(length);
        self.unsynced.push(Change::Length(length));
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    pub(crate) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => self.synced.write(offset, &bytes),
                Change::Length(length) => self.synced.set_length(length),
            }
        }
    }

    /// Of what was not synced so many percent of the sectors are kept.
    pub(crate) fn cut_power(&mut self, kept_percent: u64, random: &mut SplitMix, loss: &mut Loss) {
        let keeps = |random: &mut SplitMix| random.below(100) < kept_percent;
        for change in self.unsynced.drain(..) {
            let (offset, bytes) = match change {
                Change::Write { offset, bytes } => (offset, bytes),
                Change::Length(length) => {
                    if keeps(random) {
                        self.synced.set_length(length);
                    }
                    continue;
                }
            };
            let end = offset + bytes.len() as u64;
            let mut at = offset;
            while at < end {
                let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
                let mut to = next;
                if !keeps(random) {
                    (to, loss.sectors_lost) = (at, loss.sectors_lost + 1);
                } else if kept_percent < 100 && random.below(TORN_ONE_IN) == 0 {
                    (to, loss.sectors_torn) = (at + random.below(next - at), loss.sectors_torn + 1);
                }
                if to > at {
                    self.synced.write(at, &bytes[(at - offset) as usize..(to - offset) as usize]);
                }
                at = next;
            }
        }
        self.now = self.synced.clone();
    }
}
