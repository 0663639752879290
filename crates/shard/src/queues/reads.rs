//! Messages that a shard wants back from its store: who waits for which, and what of them is asked for at once.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::limits::{PAGED_GAP_MAX, READ_AHEAD_BYTES, READ_AHEAD_MESSAGES};
use leveret_model::{Instant, Position, QueueId};
use leveret_queue::{Arena, MessageRef, QueueEntry};

use crate::effects::StoreRead;

/// Who waits for messages of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reader {
    /// Its consumers, and who gets from it.
    Front,
    /// Those that died in it.
    Letters,
    /// Its next home.
    Move,
    /// The home that it had moved to before this one came back.
    Remains,
}

/// Messages that are to come back.
pub(super) type Wanted = Vec<(Position, MessageRef)>;

/// A read that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) queue: QueueId,
    pub(super) reader: Reader,
    pub(super) wanted: Wanted,
}

/// The reads of a shard.
#[derive(Debug)]
pub(super) struct Paging {
    last: u64,
    under_way: BTreeMap<u64, Reading>,
    readers: BTreeSet<(QueueId, Reader)>,
    asked: Vec<StoreRead>,
    /// Queues that a client of this shard gets from, and that have to be read first.
    pub(super) gets: BTreeSet<QueueId>,
    /// Messages that were on the disk at the start stay there when the shard holds so much.
    pub(super) recover_within: u64,
    /// Nothing is paged out before, unless the store has more since.
    pub(super) next_at: Instant,
    pub(super) has_more: bool,
    /// Messages that consumers hold, and those that came back, are looked through not before.
    pub(super) loose_at: Instant,
}

impl Default for Paging {
    fn default() -> Self {
        Self {
            last: 0,
            under_way: BTreeMap::new(),
            readers: BTreeSet::new(),
            asked: Vec::new(),
            gets: BTreeSet::new(),
            recover_within: u64::MAX,
            next_at: Instant::ZERO,
            has_more: false,
            loose_at: Instant::ZERO,
        }
    }
}

impl Paging {
    pub(super) fn is_reading(&self, queue: QueueId, reader: Reader) -> bool {
        self.readers.contains(&(queue, reader))
    }

    /// Messages of a queue are wanted, by rising places, unless the reader waits already.
    pub(super) fn read(&mut self, (queue, reader): (QueueId, Reader), wanted: Wanted, arena: &mut Arena) {
        let (Some((first, _)), Some((last, _))) = (wanted.first().copied(), wanted.last().copied()) else {
            return;
        };
        if !self.readers.insert((queue, reader)) {
            return;
        }
        wanted.iter().for_each(|(_, message)| arena.retain(*message, 1));
        self.last += 1;
        self.asked.push(StoreRead { id: self.last, queue, first, last });
        self.under_way.insert(self.last, Reading { queue, reader, wanted });
    }

    /// The store answered.
    pub(super) fn end_read(&mut self, id: u64) -> Option<Reading> {
        let reading = self.under_way.remove(&id)?;
        self.readers.remove(&(reading.queue, reading.reader));
        Some(reading)
    }

    /// What the store is asked for in this turn. hot.
    #[inline]
    pub(super) fn take_asked(&mut self, reads: &mut Vec<StoreRead>) {
        reads.append(&mut self.asked);
    }
}

/// What of these is to be read at once.
pub(super) fn wanted_of(entries: impl Iterator<Item = QueueEntry>, arena: &Arena) -> Wanted {
    within_reach(entries.map(|entry| (entry.position, entry.message)), arena)
}

/// The same of messages at their places: as far as one read goes.
pub(super) fn within_reach(all: impl Iterator<Item = (Position, MessageRef)>, arena: &Arena) -> Wanted {
    let mut wanted = Wanted::new();
    let mut bytes = 0;
    for (position, message) in all.take(READ_AHEAD_MESSAGES) {
        let far =
            |(last, _): &(Position, MessageRef)| position <= *last || position.0 - last.0 > PAGED_GAP_MAX;
        if wanted.last().is_some_and(far) || bytes >= READ_AHEAD_BYTES {
            break;
        }
        if arena.is_paged_out(message) && !arena.is_lost(message) {
            bytes += arena.weight_bytes(message) as u64;
            wanted.push((position, message));
        }
    }
    wanted
}
