//! The network's truth: who could exchange frames with whom, and when.
//!
//! A way is good while it is not cut, its delay is at most [`Truth::DELAY_MAX`] and neither host stands still.
//! The machines under test never see this.

use std::time::Duration;

use leveret_model::Instant;

use crate::event::HostId;

/// For each pair of hosts, when a way between them was bad.
#[derive(Debug)]
pub(crate) struct Truth {
    hosts: usize,
    /// Reasons for which each direction is bad now.
    bad: Vec<bool>,
    /// Reasons for which each host stands still now: pauses may overlap.
    still: Vec<u32>,
    /// Per unordered pair: since when it is bad, and the times that are over.
    since: Vec<Option<Instant>>,
    over: Vec<Vec<(Instant, Instant)>>,
}

impl Truth {
    /// A longer delay counts as a cut.
    pub(crate) const DELAY_MAX: Duration = Duration::from_millis(300);
    /// From the end of a link to the first echo on the next one: a redial each 250 ms, and a round trip each
    /// for the connection, the proofs, the hellos and the ping. That is longer than it takes to be judged Down.
    const REDIAL_MAX: Duration = Duration::from_millis(250 + 4 * 2 * 300);

    pub(crate) fn new(hosts: usize) -> Self {
        Self {
            hosts,
            bad: vec![false; hosts * hosts],
            still: vec![0; hosts],
            since: vec![None; hosts * hosts],
            over: vec![Vec::new(); hosts * hosts],
        }
    }

    fn pair(&self, a: HostId, b: HostId) -> usize {
        a.min(b).index() * self.hosts + a.max(b).index()
    }

    /// A direction became good or bad.
    pub(crate) fn set(&mut self, now: Instant, from: HostId, to: HostId, good: bool) {
        self.bad[from.index() * self.hosts + to.index()] = !good;
        self.note(now, from, to);
    }

    /// All threads of a host stand still.
    pub(crate) fn on_pause(&mut self, now: Instant, host: HostId) {
        self.still[host.index()] += 1;
        self.note_all(now, host);
    }

    /// One of its pauses is over.
    pub(crate) fn on_pause_end(&mut self, now: Instant, host: HostId) {
        self.still[host.index()] -= 1;
        self.note_all(now, host);
    }

    fn note_all(&mut self, now: Instant, host: HostId) {
        for other in 0..self.hosts as u8 {
            self.note(now, host, HostId(other));
        }
    }

    fn note(&mut self, now: Instant, a: HostId, b: HostId) {
        let way = |from: HostId, to: HostId| self.bad[from.index() * self.hosts + to.index()];
        let bad = way(a, b) || way(b, a) || self.still[a.index()] + self.still[b.index()] > 0;
        let pair = self.pair(a, b);
        match (bad, self.since[pair]) {
            (true, None) => self.since[pair] = Some(now),
            (false, Some(since)) => {
                self.over[pair].push((since, now));
                self.since[pair] = None;
            }
            _ => {}
        }
    }

    /// Their control link broke: until it is dialled again nothing passes, and a slow way makes that long.
    pub(crate) fn on_reset(&mut self, now: Instant, a: HostId, b: HostId) {
        let pair = self.pair(a, b);
        self.over[pair].push((now, now + Self::REDIAL_MAX));
    }

    /// The two could exchange frames both ways all that time.
    pub(crate) fn direct(&self, a: HostId, b: HostId, from: Instant, to: Instant) -> bool {
        let pair = self.pair(a, b);
        let good = |since: Instant, until: Instant| until <= from || since >= to;
        self.since[pair].is_none_or(|since| since >= to)
            && self.over[pair].iter().all(|(since, until)| good(*since, *until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_way_cut_is_bad_for_the_pair_until_it_heals() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let mut truth = Truth::new(3);
        truth.set(at(5), HostId(2), HostId(0), false);
        assert!(!truth.direct(HostId(0), HostId(2), at(1), at(6)));
        assert!(truth.direct(HostId(0), HostId(2), at(1), at(5)));
        truth.set(at(7), HostId(2), HostId(0), true);
        assert!(!truth.direct(HostId(0), HostId(2), at(6), at(9)));
        assert!(truth.direct(HostId(0), HostId(2), at(7), at(9)));
        assert!(truth.direct(HostId(0), HostId(1), at(0), at(9)));
    }

    #[test]
    fn of_two_pauses_the_second_end_counts() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let mut truth = Truth::new(2);
        truth.on_pause(at(2), HostId(1));
        truth.on_pause(at(3), HostId(1));
        truth.on_pause_end(at(4), HostId(1));
        assert!(!truth.direct(HostId(0), HostId(1), at(5), at(6)));
        truth.on_pause_end(at(7), HostId(1));
        assert!(!truth.direct(HostId(0), HostId(1), at(6), at(8)));
        assert!(truth.direct(HostId(0), HostId(1), at(7), at(8)));
    }

    #[test]
    fn a_link_that_broke_is_no_way_until_it_can_be_dialled_again() {
        let at = |s: u64| Instant::from_nanos(s * 1_000_000_000);
        let mut truth = Truth::new(2);
        truth.on_reset(at(5), HostId(1), HostId(0));
        assert!(!truth.direct(HostId(0), HostId(1), at(1), at(6)));
        assert!(!truth.direct(HostId(0), HostId(1), at(7), at(9)));
        assert!(truth.direct(HostId(0), HostId(1), at(1), at(5)));
        assert!(truth.direct(HostId(0), HostId(1), at(8), at(9)));
    }
}
