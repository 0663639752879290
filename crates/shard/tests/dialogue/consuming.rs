//! Consume, get, ack, requeue, prefetch, cancel: here, over a ring, over a link.

use leveret_model::ShardAddress;
use leveret_wire::method::*;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// A queue at home on node 1, shard 0, and a client on each kind of place.
const PLACES: [ShardAddress; 3] = [at_const(1, 0), at_const(1, 1), at_const(2, 0)];

const fn at_const(node: u128, shard: u8) -> ShardAddress {
    ShardAddress { node: leveret_model::NodeId(node), shard: leveret_model::ShardId(shard) }
}

fn each_place(test: impl Fn(&mut Rig, ClientId, ClientId)) {
    for place in PLACES {
        let mut rig = Rig::new(&[2, 1]);
        let (home, client) = (rig.connect(at(1, 0)), rig.connect(place));
        rig.declare(home, "q");
        test(&mut rig, home, client);
    }
}

fn publish_all(rig: &mut Rig, id: ClientId, bodies: &[&str]) {
    for body in bodies {
        rig.publish(id, "q", body);
    }
    rig.run();
}

#[test]
fn messages_reach_a_consumer_in_order_wherever_it_is() {
    each_place(|rig, home, client| {
        publish_all(rig, home, &["1", "2"]);
        rig.consume(client, "q", "c", true);
        publish_all(rig, client, &["3", "4"]);
        assert_eq!(rig.bodies(client), ["1", "2", "3", "4"]);
        assert_eq!(rig.counts(client, "q"), (0, 1));
    });
}

/// The answer to the subscription and the first deliveries come in one batch.
#[test]
fn a_first_delivery_is_not_marked_redelivered() {
    each_place(|rig, home, client| {
        publish_all(rig, home, &["1", "2"]);
        rig.consume(client, "q", "c", false);
        assert_eq!(rig.deliveries(client), [(1, false, "1".into()), (2, false, "2".into())]);
    });
}

#[test]
fn prefetch_bounds_what_is_held_and_an_ack_makes_room() {
    each_place(|rig, home, client| {
        publish_all(rig, home, &["1", "2", "3", "4"]);
        rig.qos(client, 2);
        rig.consume(client, "q", "c", false);
        assert_eq!(rig.bodies(client), ["1", "2"]);
        rig.ack(client, 1);
        assert_eq!(rig.bodies(client), ["3"]);
        rig.client(client).says(1, BasicAck { delivery_tag: 0, multiple: true });
        assert_eq!(rig.bodies(client), ["4"]);
    });
}

#[test]
fn what_is_requeued_goes_back_to_its_place_marked_redelivered() {
    each_place(|rig, home, client| {
        publish_all(rig, home, &["1", "2", "3"]);
        rig.qos(client, 2);
        rig.consume(client, "q", "c", false);
        rig.heard(client);
        rig.requeue(client, 1);
        assert_eq!(rig.deliveries(client), [(3, true, "1".into())]);
        // what is rejected does not come back
        rig.client(client).says(1, BasicReject { delivery_tag: 2, requeue: false });
        assert_eq!(rig.deliveries(client), [(4, false, "3".into())]);
    });
}

#[test]
fn what_a_lost_client_held_goes_to_the_next_in_order() {
    each_place(|rig, home, client| {
        publish_all(rig, home, &["1", "2", "3"]);
        rig.qos(client, 2);
        rig.consume(client, "q", "c", false);
        rig.heard(client);
        rig.lose(client);
        rig.consume(home, "q", "h", true);
        let expected = [(1, true, "1".into()), (2, true, "2".into()), (3, false, "3".into())];
        assert_eq!(rig.deliveries(home), expected);
        assert_eq!(rig.counts(home, "q"), (0, 1));
    });
}

#[test]
fn get_takes_the_first_message_and_counts_the_rest() {
    each_place(|rig, home, client| {
        rig.says_get(client, "q", false);
        rig.hears(client, &Heard::Empty);
        publish_all(rig, home, &["1", "2"]);
        rig.says_get(client, "q", false);
        let got = |tag, redelivered, remaining, body: &str| Heard::Got {
            tag,
            redelivered,
            remaining,
            body: body.into(),
        };
        rig.hears(client, &got(1, false, 1, "1"));
        rig.requeue(client, 1);
        rig.says_get(client, "q", true);
        rig.hears(client, &got(2, true, 1, "1"));
        rig.says_get(client, "q", true);
        rig.hears(client, &got(3, false, 0, "2"));
        assert_eq!(rig.counts(home, "q"), (0, 0));
    });
}

