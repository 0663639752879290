//! What a move reads, in which order: log segments front to back, extents queue by queue.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::QueueId;
use leveret_model::limits::MOVE_WINDOW_BYTES;

use crate::batch::LogNumber;
use crate::catalog::Catalog;
use crate::disk::FileName;
use crate::index::{Container, FileNumber, Run};

use super::Moved;

/// A message in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InLog {
    pub(super) log: LogNumber,
    pub(super) offset: u32,
    pub(super) queue: QueueId,
    pub(super) position: u64,
}

/// An extent in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OfExtent {
    pub(super) queue: QueueId,
    first: u64,
    file: FileNumber,
    offset: u32,
    bytes: u32,
}

/// A part of a file to be read.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) file: FileName,
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

/// What is still to be read.
#[derive(Debug)]
pub(super) struct Plan {
    in_log: VecDeque<InLog>,
    extents: VecDeque<OfExtent>,
    /// The log segment that the window is of; `None`: it is an extent.
    window_log: Option<LogNumber>,
    /// Bytes of the next window in the log, and of the last one.
    window_bytes: u32,
    last_bytes: u32,
}

impl Plan {
    pub(super) fn new(moved: Moved, sources: &[Container], catalog: &Catalog) -> Self {
        let (mut in_log, mut extents) = (Vec::new(), Vec::new());
        for (queue, stored) in &catalog.queues {
            let index = match moved {
                Moved::Durable => &stored.index,
                Moved::Spilled => &stored.spilled,
            };
            for run in index.runs().filter(|run| sources.contains(&run.container())) {
                match run {
                    Run::Log(run) => in_log.extend(run.iter().map(|(position, offset)| InLog {
                        log: run.log,
                        offset,
                        queue: *queue,
                        position,
                    })),
                    Run::Extent(extent) => extents.push(OfExtent {
                        queue: *queue,
                        first: extent.first,
                        file: extent.file,
                        offset: extent.offset,
                        bytes: extent.bytes,
                    }),
                }
            }
        }
        in_log.sort_unstable();
        extents.sort_unstable();
        Self {
            in_log: in_log.into(),
            extents: extents.into(),
            window_log: None,
            window_bytes: MOVE_WINDOW_BYTES,
            last_bytes: 0,
        }
    }

    /// What to read next, past what was acknowledged meanwhile.
    pub(super) fn next_window(&mut self, moved: Moved, catalog: &Catalog) -> Option<Window> {
        let index = |queue: &QueueId| {
            let stored = catalog.queues.get(queue)?;
            Some(if moved == Moved::Durable { &stored.index } else { &stored.spilled })
        };
        while let Some(front) = self.in_log.front() {
            if index(&front.queue).is_some_and(|index| index.contains(front.position)) {
                self.window_log = Some(front.log);
                let bytes = core::mem::replace(&mut self.window_bytes, MOVE_WINDOW_BYTES);
                self.last_bytes = bytes;
                return Some(Window { file: FileName::Log(front.log.0), offset: front.offset.into(), bytes });
            }
            self.in_log.pop_front();
        }
        self.window_log = None;
        while let Some(front) = self.extents.front() {
            let there = index(&front.queue)
                .and_then(|index| index.next(front.first))
                .is_some_and(|(_, run)| run.first() == front.first);
            if there {
                let file = match moved {
                    Moved::Durable => FileName::Segment(front.file.0),
                    Moved::Spilled => FileName::Spill(front.file.0),
                };
                return Some(Window { file, offset: front.offset.into(), bytes: front.bytes });
            }
            self.extents.pop_front();
        }
        None
    }

    pub(super) fn is_in_log(&self) -> bool {
        self.window_log.is_some()
    }

    pub(super) fn window_log(&self) -> Option<LogNumber> {
        self.window_log
    }

    pub(super) fn front_in_log(&self) -> Option<InLog> {
        self.in_log.front().copied()
    }

    pub(super) fn pop_in_log(&mut self) {
        self.in_log.pop_front();
    }

    pub(super) fn pop_extent(&mut self) -> Option<OfExtent> {
        self.extents.pop_front()
    }

    /// The next window begins with a message of so many bytes; false if the last one had as many already.
    pub(super) fn widen(&mut self, needed: usize) -> bool {
        let grows = needed > self.last_bytes as usize;
        if grows {
            self.window_bytes = needed as u32;
        }
        grows
    }
}
