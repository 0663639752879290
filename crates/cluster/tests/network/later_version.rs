//! A cluster of two versions, as in a rolling upgrade: what the older nodes do not know they keep, hand on and
//! report.

use leveret_cluster::{Event, LATER_KIND, LATER_REGISTERS, UnknownKind};
use leveret_link::handshake::Capabilities;
use leveret_model::definition::ExchangeKind;
use leveret_model::directory::{Command, Reply};
use leveret_model::limits;

use crate::commands::{binding, code, delete_queue, exchange, queue};
use crate::world::{At, World, ms};
use crate::{cluster, views};

const RECORD: UnknownKind = UnknownKind::Record(LATER_KIND);
const REGISTER: UnknownKind = UnknownKind::Register(LATER_KIND);

/// The node acts so often as one of a later version.
fn act(world: &mut World, at: At, times: u64) {
    for number in 0..times {
        let now = world.now;
        world.nodes[at].control.act_as_later_version(now, number);
        world.drain(at);
        world.run(ms(30));
    }
}

fn count(world: &World, at: At, kind: UnknownKind) -> usize {
    let records = world.nodes[at].control.status().unknown_records;
    records.into_iter().find(|(known, _)| *known == kind).map_or(0, |(_, count)| count)
}

fn events(world: &World, at: At, wanted: impl Fn(&Event) -> bool) -> usize {
    world.nodes[at].events.iter().filter(|(_, event)| wanted(event)).count()
}

#[test]
fn what_a_later_version_says_ends_no_link_and_is_reported_once() {
    let mut world = cluster(1, 3);
    let links: Vec<_> = world.links.keys().copied().collect();
    act(&mut world, 2, 12);
    assert!(links.iter().all(|link| world.links.contains_key(link)), "a link ended");
    for at in 0..2 {
        // each record took the place of the one before, each register was written over
        assert_eq!((count(&world, at, RECORD), count(&world, at, REGISTER)), (1, LATER_REGISTERS as usize));
        let unknown = |kind| {
            events(&world, at, |event| matches!(event, Event::UnknownRecord { kind: of, .. } if *of == kind))
        };
        assert_eq!((unknown(RECORD), unknown(REGISTER)), (1, 1));
        assert_eq!(
            events(&world, at, |event| matches!(event, Event::UnknownFrame { kind: LATER_KIND, .. })),
            1
        );
        assert_eq!(events(&world, at, |event| matches!(event, Event::BadFrame { .. })), 0);
        let later = world.nodes[2].id;
        let status = world.nodes[at].control.status();
        let frames = status.nodes.iter().find(|node| node.node == later).map(|node| node.unknown_frames);
        assert_eq!(frames, Some(12));
    }
    assert!(world.run_until(ms(100), World::agrees), "{:#?}", views(&world));
}

#[test]
fn nodes_of_two_versions_declare_bind_and_delete_together() {
    let mut world = cluster(2, 3);
    act(&mut world, 2, 3);
    let (older, later) = (world.home(0), world.home(2));
    assert!(matches!(world.ask_now(2, queue("later", later, false)), Reply::Queue { created: true, .. }));
    assert!(matches!(world.ask_now(0, queue("older", older, false)), Reply::Queue { created: true, .. }));
    act(&mut world, 2, 3);
    assert_eq!(world.ask_now(0, exchange("x", ExchangeKind::Topic, false)), Reply::Done);
    assert_eq!(world.ask_now(0, Command::Bind(binding("x", "later", "k"))), Reply::Done);
    assert_eq!(world.ask_now(2, Command::Bind(binding("x", "older", "k"))), Reply::Done);
    assert!(matches!(world.ask_now(1, delete_queue("later")), Reply::Deleted { .. }));
    assert!(world.run_until(ms(100), World::agrees), "{:#?}", views(&world));
}

/// The owner's records go with it, ten minutes after it died; what has no owner stays for ever, without anybody
/// who knows what it means.
#[test]
fn a_newcomer_is_handed_what_nobody_there_knows_and_registers_outlive_their_writer() {
    let mut world = cluster(3, 3);
    act(&mut world, 2, 4);
    world.kill(2);
    world.run(ms(2_000));
    let newcomer = world.start("n3", &["n0", "n1"]);
    assert!(world.run_until(ms(3_000), |world| world.nodes[newcomer].listening), "{:#?}", views(&world));
    world.run(ms(1_000));
    assert_eq!((count(&world, newcomer, RECORD), count(&world, newcomer, REGISTER)), (1, 4));
    world.run(limits::FORGET_AFTER + limits::ADOPT_WITHIN + ms(5_000));
    for at in [0, 1, newcomer] {
        assert_eq!(events(&world, at, |event| matches!(event, Event::Forgotten { .. })), 1, "{at}");
        assert_eq!(count(&world, at, RECORD), 0, "{at}");
        assert!(
            count(&world, at, REGISTER) >= 4,
            "{at}: {:?}",
            world.nodes[at].control.status().unknown_records
        );
    }
    let after = world.start("n4", &["n0", "n1"]);
    assert!(world.run_until(ms(3_000), |world| world.nodes[after].listening), "{:#?}", views(&world));
    world.run(ms(1_000));
    assert!(count(&world, after, REGISTER) >= 4);
}

#[test]
fn what_needs_an_answer_is_not_asked_of_a_peer_that_does_not_name_it() {
    let mut world = World::new(4);
    for address in ["n0", "n1"] {
        let at = world.start(address, &["n0", "n1"]);
        if at == 1 {
            world.nodes[at].hello.capabilities = Capabilities::default();
        }
        world.run(ms(1_100));
    }
    assert!(world.run_until(ms(2_000), World::agrees), "{:#?}", views(&world));
    let home = world.home(1);
    assert!(matches!(world.ask_now(1, queue("q", home, false)), Reply::Queue { created: true, .. }));
    world.heard = Some((0, 1, Vec::new()));
    let refused = world.ask_now(0, delete_queue("q"));
    assert_eq!(code(&refused), 406, "{refused:?}");
    let Reply::Refused(refusal) = refused else { unreachable!() };
    let text =
        "home node 'n1' of queue 'q' in vhost '/' runs a version that does not take this from other nodes";
    assert_eq!(refusal.text, text);
    // field 11 of a control frame is a request
    let (.., frames) = world.heard.take().expect("was set");
    assert!(frames.iter().all(|frame| frame[0] >> 3 != 11));
    // its own clients may
    assert!(matches!(world.ask_now(1, delete_queue("q")), Reply::Deleted { .. }));
}