#[test]
fn purge_drops_what_is_ready_and_keeps_what_is_held() {
    each_place(|rig, home, client| {
        publish_all(rig, home, &["1", "2", "3"]);
        rig.says_get(client, "q", false);
        rig.heard(client);
        rig.client(client).says(1, QueuePurge { queue: b"q", no_wait: false });
        rig.hears(client, &Heard::Count(2));
        rig.requeue(client, 1);
        rig.run();
        assert_eq!(rig.counts(client, "q"), (1, 0));
    });
}

#[test]
fn nothing_comes_after_cancel_ok_and_nothing_is_lost() {
    for no_ack in [true, false] {
        each_place(|rig, home, client| {
            rig.consume(client, "q", "c", no_ack);
            publish_all(rig, home, &["1"]);
            rig.says_cancel(client, "c");
            publish_all(rig, home, &["2"]);
            let heard = rig.heard(client);
            let end = heard.iter().position(|heard| *heard == Heard::CancelOk("c".into())).unwrap();
            assert_eq!(end, heard.len() - 1, "{heard:?}");
            let ready = rig.counts(home, "q").0 as usize;
            assert_eq!(end + ready, 2, "delivered before, or still there");
        });
    }
}

/// The messages are on the ring while the client cancels: they come before cancel-ok, not again and not never.
#[test]
fn deliveries_under_way_at_a_cancel_still_come() {
    for no_ack in [true, false] {
        let mut rig = Rig::new(&[2]);
        let (home, client) = (rig.connect(at(1, 0)), rig.connect(at(1, 1)));
        rig.declare(home, "q");
        rig.consume(client, "q", "c", no_ack);
        rig.held_wires.insert((at(1, 0), at(1, 1)));
        publish_all(&mut rig, home, &["1", "2"]);
        rig.says_cancel(client, "c");
        rig.run();
        rig.held_wires.clear();
        let heard = rig.heard(client);
        assert_eq!(heard.len(), 3, "{heard:?}");
        assert_eq!(heard[2], Heard::CancelOk("c".into()));
        assert!(matches!(heard[1], Heard::Deliver { redelivered: false, .. }));
    }
}

#[test]
fn deliveries_under_way_to_a_closed_channel_go_back() {
    let mut rig = Rig::new(&[2]);
    let (home, client) = (rig.connect(at(1, 0)), rig.connect(at(1, 1)));
    rig.declare(home, "q");
    rig.consume(client, "q", "c", false);
    rig.held_wires.insert((at(1, 0), at(1, 1)));
    publish_all(&mut rig, home, &["1", "2"]);
    rig.client(client).says(1, ChannelClose { reply_code: 200, reply_text: b"", class_id: 0, method_id: 0 });
    rig.run();
    rig.held_wires.clear();
    rig.run();
    assert_eq!(rig.counts(home, "q"), (2, 0));
}

#[test]
fn a_got_message_goes_back_when_nobody_waits_for_it_any_more() {
    for by_time in [true, false] {
        let mut rig = Rig::new(&[2]);
        let (home, client) = (rig.connect(at(1, 0)), rig.connect(at(1, 1)));
        rig.declare(home, "q");
        publish_all(&mut rig, home, &["1"]);
        rig.held_wires.insert((at(1, 0), at(1, 1)));
        rig.says_get(client, "q", false);
        rig.run();
        if by_time {
            rig.pass(std::time::Duration::from_secs(9));
            assert!(matches!(rig.one(client), Heard::ChannelClose(405, _)));
        } else {
            rig.lose(client);
        }
        rig.held_wires.clear();
        rig.run();
        assert_eq!(rig.counts(home, "q"), (1, 0));
    }
}

