//! What a node says about those that it joins.

mod node;

use node::Node;

#[test]
fn a_node_says_whom_it_joined_and_where_they_are() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &["--name", "hare"]);
    let second = Node::start(&directory.path().join("second"), &["--seed", first.cluster()]);
    let line = format!("joined 1 other node: hare ({})", first.cluster());
    assert!(second.banner.contains(&line), "{:?}", second.banner);
}

#[test]
fn a_node_that_is_down_is_not_among_those_that_were_joined() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &["--name", "hare"]);
    let second = Node::start(&directory.path().join("second"), &["--seed", first.cluster()]);
    first.wait_for_members(vec![first.cluster(), second.cluster()]);
    drop(second);
    first.wait_for_lines(&["a node is down"], 1);
    let third = Node::start(&directory.path().join("third"), &["--seed", first.cluster()]);
    let line = format!("joined 1 other node: hare ({})", first.cluster());
    assert!(third.banner.contains(&line), "{:?}", third.banner);
}

#[test]
fn a_node_whose_seeds_are_silent_says_which_they_are() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("alone"), &["--seed", "127.0.0.1:1"]);
    node.wait_for_lines(&["no seed let this node in", "127.0.0.1:1", "WARN"], 1);
}
