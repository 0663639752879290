//! The queue by its behaviours; against a naive model in `tests/model.rs`.

mod contents;
mod model;
mod paging;
mod resubscribe;
mod ruled;
mod ruled_model;
mod settings;

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use leveret_model::{
    Body, ChannelKey, ChannelNumber, ConnectionKey, ConsumerNumber, ConsumerTerms, Message, Paused,
    ShardAddress, ShardId, Ulid, Unread,
};

use super::*;

const OWN: ShardAddress = ShardAddress { node: NodeId(1), shard: ShardId(0) };

/// A consumer of a channel of a shard of a node.
fn key(node: u128, shard: u8, channel: u16, number: u32) -> ConsumerKey {
    ConsumerKey {
        at: ShardAddress { node: NodeId(node), shard: ShardId(shard) },
        channel: ChannelKey {
            connection: ConnectionKey { slot: 1, generation: 1 },
            number: ChannelNumber(channel),
            generation: 1,
        },
        number: ConsumerNumber(number),
    }
}

fn local(number: u32) -> ConsumerKey {
    key(1, 0, 1, number)
}

const PLAIN: ConsumerTerms = ConsumerTerms { no_ack: false, exclusive: false, prefetch: 0, priority: 0 };

fn plain(key: ConsumerKey) -> Subscription {
    Subscription { key, terms: PLAIN, window: Window::Output }
}

/// A delivery as the other side saw it: to whom, which place, redelivered, which message.
type Seen = (ConsumerKey, Position, bool, u64);

/// An output that takes so many messages for each consumer.
#[derive(Default)]
struct Outputs {
    seen: Vec<Seen>,
    /// Without an entry: no end of room.
    room: BTreeMap<u32, u32>,
    gone: Vec<ConsumerKey>,
    /// Calls, taken or not.
    offers: usize,
}

impl Egress for Outputs {
    fn deliver(
        &mut self,
        consumer: &ConsumerKey,
        _no_ack: bool,
        position: Position,
        redelivered: bool,
        message: Message<'_>,
    ) -> Delivered {
        self.offers += 1;
        if self.gone.contains(consumer) {
            return Delivered::Gone;
        }
        if let Some(room) = self.room.get_mut(&consumer.number.0) {
            if *room == 0 {
                return Delivered::Paused(Paused::Output);
            }
            *room -= 1;
        }
        self.seen.push((*consumer, position, redelivered, name_of(message)));
        Delivered::Taken
    }
}

/// The number in the first eight bytes of a body.
fn name_of(message: Message<'_>) -> u64 {
    let Body::Flat(body) = message.body else { panic!("all bodies here are flat") };
    u64::from_le_bytes(*body.first_chunk().expect("eight bytes"))
}

struct Bench {
    queue: Queue,
    arena: Arena,
    outputs: Outputs,
    appended: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            queue: Queue::new(&model::record(), Seed(3)),
            arena: Arena::new(),
            outputs: Outputs::default(),
            appended: 0,
        }
    }

    fn with(consumers: &[Subscription]) -> Self {
        let mut bench = Self::new();
        for consumer in consumers {
            bench.queue.subscribe(*consumer).expect("no exclusive ones");
        }
        bench
    }

    fn append(&mut self, count: u64) {
        for _ in 0..count {
            self.append_padded(0);
        }
    }

    fn append_padded(&mut self, padding: usize) -> Position {
        self.appended += 1;
        let mut body = self.appended.to_le_bytes().to_vec();
        body.resize(8 + padding, 0);
        let message = self.arena.insert(&paging::persistent(&body), 1);
        self.queue.append(message, body.len())
    }

    /// Dispatches without an end; returns what was delivered: consumer number, place.
    fn dispatch(&mut self) -> Vec<(u32, u64)> {
        self.outputs.seen.clear();
        let outcome = self.queue.dispatch(usize::MAX, Instant::ZERO, &mut self.arena, &mut self.outputs);
        assert_eq!((outcome.delivered, outcome.more), (self.outputs.seen.len(), false));
        self.outputs.seen.iter().map(|(key, position, ..)| (key.number.0, position.0)).collect()
    }

    fn settle(&mut self, holder: ConsumerKey, position: u64, how: Settlement) -> bool {
        match self.queue.settle(&holder, Position(position), how) {
            Left::NotHeld => return false,
            Left::Requeued => {}
            Left::Acked(message) | Left::Rejected(message) => self.arena.release(message),
        }
        true
    }

    fn get(&mut self, no_ack: bool) -> Option<Taken> {
        self.queue.get(&local(0), no_ack, Instant::ZERO)
    }
}

