//! The driver of HAProxy against a socket that answers as HAProxy 2.6 does. The real one is tried by hand.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;

use leveret_door::{DoorConfig, HaproxyConfig};
use leveret_services::{ServiceName, State};

use crate::house::{House, config};

/// A server as HAProxy keeps it.
#[derive(Clone, Debug, Default)]
struct Server {
    address: String,
    port: String,
    admin: u32,
    sessions: u32,
}

type Servers = Arc<Mutex<BTreeMap<String, Server>>>;

const STATES: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_admin_state srv_port\n";

/// Answers commands on a socket in a directory of its own.
fn haproxy() -> (tempfile::TempDir, HaproxyConfig, Servers) {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("admin.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let servers = Servers::default();
    servers.lock().expect("no panic").insert("door".to_owned(), Server::default());
    let of_thread = Arc::clone(&servers);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let mut command = String::new();
            stream.read_line(&mut command).expect("a command");
            let reply = answer(command.trim(), &mut of_thread.lock().expect("no panic"));
            let _ = stream.get_mut().write_all(reply.as_bytes());
        }
    });
    let service = ServiceName::new("shop").expect("a name");
    (directory, HaproxyConfig { socket, backend: "be".to_owned(), service }, servers)
}

fn answer(command: &str, servers: &mut BTreeMap<String, Server>) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let named = |path: &str| path.strip_prefix("be/").expect("of the backend").to_owned();
    match words.as_slice() {
        ["show", "info"] => "Name: HAProxy\nPid: 7\n".to_owned(),
        ["show", "servers", "state", "be"] => {
            servers.iter().fold(STATES.to_owned(), |text, (name, server)| {
                let Server { address, port, admin, .. } = server;
                text + &format!("3 be 1 {name} {address} {admin} {port}\n")
            })
        }
        ["show", "stat", "be", "4", "-1"] => {
            servers.iter().fold("# pxname,svname,scur,\n".to_owned(), |text, (name, server)| {
                text + &format!("be,{name},{},\n", server.sessions)
            })
        }
        ["add", "server", path, address, ..] => {
            let (address, port) = address.rsplit_once(':').expect("an address");
            // Added servers are in maintenance until they are enabled.
            let server = Server { address: address.to_owned(), port: port.to_owned(), admin: 1, sessions: 0 };
            servers.insert(named(path), server);
            "New server registered.\n".to_owned()
        }
        ["enable", "health", _] => String::new(),
        ["enable", "server", path] | ["set", "server", path, "state", "ready"] => {
            servers.get_mut(&named(path)).expect("it is there").admin = 0;
            String::new()
        }
        ["set", "server", path, "state", state] => {
            servers.get_mut(&named(path)).expect("it is there").admin = if *state == "maint" { 1 } else { 8 };
            String::new()
        }
        ["del", "server", path] => {
            servers.remove(&named(path));
            "Server deleted.\n".to_owned()
        }
        _ => panic!("unexpected: {command}"),
    }
}

#[test]
fn servers_follow_the_table_and_a_drain_waits_for_haproxys_sessions() {
    let (_directory, driver, servers) = haproxy();
    let house = House::open(DoorConfig { haproxy: vec![driver], ..config() });
    let until = |what: &dyn Fn(&BTreeMap<String, Server>) -> bool| {
        while !what(&servers.lock().expect("no panic")) {
            thread::yield_now();
        }
    };
    let address = ([127, 0, 0, 1], 9_999).into();
    house.announce("a", 1, address, State::Ready);
    until(&|servers| servers.get("lv_a").is_some_and(|server| server.admin == 0 && server.port == "9999"));
    servers.lock().expect("no panic").get_mut("lv_a").expect("it is there").sessions = 1;

    let draining = house.announce("a", 1, address, State::Draining);
    until(&|servers| servers["lv_a"].admin == 1);
    assert!(house.ack(&draining).inflight > 0, "HAProxy still has a request there");
    servers.lock().expect("no panic").get_mut("lv_a").expect("it is there").sessions = 0;
    while house.ack(&draining).inflight > 0 {}
    until(&|servers| !servers.contains_key("lv_a"));

    // Another process under the name.
    house.announce("a", 2, ([127, 0, 0, 1], 9_998).into(), State::Ready);
    until(&|servers| servers.get("lv_a").is_some_and(|server| server.admin == 0 && server.port == "9998"));
    assert!(servers.lock().expect("no panic").contains_key("door"), "others are not touched");
    assert_eq!(house.status().drivers.len(), 1);
}
