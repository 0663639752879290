//! `leveret serve` with sessions on, spoken to over sockets byte by byte. Stock stores: `tests/sessions/run`.

mod node;
mod resp;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use node::{LEVERET, Node};
use resp::Client;

fn start(directory: &Path, more: &[&str]) -> Node {
    Node::start(directory, &[&["--session-listen", "127.0.0.1:0"], more].concat())
}

#[test]
fn what_one_client_sets_another_gets_and_status_counts_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(directory.path(), &["--shards", "3"]);
    let (mut one, mut other) = (Client::of(&node), Client::of(&node));
    for number in 0..30 {
        one.ask(format!("SET sess:{number} v{number:02} EX 600\r\n").as_bytes(), "+OK\r\n");
        other.ask(format!("GET sess:{number}\r\n").as_bytes(), &format!("$3\r\nv{number:02}\r\n"));
    }
    other.ask(b"DBSIZE\r\n", ":30\r\n");
    one.ask(b"DEL sess:0 sess:1\r\n", ":2\r\n");
    other.ask(b"SET sess:0 late\r\n", "+OK\r\n");
    other.ask(b"GET sess:0\r\n", "$-1\r\n");
    let status = node.status();
    let sessions = &status["sessions"];
    assert_eq!((&sessions["connections"], &sessions["sessions"]), (&2.into(), &28.into()), "{sessions}");
    assert_eq!((&sessions["gone"], &sessions["waiting"]), (&2.into(), &0.into()), "{sessions}");
    let counters = &sessions["since_start"];
    assert_eq!((&counters["created"], &counters["destroyed"]), (&30.into(), &2.into()), "{counters}");
    assert_eq!(counters["late_writes_dropped"], 1, "{counters}");
}

fn leveret(node: &Node, words: &[&str]) -> (bool, String) {
    let mut command = Command::new(LEVERET);
    let output = command.arg("session").args(words).arg("--data-dir").arg(node.directory()).output();
    let output = output.expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

#[test]
fn an_operator_sees_no_key_and_ends_a_session_by_key_or_id() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(directory.path(), &["--shards", "2", "--name", "hare"]);
    let mut client = Client::of(&node);
    client.ask(
        b"SET sess:secret-of-a x EX 600\r\nSET sess:secret-of-b yy\r\nSET other zzz\r\n",
        "+OK\r\n+OK\r\n+OK\r\n",
    );
    let (good, listed) = leveret(&node, &["ls", "--prefix", "sess", "--json"]);
    assert!(good && !listed.contains("secret"), "{listed}");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("a document");
    assert_eq!((&listed["count"], &listed["sessions"][0]["home"]), (&2.into(), &"hare".into()), "{listed}");
    let (good, shown) = leveret(&node, &["show", "sess:secret-of-b"]);
    assert!(good && shown.contains("\"bytes\": 2") && shown.contains("\"left_s\": null"), "{shown}");
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("a document");
    let (good, said) = leveret(&node, &["kill", shown["hid"].as_str().expect("an id")]);
    assert!(good, "{said}");
    client.ask(b"GET sess:secret-of-b\r\n", "$-1\r\n");
    let (good, said) = leveret(&node, &["kill", "sess:secret-of-a"]);
    assert!(good, "{said}");
    // ended as by a logout: a late write does not bring it back
    client.ask(b"SET sess:secret-of-a x\r\nGET sess:secret-of-a\r\n", "+OK\r\n$-1\r\n");
    let (good, said) = leveret(&node, &["kill", "sess:secret-of-a"]);
    assert!(!good && said.contains("there is no such session"), "{said}");
}

#[test]
fn an_operator_ends_every_session_of_a_user() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(directory.path(), &["--shards", "2"]);
    let mut client = Client::of(&node);
    for (key, user) in [("n:a", "hare"), ("n:b", "hare"), ("n:c", "fox")] {
        let begin = format!("SESSION.COMMIT {key} \"\" {key} NEW USER {user} SET 1 a 1\r\nEXISTS {key}\r\n");
        let end = client.ask_end(begin.as_bytes(), "*2\r\n$72\r\n".len() + 72 + 2, "*0\r\n:1\r\n");
        assert!(end, "{key}");
    }
    let (good, said) = leveret(&node, &["kill", "--user", "hare"]);
    assert!(good && said.contains("ended 2"), "{said}");
    client.ask(b"EXISTS n:a n:b n:c\r\nSESSION.LOAD n:a\r\n", ":1\r\n$-1\r\n");
    let (good, said) = leveret(&node, &["kill", "--user", "hare"]);
    assert!(!good && said.contains("no session of that user"), "{said}");
    // nobody is there to be asked
    let (good, said) = leveret(&node, &["kill", "--all"]);
    assert!(!good && said.contains("ends 1 sessions") && said.contains("--yes"), "{said}");
    client.ask(b"EXISTS n:c\r\n", ":1\r\n");
}

