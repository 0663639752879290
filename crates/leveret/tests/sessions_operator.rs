//! `leveret session ls` and `kill` over three real nodes, from any of them.

mod node;
mod resp;

use std::path::Path;
use std::process::{Command, Stdio};

use node::{LEVERET, Node, unless_falsely_dead};
use resp::Client;

/// Three nodes that know each other.
fn three(directory: &Path) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for (name, shards) in [("hare", "2"), ("hedgehog", "1"), ("fox", "3")] {
        let mut more = vec!["--session-listen", "127.0.0.1:0", "--name", name, "--shards", shards];
        more.extend(nodes.first().iter().flat_map(|seed| ["--seed", seed.cluster()]));
        let node = Node::start(&directory.join(name), &more);
        nodes.push(node);
    }
    nodes.iter().for_each(|node| node.wait_for_members(nodes.iter().map(Node::cluster).collect()));
    nodes
}

/// Exit code and what it printed.
fn session(node: &Node, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(LEVERET);
    command.arg("session").args(words).arg("--data-dir").arg(node.directory()).stdin(Stdio::null());
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

/// Those of two users, and some of nobody, born at each node by turns.
fn fill(nodes: &[Node]) {
    let mut clients: Vec<Client> = nodes.iter().map(Client::of).collect();
    for number in 0..30 {
        let (user, client) = (if number % 3 == 0 { "anna" } else { "bert" }, &mut clients[number % 2]);
        let begin = format!("SESSION.COMMIT n:{number} \"\" {number} NEW USER {user} SET 1 a 1\r\n");
        assert!(client.ask_end(begin.as_bytes(), "*2\r\n$72\r\n".len() + 72 + 2, "*0\r\n"), "{number}");
        clients[2].ask(format!("SET secret-{number} x\r\n").as_bytes(), "+OK\r\n");
        clients[number % 3].ask(format!("SET other:{number} x\r\n").as_bytes(), "+OK\r\n");
    }
}

fn count(node: &Node, words: &[&str]) -> u64 {
    let (code, listed) = session(node, &[&["ls", "--json", "--limit", "7"], words].concat());
    assert_eq!(code, Some(0), "{listed}");
    assert!(!listed.contains("secret"), "{listed}");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("a document");
    let count = listed["count"].as_u64().expect("a count");
    assert_eq!(listed["sessions"].as_array().expect("rows").len() as u64, count.min(7), "{listed}");
    count
}

#[test]
fn an_operator_lists_and_ends_sessions_of_every_node_at_any_node() {
    unless_falsely_dead(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let nodes = three(directory.path());
        fill(&nodes);
        for node in &nodes {
            assert_eq!(count(node, &[]), 90);
            assert_eq!(count(node, &["--user", "anna"]), 10);
            assert_eq!(count(node, &["--prefix", "other"]), 30);
            assert_eq!(count(node, &["--idle", "0s", "--prefix", "n"]), 30);
            assert_eq!(count(node, &["--idle", "1h"]), 0);
        }
        let mut client = Client::of(&nodes[0]);
        let kill = |node: usize, words: &[&str]| session(&nodes[node], &[&["kill"], words].concat());
        assert_eq!(kill(2, &["--user", "anna"]), (Some(0), "ended 10\n".to_owned()));
        // ended as by a logout, on every node: a late write does not bring it back
        client.ask(b"EXISTS n:0 n:1 n:2 n:3\r\nHSET n:0 a 1\r\nEXISTS n:0\r\n", ":2\r\n:0\r\n:0\r\n");
        let (code, said) = kill(1, &["--prefix", "other"]);
        assert!(code == Some(1) && said.contains("this ends 30 sessions of prefix 'other'"), "{said}");
        assert_eq!(kill(1, &["--prefix", "other", "--yes"]), (Some(0), "ended 30\n".to_owned()));
        assert_eq!(kill(0, &["--all", "--yes"]), (Some(0), "ended 50\n".to_owned()));
        Client::of(&nodes[1]).ask(b"DBSIZE\r\n", ":0\r\n");
        let (code, said) = kill(0, &["--all", "--yes"]);
        assert!(code == Some(1) && said.contains("there is no session like that"), "{said}");
    });
}

#[test]
fn an_id_of_the_list_is_ended_wherever_it_is() {
    unless_falsely_dead(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let nodes = three(directory.path());
        Client::of(&nodes[0]).ask(b"SET sess:a x\r\n", "+OK\r\n");
        let (_, shown) = session(&nodes[1], &["show", "sess:a"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("a document");
        assert_eq!(shown["home"], "hare", "{shown}");
        let hid = shown["hid"].as_str().expect("an id");
        for node in &nodes {
            assert_eq!(session(node, &["show", hid]).0, Some(0));
        }
        // neither its home nor, perhaps, its copy is there
        assert_eq!(session(&nodes[2], &["kill", hid]), (Some(0), "ended\n".to_owned()));
        Client::of(&nodes[1]).ask(b"GET sess:a\r\n", "$-1\r\n");
        let (code, said) = session(&nodes[2], &["kill", hid]);
        assert!(code == Some(1) && said.contains("there is no such session"), "{said}");
    });
}

#[test]
fn a_node_that_cannot_be_asked_is_named_and_the_rest_is_done() {
    unless_falsely_dead(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut nodes = three(directory.path());
        fill(&nodes);
        drop(nodes.pop());
        nodes.iter().for_each(|node| node.wait_for_members(nodes.iter().map(Node::cluster).collect()));
        let (code, said) = session(&nodes[0], &["kill", "--user", "anna"]);
        // each has a copy at one of the two that are left
        assert!(code == Some(1) && said.contains("ended 10\n") && said.contains(": fox;"), "{said}");
        let (code, said) = session(&nodes[1], &["ls", "--user", "anna"]);
        assert!(code == Some(1) && said.contains("not reached"), "{said}");
        assert_eq!(session(&nodes[1], &["kill", "--user", "bert"]).1.lines().next(), Some("ended 20"));
    });
}
