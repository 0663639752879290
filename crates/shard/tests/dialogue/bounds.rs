//! Slow clients, floods, timers.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_model::{Instant, limits};
use leveret_shard::ReadInterest;

use leveret_wire::method::{BasicConsume, ChannelOpen};

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

pub(crate) fn interest(rig: &mut Rig, id: ClientId) -> ReadInterest {
    let (at, key) = (rig.client(id).at, rig.client(id).key);
    rig.shard(at).read_interest(key)
}

pub(crate) fn output(rig: &mut Rig, id: ClientId) -> usize {
    let (at, key) = (rig.client(id).at, rig.client(id).key);
    rig.shard(at).output(key).unwrap().len()
}

#[test]
fn a_consumer_that_does_not_read_is_skipped_and_goes_on_when_it_does() {
    for place in [at(1, 0), at(1, 1), at(2, 0)] {
        let mut rig = Rig::new(&[2, 1]);
        let (home, slow) = (rig.connect(at(1, 0)), rig.connect(place));
        rig.declare(home, "q");
        rig.declare(home, "other");
        rig.consume(slow, "q", "c", true);
        rig.client(slow).takes = 0;
        let body = "x".repeat(1_000);
        for _ in 0..4_000 {
            rig.publish(home, "q", &body);
        }
        rig.run();
        let most = limits::OUTPUT_BYTES_HIGH.max(limits::CONSUMER_WINDOW_BYTES as usize) + 400_000;
        assert!(output(&mut rig, slow) < most, "{}", output(&mut rig, slow));
        // others are served
        rig.consume(home, "other", "o", true);
        rig.publish(home, "other", "m");
        assert_eq!(rig.bodies(home), ["m"]);
        rig.client(slow).takes = 50_000;
        let mut got = rig.heard(slow).len();
        rig.client(slow).takes = usize::MAX;
        got += rig.heard(slow).len();
        assert_eq!(got, 4_000);
    }
}

#[test]
fn two_slow_consumers_of_one_connection_both_go_on() {
    let mut rig = Rig::new(&[1]);
    let (home, slow) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    for queue in ["x", "y"] {
        rig.declare(home, queue);
        rig.consume(slow, queue, queue, true);
    }
    rig.client(slow).takes = 0;
    let body = "x".repeat(1_000);
    for _ in 0..1_000 {
        rig.publish(home, "x", &body);
        rig.publish(home, "y", &body);
    }
    rig.run();
    rig.client(slow).takes = usize::MAX;
    assert_eq!(rig.heard(slow).len(), 2_000);
}

#[test]
fn a_queue_that_goes_while_its_consumer_is_parked_leaves_nothing_behind() {
    let mut rig = Rig::new(&[1]);
    let (home, slow) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    rig.declare(home, "q");
    rig.consume(slow, "q", "c", true);
    rig.client(slow).takes = 0;
    let body = "x".repeat(100_000);
    for _ in 0..20 {
        rig.publish(home, "q", &body);
    }
    rig.run();
    rig.client(home).says(1, leveret_wire::method::QueueDelete { queue: b"q", ..Default::default() });
    assert!(matches!(rig.one(home), Heard::Count(1..)));
    rig.declare(home, "q");
    rig.client(slow).takes = usize::MAX;
    let heard = rig.heard(slow);
    assert_eq!(heard.last(), Some(&Heard::Cancel("c".into())));
    rig.publish(home, "q", "m");
    rig.hears_nothing(slow);
}

/// One queue has far more than a turn's share; the others do not wait for its end.
#[test]
fn a_flooded_queue_does_not_hold_up_the_others() {
    let mut rig = Rig::new(&[1]);
    let (home, greedy, modest) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    rig.declare(home, "flood");
    rig.declare(home, "calm");
    for _ in 0..3 * limits::TURN_DISPATCH_MAX {
        rig.publish(home, "flood", "");
    }
    rig.run();
    rig.says_consume(greedy, "flood", "g", true);
    rig.says_consume(modest, "calm", "m", true);
    rig.publish(home, "calm", "m");
    rig.turn(at(1, 0));
    let heard = rig.heard_so_far(modest);
    assert_eq!(heard.len(), 2, "{heard:?}");
    let first = rig.heard_so_far(greedy).len();
    assert_eq!(first, 1 + limits::TURN_DISPATCH_MAX);
    rig.run();
    assert_eq!(rig.heard(greedy).len() + first, 1 + 3 * limits::TURN_DISPATCH_MAX);
}

