//! A message that comes back, and the ack that follows it.

use leveret_amqp::host::Published;
use leveret_wire::method::*;

use crate::support::{Talk, publish_frames};

/// In confirm mode, with these publishes in one block.
fn publishes(outcomes: &[Published]) -> Talk {
    let mut talk = Talk::on_channel_1();
    talk.says(1, ConfirmSelect::default());
    talk.hears(1, ConfirmSelectOk);
    talk.broker.outcomes = outcomes.iter().map(|outcome| Ok(*outcome)).collect();
    let frames: Vec<u8> = outcomes.iter().flat_map(|_| publish_frames(1, "e", "k", true, b"m")).collect();
    talk.says_bytes(&frames);
    talk
}

fn hears_return(talk: &mut Talk) {
    let (exchange, routing_key) = (&b"e"[..], &b"k"[..]);
    talk.hears(1, BasicReturn { reply_code: 312, reply_text: b"NO_ROUTE", exchange, routing_key });
    talk.hears_content(1, b"m");
}

/// RabbitMQ: a client takes the next ack for that of the message that came back, so none of a later publish may
/// cover it (amqplib#184).
#[test]
fn the_ack_that_follows_a_return_ends_with_its_number() {
    let (routed, back) = (Published::Settled, Published::Unroutable);
    let mut talk = publishes(&[routed, back, routed, back, back, routed, routed]);
    hears_return(&mut talk);
    talk.hears(1, BasicAck { delivery_tag: 2, multiple: true });
    hears_return(&mut talk);
    talk.hears(1, BasicAck { delivery_tag: 4, multiple: true });
    hears_return(&mut talk);
    talk.hears(1, BasicAck { delivery_tag: 5, multiple: false });
    talk.hears(1, BasicAck { delivery_tag: 7, multiple: true });
    talk.hears_nothing();
}

/// While an earlier publish is owed, the ack of a return covers none but its own.
#[test]
fn the_ack_of_a_return_does_not_pass_what_is_owed() {
    let mut talk = publishes(&[Published::Owed, Published::Unroutable, Published::Settled]);
    hears_return(&mut talk);
    talk.hears(1, BasicAck { delivery_tag: 2, multiple: false });
    talk.hears(1, BasicAck { delivery_tag: 3, multiple: false });
    talk.settled(1, 1, true);
    talk.hears(1, BasicAck { delivery_tag: 1, multiple: false });
    talk.hears_nothing();
}
