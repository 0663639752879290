//! Sessions of three nodes as real processes: any node answers for any key, and one that is killed loses
//! nothing.

mod node;
mod resp;

use std::path::Path;

use node::{Node, unless_falsely_dead};
use resp::Client;

const KEYS: usize = 150;

fn start(directory: &Path, name: &str, seed: Option<&Node>, shards: &str) -> Node {
    let mut more = vec!["--session-listen", "127.0.0.1:0", "--name", name, "--shards", shards];
    more.extend(seed.iter().flat_map(|seed| ["--seed", seed.cluster()]));
    Node::start(&directory.join(name), &more)
}

/// Three nodes of different sizes that know each other.
fn three(directory: &Path) -> Vec<Node> {
    let first = start(directory, "hare", None, "2");
    let second = start(directory, "hedgehog", Some(&first), "1");
    let third = start(directory, "fox", Some(&first), "3");
    let nodes = vec![first, second, third];
    for node in &nodes {
        node.wait_for_members(nodes.iter().map(Node::cluster).collect());
    }
    nodes
}

fn key(number: usize) -> String {
    format!("sess:{number}")
}

fn set(client: &mut Client, number: usize, value: &str) {
    client.ask(format!("SET {} {value} EX 600\r\n", key(number)).as_bytes(), "+OK\r\n");
}

fn get(client: &mut Client, number: usize, value: &str) {
    let answer = format!("${}\r\n{value}\r\n", value.len());
    client.ask(format!("GET {}\r\n", key(number)).as_bytes(), &answer);
}

/// Keys that are born on one node after the other, and read and changed on each.
fn fill(nodes: &[Node]) {
    let mut clients: Vec<Client> = nodes.iter().map(Client::of).collect();
    let count = clients.len();
    for number in 0..KEYS {
        set(&mut clients[number % count], number, "born");
        get(&mut clients[(number + 1) % count], number, "born");
        set(&mut clients[(number + 2) % count], number, "changed");
        get(&mut clients[number % count], number, "changed");
    }
    for client in &mut clients {
        client.ask(b"DBSIZE\r\n", &format!(":{KEYS}\r\n"));
    }
}

#[test]
fn any_node_answers_for_any_key_and_a_logout_is_one_everywhere() {
    unless_falsely_dead(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let nodes = three(directory.path());
        fill(&nodes);
        let mut clients: Vec<Client> = nodes.iter().map(Client::of).collect();
        for number in 0..30 {
            clients[number % 3].ask(format!("DEL {}\r\n", key(number)).as_bytes(), ":1\r\n");
            // a request that was under way there writes the session back, elsewhere
            set(&mut clients[(number + 1) % 3], number, "late");
            for client in &mut clients {
                client.ask(format!("GET {}\r\n", key(number)).as_bytes(), "$-1\r\n");
            }
        }
        for client in &mut clients {
            client.ask(b"DBSIZE\r\n", &format!(":{}\r\n", KEYS - 30));
        }
    });
}

#[test]
fn a_node_that_is_killed_loses_no_answered_write_and_brings_no_session_back() {
    unless_falsely_dead(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut nodes = three(directory.path());
        fill(&nodes);
        let mut clients: Vec<Client> = nodes.iter().map(Client::of).collect();
        for number in 0..30 {
            clients[number % 3].ask(format!("DEL {}\r\n", key(number)).as_bytes(), ":1\r\n");
        }
        clients.truncate(2);
        // SIGKILL: a third of the homes is gone
        drop(nodes.pop());
        for number in 30..KEYS {
            get(&mut clients[number % 2], number, "changed");
            set(&mut clients[(number + 1) % 2], number, "after");
            get(&mut clients[number % 2], number, "after");
        }
        for number in 0..30 {
            set(&mut clients[number % 2], number, "late");
            clients[(number + 1) % 2].ask(format!("GET {}\r\n", key(number)).as_bytes(), "$-1\r\n");
        }
    });
}

#[test]
fn a_node_that_joins_serves_every_session_from_its_first_answer_on() {
    unless_falsely_dead(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let first = start(directory.path(), "hare", None, "1");
        fill(std::slice::from_ref(&first));
        let second = start(directory.path(), "hedgehog", Some(&first), "2");
        let mut client = Client::of(&second);
        for number in 0..KEYS {
            get(&mut client, number, "changed");
        }
        // now that each has a copy, the first is no longer needed
        set(&mut client, 0, "again");
        drop(first);
        get(&mut client, 0, "again");
    });
}

#[test]
fn a_client_learns_where_all_nodes_are_and_what_expired_anywhere() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let nodes = three(directory.path());
    let names = ["hare", "hedgehog", "fox"];
    let row = |at: usize| {
        let (name, address) = (names[at], nodes[at].sessions());
        let (name_bytes, address_bytes) = (name.len(), address.len());
        format!("*3\r\n${name_bytes}\r\n{name}\r\n${address_bytes}\r\n{address}\r\n$7\r\nserving\r\n")
    };
    Client::of(&nodes[0]).ask(b"SESSION.NODES\r\n", &format!("*3\r\n{}{}{}", row(0), row(2), row(1)));
    let mut attached = Client::of(&nodes[1]);
    let hello = "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n";
    attached.ask(b"HELLO 3\r\n", hello);
    attached.read_until("*0\r\n");
    attached.ask(b"SESSION.ATTACH sess:*\r\n", "+OK\r\n");
    // whoever voted for this birth has had what node 1 said before
    Client::of(&nodes[1]).ask(b"SET mark 1\r\n", "+OK\r\n");
    Client::of(&nodes[2]).ask(b"HSET sess:e user anna\r\nPEXPIRE sess:e 1000\r\n", ":1\r\n:1\r\n");
    attached.ask(b"", ">3\r\n$7\r\nexpired\r\n$6\r\nsess:e\r\n%1\r\n$4\r\nuser\r\n$4\r\nanna\r\n");
}
