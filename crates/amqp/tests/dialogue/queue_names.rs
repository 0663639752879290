//! Queues that the server names, and the empty name, which stands for the last queue that the channel declared
//! (AMQP 0-9-1 §1.7.2; RabbitMQ: `rabbit_channel:expand_shortcuts/2`).

use leveret_amqp::host::{Answer, Operation};
use leveret_model::{Name, ReplyCode};
use leveret_wire::Method;
use leveret_wire::method::*;

use crate::support::Talk;

const EMPTY: Answer<'static> = Answer::Queue { messages: 0, consumers: 0 };

fn declares(talk: &mut Talk, queue: &[u8]) -> Operation {
    talk.says(1, QueueDeclare { queue, exclusive: true, ..Default::default() });
    let (channel, operation) = talk.asked();
    talk.answers(channel, EMPTY);
    operation
}

#[test]
fn the_host_names_a_queue_that_has_no_name() {
    let mut talk = Talk::on_channel_1();
    for queue in [&b"amq.gen-1"[..], b"amq.gen-2"] {
        let Operation::QueueDeclareServerNamed(definition) = declares(&mut talk, b"") else { panic!() };
        assert_eq!(definition.name.as_bytes(), queue);
        assert_eq!(definition.exclusive.map(|owner| owner.connection), Some(talk.connection.key()));
        talk.hears(1, QueueDeclareOk { queue, message_count: 0, consumer_count: 0 });
    }
}

/// RabbitMQ 3.10.8 and 4.3.6: a passive declare without a name finds no queue.
#[test]
fn a_passive_declare_without_a_name_asks_for_no_queue() {
    let mut talk = Talk::on_channel_1();
    declares(&mut talk, b"q");
    talk.says(1, QueueDeclare { passive: true, ..Default::default() });
    assert_eq!(talk.asked().1, Operation::QueueDeclarePassive { name: Name::default() });
}

/// The name of the queue that a method on channel 1 is about.
fn queue_of(talk: &mut Talk, method: Method<'_>) -> Name {
    talk.says(1, method);
    let (channel, operation) = talk.asked();
    let (name, answer) = match operation {
        Operation::QueueBind(bind) | Operation::QueueUnbind(bind) => (bind.destination, Answer::Done),
        Operation::QueuePurge { name } | Operation::QueueDelete { name, .. } => (name, Answer::Messages(0)),
        Operation::Get { queue, .. } => (queue, Answer::Empty),
        Operation::Consume { queue, .. } => (queue, Answer::Done),
        other => panic!("{other:?}"),
    };
    talk.answers(channel, answer);
    name
}

fn methods_without_a_name() -> [(Method<'static>, (u16, u16)); 6] {
    let (exchange, routing_key) = (b"x", b"k");
    [
        (QueueBind { exchange, routing_key, ..Default::default() }.into(), (50, 20)),
        (QueueUnbind { exchange, routing_key, ..Default::default() }.into(), (50, 50)),
        (QueuePurge::default().into(), (50, 30)),
        (BasicGet::default().into(), (60, 70)),
        (BasicConsume::default().into(), (60, 20)),
        (QueueDelete::default().into(), (50, 40)),
    ]
}

#[test]
fn an_empty_name_stands_for_the_last_queue_that_was_declared() {
    let mut talk = Talk::on_channel_1();
    for (queue, last) in [(&b"one"[..], "one"), (b"", "amq.gen-1"), (b"two", "two")] {
        declares(&mut talk, queue);
        for (method, _) in methods_without_a_name() {
            assert_eq!(&*queue_of(&mut talk, method), last);
        }
    }
    // a passive declare counts, a refused one does not
    talk.says(1, QueueDeclare { queue: b"seen", passive: true, no_wait: true, ..Default::default() });
    let (channel, _) = talk.asked();
    talk.answers(channel, EMPTY);
    assert_eq!(&*queue_of(&mut talk, QueuePurge::default().into()), "seen");
}

#[test]
fn an_empty_name_stands_for_nothing_before_a_declare() {
    for (method, id) in methods_without_a_name() {
        let mut talk = Talk::on_channel_1();
        talk.says(1, method);
        talk.hears_channel_close(1, 404, id, "NOT_FOUND - no previously declared queue");
    }
    // of this channel, not of another
    let mut talk = Talk::on_channel_1();
    declares(&mut talk, b"q");
    talk.says(2, ChannelOpen);
    talk.all_frames();
    talk.says(2, QueuePurge::default());
    talk.hears_channel_close(2, 404, (50, 30), "NOT_FOUND - no previously declared queue");
}

#[test]
fn a_refused_declare_is_not_the_last_one() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueueDeclare { queue: b"q", ..Default::default() });
    let (channel, _) = talk.asked();
    talk.refuses(channel, ReplyCode::PreconditionFailed, "no");
    talk.hears_channel_close(1, 406, (50, 10), "PRECONDITION_FAILED - no");
}

/// The key of a binding is the name of the queue only if the client names neither.
#[test]
fn a_binding_without_queue_and_key_has_the_name_of_the_queue_as_its_key() {
    let mut talk = Talk::on_channel_1();
    declares(&mut talk, b"");
    for (queue, routing_key, key) in
        [(&b""[..], &b""[..], &b"amq.gen-1"[..]), (b"", b"k", b"k"), (b"amq.gen-1", b"", b"")]
    {
        for unbind in [false, true] {
            let method = if unbind {
                Method::from(QueueUnbind { queue, exchange: b"x", routing_key, ..Default::default() })
            } else {
                QueueBind { queue, exchange: b"x", routing_key, ..Default::default() }.into()
            };
            talk.says(1, method);
            let (channel, operation) = talk.asked();
            let (Operation::QueueBind(bind) | Operation::QueueUnbind(bind)) = operation else { panic!() };
            assert_eq!((&*bind.destination, &bind.key[..]), ("amq.gen-1", key));
            talk.answers(channel, Answer::Done);
        }
    }
}

/// RabbitMQ: an exclusive queue is never stored, and its other value of durable is fine.
#[test]
fn an_exclusive_queue_is_not_durable() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, QueueDeclare { queue: b"q", exclusive: true, durable: true, ..Default::default() });
    let (_, Operation::QueueDeclare(definition)) = talk.asked() else { panic!() };
    assert!(!definition.durable && definition.exclusive.is_some());
}
