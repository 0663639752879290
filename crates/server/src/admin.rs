//! The admin socket: one line in, one JSON document out, then the end.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use leveret_cluster::{Event as ClusterEvent, Standing, Status};
use leveret_model::{Instant, NodeId, ShardId, limits};
use leveret_shard::{Pressure, ShardReport};
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use serde_json::{Value, json};
use tracing::debug;

use crate::clock;
use crate::mailbox::MailTo;
use crate::memory::NodeMemory;
use crate::shard_thread::ToShardThread;

/// What does not change while the node runs.
#[derive(Debug)]
pub(crate) struct NodeFacts {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) listen: SocketAddr,
    pub(crate) cluster_listen: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) started: Instant,
}

#[derive(Debug)]
struct Asker {
    stream: UnixStream,
    request: Vec<u8>,
    reply: Vec<u8>,
    /// Waits for the shards' reports.
    waits: bool,
    /// Answered: the connection ends once the reply is written.
    answered: bool,
}

/// The admin socket of a node.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: UnixListener,
    token_base: usize,
    facts: NodeFacts,
    memory: Arc<NodeMemory>,
    shards: Vec<MailTo<ToShardThread>>,
    askers: BTreeMap<usize, Asker>,
    next: usize,
    /// Reports of the round under way.
    reports: BTreeMap<ShardId, ShardReport>,
    round: bool,
    /// Queues of this node that lost their names since its start: what they are called now, and what they were.
    renamed: BTreeMap<String, String>,
}

impl Admin {
    pub(crate) fn new(
        listener: UnixListener,
        token_base: usize,
        facts: NodeFacts,
        memory: Arc<NodeMemory>,
        shards: Vec<MailTo<ToShardThread>>,
    ) -> Self {
        Self {
            listener,
            token_base,
            facts,
            memory,
            shards,
            askers: BTreeMap::new(),
            next: 0,
            reports: BTreeMap::new(),
            round: false,
            renamed: BTreeMap::new(),
        }
    }

    /// Remembers what `status` is to say of it.
    pub(crate) fn on_event(&mut self, event: &ClusterEvent) {
        if let ClusterEvent::MergeLost { name, renamed, .. } = event {
            self.renamed.insert(renamed.to_string(), name.to_string());
        }
    }

