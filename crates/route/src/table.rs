//! The table: what it knows by name and by id. What changes it is in `changes`, where messages go in `route`.

use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use leveret_model::definition::{
    Binding, DEFAULT_VHOST, DestinationKind, ExchangeDefinition, ExchangeKind, PREDECLARED,
};
use leveret_model::policy::Policies;
use leveret_model::{Name, QueueId, Seed, ShardAddress};

use crate::bindings::{BindingRef, Bindings, Bound, Target};
use crate::exchange::{ExchangeId, Index, Node};
use crate::queues::{QueueEntry, Queues, name_hash};
use crate::random::Draws;
use crate::slots::{Slot, Slots};

/// A vhost of one table. Vhosts are never dropped yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VhostId(u32);

/// Exchanges, bindings and queues, seen from one shard.
pub struct Table {
    pub(crate) own: ShardAddress,
    vhosts: Vec<Vhost>,
    vhosts_by_name: HashTable<VhostId>,
    pub(crate) exchanges: Slots<Node>,
    exchanges_by_name: HashTable<Slot<Node>>,
    pub(crate) queues: Queues,
    pub(crate) bindings: Bindings,
    pub(crate) policies: Policies,
    /// Rises by one with each change that can alter a route.
    pub(crate) generation: u64,
    births: u32,
    pub(crate) state: FixedState,
    /// For exchanges that choose at random.
    pub(crate) draws: Draws,
    /// Counts walks: what a walk has visited carries its number.
    pub(crate) walks: Cell<u64>,
    /// The exchanges of the walk under way; kept so that a walk allocates nothing.
    pub(crate) walk_list: Cell<Vec<Slot<Node>>>,
}

struct Vhost {
    name: Name,
    default_exchange: Slot<Node>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("own", &self.own)
            .field("generation", &self.generation)
            .field("exchanges", &self.exchanges.len())
            .field("queues", &self.queues.entries.len())
            .field("bindings", &self.bindings.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// A table with the vhost `/`, as seen from `own`.
    #[must_use]
    pub fn new(own: ShardAddress, seed: Seed) -> Self {
        let state = FixedState::with_seed(seed.0);
        let mut table = Self {
            own,
            vhosts: Vec::new(),
            vhosts_by_name: HashTable::new(),
            exchanges: Slots::new(),
            exchanges_by_name: HashTable::new(),
            queues: Queues::new(state.clone()),
            bindings: Bindings::new(state.clone()),
            policies: Policies::default(),
            generation: 1,
            births: 0,
            state,
            draws: Draws::new(seed.part(1)),
            walks: Cell::new(0),
            walk_list: Cell::new(Vec::new()),
        };
        table.enter_vhost(&Name::new(DEFAULT_VHOST));
        table
    }

    /// The vhost of that name.
    #[must_use]
    pub fn vhost(&self, name: &str) -> Option<VhostId> {
        let hash = self.state.hash_one(name.as_bytes());
        self.vhosts_by_name.find(hash, |id| self.vhosts[id.0 as usize].name.as_str() == name).copied()
    }

    /// Its name.
    #[must_use]
    pub fn vhost_name(&self, vhost: VhostId) -> Option<&Name> {
        self.vhosts.get(vhost.0 as usize).map(|vhost| &vhost.name)
    }

    /// The exchange of that name; `""` is the default exchange. hot.
    #[must_use]
    pub fn exchange(&self, vhost: VhostId, name: &[u8]) -> Option<ExchangeId> {
        self.find_exchange(vhost, name).and_then(|slot| self.id_of(slot))
    }

    /// What it is. `None` once it was dropped.
    #[must_use]
    pub fn definition(&self, exchange: ExchangeId) -> Option<&ExchangeDefinition> {
        self.live(exchange).and_then(|slot| self.exchanges[slot].definition.as_deref())
    }

    /// The queue of that name: of several records the one that takes the messages, or a masked one if there is no other.
    #[must_use]
    pub fn queue(&self, vhost: VhostId, name: &[u8]) -> Option<&QueueEntry> {
        let label = self.queues.find_label(vhost, name)?;
        self.queues.labels[label].first.map(|slot| &self.queues.entries[slot])
    }

    /// The queue with that id.
    #[must_use]
    pub fn queue_by_id(&self, id: QueueId) -> Option<&QueueEntry> {
        self.queues.find(id).map(|slot| &self.queues.entries[slot])
    }

    /// Rises with each change that can alter any route.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The generation at the last change that can have altered a route from this exchange, directly or through others;
    /// a cached route holds while it is the same. 0 once the exchange was dropped. hot.
    #[must_use]
    pub fn generation_of(&self, exchange: ExchangeId) -> u64 {
        self.live(exchange).map_or(0, |slot| self.exchanges[slot].generation)
    }

    /// The bindings from an exchange.
    pub fn bindings_of(&self, source: ExchangeId) -> impl Iterator<Item = BindingRef<'_>> {
        self.look_at(self.live(source).map_or(&[][..], |slot| &self.exchanges[slot].from))
    }

