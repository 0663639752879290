//! Expiry (S9): who may be due is looked at once a second, without a timer for each session.
//!
//! ```text
//!   second 61 ──▶ [place, place, …]      a session stands in one bin; a touch does not move it
//! ```
//! A bin that is due is taken apart: whoever's deadline is over expires, the others are filed under their
//! present one. An answer never waits for that: a command looks at the deadline itself.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::Instant;

use crate::states::{StateKey, States};
use crate::time::{Deadline, Ms};

/// Bins of places in the slab, by the second in which they may be due.
#[derive(Default)]
pub(crate) struct Expiry {
    bins: BTreeMap<u32, Vec<StateKey>>,
}

/// The second behind the deadline, so that it is over when the bin is due.
fn second_of(deadline: Deadline) -> Option<u32> {
    deadline.point().map(|at| u32::try_from(at.0 / 1_000 + 1).unwrap_or(u32::MAX))
}

impl Expiry {
    /// A deadline was set or has shrunk. A bin that is early enough stays what it is.
    pub(crate) fn file(&mut self, states: &mut States, key: StateKey) {
        let state = states.get(key);
        let Some(second) = second_of(state.deadline()) else { return };
        if state.filed() != 0 && state.filed() <= second {
            return;
        }
        states.file(key, second);
        self.bins.entry(second).or_default().push(key);
    }

    /// Up to `most` sessions whose deadline may be over go to `due`; those that were touched meanwhile are
    /// filed anew.
    pub(crate) fn take_due(&mut self, states: &mut States, now: Ms, most: usize, due: &mut Vec<StateKey>) {
        let mut left = most;
        while left > 0 {
            let Some(mut bin) = self.bins.first_entry() else { return };
            let second = *bin.key();
            if u64::from(second) * 1_000 > now.0 {
                return;
            }
            let keep = bin.get().len().saturating_sub(left);
            let taken = bin.get_mut().split_off(keep);
            if bin.get().is_empty() {
                bin.remove();
            }
            left -= taken.len();
            for key in taken {
                // the place may have been given to another session, which is filed under its own second
                let Some((_, state)) = states.at(key.place()) else { continue };
                if state.filed() != second {
                    continue;
                }
                if state.deadline().is_over(now) {
                    due.push(key);
                } else {
                    states.file(key, 0);
                    self.file(states, key);
                }
            }
        }
    }

    /// Its deadline is over, and it may not be expired here and now: it is looked at again a second later.
    pub(crate) fn file_again(&mut self, states: &mut States, key: StateKey, now: Ms) {
        let second = (now.0 / 1_000 + 2) as u32;
        states.file(key, second);
        self.bins.entry(second).or_default().push(key);
    }

    /// When it is worth looking again.
    pub(crate) fn next(&self) -> Instant {
        let second = self.bins.first_key_value().map(|(second, _)| *second);
        second.map_or(Instant::FAR, |second| Instant::from_nanos(u64::from(second) * 1_000_000_000))
    }
}
