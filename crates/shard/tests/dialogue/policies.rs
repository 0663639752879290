//! Policies come, change and go while queues and exchanges live: here, over a ring, over a link.

use std::time::Duration;

use leveret_model::directory::Change;
use leveret_model::policy::{ApplyTo, Policy, PolicyDefinition};
use leveret_model::{Arguments, Name, RoutingKey, Value, limits};
use leveret_wire::method::*;
use leveret_wire::{Table, encode_arguments};

use crate::declaring::announce;
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().into())
}

fn arguments(entries: &[(&str, Value)]) -> Arguments {
    let entry = |(key, value): &(&str, Value)| (RoutingKey::new(key.as_bytes()), value.clone());
    Arguments(entries.iter().map(entry).collect())
}

fn set(rig: &mut Rig, name: &str, pattern: &str, priority: i64, settings: &[(&str, Value)]) {
    let policy = PolicyDefinition {
        vhost: Name::new("/"),
        name: Name::new(name),
        pattern: pattern.into(),
        apply_to: ApplyTo::All,
        priority,
        settings: arguments(settings),
    };
    announce(rig, &Change::PutPolicy(Policy::new(policy).into()));
    rig.run();
}

fn clear(rig: &mut Rig, name: &str) {
    announce(rig, &Change::DropPolicy { vhost: Name::new("/"), name: Name::new(name) });
    rig.run();
}

/// A rig of two nodes; a client at the home of the queue, and one on another node.
fn pair() -> (Rig, ClientId, ClientId) {
    let mut rig = Rig::new(&[2, 1]);
    let (home, other) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    (rig, home, other)
}

fn publish_all(rig: &mut Rig, id: ClientId, bodies: &[&str]) {
    bodies.iter().for_each(|body| rig.publish(id, "q", body));
    rig.run();
}

#[test]
fn dead_letters_go_where_a_policy_says_while_it_holds() {
    let (mut rig, home, other) = pair();
    rig.declare(home, "q");
    rig.declare(other, "dead");
    let short = ("max-length", Value::I64(1));
    let (exchange, key) = (("dead-letter-exchange", text("")), ("dead-letter-routing-key", text("dead")));
    set(&mut rig, "letters", "^q$", 1, &[exchange, key, short.clone()]);
    publish_all(&mut rig, other, &["1", "2"]);
    assert_eq!((rig.counts(other, "q"), rig.counts(other, "dead")), ((1, 0), (1, 0)));
    set(&mut rig, "short", "^q$", 0, &[short]);
    clear(&mut rig, "letters");
    publish_all(&mut rig, other, &["3"]);
    assert_eq!((rig.counts(other, "q"), rig.counts(other, "dead")), ((1, 0), (1, 0)));
}

#[test]
fn a_policy_that_comes_later_shortens_a_queue_at_once_and_its_end_lets_it_grow() {
    let (mut rig, home, other) = pair();
    rig.declare(home, "q");
    publish_all(&mut rig, other, &["1", "2", "3", "4"]);
    set(&mut rig, "other", "^x", 9, &[("max-length", Value::I64(0))]);
    assert_eq!(rig.counts(home, "q"), (4, 0));
    set(&mut rig, "short", "^q", 0, &[("max-length", Value::I64(3))]);
    assert_eq!(rig.counts(home, "q"), (3, 0));
    set(&mut rig, "short", "^q", 0, &[("max-length", Value::I64(2))]);
    assert_eq!(rig.counts(home, "q"), (2, 0));
    publish_all(&mut rig, other, &["5"]);
    assert_eq!(rig.counts(home, "q"), (2, 0));
    clear(&mut rig, "short");
    publish_all(&mut rig, other, &["6", "7"]);
    rig.consume(home, "q", "c", true);
    assert_eq!(rig.bodies(home), ["4", "5", "6", "7"]);
}

#[test]
fn a_queue_has_its_policy_from_its_first_message_and_the_smaller_number_counts() {
    let (mut rig, home, other) = pair();
    set(&mut rig, "low", "q", 1, &[("max-length", Value::I64(1))]);
    set(&mut rig, "high", "^q$", 2, &[("max-length", Value::I64(3)), ("overflow", text("reject-publish"))]);
    let mut table = Vec::new();
    encode_arguments(&arguments(&[("x-max-length", Value::I64(2))]), &mut table);
    rig.client(home).says(1, QueueDeclare { queue: b"q", arguments: Table(&table), ..Default::default() });
    rig.hears(home, &Heard::Declared { messages: 0, consumers: 0 });
    rig.confirms(other);
    publish_all(&mut rig, other, &["1", "2", "3"]);
    let heard = rig.heard(other);
    assert!(heard.contains(&Heard::Confirm { number: 3, multiple: false, ok: false }), "{heard:?}");
    assert_eq!(rig.counts(home, "q"), (2, 0), "the argument is smaller; the policy refuses");
    // of two policies one counts
    clear(&mut rig, "high");
    assert_eq!(rig.counts(home, "q"), (1, 0));
}

