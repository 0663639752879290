//! How long a client may hold a delivery (RabbitMQ: consumer_timeout, x-consumer-timeout).

use std::time::Duration;

use leveret_amqp::Config;
use leveret_amqp::host::Answer;
use leveret_model::{Body, ConsumerNumber, Message, Position, Settlement, Value};
use leveret_wire::Table;
use leveret_wire::method::*;

use crate::support::{Call, Talk, address, all_capabilities, arguments, header_payload, held};

fn with_timeout(consumer_timeout: Option<Duration>) -> Talk {
    let config = Config { consumer_timeout, ..Config::new("0.1.0", "test") };
    // without heartbeats, which would end it first
    let mut talk = Talk::open_tuned(config, &all_capabilities(), 131_072, 0);
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    talk
}

/// Time passes in steps of a second, and the connection is told of each.
fn passes(talk: &mut Talk, seconds: u64) {
    for _ in 0..seconds {
        talk.now = talk.now + Duration::from_secs(1);
        talk.connection.on_timer(talk.now, &mut talk.broker);
    }
}

fn timed_out(talk: &mut Talk, ms: u64) {
    let text = format!(
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {ms} ms. This timeout \
         value can be configured, see consumers doc guide to learn more"
    );
    talk.hears_channel_close(1, 406, (0, 0), &text);
}

#[test]
fn a_delivery_that_is_held_too_long_closes_its_channel_and_goes_back() {
    let mut talk = with_timeout(Some(Duration::from_secs(16)));
    let (channel, consumer) = talk.consumes("c", false);
    passes(&mut talk, 5);
    talk.delivers(channel, consumer, 11, b"x");
    talk.delivers(channel, consumer, 12, b"x");
    passes(&mut talk, 10);
    talk.says(1, BasicAck { delivery_tag: 1, multiple: false });
    talk.delivers(channel, consumer, 13, b"x");
    talk.all_frames();
    talk.broker.calls.clear();
    passes(&mut talk, 6);
    talk.hears_nothing();
    passes(&mut talk, 1);
    timed_out(&mut talk, 16_000);
    let calls: Vec<_> = talk.broker.calls.drain(..).collect();
    let back = |position| Call::Settle(Position(position), Settlement::Requeue);
    assert_eq!(calls, [Call::Closed(1, vec![1]), back(12), back(13)]);
}

/// RabbitMQ looks at basic.get too; a consumer without acks holds nothing.
#[test]
fn a_get_is_held_as_a_delivery_is_and_who_holds_nothing_is_left_alone() {
    let mut talk = with_timeout(Some(Duration::from_secs(16)));
    let (channel, consumer) = talk.consumes("n", true);
    talk.delivers(channel, consumer, 1, b"x");
    talk.all_frames();
    passes(&mut talk, 100);
    talk.hears_nothing();
    talk.says(1, BasicGet { queue: b"q", no_ack: false });
    let (channel, _) = talk.asked();
    let (address, header) = (address("e", "k"), header_payload(1));
    let message = Message::new(&address, &header, Body::Flat(b"g"));
    let held = held(2, ConsumerNumber::OF_GET);
    talk.answers(channel, Answer::Got { held, message, redelivered: false, remaining: 0 });
    talk.all_frames();
    passes(&mut talk, 17);
    timed_out(&mut talk, 16_000);
}

#[test]
fn what_the_consumer_says_comes_before_the_queue_and_the_queue_before_the_server() {
    let minute = Some(Duration::from_secs(60));
    let consumes = |talk: &mut Talk, ms: Option<i64>| {
        let table = ms.map(|ms| arguments(&[("x-consumer-timeout", Value::I64(ms))])).unwrap_or_default();
        talk.says(1, BasicConsume { queue: b"q", arguments: Table(&table), ..Default::default() });
        let (channel, operation) = talk.asked();
        let leveret_amqp::host::Operation::Consume { consumer, .. } = operation else { panic!() };
        talk.answers(channel, Answer::Done);
        talk.delivers(channel, consumer, 1, b"x");
        talk.all_frames();
    };
    for (of_server, of_queue, of_consumer, expected_ms) in [
        (minute, None, None, Some(60_000)),
        (minute, Some(20_000), None, Some(20_000)),
        (minute, Some(0), None, None),
        (None, Some(20_000), None, Some(20_000)),
        (None, Some(20_000), Some(30_000), Some(30_000)),
        (minute, Some(20_000), Some(0), None),
        (Some(Duration::ZERO), None, None, None),
        (None, None, None, None),
    ] {
        let mut talk = with_timeout(of_server);
        talk.broker.ack_timeout = of_queue.map(Duration::from_millis);
        consumes(&mut talk, of_consumer);
        // the connection looks once a minute, or oftener
        passes(&mut talk, 180);
        match expected_ms {
            Some(ms) => timed_out(&mut talk, ms),
            None => talk.hears_nothing(),
        }
    }
}
