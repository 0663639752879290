//! Steps of a map from and to the entries of a frame.

use alloc::boxed::Box;
use alloc::string::ToString;

use leveret_link::Damage;
use leveret_model::Ulid;
use leveret_model::definition::{Binding, ExchangeDefinition};
use leveret_model::directory::QueueRecord;

use super::convert;
use super::record::{
    Entry, EntryKind, ExchangeBindingRegister, ExchangeProposal, ExchangeRegister, QueueBinding,
};
use crate::directory::map::{Dropped, ObjectName, Op, Record, Stamp};

pub(super) fn op_out(op: Op) -> Entry {
    let kind = match op {
        Op::Put(Record::Queue { record, standing: true }) => EntryKind::PutQueue((&record).into()),
        Op::Put(Record::Queue { record, standing: false }) => EntryKind::ProposeQueue((&record).into()),
        Op::Put(Record::Binding { queue, epoch, lamport, binding }) => EntryKind::PutBinding(QueueBinding {
            binding: (&binding).into(),
            queue: queue.into(),
            epoch,
            lamport,
        }),
        Op::Put(Record::Exchange { name, stamp, deleted, value }) => EntryKind::Exchange(ExchangeRegister {
            vhost: name.vhost.to_string(),
            name: name.name.to_string(),
            lamport: stamp.lamport,
            writer: stamp.node.into(),
            deleted_lamport: deleted,
            exchange: value.as_ref().map(Into::into),
        }),
        Op::Put(Record::ExchangeBinding { binding, stamp, present }) => {
            EntryKind::ExchangeBinding(ExchangeBindingRegister {
                binding: (&binding).into(),
                lamport: stamp.lamport,
                writer: stamp.node.into(),
                present,
            })
        }
        Op::Put(Record::Proposal { id, name, value }) => EntryKind::ProposeExchange(ExchangeProposal {
            id: id.0.into(),
            vhost: name.vhost.to_string(),
            name: name.name.to_string(),
            exchange: value.as_ref().map(Into::into),
        }),
        Op::Drop(Dropped::Queue(id)) => EntryKind::DropQueue(id.into()),
        Op::Drop(Dropped::Binding(queue, binding)) => EntryKind::DropBinding(QueueBinding {
            binding: (&*binding).into(),
            queue: queue.into(),
            epoch: 0,
            lamport: 0,
        }),
        Op::Drop(Dropped::Proposal(id)) => EntryKind::DropProposal(id.0.into()),
    };
    Entry { kind: Some(kind) }
}

pub(super) fn op_in(entry: Entry) -> Result<Op, Damage> {
    // an entry of a later version cannot be kept apart from a gap: the map is of no use to this one
    Ok(match entry.kind.ok_or(Damage::Value("kind of record"))? {
        EntryKind::PutQueue(queue) => {
            Op::Put(Record::Queue { record: QueueRecord::try_from(&queue)?, standing: true })
        }
        EntryKind::ProposeQueue(queue) => {
            Op::Put(Record::Queue { record: QueueRecord::try_from(&queue)?, standing: false })
        }
        EntryKind::PutBinding(bound) => Op::Put(Record::Binding {
            queue: bound.queue.into(),
            epoch: bound.epoch,
            lamport: bound.lamport,
            binding: Binding::try_from(&bound.binding)?,
        }),
        EntryKind::Exchange(register) => Op::Put(Record::Exchange {
            name: object_in(&register.vhost, &register.name)?,
            stamp: Stamp { lamport: register.lamport, node: register.writer.into() },
            deleted: register.deleted_lamport,
            value: register.exchange.as_ref().map(ExchangeDefinition::try_from).transpose()?,
        }),
        EntryKind::ExchangeBinding(register) => Op::Put(Record::ExchangeBinding {
            binding: Binding::try_from(&register.binding)?,
            stamp: Stamp { lamport: register.lamport, node: register.writer.into() },
            present: register.present,
        }),
        EntryKind::ProposeExchange(proposal) => Op::Put(Record::Proposal {
            id: Ulid(proposal.id.into()),
            name: object_in(&proposal.vhost, &proposal.name)?,
            value: proposal.exchange.as_ref().map(ExchangeDefinition::try_from).transpose()?,
        }),
        EntryKind::DropQueue(id) => Op::Drop(Dropped::Queue(id.into())),
        EntryKind::DropBinding(bound) => {
            Op::Drop(Dropped::Binding(bound.queue.into(), Box::new(Binding::try_from(&bound.binding)?)))
        }
        EntryKind::DropProposal(id) => Op::Drop(Dropped::Proposal(Ulid(id.into()))),
    })
}

fn object_in(vhost: &str, name: &str) -> Result<ObjectName, Damage> {
    Ok(ObjectName { vhost: convert::name(vhost)?, name: convert::name(name)? })
}
