//! A node of two shards.

use std::time::Duration;

use leveret_model::{Instant, limits};
use leveret_shard::SessionInterest;

use crate::rig::{Rig, SHARDS, UNIX_MS, command};

#[test]
fn what_one_shard_was_told_every_shard_answers() {
    let mut node = Rig::new(&[SHARDS]);
    let clients = [node.connect(0, true), node.connect(1, true)];
    for number in 0..40 {
        let (key, value) = (format!("sess:{number}"), format!("value {number}"));
        let set = command(&["SET", &key, &value, "EX", "60"]);
        assert_eq!(node.ask(clients[number % 2], &set), "+OK\r\n");
        for client in clients {
            let wanted = format!("${}\r\n{value}\r\n", value.len());
            assert_eq!(node.ask(client, &command(&["GET", &key])), wanted);
        }
    }
    assert_eq!(node.ask(clients[0], "DBSIZE\r\n"), ":40\r\n");
    // both shards keep some of them, so both ways were gone
    assert!(node.shards.iter().all(|shard| shard.session_report().expect("on").states > 5));
    assert_eq!(node.ask(clients[1], "FLUSHDB\r\n"), "+OK\r\n");
    assert_eq!(node.ask(clients[1], "DBSIZE\r\n"), ":0\r\n");
}

