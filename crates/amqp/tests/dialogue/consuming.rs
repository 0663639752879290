//! Messages out: consumers, deliveries, what the client does with them, basic.get.

use leveret_amqp::host::{Answer, Delivery, Operation};
use leveret_amqp::{Config, Vanished};
use leveret_model::{Body, ConsumerNumber, ConsumerTerms, Message, Name, Position, Settlement};
use leveret_wire::Method;
use leveret_wire::method::*;

use crate::support::{Call, Talk, address, all_capabilities, header_payload, held};

fn settled(talk: &mut Talk) -> Vec<(u64, Settlement)> {
    let settle = |call| match call {
        Call::Settle(Position(position), verdict) => (position, verdict),
        other => panic!("{other:?}"),
    };
    talk.broker.calls.drain(..).map(settle).collect()
}

/// A consumer "c" that holds the messages 11 to 15 under the tags 1 to 5.
fn holding_five() -> Talk {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", false);
    for position in 11..=15 {
        talk.delivers(channel, consumer, position, b"x");
    }
    talk.all_frames();
    assert!(talk.connection.holds_unacked());
    talk
}

/// AMQP 0-9-1 §1.8.3.3: consume-ok first, then deliveries with rising tags.
#[test]
fn a_consumer_gets_its_messages() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, BasicQos { prefetch_count: 7, ..Default::default() });
    talk.hears(1, BasicQosOk);
    talk.says(1, BasicConsume { queue: b"q", consumer_tag: b"c", exclusive: true, ..Default::default() });
    let (channel, operation) = talk.asked();
    assert_eq!(
        operation,
        Operation::Consume {
            queue: Name::new("q"),
            consumer: ConsumerNumber(1),
            terms: ConsumerTerms { no_ack: false, exclusive: true, prefetch: 7, priority: 0 },
        }
    );
    talk.answers(channel, Answer::Done);
    talk.delivers(channel, ConsumerNumber(1), 1, b"one");
    talk.delivers(channel, ConsumerNumber(1), 2, &[2; 200_000]);
    talk.hears(1, BasicConsumeOk { consumer_tag: b"c" });
    talk.hears_delivery("c", 1, b"one");
    talk.hears_delivery("c", 2, &[2; 200_000]);
    talk.hears_nothing();
}

/// AMQP 0-9-1 §4.2.6: no frame is larger than was negotiated, whatever the publisher negotiated.
#[test]
fn a_body_is_cut_to_the_clients_frames() {
    let mut talk = Talk::open_with(Config::new("0.1.0", "test"), &[], 4096);
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    let (channel, consumer) = talk.consumes("c", true);
    let body = vec![1; 10_000];
    let (address, header) = (address("e", "k"), header_payload(body.len()));
    let chunks = [bytes::Bytes::from(body[..6_000].to_vec()), bytes::Bytes::from(body[6_000..].to_vec())];
    for content in [Body::Flat(&body), Body::Chunks(&chunks)] {
        let message = Message::new(&address, &header, content);
        let delivery = Delivery { held: held(1, consumer), redelivered: true, message };
        talk.connection.deliver(channel, &delivery).unwrap();
        let frames = talk.all_frames();
        assert_eq!(frames.len(), 5);
        assert!(frames.iter().all(|frame| frame.payload.len() + 8 <= 4096));
    }
    assert!(!talk.connection.holds_unacked(), "no-ack");
}

#[test]
fn a_delivery_for_nobody_is_given_back() {
    let mut talk = Talk::on_channel_1();
    let (mut channel, consumer) = talk.consumes("c", false);
    let (address, header) = (address("e", "k"), header_payload(0));
    let message = Message::new(&address, &header, Body::Flat(b""));
    let other = Delivery { held: held(1, ConsumerNumber(9)), redelivered: false, message };
    assert_eq!(talk.connection.deliver(channel, &other), Err(Vanished));
    let delivery = Delivery { held: held(1, consumer), redelivered: false, message };
    channel.generation += 1;
    assert_eq!(talk.connection.deliver(channel, &delivery), Err(Vanished));
    talk.hears_nothing();
}

