//! The disks of the rig: what a shard stores is there at once, what it reads comes in its next turn, or when
//! the test says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use leveret_model::{OwnedMessage, Position, QueueId, ShardAddress, StoreMark};
use leveret_shard::{Effects, Shard, Store, StoreLeft, StoreRead, StoredMessage};
use leveret_wire::method::QueueDeclare;
use leveret_wire::{BasicProperties, Table};

use super::client::Heard;
use super::{ClientId, Rig};

/// What a shard has stored.
#[derive(Default)]
pub(crate) struct Disk {
    messages: BTreeMap<(QueueId, Position), OwnedMessage>,
    synced: Option<StoreMark>,
    reads: VecDeque<StoreRead>,
    /// Reads are not answered.
    pub(crate) is_slow: bool,
    /// It gives no more at once.
    pub(crate) messages_per_read: usize,
    /// Bodies that it cannot give back.
    pub(crate) damaged: BTreeSet<Vec<u8>>,
    /// Messages that it has given back.
    pub(crate) given: usize,
}

impl Disk {
    fn new() -> Self {
        Self { messages_per_read: 3, ..Self::default() }
    }

    /// Takes what a turn says.
    pub(super) fn take(&mut self, effects: &mut Effects, shard: &Shard) {
        if let Some(request) = effects.store.take() {
            self.messages.retain(|(queue, _), _| !request.forgotten.contains(queue));
            for append in &request.appends {
                let message = OwnedMessage::from(&shard.stored_message(append.message));
                self.messages.insert((append.queue, append.position), message);
            }
            for left in &request.left {
                if let StoreLeft::Message { queue, position } = left {
                    self.messages.remove(&(*queue, *position));
                }
            }
            self.synced = Some(request.mark);
        }
        self.reads.extend(effects.reads.drain(..));
    }

    /// Answers; true if there was something to answer.
    pub(super) fn answer(&mut self, shard: &mut Shard) -> bool {
        let synced = self.synced.take();
        synced.into_iter().for_each(|mark| shard.on_stored(mark));
        let reads = if self.is_slow { VecDeque::new() } else { std::mem::take(&mut self.reads) };
        for read in &reads {
            let wanted = (read.queue, read.first)..=(read.queue, read.last);
            let mut there = self.messages.range(wanted).map(|((_, position), message)| (*position, message));
            let first: Vec<_> = there.by_ref().take(self.messages_per_read).collect();
            let next = there.next().map(|(position, _)| position);
            let whole = first.iter().filter(|(_, message)| !self.damaged.contains(&body(message)));
            let messages: Vec<_> = whole.map(|(position, message)| stored(*position, message)).collect();
            self.given += messages.len();
            shard.on_read(read.id, &messages, next);
        }
        synced.is_some() || !reads.is_empty()
    }

    /// Bodies of what is stored, by queue and place.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.messages.values().map(|message| String::from_utf8(body(message)).expect("text")).collect()
    }
}

fn body(message: &OwnedMessage) -> Vec<u8> {
    match message.borrow().body {
        leveret_model::Body::Flat(bytes) => bytes.to_vec(),
        leveret_model::Body::Chunks(chunks) => chunks.concat(),
    }
}

fn stored(position: Position, message: &OwnedMessage) -> StoredMessage<'_> {
    StoredMessage { position, message: message.borrow(), left: None, returns: 0, redelivered: false }
}

impl Rig {
    /// As [`Rig::new`], with a disk for each shard.
    pub(crate) fn with_disks(shards: &[u8]) -> Self {
        let protocol = leveret_amqp::Config::new("0.1.0", "rig");
        let mut rig = Self::with_store(shards, protocol, super::users, Store::Driver);
        rig.disks = rig.shards.keys().map(|at| (*at, Disk::new())).collect();
        rig
    }

    pub(crate) fn disk(&mut self, at: ShardAddress) -> &mut Disk {
        self.disks.get_mut(&at).expect("there is such a shard")
    }

    /// All that may be on the disk of a shard alone is.
    pub(crate) fn page_out(&mut self, at: ShardAddress) {
        self.run();
        let now = self.now;
        let shard = self.shard(at);
        shard.begin_turn(now);
        shard.page_out(u64::MAX);
    }

    /// A durable queue.
    #[track_caller]
    pub(crate) fn declare_durable(&mut self, id: ClientId, queue: &str, arguments: &[u8]) {
        let (queue, arguments) = (queue.as_bytes(), Table(arguments));
        self.client(id).says(1, QueueDeclare { queue, arguments, durable: true, ..Default::default() });
        self.hears(id, &Heard::Declared { messages: 0, consumers: 0 });
    }

    /// A persistent message to a queue by its name; nothing is run.
    pub(crate) fn publish_persistent(&mut self, id: ClientId, queue: &str, body: &str) {
        let properties = BasicProperties { delivery_mode: Some(2), ..Default::default() };
        self.client(id).publishes_with(1, ("", queue), false, &properties, body.as_bytes());
    }
}