#[test]
fn answers_of_a_pipeline_leave_in_order_though_keys_are_of_several_shards() {
    let mut node = Rig::new(&[SHARDS]);
    let client = node.connect(0, true);
    let mut pipeline = String::new();
    let mut wanted = String::new();
    for number in 0..20 {
        let value = format!("{number}");
        pipeline += &command(&["SET", &format!("k{number}"), &value]);
        pipeline += &command(&["GET", &format!("k{number}")]);
        pipeline += "PING\r\n";
        wanted += &format!("+OK\r\n${}\r\n{value}\r\n+PONG\r\n", value.len());
    }
    pipeline += "DBSIZE\r\n";
    wanted += ":20\r\n";
    assert_eq!(node.ask(client, &pipeline), wanted);
    let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    let words: Vec<&str> = ["DEL"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    assert_eq!(node.ask(client, &command(&words)), ":20\r\n");
}

#[test]
fn a_scan_finds_each_key_of_every_shard_once() {
    let mut node = Rig::new(&[SHARDS]);
    let client = node.connect(1, true);
    for number in 0..60 {
        node.ask(client, &command(&["SET", &format!("sess:{number}"), "x"]));
        node.ask(client, &command(&["SET", &format!("other:{number}"), "x"]));
    }
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    loop {
        let answer = node.ask(client, &command(&["SCAN", &cursor, "MATCH", "sess:*", "COUNT", "7"]));
        let lines: Vec<&str> = answer.split("\r\n").collect();
        cursor = lines[2].to_owned();
        found.extend(
            lines[3..].iter().filter(|line| line.starts_with("sess:")).map(|line| (*line).to_owned()),
        );
        if cursor == "0" {
            break;
        }
    }
    found.sort();
    let mut wanted: Vec<String> = (0..60).map(|number| format!("sess:{number}")).collect();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn a_session_expires_without_a_client_and_no_shard_wakes_without_one() {
    let mut node = Rig::new(&[SHARDS]);
    let client = node.connect(0, true);
    assert!(node.shards.iter().all(|shard| shard.next_deadline() == Instant::FAR));
    for number in 0..8 {
        node.ask(client, &command(&["SET", &format!("k{number}"), "x", "PX", "5000"]));
    }
    node.wait(Duration::from_millis(4_900));
    assert_eq!(node.report().states, 8);
    node.wait(Duration::from_millis(1_200));
    assert_eq!((node.report().states, node.report().counters.expired), (0, 8));
    assert_eq!(node.ask(client, "DBSIZE\r\n"), ":0\r\n");
}

#[test]
fn points_in_time_come_back_as_they_were_set_from_any_shard() {
    let mut node = Rig::new(&[SHARDS]);
    let clients = [node.connect(0, true), node.connect(1, true)];
    let at = format!("{}", UNIX_MS + 123_457);
    for number in 0..6 {
        let key = format!("k{number}");
        assert_eq!(node.ask(clients[0], &command(&["SET", &key, "x", "PXAT", &at])), "+OK\r\n");
        node.wait(Duration::from_micros(1_000_700));
        for client in clients {
            assert_eq!(node.ask(client, &command(&["PEXPIRETIME", &key])), format!(":{at}\r\n"));
        }
    }
}

#[test]
fn from_elsewhere_nobody_does_anything_without_a_login() {
    let mut node = Rig::new(&[SHARDS]);
    let client = node.connect(0, false);
    let noauth = "-NOAUTH Authentication required.\r\n";
    assert_eq!(node.ask(client, &command(&["GET", "k"])), noauth);
    // guest is for loopback alone, and a wrong password for nobody
    for login in [&["AUTH", "guest", "guest"][..], &["AUTH", "wrong"], &["AUTH", "nobody", "secret"]] {
        let said = node.ask(client, &command(login));
        assert!(said.starts_with("-WRONGPASS"), "{login:?}: {said}");
    }
    assert_eq!(node.ask(client, &command(&["GET", "k"])), noauth);
    // the default user; what is sent behind the login waits for it
    let pipeline = command(&["AUTH", "secret"]) + &command(&["SET", "k", "v"]) + &command(&["GET", "k"]);
    assert_eq!(node.ask(client, &pipeline), "+OK\r\n+OK\r\n$1\r\nv\r\n");
    assert_eq!(node.ask(client, "RESET\r\n"), "+RESET\r\n");
    assert_eq!(node.ask(client, &command(&["GET", "k"])), noauth);
}

#[test]
fn hello_logs_in_and_changes_the_protocol() {
    let mut node = Rig::new(&[SHARDS]);
    let client = node.connect(1, false);
    let said = node.ask(client, "HELLO 3\r\n");
    assert!(said.starts_with("-NOAUTH HELLO must be called"), "{said}");
    let said = node.ask(client, &command(&["HELLO", "3", "AUTH", "default", "secret", "SETNAME", "app"]));
    assert!(said.starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"), "{said}");
    assert_eq!(node.ask(client, &command(&["GET", "k"])), "_\r\n");
}

#[test]
fn a_wrong_password_does_not_take_the_rights_of_a_guest() {
    let mut node = Rig::new(&[SHARDS]);
    let client = node.connect(0, true);
    assert!(node.ask(client, &command(&["AUTH", "wrong"])).starts_with("-WRONGPASS"));
    assert_eq!(node.ask(client, &command(&["SET", "k", "v"])), "+OK\r\n");
    assert_eq!(node.ask(client, &command(&["AUTH", "guest", "guest"])), "+OK\r\n");
    // sessions of a vhost where the user may nothing
    let said = node.ask(client, &command(&["AUTH", "other:guest", "guest"]));
    assert!(said.starts_with("-WRONGPASS"), "{said}");
}

#[test]
fn a_login_that_does_not_come_ends_the_connection_and_one_that_came_does_not() {
    let mut node = Rig::new(&[SHARDS]);
    let (silent, there) = (node.connect(0, false), node.connect(0, false));
    assert_eq!(node.ask(there, &command(&["AUTH", "secret"])), "+OK\r\n");
    node.wait(limits::HANDSHAKE_TIMEOUT);
    assert_eq!(node.shards[0].session_interest(silent.key), SessionInterest::Ended);
    assert!(matches!(node.shards[0].session_interest(there.key), SessionInterest::Read(_)));
    assert_eq!(node.shards[0].next_deadline(), Instant::FAR);
}

#[test]
fn a_late_write_does_not_bring_a_session_back_and_is_counted() {
    let mut node = Rig::new(&[SHARDS]);
    let (browser, other) = (node.connect(0, true), node.connect(1, true));
    node.ask(browser, &command(&["SET", "sess:a", "hare", "EX", "60"]));
    assert_eq!(node.ask(other, &command(&["GET", "sess:a"])), "$4\r\nhare\r\n");
    assert_eq!(node.ask(browser, &command(&["DEL", "sess:a"])), ":1\r\n");
    assert_eq!(node.ask(other, &command(&["SET", "sess:a", "hare", "EX", "60"])), "+OK\r\n");
    assert_eq!(node.ask(other, &command(&["GET", "sess:a"])), "$-1\r\n");
    assert_eq!((node.report().counters.late_writes, node.report().gone), (1, 1));
}

#[test]
fn memory_is_bounded_and_what_is_there_still_changes() {
    let mut node = Rig::with(&[1], 16 * 64 * 1024);
    let client = node.connect(0, true);
    let value = "x".repeat(1_000);
    let mut refused = 0;
    for number in 0..2_000 {
        let said = node.ask(client, &command(&["SET", &format!("k{number}"), &value, "EX", "600"]));
        refused += u32::from(said.starts_with("-OOM"));
    }
    assert!(refused > 500, "{refused}");
    assert!(node.report().bytes <= 16 * 64 * 1024, "{}", node.report().bytes);
    let other = "y".repeat(1_000);
    assert_eq!(node.ask(client, &command(&["SET", "k0", &other, "EX", "600"])), "+OK\r\n");
    assert_eq!(node.ask(client, &command(&["DEL", "k0"])), ":1\r\n");
}

#[test]
fn a_connection_that_is_gone_leaves_nothing_behind() {
    let mut node = Rig::new(&[SHARDS]);
    for _ in 0..100 {
        let client = node.connect(0, true);
        node.ask(client, &command(&["GET", "k"]));
        node.shards[0].on_session_lost(client.key);
        node.settle();
    }
    assert_eq!((node.report().connections, node.report().waiting), (0, 0));
    let client = node.connect(0, true);
    assert_eq!(node.ask(client, "CLIENT ID\r\n"), format!(":{}\r\n", 100 * u64::from(SHARDS) + 1));
}
