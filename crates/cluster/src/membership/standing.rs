//! How a node stands in this node's view (R4).

use core::time::Duration;

use leveret_model::Instant;

/// A node's standing. Down deletes nothing; Removed, which is explicit, comes with leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Heard.
    Alive,
    /// Not heard, but a node that is heard lists it: it still counts.
    Unreachable,
    /// Not heard by anyone that is heard.
    Down {
        /// Since when.
        since: Instant,
    },
}

impl Standing {
    /// Down, since whenever.
    #[must_use]
    pub const fn is_down(self) -> bool {
        matches!(self, Self::Down { .. })
    }

    /// For how long it is Down.
    #[must_use]
    pub fn down_for(self, now: Instant) -> Option<Duration> {
        match self {
            Self::Down { since } => Some(now.since(since)),
            Self::Alive | Self::Unreachable => None,
        }
    }
}
