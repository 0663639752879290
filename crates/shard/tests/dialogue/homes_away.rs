//! The home of a durable queue is Down and may be back on its disk in a moment: publishes wait for it.

use std::time::Duration;

use leveret_model::directory::Change;
use leveret_model::limits;
use leveret_wire::method::QueueDeclare;

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// A durable queue on node 2, a publisher on node 1, and one at home.
fn with_home() -> (Rig, ClientId, ClientId) {
    let mut rig = Rig::new(&[1, 1]);
    let (home, publisher) = (rig.connect(at(2, 0)), rig.connect(at(1, 0)));
    rig.client(home).says(1, QueueDeclare { queue: b"q", durable: true, ..Default::default() });
    rig.hears(home, &Heard::Declared { messages: 0, consumers: 0 });
    rig.bind(home, "q", "amq.fanout", "");
    rig.confirms(publisher);
    (rig, home, publisher)
}

/// Node 1 hears it: node 2 knows better.
fn tell(rig: &mut Rig, change: &Change) {
    for (to, mail) in rig.control.announce(change) {
        if to.node == at(1, 0).node {
            rig.tell(to, mail);
        }
    }
    rig.run();
}

fn mask(rig: &mut Rig) {
    let id = rig.control.queues["q"].id;
    tell(rig, &Change::MaskQueue { id });
}

fn unmask(rig: &mut Rig) {
    let id = rig.control.queues["q"].id;
    tell(rig, &Change::UnmaskQueue { id });
}

fn confirm(number: u64, ok: bool) -> Heard {
    Heard::Confirm { number, multiple: false, ok }
}

#[test]
fn a_publish_waits_until_the_home_is_back() {
    for exchange in ["", "amq.fanout"] {
        let (mut rig, home, publisher) = with_home();
        mask(&mut rig);
        rig.client(publisher).publishes(1, (exchange, "q"), true, b"held");
        rig.hears_nothing(publisher);
        rig.pass(Duration::from_millis(1_900));
        rig.hears_nothing(publisher);
        unmask(&mut rig);
        rig.hears(publisher, &confirm(1, true));
        assert_eq!(rig.counts(home, "q").0, 1);
    }
}

#[test]
fn a_publish_that_waited_too_long_is_nacked() {
    let (mut rig, home, publisher) = with_home();
    mask(&mut rig);
    rig.publish(publisher, "q", "held");
    rig.pass(limits::PUBLISH_WAIT);
    rig.hears(publisher, &confirm(1, false));
    unmask(&mut rig);
    assert_eq!(rig.counts(home, "q").0, 0);
}

#[test]
fn nobody_waits_for_a_home_that_is_away_for_long() {
    let (mut rig, _, publisher) = with_home();
    mask(&mut rig);
    rig.pass(limits::HOME_BACK_WAIT);
    rig.publish(publisher, "q", "lost");
    rig.hears(publisher, &confirm(1, true));
}

#[test]
fn a_publish_that_misses_no_home_does_not_wait() {
    let (mut rig, home, publisher) = with_home();
    rig.declare(home, "other");
    mask(&mut rig);
    rig.publish(publisher, "other", "now");
    rig.hears(publisher, &confirm(1, true));
}
