//! Everything that the store knows, in memory: queues and where their messages lie, registers, marks, files.
//!
//! Read first: [`Catalog::apply`], which takes one record, when it is written and when it is read back. A
//! snapshot is this, written down.
//!
//! Invariant: the same records in the same order give the same catalog, whether they are written or recovered.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_model::{Position, QueueId, Seed};

use crate::batch::LogNumber;
use crate::clock::{StoreTime, TimeMark};
use crate::index::{Container, FileNumber, Freed, QueueIndex, Run};
use crate::record::{MessageMeta, Record};

/// A durable queue, or one with spilled messages.
#[derive(Debug, Default)]
pub(crate) struct StoredQueue {
    /// `None`: transient, or its record was damaged.
    pub(crate) definition: Option<Bytes>,
    pub(crate) index: QueueIndex,
    /// Transient messages on the disk; not in any snapshot.
    pub(crate) spilled: QueueIndex,
    pub(crate) marks: BTreeMap<Box<[u8]>, Bytes>,
    /// How often messages were delivered, where that is known.
    pub(crate) deliveries: BTreeMap<u64, u32>,
}

/// A register of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRegister {
    pub(crate) stamp: Bytes,
    /// `None`: a tombstone.
    pub(crate) value: Option<Bytes>,
}

/// Why a log segment is kept for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeptReason {
    Damaged = 1,
    Unknown = 2,
}

/// A segment or spill file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredFile {
    /// Of all its extents, acknowledged or not, and its head.
    pub(crate) bytes: u64,
    pub(crate) live: u64,
    pub(crate) live_bytes: u64,
    pub(crate) spill: bool,
    /// Something in it is damaged: it is not removed.
    pub(crate) kept: bool,
    /// Writes to it that are under way, and one while it takes more.
    pub(crate) busy: u32,
}

/// Why a record was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotApplied {
    /// The queue has this position or a higher one already.
    Repeated { queue: QueueId, position: Position },
}

/// What the store knows.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) queues: HashMap<QueueId, StoredQueue, FixedState>,
    pub(crate) registers: BTreeMap<(u16, Box<[u8]>), StoredRegister>,
    pub(crate) marks: BTreeMap<Box<[u8]>, Bytes>,
    /// Messages in each log segment that are still there; a message counts once for each of its queues.
    pub(crate) in_logs: BTreeMap<LogNumber, u64>,
    pub(crate) files: BTreeMap<FileNumber, StoredFile>,
    /// Files whose last message left since this was taken.
    pub(crate) emptied: Vec<FileNumber>,
    pub(crate) kept_logs: BTreeMap<LogNumber, KeptReason>,
    /// Messages that cannot be read.
    pub(crate) damage: BTreeMap<QueueId, Vec<(u64, u64)>>,
    /// The highest that the store's clock showed.
    pub(crate) clock: StoreTime,
    pub(crate) time_mark: TimeMark,
    /// The number of the next segment or spill file.
    pub(crate) next_file: u64,
}