#[test]
fn an_exclusive_consumer_is_alone_wherever_the_others_are() {
    for place in PLACES {
        for other in PLACES {
            let mut rig = Rig::new(&[2, 1]);
            let home = rig.connect(at(1, 0));
            rig.declare(home, "q");
            let (first, second) = (rig.connect(place), rig.connect(other));
            let exclusive = |consumer_tag| BasicConsume {
                queue: b"q",
                consumer_tag,
                exclusive: true,
                ..Default::default()
            };
            rig.client(first).says(1, exclusive(b"one"));
            rig.hears(first, &Heard::Consuming("one".into()));
            let text = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
            rig.says_consume(second, "q", "two", true);
            rig.hears(second, &Heard::ChannelClose(403, text.into()));
            let second = rig.connect(other);
            rig.says_cancel(first, "one");
            rig.heard(first);
            rig.consume(second, "q", "two", true);
            rig.client(first).says(1, exclusive(b"one"));
            rig.hears(first, &Heard::ChannelClose(403, text.into()));
        }
    }
}

#[test]
fn local_consumers_come_before_remote_ones() {
    let mut rig = Rig::new(&[2, 1]);
    let clients = PLACES.map(|place| rig.connect(place));
    rig.declare(clients[0], "q");
    for id in clients {
        rig.qos(id, 1);
        rig.consume(id, "q", "c", false);
    }
    for (count, body) in ["1", "2", "3"].into_iter().enumerate() {
        publish_all(&mut rig, clients[2], &[body]);
        assert_eq!(rig.bodies(clients[count]), [body]);
    }
}

#[test]
fn consumers_of_one_shard_take_turns() {
    each_place(|rig, home, client| {
        rig.consume(client, "q", "a", true);
        rig.consume(client, "q", "b", true);
        publish_all(rig, home, &["1", "2", "3", "4"]);
        let count = |heard: &[Heard], of: &str| {
            heard
                .iter()
                .filter(|heard| matches!(heard, Heard::Deliver { consumer, .. } if consumer == of))
                .count()
        };
        let heard = rig.heard(client);
        assert_eq!((count(&heard, "a"), count(&heard, "b")), (2, 2));
    });
}

#[test]
fn large_bodies_arrive_whole_over_rings_and_links() {
    each_place(|rig, home, client| {
        rig.consume(client, "q", "c", false);
        for len in [0, 1, 4_095, 4_096, 70_000, 300_000, 3_000_000] {
            let body: Vec<u8> = (0..len).map(|n: usize| (n * 31 % 251) as u8).collect();
            rig.client(home).block = 1 << 20;
            rig.client(home).publishes(1, ("", "q"), false, &body);
            let Heard::Deliver { tag, body: got, .. } = rig.one(client) else { panic!("a delivery") };
            assert!(got == body, "another body of {len} bytes");
            rig.ack(client, tag);
            rig.client(client).publishes(1, ("", "q"), false, &body);
            let Heard::Deliver { tag, body: got, .. } = rig.one(client) else { panic!("a delivery") };
            assert!(got == body, "another body of {len} bytes");
            rig.requeue(client, tag);
            let Heard::Deliver { tag, redelivered: true, body: got, .. } = rig.one(client) else {
                panic!("a redelivery")
            };
            assert!(got == body);
            rig.ack(client, tag);
        }
    });
}

/// The window counts what the queue counts, else each message leaves a little of it closed.
#[test]
fn the_window_of_a_remote_consumer_stays_open_for_ever() {
    let mut rig = Rig::new(&[2]);
    let (home, client) = (rig.connect(at(1, 0)), rig.connect(at(1, 1)));
    rig.declare(home, "q");
    rig.consume(client, "q", "c", true);
    let mut got = 0;
    for _ in 0..100 {
        for _ in 0..1_000 {
            rig.publish(home, "q", "m");
        }
        got += rig.heard(client).len();
    }
    assert_eq!(got, 100_000);
}

/// RabbitMQ: round robin. The shard that a connection came to is no reason to starve it.
#[test]
fn consumers_on_both_shards_of_a_node_take_turns() {
    let mut rig = Rig::new(&[2]);
    let home = rig.connect(at(1, 0));
    rig.declare(home, "q");
    let workers = [at(1, 1), at(1, 0)].map(|place| rig.connect(place));
    for id in workers {
        rig.consume(id, "q", "c", true);
    }
    publish_all(&mut rig, home, &["1", "2", "3", "4", "5", "6"]);
    assert_eq!(rig.bodies(workers[0]), ["1", "3", "5"]);
    assert_eq!(rig.bodies(workers[1]), ["2", "4", "6"]);
}
