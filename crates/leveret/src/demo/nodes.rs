//! The nodes of the demonstration: child processes of this very binary, their banners and their last words.
//!
//! Invariant: no child and no directory outlives the demonstration, whether it ends well, with an error, with a
//! panic or by SIGINT or SIGTERM. Children are ended by the handle that started them, never by name.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use leveret_model::limits::STATUS_ANSWER_WAIT;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::name_server::NameServer;
use crate::status;

/// The child that is no node.
const NAME_SERVER: usize = 0;
/// Last log lines of a node that are kept.
const LOG_LINES_MAX: usize = 8;
/// Event loops of each node: two, so that messages also cross shards.
const SHARDS: &str = "2";
/// Of a socket's path: `sun_path` has 104 bytes on some systems, 108 on Linux (unix(7)), the last of them zero.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// In the demonstration's directory, at most.
const SOCKET: &str = "n9/admin.sock";

/// All nodes.
#[derive(Debug)]
pub(super) struct Nodes {
    kept: Arc<Kept>,
    started: usize,
    /// By which nodes find each other, instead of seeds.
    names: Option<NameServer>,
}

/// What must not stay behind.
#[derive(Debug)]
struct Kept {
    directory: PathBuf,
    children: Mutex<Children>,
}

#[derive(Debug, Default)]
struct Children {
    kids: Vec<Kid>,
    /// Everything is being put away: no more are started.
    closed: bool,
}

#[derive(Debug)]
struct Kid {
    number: usize,
    process: Child,
    log: Log,
}

type Log = Arc<Mutex<VecDeque<String>>>;

/// A node that was started and is not ready yet.
#[derive(Debug)]
pub(super) struct Starting {
    number: usize,
    lines: Receiver<String>,
    since: Instant,
}

/// A node that lets clients in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// From 1 on.
    pub(super) number: usize,
    /// Where clients connect.
    pub(super) amqp: SocketAddr,
    /// Where other nodes connect.
    pub(super) cluster: SocketAddr,
    /// Where RESP clients connect, if sessions are on.
    pub(super) sessions: Option<SocketAddr>,
    /// From exec to the last line of the banner.
    pub(super) took: Duration,
    /// Other nodes that it had joined by then.
    pub(super) joined: usize,
}

impl Nodes {
    /// Makes the directory and sees to it that everything is put away at the end.
    pub(super) fn gather() -> Result<Self> {
        let directory = directory(&std::env::temp_dir());
        fs::create_dir(&directory).with_context(|| {
            format!("cannot make the directory {}; set TMPDIR to where it can be", directory.display())
        })?;
        let kept = Arc::new(Kept { directory, children: Mutex::default() });
        let nodes = Self { kept: Arc::clone(&kept), started: 0, names: None };
        // A release build aborts on a panic, which runs no destructor.
        let (at_panic, usual) = (Arc::clone(&kept), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            drop(at_panic.put_away());
            usual(panic);
        }));
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals cannot be handled")?;
        thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Held to the end, so that the story neither starts another node nor complains about the dead
                // ones.
                let _closed = kept.put_away();
                std::process::exit(128 + signal);
            }
        });
        Ok(nodes)
    }

    /// Starts the next node with the cluster addresses of some others.
    pub(super) fn start(&mut self, seeds: &[SocketAddr]) -> Result<Starting> {
        self.start_with(seeds, &[])
    }

    /// The same with more flags.
    pub(super) fn start_with(&mut self, seeds: &[SocketAddr], more: &[&str]) -> Result<Starting> {
        self.started += 1;
        let number = self.started;
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(program);
        command.args(["serve", "--shards", SHARDS]);
        command.args(["--log-format", "human", "--name", &format!("node-{number}")]);
        command.args(["--group", &format!("demo-{}", std::process::id()), "--data-dir"]);
        command.arg(self.kept.directory.join(format!("n{number}")));
        match &self.names {
            Some(names) => command.args(names.arguments(number)),
            None => command.args(["--listen=127.0.0.1:0", "--cluster-listen=127.0.0.1:0"]),
        };
        for seed in seeds.iter().filter(|_| self.names.is_none()) {
            command.args(["--seed", &seed.to_string()]);
        }
        command.args(more);
        // What the user set up for nodes of their own is not for these.
        for (variable, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LEVERET_"))
        {
            command.env_remove(variable);
        }
        // The lines that are kept are for the panic itself.
        command.env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let since = Instant::now();
        let lines = self.kept.spawn(number, command)?;
        Ok(Starting { number, lines, since })
    }

    /// From now on nodes find each other by a name server, which runs as long as they may.
    pub(super) fn start_name_server(&mut self, deadline: Instant) -> Result<NameServer> {
        let names = NameServer::prepare(self.kept.directory.join("dns"))?;
        drop(self.kept.spawn(NAME_SERVER, names.command())?);
        names.wait_ready(deadline)?;
        self.names = Some(names.clone());
        Ok(names)
    }

    fn data_dir(&self, node: &Node) -> PathBuf {
        self.kept.directory.join(format!("n{}", node.number))
    }

    /// One line for its admin socket.
    pub(super) fn ask(&self, node: &Node, question: &str) -> Result<serde_json::Value> {
        status::read(&status::ask(&self.data_dir(node), question, STATUS_ANSWER_WAIT)?)
    }

    /// SIGTERM: it leaves.
    pub(super) fn terminate(&self, node: &Node) -> Result<()> {
        self.with_kid(node, |process| {
            let pid = Pid::from_child(process);
            kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop node {}", node.number))
        })
    }

    /// How it ended, if it has: `Some(None)` by a signal.
    pub(super) fn exit_code(&self, node: &Node) -> Result<Option<Option<i32>>> {
        self.with_kid(node, |process| {
            let ended =
                process.try_wait().with_context(|| format!("cannot wait for node {}", node.number))?;
            Ok(ended.map(|status| status.code()))
        })
    }

    fn with_kid<T>(&self, node: &Node, act: impl FnOnce(&mut Child) -> Result<T>) -> Result<T> {
        let mut children = self.kept.lock();
        let kid = children.kids.iter_mut().find(|kid| kid.number == node.number);
        act(&mut kid.context("there is no such node")?.process)
    }

    /// How many others this node lists as alive.
    pub(super) fn others_of(&self, node: &Node, deadline: Instant) -> Result<usize> {
        status::others_alive(&self.data_dir(node), deadline.saturating_duration_since(Instant::now()))
    }

    /// SIGKILL: no goodbye, no handover, the memory is gone.
    pub(super) fn kill(&self, node: &Node) -> Result<()> {
        self.with_kid(node, |process| {
            process.kill().with_context(|| format!("cannot kill node {}", node.number))?;
            process.wait().with_context(|| format!("cannot wait for the end of node {}", node.number))
        })?;
        Ok(())
    }

    /// The last log lines of all nodes, and which of them ended.
    pub(super) fn last_words(&self) -> String {
        let mut text = String::new();
        for kid in &mut self.kept.lock().kids {
            let state = match kid.process.try_wait() {
                Ok(Some(status)) => format!("has ended ({status})"),
                _ => "is running".to_owned(),
            };
            let who = match kid.number {
                NAME_SERVER => "the name server".to_owned(),
                number => format!("node {number}"),
            };
            text += &format!("{who} {state}; its last log lines:\n");
            for line in kid.log.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                text += &format!("    {line}\n");
            }
        }
        text
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        drop(self.kept.put_away());
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a child; gives the lines of its standard output.
    fn spawn(&self, number: usize, mut command: Command) -> Result<Receiver<String>> {
        let mut children = self.lock();
        ensure!(!children.closed, "everything is being put away");
        let mut process = command.spawn().context("cannot start a process")?;
        let (sender, lines) = channel();
        let stdout = process.stdout.take();
        let stderr = process.stderr.take();
        let log = Log::default();
        children.kids.push(Kid { number, process, log: Arc::clone(&log) });
        each_line(stdout.context("a child without standard output")?, move |line| {
            // Nobody listens any more once the node is ready; the pipe is read all the same.
            let _ = sender.send(line);
        });
        each_line(stderr.context("a child without standard error")?, move |line| {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() == LOG_LINES_MAX {
                log.pop_front();
            }
            log.push_back(line);
        });
        Ok(lines)
    }

    fn put_away(&self) -> MutexGuard<'_, Children> {
        let mut children = self.lock();
        children.closed = true;
        for mut kid in children.kids.drain(..) {
            // Both fail only for a child that has ended and been waited for.
            let _ = kid.process.kill();
            let _ = kid.process.wait();
        }
        if let Err(error) = remove(&self.directory) {
            eprintln!("leveret: {} stays behind: {error}", self.directory.display());
        }
        children
    }
}

