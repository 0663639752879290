//! `leveret` as an operator meets it: what a mistake says, which exit code it has, and a node from start to
//! stop.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The program, without settings of whoever runs the tests.
fn leveret(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LEVERET_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Exit code and the only line on standard error.
fn refused(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stdout(Stdio::null()).output().expect("the program runs");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    (output.status.code(), text)
}

fn serve(data_dir: &Path) -> Command {
    let directory = data_dir.to_str().expect("UTF-8");
    let free =
        ["serve", "--listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0", "--data-dir", directory];
    leveret(&free)
}

/// A running node, killed if a test fails.
struct Node {
    process: Child,
    facts: Vec<String>,
    directory: TempDir,
}

impl Node {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let process = serve(directory.path()).stdout(Stdio::piped()).spawn().expect("the program runs");
        let mut node = Self { process, facts: Vec::new(), directory };
        let mut lines = BufReader::new(node.process.stdout.take().expect("piped")).lines();
        while node.facts.last().is_none_or(|line| line != "ready") {
            let line = lines.next().unwrap_or_else(|| panic!("the node ended: {:?}", node.facts));
            node.facts.push(line.expect("UTF-8"));
        }
        node
    }

    fn fact(&self, name: &str) -> &str {
        self.facts
            .iter()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.facts))
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
fn a_wrong_command_line_or_configuration_has_exit_code_2() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("leveret.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\nclusterlisten = \"x\"\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let cases: [(&[&str], &str); 7] = [
        (&["serve", "--seed", "127.0.0.1:1,127.0.0.1:2"], "give the flag once for each of several"),
        (&["serve", "--lisen", "x"], "--lisen"),
        (&["serve", "--listen", "localhost"], "--listen localhost: is not ADDR:PORT"),
        (&["serve", "--config", "/nowhere.toml"], "config file /nowhere.toml: cannot be read"),
        (&["serve", "--config", file], "leveret.toml:2: unknown key \"clusterlisten\""),
        (&["serve", "--secret-file", "/nowhere"], "--secret-file /nowhere: cannot be read"),
        (
            &["serve", "--dns-server", "127.0.0.1:53"],
            "--dns-server 127.0.0.1:53: is there to be asked for --dns",
        ),
    ];
    for (arguments, expected) in cases {
        let (code, line) = refused(&mut leveret(arguments));
        assert!(line.contains(expected), "{line}");
        assert_eq!(code, Some(2), "{line}");
    }
    let (code, line) = refused(leveret(&["serve"]).env("LEVERET_SHARDS", "none"));
    assert!(line.contains("LEVERET_SHARDS=none") && code == Some(2), "{line}");
}

#[test]
fn a_standard_output_that_takes_nothing_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for command in [&mut serve(directory.path()), &mut leveret(&["print-config-docs"])] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = command.stdout(full).output().expect("the program runs");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        let last = text.lines().last().expect("it says why");
        assert!(last.starts_with("leveret: standard output cannot be written; make room"), "{text}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_taken_port_and_a_data_directory_in_use_are_named() {
    let node = Node::start();
    let directory = node.directory.path();
    let (code, line) = refused(&mut serve(directory));
    let name = directory.to_str().expect("UTF-8");
    assert!(line.contains(name) && line.contains("in use") && line.contains("--data-dir"), "{line}");
    assert_eq!(code, Some(1));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let other = tempfile::tempdir().expect("a temporary directory");
    let other = other.path().to_str().expect("UTF-8");
    for flag in ["--listen", "--cluster-listen"] {
        let free = if flag == "--listen" { "--cluster-listen" } else { "--listen" };
        let arguments = ["serve", flag, &taken, free, "127.0.0.1:0", "--data-dir", other];
        let (code, line) = refused(&mut leveret(&arguments));
        assert!(line.contains(&taken) && line.contains(flag), "{line}");
        assert_eq!(code, Some(1));
    }
}

#[test]
fn a_data_directory_whose_path_is_too_long_for_its_socket_is_told_the_bound() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (code, line) = refused(&mut serve(&directory.path().join("d".repeat(120))));
    assert_eq!(code, Some(1));
    assert!(line.contains("too long") && line.contains("107 bytes"), "{line}");
}

