//! Many queues, and many consumers of one.

use leveret_link::Batch;
use leveret_link::record::LaneTarget;
use leveret_model::directory::Change;
use leveret_model::{Body, Boot, LaneSequence, Message, limits};
use leveret_wire::method::*;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// What a rig takes at once: each operation is a turn of its own.
const BATCH: usize = 1_000;

fn declare_all(rig: &mut Rig, id: ClientId, names: impl Iterator<Item = String>) {
    for (number, name) in names.enumerate() {
        rig.client(id).says(1, QueueDeclare { queue: name.as_bytes(), no_wait: true, ..Default::default() });
        if number % BATCH == 0 {
            rig.run();
        }
    }
    rig.hears_nothing(id);
}

/// What costs a walk over all queues for each of them would not end here.
#[test]
fn a_hundred_thousand_queues_come_take_messages_and_go() {
    const QUEUES: usize = 100_000;
    let mut rig = Rig::new(&[1]);
    let client = rig.connect(at(1, 0));
    let empty = rig.shard(at(1, 0)).memory_bytes();
    declare_all(&mut rig, client, (0..QUEUES).map(|number| number.to_string()));
    rig.confirms(client);
    for number in 0..QUEUES {
        rig.publish(client, &number.to_string(), "0123456789abcdef");
        if number % BATCH == 0 {
            rig.run();
        }
    }
    let confirmed = rig.heard(client).into_iter().map(|heard| match heard {
        Heard::Confirm { number, ok: true, .. } => number,
        other => panic!("{other:?}"),
    });
    assert_eq!(confirmed.max(), Some(QUEUES as u64));
    let report = rig.shard(at(1, 0)).report();
    assert_eq!(report.queues.len(), QUEUES);
    assert!(report.queues.iter().all(|queue| queue.ready == 1));
    // a message takes its bytes, its address, its header and some 50 of ours
    assert!(report.memory_bytes - empty < QUEUES as u64 * 128, "{}", report.memory_bytes);
    for number in 0..QUEUES {
        let queue = number.to_string();
        rig.client(client)
            .says(1, QueueDelete { queue: queue.as_bytes(), no_wait: true, ..Default::default() });
        if number % BATCH == 0 {
            rig.run();
        }
    }
    rig.hears_nothing(client);
    let report = rig.shard(at(1, 0)).report();
    assert_eq!(report.queues.len(), 0);
    assert!(report.memory_bytes < empty + 4 * 1024 * 1024, "{}", report.memory_bytes);
}

/// More than one record has room for on the other shard (`limits::PUBLISH_TARGETS_MAX`).
#[test]
fn a_fanout_reaches_very_many_queues_on_two_shards_and_is_confirmed_once() {
    let mut rig = Rig::new(&[2]);
    let homes = [(rig.connect(at(1, 0)), 500), (rig.connect(at(1, 1)), limits::PUBLISH_TARGETS_MAX + 76)];
    for (home, (id, count)) in homes.into_iter().enumerate() {
        declare_all(&mut rig, id, (0..count).map(|number| format!("{home}-{number}")));
        for number in 0..count {
            rig.bind(id, &format!("{home}-{number}"), "amq.fanout", "");
        }
    }
    let publisher = rig.connect(at(1, 0));
    rig.confirms(publisher);
    for number in 1..=3 {
        rig.client(publisher).publishes(1, ("amq.fanout", ""), true, &[number]);
    }
    let confirms = rig.heard(publisher);
    let last = |heard: &Heard| matches!(heard, Heard::Confirm { number: 3, ok: true, .. });
    assert!(confirms.iter().any(last), "{confirms:?}");
    assert!(confirms.iter().all(|heard| matches!(heard, Heard::Confirm { ok: true, .. })), "{confirms:?}");
    for (home, (id, count)) in homes.into_iter().enumerate() {
        let report = rig.shard(at(1, home as u8)).report();
        assert_eq!(report.queues.len(), count);
        assert!(report.queues.iter().all(|queue| queue.ready == 3));
        rig.consume(id, &format!("{home}-499"), "c", true);
        assert_eq!(rig.bodies(id), ["\u{1}", "\u{2}", "\u{3}"]);
    }
}

