//! Nodes that leave under load, as processes: what they hold goes to the others, and their exit code says what
//! became of it (docs/elasticity.md).

#[allow(dead_code, reason = "its dialogues are for tests of one node or two")]
mod lapin;
mod node;

use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;

use ::lapin::options::{BasicGetOptions, BasicQosOptions};

use lapin::{Node, Session, number, status};

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

/// `leveret leave`: gives what it prints.
fn leave(node: &Node) -> String {
    let mut command = Command::new(node::LEVERET);
    let output = command.args(["leave", "--data-dir"]).arg(node.process.directory()).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
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
    assert_eq!(
        leave(&nodes[0]).lines().last(),
        Some("the node has stopped; its log and exit code say whether something stayed")
    );
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
    leave(&node);
    assert_eq!(node.process.wait(), Some(3), "{}", node.process.log());
    node.process.wait_for_lines(&["no other node was there to take the queues over", "lost=3"], 1);

    let mut empty = Node::start(&[]);
    Session::open(&empty).declare("burrow");
    leave(&empty);
    assert_eq!(empty.process.wait(), Some(0), "{}", empty.process.log());

    let mut unused = Node::start(&[]);
    assert_eq!(unused.process.terminate(), Some(0), "{}", unused.process.log());
}
