//! T5: which instance gets a request.

use leveret_model::limits::LEAST_LOADED_CANDIDATES_MAX;
use leveret_model::{Instant, Seed, SplitMix};

use crate::snapshot::{Candidate, ServiceView};

/// What a request brings along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Route and session id of its cookie.
    pub session: Option<(&'a str, &'a str)>,
    /// The cookie is the door's own, and names the instance instead of a route.
    pub by_name: bool,
    /// Candidates that are not to be chosen, by their index: they failed this request.
    pub tried: &'a [usize],
    /// Now.
    pub now: Instant,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This candidate, by its index; `own_session`: the cookie names it.
    Candidate {
        /// Index among the view's candidates.
        at: usize,
        /// For [`Slot::enter`](crate::Slot::enter).
        own_session: bool,
    },
    /// No instance is ready, or all are full: hold it (T7).
    Wait,
    /// Every instance that could take it was tried.
    Exhausted,
}

impl ServiceView {
    /// Chooses. The caller still has to enter the slot, which may have been closed or filled meanwhile.
    ///
    /// hot: allocates nothing.
    #[must_use]
    pub fn choose(&self, wanted: &Wanted<'_>, rng: &mut SplitMix) -> Choice {
        if let Some((route, session)) = wanted.session
            && let Some(choice) = self.by_session(route, session, wanted)
        {
            return choice;
        }
        // Suspects only if nobody else is left (T4).
        for suspects in [false, true] {
            let usable = |at: &usize| {
                let candidate = &self.candidates[*at];
                !candidate.sessions_only
                    && candidate.slot.is_suspect() == suspects
                    && !wanted.tried.contains(at)
                    && !is_full(candidate)
            };
            if let Some(at) = self.least_loaded(usable, wanted.now, rng) {
                return Choice::Candidate { at, own_session: false };
            }
        }
        let tried = |at: &usize| self.candidates.get(*at).is_some();
        if wanted.tried.iter().any(tried) { Choice::Exhausted } else { Choice::Wait }
    }

    fn by_session(&self, route: &str, session: &str, wanted: &Wanted<'_>) -> Option<Choice> {
        let own = self.candidates.iter().position(|candidate| {
            if wanted.by_name {
                candidate.instance.as_str() == route
            } else {
                candidate.route.as_deref() == Some(route)
            }
        });
        if let Some(at) = own {
            let candidate = &self.candidates[at];
            let good = !candidate.slot.is_suspect() && !is_full(candidate) && !wanted.tried.contains(&at);
            return good.then_some(Choice::Candidate { at, own_session: true });
        }
        // The route is gone. All doors agree on the heir without telling each other.
        let is_heir = |candidate: &Candidate| !candidate.sessions_only && !candidate.slot.is_suspect();
        let heirs = self.candidates.iter().filter(|candidate| is_heir(candidate));
        let (count, inflight) = heirs
            .fold((0_u64, 0_u64), |(count, sum), heir| (count + 1, sum + u64::from(heir.slot.inflight())));
        let at = (0..self.candidates.len())
            .filter(|at| is_heir(&self.candidates[*at]))
            .max_by_key(|at| rendezvous(session, self.candidates[*at].instance.as_str()))?;
        let own = u64::from(self.candidates[at].slot.inflight());
        // A mean below one would send every second request elsewhere.
        let crowded = own > 2 && own * count > 2 * inflight;
        let good = !crowded && !is_full(&self.candidates[at]) && !wanted.tried.contains(&at);
        good.then_some(Choice::Candidate { at, own_session: false })
    }

