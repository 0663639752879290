//! Nodes that leave under load, as processes: what they hold goes to the others, and their exit code says what
//! became of it (docs/elasticity.md).

#[allow(dead_code, reason = "its dialogues are for tests of one node or two")]
mod lapin;
mod node;

use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;

use ::lapin::options::{BasicGetOptions, BasicQosOptions};

use lapin::{Node, Session, number, status};
use rustix::process::{Pid, Signal, kill_process};

/// Three nodes that know each other.
fn three_nodes() -> [Node; 3] {
    let first = Node::start(&[]);
    let second = Node::start(&[&first]);
    let third = Node::start(&[&first, &second]);
    let nodes = [first, second, third];
    let addresses = || nodes.iter().map(|node| node.process.cluster()).collect();
    nodes.iter().for_each(|node| node.process.wait_for_members(addresses()));
    nodes
}

/// `leveret leave` with these flags, that runs.
fn start_leave(directory: &Path, flags: &[&str]) -> Child {
    let mut command = Command::new(node::LEVERET);
    command.arg("leave").args(flags).arg("--data-dir").arg(directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
}

/// Its exit code, what it printed, and its complaint.
fn end(leave: Child) -> (Option<i32>, String, String) {
    let output = leave.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// `leveret leave` of a node that ends holding nothing: gives what it prints.
fn leave(node: &Node) -> String {
    let (code, printed, complaint) = end(start_leave(node.process.directory(), &[]));
    assert_eq!(code, Some(0), "{complaint}");
    printed
}

/// Where a queue lives, as a node sees it.
fn home_of(node: &Node, queue: &str) -> serde_json::Value {
    let told = status(node);
    let queues = told["queues"].as_array().expect("a list");
    let found = queues.iter().find(|known| known["name"] == queue);
    found.unwrap_or_else(|| panic!("no {queue}: {told}"))["home"].clone()
}

#[test]
fn a_home_that_is_told_to_stop_hands_over_every_message_in_order() {
    node::unless_falsely_dead(a_home_stops_under_load);
}

fn a_home_stops_under_load() {
    let mut nodes = three_nodes();
    let [at_home, consumer, publisher] = nodes.each_ref().map(Session::open);
    // one that only keeps messages, and one that is used all the time
    at_home.declare("burrow");
    at_home.publish_numbers("burrow", 0..500);
    at_home.declare("run");
    let left = status(&nodes[0])["node"]["id"].clone();
    consumer.done(consumer.channel.basic_qos(20, BasicQosOptions::default()));
    let inbox = consumer.consume("run", "hare");
    let (enough, told) = channel::<()>();
    let (exit, published) = thread::scope(|scope| {
        let publisher = &publisher;
        let load = scope.spawn(move || {
            let mut published = 0;
            // each batch is confirmed before the next begins
            while told.try_recv() == Err(TryRecvError::Empty) {
                publisher.publish_numbers("run", published..published + 10);
                published += 10;
            }
            published
        });
        let take = |numbers: Range<u32>| {
            for expected in numbers {
                let delivery = inbox.message();
                assert_eq!((number(&delivery), delivery.redelivered), (expected, false));
                consumer.ack(&delivery);
            }
        };
        take(0..100);
        let exit = nodes[0].process.terminate();
        // and goes on at the new home
        take(100..400);
        drop(enough);
        let published = load.join().expect("every publish is confirmed");
        take(400..published);
        (exit, published)
    });
    assert_eq!(exit, Some(0), "{}", nodes[0].process.log());
    assert!(published >= 400);
    assert_eq!((consumer.count("run"), publisher.count("burrow")), (0, 500));
    assert_ne!(home_of(&nodes[1], "burrow"), left);
    let kept: Vec<u32> = (0..500)
        .map(|_| {
            let options = BasicGetOptions { no_ack: true };
            let got = consumer.done(consumer.channel.basic_get("burrow".into(), options));
            number(&got.expect("a message").delivery)
        })
        .collect();
    assert_eq!(kept, (0..500).collect::<Vec<_>>());
}

#[test]
fn what_a_client_holds_of_a_queue_it_settles_at_the_new_home() {
    node::unless_falsely_dead(settled_at_the_new_home);
}

fn settled_at_the_new_home() {
    let mut nodes = three_nodes();
    let [at_home, consumer] = [&nodes[0], &nodes[1]].map(Session::open);
    at_home.declare("burrow");
    at_home.publish_numbers("burrow", 0..3);
    consumer.done(consumer.channel.basic_qos(2, BasicQosOptions::default()));
    let inbox = consumer.consume("burrow", "hare");
    let held = [inbox.message(), inbox.message()];
    assert_eq!(leave(&nodes[0]).lines().last(), Some("stopped: no queue is left here"));
    assert_eq!(nodes[0].process.wait(), Some(0), "{}", nodes[0].process.log());
    // still held: the third waits for room in the prefetch
    assert_eq!(consumer.count("burrow"), 1);
    inbox.assert_empty();
    consumer.ack(&held[1]);
    assert_eq!(inbox.numbers(1), [(2, false)]);
    consumer.done(consumer.channel.close(200, "bye".into()));
    let later = Session::open(&nodes[2]);
    assert_eq!(later.consume("burrow", "leveret").numbers(2), [(0, true), (2, true)]);
}

/// `leveret status --ready`: what it prints, and its exit code.
fn readiness(directory: &Path) -> (String, Option<i32>) {
    let mut command = Command::new(node::LEVERET);
    let output = command.args(["status", "--ready", "--data-dir"]).arg(directory).output();
    let output = output.expect("it runs");
    (String::from_utf8(output.stdout).expect("UTF-8"), output.status.code())
}

#[test]
fn readiness_is_an_exit_code() {
    let mut node = Node::start(&[]);
    assert_eq!(readiness(node.process.directory()), ("ready\n".to_owned(), Some(0)));
    assert_eq!(status(&node)["node"]["state"], "ready");
    assert_eq!(node.process.terminate(), Some(0));
    assert_eq!(readiness(node.process.directory()), (String::new(), Some(1)));
}

#[test]
fn a_node_that_leaves_alone_says_by_its_exit_code_whether_messages_went_with_it() {
    let mut node = Node::start(&[]);
    let session = Session::open(&node);
    session.declare("burrow");
    session.publish_numbers("burrow", 0..3);
    // an operator is told what to do, a signal is obeyed
    let (code, _, complaint) = end(start_leave(node.process.directory(), &[]));
    assert_eq!(code, Some(1));
    assert!(complaint.contains("no other node is there to take 3 messages: start one"), "{complaint}");
    assert_eq!(session.count("burrow"), 3, "nothing was stopped");
    assert_eq!(node.process.terminate(), Some(3), "{}", node.process.log());
    node.process.wait_for_lines(&["no other node was there to take the queues over", "lost=3"], 1);

    let mut empty = Node::start(&[]);
    Session::open(&empty).declare("burrow");
    leave(&empty);
    assert_eq!(empty.process.wait(), Some(0), "{}", empty.process.log());

    let mut unused = Node::start(&[]);
    assert_eq!(unused.process.terminate(), Some(0), "{}", unused.process.log());
}

/// Stops a process, or lets it go on.
fn signal(node: &Node, signal: Signal) {
    let pid = node.process.pid().parse().ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process"), signal).expect("it is there");
}

#[test]
fn a_leave_can_be_taken_back_and_waited_for_by_more_than_one() {
    node::unless_falsely_dead(taken_back_and_waited_for);
}

fn taken_back_and_waited_for() {
    let first = Node::start(&[]);
    let second = Node::start(&[&first]);
    first.process.wait_for_members(vec![first.process.cluster(), second.process.cluster()]);
    let here = first.process.directory();
    let session = Session::open(&first);
    session.declare("burrow");
    session.publish_numbers("burrow", 0..10);
    let (code, _, complaint) = end(start_leave(here, &["--cancel"]));
    assert_eq!((code, complaint.contains("does not leave")), (Some(1), true), "{complaint}");
    // the other one does not answer offers now, so the leave goes on until it does
    signal(&second, Signal::STOP);
    assert_eq!(end(start_leave(here, &["--no-wait"])).0, Some(0));
    first.process.wait_for_lines(&["leaving: queues go to other nodes"], 1);
    let (code, _, complaint) = end(start_leave(here, &[]));
    assert_eq!((code, complaint.contains("leave --cancel` takes it back")), (Some(1), true), "{complaint}");
    let (code, printed, complaint) = end(start_leave(here, &["--cancel"]));
    assert_eq!(code, Some(0), "{complaint}");
    assert_eq!(printed, "the node stays: clients are let in again, and 1 queues are here\n");
    assert_eq!(readiness(here), ("ready\n".to_owned(), Some(0)));
    signal(&second, Signal::CONT);
    let later = Session::open(&first);
    later.publish_numbers("burrow", 10..20);
    assert_eq!(session.count("burrow"), 20);
    signal(&second, Signal::STOP);
    let leaving = start_leave(here, &[]);
    first.process.wait_for_lines(&["leaving: queues go to other nodes"], 2);
    let waiting = start_leave(here, &["--wait"]);
    signal(&second, Signal::CONT);
    for command in [leaving, waiting] {
        let (code, printed, complaint) = end(command);
        assert_eq!(code, Some(0), "{printed}{complaint}");
        assert!(printed.ends_with("stopped: no queue is left here\n"), "{printed}");
    }
    let heir = Session::open(&second);
    let numbers = heir.consume("burrow", "hare").numbers(20);
    assert_eq!(numbers, (0..20).map(|number| (number, false)).collect::<Vec<_>>());
}

#[test]
fn a_second_signal_stops_at_once_and_harms_nothing_that_had_left() {
    node::unless_falsely_dead(a_second_signal);
}

fn a_second_signal() {
    let mut first = Node::start(&[]);
    let second = Node::start(&[&first]);
    first.process.wait_for_members(vec![first.process.cluster(), second.process.cluster()]);
    let session = Session::open(&second);
    session.declare("kept");
    session.publish_numbers("kept", 0..5);
    let session = Session::open(&first);
    session.declare("burrow");
    session.publish_numbers("burrow", 0..3);
    signal(&second, Signal::STOP);
    signal(&first, Signal::TERM);
    first.process.wait_for_lines(&["leaving: queues go to other nodes"], 1);
    assert_eq!(first.process.terminate(), Some(3), "{}", first.process.log());
    first.process.wait_for_lines(&["stopped at once", "lost=3"], 1);
    signal(&second, Signal::CONT);
    let later = Session::open(&second);
    let numbers = later.consume("kept", "hare").numbers(5);
    assert_eq!(numbers, (0..5).map(|number| (number, false)).collect::<Vec<_>>());
}

#[test]
fn a_node_that_joins_is_not_told_to_leave() {
    // takes connections and says nothing: the node waits for it as long as it waits for a seed
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let seed = silent.local_addr().expect("an address").to_string();
    let directory = tempfile::tempdir().expect("a directory");
    thread::scope(|scope| {
        let node = scope.spawn(|| node::Node::start(directory.path(), &["--seed", &seed]));
        let refused = loop {
            let (code, _, complaint) = end(start_leave(directory.path(), &[]));
            if !complaint.contains("no node runs in") {
                break (code, complaint);
            }
        };
        assert_eq!(refused.0, Some(1));
        assert!(refused.1.contains("has not joined yet"), "{}", refused.1);
        assert_eq!(node.join().expect("it serves").terminate(), Some(0));
    });
}

#[test]
fn a_node_that_stays_takes_queues_again() {
    node::unless_falsely_dead(stays_and_takes);
}

fn stays_and_takes() {
    let first = Node::start(&[]);
    let second = Node::start(&[&first]);
    first.process.wait_for_members(vec![first.process.cluster(), second.process.cluster()]);
    Session::open(&first).declare("burrow");
    signal(&second, Signal::STOP);
    assert_eq!(end(start_leave(first.process.directory(), &["--no-wait"])).0, Some(0));
    first.process.wait_for_lines(&["leaving: queues go to other nodes"], 1);
    assert_eq!(end(start_leave(first.process.directory(), &["--cancel"])).0, Some(0));
    // it hears of both at once
    signal(&second, Signal::CONT);
    let session = Session::open(&second);
    session.declare("kept");
    session.publish_numbers("kept", 0..5);
    assert_eq!(leave(&second).lines().last(), Some("stopped: no queue is left here"));
    assert_eq!(Session::open(&first).count("kept"), 5);
}

#[test]
fn the_load_figures_of_a_node_are_in_its_status() {
    let node = Node::start(&[]);
    assert_eq!(status(&node)["load"]["oldest_ready_ms"], serde_json::Value::Null);
    let session = Session::open(&node);
    session.declare("burrow");
    session.publish_numbers("burrow", 0..3);
    let told = status(&node);
    let load = &told["load"];
    assert_eq!((&load["connections"], &load["queues"]), (&1.into(), &1.into()), "{load}");
    assert_eq!((&load["messages_held"], &load["bytes_held"]), (&3.into(), &12.into()), "{load}");
    assert!(load["oldest_ready_ms"].is_u64() && load["memory_used_bytes"].as_u64() > Some(0), "{load}");
    let busy = load["busy_percent"].as_f64().expect("a number");
    assert!((0.0..=100.0).contains(&busy), "{load}");
}