#[test]
fn a_policys_time_to_live_is_for_what_comes_after_it() {
    let (mut rig, home, other) = pair();
    rig.declare(home, "q");
    publish_all(&mut rig, other, &["old"]);
    set(&mut rig, "ttl", "", 0, &[("message-ttl", Value::I64(100))]);
    publish_all(&mut rig, other, &["new"]);
    rig.pass(Duration::from_millis(200));
    rig.consume(home, "q", "c", true);
    assert_eq!(rig.bodies(home), ["old"]);
    publish_all(&mut rig, other, &["newer"]);
    assert_eq!(rig.bodies(home), ["newer"]);
}

#[test]
fn a_policy_ends_a_queue_that_nobody_uses() {
    let (mut rig, home, _) = pair();
    rig.declare(home, "q");
    rig.pass(Duration::from_secs(10));
    set(&mut rig, "p", "", 0, &[("expires", Value::I64(1_000))]);
    rig.pass(Duration::from_millis(900));
    assert!(rig.control.queues.contains_key("q"), "its time began with the policy");
    rig.pass(Duration::from_millis(200));
    assert!(!rig.control.queues.contains_key("q"));
}

#[test]
fn a_policy_gives_an_exchange_an_alternate_unless_its_declaration_names_one() {
    let (mut rig, home, other) = pair();
    rig.declare(home, "q");
    rig.bind(home, "q", "amq.fanout", "");
    let mut table = Vec::new();
    encode_arguments(&arguments(&[("alternate-exchange", text("amq.topic"))]), &mut table);
    for (exchange, arguments) in [("free", &[][..]), ("bound", &table[..])] {
        let exchange = exchange.as_bytes();
        let declare =
            ExchangeDeclare { exchange, kind: b"direct", arguments: Table(arguments), ..Default::default() };
        rig.client(other).says(1, declare);
        rig.hears(other, &Heard::Method("exchange.declare-ok"));
    }
    rig.confirms(other);
    let taken = |rig: &mut Rig, exchange: &str| {
        rig.client(other).publishes(1, (exchange, "k"), true, b"m");
        let heard = rig.heard(other);
        !heard.iter().any(|heard| matches!(heard, Heard::Return { .. }))
    };
    assert!(!taken(&mut rig, "free"));
    set(&mut rig, "ae", "^(free|bound|amq.direct)$", 0, &[("alternate-exchange", text("amq.fanout"))]);
    assert!(taken(&mut rig, "free") && taken(&mut rig, "amq.direct") && !taken(&mut rig, "bound"));
    assert!(!taken(&mut rig, "amq.headers"));
    // another policy that says nothing of alternates counts instead
    set(&mut rig, "over", "^free", 1, &[("max-length", Value::I64(9))]);
    assert!(!taken(&mut rig, "free") && taken(&mut rig, "amq.direct"));
    clear(&mut rig, "over");
    assert!(taken(&mut rig, "free"));
    clear(&mut rig, "ae");
    assert!(!taken(&mut rig, "free") && !taken(&mut rig, "amq.direct"));
    assert_eq!(rig.counts(home, "q"), (4, 0));
}

/// More comparisons than one turn makes: the rest follows in the turns behind it.
#[test]
fn many_queues_and_policies_are_walked_over_several_turns() {
    let (mut rig, home, other) = pair();
    let queues = 30;
    for number in 0..queues {
        rig.declare(home, &format!("q{number}"));
        rig.publish(other, &format!("q{number}"), "m");
    }
    let policies = limits::POLICY_MATCHES_PER_TURN_MAX / 10;
    for number in 0..policies {
        let name = format!("p{number}");
        let policy = PolicyDefinition {
            vhost: Name::new("/"),
            name: Name::new(&name),
            pattern: format!("^never{number}$").into(),
            apply_to: ApplyTo::Queues,
            priority: 5,
            settings: arguments(&[("max-length", Value::I64(1))]),
        };
        announce(&mut rig, &Change::PutPolicy(Policy::new(policy).into()));
    }
    set(&mut rig, "last", "^q", 0, &[("max-length", Value::I64(0))]);
    for number in 0..queues {
        assert_eq!(rig.counts(home, &format!("q{number}")), (0, 0));
    }
}
