//! Sessions under traffic while nodes leave, join and die: nothing that was answered is lost, nobody who logged
//! out is logged in again, and but for a kill no request fails.

mod node;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use node::{Node, PATIENCE, unless_falsely_dead};

const BROWSERS: usize = 4;
const KEYS: usize = 600;
/// Requests of a browser between two of its reports.
const REPORT_EVERY: usize = 50;

fn start(directory: &Path, name: &str, seed: Option<&Node>) -> Node {
    let mut more = vec!["--session-listen", "127.0.0.1:0", "--name", name, "--shards", "2"];
    more.extend(seed.iter().flat_map(|seed| ["--seed", seed.cluster()]));
    Node::start(&directory.join(name), &more)
}

/// What all browsers see of the cluster.
#[derive(Default)]
struct Shared {
    /// Nodes that a load balancer would choose from.
    nodes: Mutex<Vec<String>>,
    /// A node was killed: requests may be refused with TRYAGAIN.
    killed: AtomicBool,
    over: AtomicBool,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Line(String),
    Bulk(Option<String>),
}

/// One that uses sessions of its own, at any node.
struct Browser {
    number: usize,
    shared: Arc<Shared>,
    connection: Option<BufReader<TcpStream>>,
    /// Of each key what was answered last; `None`: it was logged out.
    values: Vec<Option<u64>>,
    asked: usize,
    random: u64,
}

impl Browser {
    fn new(number: usize, shared: &Arc<Shared>) -> Self {
        let values = vec![None; KEYS];
        let random = 88_172_645_463_325_252 + number as u64;
        Self { number, shared: Arc::clone(shared), connection: None, values, asked: 0, random }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % below as u64) as usize
    }

    fn key(&self, key: usize) -> String {
        format!("sess:{}-{key}", self.number)
    }

    fn try_ask(&mut self, command: &str) -> io::Result<Answer> {
        // round robin over nodes, as without sticky sessions
        if self.asked.is_multiple_of(20) {
            self.connection = None;
        }
        if self.connection.is_none() {
            let nodes = self.shared.nodes.lock().expect("nobody panics with it").clone();
            let at = self.draw(nodes.len());
            let stream = TcpStream::connect(&nodes[at])?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.connection = Some(BufReader::new(stream));
        }
        let connection = self.connection.as_mut().expect("just made");
        connection.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let Some(length) = line.strip_prefix('$') else { return Ok(Answer::Line(line.to_owned())) };
        let Ok(length) = length.parse::<usize>() else { return Ok(Answer::Bulk(None)) };
        let mut bytes = vec![0; length + 2];
        connection.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Answer::Bulk(Some(String::from_utf8(bytes).expect("numbers"))))
    }

    /// A connection that a leaving node ended between two commands, or that died, is replaced, and the command
    /// sent again.
    fn ask(&mut self, command: &str) -> Answer {
        self.asked += 1;
        loop {
            match self.try_ask(command) {
                Ok(Answer::Line(line)) if line.starts_with("-TRYAGAIN") => {
                    assert!(
                        self.shared.killed.load(Ordering::Relaxed),
                        "{command}: {line}, and nobody was killed"
                    );
                }
                Ok(answer) => return answer,
                Err(_) => self.connection = None,
            }
        }
    }

    fn set(&mut self, key: usize) {
        let value = self.asked as u64;
        let command = format!("SET {} {value} EX 600", self.key(key));
        assert_eq!(self.ask(&command), Answer::Line("+OK".into()));
        self.values[key] = Some(value);
    }

    fn check(&mut self, key: usize) {
        let command = format!("GET {}", self.key(key));
        let expected = self.values[key].map(|value| value.to_string());
        assert_eq!(self.ask(&command), Answer::Bulk(expected), "{command}");
    }

    fn log_out(&mut self, key: usize) {
        let command = format!("DEL {}", self.key(key));
        let answer = self.ask(&command);
        // sent again after a broken connection, the first may have done it
        assert!([Answer::Line(":1".into()), Answer::Line(":0".into())].contains(&answer), "{answer:?}");
        self.values[key] = None;
        // of a request that was under way
        let late = format!("SET {} late EX 600", self.key(key));
        assert_eq!(self.ask(&late), Answer::Line("+OK".into()));
        self.check(key);
    }

    fn use_sessions(&mut self, report: &Sender<()>) {
        let mut reported = self.asked;
        while !self.shared.over.load(Ordering::Relaxed) {
            let key = self.draw(KEYS);
            match (self.draw(50), self.values[key]) {
                (0, Some(_)) => self.log_out(key),
                (1..25, Some(_)) => self.set(key),
                _ => self.check(key),
            }
            if self.asked - reported >= REPORT_EVERY {
                reported = self.asked;
                let _ = report.send(());
            }
        }
    }
}

