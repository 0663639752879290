//! `leveret policy` and `leveret queue` against two nodes: set on one, seen on the other, there after the first
//! has died.

#[allow(dead_code, unused_macros, unused_imports, reason = "its dialogues are run by others")]
mod lapin;
mod node;

use std::process::Command;

use lapin::{Node, Session, status};
use node::LEVERET;
use serde_json::Value;

/// What a command says, and whether it was content.
fn leveret(node: &Node, words: &[&str]) -> (bool, String) {
    let output = Command::new(LEVERET).args(words).arg("--data-dir").arg(node.process.directory()).output();
    let output = output.expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

fn done(node: &Node, words: &[&str]) -> String {
    let (good, said) = leveret(node, words);
    assert!(good, "{words:?}: {said}");
    said
}

fn refused(node: &Node, words: &[&str]) -> String {
    let (good, said) = leveret(node, words);
    assert!(!good, "{words:?}: {said}");
    said
}

fn document(node: &Node, words: &[&str]) -> Value {
    serde_json::from_str(&done(node, &[words, &["--json"]].concat())).expect("a document")
}

fn setting<'a>(explained: &'a Value, name: &str) -> &'a Value {
    let settings = explained["settings"].as_array().expect("settings");
    settings.iter().find(|setting| setting["setting"] == name).expect("it is explained")
}

#[test]
fn a_policy_of_one_node_holds_on_the_other_and_outlives_the_first() {
    node::unless_falsely_dead(one_policy_two_nodes);
}

fn one_policy_two_nodes() {
    let first = Node::start(&[]);
    let second = Node::start(&[&first]);
    for node in [&first, &second] {
        node.process.wait_for_members(vec![first.process.cluster(), second.process.cluster()]);
    }
    let (publisher, owner) = (Session::open(&first), Session::open(&second));
    owner.declare("orders.1");
    publisher.publish_numbers("orders.1", 0..5);
    let short = r#"{"max-length": 3}"#;
    done(&first, &["policy", "set", "short", r"^orders\.", short, "--priority", "2", "--apply-to", "queues"]);
    // it is in force on both nodes when the command returns
    assert_eq!(owner.count("orders.1"), 3);
    done(&second, &["policy", "set", "low", "orders", r#"{"max-length": 1, "expires": 1000000}"#]);
    for node in [&first, &second] {
        let listed = document(node, &["policy", "list"]);
        let names: Vec<&str> =
            listed.as_array().expect("a list").iter().filter_map(|policy| policy["name"].as_str()).collect();
        assert_eq!(names, ["short", "low"]);
        assert_eq!(listed[0]["definition"], serde_json::from_str::<Value>(short).expect("JSON"));
        let explained = document(node, &["queue", "explain", "orders.1"]);
        assert_eq!(
            (&explained["policy"], &explained["policies"][1]["name"]),
            (&"short".into(), &"low".into())
        );
        assert_eq!(explained["home_id"], status(&second)["node"]["id"]);
        let length = setting(&explained, "max-length");
        assert_eq!((&length["value"], &length["policy"]), (&3.into(), &"short".into()), "{length}");
        assert_eq!(setting(&explained, "expires")["set_by"], "default", "only one policy counts");
        let queue = &status(node)["queues"][0];
        assert_eq!(
            (&queue["policy"], &queue["effective_policy_definition"]["max-length"]),
            (&"short".into(), &3.into())
        );
        let listed = done(node, &["queue", "ls"]);
        let line = listed.lines().find(|line| line.contains("orders.1")).expect("its line");
        assert!(line.contains("short"), "{line}");
    }
    let told = refused(&first, &["queue", "explain", "nothing\n"]);
    assert!(told.contains(r"no queue 'nothing\n' in vhost '/'"), "{told}");
    // a node that comes later has it, too
    let third = Node::start_with(&[first.process.cluster()], Some(&first));
    let all = || vec![first.process.cluster(), second.process.cluster(), third.process.cluster()];
    [&first, &second, &third].into_iter().for_each(|node| node.process.wait_for_members(all()));
    drop((publisher, first));
    owner.publish_numbers("orders.1", 5..9);
    assert_eq!(owner.count("orders.1"), 3);
    let newcomer = Session::open(&third);
    newcomer.declare("orders.2");
    newcomer.publish_numbers("orders.2", 0..7);
    assert_eq!(newcomer.count("orders.2"), 3);
    done(&third, &["policy", "clear", "short"]);
    assert_eq!((newcomer.count("orders.2"), owner.count("orders.1")), (1, 1), "the other one counts now");
    let told = refused(&second, &["policy", "clear", "short"]);
    assert!(told.contains("no policy 'short' in vhost '/'"), "{told}");
}

#[test]
fn what_is_wrong_with_a_policy_is_said_and_nothing_is_set() {
    let node = Node::start(&[]);
    for (words, says) in [
        (["p", "(", r#"{"expires": 1}"#], "the pattern: it is no regular expression"),
        (["p", "a{1000}{1000}", r#"{"expires": 1}"#], "too large once it is compiled"),
        (["p", "^q", r#"{"max-priority": 1}"#], "unknown key 'max-priority'; known keys: "),
        (["p", "^q", r#"{"expires": 0}"#], "'expires' takes an integer from 1 to"),
        (["p", "^q", "{"], "no JSON object"),
        (["", "^q", r#"{"expires": 1}"#], "a policy has a name"),
    ] {
        let said = refused(&node, &[&["policy", "set"][..], &words[..]].concat());
        assert!(said.contains(says) && said.lines().count() == 1, "{words:?}: {said}");
    }
    let long = "x".repeat(20_000);
    assert!(refused(&node, &["policy", "set", "p", &long, r#"{"expires": 1}"#]).contains("is the most"));
    assert_eq!(document(&node, &["policy", "list"]), Value::Array(Vec::new()));
    // names and patterns of any kind come back harmless
    let evil = "p\u{1b}[2J\nforged";
    done(
        &node,
        &["policy", "set", evil, "^(?!amq\\.)\u{202e}?", r#"{"expires": 60000}"#, "--priority", "-1"],
    );
    let listed = done(&node, &["policy", "list"]);
    assert!(listed.lines().count() == 2 && !listed.contains('\u{1b}'), "{listed:?}");
    assert_eq!(document(&node, &["policy", "list"])[0]["name"], evil);
    done(&node, &["policy", "clear", evil]);
}
