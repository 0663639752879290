//! `leveret run` with real processes and no broker: what it passes on must not depend on one. With one: web.rs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A port that refuses.
const NO_BROKER: &str = "amqp://127.0.0.1:9";

fn leveret(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.args(words).env_remove("LEVERET_AMQP").stdin(Stdio::null());
    command
}

fn run(options: &[&str], script: &str) -> Command {
    let mut words = vec!["run", "--service", "shop", "--amqp", NO_BROKER];
    words.extend(options);
    words.extend(["--", "sh", "-c", script]);
    leveret(&words)
}

fn output(mut command: Command) -> Output {
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn start(mut command: Command) -> (Child, impl Iterator<Item = String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines.map(|line| line.expect("text")))
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("not zero");
    kill_process(pid, signal).expect("it is there");
}

fn code(mut child: Child) -> i32 {
    let code = child.wait().expect("it ends").code();
    let mut log = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
    code.unwrap_or_else(|| panic!("ended by a signal: {log}"))
}

#[test]
fn the_exit_code_and_the_output_are_the_commands_own() {
    let ended = output(run(&[], "echo out; echo err >&2; exit 7"));
    assert_eq!(ended.status.code(), Some(7));
    assert_eq!(text(&ended.stdout), "out\n");
    assert!(text(&ended.stderr).contains("err\n"), "{}", text(&ended.stderr));
    let killed = output(run(&[], "kill -9 $$"));
    assert_eq!(killed.status.code(), Some(128 + 9), "as in a shell");
}

#[test]
fn the_port_is_given_as_a_word_and_as_a_variable() {
    let mut command = leveret(&["run", "--service", "shop", "--amqp", NO_BROKER, "--", "sh", "-c"]);
    command.args(["echo $PORT $0", "{port}"]);
    let ended = output(command);
    let out = text(&ended.stdout);
    let ports: Vec<u16> = out.split_whitespace().map(|port| port.parse().expect("a port")).collect();
    assert!(ports.len() == 2 && ports[0] == ports[1] && ports[0] > 0, "{out}");
}

#[test]
fn mistakes_are_one_line_that_says_what_to_do() {
    let unknown = output(leveret(&["run", "--service", "s", "--amqp", NO_BROKER, "--", "/no/such/program"]));
    assert_eq!(unknown.status.code(), Some(127));
    assert!(
        text(&unknown.stderr).contains("/no/such/program cannot be started"),
        "{}",
        text(&unknown.stderr)
    );

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for (words, code, expected) in [
        (&["run", "--service", "s", "--", "true", "{prot}"][..], 2, "{port}"),
        (&["run", "--service", "s", "--port", &port, "--", "true"], 1, "--port"),
        (&["run", "--", "true"], 2, "--service"),
        (&["run", "--service", "S", "--", "true"], 2, "a-z"),
        (&["run", "--service", "s", "--amqp", "amqp://u:p@h", "--", "true"], 2, "LEVERET_AMQP"),
        (&["run", "--service", "s", "--drain", "5", "--", "true"], 2, "30s"),
        (&["announce", "--service", "s"], 2, "--port"),
        (&["door", "--allow", "10.0.0.0/99"], 2, "10.0.0.0/8"),
        (&["door", "--admin", "0.0.0.0:1"], 2, "loopback"),
        (&["door", "status", "--admin", "127.0.0.1:9"], 1, "--admin"),
    ] {
        let ended = output(leveret(words));
        let line = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{words:?}: {line}");
        assert!(line.contains(expected) && line.trim_end().lines().count() == 1, "{words:?}: {line}");
        assert!(!line.contains("u:p"), "{line}");
    }
}

#[test]
fn sigterm_reaches_the_command_which_may_finish_what_it_does() {
    let script = "trap 'echo last word; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let (child, mut lines) = start(run(&["--worker"], script));
    assert_eq!(lines.next().as_deref(), Some("ready"));
    signal(child.id(), Signal::TERM);
    assert_eq!(lines.next().as_deref(), Some("last word"));
    assert_eq!(code(child), 5);
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_with_its_group() {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let (child, mut lines) = start(run(&["--worker", "--stop-timeout", "100ms"], script));
    assert_eq!(lines.next().as_deref(), Some("ready"));
    signal(child.id(), Signal::TERM);
    assert_eq!(code(child), 128 + 9);
}

#[test]
fn a_command_that_never_opens_its_port_is_stopped_with_code_70() {
    let (child, _lines) = start(run(&["--ready-timeout", "50ms"], "exec sleep 1000"));
    assert_eq!(code(child), 70);
}

#[test]
fn signals_for_the_application_are_passed_on() {
    let script = "trap 'echo hup' HUP; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.01; done";
    let (child, mut lines) = start(run(&["--worker"], script));
    assert_eq!(lines.next().as_deref(), Some("ready"));
    for (sent, said) in [(Signal::HUP, "hup"), (Signal::USR1, "usr1")] {
        signal(child.id(), sent);
        assert_eq!(lines.next().as_deref(), Some(said));
    }
    signal(child.id(), Signal::TERM);
    assert_eq!(code(child), 128 + 15, "the script has no handler for it");
}

#[test]
fn the_command_ends_when_run_is_killed() {
    let script = "trap 'echo orphaned; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let (mut child, mut lines) = start(run(&["--worker"], script));
    assert_eq!(lines.next().as_deref(), Some("ready"));
    signal(child.id(), Signal::KILL);
    assert_eq!(lines.next().as_deref(), Some("orphaned"));
    child.wait().expect("it ends");
}
