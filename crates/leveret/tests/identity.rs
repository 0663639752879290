//! The data directory says who a node is: over its starts, when it was copied, and when it will not come back.

mod node;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use node::{LEVERET, Node, PATIENCE, unless_falsely_dead};
use serde_json::Value;

fn others(node: &Node) -> Vec<(String, String)> {
    let status = node.status();
    let nodes = status["nodes"].as_array().expect("nodes");
    let text = |node: &Value, key: &str| node[key].as_str().expect("text").to_owned();
    let others = nodes.iter().filter(|node| node["standing"] != "this node");
    others.map(|node| (text(node, "id"), text(node, "standing"))).collect()
}

fn id(node: &Node) -> String {
    node.status()["node"]["id"].as_str().expect("an id").to_owned()
}

fn warnings(directory: &Path) -> String {
    let output = Command::new(LEVERET).args(["status", "--json", "--data-dir"]).arg(directory).output();
    let document: Option<Value> = serde_json::from_slice(&output.expect("it runs").stdout).ok();
    document.map(|document| document["warnings"].to_string()).unwrap_or_default()
}

fn forget(node: &str, directory: &Path) -> Output {
    let mut command = Command::new(LEVERET);
    command.args(["forget", node, "--data-dir"]).arg(directory).output().expect("it runs")
}

#[test]
fn a_node_that_comes_back_is_the_same_member() {
    unless_falsely_dead(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let first = Node::start(&directory.path().join("first"), &[]);
        let own = directory.path().join("second");
        let second = Node::start(&own, &["--seed", first.cluster()]);
        let member = id(&second);
        let mut address = second.cluster().to_owned();
        drop(second);
        for incarnation in 2..5 {
            let second = Node::start_at(&address, &own, &["--seed", first.cluster()]);
            assert_eq!(id(&second), member);
            first.wait_for_members(vec![first.cluster(), second.cluster()]);
            assert_eq!(others(&first), [(member.clone(), "alive".to_owned())], "one member, not several");
            let identity = fs::read_to_string(own.join("identity")).expect("a file");
            assert!(identity.contains(&format!("incarnation {incarnation}\n")), "{identity}");
            second.cluster().clone_into(&mut address);
        }
        // a lost directory is a new member
        fs::remove_dir_all(&own).expect("removed");
        let stranger = Node::start_at(&address, &own, &["--seed", first.cluster()]);
        assert_ne!(id(&stranger), member);
    });
}

#[test]
fn a_copied_data_directory_stops_both_processes_and_both_say_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let (own, copy) = (directory.path().join("second"), directory.path().join("copy"));
    let second = Node::start(&own, &["--seed", first.cluster()]);
    first.wait_for_members(vec![first.cluster(), second.cluster()]);
    fs::create_dir(&copy).expect("made");
    fs::copy(own.join("identity"), copy.join("identity")).expect("copied");
    let words = ["serve", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--data-dir"];
    let mut clone = Command::new(LEVERET);
    clone.args(words).arg(&copy).args(["--seed", first.cluster()]);
    let mut clone = clone.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    second.wait_for_lines(&["two processes run with one identity"], 1);
    let deadline = Instant::now() + PATIENCE;
    while !(warnings(&own).contains("identity") && warnings(&copy).contains("identity")) {
        assert!(Instant::now() < deadline, "{} and {}", warnings(&own), warnings(&copy));
    }
    clone.kill().expect("it runs");
    clone.wait().expect("it ends");
}

#[test]
fn a_node_that_is_down_is_forgotten_on_request() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let own = directory.path().join("first");
    let first = Node::start(&own, &["--name", "one"]);
    let second = Node::start(&directory.path().join("second"), &["--name", "two", "--seed", first.cluster()]);
    first.wait_for_members(vec![first.cluster(), second.cluster()]);
    let refused = forget("two", &own);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("'two' is not down: stop it first"), "{said}");
    let said = String::from_utf8_lossy(&forget("three", &own).stderr).into_owned();
    assert!(said.contains("no other node is called 'three'"), "{said}");
    let member = id(&second);
    drop(second);
    first.wait_for_lines(&["a node is down"], 1);
    let done = forget(&member[..8], &own);
    assert_eq!(String::from_utf8_lossy(&done.stdout), format!("forgotten: two ({})\n", &member[..8]));
    assert_eq!(others(&first), []);
}
