//! Nodes find each other through a DNS name: the records give addresses, the port comes with the name, and the
//! name is looked up for ever.

mod node;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use node::{LEVERET, Node, PATIENCE};

const NAME: &str = "cluster.test";

/// What the server knows of every name, and how it feels.
#[derive(Default)]
struct Zone {
    addresses: Vec<IpAddr>,
    /// Questions are not answered.
    down: bool,
    /// So many questions more are not answered.
    lost: usize,
    /// Questions with EDNS are answered FORMERR (RFC 6891 §7).
    without_edns: bool,
    /// Questions that came, answered or not.
    questions: usize,
}

/// A DNS server (RFC 1035 §4) whose records are changed while it runs.
struct Dns {
    address: String,
    zone: Arc<(Mutex<Zone>, Condvar)>,
}

impl Dns {
    fn start(addresses: &[IpAddr]) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("bound").to_string();
        let zone = Mutex::new(Zone { addresses: addresses.to_vec(), ..Zone::default() });
        let zone = Arc::new((zone, Condvar::new()));
        let shared = Arc::clone(&zone);
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let (zone, asked) = &*shared;
                let mut zone = zone.lock().expect("nobody panics with it");
                zone.questions += 1;
                asked.notify_all();
                let lost = zone.lost > 0;
                zone.lost -= usize::from(lost);
                if !zone.down && !lost {
                    let query = &query[..length];
                    let has_edns = query[11] > 0;
                    let reply = if zone.without_edns && has_edns {
                        [&query[..2], &[0x85, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]].concat()
                    } else {
                        answer(query, &zone.addresses)
                    };
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Self { address, zone }
    }

    fn change(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.zone.0.lock().expect("nobody panics with it"));
    }

    /// Waits until the name was looked up so many times more: a look-up asks for A and for AAAA.
    fn wait_for_look_ups(&self, more: usize) {
        let (zone, asked) = &*self.zone;
        let zone = zone.lock().expect("nobody panics with it");
        let enough = zone.questions + 2 * more;
        let waited = asked.wait_timeout_while(zone, PATIENCE, |zone| zone.questions < enough);
        let (zone, timeout) = waited.expect("nobody panics with it");
        assert!(!timeout.timed_out(), "{} questions, not {enough}", zone.questions);
    }

    /// Starts a node that looks the name up here.
    fn node(&self, cluster: &str, directory: &std::path::Path, port: &str) -> Node {
        let name = format!("{NAME}:{port}");
        Node::start_at(cluster, directory, &["--dns", &name, "--dns-server", &self.address])
    }
}

/// The records of the type that is asked for; NXDOMAIN if there is no record at all.
fn answer(query: &[u8], addresses: &[IpAddr]) -> Vec<u8> {
    let name = query[12..].iter().position(|&byte| byte == 0).expect("a name ends");
    let question = &query[12..12 + name + 5];
    let asked = [question[name + 1], question[name + 2]];
    let records: Vec<Vec<u8>> = addresses
        .iter()
        .filter_map(|address| match (address, asked) {
            (IpAddr::V4(address), [0, 1]) => Some(address.octets().to_vec()),
            (IpAddr::V6(address), [0, 28]) => Some(address.octets().to_vec()),
            _ => None,
        })
        .collect();
    let no_such_name = if addresses.is_empty() { 3 } else { 0 };
    let mut answer = query[..2].to_vec();
    answer.extend([0x85, 0x80 | no_such_name, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    answer.extend(question);
    for record in records {
        // the name as in the question, type, class IN, 5 s to live, the address with its length
        answer.extend([0xc0, 12, asked[0], asked[1], 0, 1, 0, 0, 0, 5, 0, record.len() as u8]);
        answer.extend(record);
    }
    answer
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

#[test]
fn a_node_joins_through_a_dns_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let dns = Dns::start(&[v4(1)]);
    let second = dns.node("127.0.0.1:0", &directory.path().join("second"), first.cluster_port());
    assert!(second.banner.iter().any(|line| line.starts_with("joined 1 other node")), "{:?}", second.banner);
}

#[test]
fn a_node_that_finds_itself_among_its_seeds_complains_of_nobody() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let dns = Dns::start(&[v4(1), v4(2)]);
    let own = format!("127.0.0.2:{}", first.cluster_port());
    let second = dns.node(&own, &directory.path().join("second"), first.cluster_port());
    dns.wait_for_look_ups(2);
    assert_eq!(second.lines_with("a link was not made"), 0, "{}", second.log());
    second.wait_for_members(vec![first.cluster(), second.cluster()]);
}

#[test]
fn a_node_joins_through_ipv6_addresses_beside_others() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start_at("[::1]:0", &directory.path().join("first"), &[]);
    // nobody listens at the A record
    let dns = Dns::start(&[v4(77), Ipv6Addr::LOCALHOST.into()]);
    let second = dns.node("127.0.0.1:0", &directory.path().join("second"), first.cluster_port());
    assert!(second.banner.iter().any(|line| line.starts_with("joined 1 other node")), "{:?}", second.banner);
}

#[test]
fn a_node_behind_many_dead_addresses_is_found_before_the_other_serves_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    // more than fits a datagram of 512 bytes, sent in one all the same; nobody listens at the dead ones
    let mut addresses: Vec<IpAddr> = (101..201).map(v4).collect();
    addresses.push(v4(1));
    let dns = Dns::start(&addresses);
    let second = dns.node("127.0.0.1:0", &directory.path().join("second"), first.cluster_port());
    assert!(second.banner.iter().any(|line| line.starts_with("joined 1 other node")), "{:?}", second.banner);
}

