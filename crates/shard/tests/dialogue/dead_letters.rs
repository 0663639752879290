//! Dead letters through the shards: the queue that they go to is here, over a ring, over a link.

use std::time::Duration;

use leveret_model::directory::Change;
use leveret_model::{Arguments, Instant, RoutingKey, Value, limits};
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, ContentHeader, Table, encode_arguments};

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const PLACES: [(u128, u8); 3] = [(1, 0), (1, 1), (2, 0)];

pub(crate) fn table(entries: &[(&str, Value)]) -> Vec<u8> {
    let entries = entries.iter().map(|(key, value)| (RoutingKey::new(key.as_bytes()), value.clone()));
    let mut table = Vec::new();
    encode_arguments(&Arguments(entries.collect()), &mut table);
    table
}

fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().into())
}

fn declare_with(rig: &mut Rig, id: ClientId, queue: &str, arguments: &[(&str, Value)]) {
    let arguments = table(arguments);
    let queue = queue.as_bytes();
    rig.client(id).says(1, QueueDeclare { queue, arguments: Table(&arguments), ..Default::default() });
    rig.hears(id, &Heard::Declared { messages: 0, consumers: 0 });
}

/// The queue `q` of these arguments on node 1, shard 0, whose dead letters go to `dead`, which is at home here
/// and there; a client of each.
fn each_place(arguments: &[(&str, Value)], test: impl Fn(&mut Rig, ClientId, ClientId)) {
    for (node, shard) in PLACES {
        let mut rig = Rig::new(&[2, 1]);
        let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(node, shard)));
        declare_source(&mut rig, source, arguments);
        rig.declare(target, "dead");
        test(&mut rig, source, target);
    }
}

fn declare_source(rig: &mut Rig, id: ClientId, arguments: &[(&str, Value)]) {
    let mut all = vec![("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("dead"))];
    all.extend_from_slice(arguments);
    declare_with(rig, id, "q", &all);
}

/// One message, rejected by its consumer.
fn reject(rig: &mut Rig, id: ClientId, body: &str) {
    rig.publish(id, "q", body);
    rig.says_get(id, "q", false);
    let Heard::Got { tag, .. } = rig.one(id) else { panic!("a message") };
    rig.client(id).says(1, BasicReject { delivery_tag: tag, requeue: false });
    rig.run();
}

/// What is in `dead`, in order, all of it taken; none of it delivered before.
#[track_caller]
fn dead(rig: &mut Rig, id: ClientId) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        rig.says_get(id, "dead", true);
        match rig.one(id) {
            Heard::Got { redelivered, body, .. } => {
                assert!(!redelivered, "it is new in its queue");
                bodies.push(String::from_utf8(body).expect("text"));
            }
            Heard::Empty => return bodies,
            other => panic!("{other:?}"),
        }
    }
}

/// The headers of the last message that a client got.
fn headers(rig: &mut Rig, id: ClientId) -> Arguments {
    let header = rig.client(id).last_header.clone();
    let properties = ContentHeader::decode(&header).expect("a header").properties;
    assert_eq!(properties.expiration(), None, "it would die again at once");
    properties.headers().expect("deaths").to_arguments().expect("a table")
}

/// Queue, reason, count and time of each death.
fn deaths(headers: &Arguments) -> Vec<(String, String, i64, u64)> {
    let Some(Value::Array(entries)) = headers.get("x-death") else { panic!("{headers:?}") };
    let each = |entry: &Value| {
        let Value::Table(entry) = entry else { panic!("{entry:?}") };
        let text = |key| String::from_utf8_lossy(entry.get(key).and_then(Value::as_bytes).expect(key)).into();
        let Some(&Value::Timestamp(time)) = entry.get("time") else { panic!("{entry:?}") };
        (
            text("queue"),
            text("reason"),
            entry.get("count").and_then(Value::as_integer).expect("a count"),
            time,
        )
    };
    entries.iter().map(each).collect()
}

fn announce(rig: &mut Rig, change: &Change) {
    for (to, mail) in rig.control.announce(change) {
        rig.tell(to, mail);
    }
    rig.run();
}

fn unroutable(rig: &mut Rig) -> u64 {
    rig.shard(at(1, 0)).report().traffic.dead_letters_unroutable
}

