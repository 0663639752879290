//! Frames that wait behind an operation or a held publish of their channel: whole, as bytes, with the time they came.
//!
//! They are replayed through the code that reads the socket. A run holds what came at one instant; a run is taken whole
//! and read with a cursor, so the replay is linear however many operations lie in it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::Instant;

/// What a run costs beside its bytes; counted, so that many tiny runs meet the bound too.
const RUN_BYTES: usize = 64;

/// Frames that came at one instant.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) arrived: Instant,
    pub(crate) frames: Bytes,
}

/// The frames of one channel that wait.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    runs: VecDeque<Run>,
    /// The run that still grows; the last one.
    tail: Vec<u8>,
    tail_arrived: Instant,
    weight_bytes: usize,
}

impl Deferred {
    /// A whole frame.
    pub(crate) fn push(&mut self, arrived: Instant, frame: &[u8]) {
        if self.tail.is_empty() || self.tail_arrived != arrived {
            self.end_tail();
            self.tail_arrived = arrived;
            self.weight_bytes += RUN_BYTES;
        }
        self.tail.extend_from_slice(frame);
        self.weight_bytes += frame.len();
    }

    /// What it takes in memory, about.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    /// Takes the first run.
    pub(crate) fn take(&mut self) -> Option<Run> {
        if self.runs.is_empty() {
            self.end_tail();
        }
        let run = self.runs.pop_front()?;
        self.weight_bytes -= RUN_BYTES + run.frames.len();
        Some(run)
    }

    /// Puts the rest of a run back to the front.
    pub(crate) fn put_back(&mut self, run: Run) {
        if !run.frames.is_empty() {
            self.weight_bytes += RUN_BYTES + run.frames.len();
            self.runs.push_front(run);
        }
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            let frames = core::mem::take(&mut self.tail).into();
            self.runs.push_back(Run { arrived: self.tail_arrived, frames });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn runs_come_back_in_order_with_their_times() {
        let later = Instant::ZERO + Duration::from_secs(1);
        let mut deferred = Deferred::default();
        deferred.push(Instant::ZERO, b"ab");
        deferred.push(Instant::ZERO, b"c");
        deferred.push(later, b"d");
        let mut run = deferred.take().unwrap();
        assert_eq!((run.arrived, &run.frames[..]), (Instant::ZERO, &b"abc"[..]));
        run.frames = run.frames.slice(1..);
        deferred.put_back(run);
        deferred.push(later, b"e");
        assert_eq!(&deferred.take().unwrap().frames[..], b"bc");
        let run = deferred.take().unwrap();
        assert_eq!((run.arrived, &run.frames[..]), (later, &b"de"[..]));
        assert!(deferred.take().is_none());
        assert_eq!(deferred.weight_bytes, 0);
    }
}
