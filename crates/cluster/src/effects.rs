//! What the control machine wants of its driver.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::definition::ExchangeKind;
use leveret_model::directory::{Reply, ShardMail};
use leveret_model::{Boot, Name, NodeId, RequestId};

use crate::directory::unknown::UnknownKind;
use crate::membership::TurnAway;
use crate::moves::Left;
use crate::stored::StoreStep;

/// A control link, numbered by the driver; never reused in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey(pub u64);

/// What to do after an input, part by part in this order. Frames of one link keep their order.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the store, if the node has one: to be handed over before anything else here, and what is said to
    /// clients and peers below is not to leave before it is on the disk.
    pub store: Vec<StoreStep>,
    /// With whom data links are wanted, and with whom not (`leveret_link::sessions`).
    pub sessions: Vec<SessionWish>,
    /// To the shards of this node, in order.
    pub to_shards: ShardMail,
    /// Answers to the commands of this node's operator.
    pub to_operators: Vec<(RequestId, Reply)>,
    /// To peers: payloads of control frames.
    pub frames: Vec<(LinkKey, Vec<u8>)>,
    /// Addresses to dial a control link to. Each is answered by `on_link_up` or `on_dial_failed`.
    pub dials: Vec<String>,
    /// Links to close; `on_link_down` need not follow.
    pub hang_ups: Vec<LinkKey>,
    /// What happened, for the log.
    pub events: Vec<Event>,
    /// This node is ready, with so many others: open the client listeners now. Said once.
    pub ready: Option<usize>,
    /// The leave that was asked for ([`Control::on_leave`](crate::Control::on_leave)) is over. Said once.
    pub left: Option<Left>,
}

/// A session of data links with a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum SessionWish {
    /// It is a member that lives.
    Wanted {
        node: NodeId,
        /// Which start of it.
        boot: Boot,
        shards: u8,
        address: String,
    },
    /// It is Down.
    Unwanted(NodeId),
}

/// What happened, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Event {
    /// This node is ready: with so many others.
    Ready {
        /// Nodes that it counts beside itself.
        others: usize,
    },
    /// This node is not ready yet and waits for these.
    StillJoining {
        /// Who has not echoed; addresses if not even a name is known.
        missing: Vec<String>,
    },
    /// A node of this group answered and did not take this node in. Said once until the reason changes.
    TurnedAway {
        address: String,
        why: TurnAway,
        /// This node is not ready, and does not serve until that changes; else it goes on alone.
        joining: bool,
    },
    /// This node leaves, and has so many queues still.
    Leaving {
        /// Queues that are here.
        queues: usize,
    },
    /// A node is there.
    Joined { node: NodeId, name: Name, address: String },
    /// A node is not heard, but somebody hears it.
    Unreachable { node: NodeId, name: Name },
    /// A node is not heard by anyone.
    Down {
        node: NodeId,
        name: Name,
        /// Queues that are away with it.
        queues: usize,
        /// Vhosts and names of the first [`NAMES_SAID`](leveret_model::limits::NAMES_SAID) of them.
        names: Vec<(Name, Name)>,
    },
    /// A node is heard again.
    Back { node: NodeId, name: Name },
    /// The queues and bindings of a node that was Down too long were forgotten.
    Forgotten { node: NodeId, name: Name },
    /// Two proposals for one name met and this node's gave way.
    ProposalLost { vhost: Name, name: Name },
    /// Two queues of one name met and this node's won: it took over bindings of the other.
    MergeWon { vhost: Name, name: Name, from: NodeId, bindings: usize },
    /// Two queues of one name met and this node's lost: it keeps its messages under another name.
    MergeLost {
        vhost: Name,
        /// The name that it lost.
        name: Name,
        /// The name that it has now.
        renamed: Name,
        winner: NodeId,
    },
    /// Exchanges of one name and of two types met: the later declaration holds, and this node had routed by
    /// the other.
    ExchangeRetyped {
        vhost: Name,
        name: Name,
        /// The type that it had here.
        was: ExchangeKind,
        /// The type that it has now.
        is: ExchangeKind,
    },
    /// Another process runs with the same id and incarnation. If it is this node's, it serves nothing any more.
    Clone { node: NodeId },
    /// A peer knows more of this node's map than this node: its state was rolled back. It serves nothing any
    /// more.
    RolledBack { peer: NodeId },
    /// A peer sent what cannot be; its link is closed.
    BadFrame { peer: NodeId, name: Name, reason: String },
    /// A map has a record of a kind that only a later version knows: it is kept and handed on. Said once for
    /// each kind.
    UnknownRecord {
        kind: UnknownKind,
        /// Whose map has it.
        node: NodeId,
        name: Name,
    },
    /// A peer sent a control frame of a kind that only a later version knows: it is skipped. Said once for
    /// each kind.
    UnknownFrame {
        peer: NodeId,
        name: Name,
        /// The kind's number there.
        kind: u32,
    },
    /// A node was turned away: the cluster has `limits::NODES_MAX`. Said once until there was room again.
    Full { node: NodeId, name: Name, address: String },
}
