//! Short random histories against what must hold whatever happens: publishes, consumers, acks, requeues, gets,
//! clients that vanish, wires that are held, links that are cut.
//!
//! Queue `x` lives on node 1, shard 0; `y` on node 1, shard 1, and its consumers want no acks; `z` on node 2.
//! The rules:
//! - each publish is answered once; what is confirmed is acked by a consumer or still there in the end, once;
//!   what is nacked is there at most once;
//! - a message is held by one client at a time, comes never again after its ack, and with `redelivered = false`
//!   only the first time;
//! - what one publisher sent to one queue stays in order: fresh deliveries at each consumer, and what is left
//!   in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leveret_model::{Seed, ShardAddress, SplitMix};
use leveret_wire::method::*;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const HISTORIES: u64 = 1_500;
const STEPS: usize = 60;
const QUEUES: [&str; 3] = ["x", "y", "z"];
/// The queue whose consumers want no acks.
const LOSSY: &str = "y";

/// A message in a queue: the queue, the publisher, its number there.
type Copy = (String, usize, u64);

#[derive(Default)]
struct Publisher {
    sent: u64,
    /// Numbers without an answer.
    open: BTreeSet<u64>,
    confirmed: BTreeSet<u64>,
    targets: BTreeMap<u64, Vec<&'static str>>,
}

struct Consumer {
    id: ClientId,
    place: ShardAddress,
    /// Tags that it holds.
    held: BTreeMap<u64, Copy>,
    tags: Vec<String>,
    /// Operations without an answer; what is said behind them may be lost with the client.
    pending: usize,
    late_acks: Vec<Copy>,
    /// The last fresh message of each publisher and queue.
    fresh: BTreeMap<(String, usize), u64>,
}

struct History {
    seed: u64,
    rig: Rig,
    random: SplitMix,
    publishers: Vec<(ClientId, Publisher)>,
    consumers: Vec<Consumer>,
    seen: BTreeSet<Copy>,
    acked: BTreeSet<Copy>,
    /// Acks that may have died with their client.
    unsure: BTreeSet<Copy>,
    cut: bool,
    tag: u64,
    passed: Duration,
}

const PLACES: [(u128, u8); 3] = [(1, 0), (1, 1), (2, 0)];

impl History {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::new(&[2, 1]);
        let mut publishers = Vec::new();
        for ((node, shard), queue) in PLACES.into_iter().zip(QUEUES) {
            let id = rig.connect(at(node, shard));
            rig.declare(id, queue);
            rig.bind(id, queue, "amq.fanout", "");
            rig.confirms(id);
            publishers.push((id, Publisher::default()));
        }
        let mut history = Self {
            seed,
            rig,
            random: SplitMix::new(Seed(seed)),
            publishers,
            consumers: Vec::new(),
            seen: BTreeSet::new(),
            acked: BTreeSet::new(),
            unsure: BTreeSet::new(),
            cut: false,
            tag: 0,
            passed: Duration::ZERO,
        };
        for (node, shard) in PLACES {
            history.join(at(node, shard));
        }
        history
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    fn join(&mut self, place: ShardAddress) {
        let id = self.rig.connect(place);
        let prefetch = 1 + self.below(4) as u16;
        self.rig.client(id).says(1, BasicQos { prefetch_size: 0, prefetch_count: prefetch, global: false });
        let (held, tags, fresh) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let consumer = Consumer { id, place, held, tags, pending: 0, late_acks: Vec::new(), fresh };
        self.consumers.push(consumer);
    }

    fn step(&mut self) {
        match self.below(20) {
            0..=4 => self.publish(),
            5..=8 => self.settle(),
            9 => self.consume(),
            10 => self.cancel(),
            11 => self.get(),
            12 => self.vanish(),
            13 | 14 => {
                let shards = PLACES.map(|(node, shard)| at(node, shard));
                for _ in 0..=self.below(4) {
                    let shard = shards[self.below(3)];
                    self.rig.turn(shard);
                }
            }
            15 => {
                let wire = (PLACES[self.below(3)], PLACES[self.below(3)]);
                self.rig.held_wires.insert((at(wire.0.0, wire.0.1), at(wire.1.0, wire.1.1)));
            }
            16 => self.rig.held_wires.clear(),
            17 => self.cut_or_heal(),
            18 if self.passed < Duration::from_secs(5) => {
                let time = Duration::from_millis(self.below(700) as u64);
                self.passed += time;
                self.rig.pass(time);
            }
            _ => self.rig.run(),
        }
        self.listen();
    }

