//! A channel holds so many messages, over all its consumers and gets (`limits::UNACKED_PER_CHANNEL_MAX`).

use leveret_amqp::host::{Answer, Delivery};
use leveret_amqp::{Config, NotTaken};
use leveret_model::{Body, ChannelKey, ConsumerNumber, Message};
use leveret_wire::method::*;

use crate::support::{Talk, address, all_capabilities, header_payload, held};

/// A channel that may hold four.
fn four_at_most() -> Talk {
    let config = Config { unacked_per_channel_max: 4, ..Config::new("0.1.0", "test") };
    let mut talk = Talk::open_with(config, &all_capabilities(), 131_072);
    talk.says(1, ChannelOpen);
    talk.hears(1, ChannelOpenOk);
    talk
}

fn offered(talk: &mut Talk, (channel, consumer): (ChannelKey, ConsumerNumber)) -> Result<(), NotTaken> {
    let (address, header) = (address("e", "k"), header_payload(1));
    let message = Message::new(&address, &header, Body::Flat(b"m"));
    let delivery = Delivery { held: held(1, consumer), redelivered: false, message };
    talk.connection.offer(channel, &delivery)
}

/// Who goes on now.
fn awake(talk: &mut Talk) -> Vec<ConsumerNumber> {
    let mut awake = Vec::new();
    talk.connection.end_pauses(|_, consumer| awake.push(consumer), |_, _| {});
    awake
}

fn acks(talk: &mut Talk, delivery_tag: u64) {
    talk.says(1, BasicAck { delivery_tag, multiple: false });
}

#[test]
fn a_channel_that_holds_enough_pauses_its_consumers_until_each_can_have_one() {
    let mut talk = four_at_most();
    let (a, b, no_ack) = (talk.consumes("a", false), talk.consumes("b", false), talk.consumes("n", true));
    for consumer in [a, b, a, no_ack, b] {
        assert_eq!(offered(&mut talk, consumer), Ok(()));
    }
    assert!(!talk.connection.has_pauses());
    for consumer in [b, a, b] {
        assert_eq!(offered(&mut talk, consumer), Err(NotTaken::Paused));
    }
    assert_eq!(offered(&mut talk, no_ack), Ok(()), "it holds nothing");
    let no_ack_pauses = talk.connection.is_paused(no_ack.0, no_ack.1);
    assert!(talk.connection.is_paused(a.0, a.1) && !no_ack_pauses);
    acks(&mut talk, 2);
    assert_eq!(awake(&mut talk), [], "one more would not do for all");
    acks(&mut talk, 1);
    assert_eq!(awake(&mut talk), [a.1, b.1, no_ack.1]);
    assert!(!talk.connection.has_pauses() && awake(&mut talk).is_empty());
    assert_eq!((offered(&mut talk, a), offered(&mut talk, b)), (Ok(()), Ok(())));
    assert_eq!(offered(&mut talk, a), Err(NotTaken::Paused));
    talk.all_frames();
    talk.says(1, ChannelClose::default());
    talk.hears(1, ChannelCloseOk);
    assert!(!talk.connection.has_pauses());
    assert_eq!(offered(&mut talk, a), Err(NotTaken::Vanished));
}

#[test]
fn what_has_left_its_home_is_taken_by_a_channel_that_pauses() {
    let mut talk = four_at_most();
    let (channel, consumer) = talk.consumes("a", false);
    for position in 1..=6 {
        talk.delivers(channel, consumer, position, b"m");
        assert_eq!(talk.connection.is_paused(channel, consumer), position > 4);
    }
    talk.all_frames();
    for tag in 1..=2 {
        acks(&mut talk, tag);
        assert_eq!(awake(&mut talk), [], "{tag}");
    }
    acks(&mut talk, 3);
    assert_eq!(awake(&mut talk), [consumer]);
}

/// What gets took counts too. Neither a get nor a new consumer can wait: both are 406.
#[test]
fn a_get_or_a_consumer_that_wants_acks_of_a_channel_that_holds_enough_is_406() {
    for (consumes, method) in [(false, (60, 70)), (true, (60, 20))] {
        let mut talk = four_at_most();
        let consumer = talk.consumes("a", false);
        assert_eq!((offered(&mut talk, consumer), offered(&mut talk, consumer)), (Ok(()), Ok(())));
        for position in 11..=12 {
            talk.says(1, BasicGet { queue: b"q", no_ack: false });
            let (channel, _) = talk.asked();
            let (address, header) = (address("e", "k"), header_payload(1));
            let message = Message::new(&address, &header, Body::Flat(b"m"));
            let held = held(position, ConsumerNumber::OF_GET);
            talk.answers(channel, Answer::Got { held, message, redelivered: false, remaining: 0 });
        }
        talk.all_frames();
        assert_eq!(offered(&mut talk, consumer), Err(NotTaken::Paused));
        talk.consumes("n", true);
        if consumes {
            talk.says(1, BasicConsume { queue: b"q", consumer_tag: b"b", ..Default::default() });
        } else {
            talk.says(1, BasicGet { queue: b"q", no_ack: false });
        }
        let text = "PRECONDITION_FAILED - channel holds 4 unacknowledged messages, which is the limit";
        talk.hears_channel_close(1, 406, method, text);
    }
}
