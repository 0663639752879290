//! Data directories that a node cannot use, or that were copied under it: each is refused with one line that
//! says what to do, or served without a loss (docs/persistence.md).

#[allow(dead_code, reason = "its dialogues are for tests of one node or two")]
mod lapin;
mod node;

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;

use ::lapin::BasicProperties;
use ::lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use ::lapin::types::FieldTable;
use tempfile::TempDir;

use lapin::{Node, Session, own_group};
use node::{LEVERET, Node as Process};

const SERVE: [&str; 6] =
    ["serve", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--data-dir"];
/// Publishes that wait for their confirm at once.
const WINDOW: usize = 16;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Runs a shell line in a mount namespace of its own; `None` if this machine lets a test make none.
fn mounted(line: &str, data_dir: &Path) -> Option<(bool, String)> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c"]).arg(format!("{line} && exec \"$@\""));
    let may = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("not run, because no mount namespace may be made here: {line}");
        return None;
    }
    let output = command.arg(data_dir).arg(LEVERET).args(SERVE).arg(data_dir).output().expect("it runs");
    Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// One line that names the directory, what is wrong with it, and what to do.
fn is_refused(outcome: Option<(bool, String)>, data_dir: &Path, why: &str) {
    let Some((started, said)) = outcome else { return };
    let line = said.lines().last().unwrap_or_default();
    assert!(!started, "{said}");
    let parts = [data_dir.to_str().expect("UTF-8"), why, "choose another with --data-dir"];
    assert!(parts.iter().all(|part| line.contains(part)), "{said}");
}

fn start(directory: TempDir, group: &str) -> Node {
    let process = Process::start(directory.path(), &["--shards", "2", "--group", group]);
    Node { process, directory }
}

fn declare(session: &Session) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    session.done(session.channel.queue_declare("burrow".into(), options, FieldTable::default()));
}

/// Publishes persistent messages, each confirmed.
fn publish(session: &Session, numbers: std::ops::Range<u32>, body_bytes: usize) {
    let mut waiting = VecDeque::new();
    for number in numbers {
        let mut body = vec![0; body_bytes];
        body[..4].copy_from_slice(&number.to_be_bytes());
        let (options, properties) =
            (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
        let publish = session.channel.basic_publish("".into(), "burrow".into(), options, &body, properties);
        waiting.push_back(session.done(publish));
        if waiting.len() == WINDOW {
            assert!(session.done(waiting.pop_front().expect("the window is full")).is_ack());
        }
    }
    for answer in waiting {
        assert!(session.done(answer).is_ack());
    }
}

fn drain(session: &Session) -> Vec<u32> {
    let get = || session.done(session.channel.basic_get("burrow".into(), BasicGetOptions { no_ack: true }));
    let number = |data: &[u8]| u32::from_be_bytes(data[..4].try_into().expect("four bytes"));
    std::iter::from_fn(get).map(|message| number(&message.data)).collect()
}

/// The files of a data directory that is in use, as `cp -r` sees them; not its socket, nor its lock.
fn copy_store(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("store")).expect("a directory");
    std::fs::copy(from.join("identity"), to.join("identity")).expect("copied");
    for entry in std::fs::read_dir(from.join("store")).expect("a store") {
        let path = entry.expect("a file").path();
        // what the node removed since is not there
        let _ = std::fs::copy(&path, to.join("store").join(path.file_name().expect("a name")));
    }
}

#[test]
fn a_read_only_directory_is_refused() {
    let directory = directory();
    let outcome = mounted("mount -t tmpfs -o ro none \"$0\"", directory.path());
    is_refused(outcome, directory.path(), "Read-only file system");
}

