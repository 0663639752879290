//! What a shard elsewhere says on a new link.

use super::*;

fn fresh(subscription: Subscription) -> (Subscription, Unread) {
    (subscription, Unread::default())
}

#[test]
fn a_window_is_open_only_for_what_is_read_when_its_link_is_new() {
    let window = Window::Credit { messages: 3, bytes: 100 };
    let remote =
        Subscription { window, terms: ConsumerTerms { no_ack: true, ..PLAIN }, ..plain(key(2, 0, 1, 1)) };
    let mut bench = Bench::with(&[remote]);
    bench.append(20);
    assert_eq!(bench.dispatch().len(), 3);
    let at = remote.key.at;
    // two came before the cut, one died with the link
    bench.queue.name(at, &[(remote, Unread { messages: 2, bytes: 16 })], &[]);
    assert_eq!(bench.queue.reconcile(at), []);
    assert_eq!(bench.dispatch().len(), 1);
    bench.queue.credit(&remote.key, 2, 16);
    assert_eq!(bench.dispatch().len(), 2, "read meanwhile");
    bench.queue.name(at, &[(remote, Unread { messages: 1, bytes: 100 })], &[]);
    assert_eq!(bench.queue.reconcile(at), []);
    assert_eq!(bench.dispatch().len(), 0, "bytes count too");
    bench.queue.name(at, &[(remote, Unread { messages: u32::MAX, bytes: u64::MAX })], &[]);
    assert_eq!(bench.queue.reconcile(at), []);
    assert_eq!(bench.dispatch().len(), 0, "nonsense closes it");
}

#[test]
fn a_resubscription_keeps_what_is_named_and_requeues_the_rest() {
    let window = Window::Credit { messages: 2, bytes: 9_999 };
    let remote = |number| Subscription { window, ..plain(key(2, 0, 1, number)) };
    let mut bench = Bench::with(&[remote(1), remote(2)]);
    bench.append(6);
    assert_eq!(bench.dispatch(), [(1, 1), (2, 2), (1, 3), (2, 4)]);
    let channel = remote(1).key.channel;
    // 1 was held, 3 died on the link; 2 is still held though its consumer ended; 5 was never given, 4 not to
    // that one
    let held = [1, 2, 5].map(|at| (channel, ConsumerNumber(if at == 2 { 2 } else { 1 }), Position(at)));
    let wrong = (channel, ConsumerNumber(1), Position(4));
    let named = [held.as_slice(), &[wrong]].concat();
    let at = remote(1).key.at;
    bench.queue.name(at, &[fresh(remote(1))], &[]);
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
    bench.queue.name(remote.key.at, &[fresh(remote)], &[]);
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
    bench.queue.name(remote(1).key.at, &[fresh(remote(1))], &[held(1, 1)]);
    bench.queue.forget_named(NodeId(2));
    bench.queue.name(remote(2).key.at, &[fresh(remote(2))], &[held(2, 2)]);
    assert_eq!(bench.queue.reconcile(remote(2).key.at), []);
    assert_eq!((bench.queue.consumers(), bench.queue.unacked(), bench.queue.ready()), (1, 1, 1));
    assert!(bench.settle(remote(2).key, 2, Settlement::Ack));
}
