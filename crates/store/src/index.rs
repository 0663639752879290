//! Where the messages of one queue lie on the disk, and which of them are still there.
//!
//! ```text
//! runs  │ Extent in segment 4 │ Extent in segment 7 │ Log 12: offsets │ Log 13: offsets │      positions
//! rise ─▶
//! ```
//! In the log each position has its offset, 4 bytes, for as long as its log segment is kept; in an extent it
//! has a bit at most. So a message on the disk costs next to nothing in memory.
//!
//! Invariants: runs do not overlap and their positions rise; a run without messages is not there.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::limits::LOG_RUN_GAP_MAX;

use crate::batch::LogNumber;
use crate::live_set::LiveSet;

/// A segment or spill file; rising, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileNumber(pub u64);

/// What messages lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Container {
    Log(LogNumber),
    File(FileNumber),
}

/// Messages of a queue that left what they lay in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) from: Container,
    pub(crate) messages: u32,
    /// Their bytes, as far as extents tell; 0 in the log.
    pub(crate) bytes: u64,
}

/// Messages of a queue in one log segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogRun {
    pub(crate) log: LogNumber,
    first: u64,
    /// By position from `first` on; 0 where nothing is, or not any more.
    offsets: Vec<u32>,
    live: u32,
}

/// Messages of a queue that lie one behind the other in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) file: FileNumber,
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
    /// When it was written.
    pub(crate) messages: u32,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) live: LiveSet,
    /// Where a read ended: the position that comes next lies at this offset of the file, or behind it.
    pub(crate) cursor: Option<(u64, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Log(LogRun),
    Extent(Extent),
}

impl LogRun {
    fn get(&self, position: u64) -> Option<u32> {
        let at = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.offsets.get(at).copied().filter(|offset| *offset != 0)
    }

    fn last(&self) -> u64 {
        self.first + self.offsets.len() as u64 - 1
    }

    /// Positions that are there, and where.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        let all = self.offsets.iter().zip(self.first..);
        all.filter(|(offset, _)| **offset != 0).map(|(offset, position)| (position, *offset))
    }

    fn remove(&mut self, first: u64, last: u64) -> u32 {
        let from = first.saturating_sub(self.first) as usize;
        let to = last.min(self.last()).saturating_sub(self.first) as usize;
        let mut removed = 0;
        for offset in &mut self.offsets[from..=to] {
            removed += u32::from(*offset != 0);
            *offset = 0;
        }
        self.live -= removed;
        removed
    }
}

impl Extent {
    /// Estimated bytes of what is still there.
    pub(crate) fn live_bytes(&self) -> u64 {
        u64::from(self.bytes) * u64::from(self.live.live()) / u64::from(self.messages.max(1))
    }
}

impl Run {
    pub(crate) fn first(&self) -> u64 {
        match self {
            Self::Log(run) => run.first,
            Self::Extent(extent) => extent.first,
        }
    }

    pub(crate) fn last(&self) -> u64 {
        match self {
            Self::Log(run) => run.last(),
            Self::Extent(extent) => extent.last,
        }
    }

    pub(crate) fn live(&self) -> u32 {
        match self {
            Self::Log(run) => run.live,
            Self::Extent(extent) => extent.live.live(),
        }
    }

    pub(crate) fn container(&self) -> Container {
        match self {
            Self::Log(run) => Container::Log(run.log),
            Self::Extent(extent) => Container::File(extent.file),
        }
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        match self {
            Self::Log(run) => run.get(position).is_some(),
            Self::Extent(extent) => extent.live.contains(position),
        }
    }

    pub(crate) fn next(&self, from: u64) -> Option<u64> {
        match self {
            Self::Log(run) => {
                let skip = from.saturating_sub(run.first) as usize;
                let at = run.offsets.get(skip..)?.iter().position(|offset| *offset != 0)?;
                Some(run.first + (skip + at) as u64)
            }
            Self::Extent(extent) => extent.live.next(from),
        }
    }

    fn remove(&mut self, first: u64, last: u64) -> Freed {
        let from = self.container();
        match self {
            Self::Log(run) => Freed { from, messages: run.remove(first, last), bytes: 0 },
            Self::Extent(extent) => {
                let before = extent.live_bytes();
                let messages = extent.live.remove(first, last);
                Freed { from, messages, bytes: before - extent.live_bytes() }
            }
        }
    }
}

/// The index of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueIndex {
    runs: VecDeque<Run>,
    /// The highest position that was ever appended.
    last: u64,
    live: u64,
}

impl QueueIndex {
    /// Messages that are there.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// The highest position that was ever appended; 0 if none was.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    pub(crate) fn raise_last(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    /// A message was written to the log. The caller made sure that positions rise. hot.
    pub(crate) fn append_in_log(&mut self, position: u64, log: LogNumber, offset: u32) {
        debug_assert!(position > self.last && offset != 0);
        self.last = position;
        self.live += 1;
        if let Some(Run::Log(run)) = self.runs.back_mut()
            && run.log == log
            && position - run.last() <= LOG_RUN_GAP_MAX
        {
            let gap = (position - run.last() - 1) as usize;
            run.offsets.extend(core::iter::repeat_n(0, gap));
            run.offsets.push(offset);
            run.live += 1;
            return;
        }
        self.runs.push_back(Run::Log(LogRun { log, first: position, offsets: alloc::vec![offset], live: 1 }));
    }

