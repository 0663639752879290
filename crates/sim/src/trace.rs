//! The hash over everything that happens: same seed, same hash. With a writer, also the events as lines.

use std::fmt;
use std::io::Write;

use leveret_model::Instant;

/// The trace of a run.
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Box<dyn Write + Send>>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x} after {} events)", self.hash, self.events)
    }
}

impl Trace {
    pub(crate) fn new(lines: Option<Box<dyn Write + Send>>) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, lines }
    }

    fn word(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// An event: when, what kind, which numbers.
    pub(crate) fn event(&mut self, now: Instant, kind: u64, numbers: &[u64]) {
        self.events += 1;
        self.word(now.as_nanos());
        self.word(kind);
        for number in numbers {
            self.word(*number);
        }
    }

    /// Bytes that moved.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.word(u64::from(*byte));
        }
        self.word(bytes.len() as u64);
    }

    /// A line for people, made only if somebody reads it.
    pub(crate) fn say(&mut self, now: Instant, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            // whoever reads the trace may stop reading
            let _ = writeln!(lines, "{:>12.6} {}", now.as_nanos() as f64 / 1e9, line());
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }
}
