//! One other node, as this one knows it.

use alloc::string::String;
use alloc::vec::Vec;

use leveret_link::handshake::Capabilities;
use leveret_model::{Boot, Incarnation, Instant, Name, NodeId, limits};

use super::Standing;
use super::lease::Echoes;
use crate::effects::LinkKey;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHello {
    /// Its lasting identity.
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// The nonce of that start.
    pub boot: Boot,
    /// Its shards.
    pub shards: u8,
    /// Where its cluster port is, `ADDR:PORT`.
    pub address: String,
    /// Its name for people.
    pub name: Name,
    /// What it can be asked for, as its own hello on a link says; nothing before.
    pub capabilities: Capabilities,
}

/// A node of which this one knows.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) hello: PeerHello,
    /// The control link.
    pub(crate) link: Option<LinkKey>,
    /// Its first State on this link came.
    pub(crate) stated: bool,
    /// Its echo is needed for the lease while it is not Down.
    pub(crate) counted: bool,
    /// It said that it is ready; only then is it listed to others.
    pub(crate) ready: bool,
    pub(crate) standing: Standing,
    /// What the shards were told last; none before it was first heard.
    pub(crate) announced: Option<Standing>,
    /// The shards were told its name.
    pub(crate) named: bool,
    /// When it was first heard of, or its verdict last began to count anew.
    pub(crate) since: Instant,
    /// When its last echo came.
    pub(crate) heard_at: Option<Instant>,
    /// Redials refused since the link went.
    pub(crate) refusals: u8,
    /// This node dialled its address and met another process there.
    pub(crate) replaced: bool,
    /// Nodes that it hears.
    pub(crate) hears: Vec<NodeId>,
    /// Its echoes, for the lease.
    pub(crate) echoes: Echoes,
    /// When it sent the last ping that came, by its clock; 0 for none.
    pub(crate) pinged_nanos: u64,
}

impl Member {
    pub(crate) fn new(now: Instant, hello: PeerHello) -> Self {
        Self {
            hello,
            link: None,
            stated: false,
            counted: false,
            ready: false,
            standing: Standing::Unreachable,
            announced: None,
            named: false,
            since: now,
            heard_at: None,
            refusals: 0,
            replaced: false,
            hears: Vec::new(),
            echoes: Echoes::default(),
            pinged_nanos: 0,
        }
    }

    /// Its process is gone as far as this node can see: no link, and its port refuses or is another's.
    pub(crate) fn is_refused(&self) -> bool {
        self.link.is_none() && (self.replaced || self.refusals >= 2)
    }

    /// Own ping echoed within [`limits::HEARD_WITHIN`].
    pub(crate) fn is_heard(&self, now: Instant) -> bool {
        !self.is_refused() && self.heard_at.is_some_and(|at| now < at + limits::HEARD_WITHIN)
    }
}
