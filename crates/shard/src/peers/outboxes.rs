//! All outboxes of a shard.
//!
//! Invariants: an index lives as long as a place refers to it, or as the node is known; an outbox with
//! something to flush is in `touched`, once, so the end of a turn costs nothing for those that nobody wrote to.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_link::Batch;
use leveret_link::credit::Cost;
use leveret_link::record::Record;
use leveret_model::{NodeId, Seed, ShardAddress};

use super::outbox::{Outbox, PublishSerial};

/// An outbox of this shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OutboxIndex(u32);

#[derive(Debug)]
pub(crate) struct Outboxes {
    own: NodeId,
    /// What may be unprocessed at one other shard.
    window: Cost,
    slots: Vec<Option<Outbox>>,
    vacant: Vec<OutboxIndex>,
    by_address: HashMap<ShardAddress, OutboxIndex, FixedState>,
    /// Nodes with a link.
    up: Vec<NodeId>,
    /// Nodes that will not come back as the start that they were, and to which an entry of a queue still
    /// refers.
    forgotten: Vec<NodeId>,
    touched: Vec<OutboxIndex>,
    /// The last publish that went to several queues.
    last_publish: PublishSerial,
    /// Kinds of records that shards sent and this version does not know.
    unknown: BTreeSet<(ShardAddress, u8)>,
    /// Of these, those that were not told of yet.
    unknown_news: Vec<(ShardAddress, u8)>,
    /// Records that were skipped so.
    unknown_records: u64,
}

impl Outboxes {
    /// A shard of a later version sent a record of a kind that this one does not know (P8: kept by its sender,
    /// skipped here).
    #[cold]
    pub(crate) fn note_unknown(&mut self, from: ShardAddress, kind: u8) {
        self.unknown_records += 1;
        if self.unknown.insert((from, kind)) {
            self.unknown_news.push((from, kind));
        }
    }

    /// Records of unknown kinds so far.
    pub(crate) fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    /// Kinds that came for the first time.
    pub(crate) fn take_unknown(&mut self, into: &mut Vec<(ShardAddress, u8)>) {
        into.append(&mut self.unknown_news);
    }

    pub(crate) fn new(own: NodeId, seed: Seed) -> Self {
        Self {
            own,
            window: Cost::WINDOW,
            slots: Vec::new(),
            vacant: Vec::new(),
            by_address: HashMap::with_hasher(FixedState::with_seed(seed.0)),
            up: Vec::new(),
            forgotten: Vec::new(),
            touched: Vec::new(),
            last_publish: PublishSerial::default(),
            unknown: BTreeSet::new(),
            unknown_news: Vec::new(),
            unknown_records: 0,
        }
    }

    /// What may be unprocessed at one other shard; to be set before anything else.
    pub(crate) fn set_window(&mut self, window: Cost) {
        self.window = window;
    }

    /// hot.
    pub(crate) fn at(&mut self, index: OutboxIndex) -> &mut Outbox {
        let outbox = self.slots[index.0 as usize].as_mut().expect("an index lives as long as its outbox");
        if !outbox.touched {
            outbox.touched = true;
            self.touched.push(index);
        }
        outbox
    }

    /// Consumers there get deliveries now.
    pub(crate) fn takes_deliveries(&self, to: ShardAddress) -> bool {
        let outbox = self.by_address.get(&to).and_then(|index| self.slots[index.0 as usize].as_ref());
        outbox.is_some_and(Outbox::takes_deliveries)
    }

    /// Records go there now.
    pub(crate) fn is_up(&self, index: OutboxIndex) -> bool {
        self.slots[index.0 as usize].as_ref().is_some_and(Outbox::is_up)
    }

    /// Records go to that shard now.
    pub(crate) fn takes_records(&self, to: ShardAddress) -> bool {
        to.node == self.own || self.up.contains(&to.node)
    }

