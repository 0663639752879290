//! A real name server for the demonstration: BIND's `named` or Knot's `knotd`, whichever is installed, with a
//! zone of its own in the demonstration's directory, at a port of loopback.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

/// The zone; `.test` is nobody's (RFC 6761).
const ZONE: &str = "demo.test";
/// What clients connect to.
const CLIENTS: &str = "mq.demo.test";
/// A question that is not answered for so long is asked again.
const ANSWER_WAIT: Duration = Duration::from_millis(300);
/// Name servers that are tried, in this order.
const PROGRAMS: [&str; 2] = ["/usr/sbin/named", "/usr/sbin/knotd"];

/// A name server: where it is, and where clients find the nodes that it names.
#[derive(Clone, Debug)]
pub(super) struct NameServer {
    directory: PathBuf,
    program: &'static str,
    address: SocketAddr,
    /// Of AMQP at every node: an address record says none.
    amqp_port: u16,
}

impl NameServer {
    /// Writes its files into that directory, which it makes.
    pub(super) fn prepare(directory: PathBuf) -> Result<Self> {
        let program = PROGRAMS.into_iter().find(|program| Path::new(program).exists());
        let program = program.context("no name server is here: install bind9 or knot, or leave --dns out")?;
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let (address, amqp_port) = (free()?, free()?.port());
        let server = Self { directory, program, address, amqp_port };
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).context("no random bytes for a key")?;
        let secret = data_encoding::BASE64.encode(&secret);
        let key = format!("key \"leveret\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{secret}\";\n}};\n");
        let zone = format!(
            "$TTL 5\n$ORIGIN {ZONE}.\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A {}\n",
            address.ip()
        );
        for (name, text) in [("key", key), ("zone", zone), ("conf", server.configuration(&secret))] {
            fs::write(server.directory.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        Ok(server)
    }

    fn configuration(&self, secret: &str) -> String {
        let (directory, ip, port) = (self.directory.display(), self.address.ip(), self.address.port());
        if self.program.ends_with("named") {
            return format!(
                "options {{ directory \"{directory}\"; pid-file \"{directory}/pid\"; session-keyfile \"{directory}/session\";\n\
                 listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};\n\
                 recursion no; dnssec-validation no; notify no; }};\ncontrols {{ }};\n\
                 include \"{directory}/key\";\n\
                 zone \"{ZONE}\" {{ type primary; file \"zone\"; update-policy {{ grant leveret zonesub ANY; }}; }};\n"
            );
        }
        format!(
            "server:\n    rundir: \"{directory}\"\n    listen: {ip}@{port}\n\
             database:\n    storage: \"{directory}\"\n    journal-db-max-size: 16M\n    timer-db-max-size: 1M\n\
             key:\n  - id: leveret\n    algorithm: hmac-sha256\n    secret: {secret}\n\
             acl:\n  - id: register\n    key: leveret\n    action: update\n\
             zone:\n  - domain: {ZONE}\n    storage: \"{directory}\"\n    file: zone\n    acl: register\n"
        )
    }

    /// What starts it in the foreground.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        if self.program.ends_with("named") {
            command.args(["-g", "-n", "1"]);
        }
        command.arg("-c").arg(self.directory.join("conf"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Waits until it answers.
    pub(super) fn wait_ready(&self, deadline: Instant) -> Result<()> {
        while self.ask(ZONE, RecordType::SOA).is_none_or(|reply| reply.answers.is_empty()) {
            ensure!(Instant::now() < deadline, "{} does not answer in time", self.program);
        }
        Ok(())
    }

    /// For people.
    pub(super) fn what(&self) -> String {
        format!("{} answers at {} for {ZONE}; clients connect to {CLIENTS}", self.program, self.address)
    }

    /// How node `number` registers itself and finds the others. Each has an address of its own.
    pub(super) fn arguments(&self, number: usize) -> Vec<String> {
        let ip = Ipv4Addr::new(127, 0, 0, 10 + number as u8);
        vec![
            format!("--listen={ip}:{}", self.amqp_port),
            format!("--cluster-listen={ip}:0"),
            format!("--dns-update={ZONE}"),
            // a group of its own would have another one by default
            format!("--dns-client-name={CLIENTS}"),
            format!("--dns-key-file={}", self.directory.join("key").display()),
            format!("--dns-primary={}", self.address),
        ]
    }

    /// Where clients may connect now.
    pub(super) fn clients(&self) -> Vec<SocketAddr> {
        let Some(reply) = self.ask(CLIENTS, RecordType::A) else { return Vec::new() };
        let mut found: Vec<IpAddr> =
            reply.answers.iter().filter_map(|record| record.data.ip_addr()).collect();
        // a server may turn them around with each answer
        found.sort_unstable();
        found.into_iter().map(|ip| SocketAddr::new(ip, self.amqp_port)).collect()
    }

    fn ask(&self, name: &str, kind: RecordType) -> Option<Message> {
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(format!("{name}.")).ok()?, kind));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        socket.set_read_timeout(Some(ANSWER_WAIT)).ok()?;
        socket.send_to(&query.to_vec().ok()?, self.address).ok()?;
        let mut reply = [0; 4_096];
        let (length, _) = socket.recv_from(&mut reply).ok()?;
        Message::from_vec(&reply[..length]).ok()
    }
}