/// RabbitMQ: server tags are `amq.ctag-…`, different for each consumer.
#[test]
fn the_server_draws_tags() {
    let mut talk = Talk::on_channel_1();
    let mut tags = Vec::new();
    for _ in 0..2 {
        talk.says(1, BasicConsume { queue: b"q", ..Default::default() });
        let (channel, _) = talk.asked();
        talk.answers(channel, Answer::Done);
        tags.push(talk.next_frame().unwrap().payload[5..].to_vec());
    }
    assert!(tags[0].starts_with(b"amq.ctag-"));
    assert_ne!(tags[0], tags[1]);
}

/// RabbitMQ: 530, the connection's end.
#[test]
fn reusing_a_consumer_tag_is_530() {
    let mut talk = Talk::on_channel_1();
    talk.consumes("c", false);
    talk.says(1, BasicConsume { queue: b"q", consumer_tag: b"c", ..Default::default() });
    talk.hears_connection_close(530, (60, 20), "NOT_ALLOWED - attempt to reuse consumer tag 'c'");
}

/// `limits::CONSUMERS_PER_CHANNEL_MAX`
#[test]
fn too_many_consumers_on_a_channel_are_530() {
    let mut talk = Talk::on_channel_1();
    let max = leveret_model::limits::CONSUMERS_PER_CHANNEL_MAX;
    for _ in 0..max {
        talk.says(1, BasicConsume { queue: b"q", ..Default::default() });
        let (channel, _) = talk.asked();
        talk.answers(channel, Answer::Done);
    }
    assert_eq!(talk.all_frames().len(), max);
    talk.says(1, BasicConsume { queue: b"q", ..Default::default() });
    let text = format!("NOT_ALLOWED - more than {max} consumers on one channel");
    talk.hears_connection_close(530, (60, 20), &text);
}

#[test]
fn a_client_cancels_a_consumer_and_may_use_its_tag_again() {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", false);
    talk.says(1, BasicCancel { consumer_tag: b"c", no_wait: false });
    assert_eq!(talk.asked(), (channel, Operation::Cancel { consumer }));
    // what was on its way still comes, before cancel-ok
    talk.delivers(channel, consumer, 3, b"x");
    talk.answers(channel, Answer::Done);
    talk.hears_delivery("c", 1, b"x");
    talk.hears(1, BasicCancelOk { consumer_tag: b"c" });
    let (_, again) = talk.consumes("c", false);
    assert_ne!(again, consumer, "numbers are never reused");
    // RabbitMQ: acks belong to the channel, not to the consumer
    talk.says(1, BasicAck { delivery_tag: 1, multiple: false });
    assert_eq!(settled(&mut talk), [(3, Settlement::Ack)]);
}

/// AMQP 0-9-1 §1.8.3.5
#[test]
fn cancelling_an_unknown_consumer_is_ok() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, BasicCancel { consumer_tag: b"nobody", no_wait: true });
    talk.says(1, BasicCancel { consumer_tag: b"nobody", no_wait: false });
    talk.hears(1, BasicCancelOk { consumer_tag: b"nobody" });
    talk.hears_nothing();
    assert_eq!(talk.broker.calls, []);
}

/// RabbitMQ: consumer cancel notify, only with the capability; the client may answer.
#[test]
fn a_consumer_that_ends_at_the_server_is_cancelled() {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", false);
    talk.connection.cancel_consumer(channel, consumer);
    talk.connection.cancel_consumer(channel, consumer);
    talk.hears(1, BasicCancel { consumer_tag: b"c", no_wait: true });
    talk.says(1, BasicCancelOk { consumer_tag: b"c" });
    talk.hears_nothing();
    let mut talk = Talk::open_with(Config::new("0.1.0", "test"), &all_capabilities()[..2], 4096);
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    let (channel, consumer) = talk.consumes("c", false);
    talk.connection.cancel_consumer(channel, consumer);
    talk.hears_nothing();
}

/// RabbitMQ: who cancels the last consumer of an auto-delete queue hears cancel-ok, and no cancel beside it.
#[test]
fn a_consumer_that_its_client_cancels_is_not_cancelled_by_the_server_too() {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", false);
    talk.says(1, BasicCancel { consumer_tag: b"c", no_wait: false });
    talk.asked();
    talk.connection.cancel_consumer(channel, consumer);
    talk.hears_nothing();
    talk.answers(channel, Answer::Done);
    talk.hears(1, BasicCancelOk { consumer_tag: b"c" });
    talk.hears_nothing();
}

