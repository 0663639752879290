//! channel.flow from a client (AMQP 0-9-1 §1.8.2.4): its channel gets no deliveries until it wants them again.

use leveret_amqp::NotTaken;
use leveret_amqp::host::{Answer, Delivery};
use leveret_model::{Body, ChannelKey, ConsumerNumber, Message, Position, Settlement};
use leveret_wire::method::*;

use crate::support::{Call, Talk, address, header_payload, held};

fn offered(talk: &mut Talk, (channel, consumer): (ChannelKey, ConsumerNumber)) -> Result<(), NotTaken> {
    let (address, header) = (address("e", "k"), header_payload(1));
    let message = Message::new(&address, &header, Body::Flat(b"m"));
    talk.connection.offer(channel, &Delivery { held: held(1, consumer), redelivered: false, message })
}

fn awake(talk: &mut Talk) -> Vec<ConsumerNumber> {
    let mut awake = Vec::new();
    talk.connection.end_pauses(|_, consumer| awake.push(consumer), |_, _| {});
    awake
}

fn flow(talk: &mut Talk, active: bool) {
    talk.says(1, ChannelFlow { active });
    talk.hears(1, ChannelFlowOk { active });
}

#[test]
fn a_channel_whose_flow_is_stopped_is_offered_nothing_until_it_goes_on() {
    let mut talk = Talk::on_channel_1();
    let (acks, no_ack) = (talk.consumes("a", false), talk.consumes("n", true));
    assert_eq!(offered(&mut talk, acks), Ok(()));
    talk.hears_delivery("a", 1, b"m");
    flow(&mut talk, false);
    for consumer in [acks, no_ack] {
        assert!(talk.connection.is_paused(consumer.0, consumer.1), "a consumer without acks too");
        assert_eq!(offered(&mut talk, consumer), Err(NotTaken::Paused));
    }
    assert_eq!(awake(&mut talk), [], "there is room, but the client does not want it");
    flow(&mut talk, false);
    flow(&mut talk, true);
    assert_eq!(awake(&mut talk), [acks.1, no_ack.1]);
    assert_eq!((offered(&mut talk, acks), offered(&mut talk, no_ack)), (Ok(()), Ok(())));
    talk.hears_delivery("a", 2, b"m");
    talk.hears_delivery("n", 3, b"m");
}

/// The other channels, and what was asked for with basic.get, are not concerned.
#[test]
fn a_stopped_flow_concerns_the_deliveries_of_its_channel_alone() {
    let mut talk = Talk::on_channel_1();
    talk.says(2, ChannelOpen);
    talk.hears(2, ChannelOpenOk);
    talk.says(2, ChannelFlow { active: false });
    talk.hears(2, ChannelFlowOk { active: false });
    let consumer = talk.consumes("a", false);
    assert_eq!(offered(&mut talk, consumer), Ok(()));
    talk.hears_delivery("a", 1, b"m");
    talk.says(2, BasicGet { queue: b"q", no_ack: true });
    let (channel, _) = talk.asked();
    talk.answers(channel, Answer::Empty);
    talk.hears(2, BasicGetEmpty);
}

/// What had left its queue's home waits in the channel, whose client gets it first of all when it wants more.
#[test]
fn what_was_on_its_way_waits_until_the_flow_goes_on() {
    let mut talk = Talk::on_channel_1();
    let (channel, acks) = talk.consumes("a", false);
    let (_, no_ack) = talk.consumes("n", true);
    flow(&mut talk, false);
    for (consumer, position) in [(acks, 1), (no_ack, 2), (acks, 3)] {
        talk.delivers(channel, consumer, position, &[b'0' + position as u8]);
    }
    talk.hears_nothing();
    let mut known = Vec::new();
    talk.connection.for_each_held(|_, held| known.push(held));
    assert_eq!(known, [held(1, acks), held(3, acks)], "the homes hear that they are here");
    flow(&mut talk, true);
    talk.hears_delivery("a", 1, b"1");
    talk.hears_delivery("n", 2, b"2");
    talk.hears_delivery("a", 3, b"3");
    talk.hears_nothing();
}

#[test]
fn what_waits_for_a_client_that_goes_is_given_back() {
    for closes in [true, false] {
        let mut talk = Talk::on_channel_1();
        let (channel, acks) = talk.consumes("a", false);
        let (_, no_ack) = talk.consumes("n", true);
        flow(&mut talk, false);
        talk.delivers(channel, acks, 1, b"1");
        talk.delivers(channel, no_ack, 2, b"2");
        talk.broker.calls.clear();
        if closes {
            talk.says(1, ChannelClose::default());
            talk.hears(1, ChannelCloseOk);
        } else {
            // its consumer has ended before it wants more
            talk.connection.cancel_consumer(channel, acks);
            talk.connection.cancel_consumer(channel, no_ack);
            talk.all_frames();
            flow(&mut talk, true);
        }
        talk.hears_nothing();
        let settled: Vec<Call> =
            talk.broker.calls.drain(..).filter(|call| matches!(call, Call::Settle(..))).collect();
        assert_eq!(settled, [Call::Settle(Position(1), Settlement::Requeue)], "{closes}");
    }
}

/// The channel's end leaves nothing behind.
#[test]
fn a_stopped_channel_can_be_closed_and_opened_again() {
    let mut talk = Talk::on_channel_1();
    flow(&mut talk, false);
    talk.says(1, ChannelClose::default());
    talk.hears(1, ChannelCloseOk);
    assert!(!talk.connection.has_pauses());
    talk.broker.calls.clear();
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    let consumer = talk.consumes("a", false);
    assert_eq!(offered(&mut talk, consumer), Ok(()));
}
