//! Whose turn it is to ask for a message.
//!
//! The answer to `basic.get` is as large as its message, and the output is looked at before the question, not before the
//! answer. So a connection asks for few at once; the other channels wait in line.
//!
//! Invariant: in `waiting` stand exactly the open channels that wait for their turn, each once.

use alloc::collections::VecDeque;

use leveret_model::ChannelNumber;
use leveret_model::limits::GETS_AT_ONCE_MAX;

/// The gets of a connection.
#[derive(Debug)]
pub(crate) struct Gets {
    /// Asked and not answered.
    under_way: usize,
    waiting: VecDeque<ChannelNumber>,
}

impl Gets {
    pub(crate) const fn new() -> Self {
        Self { under_way: 0, waiting: VecDeque::new() }
    }

    /// True if the channel may ask now; else it stands in line.
    pub(crate) fn begin(&mut self, channel: ChannelNumber) -> bool {
        let now = self.under_way < GETS_AT_ONCE_MAX && self.waiting.is_empty();
        if now {
            self.under_way += 1;
        } else {
            self.waiting.push_back(channel);
        }
        now
    }

    /// One was answered, or nobody waits for its answer any more.
    pub(crate) fn end(&mut self) {
        self.under_way -= 1;
    }

    /// Whose turn it is, if another may ask: it leaves the line, and its get is under way.
    pub(crate) fn next(&mut self) -> Option<ChannelNumber> {
        if self.under_way >= GETS_AT_ONCE_MAX {
            return None;
        }
        let channel = self.waiting.pop_front()?;
        self.under_way += 1;
        Some(channel)
    }

    /// Who stands first in line; it stays there.
    pub(crate) fn first(&self) -> Option<ChannelNumber> {
        self.waiting.front().copied()
    }

    /// The channel waits no longer.
    pub(crate) fn leave(&mut self, channel: ChannelNumber) {
        self.waiting.retain(|waiting| *waiting != channel);
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }
}
