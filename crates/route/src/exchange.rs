//! One exchange of the table: its definition, its bindings both ways, and the index that its kind asks for.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::num::NonZeroU32;

use foldhash::fast::FixedState;
use leveret_model::definition::{ExchangeDefinition, ExchangeKind};
use leveret_model::{Arguments, Name, Refusal};

use crate::bindings::{Bindings, Bound};
use crate::direct::Direct;
use crate::headers::{self, HeadersIndex};
use crate::slots::Slot;
use crate::table::VhostId;
use crate::topic::{self, Trie};

/// An exchange of one table. A dropped exchange's id leads nowhere for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId {
    number: NonZeroU32,
    birth: u32,
}

impl ExchangeId {
    pub(crate) fn new(slot: Slot<Node>, birth: u32) -> Option<Self> {
        Some(Self { number: NonZeroU32::new(slot.number())?, birth })
    }

    pub(crate) fn slot(self) -> Slot<Node> {
        Slot::from_number(self.number)
    }

    pub(crate) const fn birth(self) -> u32 {
        self.birth
    }
}

/// May such a binding be made at an exchange of this kind?
///
/// # Errors
/// 406: a headers binding with a bad `x-match`, or a topic pattern with more than
/// [`TOPIC_HASHES_MAX`](leveret_model::limits::TOPIC_HASHES_MAX) `#`.
pub fn validate_binding(kind: ExchangeKind, key: &[u8], arguments: &Arguments) -> Result<(), Refusal> {
    match kind {
        ExchangeKind::Direct | ExchangeKind::Fanout => Ok(()),
        ExchangeKind::Topic => topic::validate(key),
        ExchangeKind::Headers => headers::validate(arguments),
    }
}

/// An exchange, or a name that only bindings know so far.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) vhost: VhostId,
    pub(crate) name: Name,
    /// Tells this exchange from an earlier one in the same slot.
    pub(crate) birth: u32,
    /// `None` while only bindings speak of it.
    pub(crate) definition: Option<Box<ExchangeDefinition>>,
    pub(crate) index: Index,
    /// Bindings from here.
    pub(crate) from: Vec<Slot<Bound>>,
    /// Bindings to here.
    pub(crate) to: Vec<Slot<Bound>>,
    /// The table's generation at the last change of a route from here.
    pub(crate) generation: u64,
    /// The last walk that came by.
    pub(crate) visited: Cell<u64>,
    /// For which generation it was found out whether routes from here depend on headers, and the answer.
    pub(crate) on_headers: Cell<(u64, bool)>,
}

impl Node {
    pub(crate) fn new(vhost: VhostId, name: Name, birth: u32, generation: u64) -> Self {
        Self {
            vhost,
            name,
            birth,
            definition: None,
            index: Index::Unknown,
            from: Vec::new(),
            to: Vec::new(),
            generation,
            visited: Cell::new(0),
            on_headers: Cell::new((0, false)),
        }
    }

    /// Nothing speaks of it any more.
    pub(crate) fn is_unused(&self) -> bool {
        self.definition.is_none() && self.from.is_empty() && self.to.is_empty()
    }
}

/// How the bindings of an exchange are found.
#[derive(Debug)]
pub(crate) enum Index {
    /// The kind is not known yet.
    Unknown,
    /// The default exchange: no bindings, queues by name.
    Queues,
    /// By key.
    Direct(Direct),
    /// All.
    Fanout,
    /// By pattern.
    Topic(Trie),
    /// By criteria.
    Headers(HeadersIndex),
}

impl Index {
    pub(crate) fn new(kind: ExchangeKind, state: &FixedState) -> Self {
        match kind {
            ExchangeKind::Direct => Self::Direct(Direct::new(state.clone())),
            ExchangeKind::Fanout => Self::Fanout,
            ExchangeKind::Topic => Self::Topic(Trie::new(state.clone())),
            ExchangeKind::Headers => Self::Headers(HeadersIndex::new()),
        }
    }

    /// The binding has just entered the end of its source's list.
    pub(crate) fn insert(&mut self, bindings: &mut Bindings, slot: Slot<Bound>) {
        match self {
            Self::Unknown | Self::Queues | Self::Fanout => {}
            Self::Direct(direct) => direct.insert(bindings, slot),
            Self::Topic(trie) => trie.insert(bindings, slot),
            Self::Headers(headers) => headers.insert(bindings, slot),
        }
    }

    /// The binding is about to leave its source's list.
    pub(crate) fn remove(&mut self, bindings: &mut Bindings, slot: Slot<Bound>) {
        match self {
            Self::Unknown | Self::Queues | Self::Fanout => {}
            Self::Direct(direct) => direct.remove(bindings, slot),
            Self::Topic(trie) => trie.remove(bindings, slot),
            Self::Headers(headers) => headers.remove(bindings, slot),
        }
    }
}
