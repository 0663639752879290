//! A node hands its sessions over and stops, or stays after all.

use std::time::Duration;

use leveret_model::NodeId;

use crate::rig::{Client, Rig, command};

const KEYS: usize = 60;
const TURN: Duration = Duration::from_millis(20);
/// Turns until a leave must be over.
const TURNS_MAX: usize = 500;

fn three() -> (Rig, [Client; 3]) {
    let mut rig = Rig::new(&[2, 1, 3]);
    let clients = [0, 2, 4].map(|shard| rig.connect(shard, true));
    (rig, clients)
}

fn ask(rig: &mut Rig, client: Client, words: &[&str]) -> String {
    rig.ask(client, &command(words))
}

/// The first bulk string of an answer.
fn token(answer: &str) -> String {
    let mut lines = answer.split("\r\n").skip_while(|line| *line != "$72").skip(1);
    lines.next().unwrap_or_else(|| panic!("no token in {answer:?}")).to_owned()
}

#[test]
fn a_node_that_leaves_takes_neither_attributes_nor_renames_with_it() {
    let (mut rig, [a, b, c]) = three();
    let mut tokens = Vec::new();
    for number in 0..KEYS {
        let (old, new) = (format!("n:old{number}"), format!("n:new{number}"));
        let born = ["SESSION.COMMIT", &old, "", "1", "NEW", "PX", "60000", "SET", "1", "a", "0"];
        let first = token(&ask(&mut rig, c, &born));
        // each change goes to the copy by itself
        assert!(
            ask(&mut rig, a, &["SESSION.COMMIT", &old, &first, "2", "SET", "1", "b", "1"])
                .ends_with("*0\r\n")
        );
        ask(&mut rig, c, &["SESSION.RENAME", &old, &new, "r"]);
        assert_eq!(ask(&mut rig, c, &["HDEL", &new, "a"]), ":1\r\n");
        tokens.push(first);
    }
    assert!(rig.at_home(NodeId(3)) > 0);
    rig.leave(NodeId(3));
    rig.settle();
    for turn in 0.. {
        assert!(turn < TURNS_MAX, "the leave goes on and on");
        if rig.has_left(NodeId(3)) {
            break;
        }
        rig.wait(TURN);
    }
    assert_eq!(rig.at_home(NodeId(3)), 0);
    rig.kill(NodeId(3));
    assert_eq!(rig.report().states, 2 * KEYS, "each has a home and a copy");
    for (number, first) in tokens.iter().enumerate() {
        let (old, new) = (format!("n:old{number}"), format!("n:new{number}"));
        for client in [a, b] {
            assert_eq!(ask(&mut rig, client, &["HGETALL", &new]), "*2\r\n$1\r\nb\r\n$1\r\n1\r\n");
            assert_eq!(ask(&mut rig, client, &["EXISTS", &old]), ":0\r\n");
        }
        let late = ["SESSION.COMMIT", &old, first, "3", "SET", "1", "c", "3"];
        assert!(ask(&mut rig, b, &late).starts_with("*2\r\n$72\r\n"), "it goes to the new key");
        assert_eq!(ask(&mut rig, a, &["HMGET", &new, "b", "c"]), "*2\r\n$1\r\n1\r\n$1\r\n3\r\n");
    }
    assert_eq!(rig.report().counters.lost, 0);
}

#[test]
fn a_leave_that_is_taken_back_lets_the_rest_stay_and_copies_come_again() {
    let (mut rig, [a, b, c]) = three();
    let set = |rig: &mut Rig, client, number: usize| {
        assert_eq!(ask(rig, client, &["HSET", &format!("h:{number}"), "a", "1"]), ":1\r\n");
    };
    (0..KEYS).for_each(|number| set(&mut rig, c, number));
    rig.leave(NodeId(3));
    rig.stay(NodeId(3));
    let kept = rig.at_home(NodeId(3));
    (KEYS..2 * KEYS).for_each(|number| set(&mut rig, c, number));
    // long enough for a leave to look again and to send again
    for _ in 0..TURNS_MAX / 10 {
        rig.wait(TURN);
    }
    assert!(!rig.has_left(NodeId(3)));
    assert_eq!(rig.at_home(NodeId(3)), kept + KEYS, "nothing more went");
    (2 * KEYS..3 * KEYS).for_each(|number| set(&mut rig, a, number));
    rig.kill(NodeId(1));
    for number in 0..3 * KEYS {
        for client in [b, c] {
            let all = "*2\r\n$1\r\na\r\n$1\r\n1\r\n";
            assert_eq!(ask(&mut rig, client, &["HGETALL", &format!("h:{number}")]), all);
        }
    }
    assert_eq!(rig.report().counters.lost, 0);
}
