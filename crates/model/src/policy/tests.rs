use std::string::ToString;
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::definition::{ExchangeDefinition, ExchangeKind, Parsed};
use crate::effective::{Effective, SetBy, effective};
use crate::known_arguments::{KNOWN_ARGUMENTS, find};
use crate::settings::{ExchangeSettings, Overflow, QueueSettings};
use crate::{RoutingKey, Value};

fn table(entries: &[(&str, Value)]) -> Arguments {
    let entry = |(key, value): &(&str, Value)| (RoutingKey::new(key.as_bytes()), value.clone());
    Arguments(entries.iter().map(entry).collect())
}

fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().into())
}

fn policy(name: &str, pattern: &str, priority: i64, settings: &[(&str, Value)]) -> PolicyDefinition {
    PolicyDefinition {
        vhost: Name::new("/"),
        name: Name::new(name),
        pattern: pattern.into(),
        apply_to: ApplyTo::All,
        priority,
        settings: table(settings),
    }
}

#[test]
fn every_key_stands_for_an_argument_and_its_name_is_the_arguments() {
    for key in POLICY_KEYS {
        let known = find(key.owner.place(), key.argument.as_bytes()).expect(key.key);
        assert_eq!(known.key.strip_prefix("x-").unwrap_or(known.key), key.key);
        assert_eq!(PolicyKey::of_argument(known), Some(key));
    }
    assert!(PolicyKey::find(b"max-priority").is_none(), "the priorities of a queue are its declaration's");
}

#[test]
fn what_an_operator_wrote_is_judged_as_the_argument_is() {
    let check = |entries: &[(&str, Value)]| check_settings(&table(entries));
    assert_eq!(check(&[("message-ttl", Value::I64(0)), ("overflow", text("reject-publish"))]), Ok(()));
    let said = |entries: &[(&str, Value)]| check(entries).expect_err("it is wrong").to_string();
    assert_eq!(said(&[("expires", Value::I64(0))]), "'expires' takes an integer from 1 to 315360000000");
    assert_eq!(said(&[("max-length", text("5"))]), "'max-length' takes an integer of at least 0");
    assert!(said(&[("overflow", text("drop"))]).contains("'drop-head', 'reject-publish' or"));
    let long = "x".repeat(256);
    assert!(said(&[("alternate-exchange", text(&long))]).ends_with("a string of at most 255 bytes"));
    for unknown in ["max-priority", "ha-mode", "a\nb"] {
        let said = said(&[(unknown, Value::I64(1))]);
        assert!(said.starts_with("unknown key '") && said.contains("message-ttl, expires"), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }
    assert!(said(&[]).contains("known keys"));
}

#[test]
fn the_highest_priority_counts_then_the_smaller_name_and_only_of_its_kind() {
    let mut policies = Policies::default();
    for (name, pattern, priority, apply_to) in [
        ("z", "^q", 1, ApplyTo::All),
        ("b", "^q", 5, ApplyTo::ClassicQueues),
        ("a", "^q", 5, ApplyTo::Exchanges),
        ("c", "q", 5, ApplyTo::Queues),
        ("other", "^x", 9, ApplyTo::All),
    ] {
        let definition = PolicyDefinition { apply_to, ..policy(name, pattern, priority, &[]) };
        policies.put(Arc::new(Policy::new(definition)));
    }
    let vhost = Name::new("/");
    let names = |subject| -> Vec<Name> {
        policies.matching(&vhost, "q1", subject).map(|policy| policy.definition().name.clone()).collect()
    };
    assert_eq!(names(PolicySubject::Queue(QueueKind::Classic)), ["b", "c", "z"].map(Name::new));
    assert_eq!(names(PolicySubject::Queue(QueueKind::Quorum)), ["c", "z"].map(Name::new));
    assert_eq!(names(PolicySubject::Exchange), ["a", "z"].map(Name::new));
    let (best, compared) = policies.best(&vhost, "q1", PolicySubject::Exchange);
    assert_eq!((best.map(|best| &*best.definition().name), compared), (Some("a"), 2));
    let (best, compared) = policies.best(&Name::new("v"), "q1", PolicySubject::Exchange);
    assert_eq!((best, compared), (None, 0));
    // written anew with another priority: it has one place only
    policies.put(Arc::new(Policy::new(policy("b", "^q", -1, &[]))));
    assert_eq!(policies.len(), 5);
    assert!(policies.remove(&vhost, &Name::new("b")).is_some() && policies.len() == 4);
}

#[test]
fn a_pattern_of_another_version_matches_nothing() {
    let unreadable = Policy::new(policy("p", "(", 0, &[]));
    assert!(!unreadable.is_readable() && !unreadable.matches("(", PolicySubject::Exchange));
}

#[test]
fn settings_under_a_policy_are_those_of_the_declaration_where_it_wins() {
    let declared = Parsed::<QueueSettings>::from(table(&[
        ("x-max-length", Value::I32(5)),
        ("x-overflow", text("reject-publish")),
        ("x-max-priority", Value::U8(3)),
    ]));
    assert_eq!(&declared.under(None), declared.settings());
    let over = policy(
        "p",
        "",
        0,
        &[
            ("max-length", Value::I64(2)),
            ("overflow", text("drop-head")),
            ("max-length-bytes", Value::I64(7)),
            ("max-priority", Value::I64(9)),
        ],
    );
    let expected = QueueSettings {
        max_length: Some(2),
        max_length_bytes: Some(7),
        overflow: Overflow::RejectPublish,
        max_priority: Some(3),
        ..QueueSettings::default()
    };
    assert_eq!(declared.under(Some(&over)), expected);
    let exchange = ExchangeDefinition::new(Name::new("/"), Name::new("x"), ExchangeKind::Fanout);
    let over = policy("p", "", 0, &[("alternate-exchange", text("ae"))]);
    let expected =
        ExchangeSettings { alternate_exchange: Some(Name::new("ae")), ..ExchangeSettings::default() };
    assert_eq!(exchange.arguments.under(Some(&over)), expected);
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-2i64..4).prop_map(Value::I64),
        (0i32..4).prop_map(Value::I32),
        Just(Value::Void),
        Just(text("3")),
        Just(text("drop-head")),
        Just(text("reject-publish")),
        Just(Value::Bool(true)),
    ]
}