    /// Shards that may not have read yet what they were sent.
    pub(crate) fn unprocessed(&self) -> Vec<ShardAddress> {
        self.slots.iter().flatten().filter(|outbox| outbox.is_unprocessed()).map(|outbox| outbox.to).collect()
    }

    /// Records that wait at one, bytes.
    pub(crate) fn waiting_bytes_at(&self, index: OutboxIndex) -> u64 {
        self.slots[index.0 as usize].as_ref().map_or(0, Outbox::waiting_bytes)
    }

    /// A publish to several queues begins: its number, by which an outbox knows that it has the message. hot.
    #[inline]
    pub(crate) fn next_publish(&mut self) -> PublishSerial {
        self.last_publish.0 += 1;
        self.last_publish
    }

    /// The outbox for a shard that can be reached, or for which something is kept.
    pub(crate) fn find(&mut self, to: ShardAddress) -> Option<OutboxIndex> {
        if let Some(index) = self.by_address.get(&to) {
            return Some(*index);
        }
        (to.node == self.own || self.up.contains(&to.node)).then(|| self.open(to))
    }

    /// The same, to be written to.
    pub(crate) fn to(&mut self, to: ShardAddress) -> Option<&mut Outbox> {
        self.find(to).map(|index| self.at(index))
    }

    /// A record for a shard; without a way there it is dropped, as by [`Outbox::push`].
    pub(crate) fn push(&mut self, to: ShardAddress, record: &Record<'_>) {
        if let Some(outbox) = self.to(to) {
            outbox.push(record);
        }
    }

    /// A queue there gets an entry in this shard.
    pub(crate) fn join(&mut self, to: ShardAddress) -> OutboxIndex {
        let index = self.by_address.get(&to).copied().unwrap_or_else(|| self.open(to));
        self.at(index).places += 1;
        index
    }

    /// A queue there has no entry any more.
    pub(crate) fn leave(&mut self, index: OutboxIndex) {
        let outbox = self.at(index);
        outbox.places -= 1;
        let node = outbox.to.node;
        if self.forgotten.contains(&node) {
            self.forget(node);
        }
    }

    /// The node will not come back as the start that it was: what is kept for it goes, at the latest with the
    /// last queue.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.forgotten.retain(|forgotten| *forgotten != node);
        if self.up.contains(&node) {
            return;
        }
        let Self { slots, vacant, by_address, forgotten, touched, .. } = self;
        for (slot, at) in slots.iter_mut().enumerate() {
            let Some(outbox) = at.as_ref().filter(|outbox| outbox.to.node == node) else { continue };
            if outbox.places > 0 {
                forgotten.push(node);
                continue;
            }
            by_address.remove(&outbox.to);
            let index = OutboxIndex(slot as u32);
            touched.retain(|touched| *touched != index);
            vacant.push(index);
            *at = None;
        }
        forgotten.dedup();
        // a new start of the node is told of again; a node has 256 kinds for each of its shards at most
        self.unknown.retain(|(shard, _)| shard.node != node);
    }

    fn open(&mut self, to: ShardAddress) -> OutboxIndex {
        let lossy = to.node != self.own;
        let outbox = Outbox::new(to, self.window, lossy, !lossy || self.up.contains(&to.node));
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            OutboxIndex(self.slots.len() as u32 - 1)
        });
        self.slots[index.0 as usize] = Some(outbox);
        self.by_address.insert(to, index);
        // what it says first may go
        self.at(index);
        index
    }

    /// What may go now, by shard. hot.
    pub(crate) fn flush(&mut self, into: &mut Vec<(ShardAddress, Batch)>) {
        let mut left = 0;
        for at in 0..self.touched.len() {
            let index = self.touched[at];
            let Some(outbox) = &mut self.slots[index.0 as usize] else { continue };
            if let Some(batch) = outbox.flush() {
                into.push((outbox.to, batch));
            }
            outbox.touched = outbox.has_more();
            if outbox.touched {
                self.touched[left] = index;
                left += 1;
            }
        }
        self.touched.truncate(left);
    }

    /// All there are, in a fixed order; those that are written to are to be asked for by [`Outboxes::at`].
    pub(crate) fn of_node(&mut self, node: NodeId) -> Vec<OutboxIndex> {
        let of_node = |(slot, at): (usize, &Option<Outbox>)| {
            at.as_ref().filter(|outbox| outbox.to.node == node).map(|_| OutboxIndex(slot as u32))
        };
        self.slots.iter().enumerate().filter_map(of_node).collect()
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.slots.iter().flatten().map(Outbox::waiting_bytes).sum()
    }

    pub(crate) fn link_up(&mut self, node: NodeId) {
        if !self.up.contains(&node) {
            self.up.push(node);
        }
        self.forgotten.retain(|forgotten| *forgotten != node);
        for index in self.of_node(node) {
            self.at(index).link_up();
        }
    }

    pub(crate) fn link_down(&mut self, node: NodeId) {
        self.up.retain(|up| *up != node);
        for index in self.of_node(node) {
            self.at(index).link_down();
        }
    }
}

