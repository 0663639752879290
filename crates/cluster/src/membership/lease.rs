//! R4: until when this node may route by bindings and say that something is not there.
//!
//! The lease holds while every member that counts has echoed a ping that was sent at most 1.5 s ago, and every
//! shard acts on every map version that the echo names. An echo with a version that is not applied yet waits.
//! Meanwhile the echo before it holds, whose time is covered by R1's wait of 2 s.

use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, limits};

use crate::directory::map::Version;

type Named = Vec<(NodeId, Version)>;

/// The echoes of one member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Echoes {
    /// When the ping of the best echo was sent.
    good: Option<Instant>,
    /// An echo that names what is not applied yet, and the last of those that came after it.
    held: Option<(Instant, Named)>,
    latest: Option<(Instant, Named)>,
    /// The maps that it had by its last echo.
    maps: Named,
}

impl Echoes {
    /// An echo of the ping that was sent at `sent`.
    pub(crate) fn on_echo(&mut self, sent: Instant, versions: Named, applied: impl Fn(NodeId) -> Version) {
        self.maps.clone_from(&versions);
        if let Some((_, held)) = &mut self.held {
            // what the member names no longer it has forgotten, and nobody can ask it for that any more
            held.retain(|(node, _)| versions.iter().any(|(named, _)| named == node));
        }
        if self.held.is_none() {
            self.held = Some((sent, versions));
        } else {
            self.latest = Some((sent, versions));
        }
        self.on_applied(applied);
    }

    /// By its last echo it has the map of a node, of that version.
    pub(crate) fn has_map(&self, node: NodeId, version: Version) -> bool {
        self.maps.iter().any(|(of, has)| *of == node && *has >= version)
    }

    /// More is applied.
    pub(crate) fn on_applied(&mut self, applied: impl Fn(NodeId) -> Version) {
        while let Some((sent, versions)) = &self.held {
            if versions.iter().any(|(node, version)| applied(*node) < *version) {
                return;
            }
            self.good = self.good.max(Some(*sent));
            self.held = self.latest.take();
        }
    }

    /// Until when they carry the lease.
    pub(crate) fn until(&self) -> Instant {
        self.good.map_or(Instant::ZERO, |sent| sent + limits::LEASE_WITHIN)
    }

    /// Forgets all: the member's process or the view of it changed.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use leveret_model::Incarnation;
    use std::vec;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn version(counter: u64) -> Version {
        Version { incarnation: Incarnation(1), counter }
    }

    #[test]
    fn a_lease_ends_one_and_a_half_seconds_after_the_ping_was_sent() {
        let mut echoes = Echoes::default();
        assert_eq!(echoes.until(), Instant::ZERO);
        echoes.on_echo(at(100), vec![], |_| version(0));
        assert_eq!(echoes.until(), at(1_600));
    }

    #[test]
    fn a_map_that_its_namer_forgot_is_waited_for_no_longer() {
        let mut echoes = Echoes::default();
        let both = vec![(NodeId(1), version(1)), (NodeId(2), version(1))];
        let applied = |node| version(u64::from(node == NodeId(1)));
        echoes.on_echo(at(100), both.clone(), applied);
        echoes.on_echo(at(200), both, applied);
        assert_eq!(echoes.until(), Instant::ZERO);
        echoes.on_echo(at(300), vec![(NodeId(1), version(1))], applied);
        assert_eq!(echoes.until(), at(1_800));
    }

    #[test]
    fn an_echo_that_names_more_than_is_applied_carries_nothing_until_it_is() {
        let mut echoes = Echoes::default();
        echoes.on_echo(at(100), vec![(NodeId(1), version(1))], |_| version(1));
        echoes.on_echo(at(200), vec![(NodeId(1), version(2))], |_| version(1));
        echoes.on_echo(at(300), vec![(NodeId(1), version(3))], |_| version(1));
        echoes.on_echo(at(400), vec![(NodeId(1), version(3))], |_| version(1));
        assert_eq!(echoes.until(), at(1_600));
        echoes.on_applied(|_| version(2));
        assert_eq!(echoes.until(), at(1_700));
        echoes.on_applied(|_| version(3));
        assert_eq!(echoes.until(), at(1_900));
    }
}
