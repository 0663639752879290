//! Nodes that register themselves in a zone of BIND and of Knot, and find each other there.

mod name_servers;
mod node;

use std::thread;

use hickory_proto::rr::RecordType;
use name_servers::{Kind, NameServer, ZONE, can_move_clocks};
use node::{Node, unless_falsely_dead};

const SERVICE: &str = "_leveret._tcp.cloud.test";
const CLIENTS: &str = "mq.cloud.test";
/// The primary is not given: the zone's SOA record names it.
const LEARNED: &str = "learned";

/// A node that registers itself as `127.0.0.ip`.
fn start(server: &NameServer, directory: &std::path::Path, ip: u8, key: &str, more: &[&str]) -> Node {
    let address = format!("127.0.0.{ip}");
    let mut words = vec!["--dns-update", ZONE, "--dns-key-file", key, "--dns-address", &address];
    words.extend(more);
    // never the system's name server, whatever this one does
    let given = server.address.to_string();
    words.extend(["--dns-server", &given]);
    if !more.contains(&LEARNED) {
        words.extend(["--dns-primary", &given]);
    }
    words.retain(|word| *word != LEARNED);
    Node::start_at(&format!("{address}:0"), directory, &words)
}

fn targets(server: &NameServer) -> Vec<String> {
    let services = server.records(SERVICE, RecordType::SRV);
    services.iter().filter_map(|service| service.split_whitespace().last().map(str::to_owned)).collect()
}

fn two_nodes(kind: Kind) {
    let server = NameServer::start(kind);
    let directory = tempfile::tempdir().expect("a temporary directory");
    // the primary is learned from the SOA record
    let begin = |ip: u8| {
        let directory = directory.path().join(ip.to_string());
        start(&server, &directory, ip, &server.key(), &[LEARNED])
    };
    let (mut one, mut other) = thread::scope(|scope| {
        let one = scope.spawn(|| begin(2));
        let other = scope.spawn(|| begin(3));
        (one.join().expect("it starts"), other.join().expect("it starts"))
    });
    for node in [&one, &other] {
        node.wait_for_members(vec![one.cluster(), other.cluster()]);
        node.wait_for_lines(&["registered in DNS", "clients=true"], 1);
    }
    assert_eq!(server.records(CLIENTS, RecordType::A), ["127.0.0.2", "127.0.0.3"]);
    let services = server.records(SERVICE, RecordType::SRV);
    assert!(services.iter().all(|service| service.starts_with("0 256 ")), "{services:?}");
    let names = targets(&server);
    assert_eq!(names.len(), 2);
    let mut addresses: Vec<String> =
        names.iter().flat_map(|name| server.records(name, RecordType::A)).collect();
    addresses.sort();
    assert_eq!(addresses, ["127.0.0.2", "127.0.0.3"]);

    // one leaves while a neighbour of another kind comes to the same name
    thread::scope(|scope| {
        scope.spawn(|| server.update(CLIENTS, "192.0.2.1", true));
        assert_eq!(one.terminate(), Some(0));
    });
    assert_eq!(server.records(CLIENTS, RecordType::A), ["127.0.0.3", "192.0.2.1"]);
    let left = targets(&server);
    assert_eq!(left.len(), 1);
    let gone = names.iter().find(|name| !left.contains(name)).expect("one went");
    assert_eq!(server.records(gone, RecordType::A), Vec::<String>::new());
    assert_eq!(server.records(&left[0], RecordType::A), ["127.0.0.3"]);
    assert_eq!(other.terminate(), Some(0));
    assert_eq!(targets(&server), Vec::<String>::new());
    assert_eq!(server.records(CLIENTS, RecordType::A), ["192.0.2.1"], "a neighbour's record stays");
    assert_eq!(server.records("other.cloud.test", RecordType::A), ["192.0.2.7"]);
}

fn wrong_key(kind: Kind) {
    let server = NameServer::start(kind);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(&server, directory.path(), 2, &server.wrong_key(), &[]);
    node.wait_for_lines(&["this node is not registered", "BADSIG", "key file"], 1);
    let warnings = node.status()["warnings"].to_string();
    assert!(warnings.contains("BADSIG"), "{warnings}");
    assert_eq!(node.status()["registries"][0]["registered"], false);
    assert_eq!(targets(&server), Vec::<String>::new());
    assert_eq!(node.lines_with("this node is not registered"), 1, "a line a minute: {}", node.log());
}

