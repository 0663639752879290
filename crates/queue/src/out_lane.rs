//! The ingress' end of a lane: publishes that the queue's home has not answered, in order.
//!
//! The caller sends each publish as it pushes it, with [`OutLane::base`] at the time of sending. It sends all
//! that waits again, in order, after [`OutLane::restart`] (a new link, a new home), and what comes after a gap
//! when [`OutLane::on_gap`] says so. The home's end is [`Lanes`](crate::Lanes), which also has the table of
//! answers.
//!
//! Invariant: what waits has the sequences `base()..next`, without a hole: answers come for a front, and only
//! from the front does a publish leave that is given up. One that arrived before its front is there too: it was
//! held before it came into the lane. Its publisher is told in time all the same ([`OutLane::overdue`]), and it
//! stays for the sake of the sequence.

#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;

use leveret_model::{Instant, LaneSequence};

#[derive(Debug)]
struct Waiting<T> {
    publish: T,
    bytes: u64,
    /// Until then it may wait.
    due: Instant,
    /// Waited for longer, behind a younger one.
    overdue: bool,
}

/// Publishes of one shard to one queue that wait for their answer. `T` is what the caller wants back.
#[derive(Debug)]
pub struct OutLane<T> {
    waiting: VecDeque<Waiting<T>>,
    /// The sequence that the next publish gets.
    next: u64,
    bytes: u64,
    /// The gap that the last resend answered, on this link.
    gap_answered: Option<LaneSequence>,
    /// Until when the last one may wait.
    last_due: Instant,
    /// An older one came behind a younger one, since the lane was empty.
    mixed: bool,
}

impl<T> Default for OutLane<T> {
    fn default() -> Self {
        Self::new(LaneSequence(1))
    }
}

impl<T> OutLane<T> {
    /// A lane on which nothing was sent. The home knows lanes by their ingress, so `first` is higher than every
    /// sequence that this ingress ever gave to the queue on a lane before.
    #[must_use]
    pub fn new(first: LaneSequence) -> Self {
        Self {
            waiting: VecDeque::new(),
            next: first.0,
            bytes: 0,
            gap_answered: None,
            last_due: Instant::ZERO,
            mixed: false,
        }
    }

    /// A publish of so many bytes, which may wait until `due`, joins the end. The caller asks
    /// [`OutLane::is_full`] first; one that arrived already may go over the bound. hot.
    pub fn push(&mut self, publish: T, bytes: u64, due: Instant) -> LaneSequence {
        let sequence = LaneSequence(self.next);
        self.next += 1;
        self.bytes += bytes;
        self.mixed = !self.waiting.is_empty() && (self.mixed || due < self.last_due);
        self.last_due = due;
        self.waiting.push_back(Waiting { publish, bytes, due, overdue: false });
        sequence
    }

    /// The sequence that the next publish gets.
    #[must_use]
    pub fn next(&self) -> LaneSequence {
        LaneSequence(self.next)
    }

    /// The lowest sequence that waits; the next one if none does.
    #[must_use]
    pub fn base(&self) -> LaneSequence {
        LaneSequence(self.next - self.waiting.len() as u64)
    }

    /// The home has everything up to `through`: those publishes, in order. What lies past the end is not
    /// believed.
    pub fn stored(&mut self, through: LaneSequence) -> impl Iterator<Item = T> + '_ {
        let count = through.0.saturating_add(1).saturating_sub(self.base().0).min(self.waiting.len() as u64);
        self.take_front(count as usize)
    }

    /// A publish that waits.
    pub fn waiting_mut(&mut self, sequence: LaneSequence) -> Option<&mut T> {
        let at = sequence.0.checked_sub(self.base().0)?;
        self.waiting.get_mut(usize::try_from(at).ok()?).map(|waiting| &mut waiting.publish)
    }

    /// The home misses what comes after `after`, and has all before. True if the caller is to send that again
    /// now ([`OutLane::resend_from`]); false if it did so already: each publish that was under way behind the
    /// gap is answered with the same gap.
    #[must_use]
    pub fn on_gap(&mut self, after: LaneSequence) -> bool {
        let due = self.gap_answered != Some(after) && after.0.saturating_add(1) < self.next;
        if due {
            self.gap_answered = Some(after);
        }
        due
    }

    /// A new link or a new home: the caller sends all that waits again (`resend_from(LaneSequence(0))`).
    pub fn restart(&mut self) {
        self.gap_answered = None;
    }

    /// What waits after `after`, in order.
    pub fn resend_from(&self, after: LaneSequence) -> impl Iterator<Item = (LaneSequence, &T)> + '_ {
        let base = self.base().0;
        let skip = after.0.saturating_add(1).saturating_sub(base).min(self.waiting.len() as u64);
        let rest = self.waiting.range(skip as usize..);
        rest.zip(base + skip..).map(|(waiting, sequence)| (LaneSequence(sequence), &waiting.publish))
    }

    /// The first one that waits if it is due: it is given up, and the base moves past it. To be called until
    /// `None`.
    pub fn expire(&mut self, now: Instant) -> Option<T> {
        if self.waiting.front()?.due > now {
            return None;
        }
        let first = self.waiting.pop_front()?;
        self.bytes -= first.bytes;
        Some(first.publish)
    }

    /// Those that are due and wait behind a younger one, each once: nobody is to wait for them any more, but
    /// they may still be stored.
    pub fn overdue(&mut self, now: Instant) -> impl Iterator<Item = &mut T> {
        let depth = if self.mixed { self.waiting.len() } else { 0 };
        self.waiting.range_mut(..depth).filter_map(move |waiting| {
            let new = waiting.due <= now && !waiting.overdue;
            waiting.overdue |= new;
            new.then_some(&mut waiting.publish)
        })
    }

    /// Nobody waits for the first any more, so it is to be given up at once. hot.
    #[must_use]
    pub fn is_front_overdue(&self) -> bool {
        self.mixed && self.waiting.front().is_some_and(|waiting| waiting.overdue)
    }

    /// When the next one is due that is not overdue.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let depth = if self.mixed { self.waiting.len() } else { self.waiting.len().min(1) };
        self.waiting.range(..depth).filter(|waiting| !waiting.overdue).map(|waiting| waiting.due).min()
    }

    /// The queue is gone: all that waits, in order.
    pub fn gone(&mut self) -> impl Iterator<Item = T> + '_ {
        self.take_front(self.waiting.len())
    }

    /// Publishes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// At its bound ([`LANE_MESSAGES_MAX`](leveret_model::limits::LANE_MESSAGES_MAX) and
    /// [`LANE_BYTES_MAX`](leveret_model::limits::LANE_BYTES_MAX), unless set): its publishers are not read.
    #[must_use]
    pub fn is_full(&self, messages_max: usize, bytes_max: u64) -> bool {
        self.waiting.len() >= messages_max || self.bytes >= bytes_max
    }

    fn take_front(&mut self, count: usize) -> impl Iterator<Item = T> + '_ {
        self.bytes -= self.waiting.range(..count).map(|waiting| waiting.bytes).sum::<u64>();
        self.waiting.drain(..count).map(|waiting| waiting.publish)
    }
}
