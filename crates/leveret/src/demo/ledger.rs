//! What was published, what was promised, and what arrived: counted by sequence numbers inside the messages.
//!
//! Invariant: a message is entered before it is sent, so nothing can arrive that is not in here.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The messages of one publisher to one incarnation of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamId(usize);

/// What every message says about itself: 16 bytes, the stream and the number, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) stream: StreamId,
    pub(super) number: u64,
}

impl Label {
    pub(super) fn encode(self) -> [u8; 16] {
        ((self.stream.0 as u128) << 64 | u128::from(self.number)).to_be_bytes()
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let both = u128::from_be_bytes(body.try_into().ok()?);
        Some(Self { stream: StreamId((both >> 64) as usize), number: both as u64 })
    }
}

/// What the broker said about a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    /// Then.
    Confirmed(Instant),
    /// Nacked, or returned because no queue took it: nothing was promised.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    answer: Answer,
    delivered: bool,
    /// Its publisher lost its connection before the answer and published it once more: it may come twice.
    sent_again: bool,
}

#[derive(Debug, Default)]
struct Stream {
    name: &'static str,
    /// By number minus 1.
    entries: Vec<Entry>,
    redelivered: u64,
    reordered: u64,
    twice: u64,
    unknown: u64,
    /// Since then it is known that the queue's home is dead.
    known_dead: Option<Instant>,
}

/// The sums of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) name: &'static str,
    pub(super) sent: u64,
    pub(super) confirmed: u64,
    /// Nacked or returned.
    pub(super) refused: u64,
    /// Not answered (yet).
    pub(super) awaited: u64,
    /// Different messages that arrived.
    pub(super) delivered: u64,
    /// Deliveries that said that they may be a second one.
    pub(super) redelivered: u64,
    /// Never arrived, and confirmed before it was known that the queue's home is dead.
    pub(super) gone: u64,
    /// Confirmed, never arrived, and no excuse.
    pub(super) lost: u64,
    /// Published again, because the first try was not answered.
    pub(super) sent_again: u64,
    /// Delivered behind one that was sent later.
    pub(super) reordered: u64,
    /// Second deliveries without a word.
    pub(super) twice: u64,
    /// All deliveries that should not have been: these, and those that were never sent.
    pub(super) wrong: u64,
}

#[derive(Debug, Default)]
struct Pages {
    streams: Vec<Stream>,
    failure: Option<String>,
}

/// The ledger that publishers and consumers share.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pages: Mutex<Pages>,
    changed: Condvar,
}

impl Ledger {
    /// A new stream of messages to that queue.
    pub(super) fn open(&self, name: &'static str) -> StreamId {
        let mut pages = self.lock();
        pages.streams.push(Stream { name, ..Stream::default() });
        StreamId(pages.streams.len() - 1)
    }

    /// Enters the next message of a stream.
    pub(super) fn send(&self, stream: StreamId) -> Label {
        let mut pages = self.lock();
        let entries = &mut pages.streams[stream.0].entries;
        entries.push(Entry { answer: Answer::Awaited, delivered: false, sent_again: false });
        Label { stream, number: entries.len() as u64 }
    }

    /// A message without an answer is published once more, over another connection.
    pub(super) fn sent_again(&self, label: Label) {
        self.change(|pages| {
            if let Some(entry) = pages.entry(label) {
                entry.sent_again = true;
            }
        });
    }

    /// A publish was returned: its answer will be a confirm that promises nothing.
    pub(super) fn returned(&self, label: Label) {
        self.answer(label, Answer::Refused);
    }

    /// A publish was confirmed, or nacked.
    pub(super) fn answered(&self, label: Label, confirmed: bool) {
        self.answer(label, if confirmed { Answer::Confirmed(Instant::now()) } else { Answer::Refused });
    }

