//! lapin against two nodes: the publisher on one, the consumer on the other, which joined it.

mod lapin;
mod node;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use lapin::{Node, Session, status};

fn sessions() -> ([Node; 2], Session, Session) {
    let first = Node::start(&[]);
    let second = Node::start(&[&first]);
    for node in [&first, &second] {
        node.process.wait_for_members(vec![first.process.cluster(), second.process.cluster()]);
    }
    let (publisher, consumer) = (Session::open(&first), Session::open(&second));
    ([first, second], publisher, consumer)
}

dialogues!(sessions);

#[test]
fn status_lists_queues_of_the_whole_cluster_and_counts_only_its_own() {
    node::unless_falsely_dead(status_lists_all_queues);
}

fn status_lists_all_queues() {
    let ([first, second], publisher, consumer) = sessions();
    publisher.declare("burrow");
    publisher.publish_numbers("burrow", 0..3);
    for (node, ready) in [(&first, "3"), (&second, "null")] {
        let told = status(node);
        let queue = told["queues"].as_array().and_then(|queues| queues.first()).expect("a queue");
        assert_eq!(
            (queue["name"].as_str(), queue["ready"].to_string().as_str(), queue["away"].as_bool()),
            (Some("burrow"), ready, Some(false)),
            "{told}"
        );
        assert_eq!(queue["home"], status(&first)["node"]["id"]);
    }
    let id = status(&first)["node"]["id"].clone();
    let inbox = consumer.consume("burrow", "hare");
    assert_eq!(inbox.numbers(3).len(), 3);
    drop((publisher, first));
    // the cancel says that its node knows of the death
    assert!(inbox.next().is_none(), "a message from a dead node");
    let told = status(&second);
    assert_eq!(told["queues"][0]["away"], true, "{told}");
    assert_eq!((&told["queues"][0]["home"], &told["queues"][0]["ready"]), (&id, &serde_json::Value::Null));
}

/// An address at which nobody answers until `open` is told whose it is: then connections go on to there.
fn closed_door() -> (String, Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    let (open, opened) = channel::<String>();
    thread::spawn(move || {
        let Ok(to) = opened.recv() else { return };
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(&to) else { continue };
            let copies = [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())];
            for (mut from, mut to) in copies.into_iter().filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
            {
                // ends when either side does
                thread::spawn(move || io::copy(&mut from, &mut to));
            }
        }
    });
    (address, open)
}

#[test]
fn two_clusters_of_one_that_meet_keep_both_queues_of_a_name() {
    node::unless_falsely_dead(two_clusters_meet);
}

fn two_clusters_meet() {
    let (door, open) = closed_door();
    let first = Node::start(&[]);
    let second = Node::start_with(&[&door], Some(&first));
    let sessions = [Session::open(&first), Session::open(&second)];
    for (session, numbers) in sessions.iter().zip([0..3, 10..13]) {
        session.declare("burrow");
        session.publish_numbers("burrow", numbers);
    }
    let inboxes = sessions.each_ref().map(|session| session.consume("burrow", "hare"));
    let taken = inboxes.each_ref().map(|inbox| inbox.numbers(3));
    assert_eq!(taken[0][0].0 + 10, taken[1][0].0, "each side has a queue of its own: {taken:?}");

    open.send(first.process.cluster().to_owned()).expect("the door is there");
    let loser = thread::scope(|scope| {
        let (sender, cancelled) = channel();
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let sender = sender.clone();
            scope.spawn(move || {
                if inbox.next().is_none() {
                    sender.send(index).expect("somebody waits");
                }
            });
        }
        let loser = cancelled.recv().expect("one of the two consumers is cancelled");
        sessions[1 - loser].publish("burrow", &99u32.to_be_bytes());
        loser
    });
    let told = status([&first, &second][loser]);
    let queues = told["queues"].as_array().expect("a list");
    let name = |queue: &serde_json::Value| queue["name"].as_str().map(str::to_owned).expect("a name");
    let renamed =
        queues.iter().map(name).find(|name| name.starts_with("burrow~")).expect("the loser's queue");
    assert!(told["warnings"].to_string().contains(&renamed), "status says so: {told}");
    // nobody was promised the new name; but an ok that the loser gives later, by R1, says that the other node
    // knows it
    sessions[loser].declare("behind");
    let other = [&first, &second][1 - loser];
    assert!(status(other)["queues"].to_string().contains(&renamed), "{renamed}: {}", status(other));
    let low = taken[loser][0].0;
    let kept = sessions[1 - loser].consume(&renamed, "other");
    sessions[loser].done(sessions[loser].connection.close(200, "bye".into()));
    assert_eq!(
        kept.numbers(3),
        [(low, true), (low + 1, true), (low + 2, true)],
        "in order, from the other node"
    );
}
