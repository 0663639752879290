//! Clients that take too much: who never reads, and who publishes what nobody consumes.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use leveret_wire::method::{
    BasicAck, BasicCancel, BasicConsume, BasicGet, BasicPublish, BasicQos, QueuePurge,
};
use leveret_wire::{EncodeMethod, FrameKind};
use serde_json::Value;

use crate::bystander::Bystander;
use crate::node::Node;
use crate::speaker::{Heard, Speaker, publish};
use crate::{PATIENCE, my_turn};

pub(crate) const MIB: u64 = 1 << 20;
/// `--memory` of these nodes, and what may come on top of it.
pub(crate) const MEMORY: u64 = 64 * MIB;
pub(crate) const RSS_MAX: u64 = MEMORY + 64 * MIB;

/// Without a byte taken for so long it is asked whether the node has stopped to read.
const STALL: Duration = Duration::from_millis(250);

/// Writes messages until the node takes no more of them and says that this publisher is blocked; gives how many
/// it took, and what it did not take of the last ones.
pub(crate) fn flood(node: &Node, speaker: &mut Speaker, queue: &str, body: &[u8]) -> (u64, Vec<u8>) {
    let mut burst = Vec::new();
    let in_burst = (64 * 1024 / (body.len() + 100)).max(1);
    for _ in 0..in_burst {
        publish(1, queue, body, &mut burst);
    }
    let name = speaker.name();
    speaker.stream.set_write_timeout(Some(STALL)).expect("a socket");
    let deadline = Instant::now() + PATIENCE;
    let (mut taken, mut blocked) = (0, false);
    while Instant::now() < deadline {
        let mut at = 0;
        while at < burst.len() {
            match speaker.stream.write(&burst[at..]) {
                Ok(count) => (at, blocked) = (at + count, false),
                // still blocked, with nothing taken since it was asked for the first time
                Err(error) if error.kind() == ErrorKind::WouldBlock && blocked => {
                    return (taken, burst.split_off(at));
                }
                // a node that is only slow takes more in a while
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "the node takes nothing, and is not short of memory");
                    blocked = state(node, &name) == "blocked";
                }
                Err(error) => panic!("the flood ended: {error}"),
            }
        }
        taken += in_burst as u64;
    }
    panic!("the node takes {taken} messages of {} bytes and more", body.len());
}