    /// All exchanges, the default ones too.
    pub fn exchanges(&self) -> impl Iterator<Item = (ExchangeId, &ExchangeDefinition)> {
        self.exchanges.iter().filter_map(|(slot, node)| {
            Some((ExchangeId::new(slot, node.birth)?, node.definition.as_deref()?))
        })
    }

    /// All queues.
    pub fn queues(&self) -> impl Iterator<Item = &QueueEntry> {
        self.queues.entries.iter().map(|(_, entry)| entry)
    }

    /// The default exchange of a vhost.
    pub(crate) fn default_exchange(&self, vhost: VhostId) -> Slot<Node> {
        self.vhosts[vhost.0 as usize].default_exchange
    }

    /// The place of an exchange that was not dropped.
    pub(crate) fn live(&self, id: ExchangeId) -> Option<Slot<Node>> {
        self.exchanges.get(id.slot()).filter(|node| node.birth == id.birth()).map(|_| id.slot())
    }
}

/// What only tests ask.
#[cfg(test)]
impl Table {
    /// Does anything lead away from this exchange?
    pub(crate) fn has_bindings(&self, source: ExchangeId) -> bool {
        self.live(source).is_some_and(|slot| !self.exchanges[slot].from.is_empty())
    }

    /// The bindings to a queue's name.
    pub(crate) fn bindings_to(&self, queue: QueueId) -> impl Iterator<Item = BindingRef<'_>> {
        let label = self.queues.find(queue).map(|slot| self.queues.entries[slot].label);
        self.look_at(label.map_or(&[][..], |label| &self.queues.labels[label].to))
    }

    /// The bindings to an exchange.
    pub(crate) fn bindings_to_exchange(
        &self,
        destination: ExchangeId,
    ) -> impl Iterator<Item = BindingRef<'_>> {
        self.look_at(self.live(destination).map_or(&[][..], |slot| &self.exchanges[slot].to))
    }

    /// All vhosts.
    pub(crate) fn vhosts(&self) -> impl Iterator<Item = (VhostId, &Name)> {
        (0..).map(VhostId).zip(self.vhosts.iter().map(|vhost| &vhost.name))
    }

    /// How many queues there are.
    pub(crate) fn queue_count(&self) -> usize {
        self.queues.entries.len()
    }

    /// How many bindings there are.
    pub(crate) fn binding_count(&self) -> usize {
        self.bindings.len()
    }

    /// Names of exchanges and of queues that something speaks of.
    pub(crate) fn names_in_use(&self) -> (usize, usize) {
        (self.exchanges.len(), self.queues.labels.len())
    }
}

