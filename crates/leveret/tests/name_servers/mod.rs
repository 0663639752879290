//! Debian's BIND and Knot as primaries of a zone, each in a directory and at an address of its own on loopback.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, RData, Record, RecordType, TSigner};

use crate::node::PATIENCE;

pub(crate) const ZONE: &str = "cloud.test";
/// Debian's `libfaketime`.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const SECRET: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";
const SECRET_BYTES: &[u8] = b"12345678901234567890123456789012";
/// A question that is not answered for so long is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bind,
    Knot,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Bind => "/usr/sbin/named",
            Self::Knot => "/usr/sbin/knotd",
        }
    }

    /// Its Debian package is installed. `.ci/run` installs both; elsewhere the test says that it is left out.
    pub(crate) fn is_installed(self) -> bool {
        let there = Path::new(self.program()).exists();
        if !there {
            eprintln!("left out: {} is not installed (Debian: bind9, knot)", self.program());
        }
        there
    }
}

/// Clocks can be moved; else that is said, as for a server that is not there.
pub(crate) fn can_move_clocks() -> bool {
    let there = Path::new(FAKETIME).exists();
    if !there {
        eprintln!("left out: {FAKETIME} is not installed (Debian: faketime)");
    }
    there
}

/// A primary, killed when it goes.
pub(crate) struct NameServer {
    kind: Kind,
    directory: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    process: Option<Child>,
    /// Its clock is ahead by so many seconds.
    ahead_s: Option<u64>,
}

