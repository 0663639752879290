//! Direct reply-to: replies find the channel that asked, on the same shard, on another one, on another node.

use std::time::Duration;

use leveret_model::directory::ToShard;
use leveret_model::{ReplyAddress, ReplySecret, ShardAddress, Value, limits};
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, Table};

use crate::exchanges::table;
use crate::rig::client::Heard;
use crate::rig::{ClientId, Rig, at};

const PSEUDO: &str = "amq.rabbitmq.reply-to";

fn asks() -> BasicProperties<'static> {
    BasicProperties { reply_to: Some(PSEUDO.as_bytes()), ..Default::default() }
}

/// Clients at three places, the first of which asked the others, and the address that they heard.
fn asked(requester: ShardAddress, replier: ShardAddress) -> (Rig, ClientId, ClientId, String) {
    let mut rig = Rig::new(&[2, 1]);
    let (a, b) = (rig.connect(requester), rig.connect(replier));
    rig.declare(b, "q");
    let address = ask(&mut rig, a, b);
    (rig, a, b, address)
}

/// The first consumes replies and asks the second.
fn ask(rig: &mut Rig, a: ClientId, b: ClientId) -> String {
    rig.consume(a, PSEUDO, "t", true);
    rig.client(a).publishes_with(1, ("", "q"), false, &asks(), b"request");
    rig.run();
    rig.says_get(b, "q", true);
    assert!(matches!(rig.one(b), Heard::Got { .. }));
    rig.client(b).last_reply_to.clone()
}

fn places() -> [(ShardAddress, ShardAddress); 3] {
    [(at(1, 0), at(1, 0)), (at(1, 0), at(1, 1)), (at(1, 1), at(2, 0))]
}

fn declares(rig: &mut Rig, id: ClientId, queue: &str, passive: bool) -> Heard {
    rig.client(id).says(1, QueueDeclare { queue: queue.as_bytes(), passive, ..Default::default() });
    rig.one(id)
}

fn is_missing(heard: &Heard) -> bool {
    matches!(heard, Heard::ChannelClose(404, text) if text.contains("no queue 'amq.rabbitmq.reply-to."))
}

#[test]
fn a_reply_reaches_the_channel_that_asked_wherever_it_is() {
    for (requester, replier) in places() {
        let (mut rig, a, b, address) = asked(requester, replier);
        rig.confirms(b);
        let large = vec![7; 3 * limits::SLICE_BYTES_MIN];
        for (number, body) in [(1, &b"answer"[..]), (2, &large)] {
            rig.client(b).publishes(1, ("", &address), true, body);
            rig.hears(b, &Heard::Confirm { number, multiple: false, ok: true });
            let (consumer, body) = ("t".into(), body.to_vec());
            rig.hears(a, &Heard::Deliver { channel: 1, consumer, tag: number, redelivered: false, body });
        }
        let traffic = rig.shard(requester).report().traffic;
        assert_eq!((traffic.replies, traffic.replies_dropped), (2, 0));
    }
}

#[test]
fn whether_an_address_is_there_is_known_everywhere() {
    for (requester, replier) in places() {
        let (mut rig, a, b, address) = asked(requester, replier);
        for passive in [true, false] {
            assert_eq!(
                declares(&mut rig, b, &address, passive),
                Heard::Declared { messages: 0, consumers: 1 }
            );
            assert_eq!(declares(&mut rig, b, PSEUDO, passive), Heard::Declared { messages: 0, consumers: 1 });
        }
        rig.says_cancel(a, "t");
        rig.hears(a, &Heard::CancelOk("t".into()));
        assert!(is_missing(&declares(&mut rig, b, &address, true)));
    }
}

#[test]
fn nobody_else_may_consume_from_an_address() {
    for (requester, replier) in places() {
        let (mut rig, a, b, address) = asked(requester, replier);
        let other = rig.connect(replier);
        rig.says_consume(other, &address, "mine", true);
        let text = format!(
            "PRECONDITION_FAILED - only creator channel may consume from queue '{address}' in vhost '/'"
        );
        rig.hears(other, &Heard::ChannelClose(406, text));
        rig.lose(a);
        rig.says_consume(b, &address, "mine", true);
        assert!(is_missing(&rig.one(b)));
    }
}

