//! Lines on their way to standard error, which may be a pipe that nobody reads.
//!
//! Threads that log put whole lines behind each other; a thread of the log's own writes them. Invariants: nobody but
//! that thread ever waits for the reader; what does not fit under [`limits::LOG_BYTES_MAX`] is dropped and counted, and
//! the count is a line of its own as soon as the reader goes on.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leveret_model::limits;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target of the line that says how many were dropped. It always fits.
const OWN_TARGET: &str = "leveret::log";

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that did not fit since that was said last.
    dropped: u64,
    /// What was taken is not written yet.
    writing: bool,
}

/// The lines that wait.
#[derive(Debug)]
pub(super) struct Backlog {
    waiting: Mutex<Waiting>,
    /// There are lines.
    filled: Condvar,
    /// There are none, and all are written.
    emptied: Condvar,
}

/// Where one line goes.
#[derive(Debug)]
pub(super) struct Line {
    backlog: &'static Backlog,
    bytes_max: usize,
}

impl Backlog {
    pub(super) const fn new() -> Self {
        Self {
            waiting: Mutex::new(Waiting { bytes: Vec::new(), dropped: 0, writing: false }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    /// What it holds is whole at each moment, so a thread that panicked with it does no harm.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8], bytes_max: usize) {
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > bytes_max {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes.extend_from_slice(line);
        self.filled.notify_one();
    }

    /// The work of the log's thread, for ever.
    pub(super) fn write_to(&self, mut out: impl Write) -> ! {
        let mut taken = Vec::new();
        loop {
            self.write_next(&mut taken, &mut out);
        }
    }

    /// Waits for lines, writes them, and says how many were dropped meanwhile.
    fn write_next(&self, taken: &mut Vec<u8>, out: &mut impl Write) {
        let empty = |waiting: &mut Waiting| waiting.bytes.is_empty();
        let waits = self.filled.wait_while(self.lock(), empty);
        let mut waiting = waits.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.bytes, taken);
        waiting.writing = true;
        drop(waiting);
        // who closes the log does not want it
        let _ = out.write_all(taken).and_then(|()| out.flush());
        taken.clear();
        let dropped = std::mem::take(&mut self.lock().dropped);
        if dropped > 0 {
            tracing::error!(target: OWN_TARGET, dropped, "log lines are missing here: nobody read them in time");
        }
        let mut waiting = self.lock();
        waiting.writing = false;
        if waiting.bytes.is_empty() {
            self.emptied.notify_all();
        }
    }

    /// Waits until all lines are written, but not for ever.
    pub(super) fn flush(&self, most: Duration) {
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
        // in vain if nobody reads
        drop(self.emptied.wait_timeout_while(self.lock(), most, unwritten));
    }
}

impl MakeWriter<'_> for &'static Backlog {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { backlog: self, bytes_max: limits::LOG_BYTES_MAX }
    }

    fn make_writer_for(&self, meta: &Metadata<'_>) -> Line {
        let bytes_max = if meta.target() == OWN_TARGET { usize::MAX } else { limits::LOG_BYTES_MAX };
        Line { backlog: self, bytes_max }
    }
}

/// The formatter writes each line at once.
impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.backlog.push(line, self.bytes_max);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;

    use super::*;

    static BACKLOG: Backlog = Backlog::new();

    #[test]
    fn what_does_not_fit_is_dropped_counted_and_said_when_there_is_room() {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(&BACKLOG).finish();
        let mut lines = Vec::new();
        with_default(subscriber, || {
            let long = "x".repeat(1_000);
            for number in 0..1_000 {
                tracing::info!(number, long);
            }
            let dropped = BACKLOG.lock().dropped;
            assert!(BACKLOG.lock().bytes.len() <= limits::LOG_BYTES_MAX);
            let mut taken = Vec::new();
            BACKLOG.write_next(&mut taken, &mut lines);
            let written = String::from_utf8(lines.clone()).unwrap();
            assert_eq!(written.lines().count() as u64 + dropped, 1_000);
            assert!(
                dropped > 0 && written.lines().all(|line| line.ends_with("\"")),
                "whole lines: {written}"
            );
            lines.clear();
            BACKLOG.write_next(&mut taken, &mut lines);
            let said = String::from_utf8(lines.clone()).unwrap();
            assert!(said.contains(&format!("dropped={dropped}")) && said.lines().count() == 1, "{said}");
        });
        BACKLOG.flush(Duration::ZERO);
    }
}
