//! Steps of a map to and from the entries of a frame.
//!
//! An entry of an unknown kind is taken as it is, because it is kept and handed on (P8). An entry of a known
//! kind whose bytes cannot be read is [`Damage`]. The value of a register is not read here: a later version may
//! have written it in a way that this one cannot hold.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_model::Ulid;
use leveret_model::definition::{Binding, ExchangeDefinition};
use leveret_model::directory::QueueRecord;
use prost::Message;

use super::record::{BindingTime, BoundQueue, Entry, EntryForm, Owned, Proposal, Queue, Register, kind};
use crate::directory::known_registers;
use crate::directory::map::{Dropped, Op, Record};
use crate::directory::names::ObjectName;
use crate::directory::register::{self, RegisterKey, RegisterKind, Stamp};
use crate::encoding::{self, messages};

pub(crate) fn op_out(op: Op) -> Entry {
    let form = match op {
        Op::Put(Record::Register(register)) => EntryForm::Register(register_out(register)),
        Op::Put(record) => EntryForm::Owned(record_out(record)),
        Op::Drop(Dropped::Queue(id)) => dropped(kind::QUEUE, messages::QueueId::from(id).encode_to_vec()),
        Op::Drop(Dropped::Binding(queue, binding)) => {
            let key = BoundQueue { queue: queue.into(), binding: (&*binding).into() };
            dropped(kind::QUEUE_BINDING, key.encode_to_vec())
        }
        Op::Drop(Dropped::Proposal(id)) => {
            dropped(kind::EXCHANGE_PROPOSAL, messages::Id::from(id.0).encode_to_vec())
        }
        Op::Drop(Dropped::Unknown(kind, key)) => dropped(kind, key.into()),
    };
    Entry { form: Some(form) }
}

fn dropped(kind: u32, key: Vec<u8>) -> EntryForm {
    EntryForm::Owned(Owned { kind, key, value: None })
}

fn register_out(register: register::Register) -> Register {
    Register {
        kind: register.key.kind.0,
        key: register.key.key.into(),
        lamport: register.stamp.lamport,
        writer: register.stamp.node.into(),
        deleted_lamport: register.deleted,
        value: register.value.map(Into::into),
    }
}

fn record_out(record: Record) -> Owned {
    let (kind, key, value) = match record {
        Record::Queue { record, standing } => {
            let definition = (&*record.definition).into();
            let queue = Queue { definition, home: record.home.into(), epoch: record.epoch, standing };
            (kind::QUEUE, messages::QueueId::from(record.id).encode_to_vec(), queue.encode_to_vec())
        }
        Record::Binding { queue, epoch, lamport, binding } => {
            let key = BoundQueue { queue: queue.into(), binding: (&binding).into() };
            let value = BindingTime { epoch, lamport };
            (kind::QUEUE_BINDING, key.encode_to_vec(), value.encode_to_vec())
        }
        Record::Proposal { id, name, value } => {
            let name = messages::ObjectName { vhost: name.vhost.to_string(), name: name.name.to_string() };
            let value = Proposal { name, exchange: value.as_ref().map(Into::into) };
            (kind::EXCHANGE_PROPOSAL, messages::Id::from(id.0).encode_to_vec(), value.encode_to_vec())
        }
        Record::Unknown { kind, key, value } => (kind, key.into(), value.into()),
        Record::Register(_) => unreachable!("a register has a form of its own"),
    };
    Owned { kind, key, value: Some(value) }
}

pub(crate) fn op_in(entry: Entry) -> Result<Op, Damage> {
    match entry.form.ok_or(Damage::Value("form of entry"))? {
        EntryForm::Register(register) => register_in(register),
        EntryForm::Owned(owned) => owned_in(owned),
    }
}

fn register_in(register: Register) -> Result<Op, Damage> {
    let key = RegisterKey { kind: RegisterKind(register.kind), key: register.key.into() };
    if key.kind.is_known() && known_registers::subject(&key).is_none() {
        return Err(Damage::Value("key of register"));
    }
    Ok(Op::Put(Record::Register(register::Register {
        key,
        stamp: Stamp { lamport: register.lamport, node: register.writer.into() },
        deleted: register.deleted_lamport,
        value: register.value.map(Into::into),
    })))
}

fn owned_in(owned: Owned) -> Result<Op, Damage> {
    let Owned { kind, key, value } = owned;
    Ok(match (kind, value) {
        (kind::QUEUE, Some(value)) => {
            let queue: Queue = read(&value)?;
            let record = QueueRecord {
                definition: Arc::new((&queue.definition).try_into()?),
                id: read::<messages::QueueId>(&key)?.into(),
                home: queue.home.try_into()?,
                epoch: queue.epoch,
            };
            Op::Put(Record::Queue { record, standing: queue.standing })
        }
        (kind::QUEUE, None) => Op::Drop(Dropped::Queue(read::<messages::QueueId>(&key)?.into())),
        (kind::QUEUE_BINDING, Some(value)) => {
            let bound: BoundQueue = read(&key)?;
            let BindingTime { epoch, lamport } = read(&value)?;
            let binding = queue_binding(&bound)?;
            Op::Put(Record::Binding { queue: bound.queue.into(), epoch, lamport, binding })
        }
        (kind::QUEUE_BINDING, None) => {
            let bound: BoundQueue = read(&key)?;
            Op::Drop(Dropped::Binding(bound.queue.into(), Box::new(queue_binding(&bound)?)))
        }
        (kind::EXCHANGE_PROPOSAL, Some(value)) => {
            let proposal: Proposal = read(&value)?;
            Op::Put(Record::Proposal {
                id: proposal_id(&key)?,
                name: ObjectName {
                    vhost: encoding::name(&proposal.name.vhost)?,
                    name: encoding::name(&proposal.name.name)?,
                },
                value: proposal.exchange.as_ref().map(ExchangeDefinition::try_from).transpose()?,
            })
        }
        (kind::EXCHANGE_PROPOSAL, None) => Op::Drop(Dropped::Proposal(proposal_id(&key)?)),
        (kind, Some(value)) => Op::Put(Record::Unknown { kind, key: key.into(), value: value.into() }),
        (kind, None) => Op::Drop(Dropped::Unknown(kind, key.into())),
    })
}

fn read<M: Message + Default>(bytes: &[u8]) -> Result<M, Damage> {
    M::decode(bytes).map_err(|_| Damage::Value("entry of a map"))
}

fn proposal_id(key: &[u8]) -> Result<Ulid, Damage> {
    Ok(Ulid(read::<messages::Id>(key)?.into()))
}

fn queue_binding(bound: &BoundQueue) -> Result<Binding, Damage> {
    if bound.binding.to_exchange {
        return Err(Damage::Value("destination"));
    }
    (&bound.binding).try_into()
}

#[cfg(test)]
mod tests;
