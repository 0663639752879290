//! Settings that change while the queue lives, because its policy does.

use core::time::Duration;

use leveret_model::settings::{Overflow, QueueSettings};
use leveret_model::{Instant, Terms};

use super::ruled::{Ruled, at_ms};
use super::*;

fn settings(max_length: Option<u64>) -> QueueSettings {
    QueueSettings { max_length, ..QueueSettings::default() }
}

/// Plain messages, some of them returned by a consumer.
fn plain_queue(count: u64) -> Ruled {
    let mut bench = Ruled::new(vec![]);
    for _ in 0..count {
        assert!(bench.append(Terms::default(), 8));
    }
    bench
}

fn ready(bench: &mut Ruled) -> Vec<u64> {
    core::iter::from_fn(|| bench.get()).collect()
}

#[test]
fn a_shorter_length_drops_the_surplus_of_a_plain_queue_at_once_and_oldest_first() {
    let mut bench = plain_queue(6);
    bench.queue.set_settings(&settings(Some(4)), bench.now);
    assert!(bench.queue.touch(), "the queue is to have a turn");
    let (_, outcome) = bench.dispatch_some(usize::MAX);
    assert_eq!((outcome.dropped, outcome.more), (2, false));
    assert_eq!(bench.departed(), [(1, Cause::MaxLength), (2, Cause::MaxLength)]);
    // what comes now counts together with what was there
    assert!(bench.append(Terms::default(), 8));
    bench.dispatch_some(usize::MAX);
    assert_eq!(bench.departed(), [(3, Cause::MaxLength)]);
    bench.queue.set_settings(&settings(Some(1)), bench.now);
    bench.dispatch_some(usize::MAX);
    assert_eq!(bench.departed().len(), 3, "the plain row is gone, and more");
    assert_eq!(ready(&mut bench), [7]);
}

#[test]
fn a_returned_message_of_the_plain_row_is_the_oldest_and_goes_first() {
    let mut bench = plain_queue(3);
    let holder = ConsumerKey { number: ConsumerNumber::OF_GET, ..local(0) };
    let taken = bench.queue.get(&holder, false, bench.now).expect("a message");
    assert_eq!(bench.queue.settle(&holder, taken.position, Settlement::Requeue), Left::Requeued);
    bench.queue.set_settings(&settings(Some(2)), bench.now);
    bench.dispatch_some(usize::MAX);
    assert_eq!(bench.departed(), [(1, Cause::MaxLength)]);
    assert_eq!(ready(&mut bench), [2, 3]);
}

#[test]
fn dropping_a_long_surplus_keeps_the_bound_of_a_turn() {
    let mut bench = plain_queue(100);
    bench.queue.set_settings(&settings(Some(10)), bench.now);
    let (_, outcome) = bench.dispatch_some(30);
    assert_eq!((outcome.dropped, outcome.more), (30, true));
    let (_, outcome) = bench.dispatch_some(200);
    assert_eq!((outcome.dropped, outcome.more, bench.queue.ready()), (60, false, 10));
    assert_eq!(bench.departed().len(), 90);
}

#[test]
fn a_queue_that_refuses_counts_its_plain_row() {
    let mut bench = plain_queue(2);
    let refusing = QueueSettings { overflow: Overflow::RejectPublish, ..settings(Some(3)) };
    bench.queue.set_settings(&refusing, bench.now);
    bench.dispatch_some(usize::MAX);
    assert!(bench.append(Terms::default(), 8) && !bench.append(Terms::default(), 8));
    assert_eq!(bench.departed(), [(4, Cause::Refused)]);
    assert_eq!(ready(&mut bench), [1, 2, 3]);
}

/// RabbitMQ: a policy's message-ttl does not touch what is queued.
#[test]
fn a_time_to_live_counts_for_what_comes_and_stays_with_it() {
    let mut bench = plain_queue(1);
    let ttl = QueueSettings { message_ttl: Some(Duration::from_millis(100)), ..QueueSettings::default() };
    bench.queue.set_settings(&ttl, bench.now);
    assert!(bench.append(Terms::default(), 8));
    bench.queue.set_settings(&QueueSettings::default(), bench.now);
    assert!(bench.append(Terms::default(), 8));
    bench.now = at_ms(1_200);
    assert_eq!(bench.get(), Some(1), "it was there before the policy");
    assert_eq!(bench.get(), Some(3), "the second was late, the third came after the policy");
    bench.dispatch_some(usize::MAX);
    assert_eq!(bench.departed(), [(2, Cause::Expired)]);
}

#[test]
fn without_rules_and_messages_under_them_the_queue_is_plain_again() {
    let mut bench = plain_queue(2);
    bench.queue.set_settings(&settings(Some(1)), bench.now);
    bench.dispatch_some(usize::MAX);
    assert_eq!(bench.departed().len(), 1);
    bench.queue.set_settings(&QueueSettings::default(), bench.now);
    assert_eq!(ready(&mut bench), [2]);
    bench.dispatch_some(usize::MAX);
    assert!(!bench.queue.is_ruled());
    assert!(bench.append(Terms::default(), 8) && bench.append(Terms::default(), 8));
    assert_eq!(ready(&mut bench), [3, 4]);
}

#[test]
fn an_unused_queues_time_begins_anew_with_its_setting() {
    let mut bench = plain_queue(0);
    let expiring =
        |ms| QueueSettings { expires: Some(Duration::from_millis(ms)), ..QueueSettings::default() };
    bench.queue.set_settings(&expiring(500), bench.now);
    assert_eq!(bench.queue.next_deadline(), at_ms(1_500));
    bench.now = at_ms(1_400);
    bench.queue.set_settings(&expiring(200), bench.now);
    assert!(!bench.queue.on_time(at_ms(1_599)) && bench.queue.on_time(at_ms(1_600)));
    bench.queue.set_settings(&QueueSettings::default(), bench.now);
    assert_eq!(bench.queue.next_deadline(), Instant::FAR);
}
