//! Many visitors without a cookie on three nodes, and users among them who only read.

use std::time::Duration;

use leveret_model::{NodeId, limits};

use crate::rig::{Client, Rig, command};

const USERS: usize = 30;
const VISITORS: usize = 3_000;

fn three() -> (Rig, [Client; 3]) {
    let mut rig = Rig::with(&[1, 2, 1], 1 << 18);
    let clients = [0, 1, 3].map(|shard| rig.connect(shard, true));
    (rig, clients)
}

/// As Spring begins a session: attributes, then their expiry.
fn begin(rig: &mut Rig, client: Client, key: &str) -> String {
    let create = command(&["HSET", key, "a", &"x".repeat(200)]) + &command(&["PEXPIRE", key, "9000000"]);
    rig.ask(client, &create)
}

fn exists(rig: &mut Rig, client: Client, number: usize) -> bool {
    rig.ask(client, &command(&["HGET", &format!("user:{number}"), "a"])).starts_with("$200\r\n")
}

/// Each is born at one node and read once through another one: its copy or its home, or neither, is there.
fn users(rig: &mut Rig, clients: [Client; 3]) {
    for number in 0..USERS {
        assert_eq!(begin(rig, clients[number % 3], &format!("user:{number}")), ":1\r\n:1\r\n");
        assert!(exists(rig, clients[(number + number / 3) % 3], number));
    }
    rig.wait(limits::SESSION_TOUCH_INTERVAL);
}

/// More visitors than there is room for, again and again once the earlier ones are old; gives those that were
/// let in.
fn visitors(rig: &mut Rig, clients: &[Client]) -> usize {
    let mut let_in = 0;
    for number in 0..VISITORS {
        if number % (VISITORS / 3) == 0 {
            rig.wait(limits::SESSION_UNUSED_AGE + Duration::from_secs(2));
        }
        let came = begin(rig, clients[number % clients.len()], &format!("visitor:{number}:{VISITORS}"));
        let_in += usize::from(came.starts_with(":1"));
    }
    let_in
}

#[test]
fn visitors_who_do_not_come_again_push_out_no_user() {
    let (mut rig, clients) = three();
    users(&mut rig, clients);
    let let_in = visitors(&mut rig, &clients);
    let report = rig.report();
    assert!(report.counters.evicted > 500 && let_in > VISITORS / 2, "{let_in} {report:?}");
    for number in 0..USERS {
        assert!(exists(&mut rig, clients[number % 3], number), "user {number} was pushed out");
    }
}

#[test]
fn a_user_stays_one_when_the_home_dies() {
    let (mut rig, clients) = three();
    users(&mut rig, clients);
    rig.kill(NodeId(1));
    visitors(&mut rig, &clients[1..]);
    assert!(rig.report().counters.evicted > 500);
    for number in 0..USERS {
        assert!(exists(&mut rig, clients[1 + number % 2], number), "user {number} was pushed out");
    }
}
