//! Attributes, renames and `SESSION.` commands through connections to three nodes of different sizes.

use leveret_model::NodeId;

use crate::rig::{Client, Rig, command};

const KEYS: usize = 24;

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
fn nodes_that_change_different_attributes_keep_both() {
    let (mut rig, clients) = three();
    for number in 0..KEYS {
        let key = format!("h:{number}");
        let [a, b, c] = [0, 1, 2].map(|at| clients[(number + at) % 3]);
        assert_eq!(ask(&mut rig, a, &["HSET", &key, "a", "1", "b", "1"]), ":2\r\n");
        assert_eq!(ask(&mut rig, b, &["HSET", &key, "b", "2"]), ":0\r\n");
        assert_eq!(ask(&mut rig, c, &["HSET", &key, "c", "3"]), ":1\r\n");
        let all = "*6\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n";
        for client in clients {
            assert_eq!(ask(&mut rig, client, &["HGETALL", &key]), all);
            assert_eq!(ask(&mut rig, client, &["HMGET", &key, "c", "x"]), "*2\r\n$1\r\n3\r\n$-1\r\n");
            assert!(ask(&mut rig, client, &["GET", &key]).starts_with("-WRONGTYPE Operation"));
        }
        assert_eq!(ask(&mut rig, b, &["HDEL", &key, "a", "x"]), ":1\r\n");
        assert_eq!(ask(&mut rig, c, &["HEXISTS", &key, "a"]), ":0\r\n");
        assert_eq!(ask(&mut rig, a, &["HKEYS", &key]), "*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
    }
    rig.kill(NodeId(3));
    for number in 0..KEYS {
        let all = "*4\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\nc\r\n$1\r\n3\r\n";
        for client in &clients[..2] {
            assert_eq!(ask(&mut rig, *client, &["HGETALL", &format!("h:{number}")]), all, "a copy took over");
        }
    }
}

#[test]
fn a_rename_is_one_on_every_node_whoever_the_homes_are() {
    let (mut rig, clients) = three();
    for number in 0..KEYS {
        let (old, new) = (format!("s:old{number}"), format!("s:new{number}"));
        let [a, b, c] = [0, 1, 2].map(|at| clients[(number + at) % 3]);
        ask(&mut rig, a, &["HSET", &old, "a", "1"]);
        ask(&mut rig, a, &["PEXPIRE", &old, "500000"]);
        assert_eq!(ask(&mut rig, b, &["RENAME", &old, &new]), "+OK\r\n");
        assert_eq!(ask(&mut rig, c, &["HSET", &old, "late", "1"]), ":0\r\n", "dropped");
        for client in clients {
            assert_eq!(ask(&mut rig, client, &["EXISTS", &old]), ":0\r\n");
            assert_eq!(ask(&mut rig, client, &["HGETALL", &new]), "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
            let left = ask(&mut rig, client, &["PTTL", &new]);
            assert!(left.starts_with(":5") || left.starts_with(":4"), "the time goes along: {left}");
        }
        assert_eq!(ask(&mut rig, c, &["RENAME", &old, &new]), "-ERR no such key\r\n");
        assert_eq!(ask(&mut rig, a, &["RENAMENX", &new, &old]), ":0\r\n", "the old key has ended");
        assert_eq!(ask(&mut rig, a, &["RENAME", &new, &new]), "+OK\r\n");
    }
}

#[test]
fn commits_are_merged_conflicts_are_named_and_a_rename_takes_late_ones_along() {
    let (mut rig, clients) = three();
    for number in 0..KEYS {
        let (old, new) = (format!("n:old{number}"), format!("n:new{number}"));
        let [a, b, c] = [0, 1, 2].map(|at| clients[(number + at) % 3]);
        let words =
            ["SESSION.COMMIT", &old, "", "1", "NEW", "PX", "60000", "USER", "hare", "SET", "1", "a", "0"];
        let first = token(&ask(&mut rig, a, &words));
        let commit = |rig: &mut Rig, client, id: &str, name: &str, value: &str| {
            ask(rig, client, &["SESSION.COMMIT", &old, &first, id, "SET", "1", name, value])
        };
        assert!(commit(&mut rig, b, "2", "b", "1").ends_with("*0\r\n"));
        assert!(commit(&mut rig, c, "3", "a", "1").ends_with("*0\r\n"));
        assert!(commit(&mut rig, a, "4", "a", "2").ends_with("*1\r\n$1\r\na\r\n"));
        let reject = ["SESSION.COMMIT", &old, &first, "5", "REJECT", "SET", "1", "b", "9"];
        assert_eq!(ask(&mut rig, c, &reject), "-CONFLICT b\r\n");
        let renamed = ask(&mut rig, b, &["SESSION.RENAME", &old, &new, "r"]);
        assert_eq!(ask(&mut rig, c, &["SESSION.RENAME", &old, &new, "r"]), renamed, "a repeat");
        // it began under the old key: its attribute counts, its user does not
        let late = ["SESSION.COMMIT", &old, &first, "6", "USER", "fox", "SET", "1", "c", "3"];
        assert!(ask(&mut rig, a, &late).starts_with("*2\r\n$72\r\n"));
        for client in clients {
            let loaded = ask(&mut rig, client, &["SESSION.LOAD", &new, "TOUCH", "60000"]);
            let shown = "$4\r\nhare\r\n+full\r\n*6\r\n$1\r\na\r\n$1\r\n2\r\n$1\r\nb\r\n$1\r\n1\r\n$1\r\nc\r\n$1\r\n3\r\n*0\r\n";
            assert!(loaded.ends_with(shown), "{loaded:?}");
            assert_eq!(ask(&mut rig, client, &["SESSION.LOAD", &old]), "$-1\r\n");
        }
        assert_eq!(ask(&mut rig, c, &["SESSION.DESTROY", &new]), ":1\r\n");
        assert!(ask(&mut rig, b, &["SESSION.COMMIT", &new, &first, "7"]).starts_with("-GONE "));
        assert!(ask(&mut rig, b, &["SESSION.COMMIT", &new, "", "8", "NEW"]).starts_with("-EXISTS "));
    }
}
