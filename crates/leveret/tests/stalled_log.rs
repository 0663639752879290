//! A node whose standard error is a pipe that nobody reads: it serves on, and ends when it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than any answer may take, even on a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(60);
/// Each brings a line of a hundred bytes and more: the pipe holds 64 KiB, the node's queue 128.
const CONNECTIONS: usize = 2_500;

/// A node, killed if a test fails.
struct Node {
    process: Child,
    amqp: String,
    _directory: TempDir,
}

impl Node {
    /// Starts one and reads its standard output up to `ready`; nobody reads its standard error.
    fn start() -> Self {
        // each end of a connection is a line, however many there are
        Self::start_with(&["--log-level", "info,leveret_server::client_log=debug"])
    }

    fn start_with(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--cluster-listen",
            "127.0.0.1:0",
            "--shards",
            "2",
        ]);
        command.args(["--log-format", "human", "--data-dir"]).arg(directory.path()).args(more);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut amqp = None;
        for line in lines.map(|line| line.expect("UTF-8")) {
            amqp = line.strip_prefix("listening for AMQP on ").map(str::to_owned).or(amqp);
            if line == "ready" {
                break;
            }
        }
        Self { process, amqp: amqp.expect("named before"), _directory: directory }
    }

    /// Comes with another protocol again and again; each time the shard answers, and has a line to log.
    fn fill_the_log(&self) {
        (0..CONNECTIONS).for_each(|_| self.come_in_vain());
    }

    fn come_in_vain(&self) {
        let mut stream = self.connect();
        stream.write_all(b"AMQP\0\x01\0\0").expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers though nobody reads its log");
        assert_eq!(answer, b"AMQP\0\0\x09\x01");
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.amqp).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the process is there");
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Gone already where the test stopped it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_node_whose_log_nobody_reads_serves_and_stops_when_told() {
    let mut node = Node::start();
    node.fill_the_log();
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn clients_that_come_in_vain_again_and_again_are_some_lines_and_a_count() {
    let mut node = Node::start_with(&[]);
    let (sender, lines) = channel();
    let stderr = BufReader::new(node.process.stderr.take().expect("piped"));
    let reader = thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok).filter(|line| line.contains("connection ended")) {
            sender.send(line).expect("the test takes them");
        }
    });
    let unsaid = |line: &str| line.rsplit_once("unsaid=")?.1.trim().parse::<usize>().ok();
    let deadline = Instant::now() + PATIENCE;
    let (mut came, mut said, mut counted) = (0, 0, 0);
    while counted == 0 {
        assert!(Instant::now() < deadline, "{came} came, {said} lines, none with a count");
        node.come_in_vain();
        came += 1;
        for line in lines.try_iter() {
            said += 1;
            counted += unsaid(&line).unwrap_or(0);
        }
    }
    assert_eq!(node.stop(), Some(0));
    reader.join().expect("it ends with the node");
    for line in lines {
        said += 1;
        counted += unsaid(&line).unwrap_or(0);
    }
    // those since the last line of each shard are counted for the next one
    assert!(said + counted <= came, "{said} lines and {counted} of {came}");
}

#[test]
fn a_node_whose_log_is_read_again_says_how_many_lines_are_missing() {
    let mut node = Node::start();
    node.fill_the_log();
    let mut lines = BufReader::new(node.process.stderr.take().expect("piped")).lines();
    let mut ended = 0;
    let missing = loop {
        let line = lines.next().expect("the node runs").expect("UTF-8");
        if line.contains("log lines are missing here") {
            let (_, dropped) = line.rsplit_once("dropped=").expect("it says how many");
            break dropped.parse::<usize>().expect("a number");
        }
        ended += usize::from(line.contains("connection ended"));
    };
    assert!(missing > 0 && ended + missing <= CONNECTIONS, "{ended} and {missing}");
    // what comes now is written: nothing fills the queue any more
    node.connect().write_all(b"AMQP\0\x01\0\0").expect("it reads");
    let more = lines.map(|line| line.expect("UTF-8")).any(|line| line.contains("connection ended"));
    assert!(more);
}
