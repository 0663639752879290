//! The queues that this shard has to do with: its own, and those elsewhere that it publishes to or consumes
//! from.

use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::{LaneSequence, QueueHandle, QueueId, Seed};
use leveret_queue::Queue;

use super::away::Away;
use super::home::Home;

/// Slots for queues that were asked for last; a power of two.
const RECENT: usize = 64;

/// The slot of a queue there. hot.
#[inline]
fn recent_slot(id: QueueId) -> usize {
    id.ulid.0 as usize % RECENT
}

/// Where a queue is, with what this shard keeps for it.
#[derive(Debug)]
pub(super) enum Place {
    Home(alloc::boxed::Box<Home>),
    Away(alloc::boxed::Box<Away>),
}

impl Place {
    /// The queue, if this shard answers for what is in it: it is at home here, or frozen and not taken yet by
    /// the next home.
    pub(super) fn answers_for(&self) -> Option<&Queue> {
        match self {
            Self::Home(home) => Some(home.queue()),
            Self::Away(away) => {
                let leaving = away.leaving.as_ref().filter(|leaving| !leaving.is_yielded())?;
                Some(leaving.home.queue())
            }
        }
    }
}

/// A queue's entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: QueueId,
    pub(super) place: Place,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// The table of queues. Handles of a dropped queue find nobody.
#[derive(Debug)]
pub(super) struct Places {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashMap<QueueId, u32, FixedState>,
    /// Those asked for last by their ids, each in the slot of its id: records come in runs of one queue, or of
    /// the queues of one exchange in turn.
    recent: [Cell<Option<(QueueId, QueueHandle)>>; RECENT],
    /// Where lanes begin: behind all that were left. A queue whose node was away may come back under its id,
    /// and its home would take the first publishes of a lane that counts from 1 again for those that it has.
    pub(super) lanes_from: LaneSequence,
}

impl Places {
    pub(super) fn new(seed: Seed) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            recent: [const { Cell::new(None) }; RECENT],
            lanes_from: LaneSequence(1),
        }
    }

    pub(super) fn insert(&mut self, id: QueueId, place: Place) -> QueueHandle {
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

    pub(super) fn remove(&mut self, handle: QueueHandle) -> Option<Entry> {
        let slot =
            self.slots.get_mut(handle.slot as usize).filter(|slot| slot.generation == handle.generation)?;
        let entry = slot.entry.take()?;
        if let Place::Away(away) = &entry.place {
            self.lanes_from = self.lanes_from.max(away.lane.next());
        }
        self.free.push(handle.slot);
        self.by_id.remove(&entry.id);
        self.recent[recent_slot(entry.id)].set(None);
        Some(entry)
    }

    /// hot.
    pub(super) fn handle(&self, id: QueueId) -> Option<QueueHandle> {
        let recent = &self.recent[recent_slot(id)];
        if let Some((known, handle)) = recent.get()
            && known == id
        {
            return Some(handle);
        }
        let slot = *self.by_id.get(&id)?;
        let handle = QueueHandle { slot, generation: self.slots[slot as usize].generation };
        recent.set(Some((id, handle)));
        Some(handle)
    }

    pub(super) fn get(&self, handle: QueueHandle) -> Option<&Entry> {
        self.slots
            .get(handle.slot as usize)
            .filter(|slot| slot.generation == handle.generation)
            .and_then(|slot| slot.entry.as_ref())
    }

    /// hot.
    pub(super) fn get_mut(&mut self, handle: QueueHandle) -> Option<&mut Entry> {
        self.slots
            .get_mut(handle.slot as usize)
            .filter(|slot| slot.generation == handle.generation)
            .and_then(|slot| slot.entry.as_mut())
    }

    /// A queue that lives elsewhere, and which one it is. hot.
    pub(super) fn away(&mut self, handle: QueueHandle) -> Option<(QueueId, &mut Away)> {
        match self.get_mut(handle)? {
            Entry { id, place: Place::Away(away) } => Some((*id, away)),
            Entry { place: Place::Home(_), .. } => None,
        }
    }

    /// The same by its id. hot.
    pub(super) fn away_of(&mut self, id: QueueId) -> Option<(QueueHandle, &mut Away)> {
        let handle = self.handle(id)?;
        self.away(handle).map(|(_, away)| (handle, away))
    }

    /// Queues at home here, in the order of the slots: the same for the same history.
    pub(super) fn homes(&self) -> impl Iterator<Item = (QueueHandle, QueueId, &Home)> {
        self.iter().filter_map(|(handle, entry)| match &entry.place {
            Place::Home(home) => Some((handle, entry.id, &**home)),
            Place::Away(_) => None,
        })
    }

    /// Queues elsewhere, in the same order.
    pub(super) fn aways(&mut self) -> impl Iterator<Item = (QueueHandle, QueueId, &mut Away)> {
        self.iter_mut().filter_map(|(handle, entry)| match &mut entry.place {
            Place::Home(_) => None,
            Place::Away(away) => Some((handle, entry.id, &mut **away)),
        })
    }

    /// The entries of these slots in their order; whoever walks the table a piece at a time looks at no others.
    pub(super) fn within(&self, slots: Range<usize>) -> impl Iterator<Item = &Entry> {
        self.slots.iter().skip(slots.start).take(slots.len()).filter_map(|at| at.entry.as_ref())
    }

    /// Slots of the table, free ones included.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Every entry, in the order of the slots: the same for the same history.
    pub(super) fn iter(&self) -> impl Iterator<Item = (QueueHandle, &Entry)> {
        self.slots.iter().enumerate().filter_map(|(slot, at)| {
            let handle = QueueHandle { slot: slot as u32, generation: at.generation };
            at.entry.as_ref().map(|entry| (handle, entry))
        })
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (QueueHandle, &mut Entry)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, at)| {
            let handle = QueueHandle { slot: slot as u32, generation: at.generation };
            at.entry.as_mut().map(|entry| (handle, entry))
        })
    }
}
