//! Publisher confirms of one channel: which numbers are owed, and how few frames tell the client (RabbitMQ: publisher
//! confirms).
//!
//! Invariants: every number up to `contiguous` is settled; of those, `untold` acks wait for the end of the turn, the
//! highest of them `ack_at`. `window` holds the state of every number above `contiguous`.
//! `multiple` is set only where every number that it covers is settled the same way or was told before.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::PublishNumber;
use leveret_model::limits::CONFIRMS_KEEP;

/// A number above the contiguous run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Somebody still owes an answer.
    Owed,
    /// Settled with an ack, not told.
    Acked,
    /// Settled with a nack, not told.
    Nacked,
    /// The client knows.
    Told,
}

/// One frame to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirm {
    /// The delivery tag of the frame.
    pub(crate) number: PublishNumber,
    /// All up to it.
    pub(crate) multiple: bool,
    /// `basic.ack`, else `basic.nack`.
    pub(crate) ok: bool,
}

/// The confirms of a channel in confirm mode. Numbers are drawn one at a time: each is recorded before the next.
#[derive(Debug, Default)]
pub(crate) struct Confirms {
    last: u64,
    contiguous: u64,
    untold: u64,
    ack_at: u64,
    window: VecDeque<State>,
    /// Numbers settled since the last flush while an earlier one was owed.
    early: Vec<u64>,
}

impl Confirms {
    /// The number of the next publish; the first is 1. hot.
    pub(crate) fn draw(&mut self) -> PublishNumber {
        self.last += 1;
        PublishNumber(self.last)
    }

    /// The number drawn last is settled. hot.
    pub(crate) fn settled(&mut self) {
        if self.window.is_empty() {
            self.contiguous = self.last;
            self.untold += 1;
            self.ack_at = self.last;
        } else {
            self.window.push_back(State::Acked);
            self.early.push(self.last);
        }
    }

    /// The number drawn last is owed by somebody. hot.
    pub(crate) fn owed(&mut self) {
        self.window.push_back(State::Owed);
    }

    /// The number drawn last was given up.
    pub(crate) fn given_up(&mut self) {
        self.window.push_back(State::Nacked);
        self.early.push(self.last);
    }

    /// The answer that was owed for `number`; an unknown or repeated one changes nothing. hot.
    pub(crate) fn on_settled(&mut self, number: PublishNumber, ok: bool) {
        let Some(at) = self.index(number.0) else { return };
        if self.window.get(at) == Some(&State::Owed) {
            self.window[at] = if ok { State::Acked } else { State::Nacked };
            self.early.push(number.0);
        }
    }

    /// Tells the client what is settled, in as few frames as is legal. hot.
    pub(crate) fn flush(&mut self, mut tell: impl FnMut(Confirm)) {
        loop {
            self.pass_acks();
            if self.untold > 0 {
                tell(Confirm { number: PublishNumber(self.ack_at), multiple: self.untold > 1, ok: true });
                self.untold = 0;
            }
            let nacks = self.pass_nacks();
            if nacks == 0 {
                break;
            }
            tell(Confirm { number: PublishNumber(self.contiguous), multiple: nacks > 1, ok: false });
        }
        let mut early = core::mem::take(&mut self.early);
        for number in early.drain(..) {
            let Some(at) = self.index(number) else { continue };
            let ok = self.window[at] == State::Acked;
            self.window[at] = State::Told;
            tell(Confirm { number: PublishNumber(number), multiple: false, ok });
        }
        if self.window.is_empty() && self.window.capacity() > CONFIRMS_KEEP {
            self.window = VecDeque::new();
        } else {
            self.early = early;
        }
    }

    /// Moves the contiguous run over what is acked or was told.
    fn pass_acks(&mut self) {
        while let Some(State::Acked | State::Told) = self.window.front() {
            self.contiguous += 1;
            if self.window.pop_front() == Some(State::Acked) {
                self.untold += 1;
                self.ack_at = self.contiguous;
            }
        }
    }

    fn pass_nacks(&mut self) -> u64 {
        let mut nacks = 0;
        while self.window.front() == Some(&State::Nacked) {
            self.window.pop_front();
            self.contiguous += 1;
            nacks += 1;
        }
        nacks
    }

    fn index(&self, number: u64) -> Option<usize> {
        let at = usize::try_from(number.checked_sub(self.contiguous + 1)?).ok()?;
        (at < self.window.len()).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;
    use std::vec;

    fn flushed(confirms: &mut Confirms) -> Vec<(u64, bool, bool)> {
        let mut told = Vec::new();
        confirms.flush(|c| told.push((c.number.0, c.multiple, c.ok)));
        told
    }

    #[test]
    fn what_settles_at_once_is_told_in_one_frame() {
        let mut confirms = Confirms::default();
        for _ in 0..3 {
            confirms.draw();
            confirms.settled();
        }
        assert_eq!(flushed(&mut confirms), vec![(3, true, true)]);
        assert_eq!(flushed(&mut confirms), vec![]);
    }

    #[test]
    fn an_owed_number_is_never_covered() {
        let mut confirms = Confirms::default();
        confirms.draw();
        confirms.settled();
        confirms.draw();
        confirms.owed();
        confirms.draw();
        confirms.settled();
        assert_eq!(flushed(&mut confirms), vec![(1, false, true), (3, false, true)]);
        confirms.on_settled(PublishNumber(2), true);
        assert_eq!(flushed(&mut confirms), vec![(2, false, true)]);
    }

    #[test]
    fn a_nack_splits_the_run() {
        let mut confirms = Confirms::default();
        for _ in 0..4 {
            confirms.draw();
            confirms.owed();
        }
        for (number, ok) in [(1, true), (2, true), (3, false), (4, true)] {
            confirms.on_settled(PublishNumber(number), ok);
        }
        assert_eq!(flushed(&mut confirms), vec![(2, true, true), (3, false, false), (4, false, true)]);
    }

    proptest! {
        /// A client that keeps what is outstanding hears of every number once, with the outcome that it had.
        #[test]
        fn the_client_hears_of_each_number_once(steps in proptest::collection::vec((0u8..6, 0u64..40), 0..300)) {
            let mut confirms = Confirms::default();
            let mut truth: BTreeMap<u64, Option<bool>> = BTreeMap::new();
            let mut outstanding: BTreeMap<u64, ()> = BTreeMap::new();
            for (kind, n) in steps {
                match kind {
                    0 | 1 => {
                        let number = confirms.draw().0;
                        outstanding.insert(number, ());
                        let outcome = [Some(true), None, Some(false), None][(n % 4) as usize];
                        match outcome { Some(true) => confirms.settled(), None => confirms.owed(), Some(false) => confirms.given_up() }
                        truth.insert(number, outcome);
                    }
                    2..=4 => {
                        confirms.on_settled(PublishNumber(n), n % 3 != 0);
                        if let Some(entry @ None) = truth.get_mut(&n) { *entry = Some(n % 3 != 0); }
                    }
                    _ => {
                        for (number, multiple, ok) in flushed(&mut confirms) {
                            let covered: Vec<u64> = if multiple { outstanding.range(..=number).map(|(n, ())| *n).collect() } else { vec![number] };
                            for one in covered {
                                prop_assert!(outstanding.remove(&one).is_some(), "{one} told twice");
                                prop_assert_eq!(truth[&one], Some(ok));
                            }
                        }
                        prop_assert!(outstanding.keys().all(|n| truth[n].is_none()), "a settled number was not told");
                    }
                }
            }
        }
    }
}
