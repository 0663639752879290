//! Messages whose bytes are on the disk alone: whoever is next for them notices nothing but the time.

use std::time::Duration;

use leveret_model::Value;
use leveret_model::directory::MoveReport;
use leveret_shard::Bounds;
use leveret_wire::method::{BasicAck, BasicCancel, BasicNack, BasicQos, QueuePurge};

use crate::dead_letters::table;
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// Where the queue is at home.
const HOME: (u128, u8) = (1, 0);
/// There, beside it, on another node.
const PLACES: [(u128, u8); 3] = [HOME, (1, 1), (2, 0)];
const COUNT: usize = 20;

fn numbers() -> Vec<String> {
    (0..COUNT).map(|number| number.to_string()).collect()
}

/// A durable queue of that many stored messages, all of them on the disk alone.
fn paged(arguments: &[u8]) -> (Rig, ClientId) {
    let mut rig = Rig::with_disks(&[2, 1]);
    let owner = rig.connect(at(HOME.0, HOME.1));
    rig.declare_durable(owner, "q", arguments);
    numbers().iter().for_each(|body| rig.publish_persistent(owner, "q", body));
    rig.page_out(at(HOME.0, HOME.1));
    assert_eq!(rig.shard(at(HOME.0, HOME.1)).paged_out(), COUNT as u64);
    (rig, owner)
}

#[test]
fn a_consumer_gets_all_in_order_and_what_is_acked_leaves_the_disk() {
    for place in PLACES {
        for no_ack in [true, false] {
            let (mut rig, _) = paged(&[]);
            let reader = rig.connect(at(place.0, place.1));
            rig.consume(reader, "q", "c", no_ack);
            rig.run();
            assert_eq!(rig.bodies(reader), numbers(), "{place:?}");
            rig.client(reader).says(1, BasicAck { delivery_tag: 0, multiple: true });
            rig.run();
            assert!(rig.disk(at(HOME.0, HOME.1)).bodies().is_empty(), "{place:?}");
            assert_eq!(rig.shard(at(HOME.0, HOME.1)).paged_out(), 0);
        }
    }
}

#[test]
fn what_comes_while_the_disk_is_slow_waits_behind_it() {
    let (mut rig, owner) = paged(&[]);
    rig.disk(at(HOME.0, HOME.1)).is_slow = true;
    let reader = rig.connect(at(HOME.0, HOME.1));
    rig.consume(reader, "q", "c", true);
    rig.publish(owner, "q", "transient");
    rig.publish_persistent(owner, "q", "persistent");
    rig.run();
    rig.hears_nothing(reader);
    rig.disk(at(HOME.0, HOME.1)).is_slow = false;
    let mut all = numbers();
    all.extend(["transient".into(), "persistent".into()]);
    assert_eq!(rig.bodies(reader), all);
}

#[test]
fn get_waits_for_the_disk_and_never_says_empty() {
    for place in PLACES {
        let (mut rig, _) = paged(&[]);
        let reader = rig.connect(at(place.0, place.1));
        for number in numbers() {
            rig.says_get(reader, "q", true);
            // another shard asks again in a moment
            rig.pass(Duration::from_millis(500));
            let Heard::Got { body, .. } = rig.one(reader) else { panic!("a message: {place:?}") };
            assert_eq!(body, number.as_bytes());
        }
        rig.says_get(reader, "q", true);
        rig.hears(reader, &Heard::Empty);
    }
}

#[test]
fn what_is_held_is_paged_out_too_and_comes_back_when_it_is_returned() {
    let (mut rig, _) = paged(&[]);
    let reader = rig.connect(at(HOME.0, HOME.1));
    rig.qos(reader, 5);
    rig.consume(reader, "q", "c", false);
    rig.run();
    assert_eq!(rig.bodies(reader), numbers()[..5]);
    rig.pass(Duration::from_secs(1));
    rig.page_out(at(HOME.0, HOME.1));
    assert_eq!(rig.shard(at(HOME.0, HOME.1)).paged_out(), COUNT as u64);
    rig.client(reader).says(1, BasicAck { delivery_tag: 1, multiple: false });
    rig.client(reader).says(1, BasicNack { delivery_tag: 0, multiple: true, requeue: true });
    rig.run();
    let back: Vec<_> =
        rig.deliveries(reader).into_iter().map(|(_, redelivered, body)| (redelivered, body)).collect();
    let expected = [(true, 1), (true, 2), (true, 3), (true, 4), (false, 5)];
    let expected = expected.map(|(redelivered, body)| (redelivered, body.to_string()));
    assert_eq!(back, expected);
}

#[test]
fn a_purge_takes_what_is_paged_out_off_the_disk() {
    let (mut rig, owner) = paged(&[]);
    rig.client(owner).says(1, QueuePurge { queue: b"q", ..Default::default() });
    rig.hears(owner, &Heard::Count(COUNT as u32));
    assert!(rig.disk(at(HOME.0, HOME.1)).bodies().is_empty());
    assert_eq!(rig.shard(at(HOME.0, HOME.1)).paged_out(), 0);
}

