//! What of the own map outlives the process: records for the store, and how they come back at the start.
//!
//! Durable queues with their bindings, and the registers: exchanges, bindings between them, policies, and what
//! this node wrote last of kinds that it does not know. Drawn in docs/formats/store.md §2. The bytes are those
//! of an entry in a control frame ([`frame::record`](crate::frame)), so that a record has one form.
//!
//! Invariant: a record leaves to shards and peers in the same effects as its step for the store, or later; the
//! driver hands the steps over first.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::definition::DestinationKind;
use leveret_model::directory::QueueRecord;
use leveret_model::{Name, Position, QueueId, ShardId, limits};
use prost::Message as _;

use crate::directory::known_registers::{self, Subject};
use crate::directory::map::{Dropped, Op, Record};
use crate::directory::names::{BindingKey, ObjectName};
use crate::directory::published_state::PublishedState;
use crate::directory::register::{Register, RegisterKey};
use crate::frame::entry::{op_in, op_out};
use crate::frame::record::Entry;

/// Kinds of registers in the store. A number is never given to another kind.
const BINDING: u16 = 1;
const REGISTER: u16 = 2;

/// A change of what the store keeps of this node's map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreStep {
    /// A durable queue is so.
    Queue {
        /// Which one.
        id: QueueId,
        /// Its record.
        definition: Vec<u8>,
    },
    /// A durable queue is gone from here, with what it holds.
    QueueGone {
        /// Which one.
        id: QueueId,
    },
    /// Another home has had all messages of a durable queue below a place: they moved there, or came from
    /// there.
    Shared {
        /// Which queue.
        id: QueueId,
        /// That place.
        below: Position,
    },
    /// A register of the store is so.
    Register {
        /// Its kind there.
        kind: u16,
        /// Its key.
        key: Vec<u8>,
        /// Its record.
        value: Vec<u8>,
    },
    /// A register of the store is not needed any more.
    RegisterGone {
        /// Its kind there.
        kind: u16,
        /// Its key.
        key: Vec<u8>,
    },
}

/// What the store has of the own map, so that a node without anything durable has no store.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    queues: BTreeSet<QueueId>,
    registers: BTreeSet<RegisterKey>,
    /// Queues that other homes serve, and of which nothing is left here that those do not have.
    pub(crate) drained: BTreeSet<QueueId>,
    /// Of queues that moved, since the last steps.
    shared: Vec<(QueueId, Position)>,
}

impl Stored {
    /// Queues among these steps are known from now on: the bindings of one that moved here are in front of it.
    pub(crate) fn expect(&mut self, ops: &[Op]) {
        let lasting = ops.iter().filter_map(|op| match op {
            Op::Put(Record::Queue { record, .. }) if outlives(record) => Some(record.id),
            _ => None,
        });
        self.queues.extend(lasting);
    }

    /// A queue moved, with all messages below that place.
    pub(crate) fn note_shared(&mut self, id: QueueId, below: Position) {
        self.shared.push((id, below));
    }

    /// That, for the store: behind the step that says that the queue is here.
    pub(crate) fn take_shared(&mut self) -> impl Iterator<Item = StoreStep> + '_ {
        let shared = core::mem::take(&mut self.shared);
        let lasting = shared.into_iter().filter(|(id, _)| self.queues.contains(id));
        lasting.map(|(id, below)| StoreStep::Shared { id, below })
    }

    /// What the store keeps of a step of the own map; `None`: nothing.
    pub(crate) fn step_of(&mut self, op: &Op, published: &PublishedState) -> Option<StoreStep> {
        match op {
            Op::Put(Record::Queue { record, .. }) => outlives(record).then(|| {
                self.queues.insert(record.id);
                StoreStep::Queue { id: record.id, definition: bytes_of(op.clone()) }
            }),
            Op::Drop(Dropped::Queue(id)) => {
                self.queues.remove(id).then_some(StoreStep::QueueGone { id: *id })
            }
            Op::Put(Record::Binding { queue, binding, .. }) => {
                let key = BindingKey::of(binding);
                let lasts = self.queues.contains(queue) && lasts(published, &key.source());
                lasts.then(|| StoreStep::Register {
                    kind: BINDING,
                    key: binding_key(*queue, &key),
                    value: bytes_of(op.clone()),
                })
            }
            Op::Drop(Dropped::Binding(queue, binding)) => {
                let key = binding_key(*queue, &BindingKey::of(binding));
                self.queues.contains(queue).then_some(StoreStep::RegisterGone { kind: BINDING, key })
            }
            Op::Put(Record::Register(register)) => self.register(register, published),
            // a proposal ends with its process, and a record of a later version is for that one to write
            Op::Put(Record::Proposal { .. } | Record::Unknown { .. })
            | Op::Drop(Dropped::Proposal(_) | Dropped::Unknown(..)) => None,
        }
    }

    fn register(&mut self, register: &Register, published: &PublishedState) -> Option<StoreStep> {
        let lasts = match known_registers::subject(&register.key) {
            Some(Subject::Exchange(_)) => register.value.is_some() && !is_transient(register),
            Some(Subject::ExchangeBinding(binding)) => {
                lasts(published, &binding.source()) && lasts(published, &binding.destination())
            }
            Some(Subject::Policy(_)) | None => true,
        };
        // one that was durable once is written over by whatever it is now
        if !lasts && !self.registers.contains(&register.key) {
            return None;
        }
        self.registers.insert(register.key.clone());
        let mut key = Vec::from(register.key.kind.0.to_le_bytes());
        key.extend_from_slice(&register.key.key);
        let value = bytes_of(Op::Put(Record::Register(lasting(register))));
        Some(StoreStep::Register { kind: REGISTER, key: short(key), value })
    }

    /// The store had this at the start.
    pub(crate) fn note(&mut self, record: &Record) {
        match record {
            Record::Queue { record, .. } => {
                self.queues.insert(record.id);
            }
            Record::Register(register) => {
                self.registers.insert(register.key.clone());
            }
            Record::Binding { .. } | Record::Proposal { .. } | Record::Unknown { .. } => {}
        }
    }
}

