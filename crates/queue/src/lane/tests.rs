//! The home's end of a lane alone: verdicts, answers, and what the store holds up.

use super::*;
use leveret_model::ShardId;
use std::vec;

fn key(node: u128, boot: u64) -> LaneKey {
    LaneKey { ingress: ShardAddress { node: NodeId(node), shard: ShardId(0) }, boot: Boot(boot) }
}

fn owed(lanes: &mut Lanes) -> Vec<(LaneKey, u64)> {
    let mut owed = Vec::new();
    lanes.take_owed(|key, through, _| owed.push((key, through.0)));
    owed
}

fn accept(lanes: &mut Lanes, sequence: u64, base: u64) -> LaneVerdict {
    accept_on(lanes, key(1, 1), sequence, base, Stored::Now)
}

fn accept_on(lanes: &mut Lanes, key: LaneKey, sequence: u64, base: u64, stored: Stored) -> LaneVerdict {
    let verdict = lanes.accept(key, LaneSequence(sequence), LaneSequence(base));
    if verdict == LaneVerdict::Append {
        lanes.appended(stored);
    }
    verdict
}

/// Its publisher would be told that the queue has it.
#[test]
fn what_is_refused_is_told_before_its_answer_and_again_when_that_may_be_lost() {
    let mut lanes = Lanes::default();
    let told = |lanes: &mut Lanes| {
        let mut told = Vec::new();
        lanes.take_owed(|_, through, refused| {
            told.push((through.0, refused.iter().map(|refused| refused.0).collect::<Vec<_>>()));
        });
        told
    };
    accept(&mut lanes, 1, 1);
    for sequence in [2, 3] {
        let verdict = lanes.accept(key(1, 1), LaneSequence(sequence), LaneSequence(1));
        assert_eq!(verdict, LaneVerdict::Append);
        assert!(!lanes.refused());
    }
    assert_eq!(told(&mut lanes), [(3, vec![2, 3])]);
    accept(&mut lanes, 4, 1);
    assert_eq!(told(&mut lanes), [(4, vec![])]);
    assert_eq!(accept(&mut lanes, 2, 1), LaneVerdict::Duplicate);
    assert_eq!(told(&mut lanes), [(4, vec![2, 3])]);
    assert_eq!(accept(&mut lanes, 3, 3), LaneVerdict::Duplicate);
    assert_eq!(told(&mut lanes), [(4, vec![3])], "its ingress does not wait for 2 any more");
}

/// Or each append of a slow store would be listed, and looked at again with each sync.
#[test]
fn lanes_that_wait_for_the_store_are_listed_once() {
    let mut lanes = Lanes::default();
    let mut append = |sequence, mark| {
        let (sequence, base) = (LaneSequence(sequence), LaneSequence(1));
        assert_eq!(lanes.accept(key(1, 1), sequence, base), LaneVerdict::Append);
        lanes.appended(Stored::At(StoreMark(mark)))
    };
    assert_eq!([append(1, 1), append(2, 1), append(3, 2)], [true, false, false]);
    assert!(lanes.synced(StoreMark(1)), "it stays on the list");
    assert!(!lanes.appended(Stored::At(StoreMark(3))));
    assert!(!lanes.synced(StoreMark(3)));
    assert!(lanes.appended(Stored::At(StoreMark(4))), "it had left the list");
}

/// Its publishes would be appended again.
#[test]
fn a_lane_that_waits_for_the_store_is_not_forgotten_for_a_new_one() {
    let mut lanes = Lanes::default();
    accept_on(&mut lanes, key(0, 0), 1, 1, Stored::At(StoreMark(1)));
    for boot in 1..=LANES_PER_QUEUE_MAX as u64 {
        accept_on(&mut lanes, key(1, boot), 1, 1, Stored::Now);
        owed(&mut lanes);
    }
    assert_eq!(lanes.last(key(0, 0)), LaneSequence(1));
    assert_eq!(lanes.last(key(1, 1)), LaneSequence(0));
}

#[test]
fn what_is_appended_is_answered_once_it_is_stored_and_in_order() {
    let mut lanes = Lanes::default();
    let (one, two) = (Stored::At(StoreMark(1)), Stored::At(StoreMark(2)));
    for (sequence, stored) in [(1, one), (2, one), (3, two), (4, Stored::Now)] {
        assert_eq!(accept_on(&mut lanes, key(1, 1), sequence, 1, stored), LaneVerdict::Append);
    }
    assert!(!lanes.touch(), "nothing is stored, so nothing is owed");
    assert!(lanes.synced(StoreMark(1)), "more is under way");
    assert_eq!(owed(&mut lanes), [(key(1, 1), 2)]);
    // sent again over a new link: what is not stored is not answered
    assert_eq!(accept_on(&mut lanes, key(1, 1), 4, 1, Stored::Now), LaneVerdict::Duplicate);
    assert_eq!(owed(&mut lanes), [(key(1, 1), 2)]);
    assert!(!lanes.synced(StoreMark(2)));
    assert_eq!(
        owed(&mut lanes),
        [(key(1, 1), 4)],
        "the one that need not be stored waited for those before it"
    );
    assert_eq!(accept_on(&mut lanes, key(1, 1), 5, 5, Stored::Now), LaneVerdict::Append);
    assert_eq!(owed(&mut lanes), [(key(1, 1), 5)]);
}

