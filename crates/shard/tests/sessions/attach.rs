//! SESSION.NODES, and SESSION.ATTACH: an expired session is told to one connection, wherever it is.

use std::time::Duration;

use leveret_model::NodeId;

use crate::rig::{Client, Rig, command};

/// Shards of the nodes: the first has 0 and 1, the second 2, the third 3 to 5.
const COUNTS: [u8; 3] = [2, 1, 3];

fn row(number: u8, state: &str) -> String {
    format!("*3\r\n$2\r\nn{number}\r\n$13\r\n10.0.0.{number}:6379\r\n${}\r\n{state}\r\n", state.len())
}

fn nodes(rig: &mut Rig, client: Client) -> String {
    rig.ask(client, "SESSION.NODES\r\n")
}

fn attach(rig: &mut Rig, client: Client, pattern: &str) {
    rig.ask(client, "HELLO 3\r\n");
    assert_eq!(rig.ask(client, &command(&["SESSION.ATTACH", pattern])), "+OK\r\n");
}

/// Sessions under these keys are begun on every node by turns and expire.
fn expire(rig: &mut Rig, keys: &[String]) {
    let clients = [0, 2, 4].map(|shard| rig.connect(shard, true));
    for (number, key) in keys.iter().enumerate() {
        let commit = command(&["SESSION.COMMIT", key, "", "1", "NEW", "PX", "500", "SET", "1", "a", "b"]);
        assert!(rig.ask(clients[number % 3], &commit).starts_with("*2\r\n"));
    }
    for _ in 0..4 {
        rig.wait(Duration::from_secs(1));
    }
}

fn pushes(text: &str) -> usize {
    text.matches(">3\r\n$7\r\nexpired\r\n").count()
}

#[test]
fn every_node_lists_itself_first_and_the_others_by_name() {
    let mut rig = Rig::new(&COUNTS);
    let clients = [1, 2, 4].map(|shard| rig.connect(shard, true));
    let serving =
        |numbers: [u8; 3]| format!("*3\r\n{}", numbers.map(|number| row(number, "serving")).concat());
    assert_eq!(nodes(&mut rig, clients[0]), serving([1, 2, 3]));
    assert_eq!(nodes(&mut rig, clients[1]), serving([2, 1, 3]));
    assert_eq!(nodes(&mut rig, clients[2]), serving([3, 1, 2]));
}

#[test]
fn a_leaving_node_is_said_to_leave_and_a_dead_one_is_not_listed() {
    let mut rig = Rig::new(&COUNTS);
    let clients = [1, 2].map(|shard| rig.connect(shard, true));
    rig.leave(NodeId(2));
    assert!(nodes(&mut rig, clients[0]).contains(&row(2, "leaving")));
    assert!(nodes(&mut rig, clients[1]).contains(&row(2, "leaving")));
    rig.kill(NodeId(3));
    assert!(!nodes(&mut rig, clients[0]).contains("n3"));
}

#[test]
fn each_expired_session_is_told_once_to_a_connection_that_asked() {
    let mut rig = Rig::new(&COUNTS);
    // on a shard of the largest node that is not the first one there, so that most of it comes from elsewhere
    let (one, other) = (rig.connect(4, true), rig.connect(1, true));
    attach(&mut rig, one, "sess:*");
    attach(&mut rig, other, "other:*");
    let keys: Vec<String> = (0..40).map(|number| format!("sess:{number}")).collect();
    expire(&mut rig, &keys);
    let heard = rig.ask(one, "PING\r\n");
    assert_eq!(pushes(&heard), keys.len(), "{heard}");
    for key in &keys {
        let pushed = format!("${}\r\n{key}\r\n%1\r\n$1\r\na\r\n$1\r\nb\r\n", key.len());
        assert_eq!(heard.matches(&pushed).count(), 1, "{key}");
    }
    assert_eq!(rig.ask(other, "PING\r\n"), "+PONG\r\n");
}

#[test]
fn of_several_that_asked_one_is_told_and_after_a_reset_none() {
    let mut rig = Rig::new(&COUNTS);
    let clients = [0, 1, 2, 3, 5].map(|shard| rig.connect(shard, true));
    clients.iter().for_each(|client| attach(&mut rig, *client, "*"));
    let keys: Vec<String> = (0..20).map(|number| format!("sess:{number}")).collect();
    expire(&mut rig, &keys);
    let heard: usize = clients.iter().map(|client| pushes(&rig.ask(*client, "PING\r\n"))).sum();
    assert_eq!(heard, keys.len());
    clients.iter().for_each(|client| assert_eq!(rig.ask(*client, "RESET\r\n"), "+RESET\r\n"));
    let keys: Vec<String> = (20..40).map(|number| format!("sess:{number}")).collect();
    expire(&mut rig, &keys);
    clients.iter().for_each(|client| assert_eq!(rig.ask(*client, "PING\r\n"), "+PONG\r\n"));
}
