//! What clients were told and what truly happened; the invariants judge by it.
//!
//! An answer that never came is *unknown*: it proves nothing, neither that a message is there nor that it is
//! not.

use std::collections::{BTreeMap, BTreeSet};

use leveret_model::directory::{Change, QueueRecord};
use leveret_model::{Instant, NodeId, QueueId};
use leveret_shard::Routed;

use crate::event::{HostId, PipeId};
use crate::invariants::Violation;
use crate::invariants::buffers::Buffers;
use crate::invariants::order::Order;
use crate::life::Life;
use crate::lifetimes::Lifetimes;
use crate::losses::Losses;
use crate::message_id::MessageId;
use crate::reads::{Reads, Written};
use crate::removals::{Kind, LATE, RemovalNumber, Removals};
use crate::stores::Stores;
use crate::topology::{Base, Exchange, base_of};

/// What its publisher knows of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Pending,
    Confirmed(Instant),
    Nacked,
    /// The channel died first.
    Unknown,
}

/// A publish.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) exchange: Exchange,
    pub(crate) key: String,
    pub(crate) sent_at: Instant,
    /// When the ingress had it: from then on the network must not matter.
    pub(crate) read_at: Option<Instant>,
    pub(crate) ingress: (NodeId, HostId),
    pub(crate) answer: Answer,
    pub(crate) returned: bool,
    /// `delivery_mode` 2.
    pub(crate) persistent: bool,
    /// The queues that its ingress found for it.
    pub(crate) routed: Vec<QueueId>,
    pub(crate) checksum: u64,
}

/// Where a message is, as far as consumers of one queue know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A client has it.
    Held,
    /// Acknowledged, or never to be.
    Settled,
    /// Given back, or its channel died: it must come again.
    Returned(Instant),
}

/// Deliveries of a message from one queue name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) fresh: u32,
    pub(crate) fate: Fate,
    /// Some client acknowledged it. Of two that held it, one by mistake of a verdict, either may have been the
    /// one that the home knew.
    pub(crate) acked: bool,
}

/// A binding that a client was told of.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) ok_at: Instant,
    /// The queue that had the name then, if there was no doubt.
    pub(crate) queue: Option<QueueId>,
    /// When an unbind was sent that may have ended it.
    pub(crate) ended: Option<Instant>,
}

/// All that happened.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) violations: Vec<Violation>,
    pub(crate) buffers: Buffers,
    pub(crate) stores: Stores,
    pub(crate) sent: Vec<Vec<Sent>>,
    pub(crate) deliveries: BTreeMap<(MessageId, Base), Delivered>,
    pub(crate) lives: BTreeMap<QueueId, Life>,
    /// When each node's processes ran, and on which host each node runs.
    pub(crate) lifetimes: Lifetimes,
    pub(crate) hosts: BTreeMap<NodeId, HostId>,
    pub(crate) bounds: BTreeMap<(Exchange, String, Base), Vec<Bound>>,
    /// Until then a late unbind or delete may still end what is bound.
    doubts: BTreeMap<(Exchange, String, Base), Instant>,
    /// Deletions and purges that clients asked for.
    pub(crate) removals: Removals,
    pub(crate) order: Order,
    pub(crate) losses: Losses,
    pub(crate) reads: Reads,
    /// What consumers without acknowledgements may have lost; known at the end.
    pub(crate) excused: BTreeSet<(MessageId, Base)>,
    /// A client reads what came while it did not read: when it was said, nobody knows.
    pub(crate) late: bool,
    next_publisher: u32,
    next_consumer: u32,
}

impl Oracle {
    pub(crate) fn new(buffers: Buffers, stores: Stores) -> Self {
        Self { buffers, stores, ..Self::default() }
    }

    /// With disks, those that know no life after a death say nothing.
    pub(crate) fn violation(&mut self, at: Instant, invariant: &'static str, text: String) {
        if self.stores.disks.on && invariant != "disk_kept" {
            return;
        }
        self.violations.push(Violation { at, invariant, text });
    }

    /// A channel opens.
    pub(crate) fn new_publisher(&mut self, pipe: PipeId, channel: u16) -> u32 {
        self.reads.opened(pipe, channel, self.next_publisher);
        self.next_publisher += 1;
        self.sent.push(Vec::new());
        self.next_publisher - 1
    }

    // ---- publishing -----------------------------------------------------------------------------------------

    pub(crate) fn published(&mut self, publisher: u32, sent: Sent) -> MessageId {
        let all = &mut self.sent[publisher as usize];
        all.push(sent);
        MessageId { publisher, number: all.len() as u64 }
    }

