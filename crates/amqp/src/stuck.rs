//! The clock of a client without heartbeats that takes nothing of its output.
//!
//! Heartbeats cut a client that does not read (`heartbeat.rs`). Without them nothing does: a frozen process is answered for by
//! its system (RFC 9293 §3.8.6.1: probes of a zero window), so its socket, and what waits for it here, would stay for ever.
//! The output is looked at now and then, and a client that took nothing and said nothing for that many looks is over.

use core::time::Duration;

use leveret_model::Instant;
use leveret_model::limits::OUTPUT_STUCK_TIMEOUT;

/// Looks in that time. The first one may see output that has just come, so one more is needed; signs of life from before
/// it may excuse that one too.
const LOOKS: u32 = 4;

/// Off unless started.
#[derive(Debug)]
pub(crate) struct Stuck {
    due: Instant,
    /// Looks one behind the other that saw the output stuck.
    looks: u32,
}

impl Stuck {
    pub(crate) const fn off() -> Self {
        Self { due: Instant::FAR, looks: 0 }
    }

    pub(crate) fn start(&mut self, now: Instant) {
        *self = Self { due: now + every(), looks: 0 };
    }

    /// The next look, while there is output; [`Instant::FAR`] if off. In the past if there was none for long.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// A look that is due: is there output of which nothing was taken since the last one? True if that was so for too long.
    pub(crate) fn on_look(&mut self, now: Instant, stuck: bool) -> bool {
        self.due = now + every();
        self.looks = if stuck { self.looks + 1 } else { 0 };
        self.looks > LOOKS
    }
}

fn every() -> Duration {
    OUTPUT_STUCK_TIMEOUT / LOOKS
}
