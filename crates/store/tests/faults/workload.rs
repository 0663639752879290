//! Random turns, reads and spills.

use leveret_model::{Position, QueueId, Ulid};
use leveret_store::{ReadId, ReadRequest, Spill, SpillId, Store, TurnBody};

use crate::model::{Content, Deed, Model, turn_of};
use crate::world::World;

const QUEUES_MAX: usize = 5;

impl World {
    fn queue_id(&mut self) -> QueueId {
        QueueId { generation: 0, ulid: Ulid(u128::from(self.random.next_u64()) + 1) }
    }

    fn some_queue(&mut self) -> Option<QueueId> {
        let count = self.current.queues.len() as u64;
        let at = self.random.below(count) as usize;
        self.current.queues.keys().nth(at).copied()
    }

    fn content(&mut self) -> Content {
        self.numbers += 1;
        let bytes = match self.random.below(20) {
            0 => 9_000 + self.random.below(30_000),
            1..6 => 1000 + self.random.below(3000),
            _ => self.random.below(400),
        };
        Content { number: self.numbers, bytes: bytes as usize }
    }

    pub(crate) fn append(&mut self) {
        if self.store.as_ref().is_some_and(Store::is_full) {
            return;
        }
        let mut deeds = Vec::new();
        let mut scratch = self.current.clone();
        for _ in 0..1 + self.random.below(6) {
            if let Some(deed) = self.deed(&scratch) {
                scratch.apply(&deed);
                deeds.push(deed);
            }
        }
        self.hand_over(deeds);
    }

    pub(crate) fn hand_over(&mut self, deeds: Vec<Deed>) {
        let turn = turn_of(&deeds);
        if turn.is_empty() {
            return;
        }
        // acknowledgements are behind everything else in a turn
        let (acks, others): (Vec<Deed>, Vec<Deed>) =
            deeds.into_iter().partition(|deed| matches!(deed, Deed::Acked { .. }));
        let deeds: Vec<Deed> = others.into_iter().chain(acks).collect();
        deeds.iter().for_each(|deed| self.current.apply(deed));
        let mark = self.store.as_mut().expect("open").append(turn.seal(), self.now);
        self.turns.push((mark, deeds));
    }

    fn deed(&mut self, state: &Model) -> Option<Deed> {
        let queues: Vec<QueueId> = state.queues.keys().copied().collect();
        let what = self.random.below(100);
        if queues.is_empty() || (what < 3 && queues.len() < QUEUES_MAX) {
            let queue = self.queue_id();
            self.next_position.insert(queue, 1);
            return Some(Deed::Created { queue, definition: vec![what as u8; 20] });
        }
        let queue = queues[self.random.below(queues.len() as u64) as usize];
        let number = self.random.next_u64();
        let key = vec![b'k', (number % 7) as u8];
        Some(match what {
            0..50 if !self.low => {
                let mut targets = Vec::new();
                for queue in queues {
                    if targets.is_empty() || self.chance(15) {
                        let next = self.next_position.get_mut(&queue)?;
                        *next += [0, 0, 0, 0, 1, 40][(number % 6) as usize];
                        targets.push((queue, *next));
                        *next += 1;
                    }
                }
                let content = self.content();
                self.ever.extend(targets.iter().map(|(queue, position)| ((*queue, *position), content)));
                Deed::Message { targets, content }
            }
            0..85 => {
                let messages = &state.queues[&queue].messages;
                let first = match number % 3 {
                    0 => *messages.keys().nth(self.random.below(messages.len() as u64) as usize)?,
                    _ => *messages.keys().next()?,
                };
                Deed::Acked { queue, first, last: first + self.random.below(12) * (number % 2) }
            }
            85..87 => Deed::Deleted { queue },
            87..90 => Deed::Changed { queue, definition: number.to_le_bytes().to_vec() },
            90..93 => Deed::Register {
                kind: (number % 3) as u16,
                key,
                value: (!number.is_multiple_of(5)).then(|| number.to_le_bytes().to_vec()),
            },
            93 => Deed::Forgotten { kind: (number % 3) as u16, key },
            94..97 => {
                let value = if number.is_multiple_of(4) { Vec::new() } else { number.to_le_bytes().to_vec() };
                Deed::Mark { queue: (!number.is_multiple_of(3)).then_some(queue), key, value }
            }
            _ => {
                let position = *state.queues[&queue].messages.keys().next()?;
                Deed::Deliveries { queue, position, count: (number % 9) as u32 + 1 }
            }
        })
    }

    pub(crate) fn read(&mut self) {
        let Some(queue) = self.some_queue() else { return };
        self.numbers += 1;
        let first = self.random.below(self.current.queues[&queue].last + 2);
        let request = ReadRequest {
            id: ReadId(self.numbers),
            queue,
            spilled: self.chance(25),
            first: Position(first),
            last: Position(if self.chance(50) { u64::MAX } else { first + self.random.below(20) }),
        };
        self.reads.insert(request.id, request);
        self.store.as_mut().expect("open").read(request);
    }

    pub(crate) fn spill(&mut self) {
        let Some(queue) = self.some_queue() else { return };
        self.numbers += 1;
        let id = SpillId(self.numbers);
        let mut spill = Spill::new(id, queue);
        let mut messages = Vec::new();
        for _ in 0..1 + self.random.below(8) {
            let content = self.content();
            let next = self.next_position.get_mut(&queue).expect("each queue has one");
            let position = *next;
            *next += 1;
            self.ever.insert((queue, position), content);
            let (address, header, body) = (content.address(), content.header(), content.body());
            spill.message(Position(position), &content.terms(), &address, &header, TurnBody::Flat(&body));
            messages.push((position, content));
        }
        self.spilling.insert(id, (queue, messages));
        self.store.as_mut().expect("open").spill(spill);
    }

    pub(crate) fn drop_spilled(&mut self) {
        let queues: Vec<QueueId> = self.spilled.keys().copied().collect();
        for queue in queues {
            let spilled = self.spilled.get_mut(&queue).expect("just seen");
            let last = if self.random.below(2) == 0 {
                u64::MAX
            } else {
                spilled.keys().next().map_or(0, |at| at + 5)
            };
            spilled.retain(|position, _| *position > last);
            self.store.as_mut().expect("open").drop_spilled(queue, Position(0), Position(last));
        }
    }
}
