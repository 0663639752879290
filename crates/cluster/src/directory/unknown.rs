//! Records that this version cannot act on: counted by kind, and reported once for each kind.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use leveret_model::{NodeId, limits};

use super::known_registers;
use super::map::Record;

/// A kind of record that a later version has and this one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnknownKind {
    /// A record that its writer owns.
    Record(u32),
    /// A last-writer register.
    Register(u32),
    /// A register of a known kind with a value that this version cannot hold, as an exchange of a later type.
    RegisterValue(u32),
}

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(kind) => write!(f, "record of kind {kind}"),
            Self::Register(kind) => write!(f, "register of kind {kind}"),
            Self::RegisterValue(kind) => write!(f, "value of a register of kind {kind}"),
        }
    }
}

impl UnknownKind {
    /// None for a record that this version acts on.
    fn of(record: &Record) -> Option<Self> {
        match record {
            Record::Unknown { kind, .. } => Some(Self::Record(*kind)),
            Record::Register(register) if !register.key.kind.is_known() => {
                Some(Self::Register(register.key.kind.0))
            }
            Record::Register(register) if !known_registers::is_understood(register) => {
                Some(Self::RegisterValue(register.key.kind.0))
            }
            Record::Register(_) | Record::Queue { .. } | Record::Binding { .. } | Record::Proposal { .. } => {
                None
            }
        }
    }
}

/// How many records of each unknown kind the maps hold.
#[derive(Debug, Default)]
pub(crate) struct UnknownRecords {
    counts: BTreeMap<UnknownKind, usize>,
    reported: BTreeSet<UnknownKind>,
    to_report: Vec<(UnknownKind, NodeId)>,
}

impl UnknownRecords {
    /// The map of `holder` has the record now, or no longer.
    pub(super) fn count(&mut self, holder: NodeId, record: &Record, add: bool) {
        let Some(kind) = UnknownKind::of(record) else { return };
        let count = self.counts.entry(kind).or_default();
        if add {
            *count += 1;
            if self.reported.len() < limits::UNKNOWN_KINDS_REPORTED_MAX && self.reported.insert(kind) {
                self.to_report.push((kind, holder));
            }
        } else {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&kind);
            }
        }
    }

    /// Kinds that are here for the first time, and whose map has them.
    pub(crate) fn take_reports(&mut self) -> Vec<(UnknownKind, NodeId)> {
        core::mem::take(&mut self.to_report)
    }

    /// How many records of each kind there are.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (UnknownKind, usize)> + '_ {
        self.counts.iter().map(|(&kind, &count)| (kind, count))
    }
}
