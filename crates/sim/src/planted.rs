//! Bugs that are planted in the machines, so that a test can show that the invariants see them.

use leveret_cluster::Control;
#[cfg(feature = "planted")]
use leveret_shard::PlantedInQueue;
use leveret_shard::Shard;

/// A planted bug, chosen at run time; only the feature `planted` compiles them in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// The machines as they are.
    #[default]
    Nothing,
    /// In a control machine.
    #[cfg(feature = "planted")]
    InControl(leveret_cluster::Planted),
    /// In a shard.
    #[cfg(feature = "planted")]
    InShard(leveret_shard::Planted),
}

impl Planted {
    /// All bugs, with their names and the invariant that must see each.
    #[cfg(not(feature = "planted"))]
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[];

    /// All bugs, with their names and the invariant that must see each.
    #[cfg(feature = "planted")]
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::InControl(leveret_cluster::Planted::AckBeforeApplied), "ack-before-applied", "bindings"),
        (Self::in_queue(PlantedInQueue::ResendWithoutDedup), "resend-without-dedup", "no_phantom"),
        (Self::in_queue(PlantedInQueue::RequeueAtTail), "requeue-at-tail", "order"),
        (Self::in_queue(PlantedInQueue::RequeueReversed), "requeue-reversed", "order"),
        (Self::in_queue(PlantedInQueue::StarvedHolder), "starved-holder", "liveness"),
        (
            Self::InShard(leveret_shard::Planted::DroppedUnacknowledged),
            "dropped-unacknowledged",
            "confirmed_kept",
        ),
        (Self::InControl(leveret_cluster::Planted::DownWithoutVeto), "down-without-veto", "bindings"),
        (Self::InShard(leveret_shard::Planted::Unbounded), "unbounded", "buffers"),
        (Self::InShard(leveret_shard::Planted::UnboundedLanes), "unbounded-lanes", "buffers"),
        (Self::InShard(leveret_shard::Planted::StaleTable), "stale-table", "directories"),
        (Self::InShard(leveret_shard::Planted::LostCopy), "lost-copy", "confirmed_kept"),
        (Self::InShard(leveret_shard::Planted::EndlessPause), "endless-pause", "liveness"),
        (Self::InShard(leveret_shard::Planted::ConfirmOnAppend), "confirm-on-append", "stored_first"),
        (Self::InShard(leveret_shard::Planted::NoResubscription), "no-resubscription", "liveness"),
        (Self::InShard(leveret_shard::Planted::LostOnMove), "lost-on-move", "confirmed_kept"),
        (Self::InShard(leveret_shard::Planted::EndlessWait), "endless-wait", "liveness"),
        (Self::InControl(leveret_cluster::Planted::LeftEarly), "left-early", "left_empty"),
        (Self::InShard(leveret_shard::Planted::ConfirmBeforeSync), "confirm-before-sync", "disk_kept"),
    ];

    #[cfg(feature = "planted")]
    const fn in_queue(bug: PlantedInQueue) -> Self {
        Self::InShard(leveret_shard::Planted::InQueue(bug))
    }

    /// The bug with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(planted, ..)| *planted)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(planted, ..)| *planted == self).map(|(_, name, _)| *name)
    }

    #[cfg_attr(not(feature = "planted"), allow(unused_variables))]
    pub(crate) fn in_control(self, control: &mut Control) {
        match self {
            #[cfg(feature = "planted")]
            Self::InControl(bug) => control.plant(bug),
            _ => {}
        }
    }

    #[cfg_attr(not(feature = "planted"), allow(unused_variables))]
    pub(crate) fn in_shard(self, shard: &mut Shard) {
        match self {
            #[cfg(feature = "planted")]
            Self::InShard(bug) => shard.plant(bug),
            _ => {}
        }
    }
}
