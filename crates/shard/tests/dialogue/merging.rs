//! Two homes of one name meet (R3): what was asked of the loser is answered by the winner, and what the loser
//! gave goes back.

use leveret_model::definition::QueueDefinition;
use leveret_model::directory::{Change, QueueRecord};
use leveret_model::{Name, QueueId, Ulid};
use leveret_wire::method::*;

use crate::declaring::{a_rival_wins, announce};
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// The loser is at home on shard 1 of node 1; who asks is on the other shard there, or on node 3.
const ASKERS: [(u128, u8); 2] = [(1, 0), (3, 0)];

/// `q` with the message `old`, which will lose to a queue of node 2; and somebody who will ask for it.
fn one_that_will_lose(asker: (u128, u8)) -> (Rig, ClientId) {
    let mut rig = Rig::new(&[2, 1, 1]);
    let (home, asks) = (rig.connect(at(1, 1)), rig.connect(at(asker.0, asker.1)));
    rig.declare(home, "q");
    rig.publish(home, "q", "old");
    rig.run();
    (rig, asks)
}

/// A queue of node 2 wins, and has a message before anybody asks there.
fn loses(rig: &mut Rig, asker: (u128, u8)) {
    let wire = (at(asker.0, asker.1), at(2, 0));
    rig.held_wires.insert(wire);
    a_rival_wins(rig);
    rig.held_wires.remove(&wire);
}

/// The loser gets the name that it keeps its messages under.
fn is_renamed(rig: &mut Rig, loser: &QueueRecord) {
    let id = loser.id;
    announce(rig, &Change::PutQueue(loser.renamed(Name::new("q~1"))));
    announce(rig, &Change::UnmaskQueue { id });
}

fn says(rig: &mut Rig, id: ClientId, what: &str) {
    match what {
        "consume" => rig.says_consume(id, "q", "c", false),
        "get" => rig.says_get(id, "q", false),
        "purge" => rig.client(id).says(1, QueuePurge { queue: b"q", no_wait: false }),
        other => panic!("{other}"),
    }
    rig.run();
}

/// The winner has one message, `m`.
fn hears_of_the_winner(rig: &mut Rig, id: ClientId, what: &str) {
    let body = b"m".to_vec();
    let heard = match what {
        "consume" => vec![
            Heard::Consuming("c".into()),
            Heard::Deliver { channel: 1, consumer: "c".into(), tag: 1, redelivered: false, body },
        ],
        "get" => vec![Heard::Got { tag: 1, redelivered: false, remaining: 0, body }],
        _ => vec![Heard::Count(1)],
    };
    assert_eq!(rig.heard(id), heard, "{what}");
}

#[test]
fn what_is_on_its_way_to_the_loser_is_asked_of_the_winner() {
    for asker in ASKERS {
        for what in ["consume", "get", "purge"] {
            let (mut rig, asks) = one_that_will_lose(asker);
            let loser = rig.control.queues["q"].clone();
            rig.held_wires.insert((at(asker.0, asker.1), at(1, 1)));
            says(&mut rig, asks, what);
            loses(&mut rig, asker);
            hears_of_the_winner(&mut rig, asks, what);
            // the questions reach the loser too late, and its answers find nobody
            is_renamed(&mut rig, &loser);
            rig.held_wires.clear();
            rig.hears_nothing(asks);
            let messages = if what == "purge" { 0 } else { 1 };
            let other = rig.connect(at(1, 1));
            assert_eq!(rig.counts(other, "q~1"), (messages, 0), "{what}");
        }
    }
}

#[test]
fn what_the_loser_gave_goes_back_to_it() {
    for asker in ASKERS {
        for what in ["consume", "get"] {
            for renamed_first in [false, true] {
                let (mut rig, asks) = one_that_will_lose(asker);
                let loser = rig.control.queues["q"].clone();
                rig.held_wires.insert((at(1, 1), at(asker.0, asker.1)));
                says(&mut rig, asks, what);
                loses(&mut rig, asker);
                hears_of_the_winner(&mut rig, asks, what);
                if renamed_first {
                    is_renamed(&mut rig, &loser);
                    rig.run();
                }
                rig.held_wires.clear();
                rig.run();
                if !renamed_first {
                    is_renamed(&mut rig, &loser);
                }
                let other = rig.connect(at(1, 1));
                assert_eq!(rig.counts(other, "q~1"), (1, 0), "{what} of {asker:?}");
                // the winner's is still its holder's
                rig.ack(asks, 1);
                rig.hears_nothing(asks);
            }
        }
    }
}

/// The map says it last where the client is.
#[test]
fn a_consumer_of_a_queue_that_has_lost_its_name_already_is_cancelled_at_its_home_too() {
    let (mut rig, asks) = one_that_will_lose((3, 0));
    let loser = rig.control.queues["q"].clone();
    rig.held_mail.insert(at(3, 0));
    a_rival_wins(&mut rig);
    is_renamed(&mut rig, &loser);
    rig.qos(asks, 1);
    rig.consume(asks, "q", "c", false);
    assert_eq!(rig.bodies(asks), ["old"]);
    rig.held_mail.clear();
    rig.hears(asks, &Heard::Cancel("c".into()));
    let other = rig.connect(at(1, 1));
    assert_eq!(rig.counts(other, "q~1"), (0, 0));
    rig.requeue(asks, 1);
    rig.hears_nothing(asks);
    assert_eq!(rig.counts(other, "q~1"), (1, 0));
}

/// A proposal of node 2 that shard 0 routes to; its home has not heard that it stands.
fn proposed(rig: &mut Rig, ulid: u128) -> QueueRecord {
    let definition = QueueDefinition::new(Name::new("/"), Name::new("p")).into();
    let (id, home) = (QueueId { generation: 0, ulid: Ulid(ulid) }, at(2, 0));
    let record = QueueRecord { definition, id, home, epoch: 0 };
    rig.held_mail.insert(at(2, 0));
    announce(rig, &Change::PutQueue(record.clone()));
    record
}

#[test]
fn who_asks_for_a_proposal_that_is_withdrawn_is_answered_by_its_rival_if_there_is_one() {
    for rival in [true, false] {
        let mut rig = Rig::new(&[1, 1]);
        let asks = rig.connect(at(1, 0));
        let withdrawn = proposed(&mut rig, 9);
        rig.client(asks).says(1, QueueDeclare { queue: b"p", passive: true, ..Default::default() });
        rig.hears_nothing(asks);
        if rival {
            announce(
                &mut rig,
                &Change::PutQueue(QueueRecord {
                    id: QueueId { generation: 0, ulid: Ulid(5) },
                    ..withdrawn.clone()
                }),
            );
        }
        announce(&mut rig, &Change::WithdrawQueue { id: withdrawn.id });
        if rival {
            rig.hears_nothing(asks);
            rig.held_mail.clear();
            rig.hears(asks, &Heard::Declared { messages: 0, consumers: 0 });
        } else {
            let gone = Heard::ChannelClose(404, "NOT_FOUND - no queue 'p' in vhost '/'".into());
            rig.hears(asks, &gone);
        }
    }
}