#[test]
fn all_queues_together_have_a_share_of_a_turn_and_none_is_forgotten() {
    let mut rig = Rig::new(&[1]);
    let (home, consumer) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    let queues = 12;
    let each = limits::TURN_DISPATCH_MAX;
    for queue in 0..queues {
        let name = format!("q{queue}");
        rig.declare(home, &name);
        for _ in 0..each {
            rig.publish(home, &name, "");
        }
        rig.run();
    }
    for queue in 0..queues {
        rig.says_consume(consumer, &format!("q{queue}"), &format!("c{queue}"), true);
    }
    let mut most = 0;
    let mut all = 0;
    while all < queues * (each + 1) {
        rig.turn(at(1, 0));
        let heard = rig.heard_so_far(consumer).len();
        assert!(heard > 0, "{all} of {}", queues * (each + 1));
        most = most.max(heard);
        all += heard;
    }
    assert!(most <= limits::SHARD_DISPATCH_MAX + queues, "{most}");
}

/// The same in bytes: a long queue of large messages with many consumers.
#[test]
fn a_turn_dispatches_a_bounded_number_of_bytes() {
    let mut rig = Rig::new(&[1]);
    let owner = rig.connect(at(1, 0));
    rig.declare(owner, "q");
    let messages = 40 * 6;
    for _ in 0..messages {
        rig.publish(owner, "q", &"x".repeat(50_000));
    }
    rig.run();
    let consumers: Vec<_> = (0..40).map(|_| rig.connect(at(1, 0))).collect();
    for id in &consumers {
        rig.says_consume(*id, "q", "c", true);
    }
    let mut got = 0;
    while got < messages {
        rig.turn(at(1, 0));
        let deliveries = |heard: &Heard| matches!(heard, Heard::Deliver { .. });
        let each = consumers.iter().map(|id| rig.heard_so_far(*id).iter().filter(|h| deliveries(h)).count());
        let in_turn: usize = each.collect::<Vec<_>>().into_iter().sum();
        assert!(
            in_turn > 0 && in_turn as u64 * 50_000 <= limits::SHARD_DISPATCH_BYTES_MAX + 50_000,
            "{in_turn}"
        );
        got += in_turn;
    }
}

#[test]
fn a_lane_that_is_full_stops_its_publishers_and_goes_on() {
    let mut rig = Rig::new(&[1, 1]);
    let (home, publisher) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    rig.declare(home, "q");
    rig.confirms(publisher);
    rig.held_wires.insert((at(2, 0), at(1, 0)));
    for _ in 0..12_000 {
        rig.publish(publisher, "q", "m");
    }
    rig.run();
    rig.held_wires.clear();
    rig.run();
    let last = rig.heard(publisher).into_iter().last();
    assert_eq!(last, Some(Heard::Confirm { number: 12_000, multiple: true, ok: true }));
    assert_eq!(rig.counts(home, "q").0, 12_000);
}

#[test]
fn memory_held_for_a_lane_is_given_back() {
    let mut rig = Rig::new(&[1, 1]);
    let (home, publisher) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    rig.declare(home, "q");
    let body = "x".repeat(100_000);
    rig.cut(1, 2);
    for _ in 0..100 {
        rig.publish(publisher, "q", &body);
    }
    rig.run();
    assert!(rig.shard(at(2, 0)).memory_bytes() > 10_000_000);
    rig.pass(Duration::from_secs(2));
    assert!(rig.shard(at(2, 0)).memory_bytes() < 2_000_000);
    rig.heal(1, 2);
    rig.run();
    assert_eq!(rig.shard(at(2, 0)).report().traffic.given_up, 100);
}

#[test]
fn heartbeats_come_in_time_from_the_first_one_on() {
    let mut rig = Rig::new(&[1]);
    let id = rig.connect_with(at(1, 0), 2);
    let before = rig.shard(at(1, 0)).next_deadline();
    assert!(before <= rig.now + Duration::from_secs(1));
    // a client that is silent for two intervals is dropped
    rig.pass(Duration::from_secs(4) - Duration::from_nanos(1));
    assert!(!rig.client(id).lost);
    rig.pass(Duration::from_secs(1) + Duration::from_nanos(1));
    assert!(rig.client(id).lost);
}

#[test]
fn connections_share_wake_ups_for_their_heartbeats_and_a_turn_has_a_bound_of_them() {
    let mut rig = Rig::new(&[1]);
    let (all, spread) = (limits::TIMERS_PER_TURN_MAX * 2 + 1, Duration::from_millis(1));
    for _ in 0..all {
        rig.connect_with(at(1, 0), 60);
        rig.pass(spread);
    }
    let end = rig.now + Duration::from_secs(31);
    let mut turns_at = BTreeMap::<Instant, usize>::new();
    while rig.shard(at(1, 0)).next_deadline() <= end {
        rig.now = rig.now.max(rig.shard(at(1, 0)).next_deadline());
        rig.turn(at(1, 0));
        *turns_at.entry(rig.now).or_default() += 1;
    }
    // all came within 129 ms, so no more than one end of a slot lies between them
    assert!(turns_at.len() <= 2, "{turns_at:?}");
    assert!((3..=4).contains(&turns_at.values().sum::<usize>()), "each turn has its bound: {turns_at:?}");
}

