//! Last-writer registers: what has no owner among the nodes. One machine for all kinds; it never looks into a
//! value.
//!
//! Each writer's map holds what that node last wrote. The register is the latest write over all maps, ordered
//! by Lamport counter and node id, never by a clock. So it is covered by the versions of its writers' maps
//! (R1, R4) and survives any of them: before a map is forgotten, another node adopts the registers that stand
//! nowhere else.
//!
//! Invariant: a register of a kind that this version does not know is kept, adopted and handed on like any
//! other (P8). Which kinds are known, and what their keys and values say, is in `known_registers`.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use leveret_model::NodeId;

/// When a register was written. The derived order decides between two writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Stamp {
    /// The writer's Lamport counter.
    pub(crate) lamport: u64,
    pub(crate) node: NodeId,
}

/// What a register describes. A number is never given to another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RegisterKind(pub(crate) u32);

impl RegisterKind {
    pub(crate) const EXCHANGE: Self = Self(1);
    /// A binding from exchange to exchange.
    pub(crate) const EXCHANGE_BINDING: Self = Self(2);
    pub(crate) const POLICY: Self = Self(3);

    /// This version knows what such a register describes.
    pub(crate) const fn is_known(self) -> bool {
        matches!(self, Self::EXCHANGE | Self::EXCHANGE_BINDING | Self::POLICY)
    }
}

/// A register's identity, compared byte by byte: two nodes that write the same thing write the same key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RegisterKey {
    pub(crate) kind: RegisterKind,
    pub(crate) key: Box<[u8]>,
}

/// One write of a register.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Register {
    pub(crate) key: RegisterKey,
    pub(crate) stamp: Stamp,
    /// Lamport counter of the last deletion that the writer knew of; 0 for none. Kept over later writes,
    /// because what was made at or before a deletion stays void after the next creation.
    pub(crate) deleted: u64,
    /// None: deleted.
    pub(crate) value: Option<Box<[u8]>>,
}

impl Register {
    /// The later of two writes, with the last deletion that either knows of.
    pub(crate) fn merged(a: &Self, b: &Self) -> Self {
        let later = if a.stamp >= b.stamp { a } else { b };
        Self { deleted: a.deleted.max(b.deleted), ..later.clone() }
    }
}

/// A register over all maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latest {
    /// Whose map has the value.
    pub(crate) holder: NodeId,
    pub(crate) stamp: Stamp,
    /// It has a value.
    pub(crate) present: bool,
    /// The last deletion that any writer knows of.
    pub(crate) deleted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Write {
    stamp: Stamp,
    present: bool,
    deleted: u64,
}

/// Stamps of all writes of all registers. The values stay in the maps.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    writes: BTreeMap<RegisterKey, BTreeMap<NodeId, Write>>,
}

impl Registers {
    /// The map of `holder` has this register now.
    pub(crate) fn put(&mut self, holder: NodeId, register: &Register) {
        let Register { key, stamp, deleted, value } = register;
        let write = Write { stamp: *stamp, present: value.is_some(), deleted: *deleted };
        self.writes.entry(key.clone()).or_default().insert(holder, write);
    }

    /// The map of `holder` has it no longer.
    pub(crate) fn remove(&mut self, holder: NodeId, key: &RegisterKey) {
        if let Some(writes) = self.writes.get_mut(key) {
            writes.remove(&holder);
            if writes.is_empty() {
                self.writes.remove(key);
            }
        }
    }

    /// The register over all maps; none if nobody wrote it.
    pub(crate) fn latest(&self, key: &RegisterKey) -> Option<Latest> {
        let writes = self.writes.get(key)?;
        let (&holder, last) = writes.iter().max_by_key(|(_, write)| (write.stamp, write.present))?;
        let deleted = writes.values().map(|write| write.deleted).max().unwrap_or_default();
        Some(Latest { holder, stamp: last.stamp, present: last.present, deleted })
    }

    /// The register would be gone, or older, without the map of `holder`.
    pub(crate) fn rests_on(&self, holder: NodeId, key: &RegisterKey) -> bool {
        let Some(writes) = self.writes.get(key) else { return false };
        let Some(own) = writes.get(&holder) else { return false };
        let others = || writes.iter().filter(|(other, _)| **other != holder).map(|(_, write)| write);
        let later = others().any(|other| other.stamp >= own.stamp);
        // a later write may not know of the deletion that this one remembers
        !(later && others().any(|other| other.deleted >= own.deleted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> RegisterKey {
        // a kind that no version has yet: the machine knows none of them
        RegisterKey { kind: RegisterKind(4_000_000_000), key: b"k"[..].into() }
    }

    fn write(lamport: u64, node: u128, deleted: u64, value: Option<&[u8]>) -> Register {
        let stamp = Stamp { lamport, node: NodeId(node) };
        Register { key: key(), stamp, deleted, value: value.map(Into::into) }
    }

    fn registers(writes: &[&Register]) -> Registers {
        let mut registers = Registers::default();
        for write in writes {
            registers.put(write.stamp.node, write);
        }
        registers
    }

    #[test]
    fn the_last_writer_wins_whatever_the_order_and_the_last_deletion_is_kept() {
        let (gone, again) = (write(7, 2, 7, None), write(8, 1, 0, Some(b"a")));
        let tied = write(8, 3, 0, Some(b"b"));
        for order in [[&gone, &again, &tied], [&tied, &gone, &again], [&again, &tied, &gone]] {
            let mut registers = registers(&order);
            let latest = registers.latest(&key()).expect("was written");
            assert_eq!((latest.holder, latest.present, latest.deleted), (NodeId(3), true, 7));
            registers.remove(NodeId(3), &key());
            assert_eq!(registers.latest(&key()).map(|latest| latest.stamp), Some(again.stamp));
            registers.remove(NodeId(1), &key());
            assert_eq!(registers.latest(&key()).map(|latest| latest.present), Some(false));
            registers.remove(NodeId(2), &key());
            assert_eq!(registers.latest(&key()), None);
        }
    }

    #[test]
    fn a_register_rests_on_the_map_with_its_last_write_or_its_last_deletion() {
        let (gone, again) = (write(7, 2, 7, None), write(8, 1, 0, Some(b"a")));
        let both = registers(&[&gone, &again]);
        assert!(both.rests_on(NodeId(1), &key()) && both.rests_on(NodeId(2), &key()));
        let mut adopted = registers(&[&gone, &again]);
        adopted.put(NodeId(3), &Register::merged(&gone, &again));
        assert!(!adopted.rests_on(NodeId(1), &key()) && !adopted.rests_on(NodeId(2), &key()));
        assert!(!adopted.rests_on(NodeId(4), &key()));
    }

    #[test]
    fn a_merged_write_is_the_later_one_and_knows_both_deletions() {
        let (gone, again) = (write(7, 2, 7, None), write(8, 1, 3, Some(b"a")));
        assert_eq!(Register::merged(&gone, &again), write(8, 1, 7, Some(b"a")));
        assert_eq!(Register::merged(&again, &gone), write(8, 1, 7, Some(b"a")));
    }
}