impl NameServer {
    /// Prepares one that is not running yet.
    pub(crate) fn prepare(kind: Kind) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let server = Self { kind, directory, address: free_address(kind), process: None, ahead_s: None };
        fs::write(server.path("key"), key_file("leveret", "hmac-sha256", SECRET)).expect("written");
        fs::write(server.path("conf"), server.configuration()).expect("written");
        server.restore();
        server
    }

    pub(crate) fn start(kind: Kind) -> Self {
        let mut server = Self::prepare(kind);
        server.run();
        server
    }

    /// One whose clock is ahead. Knot alone: BIND does not run with a clock that is preloaded.
    pub(crate) fn start_ahead(seconds: u64) -> Self {
        let mut server = Self::prepare(Kind::Knot);
        server.ahead_s = Some(seconds);
        server.run();
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The key file of the key that may change the zone.
    pub(crate) fn key(&self) -> String {
        self.path("key").display().to_string()
    }

    /// A key file of the same name with another secret.
    pub(crate) fn wrong_key(&self) -> String {
        let path = self.path("wrong-key");
        let secret = SECRET.replace("MTIz", "OTk5");
        fs::write(&path, key_file("leveret", "hmac-sha256", &secret)).expect("written");
        path.display().to_string()
    }

    /// The zone as it was at first; nothing is left of what was registered.
    pub(crate) fn restore(&self) {
        assert!(self.process.is_none(), "a running server has its own idea of the zone");
        let (ip, zone) = (self.address.ip(), ZONE);
        let records = format!(
            "$TTL 60\n$ORIGIN {zone}.\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A {ip}\nother A 192.0.2.7\n"
        );
        for file in fs::read_dir(self.directory.path()).expect("a directory").flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.ends_with(".jnl") || name.starts_with("zone") {
                fs::remove_file(file.path()).expect("removed");
            }
        }
        for directory in ["journal", "timers", "keys", "catalog"] {
            let _ = fs::remove_dir_all(self.path(directory));
        }
        fs::write(self.path("zone"), records).expect("written");
    }

    fn configuration(&self) -> String {
        let (directory, ip, port) = (self.directory.path().display(), self.address.ip(), self.address.port());
        match self.kind {
            Kind::Bind => format!(
                r#"options {{
    directory "{directory}"; pid-file "{directory}/pid"; session-keyfile "{directory}/session";
    listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; notify no;
}};
controls {{ }};
include "{directory}/key";
zone "{ZONE}" {{ type primary; file "zone"; update-policy {{ grant leveret zonesub ANY; }}; }};
"#
            ),
            Kind::Knot => format!(
                r#"server:
    rundir: "{directory}"
    listen: {ip}@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{directory}"
    journal-db-max-size: 16M
    timer-db-max-size: 1M
key:
  - id: leveret
    algorithm: hmac-sha256
    secret: {SECRET}
acl:
  - id: register
    key: leveret
    action: update
zone:
  - domain: {ZONE}
    storage: "{directory}"
    file: zone
    acl: register
"#
            ),
        }
    }

    /// Starts it and waits until it answers.
    pub(crate) fn run(&mut self) {
        let mut command = Command::new(self.kind.program());
        match self.kind {
            Kind::Bind => command.args(["-g", "-n", "1", "-c"]).arg(self.path("conf")),
            Kind::Knot => command.arg("-c").arg(self.path("conf")),
        };
        if let Some(ahead) = self.ahead_s {
            command.env("LD_PRELOAD", FAKETIME).env("FAKETIME", format!("+{ahead}s"));
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let log = fs::File::create(self.path("log")).expect("a file");
        command.stdout(log.try_clone().expect("a descriptor")).stderr(Stdio::from(log));
        self.process = Some(command.spawn().expect("it runs"));
        let deadline = Instant::now() + PATIENCE;
        while self.ask(ZONE, RecordType::SOA).is_none_or(|records| records.is_empty()) {
            let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{:?} does not answer: {}", self.kind, log());
        }
    }

    /// Kills it: nothing is written any more.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }

    /// The values of records; nothing if it does not answer.
    fn ask(&self, name: &str, kind: RecordType) -> Option<Vec<String>> {
        let mut query = Message::query();
        query.add_query(Query::query(absolute(name), kind));
        let reply = self.exchange(&query.to_vec().expect("a message"))?;
        let records = reply.answers.iter().filter(|record| record.record_type() == kind);
        let mut values: Vec<String> = records.map(|record| record.data.to_string()).collect();
        values.sort();
        Some(values)
    }

    fn exchange(&self, message: &[u8]) -> Option<Message> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(ASK_AGAIN)).expect("a time");
        socket.send_to(message, self.address).ok()?;
        let mut reply = [0; 4_096];
        let (length, _) = socket.recv_from(&mut reply).ok()?;
        Message::from_vec(&reply[..length]).ok()
    }

    /// The values of a name's records, in order.
    pub(crate) fn records(&self, name: &str, kind: RecordType) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(values) = self.ask(name, kind) {
                return values;
            }
            assert!(Instant::now() < deadline, "{:?} does not answer", self.kind);
        }
    }

    /// What a neighbour does: adds or deletes an address by value.
    pub(crate) fn update(&self, name: &str, address: &str, add: bool) {
        let address = address.parse().expect("an address");
        let mut record = Record::from_rdata(absolute(name), 5, RData::A(address));
        if !add {
            (record.dns_class, record.ttl) = (hickory_proto::rr::DNSClass::NONE, 0);
        }
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.add_query(Query::query(absolute(ZONE), RecordType::SOA));
        message.add_authority(record);
        let key = TSigner::new(SECRET_BYTES.to_vec(), TsigAlgorithm::HmacSha256, absolute("leveret"), 300);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs();
        message.finalize(&key.expect("a key"), since_1970).expect("signed");
        let bytes = message.to_vec().expect("a message");
        let deadline = Instant::now() + PATIENCE;
        while self.exchange(&bytes).is_none_or(|reply| reply.metadata.response_code != ResponseCode::NoError)
        {
            assert!(Instant::now() < deadline, "{:?} takes no update", self.kind);
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_str(name).expect("a name");
    name.set_fqdn(true);
    name
}

fn key_file(name: &str, algorithm: &str, secret: &str) -> String {
    format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{secret}\";\n}};\n")
}

/// An address with a port that is free for datagrams and connections; if the server can, it is of this process
/// and this server alone.
fn free_address(kind: Kind) -> SocketAddr {
    if kind == Kind::Bind {
        // it listens on addresses that an interface has, and on no other of the loopback network
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        return listener.local_addr().expect("an address");
    }
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, high | 1, low, NEXT.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((ip, 0)).expect("a port");
    listener.local_addr().expect("an address")
}
