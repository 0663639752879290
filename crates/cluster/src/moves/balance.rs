//! When a node looks at the balance between the others and itself, and which queues it leaves where they are.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, QueueId, limits};

/// What a node remembers about the balance between the others and itself.
#[derive(Debug)]
pub(crate) struct Balance {
    /// Nodes that could take queues at the last look.
    nodes: Vec<NodeId>,
    look_at: Instant,
    /// When queues are counted next.
    count_at: Instant,
    /// Queues that stay until then.
    resting: BTreeMap<QueueId, Instant>,
    /// Somebody asked for it, and it is not done.
    asked: bool,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            look_at: Instant::ZERO,
            count_at: Instant::FAR,
            resting: BTreeMap::new(),
            asked: false,
        }
    }
}

impl Balance {
    /// When a look is due, while there is anybody to look at.
    pub(super) fn look_at(&self) -> Instant {
        if self.nodes.is_empty() { Instant::FAR } else { self.look_at }
    }

    pub(super) fn next_look(&self) -> Instant {
        self.look_at
    }

    /// Somebody wants balance now: nothing rests any more.
    pub(super) fn ask(&mut self, now: Instant, nodes: Vec<NodeId>) {
        self.resting.clear();
        self.nodes = nodes;
        (self.look_at, self.count_at, self.asked) = (now, now, true);
    }

    /// Somebody wanted it, and it is not done.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Nothing is to move now. What has rested long enough is forgotten even if nothing ever is.
    pub(super) fn look_later(&mut self, now: Instant) {
        self.look_at = now + limits::REBALANCE_LOOK_EVERY;
        self.resting.retain(|_, until| *until > now);
    }

    /// Notes who could take queues. True if it is time to count.
    pub(super) fn look(&mut self, now: Instant, nodes: Vec<NodeId>) -> bool {
        self.look_later(now);
        if self.nodes != nodes {
            self.nodes = nodes;
            self.count_at = now + limits::REBALANCE_CALM;
        }
        !self.nodes.is_empty() && self.count_at <= now
    }

    /// When to go on: soon if queues are under way, else after a while.
    pub(super) fn counted(&mut self, now: Instant, moved: bool) {
        self.asked &= moved;
        self.count_at = now + if moved { limits::REBALANCE_PAUSE } else { limits::REBALANCE_COUNT_EVERY };
        self.look_at = self.look_at.min(self.count_at);
    }

    pub(super) fn is_resting(&self, id: QueueId) -> bool {
        self.resting.contains_key(&id)
    }

    /// A queue came, or is about to go: it stays where it is for a while after that.
    pub(super) fn rest(&mut self, now: Instant, id: QueueId) {
        self.resting.insert(id, now + limits::REBALANCE_REST);
    }
}

#[cfg(test)]
mod tests {
    use leveret_model::Ulid;

    use super::*;

    /// Queues come from nodes that leave, whether this one gives any away or not.
    #[test]
    fn a_node_that_gives_nothing_away_forgets_what_has_rested() {
        let mut balance = Balance::default();
        let queue = QueueId { ulid: Ulid(1), generation: 0 };
        balance.rest(Instant::ZERO, queue);
        balance.look_later(Instant::ZERO + limits::REBALANCE_REST / 2);
        assert!(balance.is_resting(queue));
        balance.look_later(Instant::ZERO + limits::REBALANCE_REST);
        assert!(!balance.is_resting(queue));
    }
}
