//! The driver of HAProxy (2.6 or later): it keeps the servers of one backend as the instances of one service
//! are, through the Runtime API of a stats socket at level admin.
//!
//! Read first: [`plan`], which compares what is with what should be. Level-triggered: on each change of the
//! table, and each second, it reads the backend and says what is missing, so a lost reply or a reload needs
//! no special case. Invariant: a driver enters the slot of an instance before HAProxy hears of it, and leaves
//! when HAProxy has no session there any more; so the door's acknowledgement of a drain counts HAProxy's
//! requests too.

mod plan;
mod replies;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use leveret_model::limits::{DRIVER_EVERY, DRIVER_REPLY_BYTES_MAX, DRIVER_TIMEOUT};
use leveret_services::Slot;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use self::plan::{Mode, Wanted};
use self::replies::Server;
use crate::config::HaproxyConfig;
use crate::shared::{Shared, stopped};

/// A place at an instance that HAProxy's requests have.
struct Held {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.slot.leave() {
            self.shared.drained.notify_one();
        }
    }
}

struct Driver {
    config: HaproxyConfig,
    shared: Arc<Shared>,
    /// By the server's name.
    held: BTreeMap<String, Held>,
    /// Of HAProxy's process; another one starts afresh.
    pid: Option<u32>,
    /// What was said last, so that it is not said each second.
    trouble: String,
}

/// Drives until the door ends.
pub(crate) async fn drive(config: HaproxyConfig, shared: Arc<Shared>) {
    let mut versions = shared.versions.subscribe();
    let stop = stopped(shared.stopping());
    tokio::pin!(stop);
    let mut driver = Driver {
        config,
        shared: Arc::clone(&shared),
        held: BTreeMap::new(),
        pid: None,
        trouble: String::new(),
    };
    loop {
        // Before the first snapshot nobody is known, and nobody may be removed.
        if *versions.borrow_and_update() > 0 {
            driver.turn().await;
        }
        // While something stops its end is looked for more often: somebody waits for it.
        let pause = if driver.stops() { Duration::from_millis(20) } else { DRIVER_EVERY };
        tokio::select! {
            _ = versions.changed() => {}
            () = tokio::time::sleep(pause) => {}
            () = &mut stop => return,
        }
    }
}

impl Driver {
    /// Compares and acts once.
    async fn turn(&mut self) {
        match self.try_turn().await {
            Ok(()) => {
                if !self.trouble.is_empty() {
                    tracing::info!(socket = %self.config.socket.display(), "HAProxy is driven again");
                    self.trouble.clear();
                }
            }
            Err(error) => {
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
                    // Its process is gone, and its requests with it.
                    self.held.clear();
                    self.pid = None;
                }
                let trouble = error.to_string();
                if trouble != self.trouble {
                    let socket = self.config.socket.display();
                    tracing::warn!(%socket, backend = self.config.backend, "HAProxy is not driven: {trouble}");
                    self.trouble = trouble;
                }
            }
        }
        let said = if self.trouble.is_empty() {
            format!("{} servers at process {}", self.held.len(), self.pid.unwrap_or_default())
        } else {
            self.trouble.clone()
        };
        let name = format!("haproxy {} {}", self.config.socket.display(), self.config.backend);
        self.shared.driver_says(name, said);
    }

    async fn try_turn(&mut self) -> io::Result<()> {
        let pid = replies::pid(&self.ask("show info").await?)?;
        if self.pid.replace(pid).is_some_and(|before| before != pid) {
            tracing::info!(pid, "HAProxy was reloaded: its servers are added again");
        }
        let servers = self.servers().await?;
        self.enter_new();
        let wanted = self.wanted();
        let commands = plan::plan(&self.config.backend, &servers, &wanted);
        for command in &commands {
            let reply = self.ask(command).await?;
            plan::check(command, &reply)?;
        }
        // Read again: what has no session now had its last one before the maintenance took effect.
        let servers = self.servers().await?;
        self.leave_drained(&servers);
        Ok(())
    }

    async fn servers(&self) -> io::Result<Vec<Server>> {
        let states = self.ask(&format!("show servers state {}", self.config.backend)).await?;
        let stats = self.ask(&format!("show stat {} 4 -1", self.config.backend)).await?;
        replies::servers(&states, &stats)
    }

    /// Enters the slots of instances that are routed and not held yet.
    fn enter_new(&mut self) {
        let snapshot = self.shared.snapshot.load();
        let Some(view) = snapshot.service(&self.config.service) else { return };
        for candidate in view.candidates.iter().filter(|candidate| !candidate.sessions_only) {
            let name = plan::server_name(candidate);
            let known = self.held.get(&name).is_some_and(|held| Arc::ptr_eq(&held.slot, &candidate.slot));
            // Another boot of the name: the old one is drained and deleted first.
            if known || self.held.contains_key(&name) || !candidate.slot.enter(false, 0) {
                continue;
            }
            let slot = Arc::clone(&candidate.slot);
            self.held.insert(name, Held { slot, shared: Arc::clone(&self.shared) });
        }
    }

    /// What HAProxy should have.
    fn wanted(&self) -> Vec<Wanted> {
        let snapshot = self.shared.snapshot.load();
        let candidates =
            snapshot.service(&self.config.service).map(|view| view.candidates.as_slice()).unwrap_or_default();
        let wanted = |(name, held): (&String, &Held)| {
            let candidate = candidates.iter().find(|candidate| Arc::ptr_eq(&candidate.slot, &held.slot));
            let mode = match candidate {
                Some(candidate) if candidate.sessions_only => Mode::Sessions,
                Some(candidate) => Mode::Serve { address: candidate.address, weight: candidate.weight },
                None => Mode::Stop,
            };
            Wanted { name: name.clone(), mode }
        };
        self.held.iter().map(wanted).collect()
    }

    /// Leaves the slots of instances that HAProxy sends nothing to any more.
    fn leave_drained(&mut self, servers: &[Server]) {
        let wanted = self.wanted();
        for Wanted { name, mode } in wanted {
            let server = servers.iter().find(|server| server.name == name);
            let over = server.is_none_or(|server| server.maint && server.sessions == 0);
            if mode == Mode::Stop && over {
                self.held.remove(&name);
            }
        }
    }

    fn stops(&self) -> bool {
        self.wanted().iter().any(|wanted| wanted.mode == Mode::Stop)
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
        match tokio::time::timeout(DRIVER_TIMEOUT, exchange).await {
            Ok(reply) => reply,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "its socket does not answer")),
        }
    }
}
