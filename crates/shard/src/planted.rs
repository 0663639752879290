//! Bugs for the simulator to find, chosen at run time; compiled in by the feature `planted` alone.

use leveret_link::credit::Cost;
use leveret_queue::{Lanes, Queue};

use crate::bounds::Bounds;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A bug of every queue and its lanes.
    InQueue(leveret_queue::Planted),
    /// Credit between shards and output have no end.
    Unbounded,
    /// Lanes have no end.
    UnboundedLanes,
    /// A binding that ends stays in the route table.
    StaleTable,
    /// One in ten messages for several queues misses those of its shard.
    LostCopy,
    /// One in ten messages that are got without acknowledgement goes nowhere.
    DroppedUnacknowledged,
    /// A channel's pause never ends for its consumers.
    EndlessPause,
    /// A publisher is answered when its message is appended, not when it is stored.
    ConfirmOnAppend,
    /// The same, and the store has it later all the same.
    ConfirmBeforeSync,
    /// A new link does not say what this shard consumes and holds.
    NoResubscription,
    /// The new home of a queue loses its first ready message.
    LostOnMove,
    /// A queue that was taken back waits for every shard that was told to hold back.
    EndlessWait,
}

impl Planted {
    /// Other bounds than those of `limits`.
    pub(crate) fn bounds(self) -> Option<Bounds> {
        let bounds = Bounds::default();
        let forward = Cost { records: u32::MAX, bytes: u64::MAX };
        match self {
            Self::Unbounded => Some(Bounds { forward, output_bytes_high: usize::MAX, ..bounds }),
            Self::UnboundedLanes => {
                Some(Bounds { lane_messages: usize::MAX, lane_bytes: u64::MAX, ..bounds })
            }
            _ => None,
        }
    }

    /// A queue that opens has the bug.
    pub(crate) fn plant_in(self, queue: &mut Queue, lanes: &mut Lanes) {
        if let Self::InQueue(bug) = self {
            queue.plant(bug);
            lanes.plant(bug);
        }
    }
}
