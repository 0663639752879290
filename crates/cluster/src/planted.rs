//! Bugs for the simulator to find, chosen at run time. Without the feature `planted` there are none, and
//! nothing here costs anything.

use leveret_model::Instant;
#[cfg(feature = "planted")]
use leveret_model::limits;

use crate::membership::Standing;
use crate::membership::member::Member;

/// A bug.
#[cfg(feature = "planted")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A delta is acked before every shard routes by it.
    AckBeforeApplied,
    /// Silence alone is Down, though others hear the node.
    DownWithoutVeto,
    /// A node says that it has left when its last queue is handed over, and not when the new home serves.
    LeftEarly,
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
    pub(crate) const fn applied(self, applied: u64, _: u64) -> u64 {
        applied
    }

    pub(crate) fn left(self, is_left: bool, _: impl FnOnce() -> bool) -> bool {
        is_left
    }

    pub(crate) const fn verdict(self, _: Instant, _: &Member, standing: Standing) -> Standing {
        standing
    }
}

#[cfg(feature = "planted")]
impl Bug {
    /// The last change that every shard applied; `last` is the last that was made.
    pub(crate) fn applied(self, applied: u64, last: u64) -> u64 {
        if self.planted == Some(Planted::AckBeforeApplied) { last } else { applied }
    }

    /// Nothing is left here; `is_handed_over` is all that the planted bug asks.
    pub(crate) fn left(self, is_left: bool, is_handed_over: impl FnOnce() -> bool) -> bool {
        is_left || self.planted == Some(Planted::LeftEarly) && is_handed_over()
    }

    pub(crate) fn verdict(self, now: Instant, member: &Member, standing: Standing) -> Standing {
        let silent = member.is_refused()
            || member.heard_at.map_or(member.since, |at| at.max(member.since)) + limits::HEARD_WITHIN <= now;
        match standing {
            Standing::Unreachable if silent && self.planted == Some(Planted::DownWithoutVeto) => {
                if member.standing.is_down() { member.standing } else { Standing::Down { since: now } }
            }
            _ => standing,
        }
    }
}
