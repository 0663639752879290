//! The driver of Apache httpd against the real one (Debian's apache2), in a directory of its own on a loopback
//! port. Without apache2 the tests say so and are left out.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use leveret_door::{DoorConfig, HttpdConfig};
use leveret_model::Boot;
use leveret_services::{Announcement, InstanceName, ServiceName, State};

use crate::house::{Client, Deed, House, Toy, config};

/// Of Debian's package.
const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

struct Apache {
    address: SocketAddr,
    directory: tempfile::TempDir,
    process: Option<Child>,
}

/// A port that nobody has now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}

impl Apache {
    /// Has an address, and no process yet: the door must know the one before the other can know the door.
    fn prepare() -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            eprintln!("left out: {PROGRAM} is not there");
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        Some(Self { address: free(), directory, process: None })
    }

    fn driver(&self, page: &str) -> HttpdConfig {
        let service = ServiceName::new("shop").expect("a name");
        HttpdConfig::new(&format!("http://{}{page}", self.address), "web", service).expect("a page")
    }

    fn start(&mut self, standby: SocketAddr, growth: u32) {
        let file = self.directory.path().join("httpd.conf");
        std::fs::write(&file, self.text(standby, growth)).expect("a file");
        let child =
            Command::new(PROGRAM).arg("-f").arg(&file).arg("-DFOREGROUND").spawn().expect("apache2 runs");
        self.process = Some(child);
        while TcpStream::connect(self.address).is_err() {
            let ended = self.process.as_mut().and_then(|child| child.try_wait().expect("it is a child"));
            assert!(ended.is_none(), "apache2 ended: {:?}", std::fs::read_to_string(self.log()));
        }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("error.log")
    }

    fn text(&self, standby: SocketAddr, growth: u32) -> String {
        let root = self.directory.path().display();
        let modules = [
            "mpm_event",
            "authz_core",
            "authz_host",
            "proxy",
            "proxy_http",
            "proxy_balancer",
            "proxy_hcheck",
            "lbmethod_bybusyness",
            "slotmem_shm",
        ]
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .concat();
        format!(
            "ServerRoot {root}\nServerName localhost\nListen {}\nPidFile {root}/pid\nDefaultRuntimeDir {root}\n\
             ErrorLog {root}/error.log\n{modules}User nobody\nGroup nogroup\n\
             StartServers 1\nServerLimit 3\nMaxRequestWorkers 25\n\
             ProxyPass /balancer-manager !\nProxyPass /forbidden !\nProxyPass / balancer://web/\n\
             <Proxy balancer://web>\nBalancerMember http://{standby} status=+H\n\
             ProxySet growth={growth} lbmethod=bybusyness stickysession=JSESSIONID|jsessionid maxattempts=3\n</Proxy>\n\
             <Location /balancer-manager>\nSetHandler balancer-manager\nRequire local\n</Location>\n\
             <Location /forbidden>\nSetHandler balancer-manager\nRequire all denied\n</Location>\n",
            self.address
        )
    }

    fn get(&self) -> (u16, String) {
        let answer =
            Client::connect(self.address).ask("GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
        (answer.status, answer.body)
    }

    /// Until httpd itself, and not the door behind it, asks this instance.
    fn reaches(&self, toy: &Toy) {
        loop {
            assert_eq!(self.get().0, 200, "no request fails while the members change");
            while let Ok(received) = toy.received.try_recv() {
                if !received.head.to_lowercase().contains("via:") {
                    return;
                }
            }
        }
    }

    fn restart_gracefully(&self) {
        let pid = self.process.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args(["-USR1", &pid]).status().expect("kill runs");
        assert!(status.success());
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            // SIGTERM, so that it ends its own children too.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

/// Valid for as long as the test lasts: nobody says it again each second.
fn announce(house: &House, name: &str, boot: u64, address: SocketAddr, state: State) -> Announcement {
    let service = ServiceName::new("shop").expect("a name");
    let instance = InstanceName::new(name).expect("a name");
    let mut announcement = Announcement::new(service, instance, Boot(boot), state);
    announcement.address = Some(address);
    announcement.ttl_ms = 60_000;
    house.send(announcement)
}

fn said(house: &House) -> String {
    house.status().drivers.into_values().collect::<Vec<_>>().join("\n")
}

#[test]
fn members_follow_the_table_and_a_drain_waits_for_httpds_requests() {
    let Some(mut apache) = Apache::prepare() else { return };
    let house = House::open(DoorConfig { httpd: vec![apache.driver("/balancer-manager")], ..config() });
    let (a, b) = (Toy::start("a"), Toy::start("b"));
    apache.start(house.listen, 5);
    announce(&house, "a", 1, a.address, State::Ready);
    apache.reaches(&a);
    a.set(Deed::Wait);
    let mut client = Client::connect(apache.address);
    client.write("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\n\r\nx");
    while a.next().body != "x" {}
    // Only the one that waits already.
    a.set(Deed::Answer);
    announce(&house, "b", 3, b.address, State::Ready);
    let draining = announce(&house, "a", 1, a.address, State::Draining);
    apache.reaches(&b);
    assert!(house.ack(&draining).inflight > 0, "httpd still has a request there");
    a.go.send(()).expect("it waits");
    assert_eq!(client.answer().body, "a");
    while house.ack(&draining).inflight > 0 {}
    while a.received.try_recv().is_ok() {}
    for _ in 0..20 {
        assert_eq!(apache.get(), (200, "b".to_owned()));
    }
    assert_eq!(a.received.try_iter().count(), 0);
    // Another start of it at the same address takes the member that is there.
    announce(&house, "a", 2, a.address, State::Ready);
    apache.reaches(&a);
}

#[test]
fn a_killed_instance_fails_no_request_and_comes_back() {
    let Some(mut apache) = Apache::prepare() else { return };
    let house = House::open(DoorConfig { httpd: vec![apache.driver("/balancer-manager")], ..config() });
    let (a, killed) = (Toy::start("a"), free());
    apache.start(house.listen, 5);
    announce(&house, "a", 1, a.address, State::Ready);
    announce(&house, "b", 2, killed, State::Ready);
    apache.reaches(&a);
    for _ in 0..50 {
        assert_eq!(apache.get(), (200, "a".to_owned()), "nobody listens at b");
    }
    let b = Toy::at("b", killed);
    apache.reaches(&b);
}

#[test]
fn without_a_free_slot_the_door_behind_carries_the_rest() {
    let Some(mut apache) = Apache::prepare() else { return };
    let house = House::open(DoorConfig { httpd: vec![apache.driver("/balancer-manager")], ..config() });
    let (a, b) = (Toy::start("a"), Toy::start("b"));
    apache.start(house.listen, 1);
    announce(&house, "a", 1, a.address, State::Ready);
    apache.reaches(&a);
    announce(&house, "b", 3, b.address, State::Ready);
    while !said(&house).contains("no slot") {}
    announce(&house, "a", 1, a.address, State::Left);
    // Nothing but the standby is left, and behind it the door knows b.
    while apache.get() != (200, "b".to_owned()) {}
    // A graceful restart empties the slots: b gets one.
    apache.restart_gracefully();
    apache.reaches(&b);
    while said(&house).contains("no slot") {}
}

#[test]
fn a_restart_of_httpd_brings_the_members_back() {
    let Some(mut apache) = Apache::prepare() else { return };
    let house = House::open(DoorConfig { httpd: vec![apache.driver("/balancer-manager")], ..config() });
    let a = Toy::start("a");
    apache.start(house.listen, 5);
    announce(&house, "a", 1, a.address, State::Ready);
    apache.reaches(&a);
    apache.restart_gracefully();
    let restarted =
        || std::fs::read_to_string(apache.log()).expect("a log").contains("Doing graceful restart");
    while !restarted() {}
    while a.received.try_recv().is_ok() {}
    apache.reaches(&a);
}

/// The processes before a graceful restart are in no counter of httpd's; they are watched until they end.
#[test]
fn a_drain_waits_for_the_requests_that_a_graceful_restart_left_behind() {
    let Some(mut apache) = Apache::prepare() else { return };
    let house = House::open(DoorConfig { httpd: vec![apache.driver("/balancer-manager")], ..config() });
    let (a, b) = (Toy::start("a"), Toy::start("b"));
    apache.start(house.listen, 5);
    announce(&house, "a", 1, a.address, State::Ready);
    apache.reaches(&a);
    a.set(Deed::Wait);
    let mut client = Client::connect(apache.address);
    client.write("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\n\r\nx");
    while a.next().body != "x" {}
    a.set(Deed::Answer);
    announce(&house, "b", 3, b.address, State::Ready);
    apache.reaches(&b);
    apache.restart_gracefully();
    while !said(&house).contains("it was restarted") {}
    let draining = announce(&house, "a", 1, a.address, State::Draining);
    // The grace is over, and the one process that is left has the request.
    while said(&house).contains("it was restarted") || !said(&house).contains("before it still end") {}
    apache.reaches(&b);
    assert!(house.ack(&draining).inflight > 0, "the old process still has a request there");
    a.go.send(()).expect("it waits");
    assert_eq!(client.answer().body, "a");
    while house.ack(&draining).inflight > 0 {}
}

#[test]
fn a_forbidden_page_is_said_with_what_to_do() {
    let Some(mut apache) = Apache::prepare() else { return };
    let missing = HttpdConfig::new(
        &format!("http://{}/nowhere", apache.address),
        "web",
        ServiceName::new("shop").expect("a name"),
    );
    let httpd = vec![apache.driver("/forbidden"), missing.expect("a URL")];
    let house = House::open(DoorConfig { httpd, ..config() });
    let a = Toy::start("a");
    announce(&house, "a", 1, a.address, State::Ready);
    apache.start(house.listen, 5);
    while !said(&house).contains("forbidden to the door; `Require ip`") {}
    while !said(&house).contains("is not the XML of balancer-manager") {}
    // The standby serves all the same.
    assert_eq!(apache.get(), (200, "a".to_owned()));
}
