//! The directory: all maps, and what follows from them for the shards of this node.
//!
//! Read first: [`map`] (records), then `effective` (maps and verdicts → changes). Invariants: only this node writes its own
//! map; what the shards were told is a pure function of the maps, the verdicts, the order in which proposals came, and
//! nothing else; a change is emitted exactly when that function's value changes.

mod bindings;
mod effective;
mod forget;
pub(crate) mod map;
mod mask;
mod merge;
pub(crate) mod proposal;
mod register;
#[cfg(test)]
mod samples;
mod seen;
mod size;
mod told;
pub(crate) mod visible;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::definition::{Binding, DestinationKind, ExchangeDefinition};
use leveret_model::directory::Change;
use leveret_model::{Incarnation, Instant, NodeId, QueueId, Ulid};

use crate::membership::Standing;
pub(crate) use effective::is_reserved;
use map::{BindingKey, Dropped, NodeMap, ObjectName, Op, Record, RecordKey, Stamp, Version};
pub(crate) use merge::MergeStep;
use merge::Merges;
use proposal::{Ballot, Notice};
pub(crate) use register::Retyped;
pub(crate) use seen::{Seen, SeenQueue};
pub(crate) use size::Bound;
use size::Size;
use told::Told;

/// What an exchange name is, kept from refresh to refresh.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ExchangeName {
    /// What is routed by. A proposal is not: its vote reserves the name, its register makes it visible.
    pub(crate) value: Option<ExchangeDefinition>,
    /// The register's last deletion.
    pub(crate) deleted: u64,
    /// The register was written.
    pub(crate) written: bool,
}

type Destination = (DestinationKind, ObjectName);

/// When each writer wrote a register of a binding between exchanges last, and whether it bound or unbound.
type Writers = BTreeMap<NodeId, (Stamp, bool)>;

/// All maps and what follows from them.
pub(crate) struct Directory {
    own: NodeId,
    maps: BTreeMap<NodeId, NodeMap>,
    standings: BTreeMap<NodeId, Standing>,
    lamport: u64,
    /// Lives of each queue name, and whose map has them; proposals too.
    queues: BTreeMap<ObjectName, BTreeMap<QueueId, NodeId>>,
    queue_ballots: BTreeMap<ObjectName, Ballot>,
    exchanges: BTreeMap<ObjectName, ExchangeName>,
    exchange_ballots: BTreeMap<ObjectName, Ballot>,
    /// Proposals to delete an exchange: who, and whether this node refused.
    removals: BTreeMap<ObjectName, BTreeMap<Ulid, (NodeId, bool)>>,
    /// How many bindings from each exchange lead where, over all maps.
    sources: BTreeMap<ObjectName, BTreeMap<Destination, u32>>,
    /// Registers of bindings to each exchange: what each writer says of them.
    exchange_bindings: BTreeMap<ObjectName, BTreeMap<BindingKey, Writers>>,
    /// Bindings to queues, and registers of bindings to exchanges that stand.
    binding_count: usize,
    queue_count: usize,
    size: Size,
    dirty_queues: BTreeSet<ObjectName>,
    dirty_exchanges: BTreeSet<ObjectName>,
    dirty_destinations: BTreeSet<Destination>,
    dirty_bindings: BTreeSet<BindingKey>,
    merges: Merges,
    told: Told,
    changes: Vec<Change>,
    notices: Vec<Notice>,
    retyped: Vec<Retyped>,
    outgoing: Vec<Op>,
    pushed: Version,
    /// Bindings derived so far: the work that tests count.
    #[cfg(test)]
    derived: usize,
}

impl Directory {
    pub(crate) fn new(own: NodeId, incarnation: Incarnation) -> Self {
        let version = Version { incarnation, counter: 0 };
        let mut maps = BTreeMap::new();
        maps.insert(own, NodeMap { version, ..NodeMap::default() });
        Self {
            own,
            maps,
            standings: BTreeMap::new(),
            lamport: 0,
            queues: BTreeMap::new(),
            queue_ballots: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            exchange_ballots: BTreeMap::new(),
            removals: BTreeMap::new(),
            sources: BTreeMap::new(),
            exchange_bindings: BTreeMap::new(),
            binding_count: 0,
            queue_count: 0,
            size: Size::default(),
            dirty_queues: BTreeSet::new(),
            dirty_exchanges: BTreeSet::new(),
            dirty_destinations: BTreeSet::new(),
            dirty_bindings: BTreeSet::new(),
            merges: Merges::default(),
            told: Told::default(),
            changes: Vec::new(),
            notices: Vec::new(),
            retyped: Vec::new(),
            outgoing: Vec::new(),
            pushed: version,
            #[cfg(test)]
            derived: 0,
        }
    }