#[test]
fn each_sequence_is_appended_once_and_in_order() {
    let mut lanes = Lanes::default();
    assert_eq!(accept(&mut lanes, 2, 1), LaneVerdict::Gap { after: LaneSequence(0) });
    assert_eq!(accept(&mut lanes, 1, 1), LaneVerdict::Append);
    assert_eq!(accept(&mut lanes, 1, 1), LaneVerdict::Duplicate);
    assert_eq!(accept(&mut lanes, 2, 1), LaneVerdict::Append);
    assert_eq!(accept(&mut lanes, 4, 2), LaneVerdict::Gap { after: LaneSequence(2) });
    assert_eq!(lanes.last(key(1, 1)), LaneSequence(2));
}

/// Else nobody would ever hear again that anything is stored here.
#[test]
fn a_gap_owes_nothing_and_hides_nothing_that_is_owed_later() {
    let mut lanes = Lanes::default();
    assert_eq!(accept(&mut lanes, 2, 1), LaneVerdict::Gap { after: LaneSequence(0) });
    assert!(!lanes.touch());
    assert_eq!(accept(&mut lanes, 1, 1), LaneVerdict::Append);
    assert!(lanes.touch() && !lanes.touch());
    assert_eq!(owed(&mut lanes), [(key(1, 1), 1)]);
    assert_eq!(accept(&mut lanes, 2, 1), LaneVerdict::Append);
    assert!(lanes.touch());
}

#[test]
fn a_raised_base_closes_the_hole_that_a_given_up_publish_left() {
    let mut lanes = Lanes::default();
    assert_eq!(accept(&mut lanes, 1, 1), LaneVerdict::Append);
    // 2 and 3 were given up by their ingress
    assert_eq!(accept(&mut lanes, 4, 4), LaneVerdict::Append);
    // a late copy of 3, sent before
    assert_eq!(accept(&mut lanes, 3, 2), LaneVerdict::Duplicate);
    assert_eq!(owed(&mut lanes), [(key(1, 1), 4)]);
}

#[test]
fn each_lane_owes_one_answer_for_all_that_came_since_the_last_one() {
    let mut lanes = Lanes::default();
    assert!(!lanes.touch(), "nothing is owed");
    assert_eq!(owed(&mut lanes), []);
    for sequence in 1..=3 {
        accept(&mut lanes, sequence, 1);
        accept_on(&mut lanes, key(2, 1), sequence, 1, Stored::Now);
        assert_eq!(lanes.touch(), sequence == 1, "the queue is listed once");
    }
    assert_eq!(owed(&mut lanes), [(key(1, 1), 3), (key(2, 1), 3)]);
    assert_eq!(owed(&mut lanes), []);
    // what is here already is answered again: the answer may have been lost
    accept(&mut lanes, 2, 1);
    assert!(lanes.touch());
    assert_eq!(owed(&mut lanes), [(key(1, 1), 3)]);
}

#[test]
fn a_late_copy_of_what_was_given_up_is_answered_by_a_home_that_forgot() {
    let mut lanes = Lanes::default();
    assert_eq!(accept(&mut lanes, 3, 6), LaneVerdict::Duplicate);
    assert_eq!(owed(&mut lanes), [(key(1, 1), 5)]);
    lanes.forget(NodeId(1));
    assert_eq!(owed(&mut lanes), []);
}

#[test]
fn a_lane_that_was_forgotten_owes_nothing() {
    let mut lanes = Lanes::default();
    accept(&mut lanes, 1, 1);
    lanes.forget(NodeId(1));
    assert_eq!(owed(&mut lanes), []);
}

#[test]
fn a_home_that_forgot_goes_on_where_the_ingress_waits() {
    let mut lanes = Lanes::default();
    assert_eq!(accept(&mut lanes, 8, 8), LaneVerdict::Append);
    lanes.forget(NodeId(1));
    assert!(lanes.is_empty());
    assert_eq!(accept(&mut lanes, 10, 9), LaneVerdict::Gap { after: LaneSequence(8) });
    assert_eq!(accept(&mut lanes, 9, 9), LaneVerdict::Append);
}

#[test]
fn lanes_are_bounded_and_the_one_unused_for_longest_goes() {
    let mut lanes = Lanes::default();
    for boot in 0..LANES_PER_QUEUE_MAX as u64 {
        accept_on(&mut lanes, key(1, boot), 1, 1, Stored::Now);
    }
    accept_on(&mut lanes, key(1, 0), 2, 1, Stored::Now);
    accept_on(&mut lanes, key(2, 0), 1, 1, Stored::Now);
    assert_eq!(lanes.len(), LANES_PER_QUEUE_MAX);
    assert_eq!(lanes.last(key(1, 0)), LaneSequence(2));
    assert_eq!(lanes.last(key(1, 1)), LaneSequence(0));
}