    /// Whether a message at that place of the log may come next.
    pub(crate) fn ends_before(&self, log: LogNumber, offset: u32) -> bool {
        match self.runs.back() {
            Some(Run::Log(run)) => (run.log, run.offsets.last().copied().unwrap_or(0)) < (log, offset),
            _ => true,
        }
    }

    /// An extent joins the end.
    pub(crate) fn append_extent(&mut self, extent: Extent) {
        self.last = self.last.max(extent.last);
        self.live += u64::from(extent.live.live());
        if extent.live.live() > 0 {
            self.runs.push_back(Run::Extent(extent));
        }
    }

    /// An extent joins where its positions belong.
    ///
    /// # Panics
    /// If its positions overlap with those of another run.
    pub(crate) fn insert_extent(&mut self, extent: Extent) {
        let at = self.runs.partition_point(|run| run.last() < extent.first);
        let free = self.runs.get(at).is_none_or(|next| extent.last < next.first());
        assert!(free, "runs of a queue do not overlap");
        self.last = self.last.max(extent.last);
        self.live += u64::from(extent.live.live());
        self.runs.insert(at, Run::Extent(extent));
    }

    /// Messages leave; `freed` is told what they lay in.
    pub(crate) fn remove(&mut self, first: u64, last: u64, mut freed: impl FnMut(Freed)) {
        let begin = self.runs.partition_point(|run| run.last() < first);
        let mut at = begin;
        let mut emptied = 0;
        while let Some(run) = self.runs.get_mut(at)
            && run.first() <= last
        {
            let gone = run.remove(first, last);
            if gone.messages > 0 {
                self.live -= u64::from(gone.messages);
                freed(gone);
            }
            emptied += usize::from(run.live() == 0);
            at += 1;
        }
        match emptied {
            0 => {}
            1 if begin == 0 && self.runs.front().is_some_and(|run| run.live() == 0) => {
                self.runs.pop_front();
            }
            _ => self.runs.retain(|run| run.live() > 0),
        }
    }

    /// The run with the lowest message from `from` on, and that message.
    pub(crate) fn next(&self, from: u64) -> Option<(u64, &Run)> {
        let begin = self.runs.partition_point(|run| run.last() < from);
        self.runs.range(begin..).find_map(|run| Some((run.next(from)?, run)))
    }

    pub(crate) fn contains(&self, position: u64) -> bool {
        let at = self.runs.partition_point(|run| run.last() < position);
        self.runs.get(at).is_some_and(|run| run.contains(position))
    }

    /// Remembers where a read of an extent ended.
    pub(crate) fn set_cursor(&mut self, file: FileNumber, cursor: (u64, u32)) {
        let at = self.runs.partition_point(|run| run.last() < cursor.0);
        if let Some(Run::Extent(extent)) = self.runs.get_mut(at)
            && extent.file == file
            && (extent.offset..=extent.offset + extent.bytes).contains(&cursor.1)
        {
            extent.cursor = Some(cursor);
        }
    }

    /// Takes what was acknowledged while it was copied out of the copies.
    pub(crate) fn drop_acknowledged(&self, copies: &mut [Extent]) {
        for copy in copies {
            let gone: Vec<u64> = copy.live.iter().filter(|position| !self.contains(*position)).collect();
            for position in gone {
                copy.live.remove(position, position);
            }
        }
    }

    /// The runs that lie in any of `sources` are replaced by `copies`, which hold the same messages elsewhere.
    /// What is in no copy is given back: it was damaged.
    pub(crate) fn replace(&mut self, sources: &[Container], copies: Vec<Extent>) -> Vec<(u64, u64)> {
        let mut lost = Vec::new();
        for run in self.runs.iter().filter(|run| sources.contains(&run.container())) {
            let mut from = run.first();
            while let Some(position) = run.next(from) {
                let at = copies.partition_point(|copy| copy.last < position);
                if !copies.get(at).is_some_and(|copy| copy.live.contains(position)) {
                    push_range(&mut lost, position);
                    self.live -= 1;
                }
                from = position + 1;
            }
        }
        self.runs.retain(|run| !sources.contains(&run.container()));
        self.runs.extend(copies.into_iter().filter(|copy| copy.live.live() > 0).map(Run::Extent));
        self.runs.make_contiguous().sort_by_key(Run::first);
        lost
    }
}

/// Adds a position to ranges that rise.
pub(crate) fn push_range(ranges: &mut Vec<(u64, u64)>, position: u64) {
    match ranges.last_mut() {
        Some((_, last)) if *last + 1 == position => *last = position,
        _ => ranges.push((position, position)),
    }
}

#[cfg(test)]
mod tests;
