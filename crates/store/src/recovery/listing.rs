//! The files of a directory by what they are.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::batch::LogNumber;
use crate::disk::{Copy, FileName, ListedFile};
use crate::report::{Report, Reports};

/// The files of a directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) logs: BTreeMap<LogNumber, u64>,
    pub(super) spares: Vec<(u64, u64)>,
    pub(super) segments: Vec<u64>,
    segment_bytes: BTreeMap<u64, u64>,
    /// Sizes of both copies.
    pub(super) snapshots: BTreeMap<u64, [Option<u64>; 2]>,
    pub(super) ballast: bool,
    /// Files that nothing needs.
    pub(super) unneeded: Vec<FileName>,
}

impl Listing {
    pub(super) fn new(files: &[ListedFile], reports: &mut Reports) -> Self {
        let mut listing = Self::default();
        for ListedFile { file, bytes } in files {
            match file {
                FileName::Log(number) => {
                    listing.logs.insert(LogNumber(*number), *bytes);
                }
                FileName::Spare(number) => listing.spares.push((*number, *bytes)),
                FileName::Segment(number) => {
                    listing.segments.push(*number);
                    listing.segment_bytes.insert(*number, *bytes);
                }
                FileName::Snapshot(number, copy) => {
                    let copies = listing.snapshots.entry(*number).or_default();
                    copies[usize::from(*copy == Copy::B)] = Some(*bytes);
                }
                FileName::Spill(_) | FileName::Draft(..) => listing.unneeded.push(file.clone()),
                FileName::Ballast => listing.ballast = true,
                FileName::Unknown(_) => reports.add(Report::UnknownFile(file.clone())),
            }
        }
        listing.spares.sort_unstable();
        listing.segments.sort_unstable();
        listing
    }

    /// Nothing was ever stored here: a start that did not finish leaves drafts at most.
    pub(super) fn is_new(&self) -> bool {
        self.logs.is_empty() && self.segments.is_empty() && self.snapshots.is_empty()
    }

    pub(super) fn segment_bytes(&self, number: u64) -> Option<u64> {
        self.segment_bytes.get(&number).copied()
    }

    /// Snapshots that a newer one replaced.
    pub(super) fn drop_snapshots_before(&mut self, used: u64) {
        for (number, copies) in self.snapshots.range(..used) {
            for (copy, _) in [Copy::A, Copy::B].into_iter().zip(copies).filter(|(_, bytes)| bytes.is_some()) {
                self.unneeded.push(FileName::Snapshot(*number, copy));
            }
        }
    }
}