#[test]
fn consumers_of_one_priority_take_turns() {
    let mut bench = Bench::with(&[plain(local(1)), plain(local(2)), plain(local(3))]);
    bench.append(5);
    assert_eq!(bench.dispatch(), [(1, 1), (2, 2), (3, 3), (1, 4), (2, 5)]);
    bench.append(2);
    assert_eq!(bench.dispatch(), [(3, 6), (1, 7)]);
}

#[test]
fn a_higher_priority_is_served_first_while_it_can_take_more() {
    let high = Subscription { terms: ConsumerTerms { priority: 5, prefetch: 2, ..PLAIN }, ..plain(local(2)) };
    let mut bench = Bench::with(&[plain(local(1)), high]);
    bench.append(4);
    assert_eq!(bench.dispatch(), [(2, 1), (2, 2), (1, 3), (1, 4)]);
    assert!(bench.settle(local(2), 1, Settlement::Ack));
    bench.append(2);
    assert_eq!(bench.dispatch(), [(2, 5), (1, 6)]);
}

#[test]
fn consumers_on_all_shards_of_the_node_take_turns() {
    let window = Window::Credit { messages: 9, bytes: 9_999 };
    let beside = Subscription { window, ..plain(key(1, 1, 1, 2)) };
    let mut bench = Bench::with(&[plain(local(1)), beside]);
    bench.append(4);
    assert_eq!(bench.dispatch(), [(1, 1), (2, 2), (1, 3), (2, 4)]);
}

#[test]
fn consumers_of_the_node_are_served_first_at_equal_priority() {
    let window = Window::Credit { messages: 9, bytes: 9_999 };
    let far = Subscription { window, ..plain(key(2, 0, 1, 3)) };
    let beside =
        Subscription { window, terms: ConsumerTerms { prefetch: 1, ..PLAIN }, ..plain(key(1, 1, 1, 2)) };
    let here = Subscription { terms: ConsumerTerms { prefetch: 1, ..PLAIN }, ..plain(local(1)) };
    let far_and_high = Subscription { terms: ConsumerTerms { priority: 1, prefetch: 1, ..far.terms }, ..far };
    let mut bench = Bench::with(&[far, beside, here, Subscription { key: key(2, 0, 1, 4), ..far_and_high }]);
    bench.append(4);
    assert_eq!(bench.dispatch(), [(4, 1), (2, 2), (1, 3), (3, 4)]);
}

#[test]
fn a_requeued_message_comes_back_to_its_place_marked() {
    let mut bench =
        Bench::with(&[Subscription { terms: ConsumerTerms { prefetch: 3, ..PLAIN }, ..plain(local(1)) }]);
    bench.append(5);
    assert_eq!(bench.dispatch(), [(1, 1), (1, 2), (1, 3)]);
    // out of order, as a channel may
    assert!(bench.settle(local(1), 3, Settlement::Requeue));
    assert!(bench.settle(local(1), 1, Settlement::Requeue));
    assert_eq!(bench.dispatch(), [(1, 1), (1, 3)]);
    assert!(bench.outputs.seen.iter().all(|(_, _, redelivered, _)| *redelivered));
    for position in [1, 2, 3] {
        assert!(bench.settle(local(1), position, Settlement::Ack));
    }
    assert_eq!(bench.dispatch(), [(1, 4), (1, 5)]);
    assert!(bench.outputs.seen.iter().all(|(_, _, redelivered, _)| !*redelivered));
}

#[test]
fn a_delivery_is_settled_once_and_only_by_its_holder() {
    let mut bench = Bench::with(&[plain(local(1))]);
    bench.append(1);
    bench.dispatch();
    assert!(!bench.settle(local(2), 1, Settlement::Ack));
    assert!(!bench.settle(local(1), 2, Settlement::Ack));
    assert!(bench.settle(local(1), 1, Settlement::Reject));
    assert!(!bench.settle(local(1), 1, Settlement::Ack));
    assert_eq!((bench.queue.unacked(), bench.arena.messages()), (0, 0));
}

/// RabbitMQ: 0 allows any number.
#[test]
fn a_prefetch_of_zero_is_no_limit() {
    let mut bench = Bench::with(&[plain(local(1))]);
    bench.append(70_000);
    assert_eq!(bench.dispatch().len(), 70_000, "more than the largest prefetch");
    assert_eq!(bench.queue.unacked(), 70_000);
}