#[cfg(test)]
mod tests {
    use leveret_model::{QueueId, ShardId};

    use super::*;

    fn at(node: u128, shard: u8) -> ShardAddress {
        ShardAddress { node: NodeId(node), shard: ShardId(shard) }
    }

    fn flushed(outboxes: &mut Outboxes) -> Vec<(ShardAddress, u32)> {
        let mut batches = Vec::new();
        outboxes.flush(&mut batches);
        batches.into_iter().map(|(to, batch)| (to, batch.records())).collect()
    }

    #[test]
    fn only_who_was_written_to_is_flushed() {
        let mut outboxes = Outboxes::new(NodeId(1), Seed(1));
        let record = Record::Gone { queue: QueueId::default() };
        for shard in 1..4 {
            outboxes.push(at(1, shard), &record);
        }
        assert_eq!(flushed(&mut outboxes), [(at(1, 1), 1), (at(1, 2), 1), (at(1, 3), 1)]);
        assert!(outboxes.touched.is_empty());
        outboxes.push(at(1, 2), &record);
        outboxes.push(at(1, 2), &record);
        assert_eq!(flushed(&mut outboxes), [(at(1, 2), 2)]);
        assert_eq!(flushed(&mut outboxes), []);
    }

    #[test]
    fn a_node_without_a_link_gets_no_outbox_but_for_a_queue_there() {
        let mut outboxes = Outboxes::new(NodeId(1), Seed(1));
        outboxes.push(at(2, 0), &Record::ResubscribeEnd);
        assert_eq!(outboxes.by_address.len(), 0);
        outboxes.join(at(2, 0));
        outboxes.push(at(2, 0), &Record::ResubscribeEnd);
        assert_eq!(flushed(&mut outboxes), []);
        // the new link begins with nothing: its RESUB is the shard's to say
        outboxes.link_up(NodeId(2));
        outboxes.push(at(2, 0), &Record::ResubscribeEnd);
        assert_eq!(flushed(&mut outboxes), [(at(2, 0), 1)]);
    }

    #[test]
    fn a_thousand_starts_of_a_node_leave_nothing_behind() {
        let mut outboxes = Outboxes::new(NodeId(1), Seed(1));
        for start in 2..1_002 {
            let node = NodeId(start);
            outboxes.link_up(node);
            let queue = outboxes.join(at(start, 0));
            outboxes.push(at(start, 1), &Record::ResubscribeEnd);
            outboxes.link_down(node);
            // half of them are forgotten before their queues are gone
            if start % 2 == 0 {
                outboxes.forget(node);
                assert_eq!(outboxes.by_address.len(), 1);
                outboxes.leave(queue);
            } else {
                outboxes.leave(queue);
                outboxes.forget(node);
            }
            assert_eq!((outboxes.by_address.len(), outboxes.forgotten.len()), (0, 0));
        }
        assert!(outboxes.slots.len() <= 2 && outboxes.touched.is_empty());
    }
}
