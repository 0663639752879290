//! Which publishes of a channel the broker has confirmed.

use std::collections::VecDeque;

use super::protocol::{Frame, Method};

/// The publishes in flight on one channel; numbers count from 1 (RabbitMQ: publisher confirms).
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// Every number up to here is settled.
    settled_to: u64,
    /// Numbers behind that: true if settled out of turn.
    open: VecDeque<bool>,
    outstanding: u64,
    /// Refused by the broker.
    pub(super) refused: u64,
    /// Settled that were settled before, or never sent.
    pub(super) astray: u64,
}

impl Confirms {
    /// The next `count` numbers are on their way.
    pub(super) fn sent(&mut self, count: u64) {
        self.open.extend((0..count).map(|_| false));
        self.outstanding += count;
    }

    /// How many wait for an answer.
    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Takes in a `basic.ack` or `basic.nack`; `settled` is called with each number that it settles.
    /// False if the frame is neither.
    pub(super) fn on_frame(&mut self, frame: &Frame<'_>, settled: impl FnMut(u64)) -> bool {
        let Some((method @ (Method::BASIC_ACK | Method::BASIC_NACK), mut fields)) = frame.method() else {
            return false;
        };
        let (tag, flags) = (fields.u64().unwrap_or(0), fields.u8().unwrap_or(0));
        let count = self.settle(tag, flags & 1 == 1, settled);
        if method == Method::BASIC_NACK {
            self.refused += count;
        }
        true
    }

    fn settle(&mut self, tag: u64, multiple: bool, mut settled: impl FnMut(u64)) -> u64 {
        let last = tag.wrapping_sub(self.settled_to).wrapping_sub(1);
        if last >= self.open.len() as u64 {
            self.astray += 1;
            return 0;
        }
        let last = last as usize;
        let mut count = 0;
        for index in if multiple { 0 } else { last }..=last {
            if !std::mem::replace(&mut self.open[index], true) {
                settled(self.settled_to + 1 + index as u64);
                count += 1;
            } else if !multiple {
                self.astray += 1;
            }
        }
        self.outstanding -= count;
        while self.open.front() == Some(&true) {
            self.open.pop_front();
            self.settled_to += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_and_multiple_confirms_settle_each_number_once() {
        let mut confirms = Confirms::default();
        let mut seen = Vec::new();
        confirms.sent(6);
        assert_eq!(confirms.settle(3, false, |n| seen.push(n)), 1);
        assert_eq!(confirms.settle(4, true, |n| seen.push(n)), 3);
        assert_eq!(confirms.settle(6, true, |n| seen.push(n)), 2);
        assert_eq!(seen, [3, 1, 2, 4, 5, 6]);
        assert_eq!((confirms.outstanding(), confirms.astray), (0, 0));
    }

    #[test]
    fn a_confirm_that_comes_twice_or_for_nothing_is_astray() {
        let mut confirms = Confirms::default();
        confirms.sent(3);
        confirms.settle(2, false, |_| {});
        confirms.settle(2, false, |_| {});
        confirms.settle(9, true, |_| {});
        confirms.settle(0, true, |_| {});
        assert_eq!((confirms.outstanding(), confirms.astray), (2, 3));
    }
}
