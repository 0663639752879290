//! Both ends of a lane over a link that breaks: the home's log is in order, without a duplicate, and misses
//! nothing but what the ingress gave up.

use std::collections::{BTreeSet, VecDeque};
use std::vec::Vec;

use leveret_model::{Boot, Instant, LaneSequence, NodeId, ShardAddress, ShardId, Stored};
use proptest::prelude::*;

use super::OutLane;
use crate::{LaneKey, LaneVerdict, Lanes};

const NOW: Instant = Instant::from_nanos(1);

#[derive(Clone, Copy, Debug)]
enum Deed {
    /// A client publishes.
    Publish,
    /// The home gets so many records.
    ToHome(u8),
    /// The ingress gets so many answers.
    ToIngress(u8),
    /// The link breaks with all that is on it; a new one comes at once.
    Cut,
    /// The first that waits is given up.
    Expire,
    /// The home does not know the queue for a while.
    HomeAway(bool),
    /// The home starts anew: contents and lanes are gone.
    HomeForgets,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Stored(LaneSequence),
    Gap(LaneSequence),
    NotHome,
}

/// A publish on the link: its sequence, the base when it was sent, what it is.
type Sent = (LaneSequence, LaneSequence, u64);

struct World {
    lane: OutLane<u64>,
    to_home: VecDeque<Sent>,
    to_ingress: VecDeque<Answer>,
    lanes: Lanes,
    away: bool,
    /// What the home appended; a new list each time it forgets.
    logs: Vec<Vec<u64>>,
    published: u64,
    confirmed: BTreeSet<u64>,
    given_up: BTreeSet<u64>,
    resends: u64,
}

impl World {
    const KEY: LaneKey =
        LaneKey { ingress: ShardAddress { node: NodeId(1), shard: ShardId(0) }, boot: Boot(1) };

    fn new() -> Self {
        Self {
            lane: OutLane::default(),
            to_home: VecDeque::new(),
            to_ingress: VecDeque::new(),
            lanes: Lanes::default(),
            away: false,
            logs: std::vec![Vec::new()],
            published: 0,
            confirmed: BTreeSet::new(),
            given_up: BTreeSet::new(),
            resends: 0,
        }
    }

    fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Publish => {
                self.published += 1;
                let sequence = self.lane.push(self.published, 10, Instant::ZERO);
                self.to_home.push_back((sequence, self.lane.base(), self.published));
            }
            Deed::ToHome(count) => (0..count).for_each(|_| self.home_reads()),
            Deed::ToIngress(count) => (0..count).for_each(|_| self.ingress_reads()),
            Deed::Cut => self.cut(),
            Deed::Expire => self.given_up.extend(self.lane.expire(Instant::ZERO)),
            Deed::HomeAway(away) => self.away = away,
            Deed::HomeForgets => {
                self.lanes.forget(NodeId(1));
                self.logs.push(Vec::new());
                self.cut();
            }
        }
    }

    fn home_reads(&mut self) {
        let Some((sequence, base, publish)) = self.to_home.pop_front() else { return };
        let answer = if self.away {
            Answer::NotHome
        } else {
            match self.lanes.accept(Self::KEY, sequence, base) {
                LaneVerdict::Append => {
                    self.lanes.appended(Stored::Now);
                    self.logs.last_mut().expect("there is one").push(publish);
                    Answer::Stored(sequence)
                }
                LaneVerdict::Duplicate => Answer::Stored(self.lanes.last(Self::KEY)),
                LaneVerdict::Gap { after } => Answer::Gap(after),
            }
        };
        self.to_ingress.push_back(answer);
    }

    fn ingress_reads(&mut self) {
        match self.to_ingress.pop_front() {
            Some(Answer::Stored(through)) => self.confirmed.extend(self.lane.stored(through)),
            Some(Answer::Gap(after)) if self.lane.on_gap(after) => self.resend(after),
            Some(Answer::Gap(_)) => {}
            Some(Answer::NotHome) => {
                self.lane.restart();
                self.resend(LaneSequence(0));
            }
            None => {}
        }
    }

    fn cut(&mut self) {
        self.to_home.clear();
        self.to_ingress.clear();
        self.lane.restart();
        self.resend(LaneSequence(0));
    }

    fn resend(&mut self, after: LaneSequence) {
        let base = self.lane.base();
        for (sequence, publish) in self.lane.resend_from(after) {
            self.to_home.push_back((sequence, base, *publish));
            self.resends += 1;
        }
    }

    /// No more faults: everything under way arrives.
    fn settle(&mut self) {
        self.away = false;
        while !self.to_home.is_empty() || !self.to_ingress.is_empty() {
            self.home_reads();
            self.ingress_reads();
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for log in &self.logs {
            prop_assert!(log.is_sorted_by(|a, b| a < b), "order or duplicate: {:?}", log);
        }
        for publish in &self.confirmed {
            prop_assert!(
                self.logs.iter().any(|log| log.contains(publish)),
                "{} confirmed, not stored",
                publish
            );
        }
        prop_assert_eq!(self.lane.bytes(), self.lane.len() as u64 * 10);
        Ok(())
    }
}

fn deed(forgets: u32) -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => Just(Deed::Publish),
        6 => (1..6_u8).prop_map(Deed::ToHome),
        6 => (1..6_u8).prop_map(Deed::ToIngress),
        2 => Just(Deed::Cut),
        2 => Just(Deed::Expire),
        1 => any::<bool>().prop_map(Deed::HomeAway),
        forgets => Just(Deed::HomeForgets),
    ]
}