    /// Least in flight for its weight, random among equals; best of two above sixteen.
    fn least_loaded(
        &self,
        usable: impl Fn(&usize) -> bool,
        now: Instant,
        rng: &mut SplitMix,
    ) -> Option<usize> {
        let load = |at: usize| load(&self.candidates[at], now);
        if self.candidates.len() > LEAST_LOADED_CANDIDATES_MAX {
            let mut random = || rng.below(self.candidates.len() as u64) as usize;
            let (one, two) = (random(), random());
            match (usable(&one), usable(&two)) {
                (true, true) => return Some(if load(two) < load(one) { two } else { one }),
                (true, false) => return Some(one),
                (false, true) => return Some(two),
                // Most are unusable: look at all.
                (false, false) => {}
            }
        }
        let (mut best, mut equals) = (None, 0);
        for at in (0..self.candidates.len()).filter(usable) {
            let own = load(at);
            match best {
                Some((_, least)) if own > least => {}
                Some((_, least)) if own == least => {
                    equals += 1;
                    if rng.below(equals) == 0 {
                        best = Some((at, own));
                    }
                }
                _ => {
                    best = Some((at, own));
                    equals = 1;
                }
            }
        }
        best.map(|(at, _)| at)
    }
}

fn is_full(candidate: &Candidate) -> bool {
    candidate.max_inflight != 0 && candidate.slot.inflight() >= candidate.max_inflight
}

/// Requests in flight, this one included, for the weight of now; larger is more loaded.
fn load(candidate: &Candidate, now: Instant) -> u64 {
    let inflight = u64::from(candidate.slot.inflight()) + 1;
    let ready_for = now.since(candidate.ready_since);
    // Warmth in 1/256, at least 1/16 so that a cold instance gets some work.
    let warmth = if ready_for >= candidate.warm_up {
        256
    } else {
        (ready_for.as_nanos() * 256 / candidate.warm_up.as_nanos()).max(16) as u64
    };
    (inflight << 32) / (u64::from(candidate.weight) * warmth)
}

