//! The home's end of the lanes into one queue: each publish is appended exactly once and in order.
//!
//! A lane is (ingress shard, boot of the ingress) → queue. A publish carries its sequence on the lane and
//! `base`, the lowest sequence that the ingress still waits for. Let `L = max(last appended, base - 1)`:
//!
//! | sequence | verdict | answer |
//! |---|---|---|
//! | `<= L` | duplicate | stored through `L` |
//! | `== L + 1` | append | stored, when it is |
//! | `> L + 1` | gap | send again what comes after `L` |
//!
//! Appended is not stored: the caller says by [`Lanes::appended`] when the message is stored, and answers go
//! out for what is ([`Lanes::synced`]). A lane is answered in order, so a message that need not be stored waits
//! for those before it.
//!
//! "Stored" is owed once for all publishes of a lane that a turn brought: the caller lists the queue when
//! [`Lanes::touch`] says so, and takes what is owed at the end of the turn.
//!
//! Without `base` one publish that its ingress gave up would leave a hole for ever, and the lane with it. The
//! other end is [`OutLane`](crate::OutLane); both are checked together in `out_lane/tests.rs`.

#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::limits::LANES_PER_QUEUE_MAX;
use leveret_model::{Boot, LaneSequence, NodeId, ShardAddress, StoreMark, Stored};

use crate::planted::Bug;

/// Who sends on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    /// The shard of the publishers.
    pub ingress: ShardAddress,
    /// The start of its node: another boot counts from 1 again.
    pub boot: Boot,
}

/// What the home does with a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneVerdict {
    /// Append it, and say so by [`Lanes::appended`].
    Append,
    /// It is here, or its ingress gave it up: the answer is owed again.
    Duplicate,
    /// Something is missing before it: answer "gap".
    Gap {
        /// The ingress sends again what comes after.
        after: LaneSequence,
    },
}

#[derive(Clone, Debug)]
struct Lane {
    key: LaneKey,
    /// The last one that was appended, or given up by its ingress.
    last: LaneSequence,
    /// The last one that is stored.
    stored: LaneSequence,
    /// Up to which sequence the lane is stored once the store has synced a mark; in the order of both.
    unstored: VecDeque<(StoreMark, LaneSequence)>,
    /// Publishes that the queue refused and the ingress may still wait for; the first `told` of them it was
    /// told of.
    refused: Vec<LaneSequence>,
    told: usize,
    /// When it was last used, in verdicts of this queue.
    used: u64,
    /// Listed in `Lanes::owing`.
    owes: bool,
}

impl Lane {
    /// The ingress waits for nothing below `base`, so `refused` is no longer than a lane may be.
    #[cold]
    fn forget_refused(&mut self, base: LaneSequence) {
        let done = self.refused.partition_point(|refused| *refused < base);
        self.refused.drain(..done);
        self.told = self.told.saturating_sub(done);
    }
}

/// The lanes into one queue.
#[derive(Debug, Default)]
pub struct Lanes {
    /// In the order of their keys: there are as many as shards that publish here.
    lanes: Vec<Lane>,
    /// The one used last: publishes come in runs.
    recent: usize,
    verdicts: u64,
    /// Lanes that owe an answer, each once.
    owing: Vec<LaneKey>,
    /// The caller has listed this queue among those that owe.
    touched: bool,
    /// The caller has listed it among those that wait for the store.
    awaits_store: bool,
    bug: Bug,
}

