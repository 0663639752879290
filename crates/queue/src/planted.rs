//! Bugs for the simulator to find, chosen at run time. Without the feature `planted` there are none, and
//! nothing here costs anything. None is planted in a function of the hot path.

use alloc::collections::{BTreeMap, VecDeque};

use leveret_model::Position;

/// A bug of a queue.
#[cfg(feature = "planted")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// What is requeued goes to the end.
    RequeueAtTail,
    /// What is requeued together comes again in reverse order.
    RequeueReversed,
    /// A consumer with a prefetch above 10 that held all of it gets nothing while it holds a message.
    StarvedHolder,
    /// What a lane sends again is appended again.
    ResendWithoutDedup,
}

/// The bug of this machine, if it has one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bug {
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<Planted>,
}

#[cfg(not(feature = "planted"))]
#[allow(clippy::unused_self, reason = "the bugs have it")]
impl Bug {
    pub(crate) fn requeued<T>(self, _: Position, _: &mut BTreeMap<Position, T>, _: &mut VecDeque<T>) {}

    pub(crate) const fn starves(self, _prefetch: u32, _unacked: u32) -> bool {
        false
    }

    pub(crate) const fn appends_again(self) -> bool {
        false
    }
}

#[cfg(feature = "planted")]
impl Bug {
    /// A message went back to its place among those that were returned.
    pub(crate) fn requeued<T: Copy>(
        self,
        place: Position,
        returned: &mut BTreeMap<Position, T>,
        fresh: &mut VecDeque<T>,
    ) {
        match self.planted {
            Some(Planted::RequeueAtTail) => {
                if let Some(at) = returned.get_mut(&place) {
                    fresh.push_back(*at);
                    fresh.pop_front().into_iter().for_each(|first| *at = first);
                }
            }
            Some(Planted::RequeueReversed) => {
                // it takes the first place, and each one before it the next
                if let Some(mut carried) = returned.get(&place).copied() {
                    let up_to = returned.range_mut(..=place);
                    up_to.for_each(|(_, at)| core::mem::swap(at, &mut carried));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn starves(self, prefetch: u32, unacked: u32) -> bool {
        self.planted == Some(Planted::StarvedHolder) && prefetch > 10 && unacked > 0
    }

    pub(crate) fn appends_again(self) -> bool {
        self.planted == Some(Planted::ResendWithoutDedup)
    }
}
