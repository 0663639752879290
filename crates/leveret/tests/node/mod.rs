//! A node as a process of its own, for tests that need real ones. Nothing sleeps: what is waited for is a line
//! of its banner or of its log, or what `status` says, and [`PATIENCE`] is only how long a test waits before it
//! gives up.
//!
//! A node that the system does not run for 1.2 s is taken for dead by the others, as it must be. Read then
//! [`unless_falsely_dead`].

#![allow(dead_code, reason = "each test that includes this uses a part of it")]

use std::cell::{Cell, RefCell};
use std::io::{BufRead as _, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) const LEVERET: &str = env!("CARGO_BIN_EXE_leveret");
/// A node that takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a node has logged so far.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

/// A node's members are asked for again after this, if its log does not grow before.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Runs that a test gets when neighbours on the machine make nodes look dead.
const RUNS_MAX: usize = 5;

thread_local! {
    /// Logs of the nodes that this test has started.
    static LOGS: RefCell<Vec<Arc<Log>>> = const { RefCell::new(Vec::new()) };
    /// Nodes that it has killed on purpose.
    static KILLED: Cell<usize> = const { Cell::new(0) };
}

/// Runs a test that starts nodes of its own and expects that they hear each other all the time.
///
/// If a node was taken for dead that was not killed, what clients saw of it is legal too: consumers are
/// cancelled, messages go to no queue. A run that failed with such a verdict in a log proves nothing, so the
/// test starts over with new nodes. A run that failed without one is a failure at once.
pub(crate) fn unless_falsely_dead(run: impl Fn()) {
    for runs_left in (0..RUNS_MAX).rev() {
        LOGS.take();
        KILLED.set(0);
        match catch_unwind(AssertUnwindSafe(&run)) {
            Ok(()) => return,
            Err(panic) if runs_left == 0 || !somebody_was_falsely_dead() => resume_unwind(panic),
            Err(_) => eprintln!("a node that runs was taken for dead: once more with new nodes"),
        }
    }
}

/// Whoever is killed does not come back, and has one line in each log.
fn somebody_was_falsely_dead() -> bool {
    let lines_with = |log: &Log, text| log.lock().iter().filter(|line| line.contains(text)).count();
    let told = |log: &Arc<Log>| {
        lines_with(log, "a node is down") > KILLED.get() || lines_with(log, "a node is back") > 0
    };
    LOGS.with_borrow(|logs| logs.iter().any(told))
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().expect("nobody panics with it")
    }
}

/// A running node, killed when it goes.
pub(crate) struct Node {
    process: Child,
    pub(crate) banner: Vec<String>,
    directory: PathBuf,
    log: Arc<Log>,
}

impl Node {
    /// Starts one on free ports of 127.0.0.1 and reads its banner up to `ready`.
    pub(crate) fn start(directory: &Path, more: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", directory, more)
    }

    /// The same with an address for other nodes.
    pub(crate) fn start_at(cluster: &str, directory: &Path, more: &[&str]) -> Self {
        Self::start_by(Command::new(LEVERET), cluster, directory, more)
    }

    /// The same by a command that runs the program with what comes behind.
    pub(crate) fn start_by(mut command: Command, cluster: &str, directory: &Path, more: &[&str]) -> Self {
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LEVERET_"))
        {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--cluster-listen", cluster, "--data-dir"]);
        command.arg(directory).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program runs");
        let log = Arc::new(Log::default());
        LOGS.with_borrow_mut(|logs| logs.push(Arc::clone(&log)));
        let (lines, stderr) = (Arc::clone(&log), process.stderr.take().expect("piped"));
        thread::spawn(move || gather(stderr, &lines));
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

    pub(crate) fn amqp(&self) -> &str {
        self.fact("listening for AMQP on ")
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}/", self.amqp())
    }

    pub(crate) fn cluster(&self) -> &str {
        self.fact("listening for cluster on ")
    }

    /// Where RESP clients connect.
    pub(crate) fn sessions(&self) -> &str {
        self.fact("listening for sessions on ")
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// SIGTERM; gives the exit code once it has ended.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = Pid::from_raw(self.process.id() as i32).expect("a process");
        kill_process(pid, Signal::TERM).expect("it is there");
        self.wait()
    }

    /// Somebody told it to stop; gives the exit code once it has ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        KILLED.set(KILLED.get() + 1);
        self.process.wait().expect("it is there").code()
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
        self.log.lock().join("\n")
    }

    /// How many lines of its log contain that.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until so many lines of its log contain all of these.
    pub(crate) fn wait_for_lines(&self, parts: &[&str], count: usize) {
        let fits = |line: &&String| parts.iter().all(|part| line.contains(part));
        let lines = self.log.lock();
        let too_few = |lines: &mut Vec<String>| lines.iter().filter(fits).count() < count;
        let waited = self.log.grown.wait_timeout_while(lines, PATIENCE, too_few);
        let (lines, timeout) = waited.expect("nobody panics with it");
        assert!(!timeout.timed_out(), "no {count} lines with {parts:?}: {lines:#?}");
    }

    /// What `leveret status --json` says.
    pub(crate) fn status(&self) -> Value {
        let mut command = Command::new(LEVERET);
        let output = command.args(["status", "--json", "--data-dir"]).arg(&self.directory).output();
        serde_json::from_slice(&output.expect("it runs").stdout).expect("a document")
    }

    /// Cluster addresses of the nodes that it sees alive, itself included, in order.
    pub(crate) fn members(&self) -> Vec<String> {
        let status = self.status();
        let nodes = status["nodes"].as_array().expect("nodes");
        let alive =
            nodes.iter().filter(|node| node["standing"] == "alive" || node["standing"] == "this node");
        let mut addresses: Vec<String> =
            alive.map(|node| node["address"].as_str().expect("an address").to_owned()).collect();
        addresses.sort();
        addresses
    }

    /// Waits until it sees these nodes alive and no others, itself included.
    pub(crate) fn wait_for_members(&self, mut expected: Vec<&str>) {
        expected.sort_unstable();
        let deadline = Instant::now() + PATIENCE;
        while self.members() != expected {
            assert!(Instant::now() < deadline, "{:?}, not {expected:?}: {}", self.members(), self.log());
            // each change of members is a line of the log
            let lines = self.log.lock();
            let _ = self.log.grown.wait_timeout(lines, LOOK_AGAIN).expect("nobody panics with it");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // after a failure it goes because the test is over
        if !thread::panicking() {
            KILLED.set(KILLED.get() + 1);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn gather(stderr: ChildStderr, log: &Log) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        log.lock().push(line);
        log.grown.notify_all();
    }
}