impl Catalog {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            queues: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            registers: BTreeMap::new(),
            marks: BTreeMap::new(),
            in_logs: BTreeMap::new(),
            files: BTreeMap::new(),
            emptied: Vec::new(),
            kept_logs: BTreeMap::new(),
            damage: BTreeMap::new(),
            clock: StoreTime(0),
            time_mark: TimeMark::default(),
            next_file: 1,
        }
    }

    /// Applies a message that lies at `offset` of `log`. hot.
    pub(crate) fn apply_message(
        &mut self,
        message: &MessageMeta<'_>,
        log: LogNumber,
        offset: u32,
        mut refused: impl FnMut(NotApplied),
    ) {
        let mut taken = 0;
        for (queue, position) in message.targets() {
            let stored = self.queues.entry(queue).or_default();
            // the highest number of all has none behind it, and nobody gives it to a message
            if position.0 <= stored.index.last() || position.0 == u64::MAX {
                refused(NotApplied::Repeated { queue, position });
                continue;
            }
            stored.index.append_in_log(position.0, log, offset);
            taken += 1;
        }
        *self.in_logs.entry(log).or_default() += taken;
    }

    /// Applies any other record.
    pub(crate) fn apply(&mut self, record: &Record<'_>) {
        match record {
            Record::Message(_) => unreachable!("a message has a place"),
            Record::Acked { queue, ranges } => {
                for (first, last) in ranges.iter() {
                    self.remove_messages(*queue, first, last);
                }
            }
            Record::QueueCreated { queue, definition } | Record::QueueChanged { queue, definition } => {
                self.queues.entry(*queue).or_default().definition = Some(Bytes::copy_from_slice(definition));
            }
            Record::QueueDeleted { queue } => self.delete_queue(*queue),
            Record::Register { key, stamp, value } => {
                let stamp = Bytes::copy_from_slice(stamp);
                let value = value.map(Bytes::copy_from_slice);
                self.registers.insert((key.kind, key.key.into()), StoredRegister { stamp, value });
            }
            Record::Forgotten { key } => {
                self.registers.remove(&(key.kind, key.key.into()));
            }
            Record::Mark { queue, key, value } => {
                let marks = match queue {
                    None => &mut self.marks,
                    Some(queue) => match self.queues.get_mut(queue) {
                        Some(stored) => &mut stored.marks,
                        // it was deleted in the same turn
                        None => return,
                    },
                };
                if value.is_empty() {
                    marks.remove(*key);
                } else {
                    marks.insert((*key).into(), Bytes::copy_from_slice(value));
                }
            }
            Record::Deliveries { queue, position, count } => {
                if let Some(stored) = self.queues.get_mut(queue)
                    && stored.index.contains(position.0)
                {
                    // it only grows: a count of one says no more than that somebody had it
                    let known = stored.deliveries.entry(position.0).or_default();
                    *known = (*known).max(*count);
                }
            }
            Record::Time(machine) => self.time_mark = TimeMark { store: self.clock, machine: *machine },
        }
    }

    fn remove_messages(&mut self, queue: QueueId, first: u64, last: u64) {
        let Some(stored) = self.queues.get_mut(&queue) else { return };
        let (in_logs, files, emptied) = (&mut self.in_logs, &mut self.files, &mut self.emptied);
        stored.index.remove(first, last, |freed| count_freed(in_logs, files, emptied, freed));
        if !stored.deliveries.is_empty() && first <= last {
            let gone: Vec<u64> =
                stored.deliveries.range(first..=last).map(|(position, _)| *position).collect();
            for position in gone {
                stored.deliveries.remove(&position);
            }
        }
        if let Some(damage) = self.damage.get_mut(&queue) {
            cut_ranges(damage, first, last);
            if damage.is_empty() {
                self.damage.remove(&queue);
            }
        }
    }

    /// Spilled messages leave.
    pub(crate) fn remove_spilled(&mut self, queue: QueueId, first: u64, last: u64) {
        let Some(stored) = self.queues.get_mut(&queue) else { return };
        let (in_logs, files, emptied) = (&mut self.in_logs, &mut self.files, &mut self.emptied);
        stored.spilled.remove(first, last, |freed| count_freed(in_logs, files, emptied, freed));
        self.drop_if_unknown(queue);
    }

    /// Forgets a queue that has neither a definition nor messages: a transient one that had spilled.
    pub(crate) fn drop_if_unknown(&mut self, queue: QueueId) {
        if let Some(stored) = self.queues.get(&queue)
            && stored.definition.is_none()
            && stored.index.last() == 0
            && stored.spilled.live() == 0
        {
            self.queues.remove(&queue);
        }
    }

    fn delete_queue(&mut self, queue: QueueId) {
        let Some(mut stored) = self.queues.remove(&queue) else { return };
        for index in [&mut stored.index, &mut stored.spilled] {
            let (in_logs, files, emptied) = (&mut self.in_logs, &mut self.files, &mut self.emptied);
            index.remove(0, u64::MAX, |freed| count_freed(in_logs, files, emptied, freed));
        }
        self.damage.remove(&queue);
    }

    /// Messages that cannot be read leave the index and go onto the list of damage.
    pub(crate) fn lose(&mut self, queue: QueueId, first: u64, last: u64) {
        let Some(stored) = self.queues.get_mut(&queue) else { return };
        let (in_logs, files, emptied) = (&mut self.in_logs, &mut self.files, &mut self.emptied);
        let mut from = Vec::new();
        stored.index.remove(first, last, |freed| {
            count_freed(in_logs, files, emptied, freed);
            from.push(freed.from);
        });
        self.note_damage(queue, first, last);
        for container in from {
            self.keep(container);
        }
    }

    pub(crate) fn note_damage(&mut self, queue: QueueId, first: u64, last: u64) {
        let ranges = self.damage.entry(queue).or_default();
        cut_ranges(ranges, first, last);
        let at = ranges.partition_point(|range| range.0 < first);
        ranges.insert(at, (first, last));
    }

    /// What a message lay in that cannot be read is kept for people to look at.
    pub(crate) fn keep(&mut self, container: Container) {
        match container {
            Container::Log(log) => {
                self.kept_logs.entry(log).or_insert(KeptReason::Damaged);
            }
            Container::File(file) => {
                if let Some(file) = self.files.get_mut(&file) {
                    file.kept = true;
                }
            }
        }
    }

    /// Counts anew what is in each log segment and file: after a move, and after recovery.
    pub(crate) fn recount(&mut self) {
        self.in_logs.clear();
        for file in self.files.values_mut() {
            file.live = 0;
            file.live_bytes = 0;
        }
        let indices = self.queues.values().flat_map(|stored| [&stored.index, &stored.spilled]);
        for run in indices.flat_map(QueueIndex::runs) {
            match run {
                Run::Log(in_log) => *self.in_logs.entry(in_log.log).or_default() += u64::from(run.live()),
                Run::Extent(extent) => {
                    if let Some(file) = self.files.get_mut(&extent.file) {
                        file.live += u64::from(extent.live.live());
                        file.live_bytes += extent.live_bytes();
                    }
                }
            }
        }
    }
}

