//! An outbox: records for one other shard, moved under credit, over a ring or a link. All of them:
//! `outboxes.rs`.
//!
//! Invariant: what was handed to the driver and is not processed at the other end never exceeds the window
//! (`limits::FORWARD_RECORDS_MAX`, `limits::FORWARD_BYTES_MAX`); the rest stays here, in order.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use leveret_link::Batch;
use leveret_link::credit::{Cost, Meter, Overgrant, Window};
use leveret_link::record::{LaneTarget, Record};
use leveret_model::{ChannelKey, ConsumerNumber, Message, Position, QueueId, ShardAddress};

/// Bytes that a batch reserves at its begin at most: what one socket brings in a turn
/// (`limits::TURN_READ_BYTES_MAX`) and the heads of its records, with room for a few more sockets; else each
/// busy batch would be copied as it grows.
const BATCH_RESERVE_BYTES_MAX: usize = 1024 * 1024;

/// A delivery's place: the queue, the channel, the consumer, the position.
type HeldAt = (QueueId, ChannelKey, ConsumerNumber, Position);

/// What a settlement that may be lost came to.
#[derive(Clone, Debug)]
enum UnderWay {
    /// The home may not have processed it: named again after a new link. It borrows nothing.
    Settle(Record<'static>),
    /// The home gave the message to the same consumer again, so it has processed the settlement before.
    GivenAgain(HeldAt),
}

/// Counts the publishes of a shard that go elsewhere, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PublishSerial(pub(crate) u64);

/// Records for one other shard.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(super) to: ShardAddress,
    /// On the list of those that are flushed at the end of the turn.
    pub(super) touched: bool,
    /// Queues there that this shard has an entry for.
    pub(super) places: u32,
    batch: Batch,
    /// The last publish with a number of its own that was pushed.
    last_publish: PublishSerial,
    /// Own bytes of the last batch that was given away whole: the next one is about as long.
    last_bytes: usize,
    /// What may be unprocessed at the other end.
    most: Cost,
    window: Window,
    meter: Meter,
    /// The link is there; always so for a ring.
    up: bool,
    /// Its consumers have said on this link what they hold: deliveries may go.
    deliverable: bool,
    /// Over a link: what is repeated when the next one begins.
    lossy: bool,
    pushed: u64,
    processed: u64,
    /// With the number of records that were pushed then, on this link.
    settles: VecDeque<(u64, UnderWay)>,
}

