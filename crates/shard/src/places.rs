//! The queues that this shard has to do with: its own, and those elsewhere that it publishes to or consumes from.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_link::record::RemoteConsumer;
use leveret_model::{
    ChannelKey, ConsumerNumber, LaneSequence, PublishNumber, QueueHandle, QueueId, Seed, ShardAddress,
};
use leveret_queue::{Lanes, MessageRef, OutLane, Queue};

use crate::outboxes::OutboxIndex;

/// Who waits for a publish that is on its way to another shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    /// The message, held until the home has it.
    pub(crate) message: MessageRef,
    /// The publisher, if it wants a confirm.
    pub(crate) publisher: Option<(ChannelKey, PublishNumber)>,
    /// More than one home owes it: counted in `Broker::owed`.
    pub(crate) shared: bool,
    /// It was counted as given up.
    pub(crate) given_up: bool,
}

/// A queue that lives here.
#[derive(Debug)]
pub(crate) struct Home {
    /// The machine.
    pub(crate) queue: Queue,
    /// The home's end of the lanes.
    pub(crate) lanes: Lanes,
    /// It is being deleted: it takes and gives nothing until it is dropped (`ToShard::CloseQueue`).
    pub(crate) closed: bool,
    /// Its publishers wait (`pressure.rs`).
    pub(crate) throttles: bool,
    /// Shards elsewhere that were told so.
    pub(crate) told: Vec<ShardAddress>,
}

impl Home {
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue, lanes: Lanes::default(), closed: false, throttles: false, told: Vec::new() }
    }
}

/// A queue that lives elsewhere.
#[derive(Debug)]
pub(crate) struct Away {
    /// Its shard.
    pub(crate) home: ShardAddress,
    /// The way there.
    pub(crate) outbox: OutboxIndex,
    /// The ingress end of the lane.
    pub(crate) lane: OutLane<Owed>,
    /// Consumers of this shard's channels, by who they are.
    pub(crate) consumers: BTreeMap<(ChannelKey, ConsumerNumber), RemoteConsumer>,
    /// Its home says that its publishers are to wait (`pressure.rs`).
    pub(crate) throttled: bool,
    /// So much is on its way there that its publishers wait on our own account.
    pub(crate) throttles: bool,
}

impl Away {
    pub(crate) fn new(home: ShardAddress, outbox: OutboxIndex, first: LaneSequence) -> Self {
        Self {
            home,
            outbox,
            lane: OutLane::new(first),
            consumers: BTreeMap::new(),
            throttled: false,
            throttles: false,
        }
    }
}

/// Where a queue is, with what this shard keeps for it.
#[derive(Debug)]
pub(crate) enum Place {
    /// Here.
    Home(alloc::boxed::Box<Home>),
    /// Elsewhere.
    Away(alloc::boxed::Box<Away>),
}

/// A queue's entry.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Which queue.
    pub(crate) id: QueueId,
    /// Where.
    pub(crate) place: Place,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// The table of queues. Handles of a dropped queue find nobody.
#[derive(Debug)]
pub(crate) struct Places {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashMap<QueueId, u32, FixedState>,
    /// The last one asked for by its id: records come in runs of one queue.
    recent: Cell<Option<(QueueId, QueueHandle)>>,
    /// Where lanes begin: behind all that were left. A queue whose node was away may come back under its id, and its home
    /// would take the first publishes of a lane that counts from 1 again for those that it has.
    pub(crate) lanes_from: LaneSequence,
}

impl Places {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            recent: Cell::new(None),
            lanes_from: LaneSequence(1),
        }
    }

    pub(crate) fn insert(&mut self, id: QueueId, place: Place) -> QueueHandle {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, entry: None });
            self.slots.len() as u32 - 1
        });
        let at = &mut self.slots[slot as usize];
        at.generation = at.generation.wrapping_add(1);
        at.entry = Some(Entry { id, place });
        self.by_id.insert(id, slot);
        QueueHandle { slot, generation: at.generation }
    }

    pub(crate) fn remove(&mut self, handle: QueueHandle) -> Option<Entry> {
        let slot =
            self.slots.get_mut(handle.slot as usize).filter(|slot| slot.generation == handle.generation)?;
        let entry = slot.entry.take()?;
        if let Place::Away(away) = &entry.place {
            self.lanes_from = self.lanes_from.max(away.lane.next());
        }
        self.free.push(handle.slot);
        self.by_id.remove(&entry.id);
        self.recent.set(None);
        Some(entry)
    }

    /// hot.
    pub(crate) fn handle(&self, id: QueueId) -> Option<QueueHandle> {
        if let Some((recent, handle)) = self.recent.get()
            && recent == id
        {
            return Some(handle);
        }
        let slot = *self.by_id.get(&id)?;
        let handle = QueueHandle { slot, generation: self.slots[slot as usize].generation };
        self.recent.set(Some((id, handle)));
        Some(handle)
    }

    pub(crate) fn get(&self, handle: QueueHandle) -> Option<&Entry> {
        self.slots
            .get(handle.slot as usize)
            .filter(|slot| slot.generation == handle.generation)
            .and_then(|slot| slot.entry.as_ref())
    }

    /// hot.
    pub(crate) fn get_mut(&mut self, handle: QueueHandle) -> Option<&mut Entry> {
        self.slots
            .get_mut(handle.slot as usize)
            .filter(|slot| slot.generation == handle.generation)
            .and_then(|slot| slot.entry.as_mut())
    }

    /// hot.
    pub(crate) fn home_mut(&mut self, id: QueueId) -> Option<(QueueHandle, &mut Home)> {
        let handle = self.handle(id)?;
        match &mut self.get_mut(handle)?.place {
            Place::Home(home) => Some((handle, home)),
            Place::Away(_) => None,
        }
    }

    /// hot.
    pub(crate) fn away_mut(&mut self, id: QueueId) -> Option<(QueueHandle, &mut Away)> {
        let handle = self.handle(id)?;
        match &mut self.get_mut(handle)?.place {
            Place::Away(away) => Some((handle, away)),
            Place::Home(_) => None,
        }
    }

    /// The entries from a slot on, each with its slot, in their order.
    pub(crate) fn from(&self, slot: usize) -> impl Iterator<Item = (usize, &Entry)> {
        self.slots.iter().enumerate().skip(slot).filter_map(|(slot, at)| Some((slot, at.entry.as_ref()?)))
    }

    /// Every entry, in the order of the slots: the same for the same history.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (QueueHandle, &Entry)> {
        self.slots.iter().enumerate().filter_map(|(slot, at)| {
            let handle = QueueHandle { slot: slot as u32, generation: at.generation };
            at.entry.as_ref().map(|entry| (handle, entry))
        })
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (QueueHandle, &mut Entry)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, at)| {
            let handle = QueueHandle { slot: slot as u32, generation: at.generation };
            at.entry.as_mut().map(|entry| (handle, entry))
        })
    }
}