    pub(crate) fn message(&self, id: MessageId) -> Option<&Sent> {
        let index = usize::try_from(id.number).ok()?.checked_sub(1)?;
        self.sent.get(id.publisher as usize)?.get(index)
    }

    pub(crate) fn message_mut(&mut self, id: MessageId) -> Option<&mut Sent> {
        let index = usize::try_from(id.number).ok()?.checked_sub(1)?;
        self.sent.get_mut(id.publisher as usize)?.get_mut(index)
    }

    /// The ingress knows where a publish goes.
    pub(crate) fn routed(&mut self, pipe: PipeId, routed: &Routed) {
        let Some(publisher) = self.reads.publisher(pipe, routed.channel.number.0) else { return };
        let id = MessageId { publisher, number: routed.number.0 };
        self.message_mut(id).into_iter().for_each(|sent| sent.routed.clone_from(&routed.queues));
    }

    /// A shard took so many bytes from a client.
    pub(crate) fn read(&mut self, now: Instant, pipe: PipeId, bytes: usize) {
        for what in self.reads.read(pipe, bytes) {
            match what {
                Written::Publish(id) => {
                    self.message_mut(id).into_iter().for_each(|sent| sent.read_at = Some(now));
                }
                Written::End(taker) => self.losses.learnt(now, taker),
            }
        }
    }

    /// A shard heard that a client's connection is gone.
    pub(crate) fn closed(&mut self, now: Instant, pipe: PipeId) {
        for what in self.reads.closed(pipe) {
            if let Written::End(taker) = what {
                self.losses.learnt(now, taker);
            }
        }
    }

    pub(crate) fn answered(&mut self, id: MessageId, answer: Answer) {
        if let Some(sent) = self.message_mut(id) {
            sent.answer = answer;
        }
    }

    // ---- delivering -----------------------------------------------------------------------------------------

    /// A client got a message. Judges what can be judged at once.
    pub(crate) fn delivered(
        &mut self,
        now: Instant,
        (id, base, checksum): (MessageId, Base, u64),
        consumer: u32,
        redelivered: bool,
        settled: bool,
    ) {
        let Some(sent) = self.message(id) else {
            return self.violation(now, "no_phantom", format!("{id:?} was delivered and never published"));
        };
        if sent.checksum != checksum {
            self.violation(now, "no_phantom", format!("{id:?} came with another body"));
        }
        let fate = if settled { Fate::Settled } else { Fate::Held };
        self.losses.got(now, consumer, id);
        let fresh = Delivered { fresh: 0, fate: Fate::Settled, acked: settled };
        let at = self.deliveries.entry((id, base)).or_insert(fresh);
        let held = at.fate == Fate::Held;
        at.fate = fate;
        if redelivered {
            if let Some((before, place)) = self.order.again(consumer, id, held) {
                let text = format!(
                    "consumer {consumer} of {base:?} got {id:?}, place {place}, again before place {before}"
                );
                self.violation(now, "order", text);
            }
            return;
        }
        at.fresh += 1;
        if at.fresh > 1 {
            let text = format!("{id:?} came from {base:?} again, and not as redelivered");
            self.violation(now, "no_phantom", text);
        }
        if let Some(last) = self.order.first(consumer, id, Base::SINGLE.contains(&base)) {
            let text = format!("consumer {consumer} of {base:?} got {id:?} after {last}");
            self.violation(now, "order", text);
        }
    }

    /// A consumer is asked for, or a get.
    pub(crate) fn consuming(&mut self, now: Instant, base: Base, renamed: bool) -> u32 {
        self.next_consumer += 1;
        let consumer = self.next_consumer - 1;
        self.order.begin(consumer, self.only_life(now, base).filter(|_| !renamed));
        consumer
    }

    /// It was answered.
    pub(crate) fn consumes(&mut self, now: Instant, consumer: u32, base: Base, renamed: bool) {
        let life = self.only_life(now, base).filter(|_| !renamed);
        self.order.began(consumer, life);
    }

    pub(crate) fn fate(&mut self, id: MessageId, base: Base, fate: Fate) {
        if let Some(at) = self.deliveries.get_mut(&(id, base)) {
            at.fate = fate;
            at.acked |= fate == Fate::Settled;
        }
    }

    // ---- topology -------------------------------------------------------------------------------------------