#[test]
fn a_rejected_message_goes_to_the_dead_letter_queue_wherever_that_is() {
    each_place(&[], |rig, source, target| {
        rig.shard(at(1, 0)).set_unix_time(1_700_000_000);
        reject(rig, source, "1");
        assert_eq!(dead(rig, target), ["1"]);
        let headers = headers(rig, target);
        assert_eq!(deaths(&headers), [("q".into(), "rejected".into(), 1, 1_700_000_000)]);
        assert_eq!(headers.get("x-first-death-reason"), Some(&text("rejected")));
        assert_eq!(headers.get("x-last-death-queue"), Some(&text("q")));
        let report = rig.shard(at(1, 0)).report();
        let queue = report.queues.iter().find(|queue| &*queue.name == "q").expect("it is here");
        assert_eq!((queue.dead_lettered.rejected, queue.dead_lettered.expired), (1, 0));
        assert_eq!(report.traffic.dead_lettered, 1);
        assert_eq!(rig.shard(at(1, 0)).messages(), 0);
    });
}

#[test]
fn what_expires_becomes_a_dead_letter_that_does_not_expire() {
    each_place(&[("x-message-ttl", Value::I32(1_000))], |rig, source, target| {
        let short = BasicProperties { expiration: Some(b"300"), ..Default::default() };
        rig.client(source).publishes_with(1, ("", "q"), false, &short, b"1");
        rig.publish(source, "q", "2");
        rig.pass(Duration::from_millis(500));
        assert_eq!(dead(rig, target), ["1"]);
        let headers = headers(rig, target);
        let Some(Value::Array(entries)) = headers.get("x-death") else { panic!("{headers:?}") };
        let Value::Table(entry) = &entries[0] else { panic!("{entries:?}") };
        assert_eq!(entry.get("original-expiration"), Some(&text("300")));
        rig.pass(Duration::from_millis(600));
        rig.pass(Duration::from_secs(60));
        assert_eq!(dead(rig, target), ["2"]);
    });
}

#[test]
fn what_is_over_the_length_becomes_a_dead_letter_in_order() {
    each_place(&[("x-max-length", Value::I32(1))], |rig, source, target| {
        for body in ["1", "2", "3"] {
            rig.publish(source, "q", body);
        }
        rig.run();
        assert_eq!(dead(rig, target), ["1", "2"]);
    });
}

#[test]
fn what_a_full_queue_refuses_becomes_a_dead_letter_and_a_nack() {
    let arguments = [("x-max-length", Value::I32(1)), ("x-overflow", text("reject-publish-dlx"))];
    each_place(&arguments, |rig, source, target| {
        rig.confirms(target);
        rig.publish(target, "q", "1");
        rig.run();
        rig.publish(target, "q", "2");
        let confirm = |number, ok| Heard::Confirm { number, multiple: false, ok };
        assert_eq!(rig.heard(target), [confirm(1, true), confirm(2, false)]);
        assert_eq!(dead(rig, target), ["2"]);
        assert_eq!(rig.counts(source, "q"), (1, 0));
    });
}

#[test]
fn what_comes_back_too_often_becomes_a_dead_letter() {
    each_place(&[("x-delivery-limit", Value::I32(0))], |rig, source, target| {
        rig.publish(source, "q", "1");
        rig.consume(source, "q", "c", false);
        assert_eq!(rig.deliveries(source), [(1, false, "1".into())]);
        rig.requeue(source, 1);
        rig.run();
        assert_eq!(dead(rig, target), ["1"]);
        assert_eq!(deaths(&headers(rig, target))[0].1, "delivery_limit");
    });
}

/// The link is cut with the letter on it, or with its answer: it is there once.
#[test]
fn a_letter_on_a_link_that_breaks_comes_once() {
    for lost in [(at(1, 0), at(2, 0)), (at(2, 0), at(1, 0))] {
        let mut rig = Rig::new(&[2, 1]);
        let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
        declare_source(&mut rig, source, &[]);
        rig.declare(target, "dead");
        rig.held_wires.insert(lost);
        reject(&mut rig, source, "1");
        assert_eq!(rig.shard(at(1, 0)).messages(), 1, "the source answers for it");
        assert_eq!(rig.counts(source, "q"), (0, 0), "and does not count it");
        rig.cut(1, 2);
        rig.held_wires.clear();
        // far longer than a client's publish may wait
        rig.pass(Duration::from_secs(60));
        assert_eq!(rig.shard(at(1, 0)).messages(), 1);
        rig.heal(1, 2);
        rig.run();
        assert_eq!(dead(&mut rig, target), ["1"]);
        assert_eq!(rig.shard(at(1, 0)).messages(), 0);
    }
}

