//! A node as a child process, with its log at hand.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tempfile::TempDir;

use crate::PATIENCE;

/// What must never stand in a log: passwords and secrets that the tests use.
pub(crate) const SECRETS: [&str; 3] =
    ["not-the-password", "the-secret-of-this-group-0123456789", "the-secret-of-another-group-0123456789"];

/// Each end of a connection is a line: of so many in so little time only some are told of otherwise.
pub(crate) const EACH_END: [&str; 2] = ["--log-level", "info,leveret_server::client_log=debug"];

/// What a node has logged so far.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

/// A node, killed when it is dropped.
pub(crate) struct Node {
    process: Child,
    pub(crate) amqp: SocketAddr,
    pub(crate) cluster: SocketAddr,
    log: Arc<Log>,
    directory: TempDir,
}

impl Node {
    /// Starts a node of two shards in a group of its own, and waits until it takes clients.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_until("ready", arguments)
    }

    /// The same, and waits only until its standard output has a line that begins so.
    pub(crate) fn start_until(told: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LEVERET_"))
        {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"]);
        command.args(["--shards", "2", "--log-format", "human", "--data-dir"]).arg(directory.path());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program runs");
        let log = Arc::new(Log::default());
        let stderr = process.stderr.take().expect("piped");
        let lines = Arc::clone(&log);
        thread::spawn(move || gather(stderr, &lines));
        let mut amqp = None;
        let mut cluster = None;
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        loop {
            let line = lines.next().expect("the node runs until it says so").expect("UTF-8");
            let address = |name| Some(line.strip_prefix(name)?.parse().expect("an address"));
            amqp = address("listening for AMQP on ").or(amqp);
            cluster = address("listening for cluster on ").or(cluster);
            if line.starts_with(told) {
                break;
            }
        }
        let [amqp, cluster] = [amqp, cluster].map(|address| address.expect("named before"));
        Self { process, amqp, cluster, log, directory }
    }

    /// A file with a secret, beside the node's data.
    pub(crate) fn secret_file(directory: &TempDir, secret: &str) -> String {
        let path = directory.path().join("secret");
        std::fs::write(&path, secret).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Waits for a line that holds all of these.
    pub(crate) fn logs(&self, parts: &[&str]) {
        self.finds_in_log(|line| parts.iter().all(|part| line.contains(part)).then_some(()));
    }

    /// How many lines hold that so far.
    pub(crate) fn lines_with(&self, part: &str) -> usize {
        let lines = self.log.lines.lock().expect("nobody panics with the lock");
        lines.iter().filter(|line| line.contains(part)).count()
    }

    /// Waits for a line in which this is found.
    pub(crate) fn finds_in_log<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("nobody panics with the lock");
        loop {
            if let Some(found) = lines.iter().find_map(|line| find(line)) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no such line: {lines:#?}");
            lines = self.log.grown.wait_timeout(lines, left).expect("nobody panics with the lock").0;
        }
    }

    /// It gets so many descriptors beyond those that it has; gives how many it might have had.
    pub(crate) fn leave_descriptors(&self, more: usize) -> Rlimit {
        let numbers = std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("the node runs");
        let taken: BTreeSet<u64> =
            numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        let current = (0..).filter(|number| !taken.contains(number)).nth(more);
        self.limit_descriptors(Rlimit { current, ..getrlimit(Resource::Nofile) })
    }

    /// It may have so many descriptors; gives how many it might have had.
    pub(crate) fn limit_descriptors(&self, limit: Rlimit) -> Rlimit {
        prlimit(Some(Pid::from_child(&self.process)), Resource::Nofile, limit).expect("a child")
    }

    /// Memory of the process that is in RAM, bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        self.number_of("VmRSS:") * 1024
    }

    /// Descriptors that its table has room for.
    pub(crate) fn descriptors_ready(&self) -> u64 {
        self.number_of("FDSize:")
    }

    /// From proc(5)'s status.
    fn number_of(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("the node runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// What `leveret status --json` says.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = Command::new(env!("CARGO_BIN_EXE_leveret"))
            .args(["status", "--json", "--data-dir"])
            .arg(self.data_dir())
            .output()
            .expect("the program runs");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// The node still runs, and has logged no secret and no panic.
    pub(crate) fn assert_sound(&mut self) {
        assert_eq!(self.process.try_wait().expect("a child"), None, "the node ended");
        let lines = self.log.lines.lock().expect("nobody panics with the lock");
        let wrong = |line: &&String| line.contains("panic") || SECRETS.iter().any(|s| line.contains(s));
        assert_eq!(lines.iter().find(wrong), None);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn gather(stderr: ChildStderr, log: &Log) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        log.lines.lock().expect("nobody panics with the lock").push(line);
        log.grown.notify_all();
    }
}
