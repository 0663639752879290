//! Crowds of clients of which each one keeps within its own bounds, and all together would take the node's
//! memory.

use std::thread;

use leveret_model::limits;
use leveret_wire::frame::write_header_frame;
use leveret_wire::method::{BasicGet, BasicPublish};
use leveret_wire::{EncodeMethod, FrameKind};

use crate::bystander::Bystander;
use crate::floods::{MEMORY, MIB, RSS_MAX, flood, publish_all};
use crate::my_turn;
use crate::node::Node;
use crate::speaker::{Heard, Speaker, frame, header, publish};

const BEGUN: u64 = 4 * MIB;

/// A connection that begins a message of the largest size and stops in the midst of it.
fn begin(node: &Node) -> Speaker {
    let mut speaker = Speaker::open(node.amqp, &[]);
    let mut bytes = Vec::new();
    BasicPublish { routing_key: b"large", ..Default::default() }.encode_frame(1, &mut bytes);
    write_header_frame(&mut bytes, 1, &header(limits::BODY_BYTES_MAX));
    let piece = frame(FrameKind::Body, 1, &[7; 131_000]);
    for _ in 0..BEGUN / 131_000 {
        bytes.extend_from_slice(&piece);
    }
    speaker.say_bytes(&bytes);
    speaker
}

/// Three times the node's memory is begun and nothing of it ended, while somebody publishes large messages that
/// are.
#[test]
fn a_crowd_that_begins_messages_and_ends_none_is_closed_and_nobody_else() {
    let _turn = my_turn();
    let mut node = Node::start(&["--memory", "64MiB"]);
    let bystander = Bystander::start(node.amqp);
    let mut honest = Speaker::open(node.amqp, &[]);
    honest.declare("large");
    honest.confirms();
    let mut getter = Speaker::open(node.amqp, &[]);
    let body = vec![1; 6 << 20];
    let mut crowd = Vec::new();
    let mut bytes = Vec::new();
    for number in 0..3 * MEMORY / BEGUN {
        crowd.push(begin(&node));
        if number % 4 == 3 {
            bytes.clear();
            publish(1, "large", &body, &mut bytes);
            honest.say_bytes(&bytes);
            assert!(matches!(honest.hear(), Heard::Confirm { ok: true, .. }), "number {number}");
            getter.say(1, &BasicGet { queue: b"large", no_ack: true });
            assert!(matches!(getter.hear(), Heard::Delivery { body: got, .. } if got.len() == body.len()));
        }
        let rss = node.rss_bytes();
        assert!(rss <= RSS_MAX, "{} MiB after {number}", rss / MIB);
    }
    node.logs(&["connections kept too much unfinished or unread"]);
    // those that began first went first, and were told why
    let first = &mut crowd[0];
    assert!(matches!(first.hear(), Heard::Close { channel: 0, code: 320, .. }));
    node.logs(&[&first.name(), "closed with 320", "unfinished messages"]);
    bystander.is_served("a crowd that ends nothing");
    node.assert_sound();
    bystander.end();
}

/// Each takes a part of the messages and reads none of them.
#[test]
fn a_crowd_that_never_reads_costs_a_bounded_memory() {
    let _turn = my_turn();
    crate::handshakes::raise_descriptors();
    let mut node = Node::start(&["--memory", "64MiB"]);
    let bystander = Bystander::start(node.amqp);
    let mut owner = Speaker::open(node.amqp, &[]);
    owner.declare("shared");
    let crowd: Vec<Speaker> = (0..400)
        .map(|_| {
            let mut slow = Speaker::open_narrow(node.amqp);
            slow.consume("shared", true);
            slow
        })
        .collect();
    let mut publisher = Speaker::open(node.amqp, &[]);
    flood(&node, &mut publisher, "shared", &[7; 60_000]);
    let rss = node.rss_bytes();
    assert!(rss <= RSS_MAX, "{} MiB", rss / MIB);
    node.logs(&["connections kept too much unfinished or unread"]);
    node.logs(&["closed with 320", "unread output"]);
    bystander.is_served("a crowd that never reads");
    // who reads is served
    let mut quick = Speaker::open(node.amqp, &[]);
    quick.declare("quick");
    quick.consume("quick", true);
    owner.confirms();
    publish_all(&mut owner, "quick", &[1; 10_000], 100);
    for _ in 0..100 {
        assert!(matches!(quick.hear(), Heard::Delivery { .. }));
    }
    drop(crowd);
    node.assert_sound();
    bystander.end();
}