/// For the nodes' data: in the user's directory for such things, or where sockets have short enough paths.
fn directory(temporary: &Path) -> PathBuf {
    let name = format!("leveret-demo-{}", std::process::id());
    let directory = temporary.join(&name);
    match directory.join(SOCKET).as_os_str().len() {
        0..=SOCKET_PATH_BYTES_MAX => directory,
        _ => Path::new("/tmp").join(name),
    }
}

fn remove(directory: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn each_line(pipe: impl Read + Send + 'static, mut take: impl FnMut(String) + Send + 'static) {
    thread::spawn(move || BufReader::new(pipe).lines().map_while(std::io::Result::ok).for_each(&mut take));
}

impl Starting {
    /// Reads the banner to its end.
    pub(super) fn ready(self, deadline: Instant) -> Result<Node> {
        let number = self.number;
        let (mut amqp, mut cluster, mut sessions, mut joined) = (None, None, None, 0);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => anyhow!("node {number} is not ready in time"),
                RecvTimeoutError::Disconnected => anyhow!("node {number} ended before it was ready"),
            })?;
            if let Some(address) = line.strip_prefix("listening for AMQP on ") {
                amqp = Some(address.parse().with_context(|| format!("node {number} says `{line}`"))?);
            } else if let Some(address) = line.strip_prefix("listening for cluster on ") {
                cluster = Some(address.parse().with_context(|| format!("node {number} says `{line}`"))?);
            } else if let Some(address) = line.strip_prefix("listening for sessions on ") {
                sessions = Some(address.parse().with_context(|| format!("node {number} says `{line}`"))?);
            } else if let Some(rest) = line.strip_prefix("joined ") {
                joined = rest.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
            } else if line == "ready" {
                break;
            }
        }
        let (Some(amqp), Some(cluster)) = (amqp, cluster) else {
            bail!("node {number} is ready and did not say where it listens");
        };
        Ok(Node { number, amqp, cluster, sessions, took: self.since.elapsed(), joined })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_temporary_directory_is_left_for_a_short_one() {
        let name = format!("leveret-demo-{}", std::process::id());
        let room = SOCKET_PATH_BYTES_MAX - "/".len() - name.len() - "/".len() - SOCKET.len();
        let longest = PathBuf::from("/".to_owned() + &"d".repeat(room - 1));
        assert_eq!(directory(&longest), longest.join(&name));
        let longer = PathBuf::from("/".to_owned() + &"d".repeat(room));
        assert_eq!(directory(&longer), Path::new("/tmp").join(&name));
    }
}
