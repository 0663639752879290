//! Gone entries (S5): that a session ended. A set that each node keeps by itself, joined by union; no row of
//! anybody's list.
//!
//! Invariants
//! - *Beats*: a gone entry beats every state of the same or a lower life.
//! - *Stays*: an entry stays for `session_gone_for`, and until every member that was counted since has
//!   acknowledged it, a day at most. At the bound the oldest that all have acknowledged goes, else the
//!   oldest.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::{NodeId, Seed, limits};

use crate::hid::Hid;
use crate::rules::Rule;
use crate::stamp::Stamp;
use crate::time::Ms;

/// That a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The life that ended, and all before it.
    pub(crate) life: Stamp,
    /// Kept until then at least.
    pub(crate) until: Ms,
    /// Kept until then at most.
    last: Ms,
    /// Members that have not acknowledged it.
    owed_by: Vec<NodeId>,
}

/// The set of one shard's buckets.
pub(crate) struct GoneSet {
    entries: HashMap<Hid, Gone, FixedState>,
    /// By the time at which they are looked at again. An entry that was replaced leaves a stale line, which
    /// finds another time in the entry and is dropped.
    due: BTreeMap<(Ms, Hid), ()>,
    most: usize,
}

impl GoneSet {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            entries: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            due: BTreeMap::new(),
            most: limits::SESSION_GONE_MAX,
        }
    }

    pub(crate) fn get(&self, hid: Hid) -> Option<&Gone> {
        self.entries.get(&hid)
    }

    /// The entry that beats a row of this life. Under `stays` that is any: a birth on the other side of a cut
    /// does not undo a logout, however high its stamp.
    pub(crate) fn over(&self, hid: Hid, life: Stamp, rule: Rule) -> Option<&Gone> {
        self.entries.get(&hid).filter(|gone| gone.life >= life || rule == Rule::Stays)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Hid, &Gone)> {
        self.entries.iter().map(|(hid, gone)| (*hid, gone))
    }

    /// Enters that `life` and all before it ended. False if a higher one is known to have ended.
    pub(crate) fn insert(
        &mut self,
        hid: Hid,
        life: Stamp,
        now: Ms,
        left_ms: u64,
        owed_by: &[NodeId],
    ) -> bool {
        let until = now.plus(left_ms);
        if let Some(gone) = self.entries.get_mut(&hid) {
            if gone.life >= life {
                return false;
            }
            self.due.remove(&(gone.until, hid));
        } else if self.entries.len() >= self.most {
            self.make_room();
        }
        let last = now.plus(limits::SESSION_GONE_TIME_MAX.as_millis() as u64);
        let gone = Gone { life, until, last, owed_by: owed_by.to_vec() };
        self.entries.insert(hid, gone);
        self.due.insert((until, hid), ());
        true
    }

    /// `member` has the entry.
    pub(crate) fn acknowledged(&mut self, hid: Hid, life: Stamp, member: NodeId) {
        if let Some(gone) = self.entries.get_mut(&hid).filter(|gone| gone.life <= life) {
            gone.owed_by.retain(|owing| *owing != member);
        }
    }

    /// `member` is counted from now on, and may know nothing: entries stay until it has them.
    pub(crate) fn owe_all(&mut self, member: NodeId) {
        for gone in self.entries.values_mut().filter(|gone| !gone.owed_by.contains(&member)) {
            gone.owed_by.push(member);
        }
    }

    /// True while a node of which `counted` is true has not acknowledged it.
    pub(crate) fn is_owed(&self, hid: Hid, counted: impl Fn(NodeId) -> bool) -> bool {
        self.entries.get(&hid).is_some_and(|gone| gone.owed_by.iter().any(|owing| counted(*owing)))
    }

    /// Drops what has been kept long enough; looks at so many at most.
    pub(crate) fn expire(&mut self, now: Ms, most: usize) {
        for _ in 0..most {
            let Some((&(at, hid), ())) = self.due.first_key_value() else { return };
            if at > now {
                return;
            }
            self.due.remove(&(at, hid));
            let Some(gone) = self.entries.get_mut(&hid).filter(|gone| gone.until == at) else { continue };
            if gone.owed_by.is_empty() || gone.last <= now {
                self.entries.remove(&hid);
            } else {
                gone.until = now.plus(limits::SESSION_GONE_RECHECK.as_millis() as u64).min(gone.last);
                self.due.insert((gone.until, hid), ());
            }
        }
    }

    /// When it is worth looking again.
    pub(crate) fn next(&self) -> Option<Ms> {
        self.due.first_key_value().map(|(&(at, _), ())| at)
    }

    fn make_room(&mut self) {
        let acknowledged = self
            .due
            .keys()
            .take(limits::SESSION_GONE_LOOK_MAX)
            .find(|(_, hid)| self.entries.get(hid).is_some_and(|gone| gone.owed_by.is_empty()));
        let victim = acknowledged.or_else(|| self.due.keys().next()).copied();
        if let Some((at, hid)) = victim {
            self.due.remove(&(at, hid));
            self.entries.remove(&hid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(counter: u64) -> Stamp {
        Stamp { counter, node: NodeId(1) }
    }

    fn hid(byte: u8) -> Hid {
        Hid::from_bytes([byte; 16])
    }

    #[test]
    fn an_entry_of_a_lower_life_changes_nothing() {
        let mut gone = GoneSet::new(Seed(1));
        assert!(gone.insert(hid(1), life(5), Ms(0), 1_000, &[]));
        assert!(!gone.insert(hid(1), life(4), Ms(0), 1_000, &[]));
        assert_eq!(gone.get(hid(1)).map(|gone| gone.life), Some(life(5)));
    }

    #[test]
    fn after_a_day_nobody_is_waited_for() {
        let mut gone = GoneSet::new(Seed(1));
        gone.insert(hid(1), life(5), Ms(0), 1_000, &[NodeId(2)]);
        gone.expire(Ms(1_000), 10);
        assert_eq!(gone.len(), 1);
        gone.expire(Ms(24 * 3_600 * 1_000), 10);
        assert_eq!(gone.len(), 0);
    }

    #[test]
    fn at_the_bound_the_oldest_acknowledged_entry_goes_first() {
        let mut gone = GoneSet::new(Seed(1));
        gone.most = 2;
        gone.insert(hid(1), life(1), Ms(0), 1_000, &[NodeId(2)]);
        gone.insert(hid(2), life(1), Ms(1), 1_000, &[]);
        gone.insert(hid(3), life(1), Ms(2), 1_000, &[]);
        assert!(gone.get(hid(1)).is_some() && gone.get(hid(2)).is_none());
    }
}