    // ---- maps ---------------------------------------------------------------------------------------------------

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

    /// Writes to the own map.
    pub(crate) fn write(&mut self, op: Op) {
        self.step(self.own, op.clone());
        if let Some(map) = self.maps.get_mut(&self.own) {
            map.version.counter += 1;
        }
        self.outgoing.push(op);
    }

    /// Drops all bindings of a queue of this node; their source exchanges.
    pub(crate) fn drop_bindings(&mut self, queue: QueueId) -> BTreeSet<ObjectName> {
        let bindings: Vec<Binding> = self.maps[&self.own]
            .bindings_of(queue)
            .filter_map(|(_, record)| match record {
                Record::Binding { binding, .. } => Some(binding.clone()),
                _ => None,
            })
            .collect();
        let sources =
            bindings.iter().map(|binding| ObjectName::new(&binding.vhost, &binding.source)).collect();
        for binding in bindings {
            self.write(Op::Drop(Dropped::Binding(queue, binding.into())));
        }
        sources
    }

    /// What was written since the last call: (from, to, steps).
    pub(crate) fn take_delta(&mut self) -> Option<(Version, Version, Vec<Op>)> {
        let (from, to) = (self.pushed, self.version());
        self.pushed = to;
        (from != to).then(|| (from, to, core::mem::take(&mut self.outgoing)))
    }

    /// A delta of another node's map. False on a gap: the whole map is needed.
    pub(crate) fn on_delta(&mut self, node: NodeId, from: Version, to: Version, ops: Vec<Op>) -> bool {
        let have = self.version_of(node);
        if node == self.own || to <= have {
            return true;
        }
        if from != have && !(have == Version::default() && from.counter == 0) {
            return false;
        }
        for op in ops {
            self.step(node, op);
        }
        self.maps.entry(node).or_default().version = to;
        true
    }

    /// The whole map of another node; an older one than this node has is left alone.
    pub(crate) fn on_map(&mut self, node: NodeId, version: Version, records: Vec<Record>) {
        if node == self.own || version <= self.version_of(node) {
            return;
        }
        let mut gone: BTreeSet<RecordKey> =
            self.maps.get(&node).map(|map| map.records.keys().cloned().collect()).unwrap_or_default();
        for record in records {
            gone.remove(&record.key());
            self.step(node, Op::Put(record));
        }
        for key in gone {
            self.remove(node, &key);
        }
        self.maps.entry(node).or_default().version = version;
    }

    fn step(&mut self, node: NodeId, op: Op) {
        match op {
            Op::Put(record) => {
                self.remove(node, &record.key());
                self.lamport = self.lamport.max(record.lamport());
                self.index(node, &record, true);
                self.maps.entry(node).or_default().records.insert(record.key(), record);
            }
            Op::Drop(dropped) => self.remove(node, &dropped.key()),
        }
    }

    fn remove(&mut self, node: NodeId, key: &RecordKey) {
        if let Some(record) = self.maps.get_mut(&node).and_then(|map| map.records.remove(key)) {
            self.index(node, &record, false);
        }
    }

