//! The driver of HAProxy (2.6 or later): it keeps the servers of one backend as the instances of one service
//! are, through the Runtime API of a stats socket at level admin.
//!
//! Read first: [`crate::driver`], and [`plan`], which compares what is with what should be.

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

/// One backend of one HAProxy.
pub(crate) struct Haproxy {
    config: HaproxyConfig,
    /// Of HAProxy's process; another one starts afresh.
    pid: Option<u32>,
}

impl Haproxy {
    pub(crate) fn new(config: HaproxyConfig) -> Self {
        Self { config, pid: None }
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
        let pid = replies::pid(&self.ask("show info").await?)?;
        if self.pid.replace(pid).is_some_and(|before| before != pid) {
            tracing::info!(pid, "HAProxy was reloaded: its servers are added again");
        }
        let servers = self.servers().await?;
        places.enter_new(|candidate| self.member_name(candidate));
        let commands = plan::plan(&self.config.backend, &servers, &places.wanted());
        for command in &commands {
            let reply = self.ask(command).await?;
            plan::check(command, &reply)?;
        }
        // Read again: what has no session now had its last one before the maintenance took effect.
        let servers = self.servers().await?;
        places.leave_drained(|name| {
            let server = servers.iter().find(|server| server.name == name);
            server.is_none_or(|server| server.maint && server.sessions == 0)
        });
        Ok(format!("{} servers at process {pid}", places.len()))
    }

    fn forget(&mut self) {
        self.pid = None;
    }
}
