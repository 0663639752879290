//! The lease of this node: its join, its end as the shards know it, and whether it was stopped for good (R4).
//!
//! Read `lease` first: it says until when the echoes of one member carry the lease.

use alloc::collections::BTreeSet;

use leveret_model::{Instant, NodeId, limits};

use super::join::{Join, Surroundings};

/// The lease of this node.
#[derive(Debug)]
pub(crate) struct OwnLease {
    join: Join,
    /// The end that the shards were told last.
    published: Option<Instant>,
    /// Peers whose pings this node echoed since it counts them.
    echoed: BTreeSet<NodeId>,
    /// Another process has this node's identity, or knows more of it than itself: there is no lease any more.
    stopped: bool,
}

/// An end of the lease that the shards are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewEnd {
    pub(crate) until: Instant,
    /// There was no lease before, and there is one now.
    pub(crate) gained: bool,
}

impl OwnLease {
    pub(crate) const fn new(now: Instant) -> Self {
        let join = Join::Joining { since: now, quiet_since: now, said: false };
        Self { join, published: None, echoed: BTreeSet::new(), stopped: false }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.join == Join::Ready
    }

    pub(crate) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// False if it was stopped before.
    pub(crate) const fn stop(&mut self) -> bool {
        !core::mem::replace(&mut self.stopped, true)
    }

    /// Until when this node may act on its view. `echoed_until`: by the echoes of all members that count.
    pub(crate) fn until(&self, echoed_until: Instant) -> Instant {
        if self.stopped || !self.is_ready() { Instant::ZERO } else { echoed_until }
    }

    /// A ping of this peer was echoed.
    pub(crate) fn on_echoed(&mut self, peer: NodeId) {
        self.echoed.insert(peer);
    }

    pub(crate) fn has_echoed(&self, peer: NodeId) -> bool {
        self.echoed.contains(&peer)
    }

    pub(crate) fn echoed_count(&self) -> usize {
        self.echoed.len()
    }

    /// The peer is Down, starts anew, or was forgotten.
    pub(crate) fn forget_node(&mut self, peer: NodeId) {
        self.echoed.remove(&peer);
    }

    /// From now on the silence of others means something. True while this node joins.
    pub(crate) const fn quiet_from(&mut self, now: Instant) -> bool {
        match &mut self.join {
            Join::Joining { quiet_since, .. } => {
                *quiet_since = now;
                true
            }
            Join::Ready => false,
        }
    }

    /// The join is over now.
    pub(crate) fn join(&mut self, now: Instant, seen: Surroundings) -> bool {
        let over = !self.is_ready() && !self.stopped && self.join.is_over(now, seen);
        if over {
            self.join = Join::Ready;
        }
        over
    }

    /// The join takes long. True once.
    pub(crate) fn is_slow(&mut self, now: Instant) -> bool {
        match &mut self.join {
            Join::Joining { since, said, .. } if !*said && now >= *since + limits::JOIN_SLOW_AFTER => {
                *said = true;
                true
            }
            Join::Joining { .. } | Join::Ready => false,
        }
    }

    /// What the shards are to be told. A shorter lease is published at once, a longer one only with `longer`.
    pub(crate) fn publish(&mut self, now: Instant, until: Instant, longer: bool) -> Option<NewEnd> {
        let shorter = self.published.is_some_and(|published| until < published);
        if self.published == Some(until) || !(longer || shorter) {
            return None;
        }
        let had = self.published.is_some_and(|published| now < published);
        self.published = Some(until);
        Some(NewEnd { until, gained: !had && now < until })
    }

    /// When the join is to be looked at again. `answers`: someone may still answer whom this node asked.
    /// `linked`: there are links. Nothing is due before `not_before` while there are none.
    pub(crate) fn deadline(&self, answers: bool, linked: bool, not_before: Instant) -> Instant {
        let Join::Joining { since, quiet_since, said } = self.join else { return Instant::FAR };
        let slow = if said { Instant::FAR } else { since + limits::JOIN_SLOW_AFTER };
        if linked || self.published.is_some() {
            return slow;
        }
        let alone = if answers { Instant::FAR } else { quiet_since + limits::ALONE_AFTER };
        alone.min(slow).max(not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    const ALONE: Surroundings = Surroundings {
        seeds: 0,
        untried: 0,
        asked: true,
        turned_away: false,
        links: 0,
        unstated: 0,
        counted: 0,
        unechoed: 0,
        lease: Instant::FAR,
    };

    #[test]
    fn there_is_no_lease_before_the_join_and_none_after_a_stop() {
        let mut lease = OwnLease::new(at(0));
        assert_eq!(lease.until(at(1_500)), Instant::ZERO);
        assert!(lease.join(at(10), ALONE) && !lease.join(at(11), ALONE));
        assert_eq!(lease.until(at(1_500)), at(1_500));
        assert!(lease.stop() && !lease.stop());
        assert_eq!(lease.until(at(1_500)), Instant::ZERO);
    }

    #[test]
    fn a_shorter_end_is_published_at_once_and_a_longer_one_when_it_is_time() {
        let mut lease = OwnLease::new(at(0));
        assert_eq!(lease.publish(at(0), at(500), false), None);
        let end = |until, gained| Some(NewEnd { until, gained });
        assert_eq!(lease.publish(at(0), at(500), true), end(at(500), true));
        assert_eq!(lease.publish(at(100), at(600), false), None);
        assert_eq!(lease.publish(at(100), at(600), true), end(at(600), false));
        assert_eq!(lease.publish(at(100), at(300), false), end(at(300), false));
        assert_eq!(lease.publish(at(400), at(700), true), end(at(700), true));
        assert_eq!(lease.publish(at(400), at(700), true), None);
    }

    #[test]
    fn a_slow_join_is_said_once() {
        let mut lease = OwnLease::new(at(0));
        assert!(!lease.is_slow(at(4_999)));
        assert!(lease.is_slow(at(5_000)) && !lease.is_slow(at(9_000)));
        assert_eq!(lease.deadline(true, false, at(100)), Instant::FAR);
        assert_eq!(lease.deadline(false, false, at(100)), at(1_000));
    }
}
