//! What this shard knows of the cluster: what exists and where, who is called how, and until when it may speak
//! for all.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

use leveret_model::directory::{Change, QueueRecord};
use leveret_model::{Instant, Name, NodeId, Refusal, Seed, ShardAddress, refusals};
use leveret_route::{Table, VhostId};

/// The cluster as this shard knows it.
#[derive(Debug)]
pub(crate) struct ClusterView {
    /// The time of this turn.
    now: Instant,
    /// R4: until then this shard routes by bindings and says what is not there.
    lease_until: Instant,
    /// Only read outside of this file: it changes by [`ClusterView::apply`].
    pub(crate) table: Table,
    node_names: BTreeMap<NodeId, Name>,
    /// When a queue was last masked (its home went Down), and when a binding last left. Publishes that were
    /// held then are looked at again (`ingress/publish.rs`).
    masked_at: Instant,
    unbound_at: Instant,
    /// Bindings that end stay.
    #[cfg(feature = "planted")]
    stale: bool,
}

impl ClusterView {
    pub(crate) fn new(own: ShardAddress, seed: Seed) -> Self {
        Self {
            now: Instant::ZERO,
            lease_until: Instant::ZERO,
            table: Table::new(own, seed.part(1)),
            node_names: BTreeMap::new(),
            masked_at: Instant::ZERO,
            unbound_at: Instant::ZERO,
            #[cfg(feature = "planted")]
            stale: false,
        }
    }

    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.now = now;
    }

    /// The time of this turn. hot.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// hot.
    pub(crate) fn has_lease(&self) -> bool {
        self.now < self.lease_until
    }

    /// True if the shard has a lease now and had none before.
    pub(crate) fn set_lease(&mut self, until: Instant) -> bool {
        let had = self.has_lease();
        self.lease_until = until;
        !had && self.has_lease()
    }

    #[cfg(feature = "planted")]
    pub(crate) fn plant(&mut self, bug: crate::planted::Planted) {
        self.stale = bug == crate::planted::Planted::StaleTable;
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        #[cfg(feature = "planted")]
        if self.stale && matches!(change, Change::DropBinding(_)) {
            return;
        }
        match change {
            Change::MaskQueue { .. } => self.masked_at = self.now,
            Change::DropBinding(_) => self.unbound_at = self.now,
            _ => {}
        }
        self.table.apply(change);
    }

    /// A queue was masked since. hot.
    pub(crate) fn was_masked_since(&self, at: Instant) -> bool {
        at < self.masked_at
    }

    /// A binding left since.
    pub(crate) fn was_unbound_since(&self, at: Instant) -> bool {
        at < self.unbound_at
    }

    pub(crate) fn name_node(&mut self, node: NodeId, name: Name) {
        self.node_names.insert(node, name);
    }

    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.node_names.remove(&node);
    }

    /// What people call a node, if that is known.
    pub(crate) fn node_name(&self, node: NodeId) -> Option<&str> {
        self.node_names.get(&node).map(|name| &**name)
    }

    pub(crate) fn vhost_name(&self, vhost: VhostId) -> String {
        self.table.vhost_name(vhost).map(|name| String::from(name.as_str())).unwrap_or_default()
    }

    /// A queue that is there and cannot be reached. People know its home by name.
    pub(crate) fn home_down(&self, queue: &QueueRecord) -> Refusal {
        let home = queue.home.node;
        let home = self.node_name(home).map_or_else(|| home.to_string(), ToString::to_string);
        let queue = &queue.definition;
        refusals::home_down(&queue.name, &queue.vhost, queue.durable, &home)
    }
}
