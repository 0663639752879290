//! What the store asks of a disk, and what the disk answers.
//!
//! The driver executes the operations of one lane in their order, one after the other; lanes do not wait for
//! each other. It never repeats an operation: what failed is the store's to judge.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// Names an operation until its answer; unique for one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Operations that wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Writes and syncs of the log: confirms wait for them.
    Log,
    /// Copies, snapshots, files that come and go: slow, and nobody waits.
    Bulk,
    /// Reads: consumers wait for them.
    Read,
}

/// One half of what is written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Copy {
    /// The first.
    A,
    /// The second.
    B,
}

/// A file in the store's directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// A segment of the log.
    Log(u64),
    /// A log segment that is not needed any more.
    Spare(u64),
    /// Messages that outlived their log segment.
    Segment(u64),
    /// Transient messages that did not fit in memory.
    Spill(u64),
    /// A snapshot.
    Snapshot(u64, Copy),
    /// A snapshot that is being written.
    Draft(u64, Copy),
    /// Room to give up.
    Ballast,
    /// Not of this store, or of a later version.
    Unknown(String),
}

/// An operation.
#[derive(Clone, Debug)]
pub struct DiskOp {
    /// To be repeated in the answer.
    pub id: OpId,
    /// What it waits for.
    pub lane: Lane,
    /// What is to be done.
    pub action: DiskAction,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum DiskAction {
    /// Names and sizes of all files.
    List,
    /// A file of so many zero bytes, with room reserved for them; it replaces one of that name.
    Create {
        /// Its name.
        file: FileName,
        /// Its size.
        bytes: u64,
    },
    /// The pieces, one behind the other.
    Write {
        /// Where.
        file: FileName,
        /// From here on.
        offset: u64,
        /// What.
        parts: Vec<Bytes>,
    },
    /// Everything written to the file so far survives a power cut once this is answered (`fdatasync`).
    Sync {
        /// Which file.
        file: FileName,
    },
    /// So many bytes, or fewer at the end of the file.
    Read {
        /// Where.
        file: FileName,
        /// From here on.
        offset: u64,
        /// How many.
        bytes: u32,
    },
    /// The file gets another name; one that had it is gone.
    Rename {
        /// The old name.
        from: FileName,
        /// The new name.
        to: FileName,
    },
    /// The file goes.
    Remove {
        /// Which file.
        file: FileName,
    },
    /// All names that were given and taken so far survive a power cut once this is answered.
    SyncDirectory,
}

/// The answer to an operation.
#[derive(Clone, Debug)]
pub struct DiskDone {
    /// Of the operation.
    pub id: OpId,
    /// What came of it.
    pub result: Result<DiskAnswer, DiskError>,
}

/// What a disk answers.
#[derive(Clone, Debug)]
pub enum DiskAnswer {
    /// It is done, and there is nothing to say.
    Done,
    /// All files of the directory.
    Listed(Vec<ListedFile>),
    /// What was read.
    Read(Bytes),
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its name.
    pub file: FileName,
    /// Its size.
    pub bytes: u64,
}

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// The disk is full. The file is as it was, or is not there.
    #[error("no space left on the disk")]
    NoSpace,
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// The system's words. What is on the disk is unknown.
    #[error("{0}")]
    Failed(String),
}

impl FileName {
    /// The file of that name.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        Self::known(name).unwrap_or_else(|| Self::Unknown(name.to_string()))
    }

    fn known(name: &str) -> Option<Self> {
        if name == "ballast" {
            return Some(Self::Ballast);
        }
        let (stem, draft) = name.strip_suffix(".draft").map_or((name, false), |stem| (stem, true));
        let (kind, rest) = stem.split_once('-')?;
        let (digits, copy) = match rest.split_once('-') {
            Some((digits, "a")) => (digits, Some(Copy::A)),
            Some((digits, "b")) => (digits, Some(Copy::B)),
            Some(_) => return None,
            None => (rest, None),
        };
        let lower_hex = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != 16 || !lower_hex {
            return None;
        }
        let number = u64::from_str_radix(digits, 16).ok()?;
        match (kind, copy, draft) {
            ("log", None, false) => Some(Self::Log(number)),
            ("spare", None, false) => Some(Self::Spare(number)),
            ("segment", None, false) => Some(Self::Segment(number)),
            ("spill", None, false) => Some(Self::Spill(number)),
            ("snapshot", Some(copy), false) => Some(Self::Snapshot(number, copy)),
            ("snapshot", Some(copy), true) => Some(Self::Draft(number, copy)),
            _ => None,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |copy: &Copy| if *copy == Copy::A { 'a' } else { 'b' };
        let name = match self {
            Self::Log(number) => format!("log-{number:016x}"),
            Self::Spare(number) => format!("spare-{number:016x}"),
            Self::Segment(number) => format!("segment-{number:016x}"),
            Self::Spill(number) => format!("spill-{number:016x}"),
            Self::Snapshot(number, copy) => format!("snapshot-{number:016x}-{}", letter(copy)),
            Self::Draft(number, copy) => format!("snapshot-{number:016x}-{}.draft", letter(copy)),
            Self::Ballast => "ballast".to_string(),
            Self::Unknown(name) => name.clone(),
        };
        f.write_str(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_strange_ones_stay_as_they_are() {
        let names = [
            FileName::Log(1),
            FileName::Spare(u64::MAX),
            FileName::Segment(0xabc),
            FileName::Spill(3),
            FileName::Snapshot(4, Copy::A),
            FileName::Draft(4, Copy::B),
            FileName::Ballast,
        ];
        for name in names {
            assert_eq!(FileName::parse(&name.to_string()), name);
        }
        for strange in [
            "log-1",
            "log-00000000000000AB",
            "log-+00000000000001f",
            "snapshot-0000000000000001",
            "log-0000000000000001-a",
            "x",
        ] {
            assert_eq!(FileName::parse(strange), FileName::Unknown(strange.to_string()));
        }
    }
}
