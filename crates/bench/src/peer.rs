//! Who is measured: brokers by URL, and the relay, started here as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::args::PeerArgs;
use super::client::Client;
use super::process::Usage;
use super::rounds::Labelled;
use super::url::Url;

/// The relay's label.
pub(super) const RELAY: &str = "relay";

/// A server that is measured.
pub(super) struct Peer {
    /// `A`, `B` or `relay`.
    pub(super) label: &'static str,
    /// Which of the URLs it is; the relay comes behind them.
    pub(super) index: usize,
    /// Where it is.
    pub(super) url: Url,
    /// Where publishers connect: there, or at another node of the same broker.
    pub(super) publish_url: Url,
    /// Its processes; empty if unknown.
    pub(super) pids: Vec<u32>,
    /// Its name and version.
    pub(super) server: String,
    /// Where a leveret node keeps its admin socket.
    pub(super) data_dir: Option<PathBuf>,
    /// Keeps the relay alive.
    _process: Option<RelayProcess>,
}

impl Labelled for Peer {
    fn label(&self) -> &'static str {
        self.label
    }
}

impl Peer {
    /// The peers that were asked for, each reached once.
    pub(super) fn all(args: &PeerArgs) -> Result<Vec<Self>> {
        ensure!(args.url.len() <= 2, "one or two --url can be compared, not {}", args.url.len());
        ensure!(args.pid.len() <= args.url.len(), "there are more --pid than --url");
        ensure!(args.data_dir.len() <= args.url.len(), "there are more --data-dir than --url");
        ensure!(args.publish_url.len() <= args.url.len(), "there are more --publish-url than --url");
        let mut peers = Vec::new();
        for (index, (url, label)) in args.url.iter().zip(["A", "B"]).enumerate() {
            let pids = args.pid.get(index).cloned().unwrap_or_default().0;
            Usage::of(&pids)?;
            let mut peer = Self::new(label, url.clone(), pids, args.data_dir.get(index).cloned(), None)?;
            peer.index = index;
            if let Some(url) = args.publish_url.get(index) {
                peer.publish_url = url.clone();
            }
            peers.push(peer);
        }
        if !args.no_relay {
            let process = RelayProcess::spawn()?;
            let (url, pids) = (process.url.clone(), vec![process.child.id()]);
            let relay = Self::new(RELAY, url, pids, None, Some(process))?;
            peers.push(Self { index: args.url.len(), ..relay });
        }
        Ok(peers)
    }

    /// One server; an error if it cannot be reached.
    pub(super) fn new(
        label: &'static str,
        url: Url,
        pids: Vec<u32>,
        data_dir: Option<PathBuf>,
        process: Option<RelayProcess>,
    ) -> Result<Self> {
        let client = Client::connect(&url, 0)?;
        let server = client.server.clone();
        client.close()?;
        let publish_url = url.clone();
        Ok(Self { label, index: 0, url, publish_url, pids, server, data_dir, _process: process })
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        if self.publish_url == self.url {
            self.url.to_string()
        } else {
            format!("{}, published at {}", self.url, self.publish_url)
        }
    }

    /// What its processes have used.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(&self.pids)
    }

    /// Messages routed and messages that crossed shards so far, if the broker tells.
    ///
    /// `leveret status --json` has them, of the node that is asked, as `messages.routed` and
    /// `messages.crossed_shards`.
    pub(super) fn crossings(&self) -> Option<(u64, u64)> {
        let directory = self.data_dir.as_ref()?;
        let program = std::env::current_exe().ok()?;
        let output = Command::new(program)
            .args(["status", "--json", "--data-dir"])
            .arg(directory)
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let number = |name: &str| status.pointer(name).and_then(serde_json::Value::as_u64);
        number("/messages/routed").zip(number("/messages/crossed_shards"))
    }
}

/// The relay in a process of its own; ends with this value.
pub(super) struct RelayProcess {
    child: Child,
    url: Url,
}

impl RelayProcess {
    fn spawn() -> Result<Self> {
        let program =
            std::env::current_exe().context("the relay is this program again, which cannot be found")?;
        let mut child = Command::new(program)
            .args(["bench", "relay", "--with-parent", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the relay cannot be started; --no-relay leaves it out")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let port = line.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let Some(port) = port else {
            _ = child.kill();
            _ = child.wait();
            bail!("the relay did not come up; --no-relay leaves it out");
        };
        Ok(Self { child, url: Url::loopback(port) })
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        // already gone is as good
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