/// The home of the target is Down, and comes back.
#[test]
fn a_target_that_is_away_holds_letters_back_in_order() {
    let mut rig = Rig::new(&[2, 1]);
    let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    declare_source(&mut rig, source, &[]);
    rig.declare(target, "dead");
    let id = rig.control.queues["dead"].id;
    announce(&mut rig, &Change::MaskQueue { id });
    for body in ["1", "2", "3"] {
        reject(&mut rig, source, body);
    }
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.shard(at(1, 0)).messages(), 3);
    announce(&mut rig, &Change::UnmaskQueue { id });
    assert_eq!(dead(&mut rig, target), ["1", "2", "3"]);
    assert_eq!(rig.shard(at(1, 0)).messages(), 0);
}

#[test]
fn no_more_letters_than_the_bound_wait_for_a_target_that_is_away() {
    let mut rig = Rig::new(&[2, 1]);
    let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    declare_source(&mut rig, source, &[("x-max-length", Value::I32(0))]);
    rig.declare(target, "dead");
    let id = rig.control.queues["dead"].id;
    announce(&mut rig, &Change::MaskQueue { id });
    for number in 0..limits::DEAD_LETTERS_HELD_MAX + 10 {
        rig.publish(source, "q", &number.to_string());
    }
    rig.run();
    let report = rig.shard(at(1, 0)).report();
    assert_eq!(report.traffic.dead_letters_past_away, 10);
    assert_eq!(rig.shard(at(1, 0)).messages(), limits::DEAD_LETTERS_HELD_MAX as u64);
    announce(&mut rig, &Change::UnmaskQueue { id });
    assert_eq!(rig.counts(target, "dead"), (limits::DEAD_LETTERS_HELD_MAX as u32, 0));
    rig.says_get(target, "dead", true);
    let Heard::Got { body, .. } = rig.one(target) else { panic!("a message") };
    assert_eq!(body, b"10", "the oldest went");
}

#[test]
fn without_a_lease_letters_wait_for_one() {
    let mut rig = Rig::new(&[1, 1]);
    let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    declare_with(&mut rig, source, "q", &[("x-dead-letter-exchange", text("amq.fanout"))]);
    rig.declare(target, "dead");
    rig.bind(target, "dead", "amq.fanout", "");
    rig.publish(source, "q", "1");
    rig.says_get(source, "q", false);
    assert!(matches!(rig.one(source), Heard::Got { tag: 1, .. }));
    let now = rig.now;
    rig.lease(1, now);
    rig.run();
    rig.client(source).says(1, BasicReject { delivery_tag: 1, requeue: false });
    rig.run();
    assert_eq!(dead(&mut rig, target), Vec::<String>::new());
    rig.lease(1, Instant::FAR);
    rig.run();
    assert_eq!(dead(&mut rig, target), ["1"]);
}

#[test]
fn every_queue_that_a_letter_goes_to_gets_it_once() {
    let mut rig = Rig::new(&[2, 1]);
    let source = rig.connect(at(1, 0));
    declare_with(&mut rig, source, "q", &[("x-dead-letter-exchange", text("amq.fanout"))]);
    let homes = PLACES.map(|(node, shard)| rig.connect(at(node, shard)));
    for (home, name) in homes.iter().zip(["a", "b", "c"]) {
        rig.declare(*home, name);
        rig.bind(*home, name, "amq.fanout", "");
    }
    rig.cut(1, 2);
    reject(&mut rig, source, "1");
    assert_eq!(rig.shard(at(1, 0)).messages(), 2, "in `a`, and on its way to `c`");
    rig.heal(1, 2);
    rig.run();
    for (home, name) in homes.iter().zip(["a", "b", "c"]) {
        assert_eq!(rig.counts(*home, name), (1, 0));
    }
    assert_eq!(rig.shard(at(1, 0)).messages(), 1);
}

