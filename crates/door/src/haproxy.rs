//! The driver of HAProxy (2.6 or later): it keeps the servers of one backend as the instances of one service
//! are, through the Runtime API of a stats socket at level admin.
//!
//! Read first: [`crate::driver`], and [`plan`], which compares what is with what should be.

pub(crate) mod fuzzing;
mod plan;
mod replies;

use std::io;

use leveret_model::limits::{DRIVER_REPLY_BYTES_MAX, DRIVER_TIMEOUT};
use leveret_services::Candidate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use self::replies::Server;
use crate::config::HaproxyConfig;
use crate::driver::{Driver, Places, in_time};
use crate::predecessors::{Predecessors, Process};

/// What `/proc` calls HAProxy.
const PROGRAMS: &[&str] = &["haproxy"];

/// One backend of one HAProxy.
pub(crate) struct Haproxy {
    config: HaproxyConfig,
    /// Of HAProxy's process; another one starts afresh.
    pid: Option<u32>,
    /// The same, if it can be watched from here.
    process: Option<Process>,
    predecessors: Predecessors,
}

impl Haproxy {
    pub(crate) fn new(config: HaproxyConfig) -> Self {
        Self { config, pid: None, process: None, predecessors: Predecessors::default() }
    }

    async fn pid(&self) -> io::Result<u32> {
        replies::pid(&self.ask("show info").await?)
    }

    /// A reload leaves the old process with its requests, and nobody's counters show them.
    fn notice_reload(&mut self, pid: u32, places: &Places) {
        match self.pid.replace(pid) {
            Some(before) if before == pid => return,
            Some(_) => tracing::info!(pid, "HAProxy was reloaded: its servers are added again"),
            None => {}
        }
        self.predecessors.add(self.process.take(), &places.names());
        self.process = Process::find(pid, PROGRAMS);
    }

    async fn servers(&self) -> io::Result<Vec<Server>> {
        let states = self.ask(&format!("show servers state {}", self.config.backend)).await?;
        let stats = self.ask(&format!("show stat {} 4 -1", self.config.backend)).await?;
        replies::servers(&states, &stats)
    }

    /// One command, one connection: the socket's default.
    async fn ask(&self, command: &str) -> io::Result<String> {
        let exchange = async {
            let mut socket = UnixStream::connect(&self.config.socket).await?;
            socket.write_all(format!("{command}\n").as_bytes()).await?;
            let mut reply = Vec::new();
            socket.take(DRIVER_REPLY_BYTES_MAX).read_to_end(&mut reply).await?;
            Ok(String::from_utf8_lossy(&reply).into_owned())
        };
        in_time(DRIVER_TIMEOUT, exchange, "its socket does not answer").await
    }
}

impl Driver for Haproxy {
    fn name(&self) -> String {
        format!("haproxy {} {}", self.config.socket.display(), self.config.backend)
    }

    fn member_name(&self, candidate: &Candidate) -> String {
        plan::server_name(candidate)
    }

    async fn turn(&mut self, places: &mut Places) -> io::Result<String> {
        let pid = self.pid().await?;
        self.notice_reload(pid, places);
        let servers = self.servers().await?;
        places.enter_new(|candidate| self.member_name(candidate));
        let commands = plan::plan(&self.config.backend, &servers, &places.wanted());
        for command in &commands {
            let reply = self.ask(command).await?;
            plan::check(command, &reply)?;
        }
        // Read again: what has no session now had its last one before the maintenance took effect.
        let servers = self.servers().await?;
        // If it was reloaded meanwhile, the look was at a process that knows nothing of the requests.
        self.notice_reload(self.pid().await?, places);
        if self.pid == Some(pid) {
            self.predecessors.look();
            places.leave_drained(|name| {
                let server = servers.iter().find(|server| server.name == name);
                server.is_none_or(|server| server.maint && server.sessions == 0)
                    && !self.predecessors.know(name)
            });
        }
        let mut said = format!("{} servers at process {pid}", places.len());
        if self.predecessors.len() > 0 {
            said.push_str(&format!("; {} before it still ends", self.predecessors.len()));
        }
        Ok(said)
    }

    fn on_gone(&mut self, places: &mut Places) {
        // After a soft stop nobody listens, and the requests that were there go on.
        self.predecessors.add(self.process.take(), &places.names());
        self.pid = None;
        self.predecessors.look();
        places.leave_unless(|name| self.predecessors.know(name));
    }
}
