//! Bugs for the test `world` to find, chosen at run time. Without the feature `planted` there are none, and
//! nothing here costs anything.

/// A bug.
#[cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "nobody plants one"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A birth is answered while its claim is under way.
    CreateAnsweredEarly,
    /// A row of a later epoch is believed though its life is gone.
    EpochBeatsGone,
    /// A commit is answered before its copy is acknowledged.
    AckBeforeCopy,
    /// Copies of an earlier home answer loads: the keeper says that it is whole before it is filled.
    AnnouncedBeforeWhole,
    /// The old home of a move goes on until it hears that the move has settled.
    BothAnswer,
    /// The home shows a commit that has no copy yet.
    UncopiedRead,
    /// A node that restarted is taken for its earlier start.
    RestartUnseen,
    /// Every claim gets a vote, whatever the voter knows.
    BlindAck,
    /// Without the lease what is missing here is said to be missing.
    NilWithoutLease,
}

/// The bug of this machine, if it has one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bug {
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<Planted>,
}

impl Bug {
    /// True if it has this one.
    #[cfg(feature = "planted")]
    pub(crate) fn is(self, bug: Planted) -> bool {
        self.planted == Some(bug)
    }

    /// There are none.
    #[cfg(not(feature = "planted"))]
    #[allow(clippy::unused_self, reason = "the bugs have it")]
    pub(crate) const fn is(self, _: Planted) -> bool {
        false
    }
}
