//! What one shard has stored and may want back: each read is answered 1 to 50 ms late, a few messages at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use leveret_model::{Instant, OwnedMessage, Position, QueueId};
use leveret_shard::{Shard, StoreLeft, StoreRead, StoreRequest, StoredMessage};

use crate::scheduler::{Dice, HEAL_AT};

/// Messages that one read gives.
const AT_ONCE: usize = 3;

#[derive(Debug, Default)]
pub(crate) struct Pages {
    messages: BTreeMap<(QueueId, Position), OwnedMessage>,
    reads: VecDeque<(Instant, StoreRead)>,
}

impl Pages {
    pub(super) fn take(&mut self, request: &StoreRequest, shard: &Shard) {
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
    }

    pub(super) fn ask(&mut self, read: StoreRead, now: Instant, dice: &mut Dice) {
        let before = self.reads.back().map_or(Instant::ZERO, |(at, _)| *at);
        let most = if now < Instant::ZERO + HEAL_AT { 50 } else { 2 };
        let late = dice.between(Duration::from_millis(1), Duration::from_millis(most));
        self.reads.push_back((before.max(now + late), read));
    }

    pub(super) fn next_deadline(&self) -> Instant {
        self.reads.front().map_or(Instant::FAR, |(at, _)| *at)
    }

    /// Answers what is due.
    pub(super) fn answer(&mut self, now: Instant, shard: &mut Shard) -> u64 {
        let mut answered = 0;
        while let Some((_, read)) = self.reads.pop_front_if(|(at, _)| *at <= now) {
            let wanted = (read.queue, read.first)..=(read.queue, read.last);
            let mut there = self.messages.range(wanted);
            let messages: Vec<_> = there.by_ref().take(AT_ONCE).map(stored).collect();
            let next = there.next().map(|((_, position), _)| *position);
            answered += messages.len() as u64;
            shard.on_read(read.id, &messages, next);
        }
        answered
    }
}

fn stored<'a>(((_, position), message): (&(QueueId, Position), &'a OwnedMessage)) -> StoredMessage<'a> {
    let position = *position;
    StoredMessage { position, message: message.borrow(), left: None, returns: 0, redelivered: false }
}