fn count_freed(
    in_logs: &mut BTreeMap<LogNumber, u64>,
    files: &mut BTreeMap<FileNumber, StoredFile>,
    emptied: &mut Vec<FileNumber>,
    freed: Freed,
) {
    match freed.from {
        Container::Log(log) => {
            if let Some(live) = in_logs.get_mut(&log) {
                *live -= u64::from(freed.messages);
            }
        }
        Container::File(number) => {
            if let Some(file) = files.get_mut(&number) {
                file.live -= u64::from(freed.messages);
                file.live_bytes = file.live_bytes.saturating_sub(freed.bytes);
                if file.live == 0 {
                    emptied.push(number);
                }
            }
        }
    }
}

/// Takes a range out of ranges that rise.
fn cut_ranges(ranges: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    if first > last || ranges.iter().all(|range| range.1 < first || range.0 > last) {
        return;
    }
    let whole = core::mem::take(ranges);
    for (from, to) in whole {
        if from < first {
            ranges.push((from, to.min(first - 1)));
        }
        if to > last {
            ranges.push((from.max(last + 1), to));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_through_ranges_leaves_what_is_outside() {
        let whole = [(1, 4), (6, 6), (8, 12)];
        let cut = |first, last| {
            let mut ranges = whole.to_vec();
            cut_ranges(&mut ranges, first, last);
            ranges
        };
        assert_eq!(cut(3, 9), [(1, 2), (10, 12)]);
        assert_eq!(cut(0, u64::MAX), []);
        assert_eq!(cut(9, 10), [(1, 4), (6, 6), (8, 8), (11, 12)]);
        assert_eq!(cut(5, 5), whole);
        assert_eq!(cut(7, 3), whole);
    }
}
