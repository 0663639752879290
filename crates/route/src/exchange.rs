//! One exchange of the table: its definition, its bindings both ways, and the index that its kind asks for.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::num::NonZeroU32;

use foldhash::fast::FixedState;
use leveret_model::definition::{ExchangeDefinition, ExchangeKind};
use leveret_model::settings::HashOn;
use leveret_model::{Arguments, Name, Refusal};

use crate::bindings::{Bindings, Bound};
use crate::direct::Direct;
use crate::hashed::{self, HashIndex, ModulusIndex};
use crate::headers::{self, HeadersIndex};
use crate::random;
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
/// 406: a headers binding with a bad `x-match`, a topic pattern with more than
/// [`TOPIC_HASHES_MAX`](leveret_model::limits::TOPIC_HASHES_MAX) `#`, a weight that is no number, or a key
/// where none is allowed.
pub fn validate_binding(kind: ExchangeKind, key: &[u8], arguments: &Arguments) -> Result<(), Refusal> {
    match kind {
        ExchangeKind::Direct | ExchangeKind::Fanout | ExchangeKind::ModulusHash | ExchangeKind::Random => {
            Ok(())
        }
        // the directory makes such binds wait
        ExchangeKind::Later => Ok(()),
        ExchangeKind::ConsistentHash => hashed::validate(key),
        ExchangeKind::LocalRandom => random::validate(key),
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
    /// Takes what no binding from here matches.
    pub(crate) alternate: Option<Slot<Self>>,
    /// The exchanges whose alternate this is.
    pub(crate) alternate_of: Vec<Slot<Self>>,
    /// The table's generation at the last change of a route from here.
    pub(crate) generation: u64,
    /// The last walk that came by.
    pub(crate) visited: Cell<u64>,
    /// For which generation it was found out whether routes from here vary between messages of one key, and
    /// the answer.
    pub(crate) varies: Cell<(u64, bool)>,
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
            alternate: None,
            alternate_of: Vec::new(),
            generation,
            visited: Cell::new(0),
            varies: Cell::new((0, false)),
        }
    }

    /// What a consistent hash exchange hashes.
    pub(crate) fn hash_on(&self) -> &HashOn {
        self.definition
            .as_ref()
            .map_or(&HashOn::RoutingKey, |exchange| &exchange.arguments.settings().hash_on)
    }

    /// Nothing speaks of it any more.
    pub(crate) fn is_unused(&self) -> bool {
        self.definition.is_none()
            && self.from.is_empty()
            && self.to.is_empty()
            && self.alternate_of.is_empty()
    }
}

/// How the bindings of an exchange are found.
#[derive(Debug)]
pub(crate) enum Index {
    /// The kind is not known yet, or of a later version: routes nothing.
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
    /// By the hash of what the definition says, and weights.
    Hash(HashIndex),
    /// By the hash of the key.
    Modulus(ModulusIndex<Slot<Bound>>),
    /// Any one.
    Random,
    /// Any one that leads to a queue of this node.
    LocalRandom,
}

impl Index {
    pub(crate) fn new(kind: ExchangeKind, state: &FixedState) -> Self {
        match kind {
            ExchangeKind::Direct => Self::Direct(Direct::new(state.clone())),
            ExchangeKind::Fanout => Self::Fanout,
            ExchangeKind::Topic => Self::Topic(Trie::new(state.clone())),
            ExchangeKind::Headers => Self::Headers(HeadersIndex::new()),
            ExchangeKind::ConsistentHash => Self::Hash(HashIndex::new()),
            ExchangeKind::ModulusHash => Self::Modulus(ModulusIndex::new()),
            ExchangeKind::Random => Self::Random,
            ExchangeKind::LocalRandom => Self::LocalRandom,
            ExchangeKind::Later => Self::Unknown,
        }
    }

    /// The binding has just entered the end of its source's list.
    pub(crate) fn insert(&mut self, bindings: &mut Bindings, slot: Slot<Bound>) {
        match self {
            Self::Unknown | Self::Queues | Self::Fanout | Self::Random | Self::LocalRandom => {}
            Self::Direct(direct) => direct.insert(bindings, slot),
            Self::Topic(trie) => trie.insert(bindings, slot),
            Self::Headers(headers) => headers.insert(bindings, slot),
            Self::Hash(hash) => hash.insert(bindings[slot].fingerprint, &bindings[slot].key),
            Self::Modulus(modulus) => modulus.insert(bindings[slot].fingerprint, slot),
        }
    }

    /// The binding is about to leave its source's list.
    pub(crate) fn remove(&mut self, bindings: &mut Bindings, slot: Slot<Bound>) {
        match self {
            Self::Unknown | Self::Queues | Self::Fanout | Self::Random | Self::LocalRandom => {}
            Self::Direct(direct) => direct.remove(bindings, slot),
            Self::Topic(trie) => trie.remove(bindings, slot),
            Self::Headers(headers) => headers.remove(bindings, slot),
            Self::Hash(hash) => hash.remove(bindings[slot].at_source),
            Self::Modulus(modulus) => modulus.remove(bindings[slot].fingerprint, slot),
        }
    }
}
