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
use leveret_model::{Instant, QueueId, ShardAddress, ShardId, limits};
use prost::Message as _;

use crate::control::Control;
use crate::directory::known_registers::{self, Subject};
use crate::directory::map::{Dropped, Op, Record, RecordKey};
use crate::directory::names::{BindingKey, ObjectName};
use crate::directory::register::{Register, RegisterKey};
use crate::directory::state::Directory;
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
    /// Queues that were on the disk at the start.
    restored: BTreeSet<QueueId>,
}

impl Stored {
    /// What the store keeps of a step of the own map; `None`: nothing.
    pub(crate) fn step_of(&mut self, op: &Op, directory: &Directory) -> Option<StoreStep> {
        match op {
            Op::Put(Record::Queue { record, .. }) => {
                let lasts = record.definition.durable && record.definition.exclusive.is_none();
                lasts.then(|| {
                    self.queues.insert(record.id);
                    StoreStep::Queue { id: record.id, definition: bytes_of(op.clone()) }
                })
            }
            Op::Drop(Dropped::Queue(id)) => {
                self.queues.remove(id).then_some(StoreStep::QueueGone { id: *id })
            }
            Op::Put(Record::Binding { queue, binding, .. }) => {
                let key = BindingKey::of(binding);
                let lasts = self.queues.contains(queue) && lasts(directory, &key.source());
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
            Op::Put(Record::Register(register)) => self.register(register, directory),
            // a proposal ends with its process, and a record of a later version is for that one to write
            Op::Put(Record::Proposal { .. } | Record::Unknown { .. })
            | Op::Drop(Dropped::Proposal(_) | Dropped::Unknown(..)) => None,
        }
    }

    fn register(&mut self, register: &Register, directory: &Directory) -> Option<StoreStep> {
        let lasts = match known_registers::subject(&register.key) {
            Some(Subject::Exchange(_)) => register.value.is_some() && !is_transient(register),
            Some(Subject::ExchangeBinding(binding)) => {
                lasts(directory, &binding.source()) && lasts(directory, &binding.destination())
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
    fn note(&mut self, record: &Record) {
        match record {
            Record::Queue { record, .. } => {
                self.queues.insert(record.id);
                self.restored.insert(record.id);
            }
            Record::Register(register) => {
                self.registers.insert(register.key.clone());
            }
            Record::Binding { .. } | Record::Proposal { .. } | Record::Unknown { .. } => {}
        }
    }
}

/// An exchange is there after a restart; those that a vhost always has are not in the map.
fn lasts(directory: &Directory, exchange: &ObjectName) -> bool {
    directory.published().exchanges.get(exchange).is_none_or(|exchange| exchange.durable)
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
fn read(bytes: &[u8]) -> Option<Record> {
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

/// The same one, unless the node has fewer shards than before.
fn shard_among(shard: ShardId, shards: u8) -> ShardId {
    ShardId(shard.0 % shards.max(1))
}

impl Control {
    /// Steps of the own map, for the store.
    pub(crate) fn store_steps(&mut self, ops: &[Op]) {
        let mut stored = core::mem::take(&mut self.directory.stored);
        let steps = ops.iter().filter_map(|op| stored.step_of(op, &self.directory));
        self.effects.store.extend(steps);
        self.directory.stored = stored;
    }

    /// What the store had of this node's map: queues, then everything else. To be called before anything else.
    /// Gives how many records could not be read.
    pub fn restore(&mut self, now: Instant, queues: &[Vec<u8>], registers: &[Vec<u8>]) -> usize {
        let mut unread = 0;
        let read = |bytes: &Vec<u8>| {
            let record = read(bytes);
            unread += usize::from(record.is_none());
            record
        };
        let records: Vec<Record> = queues.iter().chain(registers).filter_map(read).collect();
        // bindings last: they look at the others
        let (first, then): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| matches!(record, Record::Register(_) | Record::Queue { .. }));
        for record in first.into_iter().chain(then) {
            if let Some(record) = self.as_restored(record) {
                self.directory.stored.note(&record);
                self.directory.write(Op::Put(record));
            }
        }
        // the store has it, and nobody else is there yet
        let _ = self.directory.take_delta();
        self.settle_inputs(now);
        unread
    }

    /// A map is here. A queue that this node had before a restart, and that another home has with a later epoch,
    /// moved there before: the copy on this disk goes.
    pub(crate) fn drop_superseded(&mut self) {
        let Self { directory, moves, .. } = self;
        let superseded: Vec<QueueId> = directory
            .stored
            .restored
            .iter()
            .filter(|id| directory.is_superseded(**id) && !moves.is_outgoing(**id))
            .copied()
            .collect();
        for id in superseded {
            self.directory.stored.restored.remove(&id);
            self.directory.drop_moved(id);
            self.desk.recheck();
        }
    }

    fn as_restored(&self, record: Record) -> Option<Record> {
        match record {
            Record::Queue { mut record, .. } => {
                let shard = shard_among(record.home.shard, self.config.shards);
                record.home = ShardAddress { node: self.own(), shard };
                // nobody waits for the votes of a proposal any more; a rival of the same name is merged (R3)
                Some(Record::Queue { record, standing: true })
            }
            Record::Binding { queue, ref binding, .. } => {
                let map = self.directory.map(self.own())?;
                let name = BindingKey::of(binding).source();
                let source = map.records.get(&RecordKey::Register(known_registers::exchange_key(&name)));
                // of an exchange that was not durable its bindings go too, as in RabbitMQ
                let ended = matches!(source, Some(Record::Register(register))
                    if register.value.is_none() && register.deleted < register.stamp.lamport);
                let there = map.records.contains_key(&RecordKey::Queue(queue));
                (there && !ended).then_some(record)
            }
            record => Some(record),
        }
    }
}
