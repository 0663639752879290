//! Bugs for the simulator to find, chosen at run time; compiled in by the feature `planted` alone.

use leveret_model::{Instant, limits};

use crate::control::Control;
use crate::membership::Standing;
use crate::membership::member::Member;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A delta is acked before every shard routes by it.
    AckBeforeApplied,
    /// Silence alone is Down, though others hear the node.
    DownWithoutVeto,
}

impl Control {
    /// Plants a bug; to be called before anything else.
    pub fn plant(&mut self, bug: Planted) {
        self.planted = Some(bug);
    }
}

impl Planted {
    /// The verdict with the bug.
    pub(crate) fn verdict(self, now: Instant, member: Option<&Member>, standing: Standing) -> Standing {
        let silent = member.is_some_and(|member| {
            member.is_refused()
                || member.heard_at.map_or(member.since, |at| at.max(member.since)) + limits::HEARD_WITHIN
                    <= now
        });
        match (self, standing) {
            (Self::DownWithoutVeto, Standing::Unreachable) if silent => {
                match member.map(|member| member.standing) {
                    Some(down) if down.is_down() => down,
                    _ => Standing::Down { since: now },
                }
            }
            _ => standing,
        }
    }
}
