//! Which messages of an extent are still there.
//!
//! While all positions of the span are, nothing is allocated; after the first acknowledgement each takes a bit.

use alloc::boxed::Box;
use alloc::vec;

/// A set of positions within a span that was fixed when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveSet {
    first: u64,
    /// Positions of the span.
    span: u64,
    live: u32,
    /// A bit per position; `None` if all are in the set.
    bits: Option<Box<[u64]>>,
}

impl LiveSet {
    /// All positions from `first` to `last`.
    #[cfg(test)]
    fn full(first: u64, last: u64) -> Self {
        let span = last - first + 1;
        Self { first, span, live: span as u32, bits: None }
    }

    /// None of the positions from `first` to `last`.
    pub(crate) fn empty(first: u64, last: u64) -> Self {
        let span = last - first + 1;
        let words = span.div_ceil(64) as usize;
        Self { first, span, live: 0, bits: Some(vec![0; words].into()) }
    }

    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    pub(crate) fn insert(&mut self, position: u64) {
        let at = position - self.first;
        assert!(at < self.span, "a position within the span");
        let Some(bits) = &mut self.bits else { return };
        let (word, bit) = ((at / 64) as usize, 1 << (at % 64));
        self.live += u32::from(bits[word] & bit == 0);
        bits[word] |= bit;
        if u64::from(self.live) == self.span {
            self.bits = None;
        }
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        let at = position.wrapping_sub(self.first);
        at < self.span && self.bits.as_ref().is_none_or(|bits| bits[(at / 64) as usize] >> (at % 64) & 1 == 1)
    }

    /// Takes positions out; gives how many were in.
    pub(crate) fn remove(&mut self, first: u64, last: u64) -> u32 {
        let from = first.max(self.first);
        let to = last.min(self.first + self.span - 1);
        if from > to {
            return 0;
        }
        let (from, to) = (from - self.first, to - self.first);
        let span = self.span;
        let bits = self.bits.get_or_insert_with(|| ones(span));
        let mut removed = 0;
        for word in from / 64..=to / 64 {
            let low = if word == from / 64 { from % 64 } else { 0 };
            let high = if word == to / 64 { to % 64 } else { 63 };
            let mask = (u64::MAX >> (63 - (high - low))) << low;
            let bits = &mut bits[word as usize];
            removed += (*bits & mask).count_ones();
            *bits &= !mask;
        }
        self.live -= removed;
        removed
    }

    /// The lowest position of the set from `from` on.
    pub(crate) fn next(&self, from: u64) -> Option<u64> {
        let at = from.saturating_sub(self.first);
        if at >= self.span {
            return None;
        }
        let Some(bits) = &self.bits else { return Some(self.first + at) };
        let mut word = (at / 64) as usize;
        let mut candidates = bits[word] & (u64::MAX << (at % 64));
        loop {
            if candidates != 0 {
                return Some(self.first + word as u64 * 64 + u64::from(candidates.trailing_zeros()));
            }
            word += 1;
            candidates = *bits.get(word)?;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut from = Some(self.first);
        core::iter::from_fn(move || {
            let found = self.next(from?)?;
            from = found.checked_add(1);
            Some(found)
        })
    }
}

fn ones(span: u64) -> Box<[u64]> {
    let mut bits: Box<[u64]> = vec![u64::MAX; span.div_ceil(64) as usize].into();
    if !span.is_multiple_of(64)
        && let Some(last) = bits.last_mut()
    {
        *last = u64::MAX >> (64 - span % 64);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn it_is_a_set(first in 0u64..1000, span in 1u64..300, full: bool,
            steps in proptest::collection::vec((any::<bool>(), 0u64..320, 0u64..80), 0..40)) {
            let last = first + span - 1;
            let mut set = if full { LiveSet::full(first, last) } else { LiveSet::empty(first, last) };
            let mut naive: BTreeSet<u64> = if full { (first..=last).collect() } else { BTreeSet::new() };
            for (insert, from, count) in steps {
                let from = (first + from).saturating_sub(10);
                if insert {
                    let position = from.clamp(first, last);
                    set.insert(position);
                    naive.insert(position);
                } else {
                    let to = from + count;
                    let gone: Vec<u64> = naive.range(from..=to).copied().collect();
                    prop_assert_eq!(set.remove(from, to) as usize, gone.len());
                    naive.retain(|position| !gone.contains(position));
                }
                prop_assert_eq!(set.live() as usize, naive.len());
                prop_assert_eq!(set.next(from), naive.range(from..).next().copied());
                prop_assert_eq!(set.contains(from), naive.contains(&from));
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), naive.into_iter().collect::<Vec<_>>());
        }
    }
}
