//! Frames that cannot be, from a peer that proved the secret: a bug of its version, for the wire has checksums.

use leveret_cluster::{Event, LinkKey, Standing};
use leveret_model::SplitMix;
use leveret_model::definition::ExchangeKind;
use leveret_model::directory::Command;

use crate::commands::{binding, exchange, queue};
use crate::world::{At, World, ms};
use crate::{cluster, views};

/// A cluster in which frames of every kind were sent, and those from n2 to n0.
fn talkative(seed: u64) -> (World, LinkKey, Vec<Vec<u8>>) {
    let mut world = cluster(seed, 2);
    world.heard = Some((2, 0, Vec::new()));
    world.start("n2", &["n0", "n1"]);
    assert!(world.run_until(ms(2_000), World::agrees), "{:#?}", views(&world));
    let (near, far) = (world.home(0), world.home(2));
    world.ask_now(0, queue("near", near, false));
    world.ask_now(2, queue("far", far, false));
    world.ask_now(2, exchange("x", ExchangeKind::Topic, false));
    world.ask_now(2, Command::Bind(binding("x", "far", "a.#")));
    world.ask_now(2, Command::Bind(binding("x", "near", "b.#")));
    world.ask_now(0, Command::Unbind(binding("x", "far", "a.#")));
    world.run(ms(1_500));
    let (.., frames) = world.heard.take().expect("was set");
    let link = world.links.iter().find(|(_, ends)| ends.ends.contains(&0) && ends.ends.contains(&2));
    let link = *link.expect("they are linked").0;
    (world, link, frames)
}

fn bad_frames(world: &World, at: At) -> usize {
    world.nodes[at].events.iter().filter(|(_, event)| matches!(event, Event::BadFrame { .. })).count()
}

#[test]
fn a_damaged_frame_ends_its_link_and_harms_nobody_else() {
    for garbage in [&b"\xff\xff\xff\xff"[..], b"\x0a\x7f", b"\x22\x00", b"not a frame"] {
        let (mut world, link, _) = talkative(1);
        let now = world.now;
        world.nodes[0].control.on_frame(now, link, garbage);
        world.drain(0);
        assert_eq!(bad_frames(&world, 0), 1, "{garbage:?}");
        assert!(!world.links.contains_key(&link), "{garbage:?} left the link");
        // the other link goes on, and a new one is made
        world.run(ms(30));
        assert_eq!(world.standing(0, 1), Some(Standing::Alive));
        assert!(world.run_until(ms(1_000), World::agrees), "{garbage:?}: {:#?}", views(&world));
        assert_eq!(bad_frames(&world, 0), 1);
    }
}

/// Whatever a frame is turned into, it is read as another frame or ends its link; the bystander's link stays.
#[test]
fn frames_with_any_damage_are_frames_or_end_their_link() {
    let mut dice = SplitMix::new(leveret_model::Seed(7));
    let (_, _, frames) = talkative(2);
    assert!(frames.len() > 40);
    let (mut ended, mut read) = (0, 0);
    for round in 0..300 {
        let (mut world, link, _) = talkative(round);
        for _ in 0..40 {
            let mut frame = frames[dice.below(frames.len() as u64) as usize].clone();
            damage(&mut frame, &mut dice);
            let now = world.now;
            world.nodes[0].control.on_frame(now, link, &frame);
            world.drain(0);
            if bad_frames(&world, 0) > 0 {
                break;
            }
            read += 1;
        }
        let broken = bad_frames(&world, 0);
        ended += broken;
        assert!(broken == 0 || !world.links.contains_key(&link), "the link outlived a frame that cannot be");
        world.run(ms(20));
        assert_eq!(world.standing(0, 1), Some(Standing::Alive), "round {round}");
    }
    assert!(ended > 100 && read > 20, "{ended} ended their link, {read} were read");
}

fn damage(frame: &mut Vec<u8>, dice: &mut SplitMix) {
    for _ in 0..=dice.below(2) {
        let at = dice.below(frame.len().max(1) as u64) as usize;
        match dice.below(5) {
            0 => frame.truncate(at),
            1 if !frame.is_empty() => frame[at] ^= 1 << dice.below(8),
            2 if !frame.is_empty() => frame[at] = dice.below(256) as u8,
            3 => frame.insert(at, dice.below(256) as u8),
            _ => {
                let tail = frame[at.min(frame.len())..].to_vec();
                frame.extend(tail);
            }
        }
    }
}