    fn cut_or_heal(&mut self) {
        if self.cut {
            self.rig.heal(1, 2);
        } else {
            self.rig.cut(1, 2);
        }
        self.cut = !self.cut;
    }

    fn publish(&mut self) {
        let at = self.below(3);
        for _ in 0..=self.below(3) {
            let queue = self.below(5);
            let (id, publisher) = &mut self.publishers[at];
            publisher.sent += 1;
            let number = publisher.sent;
            publisher.open.insert(number);
            let (exchange, key, targets) = match QUEUES.get(queue) {
                Some(queue) => ("", *queue, vec![*queue]),
                None => ("amq.fanout", "", QUEUES.to_vec()),
            };
            publisher.targets.insert(number, targets);
            let mut body = format!("{at} {number} ").into_bytes();
            if queue % 2 == 1 {
                body.resize(6_000, b'.');
            }
            self.rig.client(*id).publishes(1, (exchange, key), false, &body);
        }
    }

    fn consume(&mut self) {
        let at = self.below(self.consumers.len());
        let queue = QUEUES[self.below(3)];
        self.tag += 1;
        let tag = format!("{queue}.{}", self.tag);
        let consumer = &mut self.consumers[at];
        consumer.pending += 1;
        self.rig.says_consume(consumer.id, queue, &tag, queue == LOSSY);
    }

    fn cancel(&mut self) {
        let at = self.below(self.consumers.len());
        let consumer = &mut self.consumers[at];
        if let Some(tag) = consumer.tags.pop() {
            consumer.pending += 1;
            self.rig.says_cancel(consumer.id, &tag);
        }
    }

    fn get(&mut self) {
        let at = self.below(self.consumers.len());
        let consumer = &mut self.consumers[at];
        consumer.pending += 1;
        self.rig.says_get(consumer.id, "x", false);
    }

    fn settle(&mut self) {
        let at = self.below(self.consumers.len());
        for _ in 0..=self.below(3) {
            let which = self.below(self.consumers[at].held.len().max(1));
            let requeue = self.below(3) == 0;
            let consumer = &mut self.consumers[at];
            let Some(tag) = consumer.held.keys().nth(which).copied() else { return };
            let copy = consumer.held.remove(&tag).expect("it is there");
            if requeue {
                self.rig.requeue(consumer.id, tag);
            } else {
                if consumer.pending > 0 {
                    consumer.late_acks.push(copy.clone());
                }
                self.acked.insert(copy);
                self.rig.ack(consumer.id, tag);
            }
        }
    }

    /// A client goes without a word, after its shard has read what it said.
    fn vanish(&mut self) {
        let at = self.below(self.consumers.len());
        let consumer = self.consumers.swap_remove(at);
        while !self.rig.client(consumer.id).unread.is_empty() {
            self.rig.turn(consumer.place);
        }
        // what came in that turn was not looked at
        self.rig.heard_so_far(consumer.id);
        self.unsure.extend(consumer.late_acks);
        self.rig.break_socket(consumer.id);
        self.join(consumer.place);
        let gone = consumer.held.into_values();
        // what it held may come again
        gone.for_each(drop);
    }

    fn listen(&mut self) {
        for at in 0..self.publishers.len() {
            let id = self.publishers[at].0;
            for heard in self.rig.heard_so_far(id) {
                let Heard::Confirm { number, multiple, ok } = heard else { panic!("{heard:?}") };
                let publisher = &mut self.publishers[at].1;
                let numbers: Vec<u64> =
                    if multiple { publisher.open.range(..=number).copied().collect() } else { vec![number] };
                for number in numbers {
                    assert!(publisher.open.remove(&number), "{}: {number} answered twice", self.seed);
                    if ok {
                        publisher.confirmed.insert(number);
                    }
                }
            }
        }
        for at in 0..self.consumers.len() {
            for heard in self.rig.heard_so_far(self.consumers[at].id) {
                self.on_heard(at, heard);
            }
        }
    }

