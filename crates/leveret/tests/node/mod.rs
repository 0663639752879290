//! A node as a process of its own, for tests that need real ones.

#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const LEVERET: &str = env!("CARGO_BIN_EXE_leveret");
/// Between two looks at something that a node does by itself.
const LOOK: Duration = Duration::from_millis(20);
/// A node that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running node, killed when it goes.
pub(crate) struct Node {
    process: Child,
    pub(crate) banner: Vec<String>,
    directory: PathBuf,
    log: Arc<Mutex<String>>,
}

impl Node {
    /// Starts one on free ports of 127.0.0.1 and reads its banner up to `ready`.
    pub(crate) fn start(directory: &Path, more: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", directory, more)
    }

    /// The same with an address for other nodes.
    pub(crate) fn start_at(cluster: &str, directory: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(LEVERET);
        command.args(["serve", "--listen", "127.0.0.1:0", "--cluster-listen", cluster, "--data-dir"]);
        command.arg(directory).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program runs");
        let log = Arc::new(Mutex::new(String::new()));
        let (written, mut stderr) = (Arc::clone(&log), process.stderr.take().expect("piped"));
        thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut block) {
                let text = String::from_utf8_lossy(&block[..length]);
                written.lock().expect("nobody panics with it").push_str(&text);
            }
        });
        let mut node = Self { process, banner: Vec::new(), directory: directory.to_owned(), log };
        for line in BufReader::new(node.process.stdout.take().expect("piped")).lines() {
            node.banner.push(line.expect("UTF-8"));
            if node.banner.last().is_some_and(|line| line == "ready") {
                return node;
            }
        }
        panic!("the node ended: {:?} {}", node.banner, node.log());
    }

    fn fact(&self, name: &str) -> &str {
        let fact = self.banner.iter().find_map(|line| line.strip_prefix(name));
        fact.unwrap_or_else(|| panic!("no {name}: {:?}", self.banner))
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}/", self.fact("listening for AMQP on "))
    }

    pub(crate) fn cluster(&self) -> &str {
        self.fact("listening for cluster on ")
    }

    /// The port for other nodes.
    pub(crate) fn cluster_port(&self) -> &str {
        self.cluster().rsplit_once(':').expect("an address").1
    }

    pub(crate) fn pid(&self) -> String {
        self.process.id().to_string()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it").clone()
    }

    /// How many lines of its log contain that.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Cluster addresses of the nodes that it sees alive, itself included, in order.
    pub(crate) fn members(&self) -> Vec<String> {
        let mut command = Command::new(LEVERET);
        let output = command.args(["status", "--json", "--data-dir"]).arg(&self.directory).output();
        let status: Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("a document");
        let nodes = status["nodes"].as_array().expect("nodes");
        let alive =
            nodes.iter().filter(|node| node["standing"] == "alive" || node["standing"] == "this node");
        let mut addresses: Vec<String> =
            alive.map(|node| node["address"].as_str().expect("an address").to_owned()).collect();
        addresses.sort();
        addresses
    }

    /// Waits until it sees these nodes alive, itself included.
    pub(crate) fn wait_for_members(&self, mut expected: Vec<&str>) {
        expected.sort_unstable();
        wait_until(|| self.members() == expected, || format!("{:?}: {}", self.members(), self.log()));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Looks again and again until something has come true by itself.
pub(crate) fn wait_until(mut true_now: impl FnMut() -> bool, say: impl FnOnce() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !true_now() {
        if Instant::now() > deadline {
            panic!("in vain: {}", say());
        }
        thread::park_timeout(LOOK);
    }
}
