//! basic.qos with `global`: the consumers of a channel hold so many together (RabbitMQ 3.10: channel prefetch).

use leveret_amqp::NotTaken;
use leveret_amqp::host::{Answer, Delivery};
use leveret_model::{Body, ChannelKey, ConsumerNumber, Held, Message, Position, Settlement};
use leveret_wire::method::*;

use crate::support::{Call, Talk, address, header_payload, held};

type To = (ChannelKey, ConsumerNumber);

fn qos(talk: &mut Talk, prefetch_count: u16, global: bool) {
    talk.says(1, BasicQos { prefetch_size: 0, prefetch_count, global });
    talk.hears(1, BasicQosOk);
}

/// A message of a queue here.
fn offered(talk: &mut Talk, (channel, consumer): To) -> Result<(), NotTaken> {
    let (address, header) = (address("e", "k"), header_payload(1));
    let message = Message::new(&address, &header, Body::Flat(b"m"));
    talk.connection.offer(channel, &Delivery { held: held(1, consumer), redelivered: false, message })
}

/// A message that has left a home elsewhere.
fn arrives(talk: &mut Talk, (channel, consumer): To, position: u64, body: &[u8]) {
    let (address, header) = (address("e", "k"), header_payload(body.len()));
    let message = Message::new(&address, &header, Body::Flat(body));
    let delivery = Delivery { held: held(position, consumer), redelivered: false, message };
    talk.connection.deliver(channel, &delivery).expect("it is taken");
}

/// Who goes on, and what goes back.
fn pauses_end(talk: &mut Talk) -> (Vec<ConsumerNumber>, Vec<Held>) {
    let (mut awake, mut back) = (Vec::new(), Vec::new());
    talk.connection.end_pauses(|_, consumer| awake.push(consumer), |_, held| back.push(held));
    (awake, back)
}

fn acks(talk: &mut Talk, delivery_tag: u64) {
    talk.says(1, BasicAck { delivery_tag, multiple: false });
}

#[test]
fn consumers_share_the_limit_of_their_channel_and_go_on_with_the_first_ack() {
    let mut talk = Talk::on_channel_1();
    qos(&mut talk, 2, true);
    let (a, b, no_ack) = (talk.consumes("a", false), talk.consumes("b", false), talk.consumes("n", true));
    assert_eq!((offered(&mut talk, a), offered(&mut talk, b)), (Ok(()), Ok(())));
    assert_eq!(
        (offered(&mut talk, a), offered(&mut talk, b)),
        (Err(NotTaken::Paused), Err(NotTaken::Paused))
    );
    assert_eq!(offered(&mut talk, no_ack), Ok(()), "it holds nothing");
    assert!(talk.connection.is_paused(a.0, a.1) && !talk.connection.is_paused(no_ack.0, no_ack.1));
    assert_eq!(talk.connection.full_channel(), None, "the client wants it so");
    assert_eq!(pauses_end(&mut talk), (vec![], vec![]));
    acks(&mut talk, 1);
    assert_eq!(pauses_end(&mut talk), (vec![a.1, b.1, no_ack.1], vec![]));
    assert_eq!((offered(&mut talk, b), offered(&mut talk, a)), (Ok(()), Err(NotTaken::Paused)));
}

#[test]
fn the_limit_is_lifted_and_changed_at_once_and_is_no_consumer_s_own() {
    let mut talk = Talk::on_channel_1();
    qos(&mut talk, 7, false);
    qos(&mut talk, 1, true);
    talk.says(1, BasicConsume { queue: b"q", consumer_tag: b"a", ..Default::default() });
    let (channel, operation) = talk.asked();
    let leveret_amqp::host::Operation::Consume { consumer, terms, .. } = operation else { panic!() };
    assert_eq!(terms.prefetch, 7);
    talk.answers(channel, Answer::Done);
    let a = (channel, consumer);
    assert_eq!((offered(&mut talk, a), offered(&mut talk, a)), (Ok(()), Err(NotTaken::Paused)));
    talk.all_frames();
    qos(&mut talk, 2, true);
    assert_eq!(pauses_end(&mut talk).0, [a.1]);
    assert_eq!((offered(&mut talk, a), offered(&mut talk, a)), (Ok(()), Err(NotTaken::Paused)));
    talk.all_frames();
    qos(&mut talk, 0, true);
    assert_eq!(pauses_end(&mut talk).0, [a.1]);
    for _ in 0..10 {
        assert_eq!(offered(&mut talk, a), Ok(()));
    }
    assert!(!talk.connection.has_pauses());
}

