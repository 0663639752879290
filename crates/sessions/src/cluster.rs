//! What a node knows of the others and owes them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::NodeId;

use crate::claims::Claims;
use crate::copies::Copies;
use crate::hid::Hid;
use crate::members::Members;
use crate::moves::Moves;
use crate::pending::Pending;
use crate::stamp::Home;
use crate::sync::Sync;
use crate::time::Ms;
use crate::writes::Writes;

/// The machines of everything that needs another node.
pub(crate) struct Cluster {
    pub(crate) members: Members,
    pub(crate) sync: Sync,
    pub(crate) pending: Pending,
    pub(crate) claims: Claims,
    pub(crate) copies: Copies,
    pub(crate) moves: Moves,
    pub(crate) writes: Writes,
    /// Sessions whose deadline grew since it was last told.
    pub(crate) touched: BTreeSet<Hid>,
    /// Rows that a peer has named in the map that it is telling.
    pub(crate) named: BTreeMap<NodeId, BTreeSet<Hid>>,
    /// Numbers of questions to other nodes.
    pub(crate) question: u64,
    /// When touches and waiting requests are looked at next.
    pub(crate) next_tick: Ms,
    /// Requests to be looked at again before the turn ends.
    pub(crate) changed: Vec<Hid>,
}

impl Cluster {
    pub(crate) fn new(own: Home) -> Self {
        Self {
            members: Members::new(own),
            sync: Sync::with_lease(),
            pending: Pending::default(),
            claims: Claims::default(),
            copies: Copies::default(),
            moves: Moves::default(),
            writes: Writes::default(),
            touched: BTreeSet::new(),
            named: BTreeMap::new(),
            question: 0,
            next_tick: Ms(0),
            changed: Vec::new(),
        }
    }
}