/// Until all browsers together have asked so often.
fn wait_for_requests(reports: &Receiver<()>, requests: usize) {
    for _ in 0..requests / REPORT_EVERY {
        reports.recv_timeout(PATIENCE).expect("browsers go on");
    }
}

fn stop(shared: &Shared, mut node: Node) {
    let address = node.sessions().to_owned();
    shared.nodes.lock().expect("nobody panics with it").retain(|other| *other != address);
    assert_eq!(node.terminate(), Some(0), "{}", node.log());
    assert!(node.log().contains("sessions are with other nodes"), "{}", node.log());
}

fn meet(nodes: &[Node], shared: &Shared) {
    for node in nodes {
        node.wait_for_members(nodes.iter().map(Node::cluster).collect());
    }
    *shared.nodes.lock().expect("nobody panics with it") =
        nodes.iter().map(|node| node.sessions().to_owned()).collect();
}

fn three_to_one_to_three_and_a_kill() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let shared = Arc::new(Shared::default());
    let mut nodes = vec![start(directory.path(), "hare", None)];
    nodes.push(start(directory.path(), "hedgehog", Some(&nodes[0])));
    nodes.push(start(directory.path(), "fox", Some(&nodes[0])));
    meet(&nodes, &shared);
    let (report, reports) = channel();
    let mut browsers: Vec<Browser> = thread::scope(|scope| {
        let browsers: Vec<_> = (0..BROWSERS)
            .map(|number| {
                let (shared, report) = (Arc::clone(&shared), report.clone());
                scope.spawn(move || {
                    let mut browser = Browser::new(number, &shared);
                    (0..KEYS).for_each(|key| browser.set(key));
                    browser.use_sessions(&report);
                    browser
                })
            })
            .collect();
        // a browser that panicked ends the others, or nobody would see it
        let story = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for_requests(&reports, 1_000);
            stop(&shared, nodes.remove(0));
            wait_for_requests(&reports, 500);
            stop(&shared, nodes.remove(0));
            wait_for_requests(&reports, 500);
            nodes.push(start(directory.path(), "badger", Some(&nodes[0])));
            nodes.push(start(directory.path(), "otter", Some(&nodes[0])));
            meet(&nodes, &shared);
            wait_for_requests(&reports, 1_000);
            shared.killed.store(true, Ordering::Relaxed);
            let address = nodes[0].sessions().to_owned();
            shared.nodes.lock().expect("nobody panics with it").retain(|other| *other != address);
            drop(nodes.remove(0));
            wait_for_requests(&reports, 1_000);
        }));
        shared.over.store(true, Ordering::Relaxed);
        let browsers = browsers.into_iter().map(thread::ScopedJoinHandle::join).collect::<Result<_, _>>();
        let browsers = browsers.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        story.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        browsers
    });
    for node in &nodes {
        *shared.nodes.lock().expect("nobody panics with it") = vec![node.sessions().to_owned()];
        for browser in &mut browsers {
            browser.connection = None;
            (0..KEYS).for_each(|key| browser.check(key));
        }
    }
}

#[test]
fn three_nodes_become_one_and_three_again_and_one_is_killed() {
    unless_falsely_dead(three_to_one_to_three_and_a_kill);
}

fn the_last_node_keeps_them() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let shared = Arc::new(Shared::default());
    let mut browser = Browser::new(0, &shared);
    let mut node = start(directory.path(), "hare", None);
    meet(std::slice::from_ref(&node), &shared);
    (0..KEYS).for_each(|key| browser.set(key));
    (0..20).for_each(|key| browser.log_out(key));
    assert_eq!(node.terminate(), Some(0), "{}", node.log());
    let node = start(directory.path(), "hare", None);
    meet(std::slice::from_ref(&node), &shared);
    browser.connection = None;
    (0..KEYS).for_each(|key| browser.check(key));
    // a logout outlives the stop too
    let late = format!("SET {} late EX 600", browser.key(0));
    assert_eq!(browser.ask(&late), Answer::Line("+OK".into()));
    browser.check(0);
    // a node that is killed wrote no image, and an image is used once
    drop(node);
    let node = start(directory.path(), "hare", None);
    meet(std::slice::from_ref(&node), &shared);
    browser.connection = None;
    assert_eq!(browser.ask("DBSIZE"), Answer::Line(":0".into()));
}

#[test]
fn the_last_node_brings_its_sessions_back_at_its_next_start() {
    unless_falsely_dead(the_last_node_keeps_them);
}
