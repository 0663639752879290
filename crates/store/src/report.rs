//! What the store found that somebody should know, and why it may refuse to start.
//!
//! Invariant (P8): nothing is dropped, cut off, set aside or repaired without a [`Report`].

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::limits::STORE_REPORTS_MAX;
use leveret_model::{Position, QueueId};

use crate::batch::{BatchNumber, LogNumber};
use crate::disk::FileName;
use crate::index::FileNumber;

/// Something found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Report {
    /// Messages of a queue cannot be read. Their file is kept.
    #[error("messages {first}..={last} of queue {queue} cannot be read; the rest of the queue is served", first = .first.0, last = .last.0, queue = .queue.ulid)]
    DamagedMessages {
        /// The queue.
        queue: QueueId,
        /// The first of them.
        first: Position,
        /// The last of them.
        last: Position,
    },
    /// Records in the log cannot be read, and what they said is unknown. The segment is kept.
    #[error("{bytes} bytes of {} at {offset} cannot be read; what they said is unknown", FileName::Log(.log.0))]
    DamagedRecords {
        /// The log segment.
        log: LogNumber,
        /// Where they begin.
        offset: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// Whole batches of the log are not there. The segment is kept.
    #[error("batches {}..={} of the log are missing; what they said is unknown", .first.0, .last.0)]
    MissingBatches {
        /// The first.
        first: BatchNumber,
        /// The last.
        last: BatchNumber,
    },
    /// The last write before the stop did not reach the disk as a whole, and is cut off. If the disk is sound,
    /// nothing in it was confirmed; damage to the very last write, within 100 ms of the stop, looks the same.
    #[error("the last write to {} is torn at {offset} and is cut off: {bytes} bytes that were not known to be synced", FileName::Log(.log.0))]
    Torn {
        /// The log segment.
        log: LogNumber,
        /// Where it begins.
        offset: u64,
        /// How long it should be.
        bytes: u64,
    },
    /// A record of a later version. Its log segment is kept.
    #[error("a record of kind {kind}, version {version} in {} is unknown here and is kept", FileName::Log(.log.0))]
    UnknownRecord {
        /// The log segment.
        log: LogNumber,
        /// The record's kind.
        kind: u8,
        /// The record's version.
        version: u8,
    },
    /// A file that does not belong to the store, or belongs to another one.
    #[error("{0} is not known to this store and is left alone")]
    UnknownFile(FileName),
    /// A queue has messages, but what it is called is not known. It is kept.
    #[error("queue {} has no definition; its messages are kept", .0.ulid)]
    NoDefinition(QueueId),
    /// A message came twice, or out of order; the first one counts.
    #[error("message {} of queue {} is in the log again; the first one counts", .position.0, .queue.ulid)]
    RepeatedMessage {
        /// The queue.
        queue: QueueId,
        /// The message.
        position: Position,
    },
    /// One of two copies was damaged; the other one is used.
    #[error("{0} was damaged; its other copy is used")]
    Repaired(FileName),
    /// The newest snapshot could not be read; an older one and the log since then say the same.
    #[error("both copies of snapshot {0:016x} are damaged; an older one and the log are used")]
    OlderSnapshot(u64),
    /// A segment is not there, or shorter than it was.
    #[error("{} is missing or cut off", FileName::Segment(.0.0))]
    SegmentCut(FileNumber),
    /// A log segment is shorter than it was made: something cut it off.
    #[error("{} is shorter than it was made; what it held behind its end is unknown", FileName::Log(.0.0))]
    LogCut(LogNumber),
    /// A file of a copy that was not finished is removed; everything in it is elsewhere.
    #[error("{0} was not finished and is removed; what it holds is elsewhere too")]
    Unfinished(FileName),
    /// A log segment is kept, because something in it was damaged or is unknown.
    #[error("{} is kept for what in it was damaged or is unknown", FileName::Log(.0.0))]
    KeptLog(LogNumber),
    /// A segment is kept, because something in it was damaged.
    #[error("{} is kept for what in it was damaged", FileName::Segment(.0.0))]
    KeptSegment(FileNumber),
}

/// Why a directory is not opened. Nothing in it was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The directory has a format that this program does not know.
    #[error("{file} has format version {version}; start the version of leveret that wrote it")]
    Version {
        /// The file that says so.
        file: FileName,
        /// The version.
        version: u32,
    },
    /// The files are of another node.
    #[error("{0} belongs to another node; give each node a data directory of its own")]
    OtherStore(FileName),
    /// No snapshot can be read.
    #[error(
        "no snapshot can be read ({0}); restore the directory from a copy, or read it with `leveret store export`"
    )]
    NoSnapshot(String),
    /// A segment of the log is not there, or cannot be told from another file.
    #[error(
        "{0} is missing or its head is damaged; restore it from a copy, or read the rest with `leveret store export`"
    )]
    NoLog(FileName),
    /// The disk did not answer.
    #[error("{file} cannot be read: {error}")]
    Unreadable {
        /// The file.
        file: FileName,
        /// The system's words.
        error: String,
    },
}

/// Reports, each once, up to a bound; what is beyond it is counted.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    known: BTreeSet<Report>,
    fresh: Vec<Report>,
    beyond: u64,
}

impl Reports {
    pub(crate) fn add(&mut self, report: Report) {
        if self.known.len() >= STORE_REPORTS_MAX {
            self.beyond += u64::from(!self.known.contains(&report));
        } else if self.known.insert(report.clone()) {
            self.fresh.push(report);
        }
    }

    /// Those that were not taken yet, in the order in which they came.
    pub(crate) fn take_fresh(&mut self) -> impl Iterator<Item = Report> + '_ {
        self.fresh.drain(..)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Report> {
        self.known.iter()
    }

    pub(crate) fn beyond(&self) -> u64 {
        self.beyond
    }
}
