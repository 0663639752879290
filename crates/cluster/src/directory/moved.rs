//! Queues whose home moves: of the records of one queue that of the highest epoch counts.
//!
//! The new home writes its record, of the next epoch, while the old one still has its own; the old one drops it
//! when everyone acts on the new one. So the queue is in two maps for a while, and in none at no time.

use alloc::vec::Vec;

use leveret_model::directory::QueueRecord;
use leveret_model::{NodeId, Position, QueueId};

use super::map::{Dropped, Op, Record, RecordKey};
use super::names::ObjectName;
use super::state::Directory;

impl Directory {
    /// A record of a queue came into a map: the life is there, unless a later home is known.
    pub(super) fn add_life(&mut self, node: NodeId, record: &QueueRecord) {
        let seen = self.queues.epochs.get(&record.id).copied().unwrap_or(0);
        if record.epoch < seen {
            return;
        }
        if record.epoch > 0 {
            self.queues.epochs.insert(record.id, record.epoch);
        }
        self.queues.lives.entry(ObjectName::of_queue(record)).or_default().insert(record.id, node);
    }

    /// A record of a queue left a map. An older home does not come back by that.
    pub(super) fn remove_life(&mut self, node: NodeId, record: &QueueRecord) {
        let name = ObjectName::of_queue(record);
        if let Some(lives) = self.queues.lives.get_mut(&name)
            && lives.get(&record.id) == Some(&node)
        {
            lives.remove(&record.id);
        }
        let key = RecordKey::Queue(record.id);
        let remembered = self.queues.epochs.contains_key(&record.id);
        if remembered && !self.maps.values().any(|map| map.records.contains_key(&key)) {
            self.queues.epochs.remove(&record.id);
        }
    }

    /// The map that had the queue rests on others that are not here in that version.
    pub(super) fn is_behind(&self, id: QueueId) -> bool {
        let Some((record, _)) = self.published.queues.get(&id) else { return false };
        let home = record.home.node;
        let Some(map) = self.maps.get(&home).filter(|_| home != self.own) else { return false };
        map.rests_on.iter().any(|(&other, &version)| {
            other != self.own && !self.standing(other).is_down() && self.version_of(other) < version
        })
    }

    /// More of the maps is here: what waited for that is looked at again.
    pub(super) fn take_postponed(&mut self) {
        let postponed = core::mem::take(&mut self.queues.postponed);
        self.dirty.queues.extend(postponed);
    }

    /// Whose map has the life of a queue that counts.
    pub(crate) fn life_of(&self, id: QueueId) -> Option<NodeId> {
        let key = RecordKey::Queue(id);
        let holder = self.maps.values().find_map(|map| map.records.get(&key))?;
        let Record::Queue { record, .. } = holder else { return None };
        self.queues.lives.get(&ObjectName::of_queue(record))?.get(&id).copied()
    }

    /// A node's map has a record of the queue.
    pub(crate) fn has_record(&self, node: NodeId, id: QueueId) -> bool {
        self.queue_record(node, id).is_some()
    }

    /// Queues of this node's map that can live elsewhere. An exclusive one lives and ends with its connection;
    /// a proposal stands or goes before that.
    fn movable(&self) -> impl Iterator<Item = (QueueId, bool)> {
        self.maps[&self.own].records.values().filter_map(|record| match record {
            Record::Queue { record, standing } => {
                record.definition.exclusive.is_none().then_some((record.id, *standing))
            }
            _ => None,
        })
    }

    /// Queues of this node that can live elsewhere, and stand.
    pub(crate) fn own_queue_ids(&self) -> Vec<QueueId> {
        self.movable().filter(|(_, standing)| *standing).map(|(id, _)| id).collect()
    }

    /// How many queues this node's map has that can live elsewhere.
    pub(crate) fn own_queues(&self) -> usize {
        self.movable().count()
    }

    /// The bindings of a queue of this node.
    pub(crate) fn own_bindings(&self, id: QueueId) -> Vec<Record> {
        self.maps[&self.own].bindings_of(id).map(|(_, record)| record.clone()).collect()
    }

    /// Another home has a queue of this node's map, by a later epoch.
    pub(crate) fn is_superseded(&self, id: QueueId) -> bool {
        let seen = self.queues.epochs.get(&id).copied().unwrap_or(0);
        self.own_queue(id).is_some_and(|record| record.epoch < seen)
    }

    /// The new home serves, for everyone: this node's record goes.
    pub(crate) fn drop_moved(&mut self, id: QueueId) {
        self.drop_bindings(id);
        self.write(Op::Drop(Dropped::Queue(id)));
    }

    /// Another home has had all messages of a queue below that place.
    pub(crate) fn note_shared(&mut self, id: QueueId, below: Position) {
        self.stored.note_shared(id, below);
    }

    /// This node serves a queue again that it had yielded: under an epoch that beats the one it gave away.
    pub(crate) fn raise_epoch(&mut self, id: QueueId) {
        let Some(record) = self.own_queue(id).cloned() else { return };
        let epoch = record.epoch + 2;
        for binding in self.own_bindings(id) {
            if let Record::Binding { queue, lamport, binding, .. } = binding {
                self.write(Op::Put(Record::Binding { queue, epoch, lamport, binding }));
            }
        }
        let record = QueueRecord { epoch, ..record };
        self.write(Op::Put(Record::Queue { record, standing: true }));
    }

    /// The queue is about to move: no merge changes it.
    pub(crate) fn freeze(&mut self, id: QueueId) {
        self.queues.frozen.insert(id);
    }

    /// It does not move any more.
    pub(crate) fn unfreeze(&mut self, id: QueueId) {
        self.queues.frozen.remove(&id);
        if let Some(record) = self.own_queue(id) {
            let name = ObjectName::of_queue(record);
            self.contested.again.insert(name);
        }
    }

    /// A life of this name is about to leave this node.
    pub(super) fn is_frozen(&self, name: &ObjectName) -> bool {
        let lives = self.queues.lives.get(name);
        lives.is_some_and(|lives| lives.keys().any(|id| self.queues.frozen.contains(id)))
    }
}
