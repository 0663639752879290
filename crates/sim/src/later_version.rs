//! Nodes of a later version: every second process writes and says what the others do not know, as in a rolling upgrade.
//!
//! A link that ends for it is a violation (`control_host`). That every process has what they wrote in the end is judged
//! in `invariants/unknown_kept`.

use std::time::Duration;

use leveret_cluster::Control;
use leveret_model::Instant;

use crate::event::ProcessId;

const EVERY: Duration = Duration::from_millis(700);

/// What a process of a later version does next.
#[derive(Debug, Default)]
pub(crate) struct LaterVersion {
    next: Instant,
    number: u64,
}

impl LaterVersion {
    pub(crate) const fn next_deadline(&self) -> Instant {
        self.next
    }

    pub(crate) fn act(&mut self, now: Instant, control: &mut Control) {
        if self.next <= now {
            self.next = now + EVERY;
            control.act_as_later_version(now, self.number);
            self.number += 1;
        }
    }
}

/// This process is of a later version, if there are any.
pub(crate) const fn is_later(process: ProcessId) -> bool {
    process.0 % 2 == 1
}