/// As in RabbitMQ: its operator wants it so.
#[test]
fn a_target_that_refuses_a_letter_drops_it() {
    for (node, shard) in PLACES {
        let mut rig = Rig::new(&[2, 1]);
        let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(node, shard)));
        declare_source(&mut rig, source, &[]);
        let full = [("x-max-length", Value::I32(1)), ("x-overflow", text("reject-publish"))];
        declare_with(&mut rig, target, "dead", &full);
        reject(&mut rig, source, "1");
        reject(&mut rig, source, "2");
        assert_eq!(dead(&mut rig, target), ["1"]);
        assert_eq!(rig.shard(at(1, 0)).report().traffic.refused + rig.shard(at(node, shard)).messages(), {
            let here = at(node, shard) == at(1, 0);
            u64::from(here)
        });
    }
}

#[test]
fn a_letter_whose_queue_is_deleted_on_the_way_is_over() {
    let mut rig = Rig::new(&[1, 1]);
    let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    declare_source(&mut rig, source, &[]);
    rig.declare(target, "dead");
    rig.cut(1, 2);
    reject(&mut rig, source, "1");
    let id = rig.control.queues["dead"].id;
    announce(&mut rig, &Change::DropQueue { id });
    assert_eq!(rig.shard(at(1, 0)).messages(), 0);
}

/// A masked queue whose name another home took: the letter goes to that one.
#[test]
fn a_letter_whose_target_lost_its_name_is_routed_again() {
    let mut rig = Rig::new(&[2, 1]);
    let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    declare_source(&mut rig, source, &[]);
    rig.declare(target, "dead");
    rig.cut(1, 2);
    reject(&mut rig, source, "1");
    let mut heir = rig.control.queues["dead"].clone();
    let id = heir.id;
    heir.home = at(1, 1);
    heir.id.generation += 1;
    for change in [Change::MaskQueue { id }, Change::PutQueue(heir), Change::DropQueue { id }] {
        announce(&mut rig, &change);
    }
    assert_eq!(rig.shard(at(1, 1)).messages(), 1);
    assert_eq!(rig.shard(at(1, 0)).messages(), 0);
}

#[test]
fn letters_go_when_their_source_is_deleted() {
    let mut rig = Rig::new(&[1, 1]);
    let (source, target) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    declare_source(&mut rig, source, &[]);
    rig.declare(target, "dead");
    rig.cut(1, 2);
    reject(&mut rig, source, "1");
    rig.client(source).says(1, QueueDelete { queue: b"q", ..Default::default() });
    rig.hears(source, &Heard::Count(0));
    rig.heal(1, 2);
    rig.run();
    assert_eq!(dead(&mut rig, target), ["1"]);
}

#[test]
fn without_an_exchange_or_a_queue_letters_are_dropped() {
    let mut rig = Rig::new(&[1]);
    let source = rig.connect(at(1, 0));
    declare_source(&mut rig, source, &[]);
    declare_with(&mut rig, source, "lost", &[("x-dead-letter-exchange", text("none"))]);
    reject(&mut rig, source, "1");
    assert_eq!((unroutable(&mut rig), rig.shard(at(1, 0)).messages()), (1, 0));
    rig.publish(source, "lost", "2");
    rig.says_get(source, "lost", false);
    assert!(matches!(rig.one(source), Heard::Got { tag: 2, .. }));
    rig.client(source).says(1, BasicReject { delivery_tag: 2, requeue: false });
    rig.run();
    assert_eq!((unroutable(&mut rig), rig.shard(at(1, 0)).messages()), (2, 0));
}

#[test]
fn a_letter_that_nobody_rejects_does_not_go_round() {
    let mut rig = Rig::new(&[1, 1]);
    let (source, other) = (rig.connect(at(1, 0)), rig.connect(at(2, 0)));
    declare_source(&mut rig, source, &[("x-message-ttl", Value::I32(100))]);
    let back = [
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("q")),
        ("x-message-ttl", Value::I32(100)),
    ];
    declare_with(&mut rig, other, "dead", &back);
    rig.publish(source, "q", "1");
    rig.pass(Duration::from_secs(1));
    assert_eq!((rig.shard(at(1, 0)).messages(), rig.shard(at(2, 0)).messages()), (0, 0));
    assert_eq!(rig.shard(at(2, 0)).report().traffic.dead_letters_unroutable, 1);
}
