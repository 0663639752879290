//! What one channel holds is bounded, over consumers of many queues, here and elsewhere.

use leveret_amqp::Config;
use leveret_shard::Bounds;
use leveret_wire::method::*;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const HELD_MAX: usize = 10;
const WINDOW: usize = 4;
const QUEUES: [&str; 3] = ["x", "y", "z"];
const EACH: usize = 12;

/// Shards on which a channel may hold ten, and homes elsewhere may send four ahead.
fn narrow(shards: &[u8]) -> Rig {
    let mut rig =
        Rig::with(shards, Config { unacked_per_channel_max: HELD_MAX, ..Config::new("0.1.0", "rig") });
    for shard in rig.shards.values_mut() {
        shard.set_bounds(Bounds { consumer_messages: WINDOW as u32, ..Bounds::default() });
    }
    rig
}

/// Three queues of shard 0 with twelve messages each.
fn fill(rig: &mut Rig) -> ClientId {
    let home = rig.connect(at(1, 0));
    for queue in QUEUES {
        rig.declare(home, queue);
        for number in 0..EACH {
            rig.publish(home, queue, &format!("{queue}{number}"));
        }
    }
    rig.run();
    home
}

/// Bodies of deliveries.
fn bodies(rig: &mut Rig, id: ClientId) -> Vec<String> {
    let body = |heard| match heard {
        Heard::Deliver { body, .. } => Some(String::from_utf8(body).expect("UTF-8")),
        _ => None,
    };
    rig.heard(id).into_iter().filter_map(body).collect()
}

fn ack_all(rig: &mut Rig, id: ClientId) {
    rig.client(id).says(1, BasicAck { delivery_tag: 0, multiple: true });
}

#[test]
fn a_channel_with_many_consumers_holds_no_more_than_a_channel_may_and_gets_all_in_the_end() {
    for (place, most) in [
        (at(1, 0), HELD_MAX),
        (at(1, 1), HELD_MAX + QUEUES.len() * WINDOW),
        (at(2, 0), HELD_MAX + QUEUES.len() * WINDOW),
    ] {
        let mut rig = narrow(&[2, 1]);
        let home = fill(&mut rig);
        let greedy = rig.connect(place);
        for queue in QUEUES {
            rig.says_consume(greedy, queue, queue, false);
        }
        let mut got = bodies(&mut rig, greedy);
        assert!((HELD_MAX..=most).contains(&got.len()), "{place:?}: {got:?}");
        // nobody else pauses
        let other = rig.connect(place);
        rig.declare(home, "other");
        rig.consume(other, "other", "o", false);
        rig.publish(home, "other", "m");
        assert_eq!(rig.bodies(other), ["m"]);
        while got.len() < QUEUES.len() * EACH {
            ack_all(&mut rig, greedy);
            let more = bodies(&mut rig, greedy);
            assert!((1..=most).contains(&more.len()), "{place:?}: {more:?} behind {got:?}");
            got.extend(more);
        }
        for queue in QUEUES {
            let of_queue: Vec<_> = got.iter().filter(|body| body.starts_with(queue)).cloned().collect();
            let sent: Vec<_> = (0..EACH).map(|number| format!("{queue}{number}")).collect();
            assert_eq!(of_queue, sent, "{place:?}");
        }
        ack_all(&mut rig, greedy);
        assert_eq!(rig.counts(home, "x"), (0, 1));
    }
}

/// Acks that come one by one end the pause when there is one for each consumer, not at the first.
#[test]
fn a_channel_that_pauses_goes_on_when_each_of_its_consumers_can_have_one() {
    for place in [at(1, 0), at(2, 0)] {
        let mut rig = narrow(&[1, 1]);
        fill(&mut rig);
        let greedy = rig.connect(place);
        for queue in QUEUES {
            rig.says_consume(greedy, queue, queue, false);
        }
        let held = bodies(&mut rig, greedy).len();
        let mut acked = 0;
        let mut more = Vec::new();
        while more.is_empty() {
            acked += 1;
            assert!(acked as usize <= held, "{place:?}: nothing comes though all is acked");
            rig.ack(greedy, acked);
            more = bodies(&mut rig, greedy);
        }
        assert_eq!(acked as usize, held - HELD_MAX + QUEUES.len(), "{place:?}");
        assert!(more.len() >= QUEUES.len(), "{place:?}: {more:?}");
    }
}

/// What is withheld stays so on a new link.
#[test]
fn a_channel_that_pauses_gets_no_window_with_a_new_link() {
    let mut rig = narrow(&[1, 1]);
    fill(&mut rig);
    let greedy = rig.connect(at(2, 0));
    for queue in QUEUES {
        rig.says_consume(greedy, queue, queue, false);
    }
    let mut got = bodies(&mut rig, greedy).len();
    for _ in 0..3 {
        rig.cut(1, 2);
        rig.run();
        rig.heal(1, 2);
        rig.run();
        assert_eq!(bodies(&mut rig, greedy), [""; 0]);
    }
    while got < QUEUES.len() * EACH {
        ack_all(&mut rig, greedy);
        let more = bodies(&mut rig, greedy).len();
        assert!(more > 0, "it goes on");
        got += more;
    }
}

/// It holds nothing, wherever its queue is: what it brings may be what the acks wait for.
#[test]
fn a_consumer_without_acks_goes_on_while_its_channel_pauses() {
    for place in [at(1, 0), at(2, 0)] {
        let mut rig = narrow(&[1, 1]);
        let home = fill(&mut rig);
        rig.declare(home, "replies");
        let greedy = rig.connect(place);
        rig.says_consume(greedy, "replies", "replies", true);
        for queue in QUEUES {
            rig.says_consume(greedy, queue, queue, false);
        }
        bodies(&mut rig, greedy);
        for number in 0..3 * WINDOW {
            rig.publish(home, "replies", &format!("{number}"));
            assert_eq!(bodies(&mut rig, greedy), [format!("{number}")], "{place:?}");
        }
    }
}

/// A consumer that ends while its channel pauses takes nothing with it, and the channel goes on.
#[test]
fn consumers_that_end_while_their_channel_pauses_leave_the_others_awake() {
    for place in [at(1, 0), at(2, 0)] {
        let mut rig = narrow(&[1, 1]);
        let home = fill(&mut rig);
        let greedy = rig.connect(place);
        for queue in QUEUES {
            rig.says_consume(greedy, queue, queue, false);
        }
        let mut of_z = bodies(&mut rig, greedy).into_iter().filter(|body| body.starts_with('z')).count();
        rig.says_cancel(greedy, "x");
        rig.says_cancel(greedy, "y");
        rig.run();
        for _ in 0..EACH {
            ack_all(&mut rig, greedy);
            of_z += bodies(&mut rig, greedy).into_iter().filter(|body| body.starts_with('z')).count();
        }
        assert_eq!(of_z, EACH, "{place:?}");
        assert_eq!(rig.counts(home, "z"), (0, 1));
    }
}