/// A file that is mounted over cannot be renamed to.
#[test]
fn a_file_system_that_does_not_rename_is_refused_by_name() {
    let directory = directory();
    let group = own_group(&directory);
    let Node { process, directory } = start(directory, &group);
    drop(process);
    let before = std::fs::read(directory.path().join("identity")).expect("it has started");
    let outcome = mounted("mount --bind \"$0/identity\" \"$0/identity\"", directory.path());
    is_refused(outcome, directory.path(), "renaming a file to");
    assert_eq!(std::fs::read(directory.path().join("identity")).expect("it is there"), before);
}

/// Directories of /proc have no fsync.
#[test]
fn a_file_system_that_does_not_sync_is_refused_by_name() {
    let within = Path::new("/proc/fs");
    is_refused(mounted("mount -t tmpfs none \"$0\"", within), within, "fsync of /proc fails");
}

#[test]
fn the_directory_of_another_group_is_refused_and_served_by_its_own() {
    let directory = directory();
    let group = own_group(&directory);
    let node = start(directory, &group);
    declare(&Session::open(&node));
    publish(&Session::open(&node), 0..10, 100);
    let Node { process, directory } = node;
    drop(process);
    let output = Command::new(LEVERET)
        .args(SERVE)
        .arg(directory.path())
        .args(["--group", "strangers"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains(&format!("belongs to the group '{group}'")), "{said}");
    assert!(said.contains(&format!("start it with --group {group}")), "{said}");
    let node = start(directory, &group);
    assert_eq!(drain(&Session::open(&node)), (0..10).collect::<Vec<_>>());
}

/// As a backup tool does it that knows nothing of the node: what was confirmed before is in the copy.
#[test]
fn a_directory_that_was_copied_while_its_node_ran_has_what_was_confirmed_before() {
    let original = directory();
    let group = own_group(&original);
    let node = start(original, &group);
    let session = Session::open(&node);
    declare(&session);
    publish(&session, 0..500, 1_000);
    let copy = directory();
    std::thread::scope(|scope| {
        let (session, node) = (Session::open(&node), &node);
        scope.spawn(move || publish(&session, 500..1_500, 1_000));
        copy_store(node.directory.path(), copy.path());
    });
    drop(node);
    let copied = start(copy, &group);
    let found = drain(&Session::open(&copied));
    assert!(found.len() >= 500, "{} of 500", found.len());
    assert!(found.iter().copied().eq(0..found.len() as u32), "in order, once, and without a gap");
}

/// The files of a disk of 32 MiB are smaller than usual. They are checked, exported, and served on a large
/// disk.
#[test]
fn the_store_of_a_small_disk_is_read_anywhere() {
    let small = directory();
    let group = own_group(&small);
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=32m small \"$0\" && exec \"$@\"";
    let probe = ["--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs none /mnt"];
    if !Command::new("unshare").args(probe).output().is_ok_and(|output| output.status.success()) {
        return eprintln!("small disk: not run, because no mount namespace may be made here");
    }
    command.args(["--mount", "--map-root-user", "sh", "-c", mount]).arg(small.path()).arg(LEVERET);
    let more = ["--shards", "2", "--group", &group];
    let process = Process::start_by(command, "127.0.0.1:0", small.path(), &more);
    let node = Node { process, directory: small };
    let session = Session::open(&node);
    declare(&session);
    // several log segments of 4 MiB, and segments behind them
    publish(&session, 0..150, 32 * 1024);
    let seen = format!("/proc/{}/root{}", node.process.pid(), node.directory.path().display());
    let copy = directory();
    copy_store(Path::new(&seen), copy.path());
    drop(node);
    let store = |command: &str, more: &[&str]| {
        let mut run = Command::new(LEVERET);
        let output = run.args(["store", command]).arg(copy.path()).args(more).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command}: {said}{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let table = store("check", &[]);
    assert!(table.contains("messages: 150,") && table.contains("sound"), "{table}");
    assert_eq!(store("export", &["--queue", "burrow"]).lines().count(), 150);
    let node = start(copy, &group);
    let session = Session::open(&node);
    publish(&session, 150..160, 32 * 1024);
    assert_eq!(drain(&session), (0..160).collect::<Vec<_>>());
}