    fn answer(&self, label: Label, answer: Answer) {
        self.change(|pages| {
            if let Some(entry) = pages.entry(label)
                && entry.answer == Answer::Awaited
            {
                entry.answer = answer;
            }
        });
    }

    /// A message arrived. `in_order`: behind all that its consumer had before, or marked as redelivered.
    pub(super) fn delivered(&self, label: Option<Label>, redelivered: bool, in_order: bool) {
        self.change(|pages| {
            // What bears no label of ours is held against the first stream.
            let label = label.filter(|label| pages.entry(*label).is_some());
            let Some(label) = label else {
                pages.streams[0].unknown += 1;
                return;
            };
            let entry = pages.entry(label).expect("looked up above");
            let again = std::mem::replace(&mut entry.delivered, true);
            let excused = entry.sent_again;
            let stream = &mut pages.streams[label.stream.0];
            stream.redelivered += u64::from(redelivered);
            stream.twice += u64::from(again && !redelivered && !excused);
            // a second delivery is out of order by nature, and counted once
            stream.reordered += u64::from(!in_order && !again && !excused);
        });
    }

    /// The home of the stream's queue was killed, with its memory, and the cluster knew it at that time: what
    /// was confirmed before is gone; whoever confirms later promises what nobody can keep.
    pub(super) fn home_known_dead(&self, stream: StreamId, at: Instant) {
        self.change(|pages| pages.streams[stream.0].known_dead = Some(at));
    }

    /// A publisher or consumer cannot go on; whoever waits is told.
    pub(super) fn fail(&self, why: String) {
        self.change(|pages| {
            pages.failure.get_or_insert(why);
        });
    }

    /// Waits until the stream's sums are as wanted; false at the deadline.
    ///
    /// # Errors
    /// What a publisher or consumer failed with.
    pub(super) fn wait(
        &self,
        stream: StreamId,
        deadline: Instant,
        wanted: impl Fn(&Tally) -> bool,
    ) -> Result<bool> {
        let mut pages = self.lock();
        loop {
            if let Some(why) = &pages.failure {
                bail!("{why}");
            }
            if wanted(&pages.streams[stream.0].tally()) {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return Ok(false);
            }
            let waited = self.changed.wait_timeout(pages, left.min(LOOK_AGAIN));
            pages = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The sums of one stream.
    pub(super) fn tally(&self, stream: StreamId) -> Tally {
        self.lock().streams[stream.0].tally()
    }

    /// The sums of all streams, in the order in which they were opened.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        self.lock().streams.iter().map(Stream::tally).collect()
    }

    fn change(&self, change: impl FnOnce(&mut Pages)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn entry(&mut self, label: Label) -> Option<&mut Entry> {
        let index = usize::try_from(label.number).ok()?.checked_sub(1)?;
        self.streams.get_mut(label.stream.0)?.entries.get_mut(index)
    }
}

impl Stream {
    fn tally(&self) -> Tally {
        let mut tally = Tally {
            name: self.name,
            sent: self.entries.len() as u64,
            redelivered: self.redelivered,
            reordered: self.reordered,
            twice: self.twice,
            wrong: self.reordered + self.twice + self.unknown,
            ..Tally::default()
        };
        for entry in &self.entries {
            tally.delivered += u64::from(entry.delivered);
            tally.sent_again += u64::from(entry.sent_again);
            match entry.answer {
                Answer::Awaited => tally.awaited += 1,
                Answer::Refused => tally.refused += 1,
                Answer::Confirmed(at) => {
                    tally.confirmed += 1;
                    match (entry.delivered, self.known_dead) {
                        (true, _) => {}
                        (false, Some(dead)) if at < dead => tally.gone += 1,
                        (false, _) => tally.lost += 1,
                    }
                }
            }
        }
        tally
    }
}

/// A waiter counts at least this often; each change wakes it as well.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn stream_of(ledger: &Ledger, messages: u64) -> StreamId {
        let stream = ledger.open("meadow");
        for number in 1..=messages {
            assert_eq!(ledger.send(stream), Label { stream, number });
        }
        stream
    }

