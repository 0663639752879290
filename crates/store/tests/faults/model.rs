//! What a store should contain: a naive model, and the same read back from a store.

use std::collections::BTreeMap;

use leveret_model::{Position, QueueId};
use leveret_store::{MessageTerms, StoreTime, Turn, TurnBody};

/// A record, as the test sees it.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Message { targets: Vec<(QueueId, u64)>, content: Content },
    Acked { queue: QueueId, first: u64, last: u64 },
    Created { queue: QueueId, definition: Vec<u8> },
    Changed { queue: QueueId, definition: Vec<u8> },
    Deleted { queue: QueueId },
    Register { kind: u16, key: Vec<u8>, value: Option<Vec<u8>> },
    Forgotten { kind: u16, key: Vec<u8> },
    Mark { queue: Option<QueueId>, key: Vec<u8>, value: Vec<u8> },
    Deliveries { queue: QueueId, position: u64, count: u32 },
}

/// The bytes of a message follow from a number and a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) number: u64,
    pub(crate) bytes: usize,
}

impl Content {
    pub(crate) fn terms(self) -> MessageTerms {
        let some = |time: u64| time.is_multiple_of(3).then_some(StoreTime(time + 1));
        MessageTerms {
            stored: StoreTime(self.number),
            expires: some(self.number),
            due: some(self.number / 2),
            priority: self.number as u8,
            delivered_before: self.number.is_multiple_of(2),
            dead_letter: self.number.is_multiple_of(5),
            copies_spent: self.number.is_multiple_of(7),
        }
    }

    pub(crate) fn address(self) -> Vec<u8> {
        format!("\u{2}ex\u{6}key{:03}", self.number % 1000).into_bytes()
    }

    pub(crate) fn header(self) -> Vec<u8> {
        vec![self.number as u8; (self.number % 40) as usize]
    }

    pub(crate) fn body(self) -> Vec<u8> {
        (0..self.bytes).map(|at| (self.number as usize + at * 7) as u8).collect()
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ModelQueue {
    pub(crate) definition: Vec<u8>,
    pub(crate) messages: BTreeMap<u64, (Content, u32)>,
    pub(crate) marks: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) last: u64,
}

/// Everything durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) queues: BTreeMap<QueueId, ModelQueue>,
    pub(crate) registers: BTreeMap<(u16, Vec<u8>), Option<Vec<u8>>>,
    pub(crate) marks: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Model {
    pub(crate) fn apply(&mut self, deed: &Deed) {
        match deed {
            Deed::Message { targets, content } => {
                for (queue, position) in targets {
                    let queue =
                        self.queues.get_mut(queue).expect("the workload publishes to queues that are there");
                    queue.messages.insert(*position, (*content, 0));
                    queue.last = *position;
                }
            }
            Deed::Acked { queue, first, last } => {
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.messages.retain(|position, _| !(*first..=*last).contains(position));
                }
            }
            Deed::Created { queue, definition } | Deed::Changed { queue, definition } => {
                self.queues.entry(*queue).or_default().definition.clone_from(definition);
            }
            Deed::Deleted { queue } => {
                self.queues.remove(queue);
            }
            Deed::Register { kind, key, value } => {
                self.registers.insert((*kind, key.clone()), value.clone());
            }
            Deed::Forgotten { kind, key } => {
                self.registers.remove(&(*kind, key.clone()));
            }
            Deed::Mark { queue, key, value } => {
                let marks = match queue {
                    None => Some(&mut self.marks),
                    Some(queue) => self.queues.get_mut(queue).map(|queue| &mut queue.marks),
                };
                if let Some(marks) = marks {
                    marks.insert(key.clone(), value.clone());
                    marks.retain(|_, value| !value.is_empty());
                }
            }
            Deed::Deliveries { queue, position, count } => {
                if let Some(message) =
                    self.queues.get_mut(queue).and_then(|queue| queue.messages.get_mut(position))
                {
                    message.1 = message.1.max(*count);
                }
            }
        }
    }
}

/// The same as a turn.
pub(crate) fn turn_of(deeds: &[Deed]) -> Turn {
    let mut turn = Turn::new();
    for deed in deeds {
        match deed {
            Deed::Message { targets, content } => {
                let targets: Vec<_> =
                    targets.iter().map(|(queue, position)| (*queue, Position(*position))).collect();
                let (address, header, body) = (content.address(), content.header(), content.body());
                if content.bytes > 1000 {
                    let chunks: Vec<bytes::Bytes> =
                        body.chunks(700).map(bytes::Bytes::copy_from_slice).collect();
                    turn.message(&content.terms(), &targets, &address, &header, TurnBody::Chunks(&chunks));
                } else {
                    turn.message(&content.terms(), &targets, &address, &header, TurnBody::Flat(&body));
                }
            }
            Deed::Acked { queue, first, last } => turn.acked_range(*queue, Position(*first), Position(*last)),
            Deed::Created { queue, definition } => turn.queue_created(*queue, definition),
            Deed::Changed { queue, definition } => turn.queue_changed(*queue, definition),
            Deed::Deleted { queue } => turn.queue_deleted(*queue),
            Deed::Register { kind, key, value: Some(value) } => turn.register(*kind, key, b"stamp", value),
            Deed::Register { kind, key, value: None } => turn.tombstone(*kind, key, b"stamp"),
            Deed::Forgotten { kind, key } => turn.forgotten(*kind, key),
            Deed::Mark { queue, key, value } => turn.mark(*queue, key, value),
            Deed::Deliveries { queue, position, count } => {
                turn.deliveries(*queue, Position(*position), *count);
            }
        }
    }
    turn
}
