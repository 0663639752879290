//! The DNS responder, asked by a library's messages and by Debian's nginx.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use leveret_door::{DnsConfig, DoorConfig};
use leveret_services::State;

use crate::house::{Client, House, PATIENCE, Toy, config};

const NGINX: &str = "/usr/sbin/nginx";

fn named(fallback: Option<SocketAddr>) -> DoorConfig {
    let zone = Name::from_ascii("door.internal.").expect("a name");
    let dns = DnsConfig { listen: ([127, 0, 0, 1], 0).into(), zone, fallback };
    DoorConfig { dns: Some(dns), ..config() }
}

fn server(house: &House) -> SocketAddr {
    house.door.as_ref().and_then(leveret_door::Door::dns_listen).expect("it listens")
}

fn question(name: &str, kind: RecordType, edns: bool) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    if edns {
        let mut options = Edns::new();
        options.set_max_payload(1_232);
        message.set_edns(options);
    }
    message.to_vec().expect("a message")
}

fn ask(server: SocketAddr, name: &str, kind: RecordType, edns: bool) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket.send_to(&question(name, kind, edns), server).expect("sent");
    let mut reply = [0; 4_096];
    let length = socket.recv(&mut reply).expect("a reply");
    Message::from_vec(&reply[..length]).expect("a message")
}

fn ask_by_tcp(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let mut client = Client::connect(server);
    let question = question(name, kind, false);
    let length = u16::try_from(question.len()).expect("short").to_be_bytes();
    client.write_bytes(&[length.as_slice(), &question].concat());
    let reply = client.read_exactly(2);
    let reply = client.read_exactly(usize::from(u16::from_be_bytes([reply[0], reply[1]])));
    Message::from_vec(&reply).expect("a message")
}

#[test]
fn ready_instances_have_records_and_a_drain_waits_for_resolvers() {
    let house = House::open(named(None));
    let server = server(&house);
    assert_eq!(
        ask(server, "shop.door.internal.", RecordType::A, false).metadata.response_code,
        ResponseCode::NXDomain
    );
    let toy = Toy::start("a");
    house.announce("a", 1, toy.address, State::Ready);
    let answers = || ask(server, "shop.door.internal.", RecordType::A, true).answers;
    while answers().is_empty() {}
    let record = answers().remove(0);
    assert_eq!((record.ttl, record.data.to_string()), (1, "127.0.0.1".to_owned()));
    let srv = ask(server, "_http._tcp.Shop.door.internal.", RecordType::SRV, true);
    assert!(srv.answers[0].data.to_string().contains(&format!(" {} ", toy.address.port())));
    assert_eq!(srv.additionals.len(), 1, "with its address");
    let none = ask(server, "shop.door.internal.", RecordType::AAAA, false);
    assert_eq!(none.metadata.response_code, ResponseCode::NoError);
    assert!(none.answers.is_empty() && none.authorities[0].record_type() == RecordType::SOA);
    let foreign = ask(server, "example.org.", RecordType::A, false);
    assert_eq!(foreign.metadata.response_code, ResponseCode::Refused);

    let draining = house.announce("a", 1, toy.address, State::Draining);
    assert!(house.ack(&draining).inflight > 0, "a resolver may still know it");
    while !answers().is_empty() {}
    while house.ack(&draining).inflight > 0 {}
}

#[test]
fn what_is_too_long_for_udp_comes_by_tcp() {
    let house = House::open(named(None));
    let server = server(&house);
    for last in 1..=70_u8 {
        let address = SocketAddr::from(([127, 0, 1, last], 9_999));
        house.announce(&format!("i{last}"), last.into(), address, State::Ready);
    }
    let name = "shop.door.internal.";
    while ask_by_tcp(server, name, RecordType::A).answers.len() < 64 {}
    let short = ask(server, name, RecordType::A, false);
    assert!(short.metadata.truncation, "{short}");
    // Those left out of one reply are in the next ones.
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 70 {
        seen.extend(
            ask_by_tcp(server, name, RecordType::A).answers.iter().map(|record| record.data.to_string()),
        );
    }
}

struct Nginx {
    address: SocketAddr,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Nginx {
    /// Stock nginx that looks the service up, in a directory of its own.
    fn start(resolver: SocketAddr, port: u16) -> Option<Self> {
        if !Path::new(NGINX).exists() {
            eprintln!("left out: {NGINX} is not there");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().display();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {root}/{name};\n"))
            .concat();
        let text = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\nevents {{}}\nhttp {{\n{paths}\
             access_log off; resolver {resolver} valid=1s;\nserver {{ listen {address}; location / {{\n\
             set $up shop.door.internal; proxy_pass http://$up:{port}; }} }} }}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, text).expect("a file");
        let mut process = Command::new(NGINX)
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&file)
            .spawn()
            .expect("nginx runs");
        while TcpStream::connect(address).is_err() {
            assert!(process.try_wait().expect("a child").is_none(), "nginx ended");
        }
        Some(Self { address, process, _directory: directory })
    }

    fn get(&self) -> (u16, String) {
        let answer =
            Client::connect(self.address).ask("GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
        (answer.status, answer.body)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It has no children and no files to keep.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn stock_nginx_follows_the_instances_and_finds_the_door_when_there_is_none() {
    // nginx wants one port for all, so the instances differ by their address.
    let door_port =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let fallback = SocketAddr::from(([127, 0, 0, 1], door_port));
    let house = House::open(DoorConfig { listen: fallback, ..named(Some(fallback)) });
    let Some(nginx) = Nginx::start(server(&house), door_port) else { return };
    let at = |last: u8| SocketAddr::from(([127, 0, 2, last], door_port));
    let (a, b) = (Toy::at("a", at(1)), Toy::at("b", at(2)));
    house.announce("a", 1, a.address, State::Ready);
    // The first ones come through the door: the name was there before the instance.
    loop {
        assert_eq!(nginx.get(), (200, "a".to_owned()));
        if a.received.try_iter().any(|received| !received.head.to_lowercase().contains("via:")) {
            break;
        }
    }
    house.announce("b", 2, b.address, State::Ready);
    while nginx.get() != (200, "b".to_owned()) {}
    let draining = house.announce("a", 1, a.address, State::Draining);
    while house.ack(&draining).inflight > 0 {
        assert_eq!(nginx.get().0, 200);
    }
    while a.received.try_recv().is_ok() {}
    for _ in 0..50 {
        assert_eq!(nginx.get(), (200, "b".to_owned()));
    }
    assert_eq!(a.received.try_iter().count(), 0);
}