    /// A change that a node's shards are told.
    pub(crate) fn on_change(&mut self, now: Instant, node: NodeId, change: &Change) {
        match change {
            Change::PutQueue(record) => self.on_queue(now, record),
            Change::DropQueue { id } => {
                // elsewhere it only leaves the routes, because another life has its name
                let Some(life) = self.lives.get_mut(id).filter(|life| life.home.node == node) else { return };
                life.dropped.get_or_insert(now);
                let base = life.base;
                if !self.removals.deletes(base) {
                    let text = format!("{node} dropped {id:?} of {base:?}, which nobody deleted");
                    self.violation(now, "confirmed_kept", text);
                }
            }
            // it was proposed, and never stood
            Change::WithdrawQueue { id } => {
                self.lives.get_mut(id).into_iter().for_each(Life::withdraw);
            }
            _ => {}
        }
    }

    fn on_queue(&mut self, now: Instant, record: &QueueRecord) {
        let Some((base, renamed)) = base_of(&record.definition.name) else { return };
        let life = self.lives.entry(record.id).or_insert_with(|| Life::new(now, base, record));
        if renamed {
            life.renamed.get_or_insert(now);
        }
        if let Err(home) = life.moves(record) {
            let text = format!("{:?} has two homes, {home:?} and {:?}", record.id, record.home);
            self.violation(now, "one_home", text);
        }
    }

    /// A node's process ended, and what lived there with it.
    pub(crate) fn process_ended(&mut self, now: Instant, node: NodeId) {
        self.lifetimes.end(now, node);
        for life in self.lives.values_mut() {
            if life.home.node == node && life.dropped.is_none() {
                life.dies(now);
            }
        }
    }

    /// Queues that live at a node, by what was told of them.
    pub(crate) fn living_at(&self, node: NodeId) -> impl Iterator<Item = (&QueueId, &Life)> {
        self.lives.iter().filter(move |(_, life)| life.home.node == node && life.is_handed_over())
    }

    /// The one queue that has the name now, if there is no doubt: what a client hears of it may have been said
    /// by a home that ended meanwhile.
    pub(crate) fn only_life(&self, now: Instant, base: Base) -> Option<QueueId> {
        let lives = |life: &Life| {
            life.base == base
                && life.renamed.is_none()
                && life.dropped.is_none()
                && life.died.last().is_none_or(|died| *died + LATE > now)
        };
        let mut living = self.lives.iter().filter(|(_, life)| lives(life)).map(|(id, _)| *id);
        let first = living.next();
        if living.next().is_some() { None } else { first }
    }

    /// A client was told that messages with this key reach the queue.
    pub(crate) fn bound(&mut self, now: Instant, exchange: Exchange, key: &str, base: Base) {
        let place = (exchange, key.to_owned(), base);
        let sure = !self.late && self.doubts.get(&place).is_none_or(|until| *until < now);
        let queue = self.only_life(now, base).filter(|_| sure);
        let all = self.bounds.entry(place).or_default();
        if all.last().is_some_and(|last| last.ended.is_none() && last.queue == queue) {
            return;
        }
        all.push(Bound { ok_at: now, queue, ended: None });
    }

    /// A client asks to end a binding.
    pub(crate) fn unbinding(&mut self, now: Instant, exchange: Exchange, key: &str, base: Base) {
        let place = (exchange, key.to_owned(), base);
        for bound in self.bounds.entry(place.clone()).or_default() {
            bound.ended.get_or_insert(now);
        }
        self.doubts.insert(place, now + LATE);
    }

    /// The client knows that its unbind is done.
    pub(crate) fn unbound(&mut self, exchange: Exchange, key: &str, base: Base) {
        self.doubts.remove(&(exchange, key.to_owned(), base));
    }

    /// A client asks to delete an exchange, and all its bindings with it.
    pub(crate) fn deleting_exchange(&mut self, now: Instant, exchange: Exchange) {
        let of_exchange: Vec<_> = self.bounds.keys().filter(|place| place.0 == exchange).cloned().collect();
        for (exchange, key, base) in of_exchange {
            self.unbinding(now, exchange, &key, base);
        }
    }

    /// A client asks to delete a queue.
    pub(crate) fn deleting(&mut self, now: Instant, base: Base) -> RemovalNumber {
        let of_base: Vec<_> = self.bounds.keys().filter(|place| place.2 == base).cloned().collect();
        for (exchange, key, base) in of_base {
            self.unbinding(now, exchange, &key, base);
        }
        self.doubts.insert((Exchange::Default, base.name(), base), now + LATE);
        self.removals.asked(now, base, Kind::Delete)
    }

    /// Did a home of this name end at that time or later, that had the queue by the other?
    pub(crate) fn home_ended_since(&self, base: Base, since: Instant, by: Instant) -> bool {
        self.lives
            .values()
            .any(|life| life.base == base && life.born <= by && life.died.iter().any(|at| *at >= since))
    }
}

#[cfg(test)]
mod tests;
