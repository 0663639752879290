//! The directory reaches one shard later than another.

use std::time::Duration;

use leveret_model::definition::QueueDefinition;
use leveret_model::directory::{Change, QueueRecord};
use leveret_model::{Name, QueueId, Ulid};

use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

/// Queue `q` at home on a shard that has not heard of it yet; all others have.
fn unheard() -> (Rig, ClientId, QueueId) {
    let mut rig = Rig::new(&[2, 1]);
    let client = rig.connect(at(2, 0));
    let id = QueueId { generation: 0, ulid: Ulid(9) };
    rig.held_mail.insert(at(1, 1));
    let record = QueueRecord {
        definition: QueueDefinition::new(Name::new("/"), Name::new("q")).into(),
        id,
        home: at(1, 1),
        epoch: 0,
    };
    for (to, mail) in rig.control.announce(&Change::PutQueue(record)) {
        rig.tell(to, mail);
    }
    rig.run();
    (rig, client, id)
}

#[test]
fn a_publish_to_a_home_that_does_not_know_yet_is_never_confirmed_for_nothing() {
    let (mut rig, client, _) = unheard();
    rig.confirms(client);
    for body in ["1", "2"] {
        rig.publish(client, "q", body);
        rig.run();
    }
    rig.hears_nothing(client);
    rig.held_mail.clear();
    rig.hears(client, &Heard::Confirm { number: 2, multiple: true, ok: true });
    rig.publish(client, "q", "3");
    rig.heard(client);
    rig.consume(client, "q", "c", true);
    assert_eq!(rig.bodies(client), ["1", "2", "3"]);
}

#[test]
fn a_publish_to_a_home_that_never_hears_is_nacked() {
    let (mut rig, client, _) = unheard();
    rig.confirms(client);
    rig.publish(client, "q", "1");
    rig.pass(Duration::from_secs(2));
    rig.hears(client, &Heard::Confirm { number: 1, multiple: false, ok: false });
}

#[test]
fn requests_to_a_home_that_does_not_know_yet_wait_for_it() {
    let (mut rig, client, _) = unheard();
    let getter = rig.connect(at(1, 0));
    rig.says_consume(client, "q", "c", false);
    rig.says_get(getter, "q", true);
    rig.hears_nothing(client);
    rig.hears_nothing(getter);
    rig.held_mail.clear();
    rig.hears(client, &Heard::Consuming("c".into()));
    rig.hears(getter, &Heard::Empty);
    rig.publish(getter, "q", "m");
    assert_eq!(rig.bodies(client), ["m"]);
}

#[test]
fn a_consumer_that_ended_before_its_home_knew_never_comes() {
    let (mut rig, client, _) = unheard();
    rig.says_consume(client, "q", "c", false);
    rig.run();
    rig.lose(client);
    rig.run();
    rig.held_mail.clear();
    rig.run();
    let other = rig.connect(at(1, 0));
    assert_eq!(rig.counts(other, "q"), (0, 0));
}

/// The home has dropped it, the ingress has not heard: what is on its way is answered as not matched.
#[test]
fn what_comes_too_late_for_a_queue_is_gone() {
    let mut rig = Rig::new(&[2]);
    let (home, away) = (rig.connect(at(1, 1)), rig.connect(at(1, 0)));
    rig.declare(home, "q");
    rig.confirms(away);
    let id = rig.control.queues["q"].id;
    rig.held_mail.insert(at(1, 0));
    for (to, mail) in rig.control.announce(&Change::DropQueue { id }) {
        rig.tell(to, mail);
    }
    rig.run();
    rig.publish(away, "q", "late");
    rig.hears(away, &Heard::Confirm { number: 1, multiple: false, ok: true });
    rig.says_get(away, "q", false);
    assert!(matches!(rig.one(away), Heard::ChannelClose(404, _)));
}

/// A proposal that was withdrawn at its home; the ingress has not heard: nobody may say that the queue was
/// deleted.
#[test]
fn what_comes_too_late_for_a_withdrawn_queue_is_not_confirmed() {
    let mut rig = Rig::new(&[2]);
    let (home, away) = (rig.connect(at(1, 1)), rig.connect(at(1, 0)));
    rig.declare(home, "q");
    rig.confirms(away);
    let id = rig.control.queues["q"].id;
    rig.held_mail.insert(at(1, 0));
    for (to, mail) in rig.control.announce(&Change::WithdrawQueue { id }) {
        rig.tell(to, mail);
    }
    rig.run();
    rig.publish(away, "q", "late");
    rig.hears_nothing(away);
    rig.held_mail.clear();
    rig.hears(away, &Heard::Confirm { number: 1, multiple: false, ok: false });
}