#[test]
fn of_two_nodes_that_bind_one_port_at_the_same_moment_the_second_to_open_it_says_so_and_ends() {
    // a seed that says nothing: the node waits for a second before it opens its port
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let seed = mute.local_addr().expect("an address").to_string();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let process = serve(directory.path())
        .args(["--seed", &seed])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut node = Node { process, facts: Vec::new(), directory };
    let stdout = BufReader::new(node.process.stdout.take().expect("piped"));
    let mut lines = stdout.lines().map(|line| line.expect("UTF-8"));
    let bound = lines.next().expect("a line");
    let address = bound.strip_prefix("listening for AMQP on ").expect("the first line");
    let first = TcpListener::bind(address).expect("it is bound and nobody listens");
    let log = std::io::read_to_string(node.process.stderr.take().expect("piped")).expect("UTF-8");
    let last = log.lines().last().expect("it says why");
    assert!(last.contains(address) && last.contains("--listen"), "{log}");
    assert_eq!(node.process.wait().expect("it ends").code(), Some(1), "{log}");
    assert!(lines.all(|line| line != "ready"));
    drop(first);
}

#[test]
fn a_node_that_is_stopped_while_it_joins_says_so_and_leaves_no_socket_behind() {
    // a seed that says nothing: the node waits for it for a second
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let seed = mute.local_addr().expect("an address").to_string();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let process = serve(directory.path())
        .args(["--seed", &seed])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut node = Node { process, facts: Vec::new(), directory };
    let stdout = BufReader::new(node.process.stdout.take().expect("piped"));
    let mut lines = stdout.lines().map(|line| line.expect("UTF-8"));
    assert!(lines.any(|line| line.starts_with("data in ")));
    let socket = node.directory.path().join("admin.sock");
    assert!(socket.exists());
    let pid = rustix::process::Pid::from_child(&node.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the process is there");
    let log = std::io::read_to_string(node.process.stderr.take().expect("piped")).expect("UTF-8");
    assert_eq!(node.process.wait().expect("it ends").code(), Some(0), "{log}");
    assert!(!socket.exists());
    assert!(log.contains("stopped at once lost=0"), "{log}");
}

#[test]
fn a_node_says_where_it_is_answers_status_and_stops_on_sigterm() {
    let mut node = Node::start();
    let address = node.fact("listening for AMQP on ").to_owned();
    assert!(node.fact("listening for cluster on ").starts_with("127.0.0.1:"));
    assert!(Path::new(node.fact("admin socket ")).exists());
    let directory = node.directory.path().to_str().expect("UTF-8").to_owned();
    let status = leveret(&["status", "--json", "--data-dir", &directory]).output().expect("the program runs");
    let report: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(report["node"]["listen"], address.as_str());
    let id = report["node"]["id"].as_str().expect("an id").to_owned();
    assert!(id.len() == 32 && report["nodes"][0]["id"] == id.as_str(), "all 128 bits: {report}");
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(1));
    let tables = leveret(&["status", "--data-dir", &directory]).output().expect("the program runs");
    let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
    assert!(tables.contains(&address) && tables.contains(&id[..8]) && !tables.contains(&id), "{tables}");
    let pid = rustix::process::Pid::from_child(&node.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the process is there");
    assert_eq!(node.process.wait().expect("it ends").code(), Some(0));
    let (code, line) = refused(&mut leveret(&["status", "--data-dir", &directory]));
    assert!(line.contains("no node runs in") && code == Some(1), "{line}");
}

/// Words of our commands in packaging: flags behind `leveret COMMAND`, each on a line of its own or in a list.
fn flags_in(text: &str) -> Vec<String> {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '-';
    let words = text.split(|c: char| c.is_whitespace() || "[],'\"".contains(c));
    // not the line between two documents
    let flags = words.filter_map(|word| word.strip_prefix("--")).filter(|flag| !flag.starts_with('-'));
    flags.map(|flag| flag.split(is_end).next().unwrap_or(flag).to_owned()).collect()
}

#[test]
fn packaging_uses_no_flag_that_leveret_does_not_know() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let help = |command: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_leveret")).args([command, "--help"]).output();
        String::from_utf8(output.expect("it runs").stdout).expect("UTF-8")
    };
    let known = ["serve", "leave", "status"].map(help).concat();
    let manifest = std::fs::read_to_string(packaging.join("kubernetes/leveret.yaml")).expect("it is there");
    let commands: String =
        manifest.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let flags = flags_in(&commands);
    assert!(flags.len() >= 9, "{flags:?}");
    for flag in flags {
        assert!(known.contains(&format!("--{flag}")), "--{flag} is none of ours");
    }
}
