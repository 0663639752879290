//! What a shard elsewhere says on a new link.

use super::*;

#[test]
fn a_resubscription_keeps_what_is_named_and_requeues_the_rest() {
    let window = Window::Credit { messages: 2, bytes: 9_999 };
    let remote = |number| Subscription { window, ..plain(key(2, 0, 1, number)) };
    let mut bench = Bench::with(&[remote(1), remote(2)]);
    bench.append(6);
    assert_eq!(bench.dispatch(), [(1, 1), (2, 2), (1, 3), (2, 4)]);
    let channel = remote(1).key.channel;
    // 1 was held, 3 died on the link; 2 is still held though its consumer ended; 5 was never given, 4 not to that one
    let held = [1, 2, 5].map(|at| (channel, ConsumerNumber(if at == 2 { 2 } else { 1 }), Position(at)));
    let wrong = (channel, ConsumerNumber(1), Position(4));
    let named = [held.as_slice(), &[wrong]].concat();
    let at = remote(1).key.at;
    bench.queue.name(at, &[remote(1)], &[]);
    named.chunks(1).for_each(|piece| bench.queue.name(at, &[], piece));
    assert_eq!((bench.queue.consumers(), bench.queue.unacked()), (2, 4), "not before the end");
    assert_eq!(bench.queue.reconcile(at), []);
    assert_eq!((bench.queue.consumers(), bench.queue.unacked(), bench.queue.ready()), (1, 2, 4));
    assert_eq!(bench.dispatch(), [(1, 3), (1, 4)], "with a fresh window");
    assert!(bench.settle(remote(2).key, 2, Settlement::Ack));
    assert!(!bench.settle(remote(1).key, 5, Settlement::Ack), "void");
}

#[test]
fn a_resubscription_that_meets_an_exclusive_consumer_is_to_be_cancelled() {
    let mut bench =
        Bench::with(&[Subscription { terms: ConsumerTerms { exclusive: true, ..PLAIN }, ..plain(local(1)) }]);
    let remote = plain(key(2, 0, 1, 1));
    bench.queue.name(remote.key.at, &[remote], &[]);
    assert_eq!(bench.queue.reconcile(remote.key.at), [remote.key]);
    assert_eq!(bench.queue.consumers(), 1);
}

#[test]
fn what_was_named_on_a_link_that_broke_does_not_count_on_the_next() {
    let remote = |number| plain(key(2, 0, 1, number));
    let mut bench = Bench::with(&[remote(1), remote(2)]);
    bench.append(2);
    assert_eq!(bench.dispatch(), [(1, 1), (2, 2)]);
    let held = |number, at| (remote(1).key.channel, ConsumerNumber(number), Position(at));
    bench.queue.name(remote(1).key.at, &[remote(1)], &[held(1, 1)]);
    bench.queue.forget_named(NodeId(2));
    bench.queue.name(remote(2).key.at, &[remote(2)], &[held(2, 2)]);
    assert_eq!(bench.queue.reconcile(remote(2).key.at), []);
    assert_eq!((bench.queue.consumers(), bench.queue.unacked(), bench.queue.ready()), (1, 1, 1));
    assert!(bench.settle(remote(2).key, 2, Settlement::Ack));
}