/// RabbitMQ: the publisher cannot tell that the requester is gone.
#[test]
fn a_reply_to_who_is_gone_is_confirmed_and_dropped() {
    for (requester, replier) in places() {
        let (mut rig, a, b, address) = asked(requester, replier);
        rig.lose(a);
        rig.confirms(b);
        rig.client(b).publishes(1, ("", &address), true, b"answer");
        rig.hears(b, &Heard::Confirm { number: 1, multiple: false, ok: true });
        assert_eq!(rig.shard(requester).report().traffic.replies_dropped, 1);
    }
}

#[test]
fn a_later_consumer_has_another_address_and_gets_no_replies_to_the_old_one() {
    let (mut rig, a, b, old) = asked(at(1, 0), at(2, 0));
    rig.says_cancel(a, "t");
    rig.hears(a, &Heard::CancelOk("t".into()));
    let new = ask(&mut rig, a, b);
    assert_ne!(old, new);
    rig.publish(b, &old, "late");
    rig.publish(b, &new, "answer");
    assert_eq!(rig.bodies(a), ["answer"]);
}

/// Made up, or of a node that is gone: no error, and the truth that nobody gets it.
#[test]
fn a_made_up_address_is_unroutable() {
    let (mut rig, _, b, address) = asked(at(1, 0), at(1, 1));
    let of = |at| ReplyAddress { at, secret: ReplySecret(1) }.to_name().to_string();
    rig.confirms(b);
    let longer = format!("{address}0");
    let nowhere = [&longer, "amq.rabbitmq.reply-to.", PSEUDO, &of(at(9, 0)), &of(at(1, 2)), &of(at(2, 1))];
    for (number, key) in (1..).zip(nowhere) {
        rig.client(b).publishes(1, ("", key), true, b"m");
        let returned = Heard::Return { code: 312, body: b"m".to_vec() };
        assert_eq!(rig.heard(b), [returned, Heard::Confirm { number, multiple: false, ok: true }], "{key}");
    }
    // right but for its secret: its shard drops it
    rig.client(b).publishes(1, ("", &of(at(1, 0))), true, b"m");
    rig.hears(b, &Heard::Confirm { number: 7, multiple: false, ok: true });
    assert_eq!(rig.shard(at(1, 0)).report().traffic.replies_dropped, 1);
    assert_eq!(rig.shard(at(1, 1)).report().traffic.unroutable, 0, "they were mandatory");
}

/// A cut is over soon, or the node is Down: until then the reply waits.
#[test]
fn a_reply_waits_for_a_link_and_not_for_a_node_that_is_down() {
    let (mut rig, a, b, address) = asked(at(1, 0), at(2, 0));
    rig.confirms(b);
    rig.cut(1, 2);
    rig.client(b).publishes(1, ("", &address), true, b"answer");
    rig.hears_nothing(b);
    rig.heal(1, 2);
    rig.hears(b, &Heard::Confirm { number: 1, multiple: false, ok: true });
    assert_eq!(rig.bodies(a), ["answer"]);
    rig.cut(1, 2);
    rig.client(b).publishes(1, ("", &address), true, b"again");
    rig.hears_nothing(b);
    rig.tell_node(2, &ToShard::NodeDown { node: at(1, 0).node });
    let returned = Heard::Return { code: 312, body: b"again".to_vec() };
    assert_eq!(rig.heard(b), [returned, Heard::Confirm { number: 2, multiple: false, ok: true }]);
    rig.heal(1, 2);
    rig.client(b).publishes(1, ("", &address), true, b"third");
    rig.hears(b, &Heard::Confirm { number: 3, multiple: false, ok: true });
    assert_eq!(rig.bodies(a), ["third"]);
}

