//! Bugs for the simulator to find, chosen at run time; compiled in by the feature `planted` alone.

use crate::places::Home;
use crate::shard::Shard;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// What a lane sends again is appended again.
    ResendWithoutDedup,
    /// A bug of every queue.
    InQueue(leveret_queue::Planted),
    /// Credit between shards and output have no end.
    Unbounded,
    /// Lanes have no end.
    UnboundedLanes,
    /// A binding that ends stays in the route table.
    StaleTable,
    /// One in ten messages for several queues misses those of its shard.
    LostCopy,
    /// A channel's pause never ends for its consumers.
    EndlessPause,
    /// A new link does not say what this shard consumes and holds.
    NoResubscription,
}

impl Shard {
    /// Plants a bug; to be called before anything else.
    pub fn plant(&mut self, bug: Planted) {
        if bug == Planted::Unbounded {
            let forward = leveret_link::credit::Cost { records: u32::MAX, bytes: u64::MAX };
            self.set_bounds(crate::Bounds {
                forward,
                output_bytes_high: usize::MAX,
                ..crate::Bounds::default()
            });
        }
        if bug == Planted::UnboundedLanes {
            self.broker.bounds.lane_messages = usize::MAX;
            self.broker.bounds.lane_bytes = u64::MAX;
        }
        self.plant_in_broker(bug);
    }
}

impl Planted {
    /// A queue that opens has the bug.
    pub(crate) fn in_home(self, home: &mut Home) {
        match self {
            Self::ResendWithoutDedup => home.lanes.planted_twice = true,
            Self::InQueue(bug) => home.queue.plant(bug),
            Self::NoResubscription
            | Self::StaleTable
            | Self::Unbounded
            | Self::UnboundedLanes
            | Self::EndlessPause
            | Self::LostCopy => {}
        }
    }
}
