//! What the queues of a shard tell of themselves: for `status`, and for whoever judges a shard from outside
//! (the simulator's oracle, tests).

use core::ops::Range;
use core::time::Duration;

use leveret_model::{ConnectionKey, Message, QueueHandle, QueueId, ShardAddress};
use leveret_queue::{MessageRef, Queue};

use super::Queues;
use super::dead_letters::outlet::{DeadLettered, Outlet};
use super::places::{Entry, Place};

/// A queue at home here, to be looked at.
#[derive(Debug)]
pub(crate) struct QueueAtHome<'a> {
    pub(crate) id: QueueId,
    /// Its counts and consumers.
    pub(crate) queue: &'a Queue,
    /// For how long its oldest ready message has been here.
    pub(crate) oldest_ready: Option<Duration>,
    /// The connection of this shard that alone may use it.
    pub(crate) owner: Option<ConnectionKey>,
    /// Messages that became dead letters.
    pub(crate) dead_lettered: DeadLettered,
    /// It is being deleted.
    pub(crate) closed: bool,
    /// It moved here, and these shards have not said yet what they have of it.
    pub(crate) awaits: &'a [ShardAddress],
}

impl Queues {
    /// Queues at home here, in the order of the table.
    pub(crate) fn at_home(&self) -> impl Iterator<Item = QueueAtHome<'_>> {
        self.at_home_within(0..self.slots())
    }

    /// Those in these slots of the table.
    pub(crate) fn at_home_within(&self, slots: Range<usize>) -> impl Iterator<Item = QueueAtHome<'_>> {
        self.places.within(slots).filter_map(|entry| match &entry.place {
            Place::Home(home) => Some(QueueAtHome {
                id: entry.id,
                queue: home.queue(),
                oldest_ready: home.queue().oldest_ready(&self.arena),
                owner: home.owner,
                dead_lettered: home.dead_letters.as_deref().map(Outlet::counts).unwrap_or_default(),
                closed: home.closed,
                awaits: &home.awaits,
            }),
            Place::Away(_) => None,
        })
    }

    /// Slots of the table, free ones and those of queues elsewhere included.
    pub(crate) fn slots(&self) -> usize {
        self.places.slots()
    }

    /// Messages and bytes of each lane to a queue elsewhere.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (usize, u64)> {
        self.places.within(0..self.slots()).filter_map(|entry| match &entry.place {
            Place::Home(_) => None,
            Place::Away(away) => Some((away.lane.len(), away.lane.bytes())),
        })
    }

    /// Which queue a publish went to; none if that is being deleted.
    pub(crate) fn live_id(&self, handle: QueueHandle) -> Option<QueueId> {
        match self.places.get(handle)? {
            Entry { place: Place::Home(home), .. } if home.closed => None,
            Entry { id, .. } => Some(*id),
        }
    }

    /// The way to consumers of a shard elsewhere takes a delivery now.
    pub(crate) fn takes_deliveries(&self, to: ShardAddress) -> bool {
        self.peers.takes_deliveries(to)
    }

    /// A message that a queue holds, or that waits for the store.
    pub(crate) fn message(&self, message: MessageRef) -> Message<'_> {
        self.arena.get(message)
    }

    /// The planted bug: one in ten messages for several queues costs a queue of this shard a message that is
    /// ready.
    #[cfg(feature = "planted")]
    pub(crate) fn lose_a_copy(&mut self, targets: &[QueueHandle], number: leveret_model::PublishNumber) {
        let lost = self.planted == Some(crate::planted::Planted::LostCopy) && targets.len() > 1;
        if !lost || !number.0.is_multiple_of(10) {
            return;
        }
        let own = self.own;
        for handle in targets {
            if let Some(mut home) = self.home(*handle) {
                let _ = home.get(own, leveret_model::ChannelKey::default(), true);
                break;
            }
        }
    }

    /// The planted bug: one in ten gets without acknowledgement costs the queue one more message.
    #[cfg(feature = "planted")]
    pub(super) fn lose_a_got(&mut self, handle: QueueHandle, question: &super::question::Question) {
        let no_ack = matches!(question, super::question::Question::Get { no_ack: true });
        if !no_ack || self.planted != Some(crate::planted::Planted::DroppedUnacknowledged) {
            return;
        }
        let own = self.own;
        if let Some(mut home) = self.home(handle)
            && home.counts().0 % 10 == 1
        {
            let _ = home.get(own, leveret_model::ChannelKey::default(), true);
        }
    }

    /// The planted bug: a queue that has moved here loses a message.
    #[cfg(feature = "planted")]
    pub(super) fn lose_a_moved(&mut self, handle: QueueHandle) {
        let own = self.own;
        if self.planted == Some(crate::planted::Planted::LostOnMove)
            && let Some(mut home) = self.home(handle)
        {
            let _ = home.get(own, leveret_model::ChannelKey::default(), true);
        }
    }

    /// The planted bug: nobody goes on after a pause.
    #[cfg(feature = "planted")]
    pub(crate) fn endless_pause<T>(&self, awake: &mut alloc::vec::Vec<T>) {
        if self.planted == Some(crate::planted::Planted::EndlessPause) {
            awake.clear();
        }
    }
}
