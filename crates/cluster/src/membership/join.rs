//! From the start of a node to its first lease.
//!
//! A newcomer is ready when every member that it counts has echoed it, and it has echoed them. Then its client
//! listener opens and the others list it. A newcomer that gets no answer from anyone is a cluster of one after
//! 1 s, or at once if the registry names nobody. The second begins when the registry has named all that it can,
//! because before that nobody could be asked. To be turned away is an answer: there is a cluster, so the
//! newcomer does not serve beside it. Of many addresses each is dialled once before, for 3 s at most.

use leveret_model::{Instant, limits};

/// How far the join is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// Since when, and whether people were told that it takes long.
    Joining {
        /// Since when.
        since: Instant,
        /// Since when nobody answers: the registry's first answer, or the last time that this node was turned
        /// away.
        quiet_since: Instant,
        /// It was said that it is slow.
        said: bool,
    },
    /// There was a first lease.
    Ready,
}

/// What a newcomer sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    /// Addresses to try that are not this node's own.
    pub(crate) seeds: usize,
    /// Those among them that were not dialled yet.
    pub(crate) untried: usize,
    /// The registry has answered, if only that it cannot.
    pub(crate) asked: bool,
    /// The last word of some seed was that it does not take this node in.
    pub(crate) turned_away: bool,
    /// Links to others.
    pub(crate) links: usize,
    /// Links whose first State did not come yet.
    pub(crate) unstated: usize,
    /// Members that count.
    pub(crate) counted: usize,
    /// Members that count and whose ping was not echoed yet.
    pub(crate) unechoed: usize,
    /// The lease, by its echoes alone.
    pub(crate) lease: Instant,
}

impl Join {
    /// True if the node is ready now.
    pub(crate) fn is_over(self, now: Instant, seen: Surroundings) -> bool {
        match self {
            Self::Ready => true,
            Self::Joining { quiet_since, .. } if seen.counted == 0 && seen.links == 0 => {
                let wait = if seen.untried == 0 { limits::ALONE_AFTER } else { limits::UNTRIED_WAIT };
                let silent = !seen.turned_away && now >= quiet_since + wait;
                seen.asked && (seen.seeds == 0 || silent)
            }
            Self::Joining { .. } => {
                seen.unstated == 0 && seen.counted > 0 && seen.unechoed == 0 && seen.lease > now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const NOBODY: Surroundings = Surroundings {
        seeds: 1,
        untried: 0,
        asked: true,
        turned_away: false,
        links: 0,
        unstated: 0,
        counted: 0,
        unechoed: 0,
        lease: Instant::FAR,
    };

    fn is_over(ms: u64, seen: Surroundings) -> bool {
        Join::Joining { since: Instant::ZERO, quiet_since: Instant::ZERO, said: false }
            .is_over(Instant::ZERO + Duration::from_millis(ms), seen)
    }

    #[test]
    fn a_node_without_seeds_is_ready_at_once_and_one_that_gets_no_answer_after_a_second() {
        assert!(is_over(0, Surroundings { seeds: 0, ..NOBODY }));
        assert!(!is_over(0, Surroundings { seeds: 0, asked: false, ..NOBODY }));
        assert!(!is_over(999, NOBODY));
        assert!(is_over(1_000, NOBODY));
    }

    #[test]
    fn a_node_with_many_seeds_tries_each_before_it_serves_alone_but_not_for_ever() {
        let untried = Surroundings { seeds: 200, untried: 10, ..NOBODY };
        assert!(!is_over(2_999, untried));
        assert!(is_over(1_000, Surroundings { untried: 0, ..untried }));
        assert!(is_over(3_000, untried));
    }

    #[test]
    fn a_node_whose_registry_has_not_answered_does_not_serve_alone() {
        assert!(!is_over(60_000, Surroundings { asked: false, ..NOBODY }));
    }

    #[test]
    fn a_node_that_is_turned_away_never_serves_alone() {
        assert!(!is_over(60_000, Surroundings { turned_away: true, ..NOBODY }));
    }

    #[test]
    fn an_answer_makes_it_wait_for_state_echoes_and_lease() {
        let linked = Surroundings { links: 1, unstated: 1, ..NOBODY };
        assert!(!is_over(5_000, linked));
        let counted = Surroundings { unstated: 0, counted: 1, unechoed: 1, ..linked };
        assert!(!is_over(5_000, counted));
        assert!(is_over(5_000, Surroundings { unechoed: 0, ..counted }));
        assert!(!is_over(5_000, Surroundings { unechoed: 0, lease: Instant::ZERO, ..counted }));
    }
}