#[test]
fn a_window_closes_by_messages_and_by_bytes_and_never_opens_beyond_its_size() {
    let window = Window::Credit { messages: 3, bytes: 100 };
    let remote = key(2, 0, 1, 1);
    let mut bench = Bench::with(&[Subscription {
        window,
        terms: ConsumerTerms { no_ack: true, ..PLAIN },
        ..plain(remote)
    }]);
    bench.append(9);
    assert_eq!(bench.dispatch().len(), 3);
    bench.queue.credit(&remote, u32::MAX, u64::MAX);
    assert_eq!(bench.dispatch().len(), 3);
    bench.queue.credit(&remote, 1, 8);
    assert_eq!(bench.dispatch().len(), 1);
    bench.queue.purge(&mut bench.arena);
    // larger than the whole window: it goes, and closes the window until it has left
    bench.append_padded(500);
    bench.append(1);
    bench.queue.credit(&remote, 3, 100);
    assert_eq!(bench.dispatch().len(), 1);
    bench.queue.credit(&remote, 1, 300);
    assert_eq!(bench.dispatch().len(), 0);
    bench.queue.credit(&remote, 0, 208);
    assert_eq!(bench.dispatch().len(), 1);
}

#[test]
fn a_full_output_is_left_alone_until_it_is_woken() {
    let mut bench = Bench::with(&[plain(local(1)), plain(local(2))]);
    bench.outputs.room.insert(1, 1);
    bench.append(5);
    assert_eq!(bench.dispatch(), [(1, 1), (2, 2), (2, 3), (2, 4), (2, 5)]);
    bench.queue.unsubscribe(&local(2));
    bench.append(1);
    let offers = bench.outputs.offers;
    assert!(!bench.queue.touch(), "a parked queue costs nothing");
    assert_eq!((bench.dispatch(), bench.outputs.offers), (vec![], offers));
    bench.outputs.room.insert(1, 9);
    bench.queue.wake(&local(1));
    assert!(bench.queue.touch() && !bench.queue.touch(), "listed once");
    assert_eq!(bench.dispatch(), [(1, 6)]);
}

#[test]
fn a_consumer_that_is_gone_leaves_the_message_to_the_others_unmarked() {
    let mut bench = Bench::with(&[plain(local(1)), plain(local(2))]);
    bench.append(1);
    bench.dispatch();
    bench.outputs.gone.push(local(2));
    bench.append(1);
    assert_eq!(bench.dispatch(), [(1, 2)]);
    assert!(!bench.outputs.seen[0].2);
    assert_eq!((bench.queue.consumers(), bench.queue.unacked()), (1, 2));
}

#[test]
fn a_dispatch_ends_with_its_budget_and_says_that_there_is_more() {
    let mut bench = Bench::with(&[plain(local(1))]);
    bench.append(10);
    assert!(bench.queue.touch());
    let outcome = bench.queue.dispatch(4, Instant::ZERO, &mut bench.arena, &mut bench.outputs);
    assert_eq!(outcome, DispatchOutcome { delivered: 4, dropped: 0, more: true });
    assert!(!bench.queue.touch(), "it is still listed");
    assert_eq!(bench.dispatch().len(), 6);
}

#[test]
fn an_exclusive_consumer_is_alone() {
    let exclusive =
        |number| Subscription { terms: ConsumerTerms { exclusive: true, ..PLAIN }, ..plain(local(number)) };
    let mut bench = Bench::with(&[exclusive(1)]);
    assert_eq!(bench.queue.subscribe(plain(local(2))), Err(SubscribeRefused::Exclusive));
    assert_eq!(bench.queue.subscribe(exclusive(2)), Err(SubscribeRefused::Exclusive));
    assert_eq!(bench.queue.subscribe(exclusive(1)), Ok(()), "the same request again");
    assert!(bench.queue.unsubscribe(&local(1)));
    assert_eq!(bench.queue.subscribe(plain(local(2))), Ok(()));
    assert_eq!(bench.queue.subscribe(exclusive(3)), Err(SubscribeRefused::NotAlone));
    assert_eq!(bench.queue.consumers(), 1);
}