    fn on_heard(&mut self, at: usize, heard: Heard) {
        let answered = |consumer: &mut Consumer| {
            consumer.pending -= 1;
            if consumer.pending == 0 {
                consumer.late_acks.clear();
            }
        };
        let consumer = &mut self.consumers[at];
        match heard {
            Heard::Deliver { consumer: from, tag, redelivered, body, .. } => {
                let (queue, _) = from.split_once('.').expect("its queue is in the tag");
                let copy = parse(queue, &body);
                if !redelivered {
                    let last = consumer.fresh.insert((copy.0.clone(), copy.1), copy.2).unwrap_or(0);
                    assert!(copy.2 > last, "{}: {copy:?} after {last}", self.seed);
                }
                self.on_copy(at, tag, redelivered, copy);
            }
            Heard::Got { tag, redelivered, body, .. } => {
                answered(consumer);
                self.on_copy(at, tag, redelivered, parse("x", &body));
            }
            Heard::Consuming(tag) => {
                answered(consumer);
                consumer.tags.push(tag);
            }
            Heard::CancelOk(_) | Heard::Empty => answered(consumer),
            Heard::Method("basic.qos-ok") => {}
            other => panic!("{}: {other:?}", self.seed),
        }
    }

    fn on_copy(&mut self, at: usize, tag: u64, redelivered: bool, copy: Copy) {
        let seed = self.seed;
        let first = self.seen.insert(copy.clone());
        assert!(first || redelivered, "{seed}: {copy:?} came again and does not say so");
        if self.unsure.remove(&copy) {
            self.acked.remove(&copy);
        }
        assert!(!self.acked.contains(&copy), "{seed}: {copy:?} came after its ack");
        let holder = self.consumers.iter().position(|c| c.held.values().any(|held| *held == copy));
        assert_eq!(holder, None, "{seed}: {copy:?} is held already");
        if copy.0 != LOSSY {
            self.consumers[at].held.insert(tag, copy);
        }
    }

    /// Everything is whole again, and nobody consumes: what is left?
    fn end(mut self) {
        self.rig.held_wires.clear();
        if self.cut {
            self.cut_or_heal();
        }
        self.rig.run();
        self.listen();
        self.rig.pass(Duration::from_secs(3));
        self.listen();
        for (_, publisher) in &self.publishers {
            assert!(publisher.open.is_empty(), "{}: not answered: {:?}", self.seed, publisher.open);
        }
        for consumer in std::mem::take(&mut self.consumers) {
            self.unsure.extend(consumer.late_acks);
            self.rig.lose(consumer.id);
        }
        let mut left: BTreeSet<Copy> = BTreeSet::new();
        let reader = self.rig.connect(at(2, 0));
        for queue in QUEUES {
            let mut last: BTreeMap<usize, u64> = BTreeMap::new();
            loop {
                self.rig.says_get(reader, queue, true);
                let body = match self.rig.one(reader) {
                    Heard::Got { body, .. } => body,
                    Heard::Empty => break,
                    other => panic!("{other:?}"),
                };
                let copy = parse(queue, &body);
                let before = last.insert(copy.1, copy.2).unwrap_or(0);
                assert!(copy.2 > before, "{}: {copy:?} is left behind {before}", self.seed);
                if self.unsure.remove(&copy) {
                    self.acked.remove(&copy);
                }
                assert!(!self.acked.contains(&copy), "{}: {copy:?} is there after its ack", self.seed);
                assert!(
                    queue != LOSSY || !self.seen.contains(&copy),
                    "{}: {copy:?} is there and was delivered without acks",
                    self.seed
                );
                left.insert(copy);
            }
        }
        for (at, (_, publisher)) in self.publishers.iter().enumerate() {
            for number in &publisher.confirmed {
                for queue in publisher.targets[number].iter().filter(|queue| **queue != LOSSY) {
                    let copy = (String::from(*queue), at, *number);
                    let there = self.acked.contains(&copy) || left.contains(&copy);
                    assert!(there, "{}: {copy:?} was confirmed and is lost", self.seed);
                }
            }
        }
        for place in PLACES {
            let shard = self.rig.shard(at(place.0, place.1));
            assert!(shard.report().queues.iter().all(|queue| queue.unacked == 0), "{}", self.seed);
        }
    }
}

fn parse(queue: &str, body: &[u8]) -> Copy {
    let text = std::str::from_utf8(body).expect("text");
    let mut words = text.split(' ');
    let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
    (queue.into(), number() as usize, number())
}

#[test]
fn no_history_loses_doubles_or_reorders_a_message() {
    for seed in 0..HISTORIES {
        let mut history = History::new(seed);
        for _ in 0..STEPS {
            history.step();
        }
        history.end();
    }
}
