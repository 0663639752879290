use leveret_model::{Arguments, Incarnation, Name, NodeId, RoutingKey, Value};
use std::vec;
use std::vec::Vec;

use super::super::map::Version;
use super::super::register::{RegisterKind, Stamp};
use super::super::samples::object;
use super::*;
use leveret_model::policy::ApplyTo;

fn directory(node: u128) -> Directory {
    Directory::new(NodeId(node), Incarnation(1))
}

fn policy(name: &str, max_length: i64) -> PolicyDefinition {
    let settings = Arguments(vec![(RoutingKey::new(b"max-length"), Value::I64(max_length))]);
    let (vhost, name) = (Name::new("/"), Name::new(name));
    PolicyDefinition { vhost, name, pattern: "^q".into(), apply_to: ApplyTo::All, priority: -3, settings }
}

fn set(directory: &mut Directory, name: &str, max_length: Option<i64>) {
    let definition = max_length.map(|most| policy(name, most));
    directory.write_policy(&object(name), definition.as_ref());
    directory.refresh();
}

/// What one node wrote reaches the other, as a delta would bring it.
fn tell(from: &mut Directory, to: &mut Directory) {
    let records: Vec<Record> =
        from.map(from.own).into_iter().flat_map(|map| map.records.values().cloned()).collect();
    to.on_map(from.own, from.version(), records);
    to.refresh();
}

fn there(directory: &Directory) -> Vec<PolicyDefinition> {
    directory.published().policies.iter().map(|policy| policy.definition().clone()).collect()
}

#[test]
fn shards_hear_of_a_policy_when_it_comes_changes_and_goes_and_not_otherwise() {
    let mut directory = directory(1);
    set(&mut directory, "p", Some(5));
    set(&mut directory, "p", Some(5));
    let changes = directory.take_changes();
    assert!(matches!(&changes[..], [Change::PutPolicy(put)] if *put.definition() == policy("p", 5)));
    set(&mut directory, "p", Some(6));
    set(&mut directory, "p", None);
    let changes = directory.take_changes();
    assert!(
        matches!(&changes[..], [Change::PutPolicy(_), Change::DropPolicy { name, .. }] if **name == *"p")
    );
    assert!(!directory.has_policy(&object("p")) && directory.size.registers == 1, "its register stays");
}

#[test]
fn halves_that_meet_agree_on_the_later_write_whoever_hears_first() {
    for first in [false, true] {
        let (mut one, mut two) = (directory(1), directory(2));
        set(&mut one, "both", Some(1));
        set(&mut two, "both", Some(2));
        set(&mut two, "gone", Some(9));
        tell(&mut two, &mut one);
        // cleared by another node than the one that set it
        set(&mut one, "gone", None);
        set(&mut one, "mine", Some(3));
        if first {
            tell(&mut two, &mut one);
        }
        tell(&mut one, &mut two);
        tell(&mut two, &mut one);
        assert_eq!(there(&one), there(&two));
        assert_eq!(there(&one), [policy("both", 2), policy("mine", 3)], "equal counters: the larger id");
        // a node that joins has heard of none of it
        let mut three = directory(3);
        tell(&mut two, &mut three);
        tell(&mut one, &mut three);
        assert_eq!(there(&three), there(&one));
    }
}

#[test]
fn the_policies_of_a_node_that_is_forgotten_are_taken_over() {
    let (mut one, mut two) = (directory(1), directory(2));
    set(&mut one, "p", Some(1));
    tell(&mut one, &mut two);
    let orphans = two.orphans(NodeId(1));
    two.adopt(orphans);
    two.forget(NodeId(1));
    two.refresh();
    assert_eq!(there(&two), [policy("p", 1)]);
}

#[test]
fn a_new_policy_beyond_the_bound_is_refused_and_an_old_one_is_written_over() {
    let mut directory = directory(1);
    for number in 0..limits::POLICIES_MAX {
        let name = std::format!("p{number}");
        directory.write_policy(&object(&name), Some(&policy(&name, 1)));
    }
    directory.refresh();
    let bound = Bound { what: "policies", most: limits::POLICIES_MAX };
    assert_eq!(directory.no_room_for_policy(&policy("one more", 1)), Some(bound));
    assert_eq!(directory.no_room_for_policy(&policy("p7", 2)), None);
    set(&mut directory, "p7", None);
    assert_eq!(directory.no_room_for_policy(&policy("one more", 1)), None);
}

#[test]
fn a_policy_of_a_later_version_is_kept_and_applied_as_far_as_it_is_understood() {
    let mut directory = directory(1);
    let key = known_registers::policy_key(&object("p"));
    assert_eq!(key.kind, RegisterKind::POLICY);
    let stamp = Stamp { lamport: 4, node: NodeId(2) };
    let mut register = known_registers::policy(&object("p"), stamp, Some(&policy("p", 1)));
    // field 4 is what it applies to
    let value = register.value.take().expect("it is set").into_vec();
    let at = value.windows(4).position(|part| part == b"\x03all").expect("it applies to all");
    let later = [&value[..at], b"\x03mqt", &value[at + 4..]].concat();
    register.value = Some(later.into());
    let version = Version { incarnation: Incarnation(1), counter: 1 };
    directory.on_map(NodeId(2), version, vec![Record::Register(register)]);
    directory.refresh();
    assert!(there(&directory).is_empty() && directory.has_policy(&object("p")));
    assert_eq!(directory.unknown_counts().count(), 1, "it is reported");
    set(&mut directory, "p", None);
    assert!(!directory.has_policy(&object("p")), "it can be cleared");
}
