//! lapin against two nodes: the publisher on one, the consumer on the other, which joined it.

mod lapin;

use lapin::{Node, Session};

fn sessions() -> ([Node; 2], Session, Session) {
    let first = Node::start(&[]);
    let second = Node::start(&[&first]);
    let (publisher, consumer) = (Session::open(&first), Session::open(&second));
    ([first, second], publisher, consumer)
}

dialogues!(sessions);

#[test]
fn status_lists_queues_of_the_whole_cluster_and_counts_only_its_own() {
    let ([first, second], publisher, _consumer) = sessions();
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
    drop((publisher, first));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let told = status(&second);
        if told["queues"][0]["away"] == true {
            assert_eq!(
                (&told["queues"][0]["home"], &told["queues"][0]["ready"]),
                (&id, &serde_json::Value::Null)
            );
            break;
        }
        assert!(std::time::Instant::now() < until, "its home is gone: {told}");
    }
}

/// What `leveret status --json` says.
fn status(node: &Node) -> serde_json::Value {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_leveret"));
    let output = command.args(["status", "--json", "--data-dir"]).arg(node.directory.path()).output();
    serde_json::from_slice(&output.expect("the program runs").stdout).expect("a JSON document")
}
