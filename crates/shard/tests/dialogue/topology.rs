//! Declare, bind, delete, purge, and what they say when they cannot.

use leveret_model::directory::{Change, ToShard};
use leveret_model::{Instant, Name};
use leveret_wire::method::*;
use leveret_wire::{Method, Table};
use std::time::Duration;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

#[test]
fn a_queue_is_known_on_every_shard_of_every_node_at_declare_ok() {
    let mut rig = Rig::new(&[2, 1]);
    let a = rig.connect(at(1, 0));
    rig.declare(a, "q");
    for (count, place) in [at(1, 0), at(1, 1), at(2, 0)].into_iter().enumerate() {
        let other = rig.connect(place);
        assert_eq!(rig.counts(other, "q"), (count as u32, 0));
        rig.publish(other, "q", "m");
        rig.run();
    }
    assert_eq!(rig.counts(a, "q"), (3, 0));
}

#[test]
fn a_binding_that_its_exchange_cannot_take_is_406() {
    let mut rig = Rig::new(&[1]);
    let a = rig.connect(at(1, 0));
    rig.declare(a, "q");
    let key = b"#.a.#.b.#";
    let bind = QueueBind { queue: b"q", exchange: b"amq.topic", routing_key: key, ..Default::default() };
    rig.client(a).says(1, bind);
    rig.run();
    assert!(matches!(rig.one(a), Heard::ChannelClose(406, _)));
}

