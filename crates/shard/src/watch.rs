//! Where publishes go and what waits, for who judges a shard from outside: the simulator's oracle.

use alloc::vec::Vec;

use leveret_amqp::Waiting;
use leveret_amqp::host::{Publish, Published};
use leveret_model::{ChannelKey, PublishNumber, QueueHandle, QueueId};

use crate::broker::Broker;
use crate::places::{Entry, Place};
use crate::shard::Shard;

/// Where a publish went, under confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Its channel.
    pub channel: ChannelKey,
    /// Its number there.
    pub number: PublishNumber,
    /// The queues that have it, or whose homes owe an answer.
    pub queues: Vec<QueueId>,
}

/// What waits in a shard where most does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fullest {
    /// In a lane, messages.
    pub lane_messages: usize,
    /// In a lane, bytes.
    pub lane_bytes: u64,
    /// At connections.
    pub waiting: Waiting,
}

impl Shard {
    /// What waits where most does.
    #[must_use]
    pub fn fullest(&self) -> Fullest {
        let mut all = Fullest::default();
        for (_, entry) in self.broker.places.from(0) {
            if let Place::Away(away) = &entry.place {
                all.lane_messages = all.lane_messages.max(away.lane.len());
                all.lane_bytes = all.lane_bytes.max(away.lane.bytes());
            }
        }
        for connection in self.connections.iter() {
            let (most, at) = (&mut all.waiting, connection.waiting());
            most.deferred_most = most.deferred_most.max(at.deferred_most);
            most.deferred = most.deferred.max(at.deferred);
            most.held = most.held.max(at.held);
        }
        all
    }

    /// From now on the shard remembers where each publish under confirms goes, for [`Shard::take_routed`].
    pub fn watch_routes(&mut self) {
        self.broker.routed = Some(Vec::new());
    }

    /// Where publishes went since the last time; nothing if nobody watches.
    pub fn take_routed(&mut self) -> Vec<Routed> {
        self.broker.routed.as_mut().map(core::mem::take).unwrap_or_default()
    }
}

impl Broker {
    /// Somebody watches where messages go (`Shard::watch_routes`).
    #[cold]
    pub(crate) fn note_routed(
        &mut self,
        channel: ChannelKey,
        publish: &Publish<'_>,
        targets: &[QueueHandle],
        published: Published,
    ) {
        let (Some(number), Published::Settled | Published::Owed) = (publish.number, published) else {
            return;
        };
        let live = |handle: &QueueHandle| match self.places.get(*handle)? {
            Entry { place: Place::Home(home), .. } if home.closed => None,
            Entry { id, .. } => Some(*id),
        };
        let queues = targets.iter().filter_map(live).collect();
        if let Some(routed) = &mut self.routed {
            routed.push(Routed { channel, number, queues });
        }
    }
}
