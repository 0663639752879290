//! Whatever happened between two ends: when all is well again they have one session in common, and nothing of
//! an old one ever entered another.

use core::time::Duration;

use proptest::prelude::*;

use super::*;

mod end;
mod world;

use world::World;

fn run(seed: u64, steps: usize) -> Result<u64, TestCaseError> {
    let mut world = World::new(seed);
    for side in 0..2 {
        world.want(side);
    }
    for _ in 0..steps {
        world.step(false);
    }
    for side in 0..2 {
        world.want(side);
    }
    let before = world.got();
    let mut calm = 0;
    while world.common().is_none() {
        calm += 1;
        prop_assert!(calm < 20_000, "seed {seed}: no common session");
        // nothing is silent for ever: probes find it
        world.step(true);
    }
    let tag = world.common();
    let sent = world.send_all();
    for _ in 0..10_000 {
        world.step(true);
    }
    prop_assert_eq!(world.common(), tag, "seed {}: the session does not last", seed);
    let got = world.got() - before;
    prop_assert!(got >= sent, "seed {seed}: {got} of {sent} batches came");
    Ok(before)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn two_ends_agree_on_one_session_whatever_happened_and_nothing_of_an_old_one_enters_it(
        seed in any::<u64>(),
        steps in 0..4_000usize,
    ) {
        run(seed, steps)?;
    }
}

#[test]
fn batches_flow_while_links_fail_so_that_the_property_judges_something() {
    let got: u64 = (0..20).map(|seed| run(seed, 4_000).expect("the property holds")).sum();
    assert!(got > 1_000, "{got} batches in twenty runs");
}

#[test]
fn a_loss_that_is_told_late_does_not_end_the_session_after_it() {
    let mut sessions = Sessions::new(NodeId(1), 1);
    let peer = (NodeId(2), Boot(7));
    sessions.want(Instant::ZERO, peer.0, peer.1, 1, "b");
    let mut number = SessionNumber(0);
    for round in 1..3 {
        sessions.on_timer(Instant::ZERO + Duration::from_secs(round));
        assert!(matches!(sessions.take_deeds()[..], [Deed::Dial { key, .. }] if key.round == Round(round)));
        sessions.on_dialled(peer.0, peer, DataLinkKey { round: Round(round), index: 0 }, round);
        let deeds = sessions.take_deeds();
        let [Deed::Up { session, .. }] = deeds[..] else { panic!("{deeds:?}") };
        assert!(session > number);
        if round == 1 {
            sessions.on_lost(Instant::ZERO, peer.0, session);
            assert!(matches!(sessions.take_deeds()[..], [Deed::Down { .. }]));
        } else {
            sessions.on_lost(Instant::ZERO, peer.0, number);
            assert!(sessions.take_deeds().is_empty(), "{number:?} is over already");
        }
        number = session;
    }
}

#[test]
fn links_of_two_rounds_are_never_one_session() {
    let mut sessions = Sessions::new(NodeId(2), 2);
    let dialler = (NodeId(1), Boot(7));
    sessions.want(Instant::ZERO, dialler.0, dialler.1, 2, "a");
    let key = |round, index| DataLinkKey { round: Round(round), index };
    sessions.on_accepted(dialler.0, dialler.1, key(1, 0), "1/0");
    sessions.on_accepted(dialler.0, dialler.1, key(2, 1), "2/1");
    assert!(matches!(sessions.take_deeds()[..], [Deed::Close("1/0")]));
    sessions.on_accepted(dialler.0, dialler.1, key(1, 1), "1/1");
    assert!(matches!(sessions.take_deeds()[..], [Deed::Close("1/1")]));
    sessions.on_accepted(dialler.0, dialler.1, key(2, 0), "2/0");
    let deeds = sessions.take_deeds();
    let [Deed::Up { links, .. }] = &deeds[..] else { panic!("{deeds:?}") };
    assert_eq!(links[..], [(0, "2/0"), (1, "2/1")]);
}
