//! Bugs that the feature `planted` compiles in, so that a test can show that the simulator's invariants see
//! them.

/// A planted bug, chosen at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// The machines as they are.
    #[default]
    Nothing,
    /// A door acknowledges a drain before its slot is closed.
    #[cfg(feature = "planted")]
    AckBeforeClose,
    /// A door takes an older announcement of the same boot.
    #[cfg(feature = "planted")]
    SeqIgnored,
    /// T3 without regard to the door's link.
    #[cfg(feature = "planted")]
    StaleWithoutLink,
    /// T6 sends a POST again that was sent.
    #[cfg(feature = "planted")]
    PostRetried,
    /// T1 takes back a boot that was replaced or left.
    #[cfg(feature = "planted")]
    RetiredBootTaken,
    /// An instance counts a door only from its first report.
    #[cfg(feature = "planted")]
    DoorNotCountedFromAsk,
    /// T4 never probes a suspect, so it never returns.
    #[cfg(feature = "planted")]
    SuspectForEver,
    /// A door does not acknowledge for a boot that was replaced.
    #[cfg(feature = "planted")]
    NoAckForReplaced,
}

/// Whether this is the bug of the machine that asks. Without the feature the question is answered by the
/// compiler.
macro_rules! planted {
    ($machine:expr, $bug:ident) => {{
        #[cfg(feature = "planted")]
        let found = $machine == $crate::Planted::$bug;
        #[cfg(not(feature = "planted"))]
        let found = {
            let _ = &$machine;
            false
        };
        found
    }};
}
pub(crate) use planted;