/// An exchange is there after a restart; those that a vhost always has are not in the map.
fn lasts(published: &PublishedState, exchange: &ObjectName) -> bool {
    published.exchanges.get(exchange).is_none_or(|exchange| exchange.durable)
}

fn is_transient(register: &Register) -> bool {
    let exchange = register.value.as_deref().and_then(known_registers::exchange_in);
    exchange.is_some_and(|exchange| !exchange.durable)
}

/// A register as it is after a restart: an exchange that is not durable has no value then, under the same
/// stamp, so that the write of another node that still has it counts.
fn lasting(register: &Register) -> Register {
    let exchange = matches!(known_registers::subject(&register.key), Some(Subject::Exchange(_)));
    let ends = exchange && is_transient(register);
    Register { value: register.value.clone().filter(|_| !ends), ..register.clone() }
}

fn bytes_of(op: Op) -> Vec<u8> {
    op_out(op).encode_to_vec()
}

fn binding_key(queue: QueueId, binding: &BindingKey) -> Vec<u8> {
    let mut key = Vec::from(queue.generation.to_le_bytes());
    key.extend_from_slice(&queue.ulid.0.to_le_bytes());
    for name in [&binding.vhost, &binding.source, &binding.destination] {
        key.push(name.len() as u8);
        key.extend_from_slice(name.as_bytes());
    }
    key.push(matches!(binding.kind, DestinationKind::Queue).into());
    key.push(binding.key.len() as u8);
    key.extend_from_slice(&binding.key);
    key.extend_from_slice(&binding.arguments);
    short(key)
}

/// The queue outlives its node's process.
fn outlives(record: &QueueRecord) -> bool {
    record.definition.durable && record.definition.exclusive.is_none()
}

/// A key that the store takes: of a longer one its front and a hash of all of it (FNV-1a, 128 bits).
fn short(mut key: Vec<u8>) -> Vec<u8> {
    if key.len() > limits::STORE_KEY_BYTES_MAX {
        let hash = key.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
        });
        key.truncate(limits::STORE_KEY_BYTES_MAX - size_of::<u128>());
        key.extend_from_slice(&hash.to_le_bytes());
    }
    key
}

/// What a record in the store says.
pub(crate) fn read(bytes: &[u8]) -> Option<Record> {
    match op_in(Entry::decode(bytes).ok()?).ok()? {
        Op::Put(record) => Some(record),
        Op::Drop(_) => None,
    }
}

/// The shard that a stored queue belongs to on a node of so many shards; `None` if the record cannot be read.
#[must_use]
pub fn stored_shard(definition: &[u8], shards: u8) -> Option<ShardId> {
    let Record::Queue { record, .. } = read(definition)? else { return None };
    Some(shard_among(record.home.shard, shards))
}

/// Vhost and name of a stored queue; `None` if the record cannot be read.
#[must_use]
pub fn stored_name(definition: &[u8]) -> Option<(Name, Name)> {
    let Record::Queue { record, .. } = read(definition)? else { return None };
    Some((record.definition.vhost.clone(), record.definition.name.clone()))
}

/// The same one, unless the node has fewer shards than before.
pub(crate) fn shard_among(shard: ShardId, shards: u8) -> ShardId {
    ShardId(shard.0 % shards.max(1))
}
