//! Connections that never log in, many of them.

use std::time::Instant;

use leveret_model::limits;
use leveret_wire::PROTOCOL_HEADER;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bystander::Bystander;
use crate::node::Node;
use crate::speaker::{Heard, Speaker};
use crate::{PATIENCE, my_turn};

/// As many descriptors as the system gives; the node does the same for itself.
pub(crate) fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum is allowed");
}

/// Connects, perhaps again and again as a client does that was dropped, until it is logged in.
fn gets_in(node: &Node, mut speaker: Speaker) -> Speaker {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match speaker.tries_to_log_in() {
            Some(speaker) => return speaker,
            None => assert!(Instant::now() < deadline, "a client does not get in"),
        }
        speaker = Speaker::greet(node.amqp);
    }
}

/// The clients of a node that died, all at another one at the same time.
#[test]
fn clients_that_come_while_others_log_in_drive_none_of_them_out() {
    let _turn = my_turn();
    raise_descriptors();
    let mut node = Node::start(&[]);
    let bystander = Bystander::start(node.amqp);
    let begun = Instant::now();
    let first: Vec<Speaker> = (0..limits::HANDSHAKES_MAX).map(|_| Speaker::greet(node.amqp)).collect();
    let mut later: Vec<Speaker> =
        (0..limits::HANDSHAKES_MAX / 2).map(|_| Speaker::connect(node.amqp)).collect();
    for speaker in &mut later {
        speaker.say_bytes(&PROTOCOL_HEADER);
    }
    node.logs(&["clients wait to be accepted"]);
    let mut inside = Vec::new();
    for (number, speaker) in first.into_iter().enumerate() {
        match speaker.tries_to_log_in() {
            Some(speaker) => inside.push(speaker),
            // a machine so slow makes them stale
            None => {
                assert!(begun.elapsed() >= limits::HANDSHAKE_UNDISTURBED, "number {number} was driven out");
                inside.push(gets_in(&node, Speaker::greet(node.amqp)));
            }
        }
    }
    for mut speaker in later {
        if speaker.hear() != Heard::Method(0, "connection.start") {
            speaker = Speaker::greet(node.amqp);
        }
        inside.push(gets_in(&node, speaker));
    }
    assert_eq!(inside.len(), limits::HANDSHAKES_MAX * 3 / 2);
    bystander.is_served("clients that all come at once");
    drop(inside);
    node.assert_sound();
    bystander.end();
}

/// As many as may be under way, and as many again in the kernel's queue.
#[test]
fn a_crowd_that_never_logs_in_locks_nobody_out() {
    let _turn = my_turn();
    raise_descriptors();
    let mut node = Node::start(&[]);
    let bystander = Bystander::start(node.amqp);
    let mut crowd: Vec<Speaker> = Vec::new();
    for number in 0..limits::HANDSHAKES_MAX + limits::LISTEN_BACKLOG as usize {
        // every other one says hello, none goes on
        let mut speaker = Speaker::connect(node.amqp);
        if number % 2 == 0 {
            speaker.say_bytes(&PROTOCOL_HEADER);
        }
        crowd.push(speaker);
    }
    node.logs(&["clients wait to be accepted"]);
    bystander.is_served("a crowd that never logs in");
    let mut honest = Speaker::open(node.amqp, &[]);
    honest.declare("honest");
    node.logs(&["half-open connection dropped"]);
    let status = node.status();
    let connections = status["connections"].as_array().expect("a list");
    let half_open = connections.iter().filter(|c| c["state"] == "handshake").count();
    assert!(half_open <= limits::HANDSHAKES_MAX, "{half_open} handshakes");
    bystander.is_served("a client that got in behind them");
    drop(crowd);
    node.assert_sound();
    bystander.end();
}

/// A shard that accepts must not wait until the kernel has made room.
#[test]
fn a_node_has_room_for_descriptors_before_it_needs_it() {
    let _turn = my_turn();
    raise_descriptors();
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = Node::start(&[]).descriptors_ready();
    assert!(room >= most.min(limits::DESCRIPTORS_READY), "room for {room} of {most}");
}

#[test]
fn who_finds_no_descriptor_left_waits_and_costs_no_more_than_a_look_now_and_then() {
    let _turn = my_turn();
    raise_descriptors();
    let mut node = Node::start(&[]);
    let before = node.leave_descriptors(4);
    let mut speakers: Vec<_> = (0..20).map(|_| Speaker::connect(node.amqp)).collect();
    for speaker in &mut speakers {
        speaker.say_bytes(&PROTOCOL_HEADER);
    }
    let unsaid = node.finds_in_log(|line| {
        let (_, unsaid) = line.split_once("could not be accepted")?.1.split_once("unsaid=")?;
        unsaid.trim().parse::<u64>().ok().filter(|unsaid| *unsaid > 0)
    });
    // the first shard looks ten times a second, and a line a second is written
    assert!(unsaid < 100, "{unsaid} attempts in a second");
    node.limit_descriptors(before);
    for speaker in &mut speakers {
        assert_eq!(speaker.hear(), Heard::Method(0, "connection.start"));
    }
    node.assert_sound();
}
