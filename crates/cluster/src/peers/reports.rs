//! What people and peers were told last, so that nothing is repeated until it changes.

use alloc::vec::Vec;

use leveret_model::NodeId;

use super::unknown_frames::UnknownFrames;
use crate::membership::TurnAway;

/// The nodes that this one hears, and whether it is ready.
pub(crate) type Hears = (Vec<NodeId>, bool);

/// What was said last.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    turned_away: Option<TurnAway>,
    /// Nobody else has room here; until somebody had.
    full: bool,
    hears: Hears,
    pub(crate) unknown_frames: UnknownFrames,
}

impl Reports {
    /// This node is turned away: is that new? A link that broke, as one of two that crossed does, says little.
    pub(crate) fn on_turned_away(&mut self, why: TurnAway) -> bool {
        why != TurnAway::Unsaid && self.turned_away.replace(why) != Some(why)
    }

    /// The cluster is full: is that new?
    pub(crate) const fn on_full(&mut self) -> bool {
        !core::mem::replace(&mut self.full, true)
    }

    pub(crate) const fn on_room(&mut self) {
        self.full = false;
    }

    /// Who is heard: none if that is what peers were told. Else whether somebody is new in it, whom they are
    /// to be introduced to first.
    pub(crate) fn on_hears(&mut self, hears: &Hears) -> Option<bool> {
        if *hears == self.hears {
            return None;
        }
        let before = core::mem::replace(&mut self.hears, hears.clone());
        Some(hears.0.iter().any(|node| !before.0.contains(node)))
    }
}