    #[test]
    fn a_label_survives_its_bytes() {
        let label = Label { stream: StreamId(3), number: u64::MAX };
        assert_eq!(Label::decode(&label.encode()), Some(label));
        assert_eq!(Label::decode(b"short"), None);
    }

    #[test]
    fn only_what_was_confirmed_can_be_lost() {
        let ledger = Ledger::default();
        let stream = stream_of(&ledger, 5);
        let label = |number| Label { stream, number };
        ledger.answered(label(1), true);
        ledger.delivered(Some(label(1)), false, true);
        ledger.answered(label(2), true);
        ledger.answered(label(3), false);
        ledger.returned(label(4));
        ledger.answered(label(4), true);
        let tally = ledger.tally(stream);
        assert_eq!((tally.sent, tally.confirmed, tally.refused, tally.awaited), (5, 2, 2, 1));
        assert_eq!((tally.delivered, tally.lost, tally.gone, tally.wrong), (1, 1, 0, 0));
    }

    #[test]
    fn a_dead_home_excuses_only_what_was_confirmed_before_that_was_known() {
        let ledger = Ledger::default();
        let stream = stream_of(&ledger, 3);
        let label = |number| Label { stream, number };
        ledger.answered(label(1), true);
        let known = Instant::now();
        ledger.answered(label(2), true);
        ledger.answered(label(3), false);
        ledger.home_known_dead(stream, known);
        let tally = ledger.tally(stream);
        assert_eq!((tally.gone, tally.lost, tally.refused), (1, 1, 1));
    }

    #[test]
    fn a_second_delivery_must_say_so() {
        let ledger = Ledger::default();
        let stream = stream_of(&ledger, 1);
        let label = Label { stream, number: 1 };
        ledger.delivered(Some(label), false, true);
        ledger.delivered(Some(label), true, true);
        let tally = ledger.tally(stream);
        assert_eq!((tally.delivered, tally.redelivered, tally.wrong), (1, 1, 0));
        ledger.delivered(Some(label), false, true);
        assert_eq!(ledger.tally(stream).wrong, 1);
    }

    #[test]
    fn what_was_sent_again_may_come_twice_and_late_and_is_not_lost_without_a_trace() {
        let ledger = Ledger::default();
        let stream = stream_of(&ledger, 3);
        let label = |number| Label { stream, number };
        ledger.sent_again(label(1));
        ledger.sent_again(label(2));
        [1, 2, 3].into_iter().for_each(|number| ledger.answered(label(number), true));
        ledger.delivered(Some(label(1)), false, true);
        ledger.delivered(Some(label(3)), false, true);
        ledger.delivered(Some(label(1)), false, false);
        let tally = ledger.tally(stream);
        assert_eq!((tally.sent_again, tally.twice, tally.reordered, tally.wrong), (2, 0, 0, 0));
        assert_eq!(tally.lost, 1);
    }

    #[test]
    fn what_was_never_sent_or_comes_out_of_order_is_wrong() {
        let ledger = Ledger::default();
        let stream = stream_of(&ledger, 2);
        ledger.delivered(None, false, true);
        ledger.delivered(Some(Label { stream, number: 3 }), false, true);
        ledger.delivered(Some(Label { stream, number: 1 }), false, false);
        assert_eq!(ledger.tally(stream).wrong, 3);
    }

    #[test]
    fn a_failure_ends_every_wait() {
        let ledger = Ledger::default();
        let stream = stream_of(&ledger, 1);
        assert!(!ledger.wait(stream, Instant::now(), |tally| tally.delivered == 1).unwrap());
        ledger.fail("the connection is lost".into());
        let later = Instant::now() + Duration::from_secs(60);
        assert!(ledger.wait(stream, later, |tally| tally.delivered == 1).is_err());
    }
}