#[test]
fn without_the_option_sessions_are_off() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(directory.path(), &[]);
    assert!(!node.banner.iter().any(|line| line.contains("sessions")), "{:?}", node.banner);
    assert!(node.status()["sessions"].is_null());
}

#[test]
fn a_large_value_and_a_pipeline_that_is_sent_in_pieces_are_answered_in_order() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(directory.path(), &["--session-bytes-max", "4MiB", "--shards", "2"]);
    let value = "x".repeat(3_000_000);
    let mut bytes = Vec::new();
    let mut answers = String::new();
    for number in 0..6 {
        bytes.extend_from_slice(
            format!("*3\r\n$3\r\nSET\r\n$2\r\nk{number}\r\n${}\r\n", value.len()).as_bytes(),
        );
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(format!("\r\n*2\r\n$3\r\nGET\r\n$2\r\nk{number}\r\n").as_bytes());
        answers += &format!("+OK\r\n${}\r\n{value}\r\n", value.len());
    }
    let mut client = Client::of(&node);
    let mut writer = client.0.try_clone().expect("a socket");
    // in pieces of an odd size, by a thread: answers fill both buffers before all is sent
    let sender = thread::spawn(move || {
        bytes.chunks(70_001).for_each(|piece| writer.write_all(piece).expect("it reads"));
    });
    client.ask(b"", &answers);
    sender.join().expect("all was sent");
    client.ask(b"PING\r\n", "+PONG\r\n");
}

#[test]
fn what_is_no_command_ends_the_connection_and_nobody_elses() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(directory.path(), &[]);
    let mut bystander = Client::of(&node);
    for (bytes, answer) in [
        (&b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET a b\r\n"[..], ""),
        (
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET a b\r\n",
            "-ERR wrong number of arguments for 'get' command\r\n",
        ),
        (b"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$99999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        (&[b'x'; 5_000], "-ERR Protocol error: too big inline request\r\n"),
    ] {
        let mut client = Client::of(&node);
        client.0.write_all(bytes).expect("it reads");
        assert_eq!(client.rest(), answer, "{:?}", String::from_utf8_lossy(bytes));
        bystander.ask(b"EXISTS a\r\n", ":0\r\n");
    }
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_does_not_hold_up_others() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = start(directory.path(), &["--shards", "1"]);
    let mut bystander = Client::of(&node);
    bystander.ask(b"SET k ", "");
    bystander.ask(&[b'v'; 2_000], "");
    bystander.ask(b"\r\n", "+OK\r\n");
    let deaf = Client::of(&node);
    deaf.0.set_nonblocking(true).expect("a socket");
    let commands = b"GET k\r\n".repeat(4_096);
    // it sends until its own buffer is full, because the node has stopped to read
    while (&deaf.0).write(&commands).is_ok() {}
    for _ in 0..100 {
        bystander.ask(b"EXISTS k\r\n", ":1\r\n");
    }
    deaf.0.set_nonblocking(false).expect("a socket");
    let mut deaf = deaf;
    let value = format!("$2000\r\n{}\r\n", "v".repeat(2_000));
    deaf.ask(b"", &value.repeat(1_000));
}

#[test]
fn a_stop_ends_connections_and_the_node_with_exit_code_0() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut node = start(directory.path(), &["--shards", "2"]);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::of(&node)).collect();
    clients.iter_mut().for_each(|client| client.ask(b"PING\r\n", "+PONG\r\n"));
    assert_eq!(node.terminate(), Some(0));
    clients.into_iter().for_each(|client| assert_eq!(client.rest(), ""));
}

#[test]
fn a_port_for_two_and_a_rule_that_is_none_are_refused_at_the_start() {
    for (more, says) in [
        (
            ["--session-listen", "127.0.0.1:7001", "--listen", "127.0.0.1:7001"],
            "is the address of --listen too",
        ),
        (["--session-rule", "x=never", "--session-listen", "127.0.0.1:0"], "none of stays, reader and free"),
        (["--session-gone-for", "1s", "--session-listen", "127.0.0.1:0"], "is not 10s to 1h"),
        (["--session-bytes-max", "17MiB", "--session-listen", "127.0.0.1:0"], "is not 1 to 16MiB"),
    ] {
        let run = Command::new(LEVERET).arg("serve").args(more).output().expect("the program runs");
        assert_eq!(run.status.code(), Some(2), "{more:?}");
        let error = String::from_utf8_lossy(&run.stderr);
        assert!(error.contains(says), "{more:?}: {error}");
    }
}
