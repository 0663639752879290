//! Strangers at the cluster port.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use leveret_link::handshake::{Capabilities, Handshake, Hello, Outcome, PROTOCOL, Purpose, Secret};
use leveret_model::{Boot, Incarnation, Name, NodeId, limits};

use crate::bystander::Bystander;
use crate::node::{Node, SECRETS};
use crate::{PATIENCE, my_turn};

const GROUP: &str = "port-of-strangers";

/// A peer's side, as far as it gets.
struct Stranger {
    stream: TcpStream,
    handshake: Handshake,
}

impl Stranger {
    /// Says hello for a control link.
    fn dial(node: &Node, group: &str, secret: &str) -> Self {
        Self::say_hello(connect(node), group, secret)
    }

    fn say_hello(mut stream: TcpStream, group: &str, secret: &str) -> Self {
        let hello = Hello {
            protocol: PROTOCOL,
            group: Name::new(group),
            node: NodeId(7),
            incarnation: Incarnation(1),
            boot: Boot(7),
            shards: 1,
            name: Name::new("stranger"),
            address: Name::new("127.0.0.1:1"),
            purpose: Purpose::Control,
            capabilities: Capabilities::own(),
        };
        let secret = Secret::shared(secret.as_bytes()).expect("long enough");
        let now = leveret_model::Instant::ZERO;
        let mut handshake = Handshake::dialer(secret, hello, [7; 32], &[], now);
        stream.write_all(&handshake.take_output()).expect("written");
        Self { stream, handshake }
    }

    /// Reads until the handshake has something to say.
    fn answer(&mut self) -> Outcome {
        let mut block = [0; 4096];
        loop {
            let count = self.stream.read(&mut block).expect("an answer");
            assert!(count > 0, "the node answers a hello of its group");
            match self.handshake.on_bytes(&block[..count]).1 {
                Outcome::More => {}
                outcome => return outcome,
            }
        }
    }

    /// The node ends it, and says nothing more.
    fn is_dropped(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "{} bytes for a stranger", rest.len()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}

fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(node.cluster).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

#[test]
fn strangers_at_the_cluster_port_are_dropped_unheard() {
    let _turn = my_turn();
    let files = [1, 2].map(|n| SECRETS[n]).map(|secret| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = Node::secret_file(&directory, secret);
        (directory, file)
    });
    let mut node = Node::start(&["--group", GROUP, "--secret-file", &files[0].1]);
    let bystander = Bystander::start(node.amqp);

    garbage(&node);
    bystander.is_served("garbage at the cluster port");
    other_group(&node);
    bystander.is_served("a peer of another group");
    wrong_secret(&node);
    bystander.is_served("a peer with a wrong secret");

    half_open(&node);
    node.logs(&["a link was not made", "it took long, and others wait"]);
    bystander.is_served("half-open links");

    // a whole node with another secret tries for as long as it lives, and serves nobody beside the cluster that
    // is there
    let cluster = node.cluster.to_string();
    let arguments = ["--group", GROUP, "--secret-file", &files[1].1, "--seed", &cluster];
    let other = Node::start_until("data in", &arguments);
    other.logs(&["a link was refused", "does not know the secret of this group"]);
    other.logs(&["does not take this one in", "another secret"]);
    other.logs(&["still joining", "another secret"]);
    for (who, said) in [(&node, "the peer left"), (&other, "a link was refused")] {
        who.logs(&[said]);
        assert_eq!(who.lines_with(said), 1, "5 s of redials are one line on each side");
    }
    let refused = TcpStream::connect(other.amqp).expect_err("its client port is closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    for alone in [&node, &other] {
        assert_eq!(alone.status()["nodes"].as_array().map(Vec::len), Some(1));
    }
    drop(other);
    bystander.is_served("a node with a wrong secret");
    assert_eq!(node.status()["nodes"].as_array().map(Vec::len), Some(1), "nobody became a node");
    node.assert_sound();
    bystander.end();
}

fn garbage(node: &Node) {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"AMQP\0\0\x09\x01", &[0xFF; 100_000]] {
        let mut stream = connect(node);
        // the node may be gone before all is written
        let _ = stream.write_all(bytes);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    node.logs(&["127.0.0.1", "a link was refused", "does not speak the link protocol"]);
}

fn other_group(node: &Node) {
    let mut stranger = Stranger::dial(node, "elsewhere", SECRETS[1]);
    stranger.is_dropped();
    node.logs(&["127.0.0.1", "a link was refused", "belongs to the group", "elsewhere"]);
}

fn wrong_secret(node: &Node) {
    // it sees that the node knows another secret, and goes on all the same
    let mut stranger = Stranger::dial(node, GROUP, SECRETS[2]);
    assert!(matches!(stranger.answer(), Outcome::Refused(_)));
    // a code that is none, and frames behind it
    let _ = stranger.stream.write_all(&[0x5A; 50_000]);
    stranger.is_dropped();
    node.logs(&["127.0.0.1", "a link was refused", "does not know the secret of this group"]);
    // or it leaves
    let mut stranger = Stranger::dial(node, GROUP, SECRETS[2]);
    assert!(matches!(stranger.answer(), Outcome::Refused(_)));
    drop(stranger);
    node.logs(&["127.0.0.1", "left"]);
}

/// At the bound those that take long are dropped for others, and none before.
fn half_open(node: &Node) {
    let begun = Instant::now();
    let first = connect(node);
    let mut open: Vec<TcpStream> = (0..2 * limits::LINK_HANDSHAKES_MAX).map(|_| connect(node)).collect();
    if begun.elapsed() < limits::LINK_HANDSHAKE_UNDISTURBED / 2 {
        // it is still listened to, or this machine stands still now
        Stranger::say_hello(first, "late", SECRETS[1]).is_dropped();
        if begun.elapsed() < limits::LINK_HANDSHAKE_UNDISTURBED {
            node.logs(&["127.0.0.1", "a link was refused", "belongs to the group", "late"]);
        }
    }
    for stream in &mut open[..limits::LINK_HANDSHAKES_MAX] {
        assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}
