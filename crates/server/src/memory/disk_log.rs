//! What people were told of the room on the disk: a line when it becomes low and one when it has room again. On
//! a small disk that swings with each file, so that a line waits for its time then.

use leveret_model::Instant;
use leveret_model::limits::DISK_SAID_EVERY;

#[derive(Debug, Default)]
pub(super) struct DiskLog {
    /// It is low, as people were told.
    told: bool,
    /// The next line not before.
    next: Instant,
    /// A change waits for its time.
    waits: bool,
    /// Changes came faster than they are told.
    swings: bool,
}

impl DiskLog {
    /// Whether the disk is low, if that is to be told now.
    pub(super) fn take(&mut self, now: Instant, low: bool) -> Option<bool> {
        self.waits = low != self.told && now < self.next;
        self.swings |= self.waits;
        if low == self.told || self.waits {
            return None;
        }
        self.told = low;
        let swings = core::mem::take(&mut self.swings) && now < self.next + DISK_SAID_EVERY;
        // out of calm: the end of it may be told at once
        self.next = if low && !swings { now } else { now + DISK_SAID_EVERY };
        Some(low)
    }

    /// When a change that waits is told.
    pub(super) fn next_deadline(&self) -> Instant {
        if self.waits { self.next } else { Instant::FAR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn the_begin_and_the_end_are_told_at_once() {
        let mut log = DiskLog::default();
        assert_eq!(log.take(at(0), false), None);
        assert_eq!(log.take(at(10), true), Some(true));
        assert_eq!(log.take(at(20), true), None);
        assert_eq!(log.take(at(30), false), Some(false));
        assert_eq!(log.next_deadline(), Instant::FAR);
        assert_eq!(log.take(at(200_000), true), Some(true));
        assert_eq!(log.take(at(200_001), false), Some(false));
    }

    #[test]
    fn a_disk_that_swings_is_told_of_once_a_minute() {
        let mut log = DiskLog::default();
        // low for half a second of each second, for ten minutes
        let told = (0..1_200_u64).filter(|turn| log.take(at(turn * 500), turn % 2 == 0).is_some()).count();
        assert!((2..=12).contains(&told), "{told} lines");
    }

    #[test]
    fn a_change_that_waits_is_told_at_its_time() {
        let mut log = DiskLog::default();
        assert_eq!(log.take(at(0), true), Some(true));
        assert_eq!(log.take(at(1_000), false), Some(false));
        assert_eq!(log.take(at(2_000), true), None);
        assert_eq!(log.next_deadline(), at(61_000));
        assert_eq!(log.take(at(61_000), true), Some(true));
        assert_eq!(log.take(at(62_000), false), None);
        assert_eq!(log.take(at(121_000), false), Some(false));
    }
}
