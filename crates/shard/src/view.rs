//! What this shard knows of the cluster: what exists and where, who is called how, and until when it may speak
//! for all.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

use leveret_model::directory::{Change, QueueRecord};
use leveret_model::{Instant, Name, NodeId, QueueId, Refusal, Seed, ShardAddress, limits, refusals};
use leveret_route::{Table, VhostId};

/// A node of which queues may be in the map.
#[derive(Debug)]
struct KnownNode {
    name: Name,
    /// Its shards that take replies of direct reply-to; 0 if its version does not know them.
    reply_shards: u8,
    /// It is Down: what is sent there reaches nobody.
    down: bool,
}

/// Whether a shard takes replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyWay {
    /// It is there, over a link that may be cut.
    Known,
    /// There is no such shard, or its node is Down.
    None,
}

/// The cluster as this shard knows it.
#[derive(Debug)]
pub(crate) struct ClusterView {
    /// The time of this turn.
    now: Instant,
    /// R4: until then this shard routes by bindings and says what is not there.
    lease_until: Instant,
    /// Only read outside of this file: it changes by [`ClusterView::apply`].
    pub(crate) table: Table,
    nodes: BTreeMap<NodeId, KnownNode>,
    /// When a queue was last masked or withdrawn (its home went Down, or started again), and when a binding
    /// last left. Publishes that were held then are looked at again (`ingress/publish.rs`).
    masked_at: Instant,
    unbound_at: Instant,
    /// Durable queues that are masked, and when that began: their homes may be back soon.
    homes_away: BTreeMap<QueueId, Instant>,
    /// Publishes that came before are looked at one by one: there may be a home that they miss.
    look_until: Instant,
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
            nodes: BTreeMap::new(),
            masked_at: Instant::ZERO,
            unbound_at: Instant::ZERO,
            homes_away: BTreeMap::new(),
            look_until: Instant::ZERO,
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
            Change::MaskQueue { id } => self.note_masked(*id),
            Change::UnmaskQueue { id } | Change::DropQueue { id } => drop(self.homes_away.remove(id)),
            // its bindings went with it: nobody knows any more what missed it
            Change::WithdrawQueue { id } => {
                self.homes_away.remove(id);
                (self.masked_at, self.unbound_at) = (self.now, self.now);
                self.look_until = self.look_until.max(self.now);
            }
            Change::DropBinding(_) => self.unbound_at = self.now,
            _ => {}
        }
        self.table.apply(change);
    }

    fn note_masked(&mut self, id: QueueId) {
        self.masked_at = self.now;
        self.look_until = self.look_until.max(self.now);
        if self.table.queue_by_id(id).is_some_and(|queue| queue.record.definition.durable) {
            self.homes_away.insert(id, self.now);
            self.look_until = self.now + limits::HOME_BACK_WAIT;
        }
    }

    /// A publish that came then may miss a home. hot.
    #[inline]
    pub(crate) fn may_miss_a_home(&self, arrived: Instant) -> bool {
        arrived < self.look_until
    }

    /// The home of this queue may be back soon.
    pub(crate) fn is_home_awaited(&self, id: QueueId) -> bool {
        self.homes_away.get(&id).is_some_and(|since| self.now < *since + limits::HOME_BACK_WAIT)
    }

    /// A queue was masked since.
    pub(crate) fn was_masked_since(&self, at: Instant) -> bool {
        at < self.masked_at
    }

    /// A binding left since.
    pub(crate) fn was_unbound_since(&self, at: Instant) -> bool {
        at < self.unbound_at
    }

    pub(crate) fn name_node(&mut self, node: NodeId, name: Name, reply_shards: u8) {
        let down = self.nodes.get(&node).is_some_and(|known| known.down);
        self.nodes.insert(node, KnownNode { name, reply_shards, down });
    }

    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    pub(crate) fn note_down(&mut self, node: NodeId) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.down = true;
        }
    }

    /// A link to the node begins.
    pub(crate) fn note_linked(&mut self, node: NodeId) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.down = false;
        }
    }

    /// The node was said to be Down, and no link to it has begun since.
    pub(crate) fn is_down(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|known| known.down)
    }

    /// May replies go to that shard?
    pub(crate) fn reply_way(&self, to: ShardAddress) -> ReplyWay {
        match self.nodes.get(&to.node) {
            Some(known) if !known.down && to.shard.0 < known.reply_shards => ReplyWay::Known,
            Some(_) | None => ReplyWay::None,
        }
    }

    /// What people call a node, if that is known.
    pub(crate) fn node_name(&self, node: NodeId) -> Option<&str> {
        self.nodes.get(&node).map(|known| &*known.name)
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
