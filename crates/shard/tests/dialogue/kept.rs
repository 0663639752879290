//! What connections keep in memory at their clients' will: counted, kept short, and closed when it is too much.

use std::time::Duration;

use leveret_model::limits;
use leveret_shard::Pressure;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const HERE: leveret_model::ShardAddress =
    leveret_model::ShardAddress { node: leveret_model::NodeId(1), shard: leveret_model::ShardId(0) };

/// Publishes a message but for its last byte and end octet.
fn begin(rig: &mut Rig, id: ClientId, bytes: usize) {
    rig.publish(id, "q", &"x".repeat(bytes));
    let unread = &mut rig.client(id).unread;
    unread.truncate(unread.len() - 2);
    rig.run();
}

fn end(rig: &mut Rig, id: ClientId) {
    rig.client(id).unread.extend([b'x', leveret_wire::frame::FRAME_END]);
    rig.run();
}

fn evict(rig: &mut Rig, down_to: u64) -> usize {
    let now = rig.now;
    let shard = rig.shard(HERE);
    shard.begin_turn(now);
    let evicted = shard.evict(down_to);
    rig.run();
    evicted
}

fn is_closed(rig: &mut Rig, id: ClientId) -> bool {
    let heard = rig.heard(id);
    match &heard[..] {
        [] => rig.client(id).lost,
        [Heard::ConnectionClose(320, text)] => {
            assert!(text.starts_with("CONNECTION_FORCED - kept "), "{text}");
            true
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_connection_keeps_is_counted_until_it_ends() {
    let mut rig = Rig::new(&[1]);
    let (owner, publisher) = (rig.connect(HERE), rig.connect(HERE));
    rig.declare(owner, "q");
    let before = rig.shard(HERE).memory_bytes();
    begin(&mut rig, publisher, 3_000_000);
    let kept = rig.shard(HERE).kept_at_will();
    assert!((2_999_000..3_100_000).contains(&kept), "{kept}");
    assert!(rig.shard(HERE).memory_bytes() >= before + kept);
    end(&mut rig, publisher);
    assert_eq!(rig.shard(HERE).kept_at_will(), 0);
    begin(&mut rig, publisher, 1_000_000);
    rig.lose(publisher);
    assert_eq!(rig.shard(HERE).kept_at_will(), 0);
    // output that is not read
    let slow = rig.connect(HERE);
    rig.client(slow).takes = 0;
    rig.says_consume(slow, "q", "c", true);
    rig.run();
    let kept = rig.shard(HERE).kept_at_will();
    assert!((3_000_000..3_100_000).contains(&kept), "{kept}");
    rig.client(slow).takes = usize::MAX;
    rig.run();
    assert_eq!(rig.shard(HERE).kept_at_will(), 0);
}

/// Content headers count as bodies do.
#[test]
fn a_large_header_without_a_body_is_kept_too() {
    use leveret_wire::frame::{begin_frame, end_frame};
    let mut rig = Rig::new(&[1]);
    let publisher = rig.connect(HERE);
    let publish = leveret_wire::method::BasicPublish { routing_key: b"q", ..Default::default() };
    rig.client(publisher).says(1, publish);
    let mut frame = Vec::new();
    let mark = begin_frame(&mut frame, leveret_wire::FrameKind::Header, 1);
    // class basic, weight, a body of one byte, headers: one string
    frame.extend([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 0]);
    frame.extend(100_007u32.to_be_bytes());
    frame.extend([1, b'k', b'S']);
    frame.extend(100_000u32.to_be_bytes());
    frame.extend(vec![b'x'; 100_000]);
    end_frame(&mut frame, mark);
    rig.client(publisher).unread.extend(&frame);
    rig.run();
    rig.hears_nothing(publisher);
    assert!(rig.shard(HERE).kept_at_will() > 100_000);
}

/// Else it would be told so in every turn until its time is over, and nothing would be won.
#[test]
fn who_was_told_to_go_and_takes_nothing_is_dropped() {
    let mut rig = Rig::new(&[1]);
    let (owner, slow) = (rig.connect(HERE), rig.connect(HERE));
    rig.declare(owner, "q");
    rig.client(slow).takes = 0;
    rig.says_consume(slow, "q", "c", true);
    rig.publish(owner, "q", &"x".repeat(8_000));
    rig.run();
    assert_eq!(evict(&mut rig, 0), 1);
    assert!(!rig.client(slow).lost && rig.shard(HERE).kept_at_will() > 8_000);
    assert_eq!(evict(&mut rig, 0), 1);
    assert!(rig.client(slow).lost && rig.shard(HERE).kept_at_will() == 0);
    assert_eq!(evict(&mut rig, 0), 0);
}

/// A crowd that begins messages and does not go on, beside somebody who is in the midst of a larger one.
#[test]
fn a_crowd_that_ends_nothing_goes_before_who_is_quick() {
    let mut rig = Rig::new(&[1]);
    let owner = rig.connect(HERE);
    rig.declare(owner, "q");
    let crowd: Vec<_> = (0..20).map(|_| rig.connect(HERE)).collect();
    for id in &crowd {
        begin(&mut rig, *id, 200_000);
    }
    rig.pass(Duration::from_secs(3));
    let quick = rig.connect(HERE);
    for _ in 0..3 {
        begin(&mut rig, quick, 2_000_000);
        end(&mut rig, quick);
    }
    begin(&mut rig, quick, 2_000_000);
    rig.pass(Duration::from_millis(50));
    assert_eq!(evict(&mut rig, 5_100_000), 5);
    assert_eq!(crowd.iter().filter(|id| is_closed(&mut rig, **id)).count(), 5);
    assert!(rig.shard(HERE).kept_at_will() <= 5_100_000);
    end(&mut rig, quick);
    assert!(!is_closed(&mut rig, quick));
    assert_eq!(rig.counts(owner, "q").0, 4);
}

/// It does not count against a publisher that the broker does not read it.
#[test]
fn who_waits_for_memory_in_the_midst_of_a_message_is_not_to_blame() {
    for calm_again in [false, true] {
        let mut rig = Rig::new(&[1]);
        let (owner, waits, lazy) = (rig.connect(HERE), rig.connect(HERE), rig.connect(HERE));
        rig.declare(owner, "q");
        rig.publish(owner, "q", &"x".repeat(200_000));
        rig.client(lazy).takes = 0;
        rig.says_consume(lazy, "q", "c", false);
        begin(&mut rig, waits, 500_000);
        rig.shard(HERE).on_memory(Pressure::Full);
        rig.hears(waits, &Heard::Blocked);
        rig.pass(Duration::from_secs(20));
        if calm_again {
            rig.shard(HERE).on_memory(Pressure::Calm);
            rig.hears(waits, &Heard::Unblocked);
            rig.pass(Duration::from_secs(1));
        }
        assert_eq!(evict(&mut rig, 550_000), 1);
        assert!(rig.client(lazy).lost && !rig.client(waits).lost);
        rig.hears_nothing(waits);
    }
}

/// A client that reads nothing would not read a close either.
#[test]
fn who_reads_nothing_ends_without_a_word() {
    let mut rig = Rig::new(&[1]);
    let (owner, slow) = (rig.connect(HERE), rig.connect(HERE));
    rig.declare(owner, "q");
    rig.consume(slow, "q", "c", false);
    rig.client(slow).takes = 0;
    for _ in 0..10 {
        rig.publish(owner, "q", &"x".repeat(20_000));
    }
    rig.run();
    assert_eq!(evict(&mut rig, 0), 1);
    assert!(rig.client(slow).lost);
    assert_eq!(rig.shard(HERE).kept_at_will(), 0);
    assert_eq!(rig.counts(owner, "q").0, 10, "what it held is back");
}

/// Its output is shorter than it may be by now, and nothing that it does would tell.
#[test]
fn when_the_crowd_is_over_who_waited_for_room_goes_on() {
    let mut rig = Rig::new(&[1]);
    let (owner, slow) = (rig.connect(HERE), rig.connect(HERE));
    rig.declare(owner, "q");
    rig.consume(slow, "q", "c", true);
    rig.client(slow).takes = 0;
    assert!(!rig.shard(HERE).on_crowd(true));
    for _ in 0..100 {
        rig.publish(owner, "q", &"x".repeat(2_000));
    }
    rig.run();
    assert!(rig.counts(owner, "q").0 > 0, "outputs are short");
    assert!(rig.shard(HERE).on_crowd(false));
    rig.run();
    assert_eq!(rig.counts(owner, "q").0, 0);
}

/// In a crowd outputs are short, and who reads gets everything all the same; wherever the queue is.
#[test]
fn in_a_crowd_outputs_are_kept_short() {
    for home in [at(1, 0), at(1, 1)] {
        let mut rig = Rig::new(&[2]);
        let (owner, slow) = (rig.connect(home), rig.connect(HERE));
        rig.declare(owner, "q");
        rig.consume(slow, "q", "c", true);
        rig.client(slow).takes = 0;
        rig.shard(HERE).on_crowd(true);
        for _ in 0..500 {
            rig.publish(owner, "q", &"x".repeat(2_000));
        }
        rig.run();
        let most = match home == HERE {
            true => limits::OUTPUT_BYTES_CROWDED,
            // its window was given before
            false => limits::CONSUMER_WINDOW_BYTES as usize,
        };
        let key = rig.client(slow).key;
        let output = rig.shard(HERE).output(key).unwrap().len();
        assert!(output < most + 10_000, "{output}");
        rig.client(slow).takes = 3_000;
        assert_eq!(rig.heard(slow).len(), 500);
    }
}

#[test]
fn over_the_bound_who_publishes_while_it_waits_is_closed_sooner() {
    let mut rig = Rig::new(&[1]);
    let both = rig.connect(HERE);
    rig.declare(both, "q");
    rig.qos(both, 1);
    rig.consume(both, "q", "b", false);
    rig.publish(both, "q", "m");
    rig.run();
    rig.heard(both);
    rig.shard(HERE).on_memory(Pressure::Full);
    rig.hears(both, &Heard::Blocked);
    let body = "x".repeat(limits::PUBLISHED_WHILE_OVER_BYTES_MAX as usize / 2);
    rig.publish(both, "q", &body);
    rig.run();
    rig.shard(HERE).on_memory(Pressure::Over);
    rig.hears_nothing(both);
    rig.publish(both, "q", &body);
    rig.publish(both, "q", "and more");
    rig.run();
    let heard = rig.heard(both);
    assert!(matches!(heard[..], [Heard::ConnectionClose(320, _)]), "{heard:?}");
}
