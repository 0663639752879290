//! The driver of HAProxy against the real one (Debian's haproxy) through a reload and a soft stop. Without
//! haproxy the test says so and is left out.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

use leveret_door::{DoorConfig, HaproxyConfig};
use leveret_services::{ServiceName, State};

use crate::house::{Client, Deed, House, Toy, config};

/// Of Debian's package.
const PROGRAM: &str = "/usr/sbin/haproxy";

/// A process of HAProxy, ended with the test.
struct Haproxy(Child);

impl Haproxy {
    /// In place of another one, whose listeners and socket it takes over.
    fn start(directory: &Path, instead_of: Option<&Self>) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("-f").arg(directory.join("haproxy.cfg")).arg("-db");
        if let Some(Self(old)) = instead_of {
            command.arg("-x").arg(directory.join("admin.sock")).arg("-sf").arg(old.id().to_string());
        }
        Self(command.spawn().expect("haproxy runs"))
    }

    fn stop_softly(&self) {
        let status = Command::new("kill").args(["-USR1", &self.0.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(directory: &Path, listen: SocketAddr, door: SocketAddr) -> String {
    format!(
        "global\n stats socket {}/admin.sock mode 600 level admin expose-fd listeners\n\
         defaults\n mode http\n timeout connect 2s\n timeout client 60s\n timeout server 60s\n\
         frontend in\n bind {listen}\n default_backend web\n\
         backend web\n balance leastconn\n option redispatch\n server door {door} backup\n",
        directory.display()
    )
}

fn said(house: &House) -> String {
    house.status().drivers.into_values().collect()
}

/// A POST that its instance has and does not answer yet.
fn waiting_request(listen: SocketAddr, toy: &Toy) -> Client {
    toy.set(Deed::Wait);
    let mut client = Client::connect(listen);
    client.write("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\n\r\nx");
    while toy.next().body != "x" {}
    toy.set(Deed::Answer);
    client
}

#[test]
fn a_drain_waits_for_the_requests_of_a_process_that_was_replaced_or_stops() {
    if !Path::new(PROGRAM).exists() {
        eprintln!("left out: {PROGRAM} is not there");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let listen = TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port");
    let service = ServiceName::new("shop").expect("a name");
    let socket = directory.path().join("admin.sock");
    let driver = HaproxyConfig { socket, backend: "web".to_owned(), service };
    let house = House::open(DoorConfig { haproxy: vec![driver], ..config() });
    let (a, b) = (Toy::start("a"), Toy::start("b"));
    let file = directory.path().join("haproxy.cfg");
    std::fs::write(file, text(directory.path(), listen, house.listen)).expect("a file");
    let first = Haproxy::start(directory.path(), None);
    while TcpStream::connect(listen).is_err() {}
    house.announce("a", 1, a.address, State::Ready);
    while !said(&house).contains("1 servers at process") {}
    let mut of_first = waiting_request(listen, &a);

    let second = Haproxy::start(directory.path(), Some(&first));
    let process = format!("at process {}", second.0.id());
    while !said(&house).contains(&process) {}
    assert!(said(&house).contains("1 before it still ends"), "{}", said(&house));
    let draining = house.announce("a", 1, a.address, State::Draining);
    // The driver has acted on the drain when it has added what came after it.
    house.announce("b", 2, b.address, State::Ready);
    while !said(&house).contains("2 servers at") {}
    assert!(house.ack(&draining).inflight > 0, "the old process still has a request there");
    a.go.send(()).expect("it waits");
    assert_eq!(of_first.answer().body, "a");
    while house.ack(&draining).inflight > 0 {}

    let mut of_second = waiting_request(listen, &b);
    second.stop_softly();
    while TcpStream::connect(listen).is_ok() {}
    let draining = house.announce("b", 2, b.address, State::Draining);
    while said(&house).contains("at process") {}
    assert!(house.ack(&draining).inflight > 0, "it still has a request there");
    b.go.send(()).expect("it waits");
    assert_eq!(of_second.answer().body, "b");
    while house.ack(&draining).inflight > 0 {}
}