#[test]
fn a_missing_queue_or_exchange_is_404_in_rabbitmqs_words() {
    let mut rig = Rig::new(&[1]);
    let a = rig.connect(at(1, 0));
    for channel in [1, 2, 3, 4, 5] {
        rig.client(a).says(channel, ChannelOpen);
    }
    rig.heard(a);
    let a = rig.connect(at(1, 0));
    rig.client(a).says(1, QueueDeclare { queue: b"q", passive: true, ..Default::default() });
    rig.hears(a, &Heard::ChannelClose(404, "NOT_FOUND - no queue 'q' in vhost '/'".into()));
    for (channel, method) in [
        (2, Method::from(BasicGet { queue: b"q", no_ack: true })),
        (3, Method::from(BasicConsume { queue: b"q", ..Default::default() })),
        (4, Method::from(QueuePurge { queue: b"q", no_wait: false })),
    ] {
        rig.client(a).says(channel, ChannelOpen);
        rig.client(a).says(channel, method);
        let heard = rig.heard(a);
        assert_eq!(heard[1], Heard::ChannelClose(404, "NOT_FOUND - no queue 'q' in vhost '/'".into()));
    }
    rig.client(a).says(5, ChannelOpen);
    rig.client(a).publishes(5, ("nowhere", "k"), false, b"m");
    let heard = rig.heard(a);
    assert_eq!(heard[1], Heard::ChannelClose(404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'".into()));
}

/// A client that logged in and tuned, and opens this vhost.
fn opens(rig: &mut Rig, vhost: &[u8]) -> ClientId {
    let id = rig.accept(at(1, 0));
    let client = rig.client(id);
    client.unread.extend(leveret_wire::PROTOCOL_HEADER);
    client.says(
        0,
        ConnectionStartOk {
            client_properties: Table::EMPTY,
            mechanism: b"PLAIN",
            response: b"\0guest\0guest",
            locale: b"en_US",
        },
    );
    rig.run();
    rig.client(id).says(0, ConnectionTuneOk { channel_max: 10, frame_max: 131_072, heartbeat: 0 });
    rig.client(id).says(0, ConnectionOpen { virtual_host: vhost });
    rig.run();
    id
}

fn not_found(vhost: &str) -> Heard {
    Heard::ConnectionClose(530, format!("NOT_ALLOWED - vhost {vhost} not found"))
}

#[test]
fn a_vhost_that_is_not_there_is_530() {
    let mut rig = Rig::new(&[1]);
    let id = opens(&mut rig, b"elsewhere");
    assert_eq!(rig.heard(id).last(), Some(&not_found("elsewhere")));
}

/// P7: another node may have made it meanwhile.
#[test]
fn a_vhost_that_is_not_known_is_refused_under_a_lease_alone() {
    let mut rig = Rig::new(&[1]);
    rig.lease(1, Instant::ZERO);
    let id = opens(&mut rig, b"elsewhere");
    rig.pass(Duration::from_millis(1_900));
    assert!(!rig.heard(id).iter().any(|heard| matches!(heard, Heard::ConnectionClose(..))));
    rig.lease(1, Instant::FAR);
    assert_eq!(rig.heard(id).last(), Some(&not_found("elsewhere")));
}

#[test]
fn a_client_whose_vhost_cannot_be_told_of_in_time_is_to_try_again() {
    let mut rig = Rig::new(&[1]);
    rig.lease(1, Instant::ZERO);
    let id = opens(&mut rig, b"elsewhere");
    rig.pass(Duration::from_secs(2));
    let Some(Heard::ConnectionClose(320, text)) = rig.heard(id).last().cloned() else { panic!("320") };
    assert!(text.contains("try again"), "{text}");
}

/// Some clients send their whole handshake at once. The first login of a user is hashed elsewhere, later ones
/// are known.
#[test]
fn a_handshake_that_comes_in_one_piece_is_taken_in_one() {
    let mut rig = Rig::new(&[1]);
    rig.connect(at(1, 0));
    let id = rig.accept(at(1, 0));
    let client = rig.client(id);
    let key = client.key;
    client.unread.extend(leveret_wire::PROTOCOL_HEADER);
    client.says(
        0,
        ConnectionStartOk {
            client_properties: Table::EMPTY,
            mechanism: b"PLAIN",
            response: b"\0guest\0guest",
            locale: b"en_US",
        },
    );
    client.says(0, ConnectionTuneOk { channel_max: 10, frame_max: 131_072, heartbeat: 0 });
    client.says(0, ConnectionOpen { virtual_host: b"/" });
    client.says(1, ChannelOpen);
    let bytes = bytes::Bytes::from(std::mem::take(&mut client.unread));
    assert_eq!(rig.shard(at(1, 0)).on_bytes(key, &bytes), bytes.len());
    assert_eq!(rig.heard(id).last(), Some(&Heard::Method("channel.open-ok")));
}

#[test]
fn a_wrong_password_is_refused() {
    let mut rig = Rig::new(&[1]);
    let id = rig.accept(at(1, 0));
    let client = rig.client(id);
    client.unread.extend(leveret_wire::PROTOCOL_HEADER);
    let response = b"\0guest\0wrong";
    client.says(
        0,
        ConnectionStartOk {
            client_properties: Table::EMPTY,
            mechanism: b"PLAIN",
            response,
            locale: b"en_US",
        },
    );
    assert_eq!(rig.heard(id), vec![Heard::Method("connection.start")]);
    rig.pass(Duration::from_secs(2));
    assert!(rig.client(id).lost);
}

#[test]
fn a_route_is_found_anew_after_bind_unbind_and_delete() {
    let mut rig = Rig::new(&[2, 1]);
    for place in [at(1, 0), at(1, 1), at(2, 0)] {
        let (a, publisher) = (rig.connect(at(1, 0)), rig.connect(place));
        rig.declare(a, "x");
        rig.declare(a, "y");
        let send = |rig: &mut Rig| {
            rig.client(publisher).publishes(1, ("amq.topic", "k.1"), false, b"m");
            rig.run();
            let rest = |rig: &mut Rig, queue| {
                let sent = rig.counts(a, queue).0;
                rig.client(a).says(1, QueuePurge { queue: b"x", no_wait: false });
                rig.client(a).says(1, QueuePurge { queue: b"y", no_wait: false });
                rig.heard(a);
                sent
            };
            let x = rig.counts(a, "x").0;
            (x, rest(rig, "y"))
        };
        assert_eq!(send(&mut rig), (0, 0));
        rig.bind(a, "x", "amq.topic", "k.*");
        assert_eq!(send(&mut rig), (1, 0));
        rig.bind(a, "y", "amq.topic", "#");
        assert_eq!(send(&mut rig), (1, 1));
        let (queue, exchange) = (&b"x"[..], &b"amq.topic"[..]);
        let unbind = QueueUnbind { queue, exchange, routing_key: b"k.*", arguments: Table::EMPTY };
        rig.client(a).says(1, unbind);
        rig.hears(a, &Heard::Method("queue.unbind-ok"));
        assert_eq!(send(&mut rig), (0, 1));
        for queue in [&b"y"[..], &b"x"[..]] {
            rig.client(a).says(1, QueueDelete { queue, ..Default::default() });
            rig.hears(a, &Heard::Count(0));
        }
        // by name: gone, and there again
        rig.confirms(publisher);
        rig.client(publisher).publishes(1, ("", "x"), true, b"m");
        let heard = rig.heard(publisher);
        assert_eq!(heard[0], Heard::Return { code: 312, body: b"m".to_vec() });
        assert_eq!(heard[1], Heard::Confirm { number: 1, multiple: false, ok: true });
        rig.declare(a, "x");
        rig.publish(publisher, "x", "m");
        rig.run();
        assert_eq!(rig.counts(a, "x").0, 1);
        rig.client(a).says(1, QueueDelete { queue: b"x", ..Default::default() });
        rig.hears(a, &Heard::Count(1));
    }
}

#[test]
fn an_unroutable_message_is_acked_and_a_mandatory_one_returned_before() {
    let mut rig = Rig::new(&[1]);
    let a = rig.connect(at(1, 0));
    rig.confirms(a);
    rig.client(a).publishes(1, ("amq.direct", "k"), false, b"one");
    rig.client(a).publishes(1, ("amq.direct", "k"), true, b"two");
    let heard = rig.heard(a);
    assert_eq!(heard[0], Heard::Return { code: 312, body: b"two".to_vec() });
    assert_eq!(heard[1], Heard::Confirm { number: 2, multiple: true, ok: true });
}

#[test]
fn deleting_a_queue_cancels_its_consumers_everywhere_and_counts_what_was_ready() {
    let mut rig = Rig::new(&[2, 1]);
    let a = rig.connect(at(1, 0));
    rig.declare(a, "q");
    let consumers = [rig.connect(at(1, 0)), rig.connect(at(1, 1)), rig.connect(at(2, 0))];
    for id in consumers {
        rig.qos(id, 1);
        rig.consume(id, "q", "c", false);
    }
    for body in ["1", "2", "3", "4", "5"] {
        rig.publish(a, "q", body);
    }
    rig.run();
    rig.client(a).says(1, QueueDelete { queue: b"q", ..Default::default() });
    rig.hears(a, &Heard::Count(2));
    for id in consumers {
        let heard = rig.heard(id);
        assert!(matches!(heard[0], Heard::Deliver { .. }), "{heard:?}");
        assert_eq!(heard[1..], [Heard::Cancel("c".into())]);
        // what it holds means nothing any more, and may be settled
        rig.ack(id, 1);
        rig.hears_nothing(id);
    }
}

#[test]
fn if_unused_and_if_empty_hold_at_the_home_and_keep_the_queue() {
    let mut rig = Rig::new(&[1, 1]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    rig.declare(home, "q");
    rig.publish(home, "q", "m");
    rig.run();
    rig.client(away).says(1, QueueDelete { queue: b"q", if_empty: true, ..Default::default() });
    let text = "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty";
    rig.hears(away, &Heard::ChannelClose(406, text.into()));
    rig.consume(home, "q", "c", true);
    assert_eq!(rig.bodies(home), ["m"]);
    let away = rig.connect(at(2, 0));
    rig.client(away).says(1, QueueDelete { queue: b"q", if_unused: true, ..Default::default() });
    let text = "PRECONDITION_FAILED - queue 'q' in vhost '/' in use";
    rig.hears(away, &Heard::ChannelClose(406, text.into()));
    rig.publish(home, "q", "still here");
    assert_eq!(rig.bodies(home), ["still here"]);
}

#[test]
fn a_queue_that_is_being_deleted_takes_and_gives_nothing() {
    let mut rig = Rig::new(&[2]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(1, 1)));
    rig.declare(home, "q");
    rig.confirms(home);
    rig.confirms(away);
    rig.publish(home, "q", "before");
    rig.heard(home);
    let id = rig.control.queues["q"].id;
    let close =
        ToShard::CloseQueue { request: leveret_model::RequestId(77), id, if_unused: true, if_empty: false };
    let now = rig.now;
    let shard = rig.shard(at(1, 0));
    shard.begin_turn(now);
    shard.on_control(close);
    let mut effects = leveret_shard::Effects::default();
    shard.end_turn(&mut effects);
    assert_eq!(effects.control.len(), 1);
    // what asks it now waits for its end, what is published to it counts as not matched
    rig.says_consume(home, "q", "c", true);
    let getter = rig.connect(at(1, 1));
    rig.says_get(getter, "q", true);
    rig.publish(away, "q", "late");
    rig.hears(away, &Heard::Confirm { number: 1, multiple: false, ok: true });
    for id in [home, getter] {
        rig.hears_nothing(id);
    }
    for (to, mail) in rig.control.announce(&Change::DropQueue { id }) {
        rig.tell(to, mail);
    }
    let gone = Heard::ChannelClose(404, "NOT_FOUND - no queue 'q' in vhost '/'".into());
    rig.hears(home, &gone);
    rig.hears(getter, &gone);
    rig.hears_nothing(away);
}

#[test]
fn a_renamed_queue_keeps_its_messages_and_tells_its_consumers() {
    let mut rig = Rig::new(&[2]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(1, 1)));
    rig.declare(home, "q");
    rig.consume(home, "q", "h", false);
    rig.consume(away, "q", "a", false);
    rig.publish(home, "q", "m");
    assert_eq!(rig.deliveries(home), [(1, false, "m".into())]);
    let record = rig.control.queues["q"].renamed(Name::new("q~1"));
    for (to, mail) in rig.control.announce(&Change::PutQueue(record)) {
        rig.tell(to, mail);
    }
    rig.hears(home, &Heard::Cancel("h".into()));
    rig.hears(away, &Heard::Cancel("a".into()));
    rig.requeue(home, 1);
    rig.run();
    assert_eq!(rig.counts(away, "q~1"), (1, 0));
}

#[test]
fn without_a_lease_nothing_is_said_to_be_missing() {
    let mut rig = Rig::new(&[1]);
    let a = rig.connect(at(1, 0));
    let until = rig.now;
    rig.lease(1, until);
    rig.client(a).says(1, QueueDeclare { queue: b"q", passive: true, ..Default::default() });
    rig.hears_nothing(a);
    rig.pass(Duration::from_secs(1));
    rig.lease(1, Instant::FAR);
    rig.hears(a, &Heard::ChannelClose(404, "NOT_FOUND - no queue 'q' in vhost '/'".into()));
    // and if none comes, there is an error that says so
    let a = rig.connect(at(1, 0));
    let until = rig.now;
    rig.lease(1, until);
    rig.says_get(a, "q", true);
    rig.pass(Duration::from_millis(1_999));
    rig.hears_nothing(a);
    rig.pass(Duration::from_millis(1));
    refused_alone(&mut rig, a, "RESOURCE_LOCKED - this node has no current view of its cluster; try again");
}

#[test]
fn a_masked_queue_is_down_for_its_users_and_comes_back() {
    let mut rig = Rig::new(&[1, 1]);
    let (home, away) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    rig.declare(home, "q");
    rig.consume(away, "q", "c", false);
    let id = rig.control.queues["q"].id;
    rig.tell(at(2, 0), ToShard::NodeNamed { node: at(1, 0).node, name: Name::new("hare"), reply_shards: 1 });
    for (to, mail) in rig.control.announce(&Change::MaskQueue { id }) {
        if to.node == at(2, 0).node {
            rig.tell(to, mail);
        }
    }
    rig.hears(away, &Heard::Cancel("c".into()));
    rig.says_get(away, "q", true);
    let Heard::ChannelClose(404, text) = rig.one(away) else { panic!("404") };
    assert!(text.contains("home node 'hare' of queue 'q' in vhost '/' is down or inaccessible"), "{text}");
}

#[test]
fn an_operation_without_an_answer_ends_after_its_time() {
    let mut rig = Rig::new(&[1]);
    let a = rig.connect(at(1, 0));
    rig.control.deaf = true;
    rig.client(a).says(1, QueueDeclare { queue: b"q", ..Default::default() });
    rig.pass(Duration::from_millis(7_999));
    rig.hears_nothing(a);
    rig.pass(Duration::from_millis(1));
    let text = "RESOURCE_LOCKED - no answer from the node in charge within the time; try again";
    refused_alone(&mut rig, a, text);
}

/// A wait in vain closes its channel, and nothing else of its connection.
#[track_caller]
fn refused_alone(rig: &mut Rig, client: ClientId, text: &str) {
    rig.hears(client, &Heard::ChannelClose(405, text.into()));
    rig.client(client).says(2, ChannelOpen);
    rig.hears(client, &Heard::Method("channel.open-ok"));
}
