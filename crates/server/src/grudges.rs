//! Peers that are turned away: told of once, and once more now and then while they keep coming.

use std::collections::BTreeMap;

use leveret_model::{Instant, limits};

use crate::allowance::Allowance;

/// Who was turned away, and why.
#[derive(Debug, Default)]
pub(crate) struct Grudges {
    /// By peer and reason: when it was said last, and how often it was not since.
    said: BTreeMap<(String, String), (Instant, u64)>,
    /// Lines of all peers: strangers may have many addresses.
    lines: Allowance,
}

impl Grudges {
    /// Asks for a line. Gives how many were not written since the last one; nothing if this one is not to be
    /// either.
    pub(crate) fn take(&mut self, now: Instant, peer: &str, why: &str) -> Option<u64> {
        let key = (peer.to_owned(), why.to_owned());
        if let Some((at, unsaid)) = self.said.get_mut(&key)
            && now < *at + limits::GRUDGE_AGAIN
        {
            *unsaid += 1;
            return None;
        }
        let others = self.lines.take(now)?;
        let (_, unsaid) = self.said.remove(&key).unwrap_or_default();
        if self.said.len() >= limits::GRUDGES_MAX {
            self.said.clear();
        }
        self.said.insert(key, (now, 0));
        Some(others + unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(s: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(s)
    }

    #[test]
    fn a_peer_that_knocks_each_second_is_told_of_once_a_minute_with_how_often_it_did() {
        let mut grudges = Grudges::default();
        let lines: Vec<(u64, u64)> =
            (0..=120).filter_map(|s| Some((s, grudges.take(at(s), "a", "secret")?))).collect();
        assert_eq!(lines, [(0, 0), (60, 59), (120, 59)]);
    }

    #[test]
    fn another_peer_and_another_reason_are_told_of_at_once() {
        let mut grudges = Grudges::default();
        for (peer, why) in [("a", "secret"), ("b", "secret"), ("a", "group")] {
            assert_eq!(grudges.take(at(0), peer, why), Some(0));
            assert_eq!(grudges.take(at(1), peer, why), None);
        }
    }

    #[test]
    fn strangers_from_everywhere_take_no_memory_and_few_lines() {
        let mut grudges = Grudges::default();
        let lines = (0..10_000).filter_map(|n| grudges.take(at(n / 1_000), &n.to_string(), "x")).count();
        assert!(lines < 40, "{lines}");
        assert!(grudges.said.len() <= limits::GRUDGES_MAX);
    }
}