fn server_comes_later(kind: Kind) {
    let mut server = NameServer::prepare(kind);
    let directory = tempfile::tempdir().expect("a temporary directory");
    // it serves without its registry
    let node = start(&server, directory.path(), 2, &server.key(), &[]);
    node.wait_for_lines(&["this node is not registered"], 1);
    server.run();
    node.wait_for_lines(&["registered in DNS", "clients=true"], 1);
    assert_eq!(server.records(CLIENTS, RecordType::A), ["127.0.0.2"]);

    // a name server that was put back from a backup has lost it
    server.kill();
    server.restore();
    server.run();
    node.wait_for_lines(&["gone from the zone", "mq.cloud.test"], 1);
    let is_back = || server.records(CLIENTS, RecordType::A) == ["127.0.0.2"] && targets(&server).len() == 1;
    node.wait_for_lines(&["registered in DNS again"], 1);
    assert!(is_back());
}

/// Two nodes of one machine have one address: the last of them takes it from the clients' name.
fn one_address(kind: Kind) {
    let server = NameServer::start(kind);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let begin = |name: &str, group: &str| {
        start(&server, &directory.path().join(name), 2, &server.key(), &["--group", group])
    };
    let (mut one, mut other, stranger) = (begin("a", "leveret"), begin("b", "leveret"), begin("c", "shop"));
    for node in [&one, &other] {
        node.wait_for_members(vec![one.cluster(), other.cluster()]);
    }
    for node in [&one, &other, &stranger] {
        node.wait_for_lines(&["registered in DNS", "clients=true"], 1);
    }
    stranger.wait_for_members(vec![stranger.cluster()]);
    assert_eq!(server.records("mq-shop.cloud.test", RecordType::A), ["127.0.0.2"]);
    assert_eq!(server.records("_shop._tcp.cloud.test", RecordType::SRV).len(), 1);
    assert_eq!(one.terminate(), Some(0));
    assert_eq!(server.records(CLIENTS, RecordType::A), ["127.0.0.2"]);
    assert_eq!(other.terminate(), Some(0));
    assert_eq!(server.records(CLIENTS, RecordType::A), Vec::<String>::new());
    assert_eq!(server.records("mq-shop.cloud.test", RecordType::A), ["127.0.0.2"]);
}

#[test]
fn a_node_whose_clock_differs_from_knots_serves_and_says_by_how_much() {
    if !Kind::Knot.is_installed() || !can_move_clocks() {
        return;
    }
    let server = NameServer::start_ahead(3_600);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(&server, directory.path(), 2, &server.key(), &[]);
    node.wait_for_lines(&["this node is not registered", "BADTIME", " s ahead", "chrony"], 1);
    assert_eq!(targets(&server), Vec::<String>::new());
}

/// One test for each server.
macro_rules! with_each {
    ($($what:ident: $bind:ident, $knot:ident;)+) => {
        $(#[test]
        fn $bind() {
            if Kind::Bind.is_installed() {
                unless_falsely_dead(|| $what(Kind::Bind));
            }
        }

        #[test]
        fn $knot() {
            if Kind::Knot.is_installed() {
                unless_falsely_dead(|| $what(Kind::Knot));
            }
        })+
    };
}

with_each! {
    two_nodes: nodes_register_in_bind_find_each_other_and_take_back_their_own, nodes_register_in_knot_find_each_other_and_take_back_their_own;
    wrong_key: a_node_whose_key_bind_refuses_serves_and_says_why, a_node_whose_key_knot_refuses_serves_and_says_why;
    server_comes_later: a_node_registers_when_bind_comes_and_again_when_it_was_put_back, a_node_registers_when_knot_comes_and_again_when_it_was_put_back;
    one_address: groups_and_nodes_of_one_address_are_apart_in_bind, groups_and_nodes_of_one_address_are_apart_in_knot;
}
