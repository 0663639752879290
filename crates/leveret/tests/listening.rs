//! Where clients come in and who they are: several addresses, the default user, clients behind a proxy.

mod node;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use leveret_client::{Connection, Event, Login};
use node::{Node, PATIENCE};
use tempfile::TempDir;

/// Every address of the banner.
fn addresses(node: &Node) -> Vec<SocketAddr> {
    let lines = node.banner.iter().filter_map(|line| line.strip_prefix("listening for AMQP on "));
    lines.map(|address| address.parse().expect("an address")).collect()
}

/// A connection that is logged in and stays until it is dropped, or what the broker said.
fn log_in(address: SocketAddr, first: &[u8], user: &str, password: &str) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // one write for each byte: a header that comes in pieces is one too
    first.iter().for_each(|byte| stream.write_all(&[*byte]).expect("written"));
    let login = Login { user: user.to_owned(), password: password.to_owned(), ..Login::default() };
    let mut connection = Connection::new(login);
    let mut block = [0; 4096];
    loop {
        let sent = stream.write_all(&std::mem::take(connection.output()));
        sent.map_err(|error| error.to_string())?;
        match connection.poll() {
            Some(Event::Answered { channel: 0, .. }) => return Ok(stream),
            Some(other) => return Err(format!("{other:?}")),
            None => {}
        }
        match stream.read(&mut block) {
            Ok(0) => return Err("dropped".to_owned()),
            Ok(count) => connection.on_bytes(&block[..count]).expect("AMQP"),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn start(more: &[&str]) -> (TempDir, Node) {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path(), more);
    (directory, node)
}

fn password_file(directory: &Path) -> String {
    let path = directory.join("password");
    std::fs::write(&path, "long ears\n").expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn clients_come_in_over_both_families_and_status_shows_where() {
    let (_directory, node) = start(&["--listen", "[::1]:0"]);
    let addresses = addresses(&node);
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(addresses.len(), if has_ipv6 { 2 } else { 1 }, "{:?}", node.banner);
    for address in &addresses {
        log_in(*address, b"", "guest", "guest").expect("let in");
    }
    let listen = node.status()["node"]["listen"].as_str().expect("a text").to_owned();
    assert!(addresses.iter().all(|address| listen.contains(&address.to_string())), "{listen}");
}

#[test]
fn a_default_user_replaces_guest_and_its_password_is_in_no_log() {
    let secrets = tempfile::tempdir().expect("a directory");
    let file = password_file(secrets.path());
    let more = ["--default-user", "hare", "--default-password-file", &file, "--log-level", "trace"];
    let (_directory, node) = start(&more);
    let [address] = addresses(&node)[..] else { panic!("one address") };
    log_in(address, b"", "hare", "long ears").expect("let in");
    for (user, password) in [("guest", "guest"), ("hare", "stubby tail")] {
        let refused = log_in(address, b"", user, password).expect_err("refused");
        assert!(refused.contains("403"), "{refused}");
    }
    node.wait_for_lines(&["login refused", "hare"], 1);
    let log = node.log();
    assert!(!log.contains("long ears") && !log.contains("stubby tail"), "{log}");
}

#[test]
fn a_node_that_others_reach_and_that_lets_none_of_them_in_says_so() {
    let secrets = tempfile::tempdir().expect("a directory");
    let file = password_file(secrets.path());
    let open = ["--listen", "0.0.0.0:0"];
    let (_directory, node) = start(&open);
    node.wait_for_lines(&["WARN", "nobody else gets in", "--default-user"], 1);
    for more in
        [&["--loopback-users", "none"][..], &["--default-user", "hare", "--default-password-file", &file]]
    {
        let (_directory, node) = start(&[&open, more].concat());
        let port = addresses(&node)[0].port();
        log_in(([127, 0, 0, 1], port).into(), b"", "nobody", "x").expect_err("refused");
        // a line that was written before this one is there
        node.wait_for_lines(&["login refused", "nobody"], 1);
        assert_eq!(node.lines_with("nobody else gets in"), 0, "{more:?}");
    }
}

/// The proxy is on this machine, its client is not: so guest does not get in, and the client's address is
/// shown.
#[test]
fn a_client_behind_a_proxy_is_who_the_proxy_says() {
    let secrets = tempfile::tempdir().expect("a directory");
    let file = password_file(secrets.path());
    let from = ["--proxy-protocol-from", "127.0.0.1"];
    let version_1 = b"PROXY TCP4 192.0.2.7 203.0.113.1 4711 5672\r\n";
    let (_directory, node) = start(&from);
    let [address] = addresses(&node)[..] else { panic!("one address") };
    let refused = log_in(address, version_1, "guest", "guest").expect_err("refused");
    assert!(refused.contains("403"), "{refused}");
    node.wait_for_lines(&["login refused", "192.0.2.7:4711", "only log in via localhost"], 1);
    // a header is not optional
    log_in(address, b"", "guest", "guest").expect_err("dropped");
    node.wait_for_lines(&["no PROXY header"], 1);
    let of_this_machine = b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 5672\r\n";
    log_in(address, of_this_machine, "guest", "guest").expect("both are here");

    let more = [&from[..], &["--default-user", "hare", "--default-password-file", &file]].concat();
    let (_directory, node) = start(&more);
    let [address] = addresses(&node)[..] else { panic!("one address") };
    let mut version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    version_2.extend_from_slice(&[192, 0, 2, 8, 203, 0, 113, 1, 0x12, 0x67, 0x16, 0x28]);
    let _clients = [&version_1[..], &version_2]
        .map(|header| log_in(address, header, "hare", "long ears").expect("let in"));
    let status = node.status();
    let connections = status["connections"].as_array().expect("a list");
    for client in ["192.0.2.7:4711 -> 203.0.113.1:5672 via 127.0.0.1:", "192.0.2.8:4711"] {
        let is_there = |connection: &serde_json::Value| {
            connection["name"].as_str().is_some_and(|n| n.starts_with(client))
        };
        assert!(connections.iter().any(is_there), "{client}: {connections:?}");
    }
}

/// From elsewhere nobody can claim to be somebody else.
#[test]
fn a_header_from_an_address_that_is_no_proxy_is_not_amqp() {
    let (_directory, node) = start(&["--proxy-protocol-from", "192.0.2.0/24"]);
    let [address] = addresses(&node)[..] else { panic!("one address") };
    let header = b"PROXY TCP4 192.0.2.7 203.0.113.1 4711 5672\r\n";
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("somebody listens");
    stream.write_all(header).expect("written");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answer = Vec::new();
    // a reset, if the rest of the header was not read
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"AMQP\0\0\x09\x01");
    log_in(address, b"", "guest", "guest").expect("others come in as ever");
}
