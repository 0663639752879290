//! The recurring work of the control machine: pings, comparison of versions, forgetting. Also whether silence
//! is evidence: not while this thread itself was late.

use leveret_model::{Instant, limits};

/// The control machine's recurring work.
#[derive(Debug)]
pub(crate) struct Schedule {
    next_ping: Instant,
    next_digest: Instant,
    /// Verdicts of silence wait until then: this thread was late.
    patient_until: Instant,
    forget_not_before: Instant,
}

impl Schedule {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            next_ping: now,
            next_digest: now + limits::DIGEST_EVERY,
            patient_until: Instant::ZERO,
            forget_not_before: Instant::ZERO,
        }
    }

    /// Verdicts of silence need a thread that was there to hear: after a pause of its own it listens for a
    /// while first.
    pub(crate) fn note_time(&mut self, now: Instant) {
        if now > self.next_ping + limits::LATE_BY {
            self.patient_until = now + limits::LISTEN_AFTER_PAUSE;
        }
    }

    /// Nobody's silence is evidence now.
    pub(crate) fn is_patient(&self, now: Instant) -> bool {
        now < self.patient_until
    }

    pub(crate) const fn next_ping(&self) -> Instant {
        self.next_ping
    }

    /// Pings are due; the next ones are after their time.
    pub(crate) fn take_ping(&mut self, now: Instant) -> bool {
        let due = self.next_ping <= now;
        if due {
            self.next_ping = now + limits::PING_EVERY;
        }
        due
    }

    /// A peer was pinged on its new link: the next pings are not overdue, if there was nobody to ping before.
    pub(crate) fn ping_not_before(&mut self, now: Instant) {
        self.next_ping = self.next_ping.max(now);
    }

    /// A comparison of versions is due; the next one is after its time.
    pub(crate) fn take_digest(&mut self, now: Instant) -> bool {
        let due = self.next_digest <= now;
        if due {
            self.next_digest = now + limits::DIGEST_EVERY;
        }
        due
    }

    /// Nodes to forget were looked for.
    pub(crate) fn on_forget(&mut self, now: Instant) {
        self.forget_not_before = now + limits::DIGEST_EVERY;
    }

    pub(crate) const fn forget_not_before(&self) -> Instant {
        self.forget_not_before
    }
}
