//! What the control machine knows, for `leveret status`, tests and the simulator's oracle.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use leveret_model::definition::{Binding, ExchangeDefinition};
use leveret_model::directory::QueueRecord;
use leveret_model::policy::Policy;
use leveret_model::{Boot, Incarnation, Instant, Name, NodeId, QueueId};

use crate::control::Control;
use crate::directory::map::Version;
use crate::directory::names::ObjectName;
use crate::directory::unknown::UnknownKind;
use crate::membership::Standing;

/// A node as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct NodeStatus {
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// The nonce of that start.
    pub boot: Boot,
    pub name: Name,
    pub address: String,
    pub shards: u8,
    pub standing: Standing,
    /// Its echo is needed for the lease.
    pub counted: bool,
    pub ready: bool,
    /// There is a control link.
    pub linked: bool,
    /// The version of its map that is here.
    pub version: Version,
    /// Control frames of its that were skipped, because only a later version knows their kind.
    pub unknown_frames: u64,
}

/// A queue as this node routes to it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct QueueStatus {
    pub record: QueueRecord,
    /// Its home is Down, or it lost its name for now.
    pub masked: bool,
    /// It was more than a proposal.
    pub stood: bool,
}

/// All that the control machine knows.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Status {
    /// This node is ready.
    pub ready: bool,
    /// It serves nothing: a clone of it runs, or its state was rolled back.
    pub stopped: bool,
    /// Until when it may act on its view.
    pub lease: Instant,
    /// The version of its own map.
    pub version: Version,
    /// All other nodes that it knows, by id.
    pub nodes: Vec<NodeStatus>,
    /// What its shards were told: exchanges, by name.
    pub exchanges: Vec<ExchangeDefinition>,
    pub queues: Vec<QueueStatus>,
    /// Bindings that are routed by.
    pub bindings: Vec<Binding>,
    pub commands: usize,
    /// Records that only a later version can act on, by kind: kept and handed on.
    pub unknown_records: Vec<(UnknownKind, usize)>,
}

impl Control {
    /// Another process has this node's identity, or knows more of its map: it serves nothing any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lease.is_stopped()
    }

    /// Everything, copied.
    #[must_use]
    pub fn status(&self) -> Status {
        let published = self.directory.published();
        Status {
            ready: self.lease.is_ready(),
            stopped: self.lease.is_stopped(),
            lease: self.lease_end(),
            version: self.directory.version(),
            nodes: self.nodes(),
            exchanges: published.exchanges.values().cloned().collect(),
            queues: self.queues_after(None, usize::MAX),
            bindings: published.bindings.iter().map(|(_, binding)| binding.clone()).collect(),
            commands: self.desk.commands.len(),
            unknown_records: self.unknown_records(),
        }
    }

    /// All other nodes that it knows, by id.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.members.values().map(|member| self.node_status(member)).collect()
    }

    /// How many records of each kind there are that only a later version can act on.
    #[must_use]
    pub fn unknown_records(&self) -> Vec<(UnknownKind, usize)> {
        self.directory.unknown_counts().collect()
    }

    /// Seeds that are this node itself, under whatever address.
    #[must_use]
    pub fn own_seeds(&self) -> Vec<String> {
        self.links.dials.own_seeds().cloned().collect()
    }

    /// The first `most` queues behind `after`, by id.
    #[must_use]
    pub fn queues_after(&self, after: Option<QueueId>, most: usize) -> Vec<QueueStatus> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let published = self.directory.published();
        let status = |(id, (record, masked)): (&QueueId, &(QueueRecord, bool))| QueueStatus {
            record: record.clone(),
            masked: *masked,
            stood: published.stood.contains(id),
        };
        published.queues.range((from, Bound::Unbounded)).take(most).map(status).collect()
    }

    /// The queue that a name stands for here: of several lives one that is not masked, if there is one.
    #[must_use]
    pub fn queue_named(&self, vhost: &Name, name: &Name) -> Option<QueueStatus> {
        let published = self.directory.published();
        let lives = published.lives_of(&ObjectName::new(vhost, name));
        let status = |id| {
            let (record, masked) = published.queues.get(id)?;
            let stood = published.stood.contains(id);
            Some(QueueStatus { record: record.clone(), masked: *masked, stood })
        };
        lives.filter_map(status).min_by_key(|queue| queue.masked)
    }

    /// The policies of the cluster, by vhost and rank.
    #[must_use]
    pub fn policies(&self) -> Vec<Arc<Policy>> {
        self.directory.published().policies.iter().cloned().collect()
    }

    fn node_status(&self, member: &crate::membership::member::Member) -> NodeStatus {
        NodeStatus {
            node: member.hello.node,
            incarnation: member.hello.incarnation,
            boot: member.hello.boot,
            name: member.hello.name.clone(),
            address: member.hello.address.clone(),
            shards: member.hello.shards,
            standing: member.standing,
            counted: member.counted,
            ready: member.ready,
            linked: member.link.is_some(),
            version: self.directory.version_of(member.hello.node),
            unknown_frames: self.reports.unknown_frames.count_of(member.hello.node),
        }
    }

    /// Equal at two nodes that route the same things the same way: what is routed by, masked queues left out.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let published = self.directory.published();
        let mut hash = Fnv::new();
        for exchange in published.exchanges.values() {
            hash.add(exchange);
        }
        for (record, _) in published.queues.values().filter(|(_, masked)| !masked) {
            hash.add(record);
        }
        for (key, _) in published.bindings.iter() {
            hash.add(key);
        }
        for policy in published.policies.iter() {
            hash.add(policy.definition());
        }
        hash.0
    }

    /// The nodes whose echo the lease needs, this one included, in order.
    #[must_use]
    pub fn counted_set(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.counted().map(|(&node, _)| node).collect();
        nodes.push(self.own());
        nodes.sort_unstable();
        nodes
    }
}

/// FNV-1a over what things print as: stable, and no secret is in it.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, what: &impl core::fmt::Debug) {
        use core::fmt::Write as _;
        // writing to a hash cannot fail
        let _ = writeln!(self, "{what:?}");
    }
}

impl core::fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
