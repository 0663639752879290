//! All directories are equal 2 s after the last fault.
//!
//! A client may still be changing something then: as long as commands are under way, equality may come a moment later.

use std::time::Duration;

use leveret_model::Instant;

use crate::oracle::Oracle;
use crate::process::Process;

const AFTER: Duration = Duration::from_secs(2);
const AT_MOST: Duration = Duration::from_secs(4);

/// Whether they were equal once.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    done: bool,
}

impl Directories {
    pub(crate) fn look<'a>(
        &mut self,
        now: Instant,
        healed_at: Instant,
        processes: impl Iterator<Item = &'a Process> + Clone,
        oracle: &mut Oracle,
    ) {
        if self.done || now < healed_at + AFTER {
            return;
        }
        let mut digests = processes.clone().map(|process| process.control.control.digest());
        let first = digests.next();
        if digests.all(|digest| Some(digest) == first) {
            self.done = true;
            return;
        }
        let resting = processes.clone().all(|process| process.control.control.status().commands == 0);
        if resting || now >= healed_at + AT_MOST {
            self.done = true;
            let mut text = String::from("not equal:");
            for process in processes {
                let control = &process.control.control;
                text += &format!(" {} {:016x}", process.hello.name, control.digest());
            }
            oracle.violation(now, "directories", text);
        }
    }
}
