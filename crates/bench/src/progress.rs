//! The line that shows what is going on while it goes on.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Between two lines on a terminal, and elsewhere.
const EVERY: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Shows progress on standard error, or nowhere.
pub(super) struct Progress {
    terminal: bool,
    shown: bool,
    last: Option<Instant>,
    /// What every line starts with: case, round, peer.
    pub(super) head: String,
}

impl Progress {
    /// Progress on a terminal; elsewhere only if `forced`.
    pub(super) fn new(forced: bool) -> Self {
        let terminal = stderr().is_terminal();
        Self { terminal, shown: terminal || forced, last: None, head: String::new() }
    }

    /// Shows that, unless something was shown a moment ago.
    pub(super) fn show(&mut self, what: impl Display) {
        let every = EVERY[usize::from(!self.terminal)];
        if !self.shown || self.last.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        self.last = Some(Instant::now());
        let (before, after) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // a closed stderr is no reason to stop measuring
        _ = write!(stderr(), "{before}{}: {what}{after}", self.head);
        _ = stderr().flush();
    }

    /// Removes the line.
    pub(super) fn clear(&mut self) {
        if self.shown && self.terminal && self.last.take().is_some() {
            _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
