//! Bugs for the simulator to find, chosen at run time; compiled in by the feature `planted` alone.

use leveret_queue::{Lanes, Queue};

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
    /// A publisher is answered when its message is appended, not when it is stored.
    ConfirmOnAppend,
    /// A new link does not say what this shard consumes and holds.
    NoResubscription,
}

impl Shard {
    /// Plants a bug; to be called before anything else.
    pub fn plant(&mut self, bug: Planted) {
        let mut bounds = crate::Bounds::default();
        if bug == Planted::Unbounded {
            bounds.forward = leveret_link::credit::Cost { records: u32::MAX, bytes: u64::MAX };
            bounds.output_bytes_high = usize::MAX;
            self.set_bounds(bounds);
        }
        if bug == Planted::UnboundedLanes {
            (bounds.lane_messages, bounds.lane_bytes) = (usize::MAX, u64::MAX);
            self.set_bounds(bounds);
        }
        self.machines.queues.plant(bug);
        self.machines.view.plant(bug);
    }
}

impl Planted {
    /// A queue that opens has the bug.
    pub(crate) fn plant_in(self, queue: &mut Queue, lanes: &mut Lanes) {
        match self {
            Self::ResendWithoutDedup => lanes.planted_twice = true,
            Self::InQueue(bug) => queue.plant(bug),
            Self::NoResubscription
            | Self::StaleTable
            | Self::Unbounded
            | Self::UnboundedLanes
            | Self::EndlessPause
            | Self::ConfirmOnAppend
            | Self::LostCopy => {}
        }
    }
}