/// Names and places.
impl Table {
    pub(crate) fn enter_vhost(&mut self, name: &Name) -> VhostId {
        if let Some(vhost) = self.vhost(name) {
            return vhost;
        }
        let vhost = VhostId(self.vhosts.len() as u32);
        let default_exchange = self.enter_exchange(vhost, &Name::default());
        self.vhosts.push(Vhost { name: name.clone(), default_exchange });
        let (vhosts, state) = (&self.vhosts, &self.state);
        let rehash = |id: &VhostId| state.hash_one(vhosts[id.0 as usize].name.as_bytes());
        self.vhosts_by_name.insert_unique(state.hash_one(name.as_bytes()), vhost, rehash);
        self.define(default_exchange, &builtin(name, "", ExchangeKind::Direct, false));
        self.exchanges[default_exchange].index = Index::Queues;
        for (exchange, kind, internal) in PREDECLARED {
            let slot = self.enter_exchange(vhost, &Name::new(exchange));
            self.define(slot, &builtin(name, exchange, kind, internal));
        }
        vhost
    }

    pub(crate) fn find_exchange(&self, vhost: VhostId, name: &[u8]) -> Option<Slot<Node>> {
        let is_it = |slot: &Slot<Node>| {
            let node = &self.exchanges[*slot];
            node.vhost == vhost && node.name.as_bytes() == name
        };
        self.exchanges_by_name.find(name_hash(&self.state, vhost, name), is_it).copied()
    }

    pub(crate) fn enter_exchange(&mut self, vhost: VhostId, name: &Name) -> Slot<Node> {
        if let Some(slot) = self.find_exchange(vhost, name.as_bytes()) {
            return slot;
        }
        self.births += 1;
        let slot = self.exchanges.insert(Node::new(vhost, name.clone(), self.births, self.generation));
        let (exchanges, state) = (&self.exchanges, &self.state);
        let rehash =
            |slot: &Slot<Node>| name_hash(state, exchanges[*slot].vhost, exchanges[*slot].name.as_bytes());
        self.exchanges_by_name.insert_unique(name_hash(state, vhost, name.as_bytes()), slot, rehash);
        slot
    }

    /// Forgets a name that has neither definition nor binding.
    pub(crate) fn release_exchange(&mut self, slot: Slot<Node>) {
        let Some(node) = self.exchanges.get(slot).filter(|node| node.is_unused()) else { return };
        let hash = name_hash(&self.state, node.vhost, node.name.as_bytes());
        if let Ok(entry) = self.exchanges_by_name.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.exchanges.remove(slot);
    }

    pub(crate) fn find_binding(&self, binding: &Binding) -> Option<Slot<Bound>> {
        let vhost = self.vhost(&binding.vhost)?;
        let source = self.find_exchange(vhost, binding.source.as_bytes())?;
        let destination = binding.destination.as_bytes();
        let target = match binding.kind {
            DestinationKind::Queue => Target::Queue(self.queues.find_label(vhost, destination)?),
            DestinationKind::Exchange => Target::Exchange(self.find_exchange(vhost, destination)?),
        };
        self.bindings.find(source, target, &binding.key, &binding.arguments)
    }

    fn id_of(&self, slot: Slot<Node>) -> Option<ExchangeId> {
        let node = &self.exchanges[slot];
        node.definition.as_ref().and_then(|_| ExchangeId::new(slot, node.birth))
    }

    fn look_at<'a>(&'a self, list: &'a [Slot<Bound>]) -> impl Iterator<Item = BindingRef<'a>> {
        list.iter().map(|slot| {
            let bound = &self.bindings[*slot];
            let source = &self.exchanges[bound.source];
            let (kind, destination) = match bound.target {
                Target::Queue(label) => (DestinationKind::Queue, &self.queues.labels[label].name),
                Target::Exchange(node) => (DestinationKind::Exchange, &self.exchanges[node].name),
            };
            BindingRef {
                vhost: &self.vhosts[source.vhost.0 as usize].name,
                source: &source.name,
                kind,
                destination,
                key: &bound.key,
                arguments: &bound.arguments,
            }
        })
    }
}

/// True for the exchanges that every vhost has.
pub(crate) fn is_builtin(name: &str) -> bool {
    name.is_empty() || PREDECLARED.iter().any(|(builtin, ..)| *builtin == name)
}

fn builtin(vhost: &Name, name: &str, kind: ExchangeKind, internal: bool) -> ExchangeDefinition {
    ExchangeDefinition {
        durable: true,
        internal,
        ..ExchangeDefinition::new(vhost.clone(), Name::new(name), kind)
    }
}