fn run(deeds: Vec<Deed>) -> Result<World, TestCaseError> {
    let mut world = World::new();
    for deed in deeds {
        world.act(deed);
        // as it happens: answers for a publish while the home is away may pile resends up, which stays small
        while world.to_home.len() > 2_000 {
            world.act(Deed::Cut);
        }
        world.check()?;
    }
    world.settle();
    world.check()?;
    prop_assert!(world.lane.is_empty(), "{} publishes wait for ever", world.lane.len());
    prop_assert_eq!(world.lane.base(), LaneSequence(world.published + 1));
    for publish in 1..=world.published {
        prop_assert!(
            world.confirmed.contains(&publish) || world.given_up.contains(&publish),
            "{} was never answered",
            publish
        );
    }
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Cuts, resends, late answers, expiry of the head, a home that is away.
    #[test]
    fn a_lane_appends_each_publish_once_in_order_or_gives_it_up(deeds in prop::collection::vec(deed(0), 1..150)) {
        run(deeds)?;
    }

    /// The same with a home that loses contents and lanes: each of its lives is in order, and nothing waits for
    /// ever.
    #[test]
    fn a_lane_goes_on_with_a_home_that_forgot(deeds in prop::collection::vec(deed(1), 1..150)) {
        run(deeds)?;
    }
}

#[test]
fn a_burst_behind_a_gap_is_sent_again_once() {
    let mut world = World::new();
    world.away = true;
    world.act(Deed::Publish);
    world.home_reads();
    // the answer is on its way while a hundred more go out, and the home comes back before them
    world.away = false;
    (0..100).for_each(|_| world.act(Deed::Publish));
    (0..100).for_each(|_| world.home_reads());
    world.to_ingress.pop_front();
    world.settle();
    assert_eq!(world.resends, 101);
    assert_eq!(world.logs[0].len(), 101);
}

#[test]
fn a_gap_is_answered_anew_on_a_new_link() {
    let mut lane = OutLane::default();
    lane.push(1, 1, NOW);
    lane.push(2, 1, NOW);
    assert!(lane.on_gap(LaneSequence(0)) && !lane.on_gap(LaneSequence(0)));
    lane.restart();
    assert!(lane.on_gap(LaneSequence(0)));
    assert_eq!(lane.resend_from(LaneSequence(1)).collect::<Vec<_>>(), [(LaneSequence(2), &2)]);
}

#[test]
fn answers_from_a_liar_take_no_more_than_there_is() {
    let mut lane = OutLane::default();
    (1..=3).for_each(|publish| {
        lane.push(publish, 1, NOW);
    });
    assert_eq!(lane.stored(LaneSequence(u64::MAX)).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(lane.stored(LaneSequence(0)).count(), 0);
    assert!(!lane.on_gap(LaneSequence(u64::MAX)));
    assert_eq!(lane.resend_from(LaneSequence(u64::MAX)).count(), 0);
    assert_eq!((lane.base(), lane.bytes()), (LaneSequence(4), 0));
}

#[test]
fn a_full_lane_says_so_and_a_gone_queue_empties_it() {
    use leveret_model::limits::{LANE_BYTES_MAX, LANE_MESSAGES_MAX};
    let mut lane = OutLane::default();
    (0..LANE_MESSAGES_MAX as u64).for_each(|publish| {
        assert!(!lane.is_full(LANE_MESSAGES_MAX, LANE_BYTES_MAX));
        lane.push(publish, 1, NOW);
    });
    assert!(lane.is_full(LANE_MESSAGES_MAX, LANE_BYTES_MAX));
    assert_eq!(lane.gone().last(), Some(LANE_MESSAGES_MAX as u64 - 1));
    lane.push(0, LANE_BYTES_MAX, NOW);
    assert!(lane.is_full(LANE_MESSAGES_MAX, LANE_BYTES_MAX));
    assert_eq!(lane.expire(Instant::ZERO), None);
    assert_eq!(lane.expire(NOW), Some(0));
    assert!(!lane.is_full(LANE_MESSAGES_MAX, LANE_BYTES_MAX) && lane.is_empty());
}

proptest! {
    /// Whatever is due when: at each time all that is due has been told, once, and nothing before its time;
    /// what was told behind a younger one leaves with the others, in order.
    #[test]
    fn each_publish_is_due_at_its_own_time(
        dues in prop::collection::vec(0..30_u64, 1..40),
        stored in prop::collection::vec(0..40_u64, 0..8),
    ) {
        let mut lane = OutLane::default();
        for (publish, due) in dues.iter().enumerate() {
            lane.push(publish, 1, Instant::from_nanos(*due));
        }
        let (mut told, mut gone) = (BTreeSet::new(), Vec::new());
        for now in 0..30_u64 {
            let at = Instant::from_nanos(now);
            while let Some(publish) = lane.expire(at) {
                gone.push(publish);
                told.insert(publish);
            }
            for publish in lane.overdue(at) {
                prop_assert!(told.insert(*publish), "{} twice", publish);
                prop_assert!(dues[*publish] <= now, "{} too early", publish);
            }
            if let Some(through) = stored.get(now as usize) {
                for publish in lane.stored(LaneSequence(*through)) {
                    gone.push(publish);
                    told.insert(publish);
                }
            }
            for (publish, due) in dues.iter().enumerate().filter(|(_, due)| **due <= now) {
                prop_assert!(told.contains(&publish), "{} of {} waits at {}", publish, due, now);
            }
            let left = (0..dues.len()).filter(|publish| !told.contains(publish));
            let next = left.map(|publish| Instant::from_nanos(dues[publish])).min();
            prop_assert!(lane.next_due().is_none_or(|first| Some(first) == next));
            prop_assert!(next.is_none() || lane.next_due().is_some());
        }
        prop_assert!(lane.is_empty());
        prop_assert!(gone.is_sorted());
    }
}
