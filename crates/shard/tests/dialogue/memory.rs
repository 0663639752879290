//! Publishers that wait because memory is short, and nobody else.

use leveret_model::limits;
use leveret_shard::{Pressure, ReadInterest};

use crate::bounds::interest;
use crate::rig::client::Heard;
use crate::rig::{Rig, at};

#[test]
fn full_memory_stops_publishers_and_nobody_else() {
    let mut rig = Rig::new(&[1]);
    let (publisher, both, consumer) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    rig.declare(publisher, "q");
    rig.qos(both, 1);
    rig.consume(both, "q", "b", false);
    for id in [publisher, both] {
        rig.publish(id, "q", "m");
    }
    rig.run();
    rig.heard(both);
    rig.shard(at(1, 0)).on_memory(Pressure::Full);
    rig.hears(publisher, &Heard::Blocked);
    rig.hears(both, &Heard::Blocked);
    rig.hears_nothing(consumer);
    assert_eq!(interest(&mut rig, publisher), ReadInterest::Stop);
    assert_eq!(interest(&mut rig, both), ReadInterest::Trickle);
    assert_eq!(interest(&mut rig, consumer), ReadInterest::Read);
    // an ack passes, and brings the next message
    rig.ack(both, 1);
    assert_eq!(rig.bodies(both), ["m"]);
    rig.ack(both, 2);
    rig.run();
    assert_eq!(interest(&mut rig, both), ReadInterest::Stop);
    // who begins to publish now is told too
    rig.publish(consumer, "q", "m");
    rig.hears(consumer, &Heard::Blocked);
    assert_eq!(interest(&mut rig, consumer), ReadInterest::Stop);
    rig.publish(publisher, "q", "later");
    rig.run();
    rig.shard(at(1, 0)).on_memory(Pressure::Calm);
    rig.hears(publisher, &Heard::Unblocked);
    assert_eq!(rig.heard(both).len(), 2);
}

#[test]
fn publishers_hear_what_is_short() {
    for (pressure, reason) in [(Pressure::Disk, "low on disk"), (Pressure::Full, "low on memory")] {
        let mut rig = Rig::new(&[1]);
        let publisher = rig.connect(at(1, 0));
        rig.declare(publisher, "q");
        rig.publish(publisher, "q", "m");
        rig.run();
        rig.shard(at(1, 0)).on_memory(pressure);
        rig.hears(publisher, &Heard::Blocked);
        assert_eq!(rig.client(publisher).last_blocked, reason);
        assert_eq!(interest(&mut rig, publisher), ReadInterest::Stop);
        rig.shard(at(1, 0)).on_memory(Pressure::Tight);
        rig.hears(publisher, &Heard::Unblocked);
    }
}

/// Wherever the queue and its publishers are.
#[test]
fn tight_memory_stops_publishers_of_long_queues_and_nobody_else() {
    for home in [at(1, 0), at(1, 1), at(2, 0)] {
        let mut rig = Rig::new(&[2, 1]);
        let (owner, flooder, modest) = (rig.connect(home), rig.connect(at(1, 0)), rig.connect(at(1, 0)));
        rig.declare(owner, "long");
        rig.declare(owner, "short");
        let flood = |rig: &mut Rig, times: u64| {
            for _ in 0..times {
                rig.publish(flooder, "long", &"x".repeat(100_000));
            }
            rig.run();
        };
        flood(&mut rig, limits::LONG_QUEUE_BYTES / 100_000 - 1);
        rig.shard(home).on_memory(Pressure::Tight);
        rig.run();
        // not long yet
        rig.hears_nothing(flooder);
        assert_eq!(interest(&mut rig, flooder), ReadInterest::Read);
        flood(&mut rig, 2);
        // who publishes from elsewhere is told with the next one
        flood(&mut rig, 1);
        rig.hears(flooder, &Heard::Blocked);
        assert_eq!(interest(&mut rig, flooder), ReadInterest::Stop);
        for _ in 0..100 {
            rig.publish(modest, "short", "m");
        }
        rig.run();
        rig.hears_nothing(modest);
        assert_eq!(interest(&mut rig, modest), ReadInterest::Read);
        // the queue is short again, and memory still tight
        rig.client(owner).says(1, leveret_wire::method::QueuePurge { queue: b"long", ..Default::default() });
        rig.run();
        rig.hears(flooder, &Heard::Unblocked);
        assert_eq!(interest(&mut rig, flooder), ReadInterest::Read);
        // long again, and memory is not tight any more
        flood(&mut rig, limits::LONG_QUEUE_BYTES / 100_000 + 2);
        flood(&mut rig, 1);
        rig.hears(flooder, &Heard::Blocked);
        rig.shard(home).on_memory(Pressure::Calm);
        rig.run();
        rig.hears(flooder, &Heard::Unblocked);
    }
}

