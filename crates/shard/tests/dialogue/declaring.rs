//! A declare that creates is answered by a queue, whoever deletes that meanwhile.

use leveret_model::directory::{Change, Reply, ToShard};
use leveret_model::{Name, QueueId, RequestId, Ulid, limits};
use leveret_wire::method::*;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

fn says_declare(rig: &mut Rig, id: ClientId, passive: bool) {
    rig.client(id).says(1, QueueDeclare { queue: b"q", passive, ..Default::default() });
    rig.run();
}

fn says_delete(rig: &mut Rig, id: ClientId) {
    rig.client(id).says(1, QueueDelete { queue: b"q", ..Default::default() });
    rig.run();
}

/// The new queue lives where it was declared last.
fn is_made_anew(rig: &mut Rig, by: ClientId) {
    let heard = rig.one(by);
    assert_eq!(heard, Heard::Declared { messages: 0, consumers: 0 });
    assert_eq!(rig.control.queues["q"].home, at(1, 0));
    rig.publish(by, "q", "m");
    rig.run();
    assert_eq!(rig.counts(by, "q"), (1, 0));
}

#[test]
fn a_declare_whose_question_was_under_way_at_the_deletion_creates() {
    let mut rig = Rig::new(&[2]);
    let (home, away, asks) = (rig.connect(at(1, 1)), rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    rig.declare(home, "q");
    rig.publish(home, "q", "old");
    rig.held_wires.insert((at(1, 0), at(1, 1)));
    says_declare(&mut rig, away, false);
    says_declare(&mut rig, asks, true);
    says_delete(&mut rig, home);
    is_made_anew(&mut rig, away);
    // who only asked is told
    let gone = Heard::ChannelClose(404, "NOT_FOUND - no queue 'q' in vhost '/'".into());
    rig.hears(asks, &gone);
    // the question to the old home comes too late, and its answer finds nobody
    rig.held_wires.clear();
    rig.hears_nothing(away);
}

#[test]
fn a_declare_that_the_home_refuses_before_the_map_changes_creates() {
    let mut rig = Rig::new(&[2]);
    let (home, away) = (rig.connect(at(1, 1)), rig.connect(at(1, 0)));
    rig.declare(home, "q");
    rig.held_wires.insert((at(1, 0), at(1, 1)));
    says_declare(&mut rig, away, false);
    rig.held_mail.insert(at(1, 0));
    says_delete(&mut rig, home);
    rig.held_wires.clear();
    rig.hears_nothing(away);
    rig.held_mail.clear();
    is_made_anew(&mut rig, away);
}

#[test]
fn a_declare_whose_answer_names_a_queue_that_is_gone_creates() {
    let mut rig = Rig::new(&[1]);
    let a = rig.connect(at(1, 0));
    rig.declare(a, "q");
    let record = Box::new(rig.control.queues["q"].clone());
    says_delete(&mut rig, a);
    rig.heard(a);
    rig.control.deaf = true;
    says_declare(&mut rig, a, false);
    rig.control.deaf = false;
    // its third request
    let reply = Reply::Queue { record, created: false };
    rig.tell(at(1, 0), ToShard::Reply { request: RequestId(3), reply });
    is_made_anew(&mut rig, a);
}

pub(crate) fn announce(rig: &mut Rig, change: &Change) {
    for (to, mail) in rig.control.announce(change) {
        rig.tell(to, mail);
    }
}

/// Two lives of the name meet (R3): the one that everybody knows loses to one of node 2, with a message in it.
pub(crate) fn a_rival_wins(rig: &mut Rig) {
    let loser = rig.control.queues["q"].clone();
    let mut winner = loser.clone();
    (winner.id, winner.home) = (QueueId { generation: 0, ulid: Ulid(0) }, at(2, 0));
    announce(rig, &Change::PutQueue(winner.clone()));
    announce(rig, &Change::MaskQueue { id: loser.id });
    rig.control.queues.insert(Name::new("q"), winner);
    let publisher = rig.connect(at(2, 0));
    rig.publish(publisher, "q", "m");
    rig.run();
}

/// A queue of shard 1, and two that wait for it on shard 0: one declares it, one asks whether it is there.
fn two_that_wait(rig: &mut Rig) -> [ClientId; 2] {
    let (home, declares, asks) = (rig.connect(at(1, 1)), rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    rig.declare(home, "q");
    rig.held_wires.insert((at(1, 0), at(1, 1)));
    says_declare(rig, declares, false);
    says_declare(rig, asks, true);
    [declares, asks]
}

#[test]
fn a_declare_that_waits_for_the_loser_of_a_merge_is_answered_by_the_winner() {
    let mut rig = Rig::new(&[2, 1]);
    let waiting = two_that_wait(&mut rig);
    rig.held_wires.insert((at(1, 0), at(2, 0)));
    a_rival_wins(&mut rig);
    waiting.into_iter().for_each(|id| rig.hears_nothing(id));
    rig.held_wires.remove(&(at(1, 0), at(2, 0)));
    for id in waiting {
        rig.hears(id, &Heard::Declared { messages: 1, consumers: 0 });
    }
    // what the loser says comes too late
    rig.held_wires.clear();
    waiting.into_iter().for_each(|id| rig.hears_nothing(id));
}

#[test]
fn a_declare_that_waits_for_the_loser_when_that_is_renamed_is_answered_by_the_winner() {
    let mut rig = Rig::new(&[2, 1]);
    let waiting = two_that_wait(&mut rig);
    let renamed = rig.control.queues["q"].renamed(Name::new("q~1"));
    let mut winner = rig.control.queues["q"].clone();
    (winner.id, winner.home) = (QueueId { generation: 0, ulid: Ulid(0) }, at(2, 0));
    rig.control.queues.insert(Name::new("q"), winner.clone());
    announce(&mut rig, &Change::PutQueue(winner));
    announce(&mut rig, &Change::PutQueue(renamed));
    for id in waiting {
        rig.hears(id, &Heard::Declared { messages: 0, consumers: 0 });
    }
}

#[test]
fn of_those_that_wait_for_a_home_that_goes_down_who_declares_asks_the_map_again() {
    let mut rig = Rig::new(&[2, 1]);
    let [declares, asks] = two_that_wait(&mut rig);
    // asked again, the map has its name free in time
    let id = rig.control.queues.remove("q").expect("it is declared").id;
    announce(&mut rig, &Change::MaskQueue { id });
    let Heard::ChannelClose(404, text) = rig.one(asks) else { panic!("404") };
    assert!(text.contains("of queue 'q' in vhost '/' is down or inaccessible"), "{text}");
    rig.hears(declares, &Heard::Declared { messages: 0, consumers: 0 });
    assert_eq!(rig.control.queues["q"].home, at(1, 0));
}

#[test]
fn what_nobody_waits_for_any_more_is_taken_back_from_the_control_machine() {
    let mut rig = Rig::new(&[1]);
    let (lost, closing, late) = (rig.connect(at(1, 0)), rig.connect(at(1, 0)), rig.connect(at(1, 0)));
    rig.control.deaf = true;
    for id in [lost, closing, late] {
        says_declare(&mut rig, id, false);
    }
    assert_eq!(rig.control.forgotten, []);
    rig.lose(lost);
    rig.client(closing).says(0, ConnectionClose { reply_code: 200, ..Default::default() });
    rig.run();
    assert_eq!(rig.control.forgotten, [(at(1, 0), RequestId(1))]);
    // a close counts behind what was said before, for its time
    rig.pass(limits::LEAVE_WAIT);
    assert_eq!(rig.control.forgotten, [1, 2].map(|request| (at(1, 0), RequestId(request))));
    rig.pass(limits::OPERATION_WAIT - limits::LEAVE_WAIT);
    assert!(matches!(rig.one(late), Heard::ChannelClose(405, _)));
    assert_eq!(rig.control.forgotten.last(), Some(&(at(1, 0), RequestId(3))));
    // an answer that crosses it finds nobody
    for request in 1..=3 {
        rig.tell(at(1, 0), ToShard::Reply { request: RequestId(request), reply: Reply::Done });
    }
    rig.hears_nothing(late);
}
