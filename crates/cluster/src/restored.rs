//! The own map on its way to the store, and back from it after a restart.

use alloc::vec::Vec;

use leveret_model::{Instant, QueueId, ShardAddress};

use crate::control::Control;
use crate::directory::known_registers;
use crate::directory::map::{Op, Record, RecordKey};
use crate::directory::names::BindingKey;
use crate::stored::{read, shard_among};

impl Control {
    /// Steps of the own map, for the store.
    pub(crate) fn store_steps(&mut self, ops: &[Op]) {
        let mut stored = core::mem::take(&mut self.directory.stored);
        stored.expect(ops);
        let steps = ops.iter().filter_map(|op| stored.step_of(op, self.directory.published()));
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

    /// Of a queue that moved, for the store.
    pub(crate) fn store_shared(&mut self) {
        let Self { directory, effects, .. } = self;
        effects.store.extend(directory.stored.take_shared());
    }

    /// A shard has nothing any more of a queue that this node had before a restart, and that another home has
    /// with a later epoch: it moved there before, and what came here since is there too.
    pub(crate) fn on_drained(&mut self, id: QueueId) {
        self.directory.stored.drained.insert(id);
    }

    /// The copies on this disk of what was drained go.
    pub(crate) fn drop_superseded(&mut self) {
        let Self { directory, moves, .. } = self;
        let drained = core::mem::take(&mut directory.stored.drained);
        let (over, wait): (Vec<QueueId>, Vec<QueueId>) =
            drained.into_iter().partition(|id| !moves.is_outgoing(*id));
        directory.stored.drained.extend(wait);
        for id in over {
            // one that is home again is served again
            if self.directory.is_superseded(id) {
                self.directory.drop_moved(id);
                self.desk.recheck();
            }
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