/// One row of queues: a lane that has the publish already, one that misses one before, one of a queue that was
/// deleted, and one that takes it.
#[test]
fn queues_that_do_not_take_a_publish_leave_it_to_the_others_of_its_record_and_keep_nothing() {
    let mut rig = Rig::new(&[1, 1]);
    let home = rig.connect(at(2, 0));
    let ids = ["has", "misses", "deleted", "takes"].map(|queue| {
        rig.declare(home, queue);
        rig.control.queues[queue].id
    });
    for (to, mail) in rig.control.announce(&Change::DropQueue { id: ids[2] }) {
        rig.tell(to, mail);
    }
    let send = |rig: &mut Rig, sequences: [u64; 4]| {
        let body = "m".repeat(3_000);
        let message = Message::new(b"\0\0", b"", Body::Flat(body.as_bytes()));
        let mut batch = Batch::new();
        let base = LaneSequence(1);
        let mut row = ids.into_iter().zip(sequences).map(|(queue, sequence)| LaneTarget {
            queue,
            sequence: LaneSequence(sequence),
            base,
        });
        batch.push_publish(row.next().expect("four"), message);
        assert!(row.all(|target| batch.add_target(target)));
        let now = rig.now;
        let shard = rig.shard(at(2, 0));
        shard.begin_turn(now);
        shard.on_batch(at(1, 0), Boot(1), &batch).unwrap();
        rig.run();
    };
    send(&mut rig, [1, 1, 1, 1]);
    let before = rig.shard(at(2, 0)).memory_bytes();
    // what nobody takes is not kept: 3 MB of it would be seen (a grant, which the sender has not earned, is not
    // due yet)
    for _ in 0..1_000 {
        send(&mut rig, [1, 3, 2, 1]);
    }
    let after = rig.shard(at(2, 0)).memory_bytes();
    assert!(after < before + 2 * limits::ARENA_BLOCK_BYTES as u64, "{before}, then {after}");
    send(&mut rig, [1, 3, 2, 2]);
    assert_eq!(["has", "misses", "takes"].map(|queue| rig.counts(home, queue).0), [1, 1, 2]);
}

/// Here, on the other shard, on another node: who holds what and who gives it back first does not matter.
#[test]
fn what_consumers_on_several_nodes_give_back_is_in_its_first_order_again() {
    let mut rig = Rig::new(&[2, 1]);
    let home = rig.connect(at(1, 0));
    rig.declare(home, "q");
    let consumers = [at(1, 0), at(1, 1), at(2, 0)].map(|place| rig.connect(place));
    for id in consumers {
        rig.qos(id, 3);
        rig.consume(id, "q", "c", false);
    }
    for number in 1..=12 {
        rig.publish(home, "q", &number.to_string());
    }
    let [here, beside, away] = consumers;
    // those of the home's node first, as far as their prefetch goes
    assert_eq!(rig.deliveries(here).len(), 3);
    assert_eq!(rig.deliveries(beside).len(), 3);
    assert_eq!(rig.deliveries(away).len(), 3);
    for id in consumers {
        rig.says_cancel(id, "c");
        rig.hears(id, &Heard::CancelOk("c".into()));
    }
    // the latest first, one by one and at once, and by the end of a connection
    rig.requeue(away, 3);
    rig.requeue(away, 1);
    rig.lose(away);
    rig.client(beside).says(1, BasicNack { delivery_tag: 0, multiple: true, requeue: true });
    rig.run();
    rig.requeue(here, 2);
    // the third that came here: the two of the home's node took turns
    rig.ack(here, 3);
    rig.requeue(here, 1);
    rig.run();
    let last = rig.connect(at(2, 0));
    rig.consume(last, "q", "c", false);
    let got = rig.deliveries(last);
    let expected: Vec<_> =
        (1..=12u64).filter(|number| *number != 5).map(|number| number.to_string()).collect();
    assert_eq!(got.iter().map(|(.., body)| body.clone()).collect::<Vec<_>>(), expected);
    // 1 to 9 had been held
    assert!(got.iter().all(|(_, redelivered, body)| *redelivered == (body.len() == 1)));
}
