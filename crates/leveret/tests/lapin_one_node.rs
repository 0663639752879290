//! lapin against one node: publisher and consumer on connections of their own.

mod lapin;
mod node;

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;

use lapin::{Node, Session, status};

fn sessions() -> (Node, Session, Session) {
    let node = Node::start(&[]);
    let (publisher, consumer) = (Session::open(&node), Session::open(&node));
    (node, publisher, consumer)
}

dialogues!(sessions);

#[test]
fn status_counts_thousands_of_queues_while_others_hang_on_to_its_socket() {
    let (node, publisher, _consumer) = sessions();
    for number in 0..2_100 {
        publisher.declare(&format!("burrow-{number}"));
    }
    publisher.publish_numbers("burrow-7", 0..3);
    let door = node.directory.path().join("admin.sock");
    let idle: Vec<UnixStream> = (0..40).filter_map(|_| UnixStream::connect(&door).ok()).collect();
    let told = status(&node);
    drop(idle);
    let queues = told["queues"].as_array().expect("a list");
    let names: BTreeSet<&str> = queues.iter().filter_map(|queue| queue["name"].as_str()).collect();
    assert_eq!((queues.len(), names.len()), (2_100, 2_100), "each once, over more than one page");
    let full = queues.iter().find(|queue| queue["name"] == "burrow-7").expect("it is there");
    assert_eq!(full["ready"], 3);
}