#[test]
fn what_a_cancelled_consumer_held_stays_held() {
    let mut bench = Bench::with(&[plain(local(1))]);
    bench.append(2);
    bench.dispatch();
    assert!(bench.queue.unsubscribe(&local(1)) && !bench.queue.unsubscribe(&local(1)));
    assert_eq!((bench.queue.consumers(), bench.queue.unacked(), bench.queue.ready()), (0, 2, 0));
    assert!(bench.settle(local(1), 2, Settlement::Ack));
    assert!(bench.settle(local(1), 1, Settlement::Requeue));
    assert_eq!((bench.queue.unacked(), bench.queue.ready(), bench.queue.ready_bytes()), (0, 1, 8));
}

#[test]
fn get_takes_the_first_and_says_how_many_are_left() {
    let mut bench = Bench::new();
    bench.append(2);
    let taken = bench.get(false).expect("two are ready");
    assert_eq!((taken.position, taken.redelivered, taken.remaining), (Position(1), false, 1));
    assert!(bench.settle(local(0), 1, Settlement::Requeue));
    let taken = bench.get(true).expect("two are ready again");
    assert_eq!((taken.position, taken.redelivered, taken.remaining), (Position(1), true, 1));
    bench.arena.release(taken.message);
    assert_eq!(bench.arena.messages(), 1);
    assert!(bench.get(true).is_some_and(|taken| taken.remaining == 0));
    assert_eq!(bench.get(true), None);
}

#[test]
fn purge_drops_what_is_ready_and_nothing_else() {
    let mut bench =
        Bench::with(&[Subscription { terms: ConsumerTerms { prefetch: 1, ..PLAIN }, ..plain(local(1)) }]);
    bench.append(4);
    bench.dispatch();
    assert_eq!(bench.queue.purge(&mut bench.arena), 3);
    assert_eq!((bench.queue.ready(), bench.queue.ready_bytes(), bench.queue.unacked()), (0, 0, 1));
    assert_eq!(bench.append_padded(0), Position(5), "a place is never given twice");
}

#[test]
fn a_deleted_queue_names_its_consumers_in_order_and_keeps_nothing() {
    let high = Subscription { terms: ConsumerTerms { priority: 9, ..PLAIN }, ..plain(local(2)) };
    let mut bench = Bench::with(&[plain(local(7)), high, plain(local(1))]);
    bench.append(3);
    bench.queue.dispatch(1, Instant::ZERO, &mut bench.arena, &mut bench.outputs);
    assert_eq!(bench.queue.drop_all(&mut bench.arena), [local(7), local(2), local(1)]);
    assert!(bench.queue.is_idle());
    assert_eq!(bench.arena.messages(), 0);
}

#[test]
fn what_a_node_that_is_down_held_comes_back_in_place() {
    let window = Window::Credit { messages: 9, bytes: 9_999 };
    let remote = Subscription {
        window,
        terms: ConsumerTerms { prefetch: 2, priority: 1, ..PLAIN },
        ..plain(key(2, 0, 1, 1))
    };
    let mut bench = Bench::with(&[
        remote,
        Subscription { terms: ConsumerTerms { prefetch: 1, ..PLAIN }, ..plain(local(2)) },
    ]);
    bench.append(5);
    assert_eq!(bench.dispatch(), [(1, 1), (1, 2), (2, 3)]);
    assert_eq!(bench.queue.release_node(NodeId(2)), 2);
    assert_eq!((bench.queue.consumers(), bench.queue.ready(), bench.queue.unacked()), (1, 4, 1));
    assert!(!bench.settle(remote.key, 1, Settlement::Ack), "a late acknowledgement finds nothing");
    assert!(bench.settle(local(2), 3, Settlement::Ack));
    assert_eq!(bench.dispatch(), [(2, 1)]);
    assert!(bench.outputs.seen[0].2, "redelivered");
}

#[test]
fn credit_is_seen_of_each_consumer() {
    let terms = ConsumerTerms { prefetch: 1, ..PLAIN };
    let mut bench = Bench::with(&[
        Subscription { terms, ..plain(local(1)) },
        Subscription { window: Window::Credit { messages: 1, bytes: 1_000 }, ..plain(key(2, 0, 1, 2)) },
    ]);
    let open = |bench: &Bench| bench.queue.with_credit().map(|key| key.number.0).collect::<Vec<_>>();
    assert_eq!(open(&bench), [1, 2]);
    bench.append(1);
    bench.dispatch();
    assert_eq!(open(&bench), [2]);
    bench.append(1);
    bench.dispatch();
    assert_eq!(open(&bench), []);
}