#[test]
fn a_name_server_that_knows_no_edns_is_asked_without() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let dns = Dns::start(&[v4(1)]);
    dns.change(|zone| zone.without_edns = true);
    let second = dns.node("127.0.0.1:0", &directory.path().join("second"), first.cluster_port());
    assert!(second.banner.iter().any(|line| line.starts_with("joined 1 other node")), "{:?}", second.banner);
}

/// A list that something else writes, read again when it changes.
#[test]
fn a_seed_file_that_gains_a_line_brings_its_node() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let list = directory.path().join("seeds");
    let words = ["--seed-file", list.to_str().expect("text")];
    let first = Node::start(&directory.path().join("first"), &[]);
    let second = Node::start(&directory.path().join("second"), &words);
    second.wait_for_lines(&["a registry gives no seeds", "seed file"], 1);
    std::fs::write(&list, format!("# nodes\n{}\n", first.cluster())).expect("written");
    second.wait_for_members(vec![first.cluster(), second.cluster()]);
}

#[test]
fn a_name_that_resolves_only_later_is_found_then() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let dns = Dns::start(&[]);
    let second = dns.node("127.0.0.1:0", &directory.path().join("second"), first.cluster_port());
    dns.wait_for_look_ups(2);
    assert_eq!(second.members(), [second.cluster()]);
    second.wait_for_lines(&["a registry gives no seeds"], 1);
    assert_eq!(second.lines_with("a registry gives no seeds"), 1, "{}", second.log());
    dns.change(|zone| zone.addresses = vec![v4(1)]);
    second.wait_for_members(vec![first.cluster(), second.cluster()]);
}

#[test]
fn a_seed_that_is_given_beside_a_name_is_tried_before_dns_answers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let dns = Dns::start(&[]);
    dns.change(|zone| zone.down = true);
    let words = ["--dns", NAME, "--dns-server", &dns.address, "--seed", first.cluster()];
    let second = Node::start(&directory.path().join("second"), &words);
    assert!(second.banner.iter().any(|line| line.starts_with("joined 1 other node")), "{:?}", second.banner);
}

#[test]
fn a_node_whose_dns_server_answers_late_does_not_serve_alone_before() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let dns = Dns::start(&[v4(1)]);
    // the first questions for A and AAAA: they are asked again after a second
    dns.change(|zone| zone.lost = 2);
    let second = dns.node("127.0.0.1:0", &directory.path().join("second"), first.cluster_port());
    assert!(second.banner.iter().any(|line| line.starts_with("joined 1 other node")), "{:?}", second.banner);
}

#[test]
fn a_record_that_is_added_later_brings_its_node() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let port = first.cluster_port();
    let dns = Dns::start(&[v4(1)]);
    let second = dns.node("127.0.0.1:0", &directory.path().join("second"), port);
    let third = Node::start_at(&format!("127.0.0.2:{port}"), &directory.path().join("third"), &[]);
    dns.wait_for_look_ups(2);
    assert_eq!(third.members(), [third.cluster()]);
    dns.change(|zone| zone.addresses = vec![v4(2), v4(1)]);
    for node in [&first, &second, &third] {
        node.wait_for_members(vec![first.cluster(), second.cluster(), third.cluster()]);
    }
    // a record that goes takes nobody away: DNS gives seeds, never truth
    dns.change(|zone| zone.addresses = vec![v4(2)]);
    dns.wait_for_look_ups(2);
    second.wait_for_members(vec![first.cluster(), second.cluster(), third.cluster()]);
}

#[test]
fn a_node_serves_while_its_dns_server_is_down_and_says_so_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Node::start(&directory.path().join("first"), &[]);
    let dns = Dns::start(&[v4(1)]);
    let second = dns.node("127.0.0.1:0", &directory.path().join("second"), first.cluster_port());
    second.wait_for_lines(&["a registry names these seeds"], 1);
    dns.change(|zone| zone.down = true);
    second.wait_for_lines(&["a registry gives no seeds"], 1);
    let url = second.url();
    let words =
        ["bench", "throughput", "--body", "16", "--messages", "500", "--warmup", "0", "--rounds", "1"];
    let bench = Command::new(LEVERET).args(words).args(["--no-relay", "--url", &url]).output();
    let bench = bench.expect("it runs");
    assert!(bench.status.success(), "{}", String::from_utf8_lossy(&bench.stderr));
    dns.wait_for_look_ups(6);
    assert_eq!(second.lines_with("a registry gives no seeds"), 1, "{}", second.log());
    second.wait_for_members(vec![first.cluster(), second.cluster()]);
    dns.change(|zone| zone.down = false);
    second.wait_for_lines(&["a registry names these seeds"], 2);
}

#[test]
fn an_address_that_is_never_dialled_is_named_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // whoever is dialled here hangs up, and so is dialled again and again; with it nobody's address (RFC 5737)
    let door = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = door.local_addr().expect("an address").port().to_string();
    let dns = Dns::start(&[v4(1), Ipv4Addr::new(192, 0, 2, 1).into()]);
    let node = dns.node("127.0.0.1:0", directory.path(), &port);
    for _ in 0..8 {
        drop(door.accept().expect("it dials on"));
    }
    node.wait_for_lines(&["--secret-file"], 1);
    assert_eq!(node.lines_with("--secret-file"), 1, "{}", node.log());
}
