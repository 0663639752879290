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

#[cfg(test)]
mod tests {
    use std::vec;

    use leveret_model::Incarnation;
    use leveret_model::definition::{ExchangeDefinition, ExchangeKind};
    use leveret_model::directory::Change;
    use prost::Message;

    use super::*;
    use crate::directory::known_registers::exchange_key;
    use crate::directory::lookup::Lookup;
    use crate::directory::map::{Op, Version};
    use crate::directory::register::{Register, RegisterKind, Stamp};
    use crate::directory::samples::object;
    use crate::directory::state::Directory;
    use crate::encoding::messages;

    const PEER: NodeId = NodeId(2);

    /// An exchange of a type that only a later version has, or its deletion.
    fn later_exchange(lamport: u64, there: bool) -> Op {
        let (vhost, name, kind) = ("/".into(), "x".into(), "x-of-tomorrow".into());
        let definition = messages::ExchangeDefinition { vhost, name, kind, ..Default::default() };
        Op::Put(Record::Register(Register {
            key: exchange_key(&object("x")),
            stamp: Stamp { lamport, node: PEER },
            deleted: if there { 0 } else { lamport },
            value: there.then(|| definition.encode_to_vec().into()),
        }))
    }

    /// Neither 404 nor 406 would be true of it, and nothing may overwrite it.
    #[test]
    fn an_exchange_of_a_later_type_is_neither_there_nor_missing_until_it_is_deleted() {
        let mut directory = Directory::new(NodeId(1), Incarnation(1));
        let version = |counter| Version { incarnation: Incarnation(1), counter };
        assert!(directory.on_delta(PEER, version(0), version(1), vec![later_exchange(5, true)]));
        directory.refresh();
        assert_eq!(directory.exchange(&object("x")), Lookup::Undecided);
        assert_eq!(directory.routed_exchange(&object("x")), None);
        assert!(!directory.is_gone(&object("x")), "its bindings would be void");
        let told = ExchangeDefinition::new("/".into(), "x".into(), ExchangeKind::Later);
        assert_eq!(
            directory.take_changes(),
            vec![Change::PutExchange(told)],
            "shards do not call it missing"
        );
        let kind = UnknownKind::RegisterValue(RegisterKind::EXCHANGE.0);
        assert_eq!(directory.take_unknown(), vec![(kind, PEER)]);
        assert_eq!(directory.unknown_counts().collect::<Vec<_>>(), vec![(kind, 1)]);
        assert!(directory.on_delta(PEER, version(1), version(2), vec![later_exchange(6, false)]));
        directory.refresh();
        assert_eq!(directory.exchange(&object("x")), Lookup::Nothing);
        let dropped = Change::DropExchange { vhost: "/".into(), name: "x".into() };
        assert_eq!(directory.take_changes(), vec![dropped]);
        assert_eq!((directory.take_unknown(), directory.unknown_counts().count()), (vec![], 0));
        // it is reported once, however often it comes
        assert!(directory.on_delta(PEER, version(2), version(3), vec![later_exchange(7, true)]));
        assert_eq!((directory.take_unknown(), directory.unknown_counts().count()), (vec![], 1));
    }
}
