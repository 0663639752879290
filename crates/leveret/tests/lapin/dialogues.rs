//! What clients do, and what they must see, wherever they are connected.

use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Confirmation, ExchangeKind};

use super::{Inbox, Session, number};

pub(crate) fn a_thousand_confirmed_publishes_arrive_in_order(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    let inbox = consumer.consume("q", "c");
    publisher.publish_numbers("q", 0..1_000);
    for expected in 0..1_000 {
        let delivery = inbox.message();
        assert_eq!((number(&delivery), delivery.redelivered), (expected, false));
        consumer.ack(&delivery);
    }
    consumer.cancel("c");
    assert_eq!((consumer.count("q"), publisher.count("q")), (0, 0));
}

pub(crate) fn the_home_of_a_queue_may_be_the_consumers_node(publisher: &Session, consumer: &Session) {
    consumer.declare("q");
    publisher.publish_numbers("q", 0..100);
    let inbox = consumer.consume("q", "c");
    let expected: Vec<_> = (0..100).map(|number| (number, false)).collect();
    assert_eq!(inbox.numbers(100), expected);
}

pub(crate) fn a_mandatory_message_without_a_queue_comes_back(publisher: &Session, consumer: &Session) {
    consumer.declare("q");
    let Confirmation::Ack(Some(returned)) = publisher.publish("nowhere", b"back") else {
        panic!("it is returned and then confirmed");
    };
    assert_eq!((returned.reply_code, returned.delivery.data.as_slice()), (312, b"back".as_slice()));
    assert!(matches!(publisher.publish("q", b"x"), Confirmation::Ack(None)), "the next one has a queue");
}

