//! What a store, or a directory that was only looked at, says about its contents.

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::{Position, QueueId};

use crate::catalog::Catalog;
use crate::recovery::Recovered;
use crate::store::Store;

/// What a queue has on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOnDisk {
    /// The queue.
    pub queue: QueueId,
    /// As it was created or changed last; `None` if that is not known.
    pub definition: Option<Bytes>,
    /// Persistent messages that are there.
    pub messages: u64,
    /// The first of them.
    pub first: Option<Position>,
    /// The highest position that was ever given to one.
    pub last: Position,
    /// Marks of the queue, by key.
    pub marks: Vec<(Bytes, Bytes)>,
    /// Messages that cannot be read, as first and last.
    pub damaged: Vec<(Position, Position)>,
}

/// A register as it was written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterOnDisk {
    /// Its kind.
    pub kind: u16,
    /// Its key.
    pub key: Bytes,
    /// Its stamp.
    pub stamp: Bytes,
    /// Its value; `None`: a tombstone.
    pub value: Option<Bytes>,
}

fn queue(catalog: &Catalog, queue: QueueId) -> Option<QueueOnDisk> {
    let stored = catalog.queues.get(&queue)?;
    let damaged = catalog.damage.get(&queue).map(Vec::as_slice).unwrap_or_default();
    Some(QueueOnDisk {
        queue,
        definition: stored.definition.clone(),
        messages: stored.index.live(),
        first: stored.index.next(0).map(|(position, _)| Position(position)),
        last: Position(stored.index.last()),
        marks: stored.marks.iter().map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())).collect(),
        damaged: damaged.iter().map(|(first, last)| (Position(*first), Position(*last))).collect(),
    })
}

fn queues(catalog: &Catalog) -> Vec<QueueId> {
    let known =
        catalog.queues.iter().filter(|(_, stored)| stored.definition.is_some() || stored.index.last() > 0);
    let mut queues: Vec<QueueId> = known.map(|(queue, _)| *queue).collect();
    queues.sort_unstable_by_key(|queue| (queue.ulid, queue.generation));
    queues
}

fn registers(catalog: &Catalog) -> impl Iterator<Item = RegisterOnDisk> + '_ {
    catalog.registers.iter().map(|((kind, key), stored)| RegisterOnDisk {
        kind: *kind,
        key: Bytes::copy_from_slice(key),
        stamp: stored.stamp.clone(),
        value: stored.value.clone(),
    })
}

fn marks(catalog: &Catalog) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
    catalog.marks.iter().map(|(key, value)| (Bytes::copy_from_slice(key), value.clone()))
}

macro_rules! contents {
    ($of:ty) => {
        impl $of {
            /// Durable queues, by age.
            #[must_use]
            pub fn queues(&self) -> Vec<QueueId> {
                queues(&self.catalog)
            }

            /// What a queue has on the disk.
            #[must_use]
            pub fn queue(&self, id: QueueId) -> Option<QueueOnDisk> {
                queue(&self.catalog, id)
            }

            /// Registers and tombstones, by kind and key.
            pub fn registers(&self) -> impl Iterator<Item = RegisterOnDisk> + '_ {
                registers(&self.catalog)
            }

            /// Marks of the node, by key.
            pub fn marks(&self) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
                marks(&self.catalog)
            }
        }
    };
}

contents!(Store);
contents!(Recovered);
