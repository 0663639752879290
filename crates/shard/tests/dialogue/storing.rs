//! Confirms of persistent messages in durable queues: none comes before the store has what it promises, and all
//! that the store has is told to it: here, over a ring, over a link.

use leveret_model::Value;
use leveret_shard::StoreLeft;
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, Table};

use crate::limits::{confirmed, table, text};
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const PLACES: [(u128, u8); 3] = [(1, 0), (1, 1), (2, 0)];

/// A durable queue.
pub(crate) fn declare_durable(rig: &mut Rig, id: ClientId, queue: &str, arguments: &[(&str, Value)]) {
    let arguments = table(arguments);
    let (queue, arguments) = (queue.as_bytes(), Table(&arguments));
    rig.client(id).says(1, QueueDeclare { queue, durable: true, arguments, ..Default::default() });
    rig.hears(id, &Heard::Declared { messages: 0, consumers: 0 });
}

/// A durable queue of these arguments at home on node 1, shard 0; a client there, and a publisher on each kind
/// of place.
fn each_place(arguments: &[(&str, Value)], test: impl Fn(&mut Rig, ClientId, ClientId)) {
    for (node, shard) in PLACES {
        let mut rig = Rig::with_stores(&[2, 1]);
        let (home, client) = (rig.connect(at(1, 0)), rig.connect(at(node, shard)));
        declare_durable(&mut rig, home, "q", arguments);
        rig.confirms(client);
        test(&mut rig, home, client);
    }
}

/// A persistent message to `q`; nothing is run.
pub(crate) fn publish(rig: &mut Rig, id: ClientId, headers: &[(&str, Value)], body: &str) {
    let headers = table(headers);
    let properties =
        BasicProperties { delivery_mode: Some(2), headers: Some(Table(&headers)), ..Default::default() };
    rig.client(id).publishes_with(1, ("", "q"), false, &properties, body.as_bytes());
}

#[test]
fn a_duplicate_is_confirmed_with_its_original() {
    each_place(&[("x-message-deduplication", Value::Bool(true))], |rig, home, client| {
        let same = [("x-deduplication-header", text("same"))];
        publish(rig, client, &same, "first");
        assert_eq!(confirmed(rig, client), []);
        // in a later turn, in the same one, and from another client
        publish(rig, client, &same, "again");
        publish(rig, client, &[], "other");
        publish(rig, client, &same, "and again");
        rig.confirms(home);
        publish(rig, home, &same, "here too");
        assert_eq!(confirmed(rig, home), []);
        assert_eq!(confirmed(rig, client), []);
        rig.sync(at(1, 0));
        assert_eq!(confirmed(rig, client), [(1, true), (2, true), (3, true), (4, true)]);
        assert_eq!(confirmed(rig, home), [(1, true)]);
        // nothing is under way: the queue has it, and the disk too
        publish(rig, client, &same, "late");
        assert_eq!(confirmed(rig, client), [(5, true)]);
        // a transient one is promised nothing
        let fresh = [("x-deduplication-header", text("fresh"))];
        publish(rig, client, &fresh, "to be stored");
        rig.run();
        let headers = table(&fresh);
        let transient = BasicProperties { headers: Some(Table(&headers)), ..Default::default() };
        rig.client(home).publishes_with(1, ("", "q"), false, &transient, b"transient");
        assert_eq!(confirmed(rig, home), [(2, true)]);
        assert_eq!(confirmed(rig, client), []);
        rig.sync(at(1, 0));
        assert_eq!(confirmed(rig, client), [(6, true)]);
    });
}

/// It is written all the same: what leaves at once may be a dead letter, and a confirm says what it always
/// says.
#[test]
fn a_message_that_leaves_on_arrival_is_confirmed_by_the_store_and_taken_from_it() {
    let none = [("x-max-length", Value::I32(0))];
    let late = [("x-message-ttl", Value::I32(0))];
    for arguments in [none, late] {
        each_place(&arguments, |rig, home, client| {
            publish(rig, client, &[], "gone");
            assert_eq!(confirmed(rig, client), []);
            assert_eq!(rig.counts(home, "q"), (0, 0));
            let requests = rig.sync(at(1, 0));
            let appended: Vec<_> = requests.iter().flat_map(|all| &all.appends).collect();
            let left: Vec<_> = requests.iter().flat_map(|all| &all.left).collect();
            let [append] = appended[..] else { panic!("{appended:?}") };
            assert_eq!(left, [&StoreLeft::Message { queue: append.queue, position: append.position }]);
            assert_eq!(confirmed(rig, client), [(1, true)]);
        });
    }
}

#[test]
fn a_refused_publish_is_nacked_behind_what_the_store_still_has_to_write() {
    let arguments = [("x-max-length", Value::I32(1)), ("x-overflow", text("reject-publish"))];
    each_place(&arguments, |rig, _, client| {
        publish(rig, client, &[], "first");
        publish(rig, client, &[], "refused");
        let early = confirmed(rig, client);
        assert!(!early.contains(&(1, true)) && !early.contains(&(2, true)), "{early:?}");
        let appended: usize = rig.sync(at(1, 0)).iter().map(|all| all.appends.len()).sum();
        assert_eq!(appended, 1, "what is refused is not written");
        let mut all = early;
        all.extend(confirmed(rig, client));
        all.sort_unstable();
        assert_eq!(all, [(1, true), (2, false)]);
    });
}

#[test]
fn what_dies_on_arrival_stays_in_its_source_until_its_target_has_synced_it() {
    let arguments = [
        ("x-message-ttl", Value::I32(0)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("dead")),
    ];
    each_place(&arguments, |rig, home, client| {
        declare_durable(rig, client, "dead", &[]);
        publish(rig, client, &[], "letter");
        rig.run();
        let target = rig.control.queues["dead"].home;
        let left = |rig: &Rig| rig.unsynced(at(1, 0)).iter().map(|all| all.left.len()).sum::<usize>();
        assert_eq!(left(rig), 0);
        assert_eq!(confirmed(rig, client), []);
        rig.sync(at(1, 0));
        assert_eq!(confirmed(rig, client), [(1, true)]);
        if target != at(1, 0) {
            assert_eq!(left(rig), 0);
            rig.sync(target);
        }
        rig.run();
        assert_eq!(left(rig), 1, "at {target:?}");
        assert_eq!(rig.counts(home, "dead"), (1, 0));
    });
}
