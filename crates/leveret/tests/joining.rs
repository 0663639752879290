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
