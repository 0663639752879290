//! Which addresses are dialled, and when. A seed says where to look for nodes, never which nodes there are.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, SplitMix, limits};

use super::TurnAway;

/// Why a dial came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// The port refused: nobody listens there. Evidence that a process is gone.
    Refused,
    /// No answer, no route, another group, or a handshake that failed: proves nothing.
    Unreachable,
    /// A node of this group is there and has another secret: an answer.
    Secret,
    /// This very node answered.
    Myself,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    /// Dialled, not answered yet; dialled again at that time, beside the first.
    open_until: Option<Instant>,
    /// Not before.
    next: Instant,
    /// When it was dialled last.
    dialled_at: Option<Instant>,
    myself: bool,
    /// Who answered there last.
    answered: Option<NodeId>,
    /// It did not take this node in, and nothing else was heard from there since.
    turned_away: Option<TurnAway>,
}

/// The addresses that this node knows.
#[derive(Debug)]
pub(crate) struct Dials {
    entries: BTreeMap<String, Entry>,
    seeds: BTreeSet<String>,
    asked: bool,
    next_seeds: Instant,
    /// Rounds of dials to seeds since there was a link.
    rounds_alone: u32,
}

impl Dials {
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            seeds: BTreeSet::new(),
            asked: false,
            next_seeds: Instant::ZERO,
            rounds_alone: 0,
        }
    }

    /// What the registry says now, or so far if it has not answered yet (`whole` is false).
    pub(crate) fn on_seeds(&mut self, addresses: &[String], whole: bool) {
        self.asked |= whole;
        let seeds: BTreeSet<String> = addresses.iter().take(limits::SEEDS_MAX).cloned().collect();
        // a registry that names other addresses each day: what was no seed but a guess goes with it
        self.entries.retain(|address, entry| {
            seeds.contains(address) || !self.seeds.contains(address) || entry.answered.is_some()
        });
        self.seeds = seeds;
    }

    /// Nobody is looked for there any more, unless a seed names it.
    pub(crate) fn forget(&mut self, address: &str) {
        if !self.seeds.contains(address) {
            self.entries.remove(address);
        }
    }

    /// Addresses that something is known of.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The registry has answered, if only that it cannot.
    pub(crate) const fn was_asked(&self) -> bool {
        self.asked
    }

    /// Seeds that are not this node itself.
    pub(crate) fn other_seeds(&self) -> impl Iterator<Item = &String> {
        self.seeds.iter().filter(|address| !self.is_myself(address))
    }

    /// Seeds behind which this node met itself.
    pub(crate) fn own_seeds(&self) -> impl Iterator<Item = &String> {
        self.seeds.iter().filter(|address| self.is_myself(address))
    }

    /// Somebody answered at `address`.
    pub(crate) fn on_answer(&mut self, address: &str, node: NodeId, myself: bool) {
        let entry = self.entries.entry(address.to_string()).or_default();
        let dialled_at = entry.dialled_at;
        *entry = Entry { dialled_at, myself, answered: Some(node), ..Entry::default() };
    }

    /// This very node answers there.
    pub(crate) fn is_myself(&self, address: &str) -> bool {
        self.entries.get(address).is_some_and(|entry| entry.myself)
    }

    /// The dial came to nothing; `again`: not before.
    pub(crate) fn on_failed(&mut self, address: &str, failure: DialFailure, again: Instant) {
        let entry = self.entries.entry(address.to_string()).or_default();
        entry.open_until = None;
        entry.next = again;
        entry.myself |= failure == DialFailure::Myself;
        entry.turned_away = (failure == DialFailure::Secret).then_some(TurnAway::Secret);
    }

    /// Somebody at `address` answered and did not take this node in.
    pub(crate) fn on_turned_away(&mut self, address: &str, why: TurnAway) {
        self.entries.entry(address.to_string()).or_default().turned_away = Some(why);
    }

    /// Why the node behind a seed did not take this one in, if that was its last word.
    pub(crate) fn turned_away(&self, seed: &str) -> Option<TurnAway> {
        self.entries.get(seed)?.turned_away
    }

    /// Some seed did not take this node in, and that was its last word.
    pub(crate) fn is_turned_away(&self) -> bool {
        self.seeds.iter().any(|seed| self.turned_away(seed).is_some())
    }

    /// Dial the address now, unless that is under way or too early (`hasty`: though it is early).
    pub(crate) fn dial(&mut self, now: Instant, address: &str, hasty: bool) -> bool {
        let entry = self.entries.entry(address.to_string()).or_default();
        let open = entry.open_until.is_some_and(|until| now < until);
        if entry.myself || open || (now < entry.next && !hasty) {
            return false;
        }
        entry.open_until = Some(now + limits::DIAL_AGAIN);
        entry.next = now + limits::REDIAL_EVERY;
        entry.dialled_at = Some(now);
        true
    }

    /// Seeds behind which nobody linked is known, those first that were not dialled for longest, equals in
    /// random order: so each has its turn however many there are. Two of them at first, because any member
    /// gives the state; more in each round that brought no link. Often while there is no link at all, else
    /// each second.
    pub(crate) fn seeds_due(
        &mut self,
        now: Instant,
        random: &mut SplitMix,
        linked: impl Fn(NodeId) -> bool,
        alone: bool,
    ) -> Vec<String> {
        if now < self.next_seeds {
            return Vec::new();
        }
        self.next_seeds = now + if alone { limits::REDIAL_EVERY } else { limits::DIGEST_EVERY };
        self.rounds_alone = if alone { self.rounds_alone.saturating_add(1) } else { 0 };
        let at_once = match self.rounds_alone {
            0 => limits::SEED_DIALS_LINKED,
            1 => 2,
            _ => limits::SEED_DIALS_ALONE,
        };
        let mut open: Vec<(Option<Instant>, u64, String)> = self
            .other_seeds()
            .filter_map(|address| {
                let entry = self.entries.get(address);
                let is_open = !entry.and_then(|entry| entry.answered).is_some_and(&linked)
                    && entry.is_none_or(|entry| entry.open_until.is_none_or(|until| until <= now));
                is_open.then(|| (entry.and_then(|entry| entry.dialled_at), address.clone()))
            })
            .map(|(dialled_at, address)| (dialled_at, random.next_u64(), address))
            .collect();
        open.sort_unstable();
        open.truncate(at_once);
        let mut due: Vec<String> = open.into_iter().map(|(.., address)| address).collect();
        due.sort_unstable();
        due.retain(|address| self.dial(now, address, false));
        due
    }

    /// Seeds that were not dialled yet.
    pub(crate) fn untried(&self) -> usize {
        let is_tried =
            |address: &&String| self.entries.get(*address).is_some_and(|entry| entry.dialled_at.is_some());
        self.other_seeds().filter(|address| !is_tried(address)).count()
    }

    /// When seeds are due again.
    pub(crate) fn next_seeds(&self) -> Instant {
        if self.other_seeds().next().is_some() { self.next_seeds } else { Instant::FAR }
    }

    /// Try seeds soon: a link went, or the registry changed.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.next_seeds = self.next_seeds.min(now);
    }

    /// When the address may be dialled.
    pub(crate) fn due(&self, address: &str) -> Instant {
        self.entries.get(address).map_or(Instant::ZERO, |entry| {
            if entry.myself {
                Instant::FAR
            } else {
                entry.open_until.unwrap_or(Instant::ZERO).max(entry.next)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use leveret_model::Seed;
    use std::vec;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn two_seeds_at_a_time_and_never_oneself_again() {
        let mut dials = Dials::new();
        let mut random = SplitMix::new(Seed(1));
        dials.on_seeds(&["a".into(), "b".into(), "c".into()], true);
        assert_eq!(dials.seeds_due(at(0), &mut random, |_| false, true).len(), 2);
        dials.on_failed("a", DialFailure::Myself, at(0));
        for address in ["b", "c"] {
            dials.on_failed(address, DialFailure::Unreachable, at(0));
        }
        assert_eq!(dials.seeds_due(at(100), &mut random, |_| false, true), Vec::<String>::new());
        assert_eq!(dials.seeds_due(at(250), &mut random, |_| false, true), vec!["b", "c"]);
        assert_eq!(dials.own_seeds().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_seed_that_turned_this_node_away_counts_until_its_next_word() {
        let mut dials = Dials::new();
        dials.on_seeds(&["a".into(), "b".into()], true);
        dials.on_turned_away("a", TurnAway::Full);
        dials.on_failed("b", DialFailure::Refused, at(0));
        assert!(dials.is_turned_away());
        // whoever was there is gone
        dials.on_failed("a", DialFailure::Refused, at(0));
        assert!(!dials.is_turned_away());
        dials.on_failed("b", DialFailure::Secret, at(0));
        assert_eq!(dials.turned_away("b"), Some(TurnAway::Secret));
        // the registry names it no longer
        dials.on_seeds(&["a".into()], true);
        assert!(!dials.is_turned_away());
    }

    #[test]
    fn of_many_seeds_each_has_its_turn_before_any_has_a_second() {
        let mut dials = Dials::new();
        let mut random = SplitMix::new(Seed(2));
        let seeds: Vec<String> = (0..200).map(|number| std::format!("dead{number}")).collect();
        dials.on_seeds(&seeds, true);
        let (mut dialled, mut now) = (Vec::new(), 0);
        while dialled.len() < seeds.len() {
            assert_eq!(dials.untried(), seeds.len() - dialled.len());
            let due = dials.seeds_due(at(now), &mut random, |_| false, true);
            assert!(!due.is_empty(), "{now} ms");
            for address in due {
                dials.on_failed(&address, DialFailure::Refused, at(now + 250));
                dialled.push(address);
            }
            now += 250;
        }
        dialled.sort_unstable();
        dialled.dedup();
        assert_eq!(dialled.len(), seeds.len());
        assert!(now <= 3_000, "{now} ms");
        assert_eq!(dials.untried(), 0);
    }

    #[test]
    fn a_dial_is_not_repeated_while_it_is_open() {
        let mut dials = Dials::new();
        assert!(dials.dial(at(0), "a", false));
        assert!(!dials.dial(at(500), "a", true));
        dials.on_failed("a", DialFailure::Refused, at(750));
        assert!(!dials.dial(at(600), "a", false));
        assert!(dials.dial(at(600), "a", true));
    }
}
