//! Room on the disk: the low mark, and the ballast that is given up when the disk is full.
//!
//! Publishers wait from the low mark on, long before the disk is full. What is logged then, acknowledgements
//! above all, fits into the log segments that are made already, and behind them into the ballast's place.

use leveret_model::limits::DISK_EASY_PERCENT;

use crate::disk::{DiskAction, DiskDone, FileName, Lane, OpId};
use crate::ops::{Ops, Owner};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ballast {
    Missing,
    Creating(OpId),
    There,
    Removing(OpId),
}

/// What is known about the room.
#[derive(Debug)]
pub(crate) struct Room {
    /// Below so many free bytes publishers wait.
    low_bytes: u64,
    ballast_bytes: u64,
    ballast: Ballast,
    free_bytes: Option<u64>,
    low: bool,
    /// A file could not be made.
    full: bool,
    /// What was said last.
    said: bool,
    /// There is more room than when it was tried last.
    retry: bool,
}

impl Room {
    pub(crate) fn new(low_bytes: u64, ballast_bytes: u64, ballast_there: bool) -> Self {
        let ballast = if ballast_there { Ballast::There } else { Ballast::Missing };
        Self {
            low_bytes,
            ballast_bytes,
            ballast,
            free_bytes: None,
            low: false,
            full: false,
            said: false,
            retry: false,
        }
    }

    /// So much is free, ballast not counted.
    pub(crate) fn on_free_bytes(&mut self, bytes: u64) {
        let before = self.free_bytes.replace(bytes);
        let easy = self.low_bytes.saturating_add(self.low_bytes / 100 * DISK_EASY_PERCENT);
        self.low = bytes < if self.low { easy } else { self.low_bytes };
        // a disk that was full says so again if it still is
        self.retry |= self.full && (!self.low || before.is_none_or(|before| bytes > before));
    }

    /// A file could not be made.
    pub(crate) fn on_full(&mut self, ops: &mut Ops) {
        self.full = true;
        if self.ballast == Ballast::There {
            self.ballast = Ballast::Removing(ops.remove(Owner::Room, FileName::Ballast));
        }
    }

    /// True once after there is more room: what failed is to be tried again.
    pub(crate) fn take_retry(&mut self) -> bool {
        let retry = core::mem::take(&mut self.retry);
        self.full &= !retry;
        retry
    }

    /// True, with the new state, once after it changed.
    pub(crate) fn take_change(&mut self) -> Option<bool> {
        let low = self.low || self.full;
        (low != self.said).then(|| {
            self.said = low;
            low
        })
    }

    /// Takes ballast on if there is plenty of room.
    pub(crate) fn poll(&mut self, ops: &mut Ops) {
        let wanted = self.low_bytes.saturating_add(2 * self.ballast_bytes);
        let plenty = self.free_bytes.is_some_and(|free| free > wanted) && !self.full;
        if self.ballast == Ballast::Missing && plenty && self.ballast_bytes > 0 {
            let create = DiskAction::Create { file: FileName::Ballast, bytes: self.ballast_bytes };
            self.ballast = Ballast::Creating(ops.push(Owner::Room, Lane::Bulk, create));
        }
    }

    pub(crate) fn on_done(&mut self, done: &DiskDone) {
        match self.ballast {
            Ballast::Creating(op) if op == done.id => {
                // without ballast the node runs as well: nothing is kept in it
                self.ballast = if done.result.is_ok() { Ballast::There } else { Ballast::Missing };
            }
            Ballast::Removing(op) if op == done.id => {
                self.ballast = Ballast::Missing;
                self.retry = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskAnswer;
    use alloc::vec::Vec;

    #[test]
    fn publishers_wait_from_the_low_mark_until_it_is_easy_again() {
        let mut room = Room::new(1_000, 0, false);
        let said: Vec<Option<bool>> = [2_000, 999, 1_050, 1_101, 1_000]
            .map(|free| {
                room.on_free_bytes(free);
                room.take_change()
            })
            .into();
        assert_eq!(said, [None, Some(true), None, Some(false), None]);
    }

    #[test]
    fn a_full_disk_takes_the_ballast_and_what_failed_is_tried_again() {
        let (mut room, mut ops, mut out) = (Room::new(0, 100, true), Ops::default(), Vec::new());
        room.on_full(&mut ops);
        ops.take(&mut out);
        assert!(matches!(&out[0].action, DiskAction::Remove { file: FileName::Ballast }));
        assert!(!room.take_retry() && room.take_change() == Some(true));
        room.on_done(&DiskDone { id: out[0].id, result: Ok(DiskAnswer::Done) });
        assert!(room.take_retry() && !room.take_retry());
    }
}