pub(crate) fn what_is_given_back_comes_again_in_order(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    consumer.done(consumer.channel.basic_qos(5, BasicQosOptions::default()));
    publisher.publish_numbers("q", 0..10);
    let inbox = consumer.consume("q", "c");
    let first: Vec<_> = (0..5).map(|_| inbox.message()).collect();
    assert_eq!(first.iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let options = BasicNackOptions { multiple: true, requeue: true };
    consumer.done(consumer.channel.basic_nack(first[3].delivery_tag, options));
    assert_eq!(inbox.numbers(4), [(0, true), (1, true), (2, true), (3, true)]);
    consumer.ack(&first[4]);
    assert_eq!(inbox.numbers(1), [(5, false)]);
}

pub(crate) fn what_is_rejected_without_requeue_is_dropped(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    publisher.publish_numbers("q", 0..2);
    let inbox = consumer.consume("q", "c");
    let (dropped, kept) = (inbox.message(), inbox.message());
    let options = BasicNackOptions { multiple: false, requeue: false };
    consumer.done(consumer.channel.basic_nack(dropped.delivery_tag, options));
    consumer.done(consumer.channel.close(200, "done".into()));
    let later = consumer.done(consumer.connection.create_channel());
    let got = get_until_there(consumer, &later, "q");
    assert_eq!(
        (number(&got), number(&kept), got.redelivered),
        (1, 1, true),
        "its channel closed: redelivered"
    );
    assert!(consumer.done(later.basic_get("q".into(), BasicGetOptions::default())).is_none());
}

pub(crate) fn prefetch_bounds_what_a_consumer_holds(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    publisher.publish_numbers("q", 0..10);
    consumer.done(consumer.channel.basic_qos(3, BasicQosOptions::default()));
    let inbox = consumer.consume("q", "c");
    let held: Vec<_> = (0..3).map(|_| inbox.message()).collect();
    assert_eq!(consumer.count("q"), 7, "the home has handed out three");
    inbox.assert_empty();
    consumer.ack(&held[1]);
    assert_eq!(inbox.numbers(1), [(3, false)]);
    assert_eq!(consumer.count("q"), 6);
    inbox.assert_empty();
}

pub(crate) fn get_takes_one_message_and_tells_how_many_are_left(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    let get = || consumer.done(consumer.channel.basic_get("q".into(), BasicGetOptions::default()));
    assert!(get().is_none());
    publisher.publish_numbers("q", 0..2);
    let first = get().expect("a message");
    assert_eq!((number(&first.delivery), first.message_count), (0, 1));
    let second = get().expect("another one");
    assert_eq!((number(&second.delivery), second.message_count), (1, 0));
    assert!(get().is_none());
    consumer.ack(&first.delivery);
    consumer.ack(&second.delivery);
}

pub(crate) fn a_cancelled_consumer_gets_nothing_more(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    let inbox = consumer.consume("q", "c");
    publisher.publish_numbers("q", 0..1);
    consumer.ack(&inbox.message());
    consumer.cancel("c");
    publisher.publish_numbers("q", 1..3);
    assert_eq!(consumer.count("q"), 2);
    ends_without_messages(&inbox);
}

pub(crate) fn a_consumer_is_told_that_its_queue_was_deleted(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    let inbox = consumer.consume("q", "c");
    let deleted = publisher.channel.queue_delete("q".into(), QueueDeleteOptions::default());
    assert_eq!(publisher.done(deleted), 0);
    assert!(inbox.next().is_none(), "basic.cancel");
}

pub(crate) fn a_404_closes_its_channel_and_no_other(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    let passive = || QueueDeclareOptions::default().passive();
    let doomed = consumer.done(consumer.connection.create_channel());
    let code = consumer.refused(doomed.queue_declare("missing".into(), passive(), FieldTable::default()));
    assert_eq!(code, 404);
    assert!(!doomed.status().connected());
    let another = consumer.done(consumer.connection.create_channel());
    consumer.done(another.queue_declare("q".into(), passive(), FieldTable::default()));
    assert_eq!(consumer.count("q"), 0, "the older channel lives on");
}

pub(crate) fn a_queue_is_the_same_on_every_node(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    consumer.declare("q");
    let other = consumer.done(consumer.connection.create_channel());
    let declare = other.queue_declare("q".into(), QueueDeclareOptions::durable(), FieldTable::default());
    assert_eq!(consumer.refused(declare), 406, "not declared like that");
}

pub(crate) fn topics_go_where_their_patterns_match(publisher: &Session, consumer: &Session) {
    let options = ExchangeDeclareOptions::default();
    let topic = ExchangeKind::Topic;
    publisher.done(publisher.channel.exchange_declare("news".into(), topic, options, FieldTable::default()));
    let bindings = [("all", "#"), ("short", "hare.*"), ("long", "hare.#"), ("end", "*.*.run")];
    for (queue, pattern) in bindings {
        consumer.declare(queue);
        let options = QueueBindOptions::default();
        let bind = consumer.channel.queue_bind(
            queue.into(),
            "news".into(),
            pattern.into(),
            options,
            FieldTable::default(),
        );
        consumer.done(bind);
    }
    for key in ["hare", "hare.young", "hare.young.run", "rabbit.blind.run", "rabbit"] {
        assert!(publisher.publish_to("news", key, key.as_bytes()).is_ack());
    }
    let counts = bindings.map(|(queue, _)| consumer.count(queue));
    assert_eq!(counts, [5, 1, 3, 2]);
    let inbox = consumer.consume("end", "c");
    for expected in ["hare.young.run", "rabbit.blind.run"] {
        let delivery = inbox.message();
        assert_eq!(
            (delivery.routing_key.as_str(), delivery.data.as_slice()),
            (expected, expected.as_bytes())
        );
        assert_eq!(delivery.exchange.as_str(), "news");
    }
}

pub(crate) fn large_bodies_arrive_whole(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    let inbox = consumer.consume("q", "c");
    for size in [0, 1, 4_095, 64 * 1024, 131_064, 131_065, 1024 * 1024] {
        let body: Vec<u8> = (0..size as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert!(publisher.publish("q", &body).is_ack());
        let delivery = inbox.message();
        assert!(delivery.data == body, "{size} bytes, {} came", delivery.data.len());
        consumer.ack(&delivery);
    }
}

pub(crate) fn what_a_closed_connection_held_goes_to_the_next(publisher: &Session, consumer: &Session) {
    publisher.declare("q");
    publisher.publish_numbers("q", 0..3);
    let inbox = consumer.consume("q", "c");
    assert_eq!(inbox.numbers(3), [(0, false), (1, false), (2, false)]);
    let next = publisher.consume("q", "next");
    consumer.done(consumer.connection.close(200, "goodbye".into()));
    assert_eq!(next.numbers(3), [(0, true), (1, true), (2, true)]);
}

/// Gets until the queue has something: what a channel held comes back when its home knows that it closed.
fn get_until_there(session: &Session, channel: &lapin::Channel, queue: &str) -> lapin::message::Delivery {
    for _ in 0..10_000 {
        if let Some(got) = session.done(channel.basic_get(queue.into(), BasicGetOptions::default())) {
            return got.delivery;
        }
    }
    panic!("`{queue}` stays empty");
}

/// lapin ends a cancelled consumer with an empty delivery.
fn ends_without_messages(inbox: &Inbox) {
    if let Ok(delivery) = inbox.0.try_recv() {
        assert!(matches!(delivery, Ok(None)), "{delivery:?}");
    }
}

/// A test for each dialogue, with the connections that `$sessions` gives (and what keeps them alive).
#[macro_export]
macro_rules! dialogues {
    ($sessions:path) => {
        $crate::dialogues! { $sessions:
            a_thousand_confirmed_publishes_arrive_in_order,
            the_home_of_a_queue_may_be_the_consumers_node,
            a_mandatory_message_without_a_queue_comes_back,
            what_is_given_back_comes_again_in_order,
            what_is_rejected_without_requeue_is_dropped,
            prefetch_bounds_what_a_consumer_holds,
            get_takes_one_message_and_tells_how_many_are_left,
            a_cancelled_consumer_gets_nothing_more,
            a_consumer_is_told_that_its_queue_was_deleted,
            a_404_closes_its_channel_and_no_other,
            a_queue_is_the_same_on_every_node,
            topics_go_where_their_patterns_match,
            large_bodies_arrive_whole,
            what_a_closed_connection_held_goes_to_the_next,
        }
    };
    ($sessions:path: $($name:ident,)*) => {$(
        #[test]
        fn $name() {
            node::unless_falsely_dead(|| {
                let (_nodes, publisher, consumer) = $sessions();
                lapin::dialogues::$name(&publisher, &consumer);
            });
        }
    )*};
}
