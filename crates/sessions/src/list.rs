//! The list (S2): for every session of the cluster where its home is. An entry holds no state.
//!
//! ```text
//!   hid 16 │ home u16 │ life: node u16, counter u40 │ epoch u24 │ flags u8      29 bytes, without padding
//! ```
//! Invariants
//! - *One row a hid*; who wins against whom is decided before a row is set.
//! - *By bucket*: each bucket has a table of its own, so that a takeover, a digest or a step of SCAN walks no
//!   other.
//! - *Counted*: [`List::count`] is the number of settled rows of a database.

use alloc::vec::Vec;
use core::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use leveret_model::limits::SESSION_DATABASES;
use leveret_model::session::Database;
use leveret_model::{NodeId, Seed};

use crate::hid::{Bucket, Hid};
use crate::rules::Rule;
use crate::stamp::{Epoch, Home, Interner, Stamp};

/// What an entry says beside its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    const ATTRIBUTES: u8 = 0x40;
    const WAITS: u8 = 0x80;

    pub(crate) const fn new(database: Database, rule: Rule) -> Self {
        Self(database.number() | rule.bits() << 4)
    }

    pub(crate) const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    pub(crate) const fn byte(self) -> u8 {
        self.0
    }

    pub(crate) fn database(self) -> Database {
        Database::new(self.0 & (SESSION_DATABASES - 1)).expect("four bits are a database")
    }

    pub(crate) const fn rule(self) -> Rule {
        Rule::from_bits(self.0 >> 4)
    }

    pub(crate) const fn has_attributes(self) -> bool {
        self.0 & Self::ATTRIBUTES != 0
    }

    /// Whether it holds attributes, or one string.
    pub(crate) const fn with_attributes(self, attributes: bool) -> Self {
        Self(if attributes { self.0 | Self::ATTRIBUTES } else { self.0 & !Self::ATTRIBUTES })
    }

    /// Of a claim, until it has settled.
    pub(crate) const fn waiting(self, waits: bool) -> Self {
        Self(if waits { self.0 | Self::WAITS } else { self.0 & !Self::WAITS })
    }

    /// A claim that has not settled.
    pub(crate) const fn waits(self) -> bool {
        self.0 & Self::WAITS != 0
    }
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) life: Stamp,
    pub(crate) epoch: Epoch,
    pub(crate) home: Home,
    pub(crate) flags: Flags,
}

/// A row as it is kept. Bytes, so that nothing is lost to alignment.
#[derive(Clone, Copy)]
struct Packed {
    hid: [u8; 16],
    home: [u8; 2],
    born_at: [u8; 2],
    counter: [u8; 5],
    epoch: [u8; 3],
    flags: u8,
}

const _: () = assert!(size_of::<Packed>() == 29);

/// Counters and epochs past these are refused where they come in: 10^12 births, 16 million moves of one
/// session.
const COUNTER_MAX: u64 = (1 << 40) - 1;
const EPOCH_MAX: u32 = (1 << 24) - 1;

/// All rows that a node knows in the buckets of one shard.
pub(crate) struct List {
    tables: Vec<HashTable<Packed>>,
    homes: Interner<Home>,
    nodes: Interner<NodeId>,
    state: FixedState,
    counts: [u64; SESSION_DATABASES as usize],
    len: usize,
}

