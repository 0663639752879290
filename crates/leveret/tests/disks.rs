//! Disks that are full, damaged, gone or another node's, under nodes as processes (docs/persistence.md).

#[allow(dead_code, reason = "its dialogues are for tests of one node or two")]
mod lapin;
mod node;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

use ::lapin::BasicProperties;
use ::lapin::options::{BasicAckOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions};
use ::lapin::types::FieldTable;
use tempfile::TempDir;

use lapin::{Node, Session, own_group};
use node::{LEVERET, Node as Process};

/// More than the disk takes.
const MESSAGES: u32 = 1_500;
const BODY_BYTES: usize = 32 * 1024;
/// Publishes that wait for their confirm at once.
const WINDOW: usize = 16;

/// Whether this machine lets a test mount something for itself; containers often do not.
fn may_mount() -> bool {
    let mount = ["--mount", "--map-root-user", "mount", "-t", "tmpfs", "-o", "size=32m", "small", "/mnt"];
    Command::new("unshare").args(mount).output().is_ok_and(|output| output.status.success())
}

/// A node with its data on a disk of its own of 32 MiB, in a mount namespace that ends with it.
fn start_on_a_small_disk() -> Node {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let group = own_group(&directory);
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=32m small \"$0\" && exec \"$@\"";
    command.args(["--mount", "--map-root-user", "sh", "-c", mount]).arg(directory.path()).arg(LEVERET);
    let more = ["--shards", "2", "--group", &group];
    let process = Process::start_by(command, "127.0.0.1:0", directory.path(), &more);
    Node { process, directory }
}

fn start(directory: TempDir) -> Node {
    let group = own_group(&directory);
    let process = Process::start(directory.path(), &["--shards", "2", "--group", &group]);
    Node { process, directory }
}

fn declare(session: &Session) {
    declare_named(session, "burrow");
}

fn declare_named(session: &Session, name: &str) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    session.done(session.channel.queue_declare(name.into(), options, FieldTable::default()));
}