impl Outbox {
    pub(crate) fn new(to: ShardAddress, most: Cost, lossy: bool, up: bool) -> Self {
        let mut outbox = Self {
            to,
            touched: false,
            places: 0,
            batch: Batch::new(),
            last_publish: PublishSerial::default(),
            last_bytes: 0,
            most,
            window: Window::new(most),
            meter: Meter::new(most),
            up,
            deliverable: !lossy,
            lossy,
            pushed: 0,
            processed: 0,
            settles: VecDeque::new(),
        };
        if lossy {
            // nothing was said to that shard on this link, and there is nothing to say
            outbox.push(&Record::ResubscribeEnd);
        }
        outbox
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// Consumers there have said on this link what they hold. hot.
    #[inline]
    pub(crate) fn takes_deliveries(&self) -> bool {
        self.up && self.deliverable
    }

    /// The shard there has said all that it holds.
    pub(crate) fn allow_deliveries(&mut self) {
        self.deliverable = true;
    }

    /// Appends a record; without a link it is dropped, since every kind is repeated by its own rule on the next
    /// one.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        if !self.up {
            return;
        }
        self.batch.push(record);
        self.pushed += 1;
    }

    /// A publish to one queue. hot.
    pub(crate) fn push_publish(&mut self, target: LaneTarget, message: &Message<'_>) {
        if !self.up {
            return;
        }
        self.make_room();
        self.batch.push_publish(target, *message);
        self.pushed += 1;
    }

    /// A publish to one queue, perhaps of several there: its message goes once. hot.
    #[inline]
    pub(crate) fn push_shared_publish(
        &mut self,
        serial: PublishSerial,
        target: LaneTarget,
        message: &Message<'_>,
    ) {
        if self.last_publish == serial && self.batch.add_target(target) {
            return;
        }
        self.last_publish = serial;
        self.push_publish(target, message);
    }

    /// A delivery. hot.
    pub(crate) fn push_deliver(
        &mut self,
        queue: QueueId,
        to: (ChannelKey, ConsumerNumber),
        position: Position,
        redelivered: bool,
        message: &Message<'_>,
    ) {
        if !self.up {
            return;
        }
        self.make_room();
        self.batch.push_deliver(queue, to, position, redelivered, *message);
        self.pushed += 1;
    }

    /// Memory for a batch that begins, as much as the last one took. hot.
    #[inline]
    fn make_room(&mut self) {
        if self.batch.is_empty() && self.last_bytes > 0 {
            self.batch.reserve(self.last_bytes);
        }
    }

    /// A settlement: over a link kept until the other end says that it was processed.
    pub(crate) fn push_settle(&mut self, settle: Record<'static>) {
        self.push(&settle);
        if self.lossy {
            self.settles.push_back((self.pushed, UnderWay::Settle(settle)));
        }
    }

    /// What waited behind a fence.
    pub(crate) fn push_held_back(&mut self, record: Record<'static>) {
        if let Record::Settle { .. } = record {
            self.push_settle(record);
        } else {
            self.push(&record);
        }
    }

    /// A delivery came that was delivered before, perhaps to this very consumer.
    pub(crate) fn note_given(
        &mut self,
        queue: QueueId,
        channel: ChannelKey,
        consumer: ConsumerNumber,
        position: Position,
    ) {
        if !self.settles.is_empty() {
            let at = (queue, channel, consumer, position);
            self.settles.push_back((self.pushed, UnderWay::GivenAgain(at)));
        }
    }

    /// The other end processed records: the window opens.
    pub(crate) fn granted(&mut self, grant: Cost) -> Result<(), Overgrant> {
        self.window.on_grant(grant)?;
        self.processed += u64::from(grant.records);
        while self.settles.front().is_some_and(|(pushed, _)| *pushed <= self.processed) {
            self.settles.pop_front();
        }
        Ok(())
    }

    /// So much of the other end's was processed here.
    pub(crate) fn processed(&mut self, cost: Cost) {
        self.meter.on_processed(cost);
    }

    /// The other end has not said that it has processed all of it.
    pub(crate) fn is_unprocessed(&self) -> bool {
        self.up && self.pushed != self.processed
    }

    /// More could go in the same turn: no window holds it back, only the size of a frame.
    pub(crate) fn has_more(&self) -> bool {
        self.up && !self.batch.is_empty() && self.window.is_open()
    }

    /// Records that wait here, bytes.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.batch.len_bytes() as u64
    }

    /// What may go now.
    pub(crate) fn flush(&mut self) -> Option<Batch> {
        if !self.up {
            return None;
        }
        let mut out = if self.batch.is_empty() {
            Batch::new()
        } else {
            let bytes = self.batch.len_bytes();
            let part = self.batch.split_to(self.window.room());
            if self.batch.is_empty() {
                // half of a long one is let go, so that one burst is not paid for ever
                self.last_bytes = bytes.max(self.last_bytes / 2).min(BATCH_RESERVE_BYTES_MAX);
            }
            self.window.on_sent(part.cost());
            part
        };
        if let Some(grant) = self.meter.take_grant() {
            // outside the window: it must pass when nothing else may
            out.push(&grant);
        }
        (!out.is_empty()).then_some(out)
    }

    /// The link is new: nothing sent before counts.
    pub(crate) fn link_up(&mut self) {
        self.up = true;
        self.deliverable = !self.lossy;
        self.batch = Batch::new();
        self.window = Window::new(self.most);
        self.meter = Meter::new(self.most);
        self.pushed = 0;
        self.processed = 0;
    }

    /// The link is gone, and what was on it.
    pub(crate) fn link_down(&mut self) {
        self.up = false;
        self.deliverable = false;
        self.batch = Batch::new();
    }

    /// Takes the settlements that may be lost, in order; the caller pushes them again.
    pub(crate) fn take_settles_under_way(&mut self) -> Vec<Record<'static>> {
        let mut last: BTreeMap<HeldAt, usize> = BTreeMap::new();
        let mut settles: Vec<Option<Record<'static>>> = Vec::new();
        for (_, under_way) in self.settles.drain(..) {
            match under_way {
                UnderWay::Settle(settle) => {
                    if let Record::Settle { queue, channel, consumer, position, .. } = &settle {
                        last.insert((*queue, *channel, *consumer, *position), settles.len());
                    }
                    settles.push(Some(settle));
                }
                UnderWay::GivenAgain(at) => {
                    if let Some(settled) = last.remove(&at) {
                        settles[settled] = None;
                    }
                }
            }
        }
        settles.into_iter().flatten().collect()
    }

    /// A queue is gone: what was held of it is of no meaning any more.
    pub(crate) fn forget_settles_of(&mut self, gone: QueueId) {
        self.settles.retain(|(_, under_way)| match under_way {
            UnderWay::Settle(settle) => !matches!(settle, Record::Settle { queue, .. } if *queue == gone),
            UnderWay::GivenAgain((queue, ..)) => *queue != gone,
        });
    }
}
