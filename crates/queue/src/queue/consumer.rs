//! One consumer of a queue: its quota, and where it stands in its line.

use core::cmp::Reverse;

use leveret_model::ConsumerKey;

use super::subscription::Credit;

/// No entry: beyond the end of a line.
pub(super) const NOBODY: u32 = u32::MAX;

/// Where a line stands: priority, then whether it is on another node.
pub(super) type LineRank = (Reverse<i32>, bool);

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) key: ConsumerKey,
    pub(super) no_ack: bool,
    /// Deliveries that it holds.
    pub(super) unacked: u32,
    pub(super) subscribed: bool,
    /// A delivery was not taken (`Delivered::Paused`); until it is woken.
    pub(super) asleep: bool,
    pub(super) in_line: bool,
    /// Its neighbours there.
    pub(super) ahead: u32,
    pub(super) behind: u32,
    pub(super) prefetch: u32,
    pub(super) rank: LineRank,
    pub(super) credit: Option<Credit>,
    /// Counts subscriptions of the queue: the order in which consumers are cancelled.
    pub(super) ordinal: u64,
}

impl Consumer {
    pub(super) fn idle(key: ConsumerKey) -> Self {
        Self {
            key,
            no_ack: false,
            unacked: 0,
            subscribed: false,
            asleep: false,
            in_line: false,
            ahead: NOBODY,
            behind: NOBODY,
            prefetch: 0,
            rank: (Reverse(0), false),
            credit: None,
            ordinal: 0,
        }
    }

    /// The prefetch as its client gave it: 0 for none.
    pub(super) fn given_prefetch(&self) -> u16 {
        if self.prefetch == u32::MAX { 0 } else { u16::try_from(self.prefetch).unwrap_or(u16::MAX) }
    }

    /// Messages that it can take now, the output aside.
    pub(super) fn quota(&self) -> u32 {
        let prefetch = if self.no_ack { u32::MAX } else { self.prefetch.saturating_sub(self.unacked) };
        self.credit.map_or(prefetch, |credit| prefetch.min(credit.messages()))
    }

    /// A message of so many bytes went to it. hot.
    #[inline]
    pub(super) fn spend(&mut self, bytes: usize) {
        if let Some(credit) = &mut self.credit {
            credit.spend(bytes);
        }
    }

    /// Its window is open as far as bytes go. hot.
    #[inline]
    pub(super) fn has_bytes(&self) -> bool {
        self.credit.is_none_or(|credit| credit.has_bytes())
    }

    /// Bytes matter to its window.
    pub(super) fn is_metered(&self) -> bool {
        self.credit.is_some()
    }
}