impl List {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            tables: (0..=u8::MAX).map(|_| HashTable::new()).collect(),
            homes: Interner::new(),
            nodes: Interner::new(),
            state: FixedState::with_seed(seed.0),
            counts: [0; SESSION_DATABASES as usize],
            len: 0,
        }
    }

    /// hot.
    pub(crate) fn get(&self, hid: Hid) -> Option<Row> {
        let packed = self
            .table(hid.bucket())
            .find(self.state.hash_one(hid.bits()), |packed| packed.hid == hid.to_bytes())?;
        Some(self.unpack(packed))
    }

    /// Enters or replaces a row. False if it cannot be kept (its counter or epoch is past the end): nothing
    /// has changed.
    pub(crate) fn set(&mut self, hid: Hid, row: Row) -> bool {
        let Some(packed) = self.pack(hid, row) else { return false };
        let state = self.state.clone();
        let hash = |packed: &Packed| state.hash_one(Hid::from_bytes(packed.hid).bits());
        match self.tables[usize::from(hid.bucket().0)].entry(
            hash(&packed),
            |other| other.hid == packed.hid,
            hash,
        ) {
            Entry::Occupied(mut entry) => {
                let before = Flags(entry.get().flags);
                *entry.get_mut() = packed;
                count(&mut self.counts, before, -1);
            }
            Entry::Vacant(entry) => {
                entry.insert(packed);
                self.len += 1;
            }
        }
        count(&mut self.counts, row.flags, 1);
        true
    }

    pub(crate) fn remove(&mut self, hid: Hid) -> Option<Row> {
        let hash = self.state.hash_one(hid.bits());
        let table = &mut self.tables[usize::from(hid.bucket().0)];
        let entry = table.find_entry(hash, |packed| packed.hid == hid.to_bytes()).ok()?;
        let (packed, _) = entry.remove();
        self.len -= 1;
        count(&mut self.counts, Flags(packed.flags), -1);
        Some(self.unpack(&packed))
    }

    /// Settled rows of a database.
    pub(crate) fn count(&self, database: Database) -> u64 {
        self.counts[usize::from(database.number())]
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All rows, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Hid, Row)> {
        let tables = self.tables.iter().flat_map(HashTable::iter);
        tables.map(|packed| (Hid::from_bytes(packed.hid), self.unpack(packed)))
    }

    fn table(&self, bucket: Bucket) -> &HashTable<Packed> {
        &self.tables[usize::from(bucket.0)]
    }

    fn unpack(&self, packed: &Packed) -> Row {
        let [a, b, c, d, e] = packed.counter;
        let [f, g, h] = packed.epoch;
        Row {
            life: Stamp {
                counter: u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]),
                node: self.nodes.get(u16::from_le_bytes(packed.born_at)),
            },
            epoch: Epoch(u32::from_le_bytes([f, g, h, 0])),
            home: self.homes.get(u16::from_le_bytes(packed.home)),
            flags: Flags(packed.flags),
        }
    }

    fn pack(&mut self, hid: Hid, row: Row) -> Option<Packed> {
        if row.life.counter > COUNTER_MAX || row.epoch.0 > EPOCH_MAX {
            return None;
        }
        let counter = row.life.counter.to_le_bytes();
        let epoch = row.epoch.0.to_le_bytes();
        Some(Packed {
            hid: hid.to_bytes(),
            home: self.homes.number(row.home)?.to_le_bytes(),
            born_at: self.nodes.number(row.life.node)?.to_le_bytes(),
            counter: core::array::from_fn(|at| counter[at]),
            epoch: core::array::from_fn(|at| epoch[at]),
            flags: row.flags.0,
        })
    }
}

fn count(counts: &mut [u64], flags: Flags, by: i64) {
    if !flags.waits() {
        let count = &mut counts[usize::from(flags.database().number())];
        *count = count.wrapping_add_signed(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::Boot;

    fn row(counter: u64, node: u128) -> Row {
        let life = Stamp { counter, node: NodeId(node) };
        let home = Home { node: NodeId(node), boot: Boot(9) };
        let flags = Flags::new(Database::new(3).expect("a database"), Rule::Reader);
        Row { life, epoch: Epoch(70_000), home, flags }
    }

    #[test]
    fn a_row_comes_back_as_it_was_entered() {
        let mut list = List::new(Seed(1));
        let hid = Hid::from_bytes([7; 16]);
        assert!(list.set(hid, row(1 << 39, 5)));
        assert_eq!(list.get(hid), Some(row(1 << 39, 5)));
        assert!(list.set(hid, row(2, 6)));
        assert_eq!(list.count(Database::new(3).expect("a database")), 1);
        assert_eq!(list.remove(hid), Some(row(2, 6)));
        assert_eq!((list.get(hid), list.len()), (None, 0));
    }

    #[test]
    fn a_counter_past_the_end_is_refused() {
        let mut list = List::new(Seed(1));
        assert!(!list.set(Hid::from_bytes([7; 16]), row(1 << 40, 5)));
        assert_eq!(list.len(), 0);
    }

    #[test]
    fn births_that_wait_are_not_counted() {
        let mut list = List::new(Seed(1));
        let (hid, settled) = (Hid::from_bytes([7; 16]), row(1, 1));
        let database = settled.flags.database();
        list.set(hid, Row { flags: Flags::from_byte(settled.flags.byte() | Flags::WAITS), ..settled });
        assert_eq!(list.count(database), 0);
        list.set(hid, settled);
        assert_eq!(list.count(database), 1);
    }
}