#[test]
fn what_the_disk_cannot_give_back_is_left_out_and_the_rest_is_served() {
    for place in PLACES {
        let (mut rig, _) = paged(&[]);
        let damaged = ["0", "7", "8", "19"];
        rig.disk(at(HOME.0, HOME.1)).damaged = damaged.map(|body| body.as_bytes().to_vec()).into();
        let reader = rig.connect(at(place.0, place.1));
        rig.consume(reader, "q", "c", true);
        rig.run();
        let mut rest = numbers();
        rest.retain(|body| !damaged.contains(&body.as_str()));
        assert_eq!(rig.bodies(reader), rest, "{place:?}");
        assert_eq!(rig.counts(reader, "q").0, 0);
        let disk = rig.disk(at(HOME.0, HOME.1));
        assert_eq!(disk.bodies(), damaged, "it is on the list of damage, and not acknowledged");
    }
}

/// Dead letters of `q` go to the queue `dead`.
fn to_dead(more: &[(&str, Value)]) -> Vec<u8> {
    let text = |text: &str| Value::LongString(text.as_bytes().into());
    let mut all = vec![("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("dead"))];
    all.extend_from_slice(more);
    table(&all)
}

#[test]
fn dead_letters_are_read_where_they_died_and_keep_their_order() {
    for place in PLACES {
        let (mut rig, _) = paged(&to_dead(&[("x-message-ttl", Value::I64(1_000))]));
        let other = rig.connect(at(place.0, place.1));
        rig.declare_durable(other, "dead", &[]);
        assert_eq!(rig.disk(at(HOME.0, HOME.1)).given, 0);
        rig.pass(Duration::from_secs(2));
        rig.consume(other, "dead", "c", false);
        rig.run();
        assert_eq!(rig.bodies(other), numbers(), "{place:?}");
        assert_eq!(rig.disk(at(HOME.0, HOME.1)).given, COUNT);
        let copies = if (place.0, place.1) == HOME { COUNT } else { 0 };
        assert_eq!(rig.disk(at(HOME.0, HOME.1)).bodies().len(), copies, "its source has none any more");
    }
}

#[test]
fn a_queue_moves_with_what_is_paged_out_copied_ahead_or_not() {
    for copies in [false, true] {
        let (mut rig, owner) = paged(&[]);
        rig.control.copies = copies;
        let new = at(2, 0);
        for shard in rig.shards.values_mut() {
            shard.set_bounds(Bounds { freeze_messages: 0, ..Bounds::default() });
        }
        // two shards that never met have something to say to each other first
        let other = rig.connect(new);
        assert_eq!(rig.counts(other, "q"), (COUNT as u32, 0));
        for (to, mail) in rig.control.move_queue("q", new) {
            rig.tell(to, mail);
        }
        rig.run();
        let last = rig.control.reports.last();
        assert!(matches!(last, Some((at, MoveReport::Opened(_))) if *at == new), "{copies}: {last:?}");
        assert_eq!(rig.shard(at(HOME.0, HOME.1)).paged_out(), 0, "the old home has none any more");
        assert_eq!(rig.disk(new).bodies().len(), COUNT);
        rig.page_out(new);
        assert_eq!(rig.shard(new).paged_out(), COUNT as u64);
        rig.consume(owner, "q", "c", true);
        rig.run();
        assert_eq!(rig.bodies(owner), numbers(), "{copies}");
    }
}

/// What was read for somebody is not taken from him again before he has it, however short memory is.
#[test]
fn consumers_and_gets_go_on_while_memory_stays_short() {
    for place in PLACES {
        let (mut rig, _) = paged(&[]);
        rig.is_short_of_memory = true;
        let reader = rig.connect(at(place.0, place.1));
        rig.client(reader).says(1, BasicQos { prefetch_count: 1, ..Default::default() });
        rig.hears(reader, &Heard::Method("basic.qos-ok"));
        rig.consume(reader, "q", "c", false);
        for number in 0..COUNT / 2 {
            assert_eq!(rig.bodies(reader), [number.to_string()], "{place:?}");
            rig.client(reader).says(1, BasicAck { delivery_tag: 0, multiple: true });
        }
        assert_eq!(rig.bodies(reader), [(COUNT / 2).to_string()], "{place:?}");
        rig.client(reader).says(1, BasicCancel { consumer_tag: b"c", no_wait: true });
        for number in COUNT / 2 + 1..COUNT {
            rig.says_get(reader, "q", true);
            // where the home is elsewhere it is asked again after 20 turns
            let heard =
                (0..200).map(|_| rig.heard(reader)).find(|heard| !heard.is_empty()).unwrap_or_default();
            let body = number.to_string().into_bytes();
            assert!(
                matches!(&heard[..], [Heard::Got { body: got, .. }] if *got == body),
                "{place:?}: {heard:?}"
            );
        }
    }
}