/// RabbitMQ: delete-ok comes first on the channel that deletes; others hear of their consumers at once.
#[test]
fn a_channel_that_deletes_its_consumers_queue_hears_delete_ok_first() {
    let mut talk = Talk::on_channel_1();
    let (channel, consumer) = talk.consumes("c", false);
    talk.says(1, QueueDelete { queue: b"q", ..Default::default() });
    talk.asked();
    talk.connection.cancel_consumer(channel, consumer);
    talk.hears_nothing();
    talk.answers(channel, Answer::Messages(3));
    talk.hears(1, QueueDeleteOk { message_count: 3 });
    talk.hears(1, BasicCancel { consumer_tag: b"c", no_wait: true });
    // no delete-ok is owed
    let (channel, consumer) = talk.consumes("d", false);
    talk.says(1, QueueDelete { queue: b"q", no_wait: true, ..Default::default() });
    talk.asked();
    talk.connection.cancel_consumer(channel, consumer);
    talk.hears(1, BasicCancel { consumer_tag: b"d", no_wait: true });
    talk.answers(channel, Answer::Messages(0));
    talk.hears_nothing();
}

#[test]
fn a_refused_consumer_is_none() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, BasicConsume { queue: b"q", consumer_tag: b"c", ..Default::default() });
    let (channel, _) = talk.asked();
    talk.refuses(channel, leveret_model::ReplyCode::AccessRefused, "queue 'q' in vhost '/' in exclusive use");
    let text = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
    talk.hears_channel_close(1, 403, (60, 20), text);
    assert_eq!(talk.broker.calls, [Call::Closed(1, vec![])]);
}

#[test]
fn no_wait_is_not_answered() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, BasicConsume { queue: b"q", consumer_tag: b"c", no_wait: true, ..Default::default() });
    let (channel, _) = talk.asked();
    talk.answers(channel, Answer::Done);
    talk.delivers(channel, ConsumerNumber(1), 1, b"x");
    talk.hears_delivery("c", 1, b"x");
    talk.says(1, BasicCancel { consumer_tag: b"c", no_wait: true });
    talk.asked();
    talk.answers(channel, Answer::Done);
    talk.says(1, QueueDeclare { queue: b"q", no_wait: true, ..Default::default() });
    talk.asked();
    talk.answers(channel, Answer::Queue { messages: 1, consumers: 0 });
    talk.hears_nothing();
}

#[test]
fn deliveries_are_settled_in_any_order() {
    let mut talk = holding_five();
    talk.says(1, BasicAck { delivery_tag: 3, multiple: false });
    talk.says(1, BasicReject { delivery_tag: 5, requeue: true });
    talk.says(1, BasicNack { delivery_tag: 2, multiple: true, requeue: false });
    talk.says(1, BasicReject { delivery_tag: 4, requeue: false });
    let expected = [
        (13, Settlement::Ack),
        (15, Settlement::Requeue),
        (11, Settlement::Reject),
        (12, Settlement::Reject),
        (14, Settlement::Reject),
    ];
    assert_eq!(settled(&mut talk), expected);
    assert!(!talk.connection.holds_unacked());
}

/// AMQP 0-9-1 §1.8.3.13: tag 0 with multiple is all that is outstanding, and none is fine too.
#[test]
fn tag_zero_with_multiple_is_all() {
    let mut talk = holding_five();
    talk.says(1, BasicAck { delivery_tag: 0, multiple: true });
    talk.says(1, BasicAck { delivery_tag: 0, multiple: true });
    assert_eq!(settled(&mut talk), (11..=15).map(|p| (p, Settlement::Ack)).collect::<Vec<_>>());
    talk.hears_nothing();
}

/// RabbitMQ: an unknown tag is 406, with multiple too, and then everything held goes back.
#[test]
fn an_unknown_delivery_tag_is_406() {
    for (method, id, tag) in [
        (Method::from(BasicAck { delivery_tag: 6, multiple: false }), (60, 80), 6),
        (BasicAck { delivery_tag: 6, multiple: true }.into(), (60, 80), 6),
        (BasicAck { delivery_tag: 0, multiple: false }.into(), (60, 80), 0),
        (BasicNack { delivery_tag: 1, multiple: false, requeue: true }.into(), (60, 120), 1),
        (BasicReject { delivery_tag: 1, requeue: true }.into(), (60, 90), 1),
    ] {
        let mut talk = holding_five();
        talk.says(1, BasicAck { delivery_tag: 1, multiple: false });
        assert_eq!(settled(&mut talk), [(11, Settlement::Ack)]);
        talk.says(1, method);
        let text = format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
        talk.hears_channel_close(1, 406, id, &text);
        assert_eq!(talk.broker.calls.pop_front(), Some(Call::Closed(1, vec![1])));
        assert_eq!(settled(&mut talk), (12..=15).map(|p| (p, Settlement::Requeue)).collect::<Vec<_>>());
    }
}

