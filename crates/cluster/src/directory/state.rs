//! The state of the directory: maps, verdicts, indices, and the output that was not taken yet. `apply` changes
//! it, `effective` derives what follows.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::directory::Change;
use leveret_model::{Incarnation, Instant, NodeId};

use super::contested::Contested;
use super::indices::{BindingEnds, Dirty, ExchangeNames, QueueNames};
use super::known_registers::Retyped;
use super::map::{NodeMap, Op, Version};
use super::proposal::Notice;
use super::published_state::PublishedState;
use super::register::{Registers, Stamp};
use super::size::Size;
use super::unknown::{UnknownKind, UnknownRecords};
use crate::membership::Standing;
use crate::stored::Stored;

/// Writes of one start of a node, as a power of two: a billion a second for four seconds, or one each ms for
/// seven weeks.
const LAMPORT_PER_START_BITS: u32 = 32;

/// All maps and what follows from them.
pub(crate) struct Directory {
    pub(super) own: NodeId,
    pub(super) maps: BTreeMap<NodeId, NodeMap>,
    pub(super) standings: BTreeMap<NodeId, Standing>,
    pub(super) lamport: u64,
    pub(super) queues: QueueNames,
    pub(super) exchanges: ExchangeNames,
    pub(super) bindings: BindingEnds,
    pub(super) registers: Registers,
    pub(super) unknown: UnknownRecords,
    pub(super) size: Size,
    pub(super) dirty: Dirty,
    pub(super) contested: Contested,
    pub(super) published: PublishedState,
    pub(super) output: Output,
    /// What the store has of the own map.
    pub(crate) stored: Stored,
    /// Bindings derived so far: the work that tests count.
    #[cfg(test)]
    pub(super) derived: usize,
}

/// What is to be told since the last call of each `take_`.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) changes: Vec<Change>,
    pub(super) notices: Vec<Notice>,
    pub(super) retyped: Vec<Retyped>,
    /// Steps of the own map.
    pub(super) steps: Vec<Op>,
    /// The version of the own map before them.
    pub(super) steps_from: Version,
}

impl Directory {
    pub(crate) fn new(own: NodeId, incarnation: Incarnation) -> Self {
        let version = Version { incarnation, counter: 0 };
        Self {
            own,
            maps: BTreeMap::from([(own, NodeMap { version, ..NodeMap::default() })]),
            standings: BTreeMap::new(),
            // a later start's writes are later, also before it has heard of those of the start before
            lamport: incarnation.0.saturating_sub(1) << LAMPORT_PER_START_BITS,
            queues: QueueNames::default(),
            exchanges: ExchangeNames::default(),
            bindings: BindingEnds::default(),
            registers: Registers::default(),
            unknown: UnknownRecords::default(),
            size: Size::default(),
            dirty: Dirty::default(),
            contested: Contested::default(),
            published: PublishedState::default(),
            stored: Stored::default(),
            output: Output { steps_from: version, ..Output::default() },
            #[cfg(test)]
            derived: 0,
        }
    }

    /// The version of this node's own map.
    pub(crate) fn version(&self) -> Version {
        self.maps[&self.own].version
    }

    /// The versions of all maps.
    pub(crate) fn versions(&self) -> Vec<(NodeId, Version)> {
        self.maps.iter().map(|(&node, map)| (node, map.version)).collect()
    }

    /// The version of the map of `node`; the default if there is none.
    pub(crate) fn version_of(&self, node: NodeId) -> Version {
        self.maps.get(&node).map_or(Version::default(), |map| map.version)
    }

    /// The map of `node`.
    pub(crate) fn map(&self, node: NodeId) -> Option<&NodeMap> {
        self.maps.get(&node)
    }

    /// A Lamport counter for a write of this node.
    pub(crate) fn tick(&mut self) -> u64 {
        self.lamport += 1;
        self.lamport
    }

    /// A stamp for a write of this node.
    pub(crate) fn stamp(&mut self) -> Stamp {
        Stamp { lamport: self.tick(), node: self.own }
    }

    /// What was written since the last call: (from, to, steps).
    pub(crate) fn take_delta(&mut self) -> Option<(Version, Version, Vec<Op>)> {
        let (from, to) = (self.output.steps_from, self.version());
        self.output.steps_from = to;
        (from != to).then(|| (from, to, core::mem::take(&mut self.output.steps)))
    }

    /// How the owner of a map stands; a node that nobody told of is Down since ever.
    pub(crate) fn standing(&self, node: NodeId) -> Standing {
        if node == self.own {
            return Standing::Alive;
        }
        self.standings.get(&node).copied().unwrap_or(Standing::Down { since: Instant::ZERO })
    }

    /// Something is not worked out yet.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Kinds of records that this version does not know and that are here for the first time, and whose map
    /// has them.
    pub(crate) fn take_unknown(&mut self) -> Vec<(UnknownKind, NodeId)> {
        self.unknown.take_reports()
    }

    /// How many records of each unknown kind there are.
    pub(crate) fn unknown_counts(&self) -> impl Iterator<Item = (UnknownKind, usize)> + '_ {
        self.unknown.counts()
    }

    /// Changes for the shards, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        core::mem::take(&mut self.output.changes)
    }

    /// Exchanges that have another type, and were not deleted.
    pub(crate) fn take_retyped(&mut self) -> Vec<Retyped> {
        core::mem::take(&mut self.output.retyped)
    }

    /// Votes for and against proposals.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.output.notices)
    }

    /// What the shards were told.
    pub(crate) const fn published(&self) -> &PublishedState {
        &self.published
    }
}
