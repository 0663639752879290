//! The front door with real processes over a Leveret node: nothing else is needed.

mod node;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use node::{LEVERET, Node};
use serde_json::Value;

fn leveret(node: &Node, words: &[&str]) -> Command {
    let url = format!("amqp://{}", node.amqp());
    let mut command = Command::new(LEVERET);
    command.args(words).env("LEVERET_AMQP", &url).env("LEVERET_DOOR_AMQP", &url).stdin(Stdio::null());
    command
}

fn output(mut command: Command) -> Output {
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_demonstration_loses_nothing_over_a_node_of_ours() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path(), &[]);
    let ended = output(leveret(&node, &["demo", "web", "--amqp", &format!("amqp://{}", node.amqp())]));
    let told = text(&ended.stdout);
    assert!(ended.status.success() && told.contains(" 0 POST served twice"), "{told}{}", text(&ended.stderr));
}

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn status_says_why_an_instance_gets_nothing_and_commands_change_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path(), &[]);
    let mut door = leveret(&node, &["door", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut door = Killed(door.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
    let lines = BufReader::new(door.0.stdout.take().expect("piped")).lines();
    let admin = lines
        .map(|line| line.expect("text"))
        .find_map(|line| line.strip_prefix("admin on ").map(str::to_owned));
    let admin = admin.expect("it says so");
    let instance = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = instance.local_addr().expect("an address").port().to_string();
    let mut announced =
        leveret(&node, &["announce", "--service", "shop", "--instance", "one", "--port", &port]);
    let _announced =
        Killed(announced.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));

    let why_not = || -> Option<String> {
        let shown = output(leveret(&node, &["door", "status", "--json", "--admin", &admin]));
        let status: Value = serde_json::from_slice(&shown.stdout).expect("a document");
        let one = &status["services"][0]["instances"][0];
        one["why_not"].as_str().map(str::to_owned)
    };
    let until = |why: &str| while why_not().as_deref() != Some(why) {};
    until("");
    let told = output(leveret(&node, &["door", "drain", "shop", "one", "--admin", &admin]));
    assert!(told.status.success(), "{}", text(&told.stderr));
    until("it says draining");
    let shown = output(leveret(&node, &["door", "status", "--admin", &admin]));
    assert!(text(&shown.stdout).contains("it says draining"), "{}", text(&shown.stdout));
    let told = output(leveret(&node, &["door", "ready", "shop", "one", "--admin", &admin]));
    assert!(told.status.success(), "{}", text(&told.stderr));
    until("");
    let wrong = output(leveret(&node, &["door", "drain", "shop", "two", "--admin", &admin]));
    assert!(
        !wrong.status.success() && text(&wrong.stderr).contains("knows no such instance"),
        "{}",
        text(&wrong.stderr)
    );
}

#[test]
fn a_socket_of_systemd_outlives_its_door() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path(), &[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let start = || {
        let script =
            r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" door --admin 127.0.0.1:0"#;
        let url = format!("amqp://{}", node.amqp());
        let mut command = Command::new("sh");
        command.args(["-c", script, LEVERET]).env("LEVERET_DOOR_AMQP", url).stdout(Stdio::piped());
        let socket = std::os::fd::OwnedFd::from(listener.try_clone().expect("a descriptor"));
        let mut door = Killed(command.stdin(socket).stderr(Stdio::null()).spawn().expect("it starts"));
        let lines = BufReader::new(door.0.stdout.take().expect("piped")).lines();
        let banner: Vec<String> = lines.map_while(Result::ok).take_while(|line| line != "ready").collect();
        assert!(banner.contains(&format!("listening for HTTP on {address}")), "{banner:?}");
        door
    };
    drop(start());
    // Nobody accepts now, and the connection waits.
    let mut waiting = TcpStream::connect(address).expect("a connection");
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n").expect("written");
    let _second = start();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503 "), "no service is there: {answer}");
}
