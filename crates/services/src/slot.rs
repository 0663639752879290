//! The word that every request of a door to one instance passes.
//!
//! Invariant: once [`Slot::set_opening`] has closed the slot, the next [`Slot::inflight`] counts every
//! request that is or will be at the instance: who enters adds first and reads the closed bits in the same
//! step, so it was counted before the close, or it sees the close and turns back. An acknowledged drain rests
//! on this.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use leveret_model::limits::STRIKES_MAX;

use crate::latency::Latency;

/// Who may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Every request.
    All,
    /// Requests of the instance's own sessions (T2).
    Sessions,
    /// None.
    Nothing,
}

/// No new request at all.
const CLOSED: u64 = 1 << 63;
/// Requests of its own sessions only.
const SESSIONS_ONLY: u64 = 1 << 62;
/// The rest of the word counts.
const COUNT: u64 = SESSIONS_ONLY - 1;

/// Requests of this door at one boot of an instance, and how they went. Shared by all threads.
#[derive(Debug, Default)]
pub struct Slot {
    word: AtomicU64,
    strikes: AtomicU32,
    suspect: AtomicBool,
    cut: AtomicBool,
    tunnels: AtomicU32,
    requests: AtomicU64,
    errors: AtomicU64,
    latency: Latency,
}

impl Slot {
    /// Counts a request in, if it may enter. [`Slot::leave`] must follow.
    ///
    /// `max`: requests at a time; 0 is no bound.
    pub fn enter(&self, own_session: bool, max: u32) -> bool {
        let before = self.word.fetch_add(1, Ordering::AcqRel);
        let closed = before & CLOSED != 0 || (before & SESSIONS_ONLY != 0 && !own_session);
        let full = max != 0 && before & COUNT >= u64::from(max);
        if closed || full {
            self.word.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        true
    }

    /// Counts a request out. True if it was the last one of a closed slot: the door says so at once.
    pub fn leave(&self) -> bool {
        let before = self.word.fetch_sub(1, Ordering::AcqRel);
        before & CLOSED != 0 && before & COUNT == 1
    }

    /// Opens or closes it for what comes.
    pub fn set_opening(&self, opening: Opening) {
        let bits = match opening {
            Opening::All => 0,
            Opening::Sessions => SESSIONS_ONLY,
            Opening::Nothing => CLOSED | SESSIONS_ONLY,
        };
        // Always `Some`: the closure refuses nothing.
        let _ =
            self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| Some((word & COUNT) | bits));
    }

    /// Requests at the instance.
    #[must_use]
    pub fn inflight(&self) -> u32 {
        (self.word.load(Ordering::Acquire) & COUNT) as u32
    }

    /// A request was answered, after so many microseconds.
    pub fn succeeded(&self, micros: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.latency.record(micros);
        // Reads first: these words are written rarely, and every core reads them.
        if self.strikes.load(Ordering::Relaxed) != 0 {
            self.strikes.store(0, Ordering::Relaxed);
        }
        self.clear_suspicion();
    }

    /// A connect was refused or timed out (T4).
    pub fn unreachable(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.suspect.store(true, Ordering::Relaxed);
    }

    /// A connection was reset, or a response did not come in time (T4).
    pub fn strike(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if self.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES_MAX {
            self.suspect.store(true, Ordering::Relaxed);
        }
    }

    /// Whether requests go elsewhere if they can.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// A probe was answered.
    pub fn clear_suspicion(&self) {
        if self.suspect.load(Ordering::Relaxed) {
            self.strikes.store(0, Ordering::Relaxed);
            self.suspect.store(false, Ordering::Relaxed);
        }
    }

    /// The instance is not to be reached: requests that hang there are given up (T3).
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    /// Whether [`Slot::cut`] was called.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// An upgraded connection begins; tunnels do not delay a drain.
    pub fn tunnel_begins(&self) {
        self.tunnels.fetch_add(1, Ordering::Relaxed);
    }

    /// An upgraded connection ends.
    pub fn tunnel_ends(&self) {
        self.tunnels.fetch_sub(1, Ordering::Relaxed);
    }

    /// Upgraded connections.
    #[must_use]
    pub fn tunnels(&self) -> u32 {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// Requests that were answered.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Connects, resets and time-outs that failed a try.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Times to the response's end.
    #[must_use]
    pub fn latency(&self) -> &Latency {
        &self.latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_enters_a_closed_slot_and_who_is_inside_is_counted() {
        let slot = Slot::default();
        assert!(slot.enter(false, 0) && slot.enter(false, 0));
        slot.set_opening(Opening::Nothing);
        assert!(!slot.enter(false, 0) && !slot.enter(true, 0));
        assert_eq!(slot.inflight(), 2);
        assert!(!slot.leave());
        assert!(slot.leave(), "the last one of a closed slot");
        slot.set_opening(Opening::Sessions);
        assert!(!slot.enter(false, 0) && slot.enter(true, 0));
        assert!(!slot.leave(), "sessions still come");
        slot.set_opening(Opening::All);
        assert!(slot.enter(false, 1) && !slot.enter(false, 1), "full");
    }

    #[test]
    fn three_strikes_in_a_row_make_a_suspect() {
        let slot = Slot::default();
        slot.strike();
        slot.strike();
        slot.succeeded(10);
        slot.strike();
        slot.strike();
        assert!(!slot.is_suspect());
        slot.strike();
        assert!(slot.is_suspect());
        slot.clear_suspicion();
        slot.strike();
        assert!(!slot.is_suspect(), "the count starts again");
        slot.unreachable();
        assert!(slot.is_suspect());
    }
}
