//! A node finds another through a DNS name: the records give addresses, the port comes with the name.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;

/// A running node, killed when it goes.
struct Node(Child);

impl Node {
    /// Starts one and reads its banner up to `ready`.
    fn start(directory: &std::path::Path, more: &[&str]) -> (Self, Vec<String>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(directory).args(more).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut node = Self(command.spawn().expect("the program runs"));
        let mut banner = Vec::new();
        for line in BufReader::new(node.0.stdout.take().expect("piped")).lines() {
            banner.push(line.expect("UTF-8"));
            if banner.last().is_some_and(|line| line == "ready") {
                break;
            }
        }
        (node, banner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that answers every question for an A record with 127.0.0.1 (RFC 1035 §4), and others with nothing.
fn serve_dns() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let name = query[12..length].iter().position(|&byte| byte == 0).expect("a name ends");
            let question = &query[12..12 + name + 5];
            let asks_a = question[name + 1..name + 3] == [0, 1];
            let mut answer = query[..2].to_vec();
            answer.extend([0x85, 0x80, 0, 1, 0, u8::from(asks_a), 0, 0, 0, 0]);
            answer.extend(question);
            if asks_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

#[test]
fn a_node_joins_through_a_dns_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_first, banner) = Node::start(&directory.path().join("first"), &[]);
    let port = banner
        .iter()
        .find_map(|line| line.strip_prefix("listening for cluster on 127.0.0.1:"))
        .expect("the banner names the cluster port");
    let name = format!("cluster.test:{port}");
    let server = serve_dns().to_string();
    let more = ["--dns", &name, "--dns-server", &server];
    let (_second, banner) = Node::start(&directory.path().join("second"), &more);
    assert!(banner.iter().any(|line| line == "joined 1 other node"), "{banner:?}");
}
