//! Dead letters that are not everywhere yet: in the row of their source until they are sent, then by their
//! number until all are answered.

use alloc::collections::{BTreeMap, VecDeque};

use leveret_model::{QueueId, limits};

use super::outlet::Dead;
use crate::queues::publisher::DeadLetterSend;

/// What became of dead letters of this shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeadLetterTraffic {
    /// Every queue that they go to has them.
    pub(crate) delivered: u64,
    /// There was no such exchange, or no queue, or only queues that they died in before.
    pub(crate) unroutable: u64,
    /// A target that was away got none, because too many waited for it.
    pub(crate) passed_away: u64,
}

/// What a letter may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Patience {
    /// Too many wait.
    None,
    /// A lease: without one nobody knows where to.
    Lease,
    /// That, and targets that are away.
    All,
}

/// Letters of one source.
#[derive(Debug, Default)]
struct Row {
    waiting: VecDeque<Dead>,
    bytes: u64,
    /// The front was taken out, and comes back if it cannot go.
    front_is_out: bool,
    /// In `DeadLetters::due`.
    due: bool,
    /// Its source moves: it waits for no target that is away.
    leaves: bool,
}

impl Row {
    /// More wait than may: the front may be out, to be sent.
    fn is_over(&self) -> bool {
        let messages = self.waiting.len() + usize::from(self.front_is_out);
        messages > limits::DEAD_LETTERS_HELD_MAX || self.bytes > limits::DEAD_LETTERS_HELD_BYTES_MAX
    }
}

/// Dead letters on their way.
#[derive(Debug, Default)]
pub(in crate::queues) struct DeadLetters {
    /// Those that are not sent, by the queue that they died in.
    rows: BTreeMap<QueueId, Row>,
    /// Rows that may go on, each once.
    due: VecDeque<QueueId>,
    /// Those that are sent and not answered.
    pub(super) sent: BTreeMap<u64, Dead>,
    /// Answers that are owed: for which letter, by which queue.
    pub(super) owed: BTreeMap<DeadLetterSend, (u64, QueueId)>,
    last: u64,
    pub(super) traffic: DeadLetterTraffic,
}

impl DeadLetters {
    /// Something may go now.
    pub(super) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    pub(super) fn traffic(&self) -> DeadLetterTraffic {
        self.traffic
    }

    /// Letters that some queue does not have yet.
    pub(in crate::queues) fn iter(&self) -> impl Iterator<Item = &Dead> {
        self.rows.values().flat_map(|row| &row.waiting).chain(self.sent.values())
    }

    /// The source moves once its letters are out: they wait for no target that is away. True if some wait.
    pub(super) fn hurry(&mut self, queue: QueueId) -> bool {
        let Some(row) = self.rows.get_mut(&queue) else { return false };
        if !core::mem::replace(&mut row.leaves, true) && !core::mem::replace(&mut row.due, true) {
            self.due.push_back(queue);
        }
        true
    }

    /// What held them back may be over.
    pub(super) fn retry(&mut self) {
        for (queue, row) in &mut self.rows {
            if !core::mem::replace(&mut row.due, true) {
                self.due.push_back(*queue);
            }
        }
    }

    pub(super) fn push(&mut self, dead: Dead, bytes: u64, first: bool) {
        let queue = dead.queue;
        let row = self.rows.entry(queue).or_default();
        row.bytes += bytes;
        let held = !row.waiting.is_empty();
        if first {
            row.waiting.push_front(dead);
        } else {
            row.waiting.push_back(dead);
        }
        // the others wait for the front, which has been tried, and which goes all the same if they are too many
        if (first || !held || row.is_over()) && !core::mem::replace(&mut row.due, true) {
            self.due.push_back(queue);
        }
    }

    /// The next letter that may go.
    pub(super) fn pop(&mut self) -> Option<Dead> {
        loop {
            let queue = self.due.pop_front()?;
            let Some(row) = self.rows.get_mut(&queue) else { continue };
            row.due = false;
            if let Some(dead) = row.waiting.pop_front() {
                row.front_is_out = true;
                return Some(dead);
            }
        }
    }

    /// The front of a row went: the next one may.
    pub(super) fn advance(&mut self, queue: QueueId, bytes: u64) {
        let Some(row) = self.rows.get_mut(&queue) else { return };
        row.bytes -= bytes;
        row.front_is_out = false;
        if row.waiting.is_empty() {
            self.rows.remove(&queue);
        } else if !core::mem::replace(&mut row.due, true) {
            self.due.push_back(queue);
        }
    }

    /// The front of a row waits, and the others behind it.
    pub(super) fn hold(&mut self, dead: Dead) {
        if let Some(row) = self.rows.get_mut(&dead.queue) {
            row.waiting.push_front(dead);
            row.front_is_out = false;
        }
    }

    /// For what the front of a row, which was taken out, may wait.
    pub(super) fn patience(&self, queue: QueueId) -> Patience {
        let Some(row) = self.rows.get(&queue) else { return Patience::All };
        if row.is_over() {
            Patience::None
        } else if row.leaves {
            Patience::Lease
        } else {
            Patience::All
        }
    }

    /// Those behind the front of a row, which was taken out: as many as one turn may send.
    pub(super) fn behind(&self, queue: QueueId) -> impl Iterator<Item = &Dead> {
        let row = self.rows.get(&queue);
        row.into_iter().flat_map(|row| row.waiting.iter().take(limits::DEAD_LETTERS_PER_TURN_MAX))
    }

    /// The front of a row waited for the disk.
    pub(in crate::queues) fn wake(&mut self, queue: QueueId) {
        if let Some(row) = self.rows.get_mut(&queue)
            && !core::mem::replace(&mut row.due, true)
        {
            self.due.push_back(queue);
        }
    }

    pub(in crate::queues) fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
