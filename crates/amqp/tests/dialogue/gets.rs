//! Messages that are asked for on many channels at once: the output takes few of them beyond its bound.

use leveret_amqp::host::{Answer, Operation};
use leveret_model::limits::{GETS_AT_ONCE_MAX, OUTPUT_BYTES_STOP};
use leveret_model::{Body, ChannelKey, ConsumerNumber, Message, ReplyCode};
use leveret_wire::method::*;

use crate::support::{Call, Talk, address, header_payload, held};

const CHANNELS: u16 = 3 * GETS_AT_ONCE_MAX as u16;

/// Every channel asks for a message, and for its qos behind it.
fn all_ask() -> Talk {
    let mut talk = Talk::open();
    for channel in 1..=CHANNELS {
        talk.says(channel, ChannelOpen);
        talk.hears(channel, ChannelOpenOk);
    }
    for channel in 1..=CHANNELS {
        talk.says(channel, BasicGet { queue: b"q", no_ack: true });
        talk.says(channel, BasicQos { prefetch_count: 1, ..Default::default() });
    }
    talk
}

/// Those who ask the broker now.
fn askers(talk: &mut Talk) -> Vec<ChannelKey> {
    let mut keys = Vec::new();
    talk.broker.calls.retain(|call| match call {
        Call::Request(key, Operation::Get { .. }) => {
            keys.push(*key);
            false
        }
        _ => true,
    });
    keys
}

fn numbers(keys: &[ChannelKey]) -> Vec<u16> {
    keys.iter().map(|key| key.number.0).collect()
}

fn got(talk: &mut Talk, channel: ChannelKey, body: &[u8]) {
    let (address, header) = (address("e", "k"), header_payload(body.len()));
    let message = Message::new(&address, &header, Body::Flat(body));
    let held = held(1, ConsumerNumber::OF_GET);
    talk.answers(channel, Answer::Got { held, message, redelivered: false, remaining: 0 });
}

#[test]
fn few_channels_ask_at_once_and_the_others_in_their_turn() {
    let mut talk = all_ask();
    let first = askers(&mut talk);
    assert_eq!(numbers(&first), [1, 2, 3, 4]);
    // an answer of any kind makes room for the next
    got(&mut talk, first[1], b"m");
    talk.answers(first[0], Answer::Empty);
    let next = askers(&mut talk);
    assert_eq!(numbers(&next), [5, 6]);
    talk.refuses(next[0], ReplyCode::NotFound, "no queue");
    assert_eq!(numbers(&askers(&mut talk)), [7]);
    // what is behind the get waits with it
    let told: Vec<u16> = talk.all_frames().iter().map(|frame| frame.channel).collect();
    assert_eq!(told, [2, 2, 2, 2, 1, 1, 5]);
}

#[test]
fn channels_that_end_leave_the_line_or_their_place() {
    let mut talk = all_ask();
    let first = askers(&mut talk);
    // asked and not answered: nobody waits for the answer
    talk.refuses(first[0], ReplyCode::NotFound, "no queue");
    talk.says(1, ChannelCloseOk);
    assert_eq!(numbers(&askers(&mut talk)), [5]);
    // another number is opened anew and stands at the end of the line
    talk.says(1, ChannelOpen);
    talk.says(1, BasicGet { queue: b"q", no_ack: true });
    let mut order = Vec::new();
    let mut under_way = first[1..].to_vec();
    while let Some(key) = under_way.pop() {
        talk.answers(key, Answer::Empty);
        let more = askers(&mut talk);
        order.extend(numbers(&more));
        under_way.extend(more);
    }
    assert_eq!(order, [6, 7, 8, 9, 10, 11, 12, 1]);
}

/// `limits::OUTPUT_BYTES_STOP`, and what was asked for before it was met.
#[test]
fn an_output_takes_few_messages_beyond_its_bound() {
    let body = vec![b'm'; OUTPUT_BYTES_STOP];
    let mut talk = all_ask();
    let mut served = 0;
    loop {
        let keys = askers(&mut talk);
        if keys.is_empty() {
            break;
        }
        for key in keys {
            got(&mut talk, key, &body);
            served += 1;
        }
    }
    assert_eq!(served, GETS_AT_ONCE_MAX);
    assert!(talk.connection.output().len() < (GETS_AT_ONCE_MAX + 1) * body.len());
    // written, and the next ones ask
    talk.takes(usize::MAX);
    assert_eq!(askers(&mut talk).len(), GETS_AT_ONCE_MAX);
}

#[test]
fn a_connection_that_ends_asks_for_nothing_more() {
    let mut talk = all_ask();
    askers(&mut talk);
    talk.connection.close(talk.now, ReplyCode::ConnectionForced, "stop", &mut talk.broker);
    assert!(askers(&mut talk).is_empty());
    talk.takes(usize::MAX);
    assert!(askers(&mut talk).is_empty());
}
