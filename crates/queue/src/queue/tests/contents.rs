//! A queue that is read whole, and put together again elsewhere.

use leveret_model::{MessageState, Terms};

use super::ruled::{Ruled, at_ms, number};
use super::*;

/// All that a frozen queue has, as its old home reads it.
fn entries(queue: &Queue, now: Instant) -> Vec<QueueEntry> {
    let loose =
        queue.loose_places().into_iter().map(|place| queue.loose_entry(place, now).expect("it is there"));
    let mut all: Vec<_> = loose.collect();
    let mut from = Position(0);
    while let Some(entry) = queue.next_fresh(from, now) {
        from = Position(entry.position.0 + 1);
        all.push(entry);
    }
    all
}

/// What the other home makes of it: the messages are copied, as over a link.
fn moved(from: &Queue, arena: &Arena, mut to: Queue, now: Instant) -> (Queue, Arena) {
    let mut there = Arena::new();
    if let Some(place) = from.ruled_from() {
        to.restore_ruled(place);
    }
    for entry in entries(from, now) {
        let message = there.insert(&arena.get(entry.message), 1);
        to.restore(QueueEntry { message, ..entry }, now).expect("in the order of the entries");
    }
    for (key, terms) in from.subscriptions() {
        let subscription = Subscription { key, terms, window: Window::Output };
        to.restore_consumer(subscription, false).expect("they were there together");
    }
    to.restore_next(from.next_position()).expect("behind all of them");
    (to, there)
}

#[test]
fn a_plain_queue_keeps_places_holders_and_flags() {
    let two = ConsumerTerms { prefetch: 2, ..PLAIN };
    let consumer = Subscription { terms: two, ..plain(local(1)) };
    let mut bench = Bench::with(&[consumer]);
    bench.append(5);
    assert_eq!(bench.dispatch(), [(1, 1), (1, 2)]);
    assert!(bench.settle(local(1), 1, Settlement::Requeue));
    let (queue, arena) =
        moved(&bench.queue, &bench.arena, Queue::new(&model::record(), Seed(4)), Instant::ZERO);
    let mut there = Bench { queue, arena, outputs: Outputs::default(), appended: 5 };
    assert_eq!((there.queue.ready(), there.queue.unacked(), there.queue.consumers()), (4, 1, 1));
    // one is held still, so the prefetch has room for one
    assert_eq!(there.dispatch(), [(1, 1)]);
    assert!(there.outputs.seen[0].2, "it was delivered before");
    assert!(there.settle(local(1), 2, Settlement::Ack), "by whoever held it");
    assert_eq!(there.dispatch(), [(1, 3)]);
    assert!(!there.outputs.seen[0].2);
    there.append(1);
    assert!(there.settle(local(1), 1, Settlement::Ack) && there.settle(local(1), 3, Settlement::Ack));
    assert_eq!(there.dispatch(), [(1, 4), (1, 5)]);
    assert!(there.settle(local(1), 4, Settlement::Ack));
    assert_eq!(there.dispatch(), [(1, 6)], "the next place follows");
}

#[test]
fn a_queue_with_rules_keeps_levels_and_what_is_left_of_each_time() {
    let arguments = || vec![number("x-max-priority", 5), number("x-delivery-limit", 1)];
    let mut here = Ruled::new(arguments());
    for (priority, expiration) in [(0, None), (4, None), (0, Some(500)), (4, Some(900))] {
        assert!(here.append(Terms::new(false, priority, expiration), 8));
    }
    let mut there = Ruled::new(arguments());
    // 600 ms of the life of the last two are over
    (there.now, here.now) = (at_ms(70_000), at_ms(1_400));
    let (queue, arena) = moved_at(&here, there.queue, there.now);
    (there.queue, there.arena) = (queue, arena);
    there.now = at_ms(70_200);
    there.queue.enforce(there.now);
    assert_eq!((there.get(), there.get(), there.get(), there.get()), (Some(2), Some(4), Some(1), None));
    assert_eq!(there.departed(), [(3, Cause::Expired)]);
}

/// Two nodes have clocks of their own.
fn moved_at(here: &Ruled, mut to: Queue, now: Instant) -> (Queue, Arena) {
    let mut there = Arena::new();
    to.restore_ruled(here.queue.ruled_from().expect("it has rules"));
    for entry in entries(&here.queue, here.now) {
        assert_eq!(entry.state, MessageState::Fresh);
        let message = there.insert(&here.arena.get(entry.message), 1);
        to.restore(QueueEntry { message, ..entry }, now).expect("in the order of the entries");
    }
    to.restore_next(here.queue.next_position()).expect("behind all of them");
    (to, there)
}

#[test]
fn a_place_that_comes_twice_or_leaves_a_gap_is_refused() {
    let mut bench = Bench::new();
    bench.append(3);
    let entries = entries(&bench.queue, Instant::ZERO);
    let restored = |order: &[usize], next: u64| {
        let mut queue = Queue::new(&model::record(), Seed(4));
        for at in order {
            queue.restore(entries[*at], Instant::ZERO)?;
        }
        queue.restore_next(Position(next))
    };
    assert_eq!(restored(&[0, 1, 2], 4), Ok(()));
    assert_eq!(restored(&[0, 2], 4), Err(OutOfPlace(Position(3))));
    assert_eq!(restored(&[0, 0], 4), Err(OutOfPlace(Position(1))));
    assert!(restored(&[0, 1, 2], 3).is_err(), "the next place is taken");
}

/// What is copied ahead is found by place while the queue serves.
#[test]
fn a_message_is_found_by_its_place_as_long_as_it_is_there() {
    let mut bench = Bench::with(&[plain(local(1))]);
    bench.append(3);
    assert_eq!(
        bench.queue.next_fresh(Position(2), Instant::ZERO).map(|entry| entry.position),
        Some(Position(2))
    );
    assert_eq!(bench.dispatch(), [(1, 1), (1, 2), (1, 3)]);
    assert_eq!(bench.queue.next_fresh(Position(2), Instant::ZERO), None);
    assert_eq!(bench.queue.loose_places(), [1, 2, 3].map(Position));
    assert!(bench.settle(local(1), 2, Settlement::Ack) && bench.settle(local(1), 3, Settlement::Requeue));
    let state = |place| bench.queue.loose_entry(Position(place), Instant::ZERO).map(|entry| entry.state);
    assert_eq!((state(1), state(2)), (Some(MessageState::Held(local(1))), None));
    assert_eq!(state(3), Some(MessageState::Returned));
}

#[test]
fn fresh_messages_of_all_levels_are_found_in_the_order_of_their_places() {
    let mut here = Ruled::new(vec![number("x-max-priority", 5)]);
    for priority in [0, 4, 0, 4] {
        assert!(here.append(Terms::new(false, priority, None), 8));
    }
    assert_eq!(here.get(), Some(2), "the highest level first");
    let places: Vec<u64> = entries(&here.queue, here.now).iter().map(|entry| entry.position.0).collect();
    assert_eq!(places, [1, 3, 4]);
}
