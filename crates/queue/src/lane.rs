//! The home's end of the lanes into one queue: each publish is appended exactly once and in order.
//!
//! A lane is (ingress shard, boot of the ingress) → queue. A publish carries its sequence on the lane and `base`, the
//! lowest sequence that the ingress still waits for. Let `L = max(last appended, base - 1)`:
//!
//! | sequence | verdict | answer |
//! |---|---|---|
//! | `<= L` | duplicate | stored through `L` |
//! | `== L + 1` | append | stored, when it is |
//! | `> L + 1` | gap | send again what comes after `L` |
//!
//! Without `base` one publish that its ingress gave up would leave a hole for ever, and the lane with it. The other
//! end is [`OutLane`](crate::OutLane); both are checked together in `source_lane/tests.rs`.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::limits::LANES_PER_QUEUE_MAX;
use leveret_model::{Boot, LaneSequence, NodeId, Seed, ShardAddress};

/// Who sends on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// The shard of the publishers.
    pub ingress: ShardAddress,
    /// The start of its node: another boot counts from 1 again.
    pub boot: Boot,
}

/// What the home does with a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneVerdict {
    /// Append it; the lane counts it as appended already.
    Append,
    /// It is here, or its ingress gave it up: answer "stored through".
    Duplicate {
        /// Everything up to here is answered.
        through: LaneSequence,
    },
    /// Something is missing before it: answer "gap".
    Gap {
        /// The ingress sends again what comes after.
        after: LaneSequence,
    },
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    last: LaneSequence,
    /// When it was last used, in verdicts of this queue.
    used: u64,
}

/// The lanes into one queue.
#[derive(Debug)]
pub struct Lanes {
    lanes: HashMap<LaneKey, Lane, FixedState>,
    verdicts: u64,
    /// A planted bug: what is sent again is appended again.
    #[cfg(feature = "planted")]
    pub planted_twice: bool,
}

impl Lanes {
    /// No lanes yet.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            lanes: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            verdicts: 0,
            #[cfg(feature = "planted")]
            planted_twice: false,
        }
    }

    /// Decides about a publish. hot.
    pub fn accept(&mut self, key: LaneKey, sequence: LaneSequence, base: LaneSequence) -> LaneVerdict {
        self.verdicts += 1;
        let known = self.lanes.get_mut(&key);
        let last = known.as_ref().map_or(0, |lane| lane.last.0);
        let through = last.max(base.0.saturating_sub(1));
        #[cfg(feature = "planted")]
        if self.planted_twice && sequence.0 <= through {
            return LaneVerdict::Append;
        }
        if sequence.0 <= through {
            return LaneVerdict::Duplicate { through: LaneSequence(through) };
        }
        if sequence.0 != through + 1 {
            return LaneVerdict::Gap { after: LaneSequence(through) };
        }
        let lane = Lane { last: sequence, used: self.verdicts };
        match known {
            Some(known) => *known = lane,
            None => self.open(key, lane),
        }
        LaneVerdict::Append
    }

    /// The last publish of the lane that was appended; 0 if none was.
    #[must_use]
    pub fn last(&self, key: LaneKey) -> LaneSequence {
        self.lanes.get(&key).map_or(LaneSequence(0), |lane| lane.last)
    }

    /// Forgets the lanes of a node that will not send on them again.
    pub fn forget(&mut self, node: NodeId) {
        self.lanes.retain(|key, _| key.ingress.node != node);
    }

    /// How many lanes are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// True if none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    #[cold]
    fn open(&mut self, key: LaneKey, lane: Lane) {
        if self.lanes.len() >= LANES_PER_QUEUE_MAX {
            // more than a full cluster has: the one unused for longest belongs to a boot that is long gone
            let oldest = self.lanes.iter().min_by_key(|(_, lane)| lane.used).map(|(key, _)| *key);
            oldest.map(|oldest| self.lanes.remove(&oldest));
        }
        self.lanes.insert(key, lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::ShardId;

    fn key(node: u128, boot: u64) -> LaneKey {
        LaneKey { ingress: ShardAddress { node: NodeId(node), shard: ShardId(0) }, boot: Boot(boot) }
    }

    fn accept(lanes: &mut Lanes, sequence: u64, base: u64) -> LaneVerdict {
        lanes.accept(key(1, 1), LaneSequence(sequence), LaneSequence(base))
    }

    #[test]
    fn each_sequence_is_appended_once_and_in_order() {
        let mut lanes = Lanes::new(Seed(1));
        assert_eq!(accept(&mut lanes, 2, 1), LaneVerdict::Gap { after: LaneSequence(0) });
        assert_eq!(accept(&mut lanes, 1, 1), LaneVerdict::Append);
        assert_eq!(accept(&mut lanes, 1, 1), LaneVerdict::Duplicate { through: LaneSequence(1) });
        assert_eq!(accept(&mut lanes, 2, 1), LaneVerdict::Append);
        assert_eq!(accept(&mut lanes, 4, 2), LaneVerdict::Gap { after: LaneSequence(2) });
        assert_eq!(lanes.last(key(1, 1)), LaneSequence(2));
    }

    #[test]
    fn a_raised_base_closes_the_hole_that_a_given_up_publish_left() {
        let mut lanes = Lanes::new(Seed(1));
        assert_eq!(accept(&mut lanes, 1, 1), LaneVerdict::Append);
        // 2 and 3 were given up by their ingress
        assert_eq!(accept(&mut lanes, 4, 4), LaneVerdict::Append);
        // a late copy of 3, sent before
        assert_eq!(accept(&mut lanes, 3, 2), LaneVerdict::Duplicate { through: LaneSequence(4) });
    }

    #[test]
    fn a_home_that_forgot_goes_on_where_the_ingress_waits() {
        let mut lanes = Lanes::new(Seed(1));
        assert_eq!(accept(&mut lanes, 8, 8), LaneVerdict::Append);
        lanes.forget(NodeId(1));
        assert!(lanes.is_empty());
        assert_eq!(accept(&mut lanes, 10, 9), LaneVerdict::Gap { after: LaneSequence(8) });
        assert_eq!(accept(&mut lanes, 9, 9), LaneVerdict::Append);
    }

    #[test]
    fn lanes_are_bounded_and_the_one_unused_for_longest_goes() {
        let mut lanes = Lanes::new(Seed(1));
        let one = LaneSequence(1);
        for boot in 0..LANES_PER_QUEUE_MAX as u64 {
            lanes.accept(key(1, boot), one, one);
        }
        lanes.accept(key(1, 0), LaneSequence(2), one);
        lanes.accept(key(2, 0), one, one);
        assert_eq!(lanes.len(), LANES_PER_QUEUE_MAX);
        assert_eq!(lanes.last(key(1, 0)), LaneSequence(2));
        assert_eq!(lanes.last(key(1, 1)), LaneSequence(0));
    }
}
