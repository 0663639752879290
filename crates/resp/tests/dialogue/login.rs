//! HELLO, AUTH, RESET, permissions.

use leveret_resp::{Right, State};

use crate::client::Dialogue;

#[test]
fn without_a_login_nothing_is_done() {
    let mut dialogue = Dialogue::new(false);
    assert_eq!(dialogue.send("GET a\r\n"), "-NOAUTH Authentication required.\r\n");
    assert!(dialogue.send("HELLO 3\r\n").starts_with("-NOAUTH HELLO must be called"));
    assert!(dialogue.host.log.is_empty());
}

#[test]
fn while_a_login_is_checked_nothing_is_read() {
    let mut dialogue = Dialogue::new(false);
    assert_eq!(dialogue.send("AUTH secret\r\nPING\r\n"), "");
    assert_eq!((dialogue.state, &dialogue.host.log[0][..]), (State::Paused, "login default secret"));
    assert_eq!(dialogue.login(true), "+OK\r\n");
    assert_eq!(dialogue.go_on(), "+PONG\r\n");
}

#[test]
fn a_wrong_password_leaves_the_connection_as_it_was() {
    let mut dialogue = Dialogue::new(false);
    dialogue.send("AUTH vh:user wrong\r\n");
    let text = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    assert_eq!(dialogue.login(false), text);
    assert_eq!(dialogue.send("PING\r\n"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(dialogue.host.log, ["login vh:user wrong"]);
}

#[test]
fn hello_3_logs_in_names_and_changes_the_protocol() {
    let mut dialogue = Dialogue::new(false);
    dialogue.send("hello 3 AUTH u p SETNAME me\r\n");
    let said = dialogue.login(true);
    assert!(said.starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"), "{said}");
    assert!(said.contains("$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n"), "{said}");
    assert_eq!(dialogue.send("CLIENT GETNAME\r\n"), "$2\r\nme\r\n");
    assert_eq!(dialogue.send("RESET\r\n"), "+RESET\r\n");
    assert_eq!(dialogue.send("PING\r\n"), "-NOAUTH Authentication required.\r\n");
}

#[test]
fn hello_refuses_what_redis_refuses() {
    let mut dialogue = Dialogue::new(true);
    assert_eq!(dialogue.send("HELLO 4\r\n"), "-NOPROTO unsupported protocol version\r\n");
    assert_eq!(dialogue.send("HELLO x\r\n"), "-ERR Protocol version is not an integer or out of range\r\n");
    assert_eq!(dialogue.send("HELLO 3 AUTH u\r\n"), "-ERR Syntax error in HELLO option 'AUTH'\r\n");
}

#[test]
fn a_right_that_is_missing_is_named_with_its_command() {
    let mut dialogue = Dialogue::new(true);
    dialogue.host.forbidden.push(Right::Configure);
    assert_eq!(
        dialogue.send("SCAN 0\r\n"),
        "-NOPERM this user has no permissions to run the 'scan' command\r\n"
    );
}

#[test]
fn a_load_that_touches_needs_the_right_to_write() {
    let mut dialogue = Dialogue::new(true);
    dialogue.host.forbidden.push(Right::Write);
    assert_eq!(
        dialogue.send("SESSION.LOAD k TOUCH 1000\r\n"),
        "-NOPERM this user has no permissions to run the 'session.load' command\r\n"
    );
    assert_eq!(dialogue.host.log, Vec::<String>::new(), "nothing was loaded");
}
