//! Connections that never log in, many of them.

use std::collections::VecDeque;
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use leveret_model::limits;
use leveret_wire::PROTOCOL_HEADER;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bystander::Bystander;
use crate::node::Node;
use crate::speaker::{Heard, Speaker};
use crate::{PATIENCE, my_turn};

const STORM: usize = 10_000;
/// What the two shards' threads may differ by: each drops on its own.
const SLACK: usize = 50;
/// Kept open at this end: more than the node may keep.
const KEPT: usize = 2 * limits::HANDSHAKES_MAX;

/// As many descriptors as the system gives; the node does the same for itself.
pub(crate) fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum is allowed");
}

/// The node has ended it, whatever it sent before. Without a wait: as far as is known.
fn is_over(stream: &mut TcpStream, wait: Duration) -> bool {
    stream.set_nonblocking(wait.is_zero()).expect("a socket");
    if !wait.is_zero() {
        stream.set_read_timeout(Some(wait)).expect("a socket");
    }
    let mut block = [0; 4096];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn of_10_000_half_open_handshakes_the_oldest_go_at_1_000() {
    let _turn = my_turn();
    raise_descriptors();
    let mut node = Node::start(&[]);
    let bystander = Bystander::start(node.amqp);
    let mut kept = VecDeque::new();
    for number in 0..STORM {
        // every other one says hello, none goes on
        let mut speaker = Speaker::connect(node.amqp);
        if number % 2 == 0 {
            speaker.say_bytes(&PROTOCOL_HEADER);
        }
        kept.push_back((number, speaker.stream));
        if kept.len() > KEPT {
            let (oldest, mut stream) = kept.pop_front().expect("there are many");
            assert!(is_over(&mut stream, PATIENCE), "number {oldest} of {number} still lives");
        }
        if number % 1_000 == 999 {
            bystander.is_served(&format!("{} half-open handshakes", number + 1));
        }
    }
    // those that are left are the youngest, and no more than the bound
    let deadline = Instant::now() + PATIENCE;
    while kept.len() > limits::HANDSHAKES_MAX {
        assert!(Instant::now() < deadline, "{} alive", kept.len());
        is_over(&mut kept[0].1, Duration::from_millis(10));
        kept.retain_mut(|(_, stream)| !is_over(stream, Duration::ZERO));
    }
    // of both shards: none that is left is older than one that went, but for what came in one turn
    assert!(kept.len() >= limits::HANDSHAKES_MAX - SLACK, "{} alive", kept.len());
    let oldest = kept[0].0;
    assert!(oldest >= STORM - limits::HANDSHAKES_MAX - SLACK, "number {oldest} is alive");
    node.logs(&["half-open"]);
    // and somebody who means it is let in
    let mut honest = Speaker::open(node.amqp, &[]);
    honest.declare("honest");
    bystander.is_served("after the storm");
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