/// What `leveret store` prints about a directory that no process holds.
fn store(command: &str, data_dir: &Path, more: &[&str]) -> String {
    let output = Command::new(LEVERET).args(["store", command]).arg(data_dir).args(more).output();
    let output = output.expect("it runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Publishes messages with these bodies, each confirmed; an error if the node ends.
fn publish(session: &Session, bodies: impl Iterator<Item = Vec<u8>>) -> ::lapin::Result<()> {
    let mut waiting = VecDeque::new();
    for body in bodies {
        let (options, properties) =
            (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
        let publish = session.channel.basic_publish("".into(), "burrow".into(), options, &body, properties);
        waiting.push_back(session.wait(publish)?);
        if waiting.len() == WINDOW {
            let answer = waiting.pop_front().expect("the window is full");
            assert!(session.wait(answer)?.is_ack());
        }
    }
    for answer in waiting {
        assert!(session.wait(answer)?.is_ack());
    }
    Ok(())
}

/// A large body that begins with a number.
fn large(number: u32) -> Vec<u8> {
    let mut body = vec![0; BODY_BYTES];
    body[..4].copy_from_slice(&number.to_be_bytes());
    body
}

/// The first file of the node's log.
fn log_in(data_dir: &Path) -> PathBuf {
    data_dir.join("store/log-0000000000000001")
}

/// A node that must not start; gives what it says.
fn refused(data_dir: &Path) -> String {
    let mut command = Command::new(LEVERET);
    command.args(["serve", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--data-dir"]);
    let output = command.arg(data_dir).output().expect("it runs");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn a_full_disk_makes_publishers_wait_until_it_is_drained_and_loses_nothing() {
    if !may_mount() {
        return eprintln!("full disk: not run, because no mount namespace may be made here");
    }
    let node = start_on_a_small_disk();
    let (publisher, drainer) = (Session::open(&node), Session::open(&node));
    declare(&drainer);
    drainer.done(drainer.channel.basic_qos(WINDOW as u16, BasicQosOptions::default()));
    let (done, published) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            publish(&publisher, (0..MESSAGES).map(large)).expect("the node runs");
            done.send(()).expect("somebody waits");
        });
        node.process.wait_for_lines(&["the disk is nearly full"], 1);
        // consumers, deliveries and acknowledgements go on
        let inbox = drainer.consume("burrow", "drain");
        for expected in 0..MESSAGES {
            let delivery = inbox.message();
            assert_eq!(delivery.data[..4], expected.to_be_bytes(), "in order, once, and none lost");
            drainer.done(drainer.channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()));
        }
        published.recv().expect("all were confirmed");
    });
    node.process.wait_for_lines(&["the disk has room again"], 1);
    assert_eq!(drainer.count("burrow"), 0);
    assert_eq!(node.process.lines_with("nothing survives a reboot"), 1, "{}", node.process.log());
}

#[test]
fn a_damaged_message_is_told_of_and_the_rest_of_its_queue_is_served() {
    let node = start(tempfile::tempdir().expect("a temporary directory"));
    let session = Session::open(&node);
    declare(&session);
    // one write each: damage in the last write of a log reads like a write that a crash cut short
    for number in 0..6 {
        let body = format!("body {number}").into_bytes();
        publish(&session, std::iter::once(body)).expect("the node runs");
    }
    let Node { process, directory } = node;
    drop(process);
    let log = log_in(directory.path());
    let mut bytes = fs::read(&log).expect("the log is there");
    let at = bytes.windows(6).position(|window| window == b"body 3").expect("the message is there");
    bytes[at] ^= 1;
    fs::write(&log, &bytes).expect("the log is written");

    let node = start(directory);
    let session = Session::open(&node);
    let inbox = session.consume("burrow", "reader");
    for number in [0, 1, 2, 4, 5] {
        assert_eq!(inbox.message().data, format!("body {number}").into_bytes());
    }
    let status = node.process.status();
    let warnings = status["warnings"].as_array().expect("warnings");
    let told = |warning: &&serde_json::Value| {
        warning
            .as_str()
            .is_some_and(|text| text.contains("messages 3..=3") || text.contains("messages 4..=4"))
    };
    assert_eq!(warnings.iter().filter(told).count(), 1, "{warnings:?}");
}

#[test]
fn queues_on_the_disk_are_called_by_their_names() {
    let node = start(tempfile::tempdir().expect("a temporary directory"));
    let session = Session::open(&node);
    declare(&session);
    declare_named(&session, "burrow beside it");
    publish(&session, (0..2).map(large)).expect("the node runs");
    let Node { process, directory } = node;
    drop(process);
    let table = store("check", directory.path(), &[]);
    for row in ["  /      burrow            2 ", "  /      burrow beside it  0 "] {
        assert!(table.contains(row), "{table}");
    }
    let lines = store("export", directory.path(), &["--queue", "burrow"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let several = store("export", directory.path(), &["--queue", "burr"]);
    assert!(several.contains("2 queues are called so"), "{several}");
}

#[test]
fn the_store_of_another_node_is_refused_and_left_as_it_is() {
    let (one, two) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let node = start(one);
    declare(&Session::open(&node));
    let Node { process, directory: one } = node;
    drop(process);
    // it has an identity from its first start
    let Node { process, directory: two } = start(two);
    drop(process);
    fs::create_dir(two.path().join("store")).expect("it has no store yet");
    for entry in fs::read_dir(one.path().join("store")).expect("a store") {
        let path = entry.expect("a file").path();
        fs::copy(&path, two.path().join("store").join(path.file_name().expect("a name"))).expect("copied");
    }
    let before = fs::read(log_in(two.path())).expect("the log is there");
    let said = refused(two.path());
    assert!(said.contains("store"), "{said}");
    assert_eq!(fs::read(log_in(two.path())).expect("the log is there"), before);
}

/// What a process does that cannot make its next file: it ends with one line, and confirms nothing more.
#[test]
fn a_disk_that_fails_ends_the_process_with_one_line() {
    let mut node = start(tempfile::tempdir().expect("a temporary directory"));
    let session = Session::open(&node);
    declare(&session);
    fs::remove_dir_all(node.directory.path().join("store")).expect("it is there");
    // more than the files that are open
    assert!(publish(&session, (0..8_192).map(large)).is_err());
    assert_eq!(node.process.wait(), Some(5), "{}", node.process.log());
}