/// RabbitMQ: unacknowledged messages of basic.get do not count.
#[test]
fn gets_do_not_count() {
    let mut talk = Talk::on_channel_1();
    let a = talk.consumes("a", false);
    let get = |talk: &mut Talk, position| {
        talk.says(1, BasicGet { queue: b"q", no_ack: false });
        let (channel, _) = talk.asked();
        let (address, header) = (address("e", "k"), header_payload(1));
        let message = Message::new(&address, &header, Body::Flat(b"g"));
        let held = held(position, ConsumerNumber::OF_GET);
        talk.answers(channel, Answer::Got { held, message, redelivered: false, remaining: 0 });
        talk.all_frames();
    };
    get(&mut talk, 1);
    qos(&mut talk, 1, true);
    get(&mut talk, 2);
    assert_eq!((offered(&mut talk, a), offered(&mut talk, a)), (Ok(()), Err(NotTaken::Paused)));
    // one get is settled: no more room for deliveries than before
    acks(&mut talk, 1);
    assert_eq!(pauses_end(&mut talk).0, []);
    acks(&mut talk, 3);
    assert_eq!(pauses_end(&mut talk).0, [a.1]);
    assert_eq!(offered(&mut talk, a), Ok(()));
}

#[test]
fn what_has_left_a_home_elsewhere_waits_in_order_and_comes_first() {
    let mut talk = Talk::on_channel_1();
    qos(&mut talk, 1, true);
    let a = talk.consumes("a", false);
    for (position, body) in [(11, b"1"), (12, b"2"), (13, b"3")] {
        arrives(&mut talk, a, position, body);
    }
    talk.hears_delivery("a", 1, b"1");
    talk.hears_nothing();
    assert!(talk.connection.is_paused(a.0, a.1), "its window is not given back");
    acks(&mut talk, 1);
    // in time to overtake, if it could
    arrives(&mut talk, a, 14, b"4");
    assert_eq!(pauses_end(&mut talk), (vec![], vec![]));
    talk.hears_delivery("a", 2, b"2");
    talk.hears_nothing();
    qos(&mut talk, 0, true);
    assert_eq!(pauses_end(&mut talk).0, [a.1]);
    talk.hears_delivery("a", 3, b"3");
    talk.hears_delivery("a", 4, b"4");
    talk.says(1, ChannelClose::default());
    talk.hears(1, ChannelCloseOk);
    let back = |call| match call {
        Call::Settle(Position(position), how) => Some((position, how)),
        _ => None,
    };
    let settled: Vec<_> = talk.broker.calls.drain(..).filter_map(back).collect();
    let requeued = |position| (position, Settlement::Requeue);
    assert_eq!(settled, [(11, Settlement::Ack), requeued(12), requeued(13), requeued(14)]);
}

#[test]
fn what_waits_for_a_consumer_that_ends_goes_back() {
    let mut talk = Talk::on_channel_1();
    qos(&mut talk, 1, true);
    let (a, b) = (talk.consumes("a", false), talk.consumes("b", false));
    arrives(&mut talk, a, 11, b"1");
    arrives(&mut talk, a, 12, b"2");
    arrives(&mut talk, b, 13, b"3");
    talk.all_frames();
    talk.says(1, BasicCancel { consumer_tag: b"a", no_wait: false });
    let (channel, _) = talk.asked();
    talk.answers(channel, Answer::Done);
    talk.hears(1, BasicCancelOk { consumer_tag: b"a" });
    assert_eq!(pauses_end(&mut talk), (vec![], vec![held(12, a.1)]));
    acks(&mut talk, 1);
    pauses_end(&mut talk);
    talk.hears_delivery("b", 2, b"3");
}
