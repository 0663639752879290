//! A queue's home is killed and comes back, and other nodes have something of its former life.

use std::path::Path;
use std::process::Command;

use super::lapin::{Node, Session, number, own_group};
use super::node::Node as Process;
use super::{declare, get, persistent, publish};
use ::lapin::BasicProperties;
use ::lapin::options::BasicAckOptions;

fn members(nodes: [&Node; 2]) {
    for node in nodes {
        node.process.wait_for_members(nodes.iter().map(|node| node.process.cluster()).collect());
    }
}

/// Another start on the directory, which knows these.
fn started_again(at: &str, node: Node, group: &str, seeds: &[&str]) -> Node {
    let Node { process, directory } = node;
    drop(process);
    let mut words = vec!["--shards", "2", "--group", group];
    words.extend(seeds.iter().flat_map(|seed| ["--seed", seed]));
    let process = Process::start_at(at, directory.path(), &words);
    Node { process, directory }
}

/// A message that was never stored had a place in its queue, which a channel elsewhere may hold for longer than
/// the home lives.
#[test]
fn an_ack_of_what_a_kill_took_removes_nothing_that_came_later() {
    let home = Node::start(&[]);
    let other = Node::start(&[&home]);
    members([&home, &other]);
    declare(&Session::open(&home), "burrow", &[]);
    let session = Session::open(&other);
    publish(&session, "", "burrow", &1_u32.to_be_bytes(), BasicProperties::default());
    let old = get(&session, "burrow", false).expect("what is transient");

    let (cluster, group) = (home.process.cluster().to_owned(), own_group(&home.directory));
    let home = started_again(&cluster, home, &group, &[other.process.cluster()]);
    members([&home, &other]);
    let at_home = Session::open(&home);
    publish(&at_home, "", "burrow", &2_u32.to_be_bytes(), persistent());
    let new = get(&session, "burrow", false).expect("what came later");
    assert_eq!(new.data, 2_u32.to_be_bytes());
    session.done(session.channel.basic_ack(old.delivery_tag, BasicAckOptions::default()));
    // a second answer on the way of the acknowledgement, which is behind it
    assert!(get(&session, "burrow", false).is_none());
    drop(session);
    assert_eq!(number(&at_home.consume("burrow", "c").message()), 2);
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(status.expect("cp runs").success());
}

/// The power goes at both homes at the end of a move: the old one has the queue on its disk still, and starts
/// first.
#[test]
fn what_an_old_home_confirmed_alone_is_there_when_the_new_one_is_back() {
    let old = Node::start(&[]);
    let group = own_group(&old.directory);
    declare(&Session::open(&old), "burrow", &[]);
    publish(&Session::open(&old), "", "burrow", &0_u32.to_be_bytes(), persistent());
    let before = tempfile::tempdir().expect("a temporary directory");
    let Node { process, directory } = old;
    drop(process);
    copy(directory.path(), before.path());
    let mut old = Node { process: Process::start(directory.path(), &["--group", &group]), directory };
    let new = Node::start(&[&old]);
    members([&old, &new]);
    assert_eq!(old.process.terminate(), Some(0), "{}", old.process.log());
    let Node { process, directory: of_new } = new;
    drop(process);

    let old = Node { process: Process::start(before.path(), &["--group", &group]), directory: before };
    let session = Session::open(&old);
    for number in 1..=3_u32 {
        publish(&session, "", "burrow", &number.to_be_bytes(), persistent());
    }
    let words = ["--group", &group, "--seed", old.process.cluster()];
    let new = Node { process: Process::start(of_new.path(), &words), directory: of_new };
    members([&old, &new]);
    let session = Session::open(&new);
    let inbox = session.consume("burrow", "c");
    let mut found = Vec::new();
    while found.last() != Some(&3) {
        found.push(number(&inbox.message()));
    }
    found.dedup();
    assert!(found.ends_with(&[0, 1, 2, 3]), "{found:?}\n{}", old.process.log());
}
