//! A home that another one supersedes: its node was away when the queue came there, and it served it once more.

use leveret_model::directory::MoveReport;
use leveret_model::{NodeId, ShardAddress, ShardId};

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const OLD: ShardAddress = ShardAddress { node: NodeId(1), shard: ShardId(0) };
const NEW: ShardAddress = ShardAddress { node: NodeId(2), shard: ShardId(1) };
const NEWEST: ShardAddress = ShardAddress { node: NodeId(3), shard: ShardId(0) };

fn with_queue() -> (Rig, ClientId) {
    let mut rig = Rig::new(&[2, 2, 1]);
    let owner = rig.connect(OLD);
    rig.declare(owner, "q");
    (rig, owner)
}

fn publish(rig: &mut Rig, client: ClientId, numbers: core::ops::Range<u32>) {
    numbers.for_each(|number| rig.publish(client, "q", &number.to_string()));
    rig.run();
}

fn superseded(rig: &mut Rig, home: ShardAddress) {
    for (to, mail) in rig.control.supersede("q", home) {
        rig.tell(to, mail);
    }
    rig.run();
}

fn read(rig: &mut Rig, home: ShardAddress) -> Vec<String> {
    let reader = rig.connect(home);
    rig.consume(reader, "q", "c", true);
    rig.run();
    rig.bodies(reader)
}

fn texts(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn what_it_has_goes_to_the_other_home_in_order() {
    let (mut rig, owner) = with_queue();
    publish(&mut rig, owner, 0..300);
    superseded(&mut rig, NEW);
    assert_eq!(rig.control.reports.last(), Some(&(OLD, MoveReport::Drained)));
    assert_eq!(read(&mut rig, NEW), texts(0..300));
    assert_eq!(rig.shard(OLD).messages(), 0);
}

/// What moved here is at the other home of that move too.
#[test]
fn only_what_came_after_a_move_goes_there() {
    let (mut rig, owner) = with_queue();
    publish(&mut rig, owner, 0..10);
    for (to, mail) in rig.control.move_queue("q", NEW) {
        rig.tell(to, mail);
    }
    rig.run();
    publish(&mut rig, owner, 10..15);
    superseded(&mut rig, NEWEST);
    assert_eq!(rig.control.reports.last(), Some(&(NEW, MoveReport::Drained)));
    assert_eq!(read(&mut rig, NEWEST), texts(10..15));
}

#[test]
fn it_waits_while_the_other_home_cannot_be_reached() {
    let (mut rig, owner) = with_queue();
    publish(&mut rig, owner, 0..5);
    rig.cut(1, 2);
    superseded(&mut rig, NEW);
    assert!(!rig.control.reports.contains(&(OLD, MoveReport::Drained)));
    rig.heal(1, 2);
    rig.run();
    assert_eq!(rig.control.reports.last(), Some(&(OLD, MoveReport::Drained)));
    assert_eq!(read(&mut rig, NEW), texts(0..5));
}

/// A consumer that holds a delivery of the old home gets it again.
#[test]
fn what_is_held_goes_there_too() {
    let (mut rig, owner) = with_queue();
    publish(&mut rig, owner, 0..1);
    let holder = rig.connect(at(1, 1));
    rig.consume(holder, "q", "c", false);
    rig.run();
    assert!(matches!(rig.heard(holder).last(), Some(Heard::Deliver { .. })));
    superseded(&mut rig, NEW);
    assert_eq!(rig.control.reports.last(), Some(&(OLD, MoveReport::Drained)));
}