    /// Takes new connections.
    pub(crate) fn accept(&mut self, registry: &Registry) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            if self.askers.len() >= limits::ADMIN_CONNECTIONS_MAX {
                continue;
            }
            let token = self.token_base + self.next;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if registry.register(&mut stream, Token(token), interest).is_ok() {
                self.next += 1;
                let asker =
                    Asker { stream, request: Vec::new(), reply: Vec::new(), waits: false, answered: false };
                self.askers.insert(token, asker);
                self.on_socket(token);
            }
        }
    }

    /// A connection is readable or writable.
    pub(crate) fn on_socket(&mut self, token: usize) {
        let Some(asker) = self.askers.get_mut(&token) else { return };
        match asker.go_on() {
            Ok(None) if asker.answered && asker.reply.is_empty() => {
                self.askers.remove(&token);
            }
            Ok(None) => {}
            Ok(Some(line)) if line == "status" => {
                asker.waits = true;
                self.ask();
            }
            Ok(Some(line)) => {
                let error = json!({ "error": format!("unknown request '{line}'; this node knows: status") });
                asker.answer(&error);
                self.end_answered();
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    debug!(%error, "an admin connection ended");
                }
                self.askers.remove(&token);
            }
        }
    }

    /// Asks every shard, unless a round is under way.
    fn ask(&mut self) {
        if !std::mem::replace(&mut self.round, true) {
            self.reports.clear();
            for shard in &self.shards {
                shard.send(ToShardThread::Report);
            }
        }
    }

    /// A shard told; when all have, the askers are answered.
    pub(crate) fn on_report(&mut self, shard: ShardId, report: ShardReport, status: impl FnOnce() -> Status) {
        self.reports.insert(shard, report);
        if self.reports.len() < self.shards.len() {
            return;
        }
        self.round = false;
        let status = status();
        self.forget_renamed(&status);
        let document = self.document(&status);
        for asker in self.askers.values_mut().filter(|asker| asker.waits) {
            asker.waits = false;
            asker.answer(&document);
        }
        self.end_answered();
    }

    /// Those that were deleted meanwhile.
    fn forget_renamed(&mut self, status: &Status) {
        if !self.renamed.is_empty() {
            let names: BTreeSet<&str> =
                status.queues.iter().map(|queue| queue.record.name.as_str()).collect();
            self.renamed.retain(|renamed, _| names.contains(renamed.as_str()));
        }
    }

    fn end_answered(&mut self) {
        self.askers.retain(|_, asker| !asker.answered || !asker.reply.is_empty());
    }

    fn document(&self, status: &Status) -> Value {
        let queues = self.queues(status);
        let connections: Vec<Value> = self
            .reports
            .iter()
            .flat_map(|(shard, report)| report.connections.iter().map(move |connection| (shard, connection)))
            .map(|(shard, connection)| {
                json!({
                    "name": connection.name, "user": connection.user.as_str(), "vhost": connection.vhost.as_str(),
                    "channels": connection.channels, "state": connection.state, "shard": shard.0,
                })
            })
            .collect();
        let own = json!({
            "id": self.facts.id.to_string(), "name": self.facts.name, "standing": "this node",
            "address": self.facts.cluster_listen,
        });
        let others = status.nodes.iter().map(|node| {
            let standing = match node.standing {
                Standing::Alive if node.ready => "alive",
                Standing::Alive => "joining",
                Standing::Unreachable => "unreachable",
                Standing::Down { .. } => "down",
            };
            json!({
                "id": node.node.to_string(), "name": node.name.as_str(), "standing": standing,
                "address": node.address,
            })
        });
        let nodes: Vec<Value> = std::iter::once(own).chain(others).collect();
        let sum = |of: fn(&leveret_shard::Traffic) -> u64| -> u64 {
            self.reports.values().map(|report| of(&report.traffic)).sum()
        };
        json!({
            "node": {
                "id": self.facts.id.to_string(), "name": self.facts.name, "version": env!("CARGO_PKG_VERSION"),
                "uptime_s": clock::now().since(self.facts.started).as_secs(),
                "listen": self.facts.listen.to_string(), "cluster_listen": self.facts.cluster_listen,
                "data_dir": self.facts.data_dir,
            },
            "nodes": nodes, "queues": queues, "connections": connections,
            "memory": { "used": self.memory.used(), "limit": self.memory.limit() },
            "messages": {
                "routed": sum(|traffic| traffic.published_here + traffic.published_away),
                "crossed_shards": sum(|traffic| traffic.published_away),
                "unroutable": sum(|traffic| traffic.unroutable),
                "given_up": sum(|traffic| traffic.given_up),
            },
            "warnings": self.warnings(),
        })
    }

    /// This node's queues with their counts, then those that live elsewhere: only their homes can count them.
    fn queues(&self, status: &Status) -> Vec<Value> {
        let own = self.reports.values().flat_map(|report| &report.queues).map(|queue| {
            json!({
                "name": queue.name.as_str(), "vhost": queue.vhost.as_str(), "home": queue.home.node.to_string(),
                "shard": queue.home.shard.0, "ready": queue.ready, "unacked": queue.unacked,
                "consumers": queue.consumers, "durable": queue.durable, "away": false,
            })
        });
        let elsewhere = status.queues.iter().filter(|queue| queue.record.home.node != self.facts.id);
        let elsewhere = elsewhere.map(|queue| {
            let record = &queue.record;
            json!({
                "name": record.name.as_str(), "vhost": record.vhost.as_str(), "home": record.home.node.to_string(),
                "shard": record.home.shard.0, "ready": null, "unacked": null, "consumers": null,
                "durable": record.durable, "away": queue.masked,
            })
        });
        own.chain(elsewhere).collect()
    }

    fn warnings(&self) -> Vec<Cow<'static, str>> {
        let mut warnings: Vec<Cow<'static, str>> =
            vec!["durable queues and persistent messages are kept in memory only".into()];
        for (renamed, name) in &self.renamed {
            let text =
                format!("two queues named '{name}' met, another keeps the name: ours is '{renamed}' now");
            warnings.push(text.into());
        }
        match self.memory.pressure() {
            Pressure::Calm => {}
            Pressure::Tight => warnings.push("memory is tight: publishers of long queues wait".into()),
            Pressure::Full => warnings.push("memory is full: all publishers wait".into()),
        }
        warnings
    }
}

impl Asker {
    fn answer(&mut self, document: &Value) {
        self.reply = document.to_string().into_bytes();
        self.reply.push(b'\n');
        self.answered = true;
        let _ = self.write();
    }

    /// Reads and writes what it can; a whole request line if there is one.
    fn go_on(&mut self) -> io::Result<Option<String>> {
        self.write()?;
        let mut buffer = [0; limits::ADMIN_REQUEST_BYTES_MAX];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.request.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(end) = self.request.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.request[..end]).trim().to_owned();
                self.request.drain(..=end);
                return Ok(Some(line));
            }
            if self.request.len() > limits::ADMIN_REQUEST_BYTES_MAX {
                return Err(io::Error::other("a request line without an end"));
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.reply.is_empty() {
            match self.stream.write(&self.reply) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.reply.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
