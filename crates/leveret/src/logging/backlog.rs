//! Lines on their way to standard error, which may be a pipe that nobody reads.
//!
//! Threads that log put whole lines behind each other; a thread of the log's own writes them: the first of a
//! burst at once, the others together, so that a line does not cost a wake-up and a write each. Invariants:
//! nobody but that thread ever waits for the reader; what does not fit under [`limits::LOG_BYTES_MAX`] is
//! dropped and counted, and the count is a line of its own as soon as the reader goes on.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leveret_model::limits;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target of the line that says how many were dropped. It always fits.
const OWN_TARGET: &str = "leveret::log";
/// So many lines are written at once, bytes.
const MANY_BYTES: usize = limits::LOG_BYTES_MAX / 2;

/// What the log's thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleeper {
    /// It does not.
    Nobody,
    /// A line.
    Line,
    /// The time of the next write, or many lines before.
    Many,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that did not fit since that was said last.
    dropped: u64,
    /// What was taken is not written yet.
    writing: bool,
    sleeper: Sleeper,
    /// Somebody waits until all is written.
    hurried: bool,
}

/// The lines that wait.
#[derive(Debug)]
pub(super) struct Backlog {
    waiting: Mutex<Waiting>,
    /// There is what the log's thread waits for.
    filled: Condvar,
    /// There are no lines, and all are written.
    emptied: Condvar,
    /// From one write to the next.
    write_every: Duration,
}

/// Where one line goes.
#[derive(Debug)]
pub(super) struct Line {
    backlog: &'static Backlog,
    bytes_max: usize,
}

/// What the log's thread has.
struct Writer<W> {
    out: W,
    taken: Vec<u8>,
    /// When it wrote last.
    wrote: Option<Instant>,
}

impl<W: Write> Writer<W> {
    const fn new(out: W) -> Self {
        Self { out, taken: Vec::new(), wrote: None }
    }
}

impl Backlog {
    pub(super) const fn new(write_every: Duration) -> Self {
        let waiting = Waiting {
            bytes: Vec::new(),
            dropped: 0,
            writing: false,
            sleeper: Sleeper::Nobody,
            hurried: false,
        };
        Self { waiting: Mutex::new(waiting), filled: Condvar::new(), emptied: Condvar::new(), write_every }
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
        let wakes = match waiting.sleeper {
            Sleeper::Nobody => false,
            Sleeper::Line => true,
            Sleeper::Many => waiting.bytes.len() >= MANY_BYTES,
        };
        if wakes {
            waiting.sleeper = Sleeper::Nobody;
            drop(waiting);
            self.filled.notify_one();
        }
    }

    /// The work of the log's thread, for ever.
    pub(super) fn write_to(&self, out: impl Write) -> ! {
        let mut writer = Writer::new(out);
        loop {
            self.write_next(&mut writer);
        }
    }

    /// Waits for lines and for the time to write them.
    fn wait(&self, wrote: Option<Instant>) -> MutexGuard<'_, Waiting> {
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() {
            waiting.sleeper = Sleeper::Line;
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let rest = wrote.map_or(Duration::ZERO, |at| self.write_every.saturating_sub(at.elapsed()));
        if !rest.is_zero() {
            waiting.sleeper = Sleeper::Many;
            let few = |waiting: &mut Waiting| !waiting.hurried && waiting.bytes.len() < MANY_BYTES;
            let waited = self.filled.wait_timeout_while(waiting, rest, few);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.sleeper = Sleeper::Nobody;
        waiting
    }

    /// Waits for lines, writes them, and says how many were dropped meanwhile.
    fn write_next(&self, writer: &mut Writer<impl Write>) {
        let Writer { out, taken, wrote } = writer;
        let mut waiting = self.wait(*wrote);
        std::mem::swap(&mut waiting.bytes, taken);
        waiting.writing = true;
        drop(waiting);
        // who closes the log does not want it
        let _ = out.write_all(taken).and_then(|()| out.flush());
        taken.clear();
        *wrote = Some(Instant::now());
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
        let mut waiting = self.lock();
        waiting.hurried = true;
        self.filled.notify_one();
        // in vain if nobody reads
        let waited = self.emptied.wait_timeout_while(waiting, most, unwritten);
        waited.unwrap_or_else(PoisonError::into_inner).0.hurried = false;
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
    use crossbeam_channel::{Sender, unbounded};
    use tracing::subscriber::with_default;

    use super::*;

    static BACKLOG: Backlog = Backlog::new(Duration::ZERO);

    /// What was written, a write at a time.
    #[derive(Clone)]
    struct Writes(Sender<String>);

    impl Write for Writes {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(lines.to_vec()).unwrap()).unwrap();
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_first_line_is_written_at_once_and_those_behind_it_together() {
        // the test would not see the end of this time
        static BACKLOG: Backlog = Backlog::new(Duration::from_secs(3_600));
        let (sender, writes) = unbounded();
        std::thread::spawn(|| BACKLOG.write_to(Writes(sender)));
        let push = |line: &str| BACKLOG.push(line.as_bytes(), limits::LOG_BYTES_MAX);
        push("first\n");
        assert_eq!(writes.recv().unwrap(), "first\n");
        (0..100).for_each(|_| push("next\n"));
        // who ends waits for no hour
        BACKLOG.flush(Duration::from_secs(60));
        assert_eq!(writes.try_iter().collect::<Vec<_>>(), ["next\n".repeat(100)]);
        // and many lines do not wait for the reader's room to run out
        let long = "x".repeat(MANY_BYTES / 2);
        push(&long);
        push(&long);
        assert_eq!(writes.recv().unwrap().len(), MANY_BYTES);
    }

    #[test]
    fn what_does_not_fit_is_dropped_counted_and_said_when_there_is_room() {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(&BACKLOG).finish();
        let mut lines: Vec<u8> = Vec::new();
        with_default(subscriber, || {
            let long = "x".repeat(1_000);
            for number in 0..1_000 {
                tracing::info!(number, long);
            }
            let dropped = BACKLOG.lock().dropped;
            assert!(BACKLOG.lock().bytes.len() <= limits::LOG_BYTES_MAX);
            let mut writer = Writer::new(&mut lines);
            BACKLOG.write_next(&mut writer);
            let written = String::from_utf8(writer.out.clone()).unwrap();
            assert_eq!(written.lines().count() as u64 + dropped, 1_000);
            assert!(
                dropped > 0 && written.lines().all(|line| line.ends_with("\"")),
                "whole lines: {written}"
            );
            writer.out.clear();
            BACKLOG.write_next(&mut writer);
            let said = String::from_utf8(writer.out.clone()).unwrap();
            assert!(said.contains(&format!("dropped={dropped}")) && said.lines().count() == 1, "{said}");
        });
        BACKLOG.flush(Duration::ZERO);
    }
}
