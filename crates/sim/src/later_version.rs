//! Nodes of a later version: every second process writes and says what the others do not know, as in a rolling upgrade.
//!
//! A link that ends for it is a violation already (`control_host`), and so is whatever else goes wrong. Here is judged
//! that every process has what they wrote, in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_cluster::{Control, LATER_KIND, UnknownKind};
use leveret_model::Instant;

use crate::event::ProcessId;
use crate::oracle::Oracle;
use crate::process::Process;

const EVERY: Duration = Duration::from_millis(700);

/// What a process of a later version does next.
#[derive(Debug)]
pub(crate) struct LaterVersion {
    next: Instant,
    number: u64,
}

impl LaterVersion {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { next: now, number: 0 }
    }

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

/// Each process has a record of every other that lives and is of the later version, its registers, and skipped its frames.
pub(crate) fn check(
    now: Instant,
    any: bool,
    processes: &BTreeMap<ProcessId, Process>,
    oracle: &mut Oracle,
) -> u64 {
    let mut skipped = 0;
    for process in processes.values() {
        let status = process.control.control.status();
        let count = |kind| {
            let found = status.unknown_records.iter().find(|(known, _)| *known == kind);
            found.map_or(0, |(_, count)| *count)
        };
        let written = processes.keys().filter(|id| any && is_later(**id)).count();
        let (records, registers) =
            (count(UnknownKind::Record(LATER_KIND)), count(UnknownKind::Register(LATER_KIND)));
        if records < written || registers < written {
            let text = format!(
                "{} has {records} records and {registers} registers of {written} nodes of a later version",
                process.hello.name
            );
            oracle.violation(now, "directories", text);
        }
        skipped += status.nodes.iter().map(|node| node.unknown_frames).sum::<u64>();
    }
    skipped
}
