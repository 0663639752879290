//! How often a line about clients, peers and strangers may be logged: one that comes a thousand times a second
//! must not fill the disk.

use std::collections::BTreeMap;

use leveret_model::{Instant, limits};

/// Lines of one kind that may still be written.
#[derive(Debug)]
pub(crate) struct LogLimit {
    left: u32,
    /// When the next line is earned.
    next: Instant,
    unsaid: u64,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self { left: limits::LOG_LINES_AT_ONCE, next: Instant::ZERO, unsaid: 0 }
    }
}

impl LogLimit {
    /// Asks for a line. Gives how many were not written since the last one; nothing if this one is not to be
    /// either.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        if now >= self.next {
            let earned = 1 + now.since(self.next).as_nanos() / limits::LOG_LINE_EVERY.as_nanos();
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(limits::LOG_LINES_AT_ONCE);
            self.next = now + limits::LOG_LINE_EVERY;
        }
        if self.left == 0 {
            self.unsaid += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.unsaid))
    }

    /// So many more are not written.
    pub(crate) fn pass_over(&mut self, lines: u64) {
        self.unsaid += lines;
    }
}

/// For the line: how many were not written, if any.
pub(crate) fn unless_none(unsaid: u64) -> Option<u64> {
    (unsaid > 0).then_some(unsaid)
}

/// Lines about peers that are turned away: each peer and reason once, and once more now and then while it keeps
/// coming.
#[derive(Debug, Default)]
pub(crate) struct PeerLogLimit {
    /// By peer and reason: when it was said last, and how often it was not since.
    said: BTreeMap<(String, String), (Instant, u64)>,
    /// Lines of all peers: strangers may have many addresses.
    lines: LogLimit,
}

impl PeerLogLimit {
    /// Asks for a line. Gives how many were not written since the last one; nothing if this one is not to be
    /// either.
    pub(crate) fn take(&mut self, now: Instant, peer: &str, why: &str) -> Option<u64> {
        let key = (peer.to_owned(), why.to_owned());
        if let Some((at, unsaid)) = self.said.get_mut(&key)
            && now < *at + limits::PEER_LINE_AGAIN
        {
            *unsaid += 1;
            return None;
        }
        let others = self.lines.take(now)?;
        let (_, unsaid) = self.said.remove(&key).unwrap_or_default();
        if self.said.len() >= limits::PEER_LINES_MAX {
            self.said.clear();
        }
        self.said.insert(key, (now, 0));
        Some(others + unsaid)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_written_and_then_one_line_each_second() {
        let mut lines = LogLimit::default();
        let mut now = Instant::ZERO;
        let written = (0..100).filter(|_| lines.take(now).is_some()).count();
        assert_eq!(written, limits::LOG_LINES_AT_ONCE as usize);
        now = now + limits::LOG_LINE_EVERY;
        assert_eq!(lines.take(now), Some(100 - u64::from(limits::LOG_LINES_AT_ONCE)));
        assert_eq!(lines.take(now), None);
        now = now + limits::LOG_LINE_EVERY * 1000;
        lines.pass_over(3);
        assert_eq!(lines.take(now), Some(4));
        let written = (0..100).filter(|_| lines.take(now).is_some()).count();
        assert_eq!(written, limits::LOG_LINES_AT_ONCE as usize - 1);
    }

    fn at(s: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(s)
    }

    #[test]
    fn a_peer_that_knocks_each_second_is_told_of_once_a_minute_with_how_often_it_did() {
        let mut peer_lines = PeerLogLimit::default();
        let lines: Vec<(u64, u64)> =
            (0..=120).filter_map(|s| Some((s, peer_lines.take(at(s), "a", "secret")?))).collect();
        assert_eq!(lines, [(0, 0), (60, 59), (120, 59)]);
    }

    #[test]
    fn another_peer_and_another_reason_are_told_of_at_once() {
        let mut peer_lines = PeerLogLimit::default();
        for (peer, why) in [("a", "secret"), ("b", "secret"), ("a", "group")] {
            assert_eq!(peer_lines.take(at(0), peer, why), Some(0));
            assert_eq!(peer_lines.take(at(1), peer, why), None);
        }
    }

    #[test]
    fn strangers_from_everywhere_take_no_memory_and_few_lines() {
        let mut peer_lines = PeerLogLimit::default();
        let lines = (0..10_000).filter_map(|n| peer_lines.take(at(n / 1_000), &n.to_string(), "x")).count();
        assert!(lines < 40, "{lines}");
        assert!(peer_lines.said.len() <= limits::PEER_LINES_MAX);
    }
}