#[test]
fn tight_memory_stops_publishers_of_a_home_that_is_slow_to_answer() {
    let mut rig = Rig::new(&[2]);
    let (owner, flooder) = (rig.connect(at(1, 1)), rig.connect(at(1, 0)));
    rig.declare(owner, "q");
    rig.held_wires.insert((at(1, 0), at(1, 1)));
    rig.shard(at(1, 0)).on_memory(Pressure::Tight);
    for _ in 0..limits::LONG_QUEUE_BYTES / 100_000 {
        rig.publish(flooder, "q", &"x".repeat(100_000));
    }
    rig.run();
    rig.hears_nothing(flooder);
    rig.publish(flooder, "q", &"x".repeat(100_000));
    rig.run();
    rig.hears(flooder, &Heard::Blocked);
    assert_eq!(interest(&mut rig, flooder), ReadInterest::Stop);
    rig.held_wires.clear();
    rig.run();
    rig.hears(flooder, &Heard::Unblocked);
    assert_eq!(rig.counts(owner, "q").0 as u64, limits::LONG_QUEUE_BYTES / 100_000 + 1);
}

#[test]
fn who_waits_for_a_queue_that_is_deleted_or_cut_off_goes_on() {
    for home in [at(1, 0), at(2, 0)] {
        let mut rig = Rig::new(&[1, 1]);
        let (owner, flooder) = (rig.connect(home), rig.connect(at(1, 0)));
        rig.declare(owner, "q");
        rig.shard(home).on_memory(Pressure::Full);
        for _ in 0..2 {
            rig.publish(flooder, "q", "m");
            rig.run();
        }
        rig.hears(flooder, &Heard::Blocked);
        rig.shard(home).on_memory(Pressure::Tight);
        if home == at(2, 0) {
            rig.cut(1, 2);
            rig.hears(flooder, &Heard::Unblocked);
            rig.heal(1, 2);
            rig.run();
            // nothing was forgotten that still holds
            rig.shard(home).on_memory(Pressure::Full);
            rig.publish(flooder, "q", "m");
            rig.run();
            rig.publish(flooder, "q", "m");
            rig.run();
            rig.hears(flooder, &Heard::Blocked);
        }
        rig.client(owner).says(1, leveret_wire::method::QueueDelete { queue: b"q", ..Default::default() });
        rig.run();
        rig.shard(at(1, 0)).on_memory(Pressure::Calm);
        rig.run();
        rig.hears(flooder, &Heard::Unblocked);
        assert_eq!(interest(&mut rig, flooder), ReadInterest::Read);
    }
}

#[test]
fn who_floods_between_its_acks_while_memory_is_full_is_closed_at_the_bound() {
    let mut rig = Rig::new(&[1]);
    let both = rig.connect(at(1, 0));
    rig.declare(both, "q");
    rig.qos(both, 1);
    rig.consume(both, "q", "b", false);
    rig.publish(both, "q", "m");
    rig.run();
    rig.heard(both);
    rig.shard(at(1, 0)).on_memory(Pressure::Full);
    rig.hears(both, &Heard::Blocked);
    let body = "x".repeat(100_000);
    for _ in 0..limits::PUBLISHED_WHILE_WAITING_BYTES_MAX / 100_000 {
        rig.publish(both, "q", &body);
        rig.run();
    }
    assert_eq!(interest(&mut rig, both), ReadInterest::Trickle);
    rig.hears_nothing(both);
    rig.publish(both, "q", &body);
    rig.publish(both, "q", &body);
    rig.run();
    let heard = rig.heard(both);
    assert!(matches!(heard[..], [Heard::ConnectionClose(320, _)]), "{heard:?}");
}

/// What consumers hold makes a queue long as well, though only much of it.
#[test]
fn a_queue_whose_consumers_hold_much_is_long() {
    let mut rig = Rig::new(&[1]);
    let (consumer, publisher) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    rig.declare(consumer, "q");
    rig.consume(consumer, "q", "c", false);
    let body = "x".repeat(1_000_000);
    let flood = |rig: &mut Rig, times: u64| {
        for _ in 0..times {
            rig.publish(publisher, "q", &body);
            rig.run();
        }
    };
    let many = limits::LONG_QUEUE_UNACKED_BYTES / 1_000_000;
    rig.shard(at(1, 0)).on_memory(Pressure::Tight);
    flood(&mut rig, many);
    rig.hears_nothing(publisher);
    flood(&mut rig, 2);
    rig.hears(publisher, &Heard::Blocked);
    assert_eq!(rig.heard(consumer).len() as u64, many + 2);
    for tag in 1..=many / 2 + 3 {
        rig.ack(consumer, tag);
    }
    rig.run();
    rig.hears(publisher, &Heard::Unblocked);
}