/// RabbitMQ: basic.recover requeues all of the channel.
#[test]
fn recover_gives_everything_back() {
    let mut talk = holding_five();
    talk.says(1, BasicRecover { requeue: true });
    talk.hears(1, BasicRecoverOk);
    assert_eq!(settled(&mut talk), (11..=15).map(|p| (p, Settlement::Requeue)).collect::<Vec<_>>());
    let mut talk = holding_five();
    talk.says(1, BasicRecoverAsync { requeue: true });
    talk.hears_nothing();
    assert_eq!(settled(&mut talk).len(), 5);
}

/// A get that waited would wait for acks that come behind it; so it closes its channel, which gives back what
/// it held.
#[test]
fn a_get_beyond_what_a_channel_may_hold_closes_it_and_gives_all_back() {
    const MOST: usize = 1_000;
    let config = Config { unacked_per_channel_max: MOST, ..Config::new("0.1.0", "test") };
    let mut talk = Talk::open_with(config, &all_capabilities(), 131_072);
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    let (channel, consumer) = talk.consumes("c", false);
    talk.all_frames();
    for position in 1..=MOST as u64 {
        talk.delivers(channel, consumer, position, b"");
        talk.all_frames();
    }
    // one that is not to be acknowledged is nobody's burden
    talk.says(1, BasicGet { queue: b"q", no_ack: true });
    let (channel, _) = talk.asked();
    talk.answers(channel, Answer::Empty);
    talk.hears(1, BasicGetEmpty);
    talk.says(1, BasicGet { queue: b"q", no_ack: false });
    let text = "PRECONDITION_FAILED - channel holds 1000 unacknowledged messages, which is the limit";
    talk.hears_channel_close(1, 406, (60, 70), text);
    let given_back =
        talk.broker.calls.drain(..).filter(|call| matches!(call, Call::Settle(_, Settlement::Requeue)));
    assert_eq!(given_back.count(), MOST);
}

/// AMQP 0-9-1 §1.8.3.10; RabbitMQ: the count is what is left ready.
#[test]
fn get_takes_one_message() {
    let mut talk = Talk::on_channel_1();
    for no_ack in [false, true] {
        talk.says(1, BasicGet { queue: b"q", no_ack });
        let (channel, operation) = talk.asked();
        assert_eq!(operation, Operation::Get { queue: Name::new("q"), no_ack });
        let (address, header) = (address("e", "k"), header_payload(5));
        let message = Message::new(&address, &header, Body::Flat(b"hello"));
        let got = Answer::Got { held: held(21, ConsumerNumber(0)), message, redelivered: true, remaining: 8 };
        talk.answers(channel, got);
        talk.hears(
            1,
            BasicGetOk {
                delivery_tag: 1 + u64::from(no_ack),
                redelivered: true,
                exchange: b"e",
                routing_key: b"k",
                message_count: 8,
            },
        );
        talk.hears_content(1, b"hello");
    }
    talk.says(1, BasicAck { delivery_tag: 0, multiple: true });
    assert_eq!(settled(&mut talk), [(21, Settlement::Ack)]);
    talk.says(1, BasicGet { queue: b"q", no_ack: false });
    let (channel, _) = talk.asked();
    talk.answers(channel, Answer::Empty);
    talk.hears(1, BasicGetEmpty);
}

/// A get whose channel went away is not for the next opening: the caller gives the message back.
#[test]
fn a_message_for_a_channel_that_is_gone_is_refused() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, BasicGet { queue: b"q", no_ack: false });
    let (channel, _) = talk.asked();
    talk.connection.lost(&mut talk.broker);
    assert!(!talk.connection.on_answer(talk.now, channel, Answer::Empty, &mut talk.broker));
}