#[test]
fn the_question_for_an_address_is_asked_again_over_a_new_link() {
    let (mut rig, _, b, address) = asked(at(1, 0), at(2, 0));
    rig.cut(1, 2);
    rig.client(b).says(1, QueueDeclare { queue: address.as_bytes(), passive: true, ..Default::default() });
    rig.hears_nothing(b);
    rig.heal(1, 2);
    rig.hears(b, &Heard::Declared { messages: 0, consumers: 1 });
}

/// P9: a requester that reads nothing costs its node a bounded amount of memory.
#[test]
fn replies_to_who_does_not_read_are_dropped_beyond_a_bound() {
    for stopped in [false, true] {
        let (mut rig, a, b, address) = asked(at(1, 0), at(1, 0));
        if stopped {
            rig.client(a).says(1, ChannelFlow { active: false });
            rig.hears(a, &Heard::Method("channel.flow-ok"));
        } else {
            rig.client(a).takes = 0;
        }
        let body = vec![1; 1024 * 1024];
        let fit = limits::REPLIES_UNREAD_BYTES_MAX / body.len() + 1;
        for _ in 0..fit + 5 {
            rig.client(b).publishes(1, ("", &address), false, &body);
            rig.run();
        }
        let traffic = rig.shard(at(1, 0)).report().traffic;
        assert!(traffic.replies as usize <= fit, "{traffic:?}");
        assert!(traffic.replies_dropped >= 5);
        if stopped {
            rig.client(a).says(1, ChannelFlow { active: true });
        } else {
            rig.client(a).takes = usize::MAX;
            rig.client(a).unwritten = true;
        }
        let got = rig.heard(a).iter().filter(|heard| matches!(heard, Heard::Deliver { .. })).count();
        assert_eq!(got, traffic.replies as usize);
    }
}

/// Replies to a shard that takes none are held, and time ends that for each.
#[test]
fn replies_that_find_no_room_are_held_and_given_up() {
    let (mut rig, a, b, address) = asked(at(1, 0), at(2, 0));
    rig.confirms(b);
    rig.held_wires.insert((at(2, 0), at(1, 0)));
    let body = vec![1; 1024 * 1024];
    let fit = (limits::FORWARD_BYTES_MAX + limits::REPLIES_WAITING_BYTES_MAX) as usize / body.len() + 1;
    for _ in 0..fit + 2 {
        rig.client(b).publishes(1, ("", &address), false, &body);
        rig.run();
    }
    let confirmed = rig.heard(b).len();
    assert!(confirmed <= fit, "{confirmed} of {fit} found room");
    rig.held_wires.clear();
    assert_eq!(rig.heard(b).len(), fit + 2 - confirmed, "they go when there is room again");
    assert_eq!(rig.bodies(a).len(), fit + 2);
    rig.held_wires.insert((at(2, 0), at(1, 0)));
    for _ in 0..fit + 2 {
        rig.client(b).publishes(1, ("", &address), false, &body);
        rig.run();
    }
    rig.heard(b);
    rig.pass(Duration::from_secs(3));
    let given_up = rig.heard(b);
    assert!(given_up.iter().any(|heard| matches!(heard, Heard::Confirm { ok: false, .. })), "{given_up:?}");
}

#[test]
fn an_address_among_the_further_keys_gets_the_message_once() {
    for (requester, replier) in places() {
        let (mut rig, a, b, address) = asked(requester, replier);
        let further = table(&[("CC", Value::Array(vec![Value::LongString(address.as_bytes().into())]))]);
        let properties = BasicProperties { headers: Some(Table(&further)), ..Default::default() };
        rig.confirms(b);
        for (number, (exchange, key)) in (1..).zip([("", "nowhere"), ("", "q")]) {
            rig.client(b).publishes_with(1, (exchange, key), true, &properties, b"answer");
            rig.hears(b, &Heard::Confirm { number, multiple: false, ok: true });
            assert_eq!(rig.bodies(a), ["answer"]);
        }
        // addresses are keys of the default exchange alone
        rig.client(b).publishes_with(1, ("amq.direct", &address), true, &properties, b"answer");
        assert!(matches!(rig.heard(b)[..], [Heard::Return { .. }, Heard::Confirm { .. }]));
        rig.hears_nothing(a);
    }
}
