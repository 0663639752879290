//! Disks of hosts: what a process had synced is there for the next one, which is the same node again.
//!
//! A disk is the log of one host. An entry counts once it, or one behind it, was synced; a process that ends,
//! killed or by the power, takes with it what was not ([`Disks::cut`]). Runs with disks are judged by
//! `disk_kept` alone: the other promises know no life that goes on after its home died.

use std::collections::BTreeMap;

use leveret_cluster::{Control, StoreStep, stored_shard};
use leveret_model::limits::STORE_PLACES_SKIPPED;
use leveret_model::{Body, Instant, Message, Position, QueueId, Terms};
use leveret_shard::{Shard, StoreLeft, StoreRequest, StoredMessage};

use crate::body;
use crate::event::HostId;
use crate::message_id::MessageId;

/// The disks of all hosts, in runs that have them.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    pub(crate) on: bool,
    by_host: BTreeMap<HostId, Disk>,
}

/// One host's.
#[derive(Debug, Default)]
struct Disk {
    log: Vec<Entry>,
    /// So many entries are synced.
    synced: usize,
}

/// A message as it was stored.
#[derive(Clone, Debug)]
struct Kept {
    address: Vec<u8>,
    header: Vec<u8>,
    body: Vec<u8>,
    terms: Terms,
}

#[derive(Clone, Debug)]
enum Entry {
    Message(QueueId, Position, Kept),
    Left(QueueId, Position),
    /// Places up to there count as given.
    Given(QueueId, Position),
    Forgotten(QueueId),
    Step(StoreStep),
}

/// What a log comes to.
#[derive(Debug, Default)]
struct Contents {
    queues: BTreeMap<QueueId, Queue>,
    registers: BTreeMap<(u16, Vec<u8>), Vec<u8>>,
}

#[derive(Debug, Default)]
struct Queue {
    definition: Option<Vec<u8>>,
    last: Position,
    shared_below: Position,
    messages: BTreeMap<Position, Kept>,
}

impl Contents {
    fn of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Self {
        let mut contents = Self::default();
        entries.for_each(|entry| contents.apply(entry));
        contents
    }

    fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Message(id, position, message) => {
                let queue = self.queues.entry(*id).or_default();
                queue.last = queue.last.max(*position);
                queue.messages.insert(*position, message.clone());
            }
            Entry::Left(id, position) => {
                self.queues.get_mut(id).into_iter().for_each(|queue| drop(queue.messages.remove(position)));
            }
            Entry::Given(id, last) => {
                self.queues.get_mut(id).into_iter().for_each(|queue| queue.last = queue.last.max(*last));
            }
            Entry::Forgotten(id) | Entry::Step(StoreStep::QueueGone { id }) => {
                self.queues.remove(id);
            }
            Entry::Step(StoreStep::Queue { id, definition }) => {
                self.queues.entry(*id).or_default().definition = Some(definition.clone());
            }
            Entry::Step(StoreStep::Shared { id, below }) => {
                let Some(queue) = self.queues.get_mut(id) else { return };
                queue.shared_below = *below;
                queue.last = queue.last.max(Position(below.0.saturating_sub(1)));
            }
            Entry::Step(StoreStep::Register { kind, key, value }) => {
                self.registers.insert((*kind, key.clone()), value.clone());
            }
            Entry::Step(StoreStep::RegisterGone { kind, key }) => {
                self.registers.remove(&(*kind, key.clone()));
            }
        }
    }
}

impl Disks {
    /// A shard hands over a request; gives how long the log is with it.
    pub(crate) fn take(&mut self, host: HostId, request: &StoreRequest, shard: &Shard) -> usize {
        let log = &mut self.by_host.entry(host).or_default().log;
        log.extend(request.forgotten.iter().map(|id| Entry::Forgotten(*id)));
        for append in &request.appends {
            let message = shard.stored_message(append.message);
            let body = match message.body {
                Body::Flat(bytes) => bytes.to_vec(),
                Body::Chunks(chunks) => chunks.concat(),
            };
            let (address, header, terms) = (message.address.to_vec(), message.header.to_vec(), message.terms);
            let kept = Kept { address, header, body, terms };
            log.push(Entry::Message(append.queue, append.position, kept));
        }
        log.extend(request.left.iter().filter_map(|left| match *left {
            StoreLeft::Message { queue, position } => Some(Entry::Left(queue, position)),
            StoreLeft::Returned { .. } | StoreLeft::Given { .. } => None,
        }));
        log.len()
    }

    /// The log is on the disk up to there.
    pub(crate) fn synced(&mut self, host: HostId, entries: usize) {
        let disk = self.by_host.entry(host).or_default();
        disk.synced = disk.synced.max(entries);
    }

    /// Control's steps are synced at once, and with them all that was handed over before.
    pub(crate) fn steps(&mut self, host: HostId, steps: impl Iterator<Item = StoreStep>) {
        if !self.on {
            return;
        }
        let disk = self.by_host.entry(host).or_default();
        let before = disk.log.len();
        disk.log.extend(steps.map(Entry::Step));
        if disk.log.len() > before {
            disk.synced = disk.log.len();
        }
    }

    /// The process ends with all that it had not synced.
    pub(crate) fn cut(&mut self, host: HostId) {
        if let Some(disk) = self.by_host.get_mut(&host) {
            disk.log.truncate(disk.synced);
        }
    }

    /// A process starts on the disk of its host.
    pub(crate) fn restore<'s>(
        &mut self,
        now: Instant,
        host: HostId,
        control: &mut Control,
        shards: impl Iterator<Item = &'s mut Shard>,
    ) {
        let Some(disk) = self.by_host.get_mut(&host) else { return };
        let contents = Contents::of(disk.log.iter());
        let mut shards: Vec<&mut Shard> = shards.collect();
        let mut definitions = Vec::new();
        for (id, queue) in contents.queues {
            let Some(definition) = queue.definition else { continue };
            let last = Position(queue.last.0 + STORE_PLACES_SKIPPED);
            disk.log.push(Entry::Given(id, last));
            let stored = queue.messages.iter().map(|(position, kept)| StoredMessage {
                position: *position,
                message: Message {
                    address: &kept.address,
                    header: &kept.header,
                    body: Body::Flat(&kept.body),
                    terms: kept.terms,
                },
                left: None,
                returns: 0,
                redelivered: true,
            });
            let stored: Vec<StoredMessage<'_>> = stored.collect();
            let shard = stored_shard(&definition, shards.len() as u8).expect("our own record");
            shards[usize::from(shard.0)].recover(id, (last, queue.shared_below), &stored);
            definitions.push(definition);
        }
        disk.synced = disk.log.len();
        let registers: Vec<Vec<u8>> = contents.registers.into_values().collect();
        let unread = control.restore(now, &definitions, &registers);
        assert_eq!(unread, 0, "our own records");
    }

    /// Messages that are on some disk, with their queues.
    pub(crate) fn messages(&self) -> Vec<(QueueId, MessageId)> {
        let mut found = Vec::new();
        for disk in self.by_host.values() {
            for (id, queue) in Contents::of(disk.log.iter()).queues {
                let messages = queue.messages.values().filter_map(|kept| body::read(&kept.body));
                found.extend(messages.map(|message| (id, message)));
            }
        }
        found
    }
}