/// A thousand idle connections would each wake their shard once more.
#[test]
fn a_handshake_that_is_over_wakes_nobody() {
    let mut rig = Rig::new(&[1]);
    let id = rig.connect_with(at(1, 0), 60);
    assert!(rig.shard(at(1, 0)).next_deadline() > rig.now + limits::HANDSHAKE_TIMEOUT);
    rig.break_socket(id);
    rig.run();
    assert_eq!(rig.shard(at(1, 0)).next_deadline(), Instant::FAR);
}

#[test]
fn a_handshake_that_does_not_end_is_dropped_after_its_time() {
    let mut rig = Rig::new(&[1]);
    let id = rig.accept(at(1, 0));
    rig.pass(limits::HANDSHAKE_TIMEOUT - Duration::from_nanos(1));
    assert!(!rig.client(id).lost);
    rig.pass(Duration::from_nanos(1));
    assert!(rig.client(id).lost);
}

/// The slot of a connection that goes is used again in the same turn.
#[test]
fn a_slot_used_again_in_one_turn_is_written() {
    let mut rig = Rig::new(&[1]);
    let old = rig.connect(at(1, 0));
    let key = rig.client(old).key;
    let now = rig.now;
    let shard = rig.shard(at(1, 0));
    shard.begin_turn(now);
    shard.on_written(key);
    rig.break_socket(old);
    let new = rig.accept(at(1, 0));
    assert_eq!(rig.client(new).key.slot, key.slot);
    rig.client(new).unread.extend(leveret_wire::PROTOCOL_HEADER);
    rig.turn(at(1, 0));
    assert_eq!(rig.heard_so_far(new), [Heard::Method("connection.start")]);
}

/// A key of a connection that is gone finds nobody, whoever has its slot.
#[test]
fn late_answers_find_nobody_in_a_slot_that_is_used_again() {
    let mut rig = Rig::new(&[2]);
    let (home, away) = (rig.connect(at(1, 1)), rig.connect(at(1, 0)));
    rig.declare(home, "q");
    rig.publish(home, "q", "1");
    rig.confirms(away);
    rig.held_wires.insert((at(1, 1), at(1, 0)));
    rig.publish(away, "q", "2");
    rig.says_get(away, "q", false);
    rig.says_consume(away, "q", "c", false);
    rig.run();
    rig.lose(away);
    let new = rig.connect(at(1, 0));
    rig.confirms(new);
    rig.says_consume(new, "q", "c", false);
    rig.held_wires.clear();
    let heard = rig.heard(new);
    assert_eq!(heard[0], Heard::Consuming("c".into()));
    let bodies: Vec<_> = heard[1..]
        .iter()
        .map(|heard| match heard {
            Heard::Deliver { body, .. } => String::from_utf8_lossy(body).into_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, ["1", "2"]);
}

/// `limits::CONSUMERS_PER_CONNECTION_MAX`: channels are many, so their own bound is none for a connection.
#[test]
fn a_connection_with_too_many_consumers_on_its_channels_is_closed_with_530() {
    let mut rig = Rig::new(&[1]);
    let (greedy, modest) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    rig.declare(modest, "q");
    let channels = (limits::CONSUMERS_PER_CONNECTION_MAX / 5_000) as u16;
    for channel in 2..=channels + 1 {
        rig.client(greedy).says(channel, ChannelOpen);
        for _ in 0..5_000 {
            rig.client(greedy)
                .says(channel, BasicConsume { queue: b"q", no_wait: true, ..Default::default() });
        }
        rig.run();
    }
    assert_eq!(rig.counts(modest, "q"), (0, limits::CONSUMERS_PER_CONNECTION_MAX as u32));
    rig.heard(greedy);
    rig.client(greedy).says(1, BasicConsume { queue: b"q", ..Default::default() });
    rig.run();
    let text = "NOT_ALLOWED - more than 20000 consumers on one connection";
    rig.hears(greedy, &Heard::ConnectionClose(530, text.into()));
    assert_eq!(rig.counts(modest, "q"), (0, 0));
    rig.consume(modest, "q", "m", true);
}

/// `limits::OUTPUT_BYTES_STOP`: an answer fills the output, and one write empties it.
#[test]
fn who_asks_behind_an_answer_that_fills_the_output_is_answered() {
    let mut rig = Rig::new(&[1]);
    let client = rig.connect(at(1, 0));
    rig.declare(client, "q");
    let large = "x".repeat(limits::OUTPUT_BYTES_STOP + 1);
    for _ in 0..3 {
        rig.publish(client, "q", &large);
    }
    rig.run();
    for _ in 0..3 {
        rig.says_get(client, "q", true);
    }
    rig.run();
    let got = rig.heard(client);
    assert_eq!(got.iter().filter(|heard| matches!(heard, Heard::Got { .. })).count(), 3);
}