/// The same on every door: `docs/formats/services.md`, 4.
#[must_use]
pub fn rendezvous(session: &str, instance: &str) -> u64 {
    let bytes = session.bytes().chain([0xff]).chain(instance.bytes());
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The generator adds a constant first; the finalizer does the mixing.
    SplitMix::new(Seed(fnv)).next_u64()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use core::time::Duration;
    use std::collections::BTreeMap;

    use leveret_model::Boot;

    use super::*;
    use crate::name::{InstanceName, ServiceName};
    use crate::slot::{Opening, Slot};

    fn view(count: usize) -> ServiceView {
        let candidate = |number: usize| Candidate {
            instance: InstanceName::new(&format!("i{number}")).expect("a name"),
            boot: Boot(number as u64),
            address: ([127, 0, 0, 1], 8000 + number as u16).into(),
            slot: Arc::new(Slot::default()),
            sessions_only: false,
            route: Some(format!("r{number}").into()),
            weight: 100,
            max_inflight: 0,
            keep_alive_ms: 2_000,
            ready_since: Instant::ZERO,
            warm_up: Duration::ZERO,
        };
        ServiceView {
            name: ServiceName::new("shop").expect("a name"),
            gate: Arc::default(),
            candidates: (0..count).map(candidate).collect(),
            has_routes: true,
        }
    }

    fn chosen(view: &ServiceView, wanted: &Wanted<'_>, rng: &mut SplitMix) -> usize {
        match view.choose(wanted, rng) {
            Choice::Candidate { at, .. } => at,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_least_loaded_instance_is_taken_by_its_weight() {
        let mut rng = SplitMix::new(Seed(1));
        let mut view = view(4);
        view.candidates[3].weight = 300;
        let mut counts = BTreeMap::new();
        for _ in 0..600 {
            let at = chosen(&view, &Wanted::default(), &mut rng);
            assert!(view.candidates[at].slot.enter(false, 0));
            *counts.entry(at).or_insert(0) += 1;
        }
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(0, 100), (1, 100), (2, 100), (3, 300)]);
    }

    #[test]
    fn many_instances_share_evenly_by_two_random_ones() {
        let mut rng = SplitMix::new(Seed(1));
        let view = view(100);
        for _ in 0..10_000 {
            let at = chosen(&view, &Wanted::default(), &mut rng);
            assert!(view.candidates[at].slot.enter(false, 0));
        }
        assert!(view.candidates.iter().all(|candidate| (90..=110).contains(&candidate.slot.inflight())));
    }

    #[test]
    fn a_suspect_is_tried_only_if_nobody_else_is_left() {
        let mut rng = SplitMix::new(Seed(1));
        let view = view(2);
        view.candidates[0].slot.unreachable();
        for _ in 0..20 {
            assert_eq!(chosen(&view, &Wanted::default(), &mut rng), 1);
        }
        let tried = Wanted { tried: &[1], ..Wanted::default() };
        assert_eq!(chosen(&view, &tried, &mut rng), 0);
        assert_eq!(view.choose(&Wanted { tried: &[1, 0], ..Wanted::default() }, &mut rng), Choice::Exhausted);
    }

    #[test]
    fn a_full_instance_is_skipped_and_if_all_are_full_the_request_waits() {
        let mut rng = SplitMix::new(Seed(1));
        let mut view = view(2);
        view.candidates.iter_mut().for_each(|candidate| candidate.max_inflight = 1);
        assert!(view.candidates[0].slot.enter(false, 1));
        assert_eq!(chosen(&view, &Wanted::default(), &mut rng), 1);
        assert!(view.candidates[1].slot.enter(false, 1));
        assert_eq!(view.choose(&Wanted::default(), &mut rng), Choice::Wait);
        view.candidates.clear();
        assert_eq!(view.choose(&Wanted::default(), &mut rng), Choice::Wait);
    }

    #[test]
    fn a_cookie_leads_to_its_route_and_to_one_heir_if_that_is_gone() {
        let mut rng = SplitMix::new(Seed(1));
        let mut view = view(5);
        let wanted = Wanted { session: Some(("r3", "s1")), ..Wanted::default() };
        view.candidates[3].sessions_only = true;
        assert_eq!(view.choose(&wanted, &mut rng), Choice::Candidate { at: 3, own_session: true });
        view.candidates.remove(3);
        let heir = view.candidates[chosen(&view, &wanted, &mut rng)].instance.clone();
        view.candidates.reverse();
        assert_eq!(view.candidates[chosen(&view, &wanted, &mut rng)].instance, heir, "in any order");
        let at = chosen(&view, &wanted, &mut rng);
        (0..9).for_each(|_| assert!(view.candidates[at].slot.enter(false, 0)));
        assert_ne!(chosen(&view, &wanted, &mut rng), at, "it has more than twice the mean");
    }

    #[test]
    fn sessions_of_a_gone_route_spread_over_all() {
        let counts = (0..4_000).fold([0; 4], |mut counts, number| {
            let session = format!("session-{number}");
            let heir = (0..4).max_by_key(|at| rendezvous(&session, &format!("i{at}"))).expect("four");
            counts[heir] += 1;
            counts
        });
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_draining_instance_gets_its_own_sessions_only() {
        let mut rng = SplitMix::new(Seed(1));
        let mut view = view(1);
        view.candidates[0].sessions_only = true;
        view.candidates[0].slot.set_opening(Opening::Sessions);
        assert_eq!(view.choose(&Wanted::default(), &mut rng), Choice::Wait);
    }

    #[test]
    fn weight_rises_while_an_instance_warms_up() {
        let mut rng = SplitMix::new(Seed(1));
        let mut view = view(2);
        view.candidates[1].warm_up = Duration::from_secs(10);
        let now = Instant::ZERO + Duration::from_secs(5);
        for _ in 0..300 {
            let at = chosen(&view, &Wanted { now, ..Wanted::default() }, &mut rng);
            assert!(view.candidates[at].slot.enter(false, 0));
        }
        assert_eq!(view.candidates[1].slot.inflight(), 100, "half the weight, a third of the requests");
    }
}
