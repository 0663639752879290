//! Credit between two shards: so much may be unprocessed at the receiver, in records and in bytes.
//!
//! ```text
//!   sender: Window ──records (cost)──▶ receiver: Meter
//!             ▲                           │ at half a window processed
//!             └──────Record::Grant────────┘ (outside the window itself)
//! ```
//! Credit counts unprocessed records, never the length of a queue, so a full queue holds nobody's window. The
//! sender goes on while it has a record *and a byte* left: the last record may overshoot the bytes, else a body
//! larger than what is left would wait for a grant that the receiver, below its half, does not owe. So at most
//! `limits::FORWARD_BYTES_MAX` plus one record is unprocessed, and a closed window always means a grant to
//! come.
//!
//! A grant must not wait behind records that wait for a grant: it is pushed onto what
//! [`crate::Batch::split_to`] gave.

use leveret_model::limits;

use crate::record::Record;

/// Records and bytes: what a run of records takes from a window, or what a window has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Records.
    pub records: u32,
    /// Bytes of their heads, fields and bodies.
    pub bytes: u64,
}

impl Cost {
    /// Nothing.
    pub const NONE: Self = Self { records: 0, bytes: 0 };
    /// A whole window.
    pub const WINDOW: Self = Self { records: limits::FORWARD_RECORDS_MAX, bytes: limits::FORWARD_BYTES_MAX };

    /// One record of so many bytes.
    #[must_use]
    pub(crate) const fn record(bytes: usize) -> Self {
        Self { records: 1, bytes: bytes as u64 }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_add(other.records),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// What is left without `other`; nothing where it is more.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_sub(other.records),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// A grant for more than is outstanding: the receiver counts otherwise than we do; the link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("granted more than was outstanding")]
pub struct Overgrant;

/// The sender's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    most: Cost,
    /// Sent and not granted back.
    outstanding: Cost,
}

impl Window {
    /// An open window for so much. A new link begins with one: what was outstanding on the old one is void.
    #[must_use]
    pub const fn new(most: Cost) -> Self {
        Self { most, outstanding: Cost::NONE }
    }

    /// What may be sent now; the last record may overshoot the bytes. hot.
    #[must_use]
    pub const fn room(&self) -> Cost {
        self.most.less(self.outstanding)
    }

    /// False until the next grant.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        let room = self.room();
        room.records > 0 && room.bytes > 0
    }

    /// So much was sent. hot.
    pub const fn on_sent(&mut self, cost: Cost) {
        self.outstanding = self.outstanding.plus(cost);
    }

    /// A [`Record::Grant`] came.
    ///
    /// # Errors
    /// [`Overgrant`] if it is for more than is outstanding; the window is unchanged.
    pub fn on_grant(&mut self, grant: Cost) -> Result<(), Overgrant> {
        if grant.records > self.outstanding.records || grant.bytes > self.outstanding.bytes {
            return Err(Overgrant);
        }
        self.outstanding = self.outstanding.less(grant);
        Ok(())
    }
}

/// The receiver's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meter {
    /// The sender's window.
    most: Cost,
    /// Processed and not granted.
    owed: Cost,
}

impl Meter {
    /// Nothing owed to a sender with that window.
    #[must_use]
    pub const fn new(most: Cost) -> Self {
        Self { most, owed: Cost::NONE }
    }

    /// So much was processed: appended, refused, or handed to its channel. hot.
    pub const fn on_processed(&mut self, cost: Cost) {
        self.owed = self.owed.plus(cost);
    }

    /// The grant that is due, once half a window was processed.
    #[must_use]
    pub fn take_grant(&mut self) -> Option<Record<'static>> {
        let due = self.owed.records >= self.most.records / 2 || self.owed.bytes >= self.most.bytes / 2;
        due.then(|| {
            let Cost { records, bytes } = core::mem::take(&mut self.owed);
            Record::Grant { records, bytes }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any sizes, any order of sending and processing: the window holds, and nothing stands still for ever.
        #[test]
        fn a_window_is_kept_and_never_stays_closed(
            sizes in prop::collection::vec(1..=(3 * limits::FORWARD_BYTES_MAX), 1..200),
            copies in 1..200usize,
            choices in prop::collection::vec(any::<bool>(), 1..64),
        ) {
            let mut waiting: VecDeque<u64> = sizes.iter().copied().cycle().take(sizes.len() * copies).collect();
            let (mut window, mut meter) = (Window::new(Cost::WINDOW), Meter::new(Cost::WINDOW));
            let mut unprocessed: VecDeque<u64> = VecDeque::new();
            let mut choices = choices.iter().cycle();
            while let Some(&bytes) = waiting.front() {
                let may_send = window.is_open();
                let may_process = !unprocessed.is_empty();
                prop_assert!(may_send || may_process, "deadlock with {} waiting", waiting.len());
                if may_send && (!may_process || *choices.next().unwrap()) {
                    waiting.pop_front();
                    window.on_sent(Cost { records: 1, bytes });
                    unprocessed.push_back(bytes);
                } else {
                    let bytes = unprocessed.pop_front().unwrap();
                    meter.on_processed(Cost { records: 1, bytes });
                    if let Some(Record::Grant { records, bytes }) = meter.take_grant() {
                        prop_assert_eq!(window.on_grant(Cost { records, bytes }), Ok(()));
                    }
                }
                let last = unprocessed.back().copied().unwrap_or(0);
                prop_assert!(unprocessed.len() <= limits::FORWARD_RECORDS_MAX as usize);
                prop_assert!(unprocessed.iter().sum::<u64>() < limits::FORWARD_BYTES_MAX + last.max(1));
            }
        }
    }

    #[test]
    fn small_records_close_the_window_by_count_and_half_of_them_open_it() {
        let (mut window, mut meter) = (Window::new(Cost::WINDOW), Meter::new(Cost::WINDOW));
        let one = Cost { records: 1, bytes: 1 };
        for _ in 0..limits::FORWARD_RECORDS_MAX {
            assert!(window.is_open());
            window.on_sent(one);
        }
        assert!(!window.is_open());
        for _ in 1..limits::FORWARD_RECORDS_MAX / 2 {
            meter.on_processed(one);
            assert_eq!(meter.take_grant(), None);
        }
        meter.on_processed(one);
        let Some(Record::Grant { records, bytes }) = meter.take_grant() else { panic!("due") };
        assert_eq!(window.on_grant(Cost { records, bytes }), Ok(()));
        assert!(window.is_open());
    }

    #[test]
    fn a_grant_for_what_was_never_sent_is_refused() {
        let mut window = Window::new(Cost::WINDOW);
        window.on_sent(Cost { records: 2, bytes: 10 });
        assert_eq!(window.on_grant(Cost { records: 1, bytes: 11 }), Err(Overgrant));
        assert_eq!(window.on_grant(Cost { records: 3, bytes: 1 }), Err(Overgrant));
        assert_eq!(window.room(), Cost::WINDOW.less(Cost { records: 2, bytes: 10 }));
    }
}