impl Lanes {
    /// Plants a bug; to be called before anything else.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, bug: crate::Planted) {
        self.bug.planted = Some(bug);
    }

    /// Decides about a publish. hot.
    pub fn accept(&mut self, key: LaneKey, sequence: LaneSequence, base: LaneSequence) -> LaneVerdict {
        self.verdicts += 1;
        let known = self.find(key);
        let last = known.map_or(0, |at| self.lanes[at].last.0);
        let through = last.max(base.0.saturating_sub(1));
        if sequence.0 > through + 1 {
            return LaneVerdict::Gap { after: LaneSequence(through) };
        }
        let at = known.unwrap_or_else(|| self.open(key));
        self.recent = at;
        let lane = &mut self.lanes[at];
        lane.used = self.verdicts;
        if !lane.refused.is_empty() {
            lane.forget_refused(base);
        }
        lane.last = LaneSequence(through.max(sequence.0));
        if sequence.0 > through {
            return LaneVerdict::Append;
        }
        self.duplicate(at)
    }

    /// It is here: its answer may have been lost.
    #[cold]
    fn duplicate(&mut self, at: usize) -> LaneVerdict {
        if self.bug.appends_again() {
            return LaneVerdict::Append;
        }
        let lane = &mut self.lanes[at];
        if lane.unstored.is_empty() {
            lane.stored = lane.last;
        }
        // what it was told may have been lost with the link
        lane.told = 0;
        self.owe(at);
        LaneVerdict::Duplicate
    }

    /// The publish that [`Lanes::accept`] took last was appended, and is stored now or with a
    /// mark. True if the lanes wait for the store since now: the caller lists the queue once, and calls
    /// [`Lanes::synced`] for it. hot.
    pub fn appended(&mut self, stored: Stored) -> bool {
        let at = self.recent;
        let Some(lane) = self.lanes.get_mut(at) else { return false };
        match (stored, lane.unstored.back_mut()) {
            (Stored::Now, None) => {
                lane.stored = lane.last;
                self.owe(at);
                return false;
            }
            // it is answered with those before it
            (Stored::Now, Some((_, through))) => *through = lane.last,
            (Stored::At(mark), Some((last, through))) if *last == mark => *through = lane.last,
            (Stored::At(mark), _) => lane.unstored.push_back((mark, lane.last)),
        }
        !core::mem::replace(&mut self.awaits_store, true)
    }

    /// Each lane with the last publish that was appended: what moves with the queue.
    pub fn appended_through(&self) -> impl Iterator<Item = (LaneKey, LaneSequence)> + '_ {
        self.lanes.iter().map(|lane| (lane.key, lane.last))
    }

    /// All that was appended is stored.
    #[must_use]
    pub fn are_stored(&self) -> bool {
        self.lanes.iter().all(|lane| lane.unstored.is_empty())
    }

    /// The old home of the queue had everything of this lane up to `last`, and it is stored here.
    pub fn restore(&mut self, key: LaneKey, last: LaneSequence) {
        let at = self.find(key).unwrap_or_else(|| self.open(key));
        let lane = &mut self.lanes[at];
        (lane.last, lane.stored) = (last, last);
    }

    /// The publish that [`Lanes::accept`] took last was refused by the queue. Its ingress hears that before
    /// the answer that ends it. True as for [`Lanes::appended`].
    pub fn refused(&mut self) -> bool {
        if let Some(lane) = self.lanes.get_mut(self.recent) {
            lane.refused.push(lane.last);
        }
        self.appended(Stored::Now)
    }

    /// The store has synced up to a mark. True if lanes wait for a later one.
    pub fn synced(&mut self, mark: StoreMark) -> bool {
        let mut waits = false;
        for at in 0..self.lanes.len() {
            let lane = &mut self.lanes[at];
            let before = lane.stored;
            while let Some((_, through)) = lane.unstored.pop_front_if(|(of, _)| *of <= mark) {
                lane.stored = through;
            }
            waits |= !lane.unstored.is_empty();
            if lane.stored > before {
                self.owe(at);
            }
        }
        self.awaits_store = waits;
        waits
    }

    /// hot.
    #[inline]
    fn owe(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        if !lane.owes {
            lane.owes = true;
            self.owing.push(lane.key);
        }
    }

    /// True if something is owed and the caller was not told since it was taken. hot.
    pub fn touch(&mut self) -> bool {
        let due = !self.touched && !self.owing.is_empty();
        self.touched |= due;
        due
    }

    /// Takes what is owed: of each lane all up to a sequence is stored but for those that were refused, in the
    /// order in which the lanes came to owe it.
    pub fn take_owed(&mut self, mut each: impl FnMut(LaneKey, LaneSequence, &[LaneSequence])) {
        self.touched = false;
        let mut owing = core::mem::take(&mut self.owing);
        for key in owing.drain(..) {
            // none: it was forgotten meanwhile
            let Some(at) = self.find(key) else { continue };
            let lane = &mut self.lanes[at];
            lane.owes = false;
            each(key, lane.stored, &lane.refused[lane.told..]);
            lane.told = lane.refused.len();
        }
        self.owing = owing;
    }

    /// The last publish of the lane that was appended; 0 if none was.
    #[must_use]
    pub fn last(&self, key: LaneKey) -> LaneSequence {
        self.find(key).map_or(LaneSequence(0), |at| self.lanes[at].last)
    }

    /// Forgets the lanes of a node that will not send on them again.
    pub fn forget(&mut self, node: NodeId) {
        self.lanes.retain(|lane| lane.key.ingress.node != node);
    }

    /// Forgets the lanes of one shard: its publishers are at the home now.
    pub fn forget_shard(&mut self, shard: ShardAddress) {
        self.lanes.retain(|lane| lane.key.ingress != shard);
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

    /// hot.
    #[inline]
    fn find(&self, key: LaneKey) -> Option<usize> {
        if self.lanes.get(self.recent).is_some_and(|lane| lane.key == key) {
            return Some(self.recent);
        }
        self.lanes.binary_search_by_key(&key, |lane| lane.key).ok()
    }

    #[cold]
    fn open(&mut self, key: LaneKey) -> usize {
        if self.lanes.len() >= LANES_PER_QUEUE_MAX {
            // more than a full cluster has: the one unused for longest belongs to a boot that is long gone
            let ages = self
                .lanes
                .iter()
                .enumerate()
                .map(|(at, lane)| (lane.owes || !lane.unstored.is_empty(), lane.used, at));
            if let Some((_, _, oldest)) = ages.min() {
                self.lanes.remove(oldest);
            }
        }
        let at = self.lanes.partition_point(|lane| lane.key < key);
        let (last, stored) = (LaneSequence(0), LaneSequence(0));
        let unstored = VecDeque::new();
        let (refused, told) = (Vec::new(), 0);
        let used = self.verdicts;
        self.lanes.insert(at, Lane { key, last, stored, unstored, refused, told, used, owes: false });
        at
    }
}