/// The rules as a person would say them, of a number or a text.
fn naive(smaller: bool, argument: Option<Value>, policy: Option<Value>) -> (Option<Value>, SetBy) {
    match (argument, policy) {
        (None, None) => (None, SetBy::Default),
        (argument, None) => (argument, SetBy::Argument),
        (None, policy) => (policy, SetBy::Policy),
        (Some(a), Some(p)) => {
            let (number_a, number_p) = (a.as_integer(), p.as_integer());
            if number_a == number_p && number_a.is_some() || a == p {
                (Some(a), SetBy::Both)
            } else if smaller && number_p < number_a {
                (Some(p), SetBy::Policy)
            } else {
                (Some(a), SetBy::Argument)
            }
        }
    }
}

proptest! {
    #[test]
    fn the_effective_value_is_the_naive_one(
        which in 0..KNOWN_ARGUMENTS.len(),
        argument in prop::option::of(number()),
        policy in prop::option::of(prop::option::of(number())),
    ) {
        let known = &KNOWN_ARGUMENTS[which];
        let key = PolicyKey::of_argument(known);
        let arguments = argument.iter().map(|value| (known.key, value.clone())).collect::<Vec<_>>();
        let name = key.map_or(known.key, |key| key.key);
        let settings = policy.as_ref().map(|value| {
            table(&value.iter().map(|value| (name, value.clone())).collect::<Vec<_>>())
        });
        let arguments = table(&arguments);
        let Effective { value, set_by, overruled } = effective(known, &arguments, settings.as_ref());
        let taken = |value: Option<Value>| value.filter(|value| known.accepts.takes(value));
        // no policy sets what has no key, or is not built
        let by_policy = policy.flatten().filter(|_| key.is_some_and(|key| key.known().is_some()));
        let smaller = key.is_some_and(|key| key.both == Both::Smaller);
        let (a, p) = (taken(argument), taken(by_policy));
        prop_assert_eq!((value.cloned(), set_by), naive(smaller, a.clone(), p.clone()));
        let loser = match set_by {
            SetBy::Argument => p,
            SetBy::Policy => a,
            SetBy::Default | SetBy::Both => None,
        };
        prop_assert_eq!(overruled.cloned(), loser);
    }
}
