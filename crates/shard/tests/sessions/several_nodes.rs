//! Three nodes of different sizes.

use std::time::Duration;

use leveret_model::{Instant, NodeId, limits};

use crate::rig::{Client, Rig, command};

/// Shards of the nodes: the first has 0 and 1, the second 2, the third 3 to 5.
const COUNTS: [u8; 3] = [2, 1, 3];
const KEYS: usize = 60;

fn three() -> (Rig, [Client; 3]) {
    let mut rig = Rig::new(&COUNTS);
    let clients = [0, 2, 4].map(|shard| rig.connect(shard, true));
    (rig, clients)
}

fn set(rig: &mut Rig, client: Client, number: usize, value: &str) {
    let set = command(&["SET", &format!("sess:{number}"), value, "EX", "600"]);
    assert_eq!(rig.ask(client, &set), "+OK\r\n");
}

fn get(rig: &mut Rig, client: Client, number: usize) -> String {
    rig.ask(client, &command(&["GET", &format!("sess:{number}")]))
}

fn fill(rig: &mut Rig, clients: &[Client]) {
    for number in 0..KEYS {
        set(rig, clients[number % clients.len()], number, "born");
        set(rig, clients[(number + 1) % clients.len()], number, "changed");
    }
}

#[test]
fn any_node_answers_for_any_key_and_each_has_one_home_and_one_copy() {
    let (mut rig, clients) = three();
    fill(&mut rig, &clients);
    for number in 0..KEYS {
        for client in clients {
            assert_eq!(get(&mut rig, client, number), "$7\r\nchanged\r\n");
        }
    }
    for client in clients {
        assert_eq!(rig.ask(client, "DBSIZE\r\n"), format!(":{KEYS}\r\n"));
    }
    let report = rig.report();
    assert_eq!((report.sessions, report.states, report.waiting), (3 * KEYS, 2 * KEYS, 0));
}

#[test]
fn a_logout_is_one_on_every_node() {
    let (mut rig, clients) = three();
    fill(&mut rig, &clients);
    for number in 0..KEYS {
        let del = command(&["DEL", &format!("sess:{number}")]);
        assert_eq!(rig.ask(clients[(number + 2) % 3], &del), ":1\r\n");
        set(&mut rig, clients[number % 3], number, "late");
        for client in clients {
            assert_eq!(get(&mut rig, client, number), "$-1\r\n");
        }
    }
    assert_eq!(rig.report().states, 0);
}

#[test]
fn a_scan_and_a_flush_are_of_all_nodes() {
    let (mut rig, clients) = three();
    fill(&mut rig, &clients);
    rig.ask(clients[1], &command(&["SET", "other:1", "x"]));
    for client in clients {
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let scan = command(&["SCAN", &cursor, "MATCH", "sess:*", "COUNT", "9"]);
            let answer = rig.ask(client, &scan);
            let lines: Vec<&str> = answer.split("\r\n").collect();
            found.extend(
                lines[3..].iter().filter(|line| line.starts_with("sess:")).map(|key| (*key).to_owned()),
            );
            cursor = lines[2].to_owned();
            if cursor == "0" {
                break;
            }
        }
        found.sort();
        let mut wanted: Vec<String> = (0..KEYS).map(|number| format!("sess:{number}")).collect();
        wanted.sort();
        assert_eq!(found, wanted);
    }
    let flush = "FLUSHDB\r\n".to_owned() + &command(&["SET", "new", "x"]);
    assert_eq!(rig.ask(clients[0], &flush), "+OK\r\n+OK\r\n");
    for client in clients {
        assert_eq!(rig.ask(client, "DBSIZE\r\n"), ":1\r\n");
    }
}

#[test]
fn a_node_that_dies_loses_no_session_and_its_sessions_change_again() {
    let (mut rig, clients) = three();
    fill(&mut rig, &clients);
    rig.kill(NodeId(3));
    for number in 0..KEYS {
        for client in &clients[..2] {
            assert_eq!(get(&mut rig, *client, number), "$7\r\nchanged\r\n", "{number}");
        }
        set(&mut rig, clients[number % 2], number, "after");
        assert_eq!(get(&mut rig, clients[(number + 1) % 2], number), "$5\r\nafter\r\n");
    }
    let report = rig.report();
    assert_eq!((report.sessions, report.states, report.counters.lost), (2 * KEYS, 2 * KEYS, 0));
}

#[test]
fn without_a_lease_nothing_is_said_and_after_4_s_that_one_may_try_again() {
    let (mut rig, clients) = three();
    fill(&mut rig, &clients);
    rig.lease(NodeId(1), Instant::ZERO);
    assert_eq!(get(&mut rig, clients[0], 0), "");
    assert_eq!(rig.ask(clients[0], &command(&["GET", "nobody has it"])), "");
    rig.wait(limits::SESSION_REQUEST_WAIT - Duration::from_millis(20));
    assert_eq!(rig.ask(clients[0], ""), "");
    rig.wait(Duration::from_millis(40));
    let said = rig.ask(clients[0], "");
    assert_eq!(said.matches("-TRYAGAIN").count(), 2, "{said}");
    // the others go on, and the node too once it has the lease again and was told every map
    assert_eq!(get(&mut rig, clients[1], 0), "$7\r\nchanged\r\n");
    rig.lease(NodeId(1), Instant::FAR);
    rig.settle();
    assert_eq!(get(&mut rig, clients[0], 0), "$7\r\nchanged\r\n");
}