/// Small pieces of a message that is never ended, each among much that goes at once: none holds what came with
/// it.
#[test]
fn a_message_that_is_begun_does_not_hold_the_memory_of_its_neighbours() {
    let _turn = my_turn();
    let mut node = Node::start(&["--memory", "64MiB"]);
    let bystander = Bystander::start(node.amqp);
    let mut speaker = Speaker::open(node.amqp, &[]);
    speaker.open_channel(2);
    let mut bytes = Vec::new();
    BasicPublish { routing_key: b"nowhere", ..Default::default() }.encode_frame(2, &mut bytes);
    write_header_frame(&mut bytes, 2, &header(limits::BODY_BYTES_MAX));
    speaker.say_bytes(&bytes);
    let mut round = frame(FrameKind::Body, 2, &[1; 4_096]);
    publish(1, "nowhere", &[2; 130_000], &mut round);
    for _ in 0..2_000 {
        speaker.say_bytes(&round);
    }
    // it has been taken, all of it
    speaker.declare("after");
    let rss = node.rss_bytes();
    assert!(rss <= RSS_MAX, "{} MiB", rss / MIB);
    bystander.is_served("small pieces of a message that is never ended");
    node.assert_sound();
    bystander.end();
}

/// It was told that it is blocked, is read a little for the sake of its acks, and publishes on and on.
#[test]
fn a_flooder_that_holds_deliveries_is_closed_when_it_has_published_enough() {
    let _turn = my_turn();
    let mut node = Node::start(&["--memory", "64MiB"]);
    let bystander = Bystander::start(node.amqp);
    let mut both = Speaker::open(node.amqp, &["connection.blocked"]);
    both.declare("flood");
    both.declare("work");
    let mut bytes = Vec::new();
    publish(1, "work", b"m", &mut bytes);
    both.say_bytes(&bytes);
    both.consume("work", false);
    assert!(matches!(both.hear(), Heard::Delivery { tag: 1, .. }));
    let mut flooder = Speaker::open(node.amqp, &[]);
    flood(&node, &mut flooder, "flood", &[7; 10_000]);
    let mut floods_on = both.stream.try_clone().map(Speaker::from_stream).expect("a socket");
    let writer = thread::spawn(move || {
        let mut bytes = Vec::new();
        publish(1, "flood", &[7; 10_000], &mut bytes);
        for _ in 0..2 * limits::PUBLISHED_WHILE_WAITING_BYTES_MAX / 10_000 {
            floods_on.say_bytes(&bytes);
        }
    });
    assert_eq!(both.hear(), Heard::Method(0, "connection.blocked"));
    match both.hear() {
        Heard::Close { channel: 0, code: 320, text, .. } => {
            assert!(text.contains("published 4194304 bytes while the broker was low on memory"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let name = both.name();
    node.logs(&[&name, "closed with 320", "low on memory"]);
    drop(both);
    writer.join().expect("it ends with the connection");
    // what it held is back
    let mut getter = Speaker::open(node.amqp, &[]);
    getter.say(1, &BasicGet { queue: b"work", no_ack: true });
    assert!(matches!(getter.hear(), Heard::Delivery { body, .. } if body == b"m"));
    bystander.is_served("a flooder that holds deliveries");
    node.assert_sound();
    bystander.end();
}
