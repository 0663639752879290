//! What a node says about those that it joins, and while it has joined nobody.

mod node;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use node::{LEVERET, Node};
use rustix::process::{Pid, Signal, kill_process};

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
    first.wait_for_members(vec![first.cluster()]);
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

#[test]
fn a_node_whose_seed_is_of_another_group_says_which_it_looked_for_and_serves() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &["--group", "hares"]);
    let more = ["--seed", first.cluster(), "--group", "haers"];
    let second = Node::start(&directory.path().join("second"), &more);
    let why =
        format!("alone: nobody of group 'haers' answered; did not let this node in: {}", first.cluster());
    assert!(second.banner.contains(&why), "{:?}", second.banner);
    second.wait_for_lines(&["an address answers and hangs up", first.cluster(), "haers", "WARN"], 1);
}

#[test]
fn a_node_whose_only_seed_is_itself_under_another_address_says_so_and_serves() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let (cluster, seed) = (format!("0.0.0.0:{port}"), format!("127.0.0.1:{port}"));
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "hare".repeat(10)).expect("a file");
    let more = ["--seed", &seed, "--secret-file", secret.to_str().expect("a name")];
    let node = Node::start_at(&cluster, &directory.path().join("alone"), &more);
    node.wait_for_lines(&["the only seed is this node itself", &seed, "INFO"], 1);
    assert_eq!(node.lines_with("no seed let this node in"), 0, "{}", node.log());
}

#[test]
fn a_node_that_stood_still_says_so_when_it_goes_on() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let second = Node::start(&directory.path().join("second"), &["--seed", first.cluster()]);
    first.wait_for_members(vec![first.cluster(), second.cluster()]);
    let pid = second.pid().parse().ok().and_then(Pid::from_raw).expect("a process id");
    // a machine with much else to do may have made it look dead before
    let downs = first.lines_with("a node is down");
    kill_process(pid, Signal::STOP).expect("it runs");
    // heard of for the last time 1.2 s ago
    first.wait_for_lines(&["a node is down"], downs + 1);
    kill_process(pid, Signal::CONT).expect("it is there");
    second.wait_for_lines(&["this node stood still for", "WARN"], 1);
    first.wait_for_lines(&["a node is back"], downs + 1);
}

#[test]
fn status_of_a_node_that_has_not_joined_says_that_no_client_is_let_in() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let secret = |name: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, name.repeat(10)).expect("a file");
        file.to_str().expect("a name").to_owned()
    };
    let first = Node::start(&directory.path().join("first"), &["--secret-file", &secret("hare")]);
    assert!(!status(&directory.path().join("first")).contains("no client is let in"));
    let data_dir = directory.path().join("second");
    let mut second = Command::new(LEVERET);
    second.args(["serve", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--seed"]);
    second.args([first.cluster(), "--secret-file", &secret("rabbit"), "--data-dir"]).arg(&data_dir);
    let mut second = second.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let banner = BufReader::new(second.stdout.take().expect("piped"));
    let told = banner.lines().map_while(Result::ok).any(|line| line.starts_with("data in"));
    let said = status(&data_dir);
    let ready = Command::new(LEVERET).args(["status", "--ready", "--data-dir"]).arg(&data_dir).output();
    let ready = ready.expect("it runs");
    let _ = second.kill();
    let _ = second.wait();
    assert!(told && said.contains("warning: no client is let in yet"), "{said}");
    assert_eq!((ready.stdout.as_slice(), ready.status.code()), (b"joining\n".as_slice(), Some(1)));
}

fn status(data_dir: &Path) -> String {
    let output =
        Command::new(LEVERET).args(["status", "--data-dir"]).arg(data_dir).output().expect("it runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}
