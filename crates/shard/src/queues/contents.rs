//! What a frozen queue has, in the order in which the new home takes it: messages that it has no copy of as
//! they are, the others by their places.
//!
//! Invariant: each message is sent or listed once; what the queue does not have any more is neither.

use alloc::vec;
use alloc::vec::Vec;

use leveret_link::record::ListedRun;
use leveret_model::{Instant, Position, limits};
use leveret_queue::{Queue, QueueEntry};

use super::copied_places::CopiedPlaces;

/// What is left to send.
#[derive(Debug)]
pub(super) struct Contents {
    copied: CopiedPlaces,
    loose: vec::IntoIter<Position>,
    /// All fresh ones below are said.
    fresh: Position,
    /// Messages so far.
    messages: u64,
    runs: Vec<ListedRun>,
    /// Messages in `runs`.
    listed: u32,
    /// The message behind `runs`.
    next: Option<QueueEntry>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Said {
    /// A message.
    Message(QueueEntry),
    /// Messages that were copied.
    Listed(Vec<ListedRun>),
}

impl Contents {
    pub(super) fn of(queue: &Queue, copied: CopiedPlaces) -> Self {
        let loose = queue.loose_places().into_iter();
        Self { copied, loose, fresh: Position(0), messages: 0, runs: Vec::new(), listed: 0, next: None }
    }

    /// How many messages were said.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// What comes next; `None` when all was said.
    pub(super) fn next(&mut self, queue: &Queue, now: Instant) -> Option<Said> {
        while self.next.is_none() && self.listed < limits::LISTED_MESSAGES_MAX {
            let Some(entry) = self.next_entry(queue, now) else { break };
            self.messages += 1;
            if !self.copied.contains(entry.position) {
                self.next = Some(entry);
            } else if !self.list(&entry) {
                return Some(self.take_runs(&entry));
            }
        }
        if !self.runs.is_empty() {
            self.listed = 0;
            return Some(Said::Listed(core::mem::take(&mut self.runs)));
        }
        self.next.take().map(Said::Message)
    }

    /// What was said last is said again the next time.
    pub(super) fn put_back(&mut self, entry: QueueEntry) {
        self.next = Some(entry);
    }

    /// What was said last is not to be had: it does not count.
    pub(super) fn skip(&mut self) {
        self.messages -= 1;
    }

    /// What comes next, one behind the other, for whoever reads ahead.
    pub(super) fn ahead<'a>(
        &'a self,
        queue: &'a Queue,
        now: Instant,
    ) -> impl Iterator<Item = QueueEntry> + 'a {
        let loose = self.loose.as_slice().iter().filter_map(move |place| queue.loose_entry(*place, now));
        let behind = move |entry: &QueueEntry| queue.next_fresh(Position(entry.position.0 + 1), now);
        let fresh = core::iter::successors(queue.next_fresh(self.fresh, now), behind);
        let not_copied = move |entry: &QueueEntry| !self.copied.contains(entry.position);
        self.next.into_iter().chain(loose.chain(fresh).filter(not_copied))
    }

    fn next_entry(&mut self, queue: &Queue, now: Instant) -> Option<QueueEntry> {
        // a frozen queue has each of them still
        for place in self.loose.by_ref() {
            if let Some(entry) = queue.loose_entry(place, now) {
                return Some(entry);
            }
        }
        let entry = queue.next_fresh(self.fresh, now)?;
        self.fresh = Position(entry.position.0 + 1);
        Some(entry)
    }

    /// False if that takes another record.
    fn list(&mut self, entry: &QueueEntry) -> bool {
        let returns = entry.rule.map(|rule| rule.returns);
        let follows = |run: &&mut ListedRun| {
            let same = (run.state, run.returns) == (entry.state, returns);
            same && run.from.0 + u64::from(run.count) == entry.position.0
        };
        if let Some(run) = self.runs.last_mut().filter(follows) {
            run.count += 1;
        } else if self.runs.len() < limits::LISTED_RUNS_MAX {
            self.runs.push(ListedRun { from: entry.position, count: 1, state: entry.state, returns });
        } else {
            return false;
        }
        self.listed += 1;
        true
    }

    /// The runs are as many as fit a record; the message begins the next ones.
    fn take_runs(&mut self, entry: &QueueEntry) -> Said {
        let runs = core::mem::take(&mut self.runs);
        self.listed = 0;
        self.list(entry);
        Said::Listed(runs)
    }
}