    fn index(&mut self, node: NodeId, record: &Record, add: bool) {
        self.size.count(record, add);
        match record {
            Record::Queue { record, standing } => {
                let name = ObjectName::of_queue(record);
                let lives = self.queues.entry(name.clone()).or_default();
                let ballot = self.queue_ballots.entry(name.clone()).or_default();
                if add {
                    lives.insert(record.id, node);
                    self.queue_count += 1;
                    if !standing {
                        ballot.pending.insert(record.id.ulid, node);
                    }
                } else {
                    lives.remove(&record.id);
                    self.queue_count -= 1;
                    ballot.pending.remove(&record.id.ulid);
                }
                self.dirty_queues.insert(name);
            }
            Record::Binding { binding, .. } => {
                self.count_source(binding, add);
                self.dirty_bindings.insert(BindingKey::of(binding));
            }
            Record::Exchange { name, .. } => {
                self.dirty_exchanges.insert(name.clone());
            }
            Record::ExchangeBinding { binding, stamp, present } => {
                self.index_exchange_binding(node, binding, (*stamp, *present), add);
            }
            Record::Proposal { id, name, value: Some(_) } => {
                let ballot = self.exchange_ballots.entry(name.clone()).or_default();
                if add {
                    ballot.pending.insert(*id, node);
                } else {
                    ballot.pending.remove(id);
                }
                self.dirty_exchanges.insert(name.clone());
            }
            Record::Proposal { id, name, value: None } => {
                let removals = self.removals.entry(name.clone()).or_default();
                if add {
                    removals.insert(*id, (node, false));
                } else {
                    removals.remove(id);
                }
                self.dirty_exchanges.insert(name.clone());
            }
        }
    }

    /// An unbound register stays, and counts for nothing.
    fn index_exchange_binding(&mut self, node: NodeId, binding: &Binding, said: (Stamp, bool), add: bool) {
        let key = BindingKey::of(binding);
        let stood = self.is_exchange_bound(&key);
        let destination = key.destination();
        let keys = self.exchange_bindings.entry(destination.clone()).or_default();
        let writers = keys.entry(key.clone()).or_default();
        if add {
            writers.insert(node, said);
        } else {
            writers.remove(&node);
        }
        if writers.is_empty() {
            keys.remove(&key);
            if keys.is_empty() {
                self.exchange_bindings.remove(&destination);
            }
        }
        let stands = self.is_exchange_bound(&key);
        if stood != stands {
            self.count_source(binding, stands);
        }
        self.dirty_bindings.insert(key);
    }

    fn count_source(&mut self, binding: &Binding, add: bool) {
        let source = ObjectName::new(&binding.vhost, &binding.source);
        let destination = (binding.kind, ObjectName::new(&binding.vhost, &binding.destination));
        let counts = self.sources.entry(source.clone()).or_default();
        let count = counts.entry(destination.clone()).or_default();
        if add {
            *count += 1;
            self.binding_count += 1;
        } else {
            *count -= 1;
            self.binding_count -= 1;
            if *count == 0 {
                counts.remove(&destination);
                if counts.is_empty() {
                    self.sources.remove(&source);
                }
            }
        }
    }

    // ---- verdicts -----------------------------------------------------------------------------------------------

    /// How the owner of a map stands; a node that nobody told of is Down since ever.
    pub(crate) fn standing(&self, node: NodeId) -> Standing {
        if node == self.own {
            return Standing::Alive;
        }
        self.standings.get(&node).copied().unwrap_or(Standing::Down { since: Instant::ZERO })
    }

    /// A verdict.
    pub(crate) fn set_standing(&mut self, node: NodeId, standing: Standing) {
        if self.standings.insert(node, standing) == Some(standing) {
            return;
        }
        let Some(map) = self.maps.get(&node) else { return };
        for record in map.records.values() {
            match record {
                Record::Queue { record, .. } => {
                    self.dirty_queues.insert(ObjectName::of_queue(record));
                }
                Record::Proposal { name, .. } => {
                    self.dirty_exchanges.insert(name.clone());
                }
                _ => {}
            }
        }
    }

    /// Something is not worked out yet.
    pub(crate) fn is_dirty(&self) -> bool {
        !(self.dirty_exchanges.is_empty()
            && self.dirty_queues.is_empty()
            && self.dirty_destinations.is_empty()
            && self.dirty_bindings.is_empty())
    }

    /// Changes for the shards since the last call, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        core::mem::take(&mut self.changes)
    }

    /// Exchanges that have another type since the last call, and were not deleted.
    pub(crate) fn take_retyped(&mut self) -> Vec<Retyped> {
        core::mem::take(&mut self.retyped)
    }

    /// Votes to be told since the last call.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.notices)
    }
}
