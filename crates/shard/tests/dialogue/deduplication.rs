//! Queues that drop duplicates (LavinMQ: message deduplication): here, over a ring, over a link.

use std::time::Duration;

use leveret_model::Value;
use leveret_wire::{BasicProperties, Table};

use crate::limits::{confirmed, each_place, table, text};
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const ON: (&str, Value) = ("x-message-deduplication", Value::Bool(true));

fn publishes(rig: &mut Rig, id: ClientId, headers: &[(&str, Value)], body: &str) {
    let headers = table(headers);
    let properties = BasicProperties { headers: Some(Table(&headers)), ..Default::default() };
    rig.client(id).publishes_with(1, ("", "q"), true, &properties, body.as_bytes());
}

/// Publishes with this value of the usual header.
fn with_value(rig: &mut Rig, id: ClientId, value: &str) {
    publishes(rig, id, &[("x-deduplication-header", text(value))], value);
    rig.run();
}

fn takes(rig: &mut Rig, id: ClientId) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        rig.says_get(id, "q", true);
        match rig.one(id) {
            Heard::Got { body, .. } => bodies.push(String::from_utf8_lossy(&body).into_owned()),
            Heard::Empty => return bodies,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_duplicate_is_dropped_and_acked_wherever_it_comes_from() {
    each_place(&[ON], |rig, home, client| {
        rig.confirms(client);
        let key = "x-deduplication-header";
        publishes(rig, client, &[(key, text("5"))], "a");
        publishes(rig, client, &[(key, text("5"))], "again");
        publishes(rig, client, &[(key, Value::I64(5))], "a number is no string");
        publishes(rig, client, &[(key, Value::U8(5))], "the same number");
        publishes(rig, client, &[], "no header");
        publishes(rig, client, &[], "no header either");
        publishes(rig, client, &[(key, Value::Void)], "no value");
        publishes(rig, client, &[(key, Value::Void)], "no value either");
        assert_eq!(confirmed(rig, client), (1..=8).map(|number| (number, true)).collect::<Vec<_>>());
        // a consumed message is a duplicate's original all the same
        let expected =
            ["a", "a number is no string", "no header", "no header either", "no value", "no value either"];
        assert_eq!(takes(rig, home), expected);
        with_value(rig, client, "5");
        assert_eq!(confirmed(rig, client), [(9, true)]);
        assert_eq!(takes(rig, home), Vec::<String>::new());
        assert_eq!(rig.shard(at(1, 0)).report().traffic.duplicates, 3);
    });
}

#[test]
fn a_value_is_remembered_for_so_many_others_and_so_long() {
    let arguments = [ON, ("x-cache-size", Value::I32(2)), ("x-cache-ttl", Value::I32(1_000))];
    each_place(&arguments, |rig, home, client| {
        ["a", "b", "a", "c", "a", "a"].iter().for_each(|value| with_value(rig, client, value));
        assert_eq!(takes(rig, home), ["a", "b", "c", "a"], "c took the place of the first a");
        rig.pass(Duration::from_millis(999));
        with_value(rig, client, "a");
        rig.pass(Duration::from_millis(1));
        with_value(rig, client, "a");
        with_value(rig, client, "a");
        assert_eq!(takes(rig, home), ["a"]);
        let own = |ttl| [("x-deduplication-header", text("own")), ("x-cache-ttl", Value::I32(ttl))];
        publishes(rig, client, &own(10), "own");
        rig.pass(Duration::from_millis(10));
        publishes(rig, client, &own(5_000), "own again");
        rig.pass(Duration::from_millis(4_000));
        publishes(rig, client, &own(10), "never");
        rig.run();
        assert_eq!(takes(rig, home), ["own", "own again"]);
    });
}

#[test]
fn the_header_has_the_name_that_the_queue_says() {
    each_place(&[ON, ("x-deduplication-header", text("id"))], |rig, home, client| {
        for (id, other) in [("1", "x"), ("2", "x"), ("1", "y")] {
            publishes(rig, client, &[("id", text(id)), ("x-deduplication-header", text(other))], id);
            rig.run();
        }
        assert_eq!(takes(rig, home), ["1", "2"]);
    });
}

#[test]
fn a_message_that_was_refused_has_no_duplicates() {
    let arguments = [ON, ("x-max-length", Value::I32(1)), ("x-overflow", text("reject-publish"))];
    each_place(&arguments, |rig, home, client| {
        rig.confirms(client);
        with_value(rig, client, "a");
        with_value(rig, client, "b");
        assert_eq!(confirmed(rig, client), [(1, true), (2, false)]);
        assert_eq!(takes(rig, home), ["a"]);
        with_value(rig, client, "b");
        assert_eq!(confirmed(rig, client), [(3, true)]);
        assert_eq!(takes(rig, home), ["b"]);
    });
}

#[test]
fn without_the_argument_nothing_is_a_duplicate() {
    each_place(&[("x-cache-size", Value::I32(2))], |rig, home, client| {
        ["a", "a"].iter().for_each(|value| with_value(rig, client, value));
        assert_eq!(takes(rig, home), ["a", "a"]);
    });
}
