//! `leveret status`: asks a running node through the admin socket in its data directory.
//!
//! The question is the line `status`; the answer is one line with a JSON document. Fields that a node does not
//! send get defaults, fields that this program does not know are kept by `--json` and left out of the tables,
//! so that a newer node and an older program understand each other.

mod sessions;
mod tables;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use leveret_model::limits::{STATUS_ANSWER_BYTES_MAX, STATUS_ANSWER_WAIT};
use serde::Deserialize;

use crate::{config, output};

use self::sessions::Sessions;
use self::tables::section;
pub(crate) use self::tables::{table, tame};

/// File name of the admin socket in the data directory.
const ADMIN_SOCKET: &str = "admin.sock";

/// Flags of `leveret status`. A queue that lives elsewhere is listed with its home, which alone can count it.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Data directory of the node to ask [default: `$XDG_DATA_HOME/leveret`, else `~/.local/share/leveret`]
    /// [env: LEVERET_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Print the JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Print the state of the node alone; exit code 0 if it is ready, 1 if it joins, leaves or does not run
    #[arg(long, conflicts_with = "json")]
    ready: bool,
}

/// What a node says about itself and its cluster.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Report {
    node: Node,
    nodes: Vec<Peer>,
    queues: Vec<Queue>,
    connections: Vec<Connection>,
    memory: Memory,
    /// `None` while they are off.
    sessions: Option<Sessions>,
    warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    id: String,
    name: String,
    version: String,
    uptime_s: u64,
    listen: String,
    cluster_listen: String,
    data_dir: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Peer {
    id: String,
    name: String,
    standing: String,
    address: String,
    /// For how long it is down.
    down_s: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Queue {
    name: String,
    vhost: String,
    home: String,
    ready: Option<u64>,
    unacked: Option<u64>,
    consumers: Option<u64>,
    durable: bool,
    /// Its home is Down.
    away: bool,
    policy: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Connection {
    name: String,
    user: String,
    vhost: String,
    channels: u64,
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    used: u64,
    limit: u64,
    paged_out: u64,
}

/// Asks and prints.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    let document = read(&ask(&data_dir, "status", STATUS_ANSWER_WAIT)?)?;
    if args.ready {
        let state = document["node"]["state"].as_str().unwrap_or("unknown");
        output::print(&format!("{state}\n"))?;
        return Ok(if state == "ready" { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if args.json {
        return output::print(&format!("{document:#}\n")).map(|()| ExitCode::SUCCESS);
    }
    let report: Report =
        serde_json::from_value(document).context("the node's answer is not a status report")?;
    output::print(&render(&report)).map(|()| ExitCode::SUCCESS)
}

/// How many other nodes the node of a data directory sees alive.
pub(crate) fn others_alive(data_dir: &Path, wait: Duration) -> anyhow::Result<usize> {
    let document = read(&ask(data_dir, "status", wait.max(Duration::from_millis(1)))?)?;
    let report: Report = serde_json::from_value(document)?;
    Ok(report.nodes.iter().filter(|peer| peer.standing == "alive").count())
}

/// Sends one line to the node of a data directory. Each part of the answer may take so long.
pub(crate) fn send(data_dir: &Path, question: &str, wait: Duration) -> anyhow::Result<UnixStream> {
    let path = data_dir.join(ADMIN_SOCKET);
    let mut socket = match UnixStream::connect(&path) {
        Ok(socket) => socket,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            bail!(
                "no node runs in {}; start one with `leveret serve`, or name its --data-dir",
                data_dir.display()
            )
        }
        Err(error) => return Err(error).with_context(|| format!("admin socket {}", path.display())),
    };
    socket.set_read_timeout(Some(wait))?;
    socket.set_write_timeout(Some(wait))?;
    socket.write_all(format!("{question}\n").as_bytes()).context("the node does not take the question")?;
    Ok(socket)
}

/// Sends one line to the node of a data directory and reads its whole answer.
pub(crate) fn ask(data_dir: &Path, question: &str, wait: Duration) -> anyhow::Result<String> {
    let socket = send(data_dir, question, wait)?;
    let mut answer = String::new();
    let mut lines = BufReader::new(socket.take(STATUS_ANSWER_BYTES_MAX));
    match lines.read_line(&mut answer) {
        // what the system calls it says nothing to anyone
        Err(error) if error.kind() == ErrorKind::WouldBlock => bail!(
            "the node in {} does not answer within {wait:?}: it hangs, or its process is stopped; see its log",
            data_dir.display()
        ),
        read => read.context("the node does not answer")?,
    };
    if answer.is_empty() {
        bail!("the node in {} closed the admin socket without an answer; see its log", data_dir.display());
    }
    Ok(answer)
}

/// The document, unless it says why there is none.
pub(crate) fn read(answer: &str) -> anyhow::Result<serde_json::Value> {
    let document: serde_json::Value =
        serde_json::from_str(answer).context("the node's answer is not JSON")?;
    match document.get("error").and_then(serde_json::Value::as_str) {
        Some(error) => bail!("{error}"),
        None => Ok(document),
    }
}

/// What the memory of a node has no part in.
fn on_disk(paged_out: u64) -> String {
    if paged_out > 0 { format!(", {paged_out} more on the disk alone") } else { String::new() }
}

fn render(report: &Report) -> String {
    let node = &report.node;
    let [name, data_dir] = [&node.name, &node.data_dir].map(|text| tame(text));
    let mut text = format!(
        "node {} ({}) version {}, up {}\n  AMQP on {}, cluster on {}, data in {}\n  messages {} of {} MiB{}\n",
        name,
        short(&node.id),
        tame(&node.version),
        show_time(node.uptime_s),
        tame(&node.listen),
        tame(&node.cluster_listen),
        data_dir,
        report.memory.used >> 20,
        report.memory.limit >> 20,
        on_disk(report.memory.paged_out),
    );
    text.extend(report.sessions.iter().map(Sessions::line));
    for warning in &report.warnings {
        text.push_str(&format!("  warning: {}\n", tame(warning)));
    }
    // Only the home of a queue can count it: ask `status` there.
    let count = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let down = report.nodes.iter().filter(|peer| peer.standing == "down").count();
    let title = titled("nodes", report.nodes.len(), down, "down");
    text.push_str(&section(&title, &["name", "id", "standing", "address"], &[], &report.nodes, |peer| {
        let standing = match peer.down_s {
            Some(seconds) => format!("{} for {}", peer.standing, show_time(seconds)),
            None => peer.standing.clone(),
        };
        vec![peer.name.clone(), short(&peer.id), standing, peer.address.clone()]
    }));
    let columns = ["vhost", "queue", "home", "ready", "unacked", "consumers", "durable", "policy"];
    let away = report.queues.iter().filter(|queue| queue.away).count();
    let title = titled("queues", report.queues.len(), away, "away with nodes that are down");
    text.push_str(&section(&title, &columns, &[3, 4, 5], &report.queues, |queue| {
        let durable = if queue.durable { "yes" } else { "no" };
        // The home is an id; people know the name that goes with it.
        let home = report.nodes.iter().find(|peer| peer.id == queue.home);
        let mut home = home.map_or_else(|| short(&queue.home), |peer| peer.name.clone());
        if queue.away {
            home.push_str(" (down)");
        }
        let mut row = vec![queue.vhost.clone(), queue.name.clone(), home];
        row.extend([count(queue.ready), count(queue.unacked), count(queue.consumers), durable.to_owned()]);
        row.push(queue.policy.clone().unwrap_or_default());
        row
    }));
    let columns = ["connection", "user", "vhost", "channels", "state"];
    let title = titled("connections of this node", report.connections.len(), 0, "");
    text.push_str(&section(&title, &columns, &[3], &report.connections, |connection| {
        let Connection { name, user, vhost, channels, state } = connection;
        vec![name.clone(), user.clone(), vhost.clone(), channels.to_string(), state.clone()]
    }));
    text
}

/// How many there are, and how many of them are not what they should be.
fn titled(what: &str, all: usize, bad: usize, how: &str) -> String {
    match bad {
        0 => format!("{what}: {all}"),
        bad => format!("{what}: {all}, {bad} of them {how}"),
    }
}

/// What people see of an id, here and in logs.
fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

fn show_time(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_report_becomes_tables_and_missing_fields_do_no_harm() {
        let report: Report = serde_json::from_str(
            r#"{"node":{"id":"01H","name":"web1:5672","uptime_s":3700,"new_field":1},
                "nodes":[{"id":"01H","name":"web1:5672"},{"name":"web2:5672","standing":"down","down_s":200}],
                "queues":[{"name":"orders","vhost":"/","home":"01H","ready":12,"consumers":1,"durable":true},
                          {"name":"gone","vhost":"/","home":"01H","away":true}],
                "memory":{"used":2097152,"limit":1073741824},"warnings":["durable queues are kept in memory"]}"#,
        )
        .expect("the document is valid");
        let text = render(&report);
        assert!(text.contains("up 1 h 1 min") && text.contains("messages 2 of 1024 MiB"), "{text}");
        assert!(text.contains("warning: durable queues are kept in memory"), "{text}");
        let line = text.lines().find(|line| line.contains("orders")).expect("the queue has a line");
        assert!(
            line.contains("web1:5672") && line.contains("12") && line.contains('?') && line.contains("yes"),
            "{line}"
        );
        assert!(text.contains("web1:5672 (down)"), "the home of an away queue is marked: {text}");
        assert!(text.contains("down for 3 min 20 s") && text.contains("queues: 2, 1 of them away"), "{text}");
        assert!(
            text.contains("nodes: 2, 1 of them down") && text.contains("connections of this node: 0"),
            "{text}"
        );
    }

    #[test]
    fn a_name_cannot_forge_rows_nor_command_the_terminal() {
        let evil = "a\u{1b}[2J\nb  /  forged\r\u{202e}";
        let report = Report {
            node: Node { name: evil.into(), ..Node::default() },
            nodes: vec![Peer { name: evil.into(), ..Peer::default() }],
            queues: vec![Queue { name: evil.into(), home: "01H".into(), ..Queue::default() }],
            connections: vec![Connection { name: evil.into(), ..Connection::default() }],
            warnings: vec![evil.into()],
            ..Report::default()
        };
        let text = render(&report);
        assert_eq!(text.matches(r"a\u{1b}[2J\nb  /  forged\r\u{202e}").count(), 5, "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.lines().all(|line| !line.trim_start().starts_with('b')), "{text}");
    }

    #[test]
    fn tables_show_the_first_digits_of_an_id() {
        let id = "0123456789abcdef0123456789abcdef";
        let report = Report {
            node: Node { id: id.into(), ..Node::default() },
            nodes: vec![Peer { id: id.into(), name: "web1".into(), ..Peer::default() }],
            queues: vec![Queue { home: id.into(), ..Queue::default() }],
            ..Report::default()
        };
        let text = render(&report);
        assert!(!text.contains(id) && text.matches("01234567").count() == 2, "{text}");
        assert_eq!(text.matches("web1").count(), 2, "the home goes by its name: {text}");
    }

    #[test]
    fn a_directory_without_a_node_is_named() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let error =
            ask(directory.path(), "status", STATUS_ANSWER_WAIT).expect_err("nobody listens").to_string();
        assert!(error.contains("no node runs in") && error.contains("leveret serve"), "{error}");
    }

    #[test]
    fn a_node_that_is_stopped_is_said_to_be_silent() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let _deaf = UnixListener::bind(directory.path().join(ADMIN_SOCKET)).expect("a socket");
        let error = ask(directory.path(), "status", Duration::from_millis(1))
            .expect_err("nobody answers")
            .to_string();
        assert!(error.contains("does not answer within 1ms") && !error.contains("os error"), "{error}");
    }

    #[test]
    fn what_a_node_cannot_tell_is_an_error_and_no_empty_table() {
        let error = read(r#"{"error":"shard 1 does not answer"}"#).expect_err("no document").to_string();
        assert_eq!(error, "shard 1 does not answer");
        assert!(read(r#"{"nodes":[]}"#).is_ok());
    }

    #[test]
    fn question_and_answer_are_one_line_each() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let listener = UnixListener::bind(directory.path().join(ADMIN_SOCKET)).expect("a socket");
        let node = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a question");
            let mut line = [0; 7];
            socket.read_exact(&mut line).expect("a line");
            socket.write_all(b"{\"node\":").expect("first half");
            socket.write_all(b"{}}\n").expect("second half");
            (line, socket)
        });
        let answer = ask(directory.path(), "status", STATUS_ANSWER_WAIT).expect("an answer");
        assert_eq!(answer, "{\"node\":{}}\n");
        assert_eq!(&node.join().expect("the node ends").0, b"status\n");
    }
}