fn count(speaker: &mut Speaker, queue: &str) -> u32 {
    let passive =
        leveret_wire::method::QueueDeclare { queue: queue.as_bytes(), passive: true, ..Default::default() };
    speaker.say(1, &passive);
    loop {
        match speaker.hear() {
            Heard::Count(count) => return count,
            // it published a moment ago, and may have to wait once more
            Heard::Method(0, "connection.blocked" | "connection.unblocked") => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Publishes so many and waits for all answers.
pub(crate) fn publish_all(speaker: &mut Speaker, queue: &str, body: &[u8], messages: u64) {
    let mut out = Vec::new();
    for _ in 0..messages {
        out.clear();
        publish(1, queue, body, &mut out);
        speaker.say_bytes(&out);
    }
    loop {
        match speaker.hear() {
            Heard::Confirm { number, ok: true, .. } if number == messages => return,
            Heard::Confirm { ok: true, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_consumer_that_never_reads_costs_a_bounded_output() {
    let _turn = my_turn();
    let mut node = Node::start(&["--memory", "64MiB"]);
    let bystander = Bystander::start(node.amqp);
    let mut slow = Speaker::open(node.amqp, &[]);
    slow.declare("slow");
    let consumer_tag = b"c";
    slow.say(1, &BasicConsume { queue: b"slow", consumer_tag, no_ack: true, ..Default::default() });
    assert_eq!(slow.hear(), Heard::Method(1, "basic.consume-ok"));
    let mut publisher = Speaker::open(node.amqp, &[]);
    publisher.confirms();
    let messages = 30 * MIB / 10_240;
    publish_all(&mut publisher, "slow", &[7; 10_240], messages);
    bystander.is_served("a consumer that never reads");
    let rss = node.rss_bytes();
    assert!(rss <= RSS_MAX, "{} MiB", rss / MIB);
    node.logs(&[&slow.name(), "does not read"]);
    // A probe of the closed window may still move some bytes into the socket (Linux collapses the receive queue
    // then): the client counts as one that reads until nothing moves for a while again.
    wait_for_status(&node, |status| connection(status, &slow.name())["state"] == "not reading");
    // What its socket did not take is the queue's: another consumer gets it. Without the cancel, bytes that
    // move would make room for messages that were counted as left.
    slow.say(1, &BasicCancel { consumer_tag, no_wait: true });
    wait_for_status(&node, |status| queue(status, "slow")["consumers"] == 0);
    let left = u64::from(count(&mut publisher, "slow"));
    assert!(left >= messages / 2, "{left} of {messages}");
    let mut quick = Speaker::open(node.amqp, &[]);
    quick.consume("slow", true);
    for _ in 0..left {
        assert!(matches!(quick.hear(), Heard::Delivery { .. }));
    }
    // and what it did take comes when it reads at last
    for _ in 0..messages - left {
        assert!(matches!(slow.hear(), Heard::Delivery { .. }));
    }
    assert_eq!(state(&node, &slow.name()), "running");
    bystander.is_served("a consumer that reads at last");
    node.assert_sound();
    bystander.end();
}

/// Its socket is full with less waiting than a client may leave unread; what comes then is not even tried.
#[test]
fn a_consumer_that_reads_nothing_of_a_slow_stream_is_told_of() {
    let _turn = my_turn();
    let mut node = Node::start(&[]);
    let mut slow = Speaker::open(node.amqp, &[]);
    slow.declare("slow");
    slow.consume("slow", true);
    let mut publisher = Speaker::open(node.amqp, &[]);
    publisher.confirms();
    let mut bytes = Vec::new();
    publish(1, "slow", &[7; 1_024], &mut bytes);
    // each is written, or not, before the next one is there
    for number in 1..=6 * MIB / 1_024 {
        publisher.say_bytes(&bytes);
        assert_eq!(publisher.hear(), Heard::Confirm { number, multiple: false, ok: true });
    }
    node.logs(&[&slow.name(), "does not read"]);
    node.assert_sound();
}

/// What `status` says of a connection.
fn connection<'a>(status: &'a Value, name: &str) -> &'a Value {
    let connections = status["connections"].as_array().expect("a list");
    let one = connections.iter().find(|c| c["name"].as_str().is_some_and(|n| n.starts_with(name)));
    one.expect("it is there")
}

fn queue<'a>(status: &'a Value, name: &str) -> &'a Value {
    let queues = status["queues"].as_array().expect("a list");
    queues.iter().find(|queue| queue["name"] == name).expect("it is there")
}

fn state(node: &Node, name: &str) -> String {
    connection(&node.status(), name)["state"].as_str().expect("a word").to_owned()
}

fn wait_for_status(node: &Node, holds: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(&node.status()) {
        assert!(Instant::now() < deadline, "{:#}", node.status());
    }
}

#[test]
fn a_publisher_that_floods_a_queue_waits_and_nobody_else_does() {
    let _turn = my_turn();
    let mut node = Node::start(&["--memory", "64MiB"]);
    let bystander = Bystander::start(node.amqp);
    let mut operator = Speaker::open(node.amqp, &[]);
    for (name, bytes) in [("16 B", 16), ("1 KiB", 1_024), ("100 KB", 100_000), ("4 MiB", 4 << 20)] {
        operator.declare("flood");
        let mut told = Speaker::open(node.amqp, &["connection.blocked"]);
        // its silence does not count while nobody listens; that it is gone shows when it is sent a heartbeat
        let mut untold = Speaker::open_with(node.amqp, &[], 1);
        let body = vec![7; bytes];
        let (first, rest) = flood(&node, &mut told, "flood", &body);
        flood(&node, &mut untold, "flood", &body);
        assert_eq!(told.hear(), Heard::Method(0, "connection.blocked"));
        assert!(first > 0, "{name}: not one was taken");
        assert_eq!(state(&node, &told.name()), "blocked");
        let rss = node.rss_bytes();
        assert!(rss <= RSS_MAX, "{name}: {} MiB", rss / MIB);
        bystander.is_served(&format!("a flood of {name}"));
        everything_else_goes_on(&node, name);
        // who was not told gives up, and is let go
        let gone = untold.name();
        drop(untold);
        if bytes == 16 {
            wait_until_gone(&node, &gone);
        }
        // room again: who waited goes on
        operator.say(1, &QueuePurge { queue: b"flood", ..Default::default() });
        assert!(matches!(operator.hear(), Heard::Count(1..)));
        assert_eq!(told.hear(), Heard::Method(0, "connection.unblocked"));
        assert_eq!(state(&node, &told.name()), "running");
        told.stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        told.say_bytes(&rest);
        assert!(count(&mut told, "flood") > 0);
        operator.say(1, &QueuePurge { queue: b"flood", ..Default::default() });
        assert!(matches!(operator.hear(), Heard::Count(_)));
        bystander.is_served(&format!("after a flood of {name}"));
    }
    node.logs(&["memory", "publishers"]);
    node.assert_sound();
    bystander.end();
}

/// Logins, declarations, gets and acks under the alarm.
fn everything_else_goes_on(node: &Node, name: &str) {
    let mut other = Speaker::open(node.amqp, &[]);
    other.declare(&format!("under alarm {name}"));
    other.say(1, &BasicGet { queue: b"flood", no_ack: false });
    assert!(matches!(other.hear(), Heard::Delivery { tag: 1, .. }));
    other.say(1, &BasicAck { delivery_tag: 1, multiple: false });
    let left = count(&mut other, "flood");
    assert!(left > 0);
}

fn wait_until_gone(node: &Node, name: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = node.status();
        let connections = status["connections"].as_array().expect("a list");
        let there = |c: &Value| c["name"].as_str().is_some_and(|n| n.starts_with(name));
        if !connections.iter().any(there) {
            return;
        }
        assert!(Instant::now() < deadline, "{name} is gone and still listed");
    }
}

#[test]
fn acks_of_a_flooder_pass() {
    let _turn = my_turn();
    let mut node = Node::start(&["--memory", "64MiB"]);
    let bystander = Bystander::start(node.amqp);
    let mut both = Speaker::open(node.amqp, &["connection.blocked"]);
    both.declare("flood");
    both.declare("work");
    let mut bytes = Vec::new();
    for _ in 0..20 {
        publish(1, "work", b"m", &mut bytes);
    }
    both.say_bytes(&bytes);
    both.say(1, &BasicQos { prefetch_size: 0, prefetch_count: 1, global: false });
    assert_eq!(both.hear(), Heard::Method(1, "basic.qos-ok"));
    both.consume("work", false);
    assert!(matches!(both.hear(), Heard::Delivery { tag: 1, .. }));
    // another one makes memory short, this one adds to it
    let mut flooder = Speaker::open(node.amqp, &[]);
    flood(&node, &mut flooder, "flood", &[7; 10_000]);
    bytes.clear();
    for _ in 0..10 {
        publish(1, "flood", &[7; 10_000], &mut bytes);
    }
    both.say_bytes(&bytes);
    assert_eq!(both.hear(), Heard::Method(0, "connection.blocked"));
    for tag in 1..10 {
        // behind more of its flood
        both.say_bytes(&bytes[..bytes.len() / 10]);
        both.say(1, &BasicAck { delivery_tag: tag, multiple: false });
        assert!(matches!(both.hear(), Heard::Delivery { tag: next, .. } if next == tag + 1));
    }
    bystander.is_served("a flooder that also consumes");
    let rss = node.rss_bytes();
    assert!(rss <= RSS_MAX, "{} MiB", rss / MIB);
    node.assert_sound();
    bystander.end();
}

/// Few large messages that stay, among many that do not: each must not hold the memory of its neighbours.
#[test]
fn messages_that_stay_do_not_hold_the_memory_of_those_that_went_with_them() {
    let _turn = my_turn();
    let mut node = Node::start(&["--memory", "64MiB"]);
    let bystander = Bystander::start(node.amqp);
    let mut publisher = Speaker::open(node.amqp, &[]);
    publisher.declare("stays");
    let mut round = Vec::new();
    publish(1, "stays", &[1; 4_096], &mut round);
    BasicPublish { routing_key: b"nowhere", ..Default::default() }.encode_frame(1, &mut round);
    round.extend(crate::speaker::frame(FrameKind::Header, 1, &crate::speaker::header(130_000)));
    round.extend(crate::speaker::frame(FrameKind::Body, 1, &[2; 130_000]));
    for _ in 0..2_000 {
        publisher.say_bytes(&round);
    }
    assert_eq!(count(&mut publisher, "stays"), 2_000);
    let rss = node.rss_bytes();
    assert!(rss <= RSS_MAX, "{} MiB", rss / MIB);
    bystander.is_served("large messages among others");
    node.assert_sound();
    bystander.end();
}

#[test]
fn memory_that_a_purge_gave_up_goes_back_to_the_system() {
    let _turn = my_turn();
    let mut node = Node::start(&["--log-level", "info,leveret_server::release=debug"]);
    let mut publisher = Speaker::open(node.amqp, &[]);
    publisher.declare("full");
    publisher.confirms();
    let before = node.rss_bytes();
    let messages = 200_000;
    let mut answers = publisher.stream.try_clone().map(Speaker::from_stream).expect("a socket");
    let writer = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        publish(1, "full", &[7; 1_024], &mut bytes);
        (0..messages).for_each(|_| publisher.say_bytes(&bytes));
        publisher
    });
    while !matches!(answers.hear(), Heard::Confirm { number, ok: true, .. } if number == messages) {}
    let mut publisher = writer.join().expect("it writes on");
    let full = node.rss_bytes();
    assert!(full > messages * 1_024, "{} MiB", full / MIB);
    publisher.say(1, &QueuePurge { queue: b"full", ..Default::default() });
    assert_eq!(publisher.hear(), Heard::Count(messages as u32));
    node.logs(&["free memory was given back to the system"]);
    let after = node.rss_bytes();
    assert!(after * 10 <= before * 13, "{} KiB before, {} after", before / 1024, after / 1024);
    node.assert_sound();
}
