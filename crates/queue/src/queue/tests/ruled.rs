//! Lengths, times, priorities, returns and the single active consumer, rule by rule; against a naive model in
//! `ruled_model.rs`.

use core::time::Duration;

use leveret_model::limits::TURN_DISPATCH_MAX;
use leveret_model::{Arguments, Instant, RoutingKey, Terms, Value};

use super::*;

pub(super) fn number(key: &str, value: i64) -> (RoutingKey, Value) {
    (RoutingKey::new(key.as_bytes()), Value::I64(value))
}

pub(super) fn overflow(value: &str) -> (RoutingKey, Value) {
    (RoutingKey::new(b"x-overflow"), Value::LongString(value.as_bytes().into()))
}

pub(super) fn single_active() -> (RoutingKey, Value) {
    (RoutingKey::new(b"x-single-active-consumer"), Value::Bool(true))
}

pub(super) fn at_ms(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

/// A queue of these arguments, and the names of its messages as they go.
pub(super) struct Ruled {
    pub(super) queue: Queue,
    pub(super) arena: Arena,
    pub(super) outputs: Outputs,
    pub(super) now: Instant,
    appended: u64,
    /// The names of messages by their places.
    pub(super) disk: BTreeMap<Position, u64>,
}

impl Ruled {
    pub(super) fn new(arguments: Vec<(RoutingKey, Value)>) -> Self {
        let mut record = model::record();
        let mut definition = leveret_model::definition::QueueDefinition::clone(&record.definition);
        definition.arguments = Arguments(arguments).into();
        record.definition = definition.into();
        Self {
            queue: Queue::new(&record, Seed(3)),
            arena: Arena::new(),
            outputs: Outputs::default(),
            now: at_ms(1_000),
            appended: 0,
            disk: BTreeMap::new(),
        }
    }

    /// The next message, of so many bytes; false if the queue refuses it.
    pub(super) fn append(&mut self, terms: Terms, bytes: usize) -> bool {
        self.appended += 1;
        let mut body = self.appended.to_le_bytes().to_vec();
        body.resize(bytes.max(8), 0);
        let message = Message { terms, ..Message::new(b"", b"", Body::Flat(&body)) };
        let kept = self.arena.insert(&message, 1);
        let appended = if self.queue.is_plain_for(terms) {
            Some(self.queue.append(kept, body.len()))
        } else {
            self.queue.append_ruled(kept, body.len(), terms, self.now)
        };
        if let Some(position) = appended {
            self.disk.insert(position, self.appended);
        }
        appended.is_some()
    }

    fn append_plain(&mut self, count: u64) -> Vec<bool> {
        (0..count).map(|_| self.append(Terms::default(), 8)).collect()
    }

    fn append_of(&mut self, priority: u8) {
        assert!(self.append(Terms::new(false, priority, None), 8));
    }

    fn append_for(&mut self, expiration_ms: u64) {
        assert!(self.append(Terms::new(false, 0, Some(expiration_ms)), 8));
    }

    /// Dispatches within a budget; gives consumer and name of each delivery.
    pub(super) fn dispatch_some(&mut self, budget: usize) -> (Vec<(u32, u64)>, DispatchOutcome) {
        self.outputs.seen.clear();
        let outcome = self.dispatch_reading(budget);
        (self.outputs.seen.iter().map(|(key, _, _, name)| (key.number.0, *name)).collect(), outcome)
    }

    fn dispatch(&mut self) -> Vec<(u32, u64)> {
        let (seen, outcome) = self.dispatch_some(usize::MAX);
        assert!(!outcome.more);
        seen
    }

    /// Names and causes of what left.
    pub(super) fn departed(&mut self) -> Vec<(u64, Cause)> {
        let departures = self.queue.take_departures();
        departures.iter().for_each(|left| self.read_departed(left));
        let left =
            departures.iter().map(|left| (name_of(self.arena.get(left.message)), left.cause)).collect();
        departures.iter().for_each(|left| self.arena.release(left.message));
        left
    }

    pub(super) fn get(&mut self) -> Option<u64> {
        let taken = self.get_reading()?;
        let name = name_of(self.arena.get(taken.message));
        self.arena.release(taken.message);
        Some(name)
    }

    fn get_all(&mut self) -> Vec<u64> {
        core::iter::from_fn(|| self.get()).collect()
    }

    fn consumer(&mut self, number: u32, prefetch: u16, priority: i32) {
        let terms = ConsumerTerms { prefetch, priority, ..PLAIN };
        let subscription = Subscription { terms, ..plain(local(number)) };
        self.queue.subscribe(subscription).expect("no exclusive ones");
    }

    fn settle(&mut self, consumer: u32, position: u64, how: Settlement) -> Left {
        self.queue.settle(&local(consumer), Position(position), how)
    }
}

#[test]
fn a_full_queue_drops_its_oldest() {
    let mut bench = Ruled::new(vec![number("x-max-length", 3)]);
    assert_eq!(bench.append_plain(5), [true; 5]);
    assert!(bench.queue.touch());
    assert_eq!(bench.dispatch(), []);
    assert_eq!(bench.departed(), [(1, Cause::MaxLength), (2, Cause::MaxLength)]);
    assert_eq!((bench.queue.ready(), bench.get_all()), (3, vec![3, 4, 5]));
}

/// RabbitMQ: what is delivered and not acknowledged does not count.
#[test]
fn the_length_counts_ready_messages_alone() {
    let mut bench = Ruled::new(vec![number("x-max-length", 2)]);
    bench.consumer(1, 3, 0);
    bench.append_plain(6);
    assert_eq!(bench.dispatch(), [(1, 1), (1, 2), (1, 3)]);
    assert_eq!(bench.departed(), [(4, Cause::MaxLength)]);
    assert_eq!((bench.queue.ready(), bench.queue.unacked()), (2, 3));
}

#[test]
fn bodies_alone_count_for_the_length_in_bytes() {
    let mut bench = Ruled::new(vec![number("x-max-length-bytes", 100)]);
    assert!(bench.append(Terms::default(), 60));
    assert!(bench.append(Terms::default(), 40));
    bench.dispatch();
    assert_eq!(bench.departed(), []);
    assert!(bench.append(Terms::default(), 101));
    bench.dispatch();
    assert_eq!(bench.departed().len(), 3, "one that is larger than the queue may be leaves too");
    assert_eq!(bench.queue.ready_bytes(), 0);
}

#[test]
fn a_full_queue_may_refuse_the_newest() {
    for (value, cause) in [("reject-publish", Cause::Refused), ("reject-publish-dlx", Cause::MaxLength)] {
        let mut bench = Ruled::new(vec![number("x-max-length", 2), overflow(value)]);
        assert_eq!(bench.append_plain(4), [true, true, false, false]);
        assert_eq!(bench.departed(), [(3, cause), (4, cause)]);
        assert_eq!(bench.get_all(), [1, 2]);
        assert_eq!(bench.append_plain(1), [true]);
    }
}

/// RabbitMQ hands a publish to a waiting consumer before it counts.
#[test]
fn what_waiting_consumers_take_is_not_refused() {
    let mut bench = Ruled::new(vec![number("x-max-length", 1), overflow("reject-publish")]);
    bench.consumer(1, 2, 0);
    bench.consumer(2, 1, 0);
    assert_eq!(bench.append_plain(5), [true, true, true, true, false]);
    assert_eq!(bench.dispatch().len(), 3);
    assert_eq!(bench.queue.ready(), 1);
}

#[test]
fn a_message_expires_at_the_head_and_not_behind_a_longer_lived_one() {
    let mut bench = Ruled::new(vec![]);
    bench.append_plain(1);
    bench.append_for(300);
    bench.append_for(100);
    bench.append_plain(1);
    bench.now = at_ms(1_250);
    bench.queue.call();
    bench.dispatch();
    assert_eq!((bench.departed(), bench.queue.ready()), (vec![], 4));
    assert_eq!(bench.queue.message_deadline(), Instant::FAR);
    assert_eq!(bench.get(), Some(1));
    assert_eq!(bench.queue.message_deadline(), at_ms(1_300));
    bench.now = at_ms(1_300);
    bench.queue.call();
    assert!(bench.queue.touch());
    bench.dispatch();
    assert_eq!(bench.departed(), [(2, Cause::Expired), (3, Cause::Expired)]);
    assert_eq!(bench.get_all(), [4]);
    assert!(!bench.queue.touch() || bench.dispatch().is_empty());
    assert!(!bench.queue.is_ruled(), "it is plain again");
    bench.append_plain(1);
    assert_eq!(bench.get_all(), [5]);
}

#[test]
fn the_smaller_of_the_two_times_counts() {
    let mut bench = Ruled::new(vec![number("x-message-ttl", 200)]);
    bench.append_for(100);
    bench.append_for(500);
    bench.now = at_ms(1_100);
    assert_eq!(bench.get(), Some(2));
    assert_eq!(bench.departed(), [(1, Cause::Expired)]);
    bench.append_for(500);
    bench.now = at_ms(1_300);
    assert_eq!(bench.get(), None);
    assert_eq!(bench.departed(), [(3, Cause::Expired)]);
}

/// RabbitMQ: TTL 0 is "deliver now or expire", also when all consumers are busy.
#[test]
fn a_message_with_no_time_is_delivered_at_once_or_expires() {
    let mut bench = Ruled::new(vec![number("x-message-ttl", 0)]);
    bench.consumer(1, 2, 0);
    bench.append_plain(3);
    assert_eq!(bench.dispatch(), [(1, 1), (1, 2)]);
    assert_eq!(bench.departed(), [(3, Cause::Expired)]);
}

#[test]
fn the_time_runs_on_while_a_message_is_held_and_is_not_renewed() {
    let mut bench = Ruled::new(vec![number("x-message-ttl", 100)]);
    bench.consumer(1, 1, 0);
    bench.append_plain(1);
    assert_eq!(bench.dispatch(), [(1, 1)]);
    bench.now = at_ms(1_200);
    assert!(bench.queue.unsubscribe(&local(1)));
    assert_eq!(bench.settle(1, 1, Settlement::Requeue), Left::Requeued);
    bench.dispatch();
    assert_eq!(bench.departed(), [(1, Cause::Expired)]);
}

#[test]
fn the_expiry_of_a_backlog_is_cut_into_turns() {
    let mut bench = Ruled::new(vec![number("x-message-ttl", 100)]);
    let count = 3 * TURN_DISPATCH_MAX as u64;
    bench.append_plain(count);
    bench.dispatch();
    bench.now = at_ms(1_100);
    bench.queue.call();
    let mut turns = 0;
    loop {
        let (_, outcome) = bench.dispatch_some(TURN_DISPATCH_MAX);
        assert!(outcome.dropped <= TURN_DISPATCH_MAX);
        bench.departed();
        turns += 1;
        if !outcome.more {
            break;
        }
    }
    assert_eq!((bench.queue.ready(), bench.arena.messages()), (0, 0));
    assert!(turns >= 3);
}

/// RabbitMQ: a priority above the queue's highest counts as that; none is 0.
#[test]
fn a_higher_priority_goes_first() {
    let mut bench = Ruled::new(vec![number("x-max-priority", 10)]);
    for priority in [0, 5, 10, 200, 5] {
        bench.append_of(priority);
    }
    assert_eq!(bench.get_all(), [3, 4, 2, 5, 1]);
}

/// RabbitMQ: a full priority queue drops from its head, which is its best.
#[test]
fn a_full_priority_queue_drops_its_best() {
    let mut bench = Ruled::new(vec![number("x-max-priority", 9), number("x-max-length", 3)]);
    for priority in [0, 0, 9, 9, 0] {
        bench.append_of(priority);
        bench.dispatch();
    }
    assert_eq!(bench.get_all(), [1, 2, 5]);
}

#[test]
fn what_comes_back_goes_to_its_place_in_its_level() {
    let mut bench = Ruled::new(vec![number("x-max-priority", 2)]);
    for priority in [1, 2, 1, 2] {
        bench.append_of(priority);
    }
    bench.consumer(1, 0, 0);
    assert_eq!(bench.dispatch(), [(1, 2), (1, 4), (1, 1), (1, 3)]);
    assert!(bench.queue.unsubscribe(&local(1)));
    for position in [3, 1, 4] {
        assert_eq!(bench.settle(1, position, Settlement::Requeue), Left::Requeued);
    }
    assert_eq!(bench.get_all(), [4, 1, 3]);
}

/// RabbitMQ: with a limit of 2 a message is delivered three times.
#[test]
fn a_message_that_comes_back_too_often_leaves() {
    let mut bench = Ruled::new(vec![number("x-delivery-limit", 2)]);
    bench.append_plain(1);
    bench.consumer(1, 0, 0);
    for _ in 0..3 {
        assert_eq!(bench.dispatch(), [(1, 1)]);
        assert_eq!(bench.departed(), []);
        assert_eq!(bench.settle(1, 1, Settlement::Requeue), Left::Requeued);
    }
    assert_eq!(bench.departed(), [(1, Cause::DeliveryLimit)]);
    assert_eq!(bench.dispatch(), []);
}

#[test]
fn one_consumer_is_active_and_the_next_follows_by_priority_and_age() {
    let mut bench = Ruled::new(vec![single_active()]);
    bench.consumer(1, 1, 0);
    bench.consumer(2, 0, 0);
    bench.consumer(3, 0, 5);
    bench.consumer(4, 0, 5);
    bench.append_plain(2);
    assert_eq!(bench.dispatch(), [(1, 1)], "its prefetch is used up, and nobody else is served");
    assert!(bench.queue.unsubscribe(&local(1)));
    assert_eq!(bench.dispatch(), [(3, 2)], "what the one before holds does not keep it waiting");
    bench.consumer(3, 0, 0);
    bench.append_plain(1);
    assert_eq!(bench.dispatch(), [(3, 3)], "new terms leave it active");
    assert!(bench.queue.unsubscribe(&local(4)));
    assert!(bench.queue.unsubscribe(&local(3)));
    bench.append_plain(1);
    assert_eq!(bench.dispatch(), [(2, 4)]);
}

#[test]
fn no_consumer_is_exclusive_where_one_is_active() {
    let mut bench = Ruled::new(vec![single_active()]);
    let terms = ConsumerTerms { exclusive: true, ..PLAIN };
    let asked = Subscription { terms, ..plain(local(1)) };
    assert_eq!(bench.queue.subscribe(asked), Err(SubscribeRefused::SingleActive));
}

#[test]
fn a_purge_and_a_deletion_leave_nothing() {
    let mut bench = Ruled::new(vec![number("x-message-ttl", 100), number("x-max-priority", 3)]);
    bench.consumer(1, 1, 0);
    bench.append_plain(3);
    bench.dispatch();
    assert_eq!(bench.queue.purge(&mut bench.arena), 2);
    assert_eq!(bench.arena.messages(), 1);
    bench.append_plain(2);
    let _ = bench.queue.drop_all(&mut bench.arena);
    assert_eq!(bench.arena.messages(), 0);
}
