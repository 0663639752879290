//! What was confirmed is on the disk: nodes as processes that are killed, and started again on their directory
//! (docs/persistence.md). Kills under load, and power cuts, are in `crashes`.

#[path = "persistence/homes.rs"]
mod homes;
#[allow(dead_code, reason = "its dialogues are for tests of one node or two")]
mod lapin;
mod node;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ::lapin::message::BasicGetMessage;
use ::lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use ::lapin::types::{AMQPValue, FieldTable, ShortString};
use ::lapin::{BasicProperties, ExchangeKind};
use tempfile::TempDir;

use lapin::{Node, Session, own_group};
use node::{LEVERET, Node as Process};

fn start(directory: TempDir) -> Node {
    start_with(directory, &[])
}

fn start_with(directory: TempDir, more: &[&str]) -> Node {
    let group = own_group(&directory);
    let words = [&["--shards", "2", "--group", &group], more].concat();
    let process = Process::start(directory.path(), &words);
    Node { process, directory }
}

/// kill -9, and another start on the same directory.
fn killed_and_started(node: Node) -> Node {
    let Node { process, directory } = node;
    drop(process);
    start(directory)
}

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

fn table(fields: &[(&str, AMQPValue)]) -> FieldTable {
    let fields = fields.iter().map(|(name, value)| (ShortString::from(*name), value.clone()));
    FieldTable::from(fields.collect::<BTreeMap<_, _>>())
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn declare(session: &Session, queue: &str, arguments: &[(&str, AMQPValue)]) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    session.done(session.channel.queue_declare(queue.into(), options, table(arguments)));
}

fn publish(session: &Session, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
    let options = BasicPublishOptions::default();
    let publish = session.channel.basic_publish(exchange.into(), key.into(), options, body, properties);
    let answer = session.done(publish);
    assert!(session.done(answer).is_ack());
}

fn get(session: &Session, queue: &str, no_ack: bool) -> Option<BasicGetMessage> {
    session.done(session.channel.basic_get(queue.into(), BasicGetOptions { no_ack }))
}

fn number(message: &BasicGetMessage) -> u32 {
    u32::from_be_bytes(message.data.as_slice().try_into().expect("four bytes"))
}

/// Every message of a queue, and whether it is marked as redelivered.
fn drain(session: &Session, queue: &str) -> Vec<(u32, bool)> {
    let all = std::iter::from_fn(|| get(session, queue, true));
    all.map(|message| (number(&message), message.redelivered)).collect()
}

fn declare_all(session: &Session) {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let exchange = |name: &str, options| {
        session.done(session.channel.exchange_declare(
            name.into(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        ));
    };
    let bind = |queue: &str, exchange: &str| {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let (queue, exchange) = (queue.into(), exchange.into());
        session.done(session.channel.queue_bind(queue, exchange, "field.#".into(), options, none));
    };
    exchange("meadow", durable);
    exchange("mist", ExchangeDeclareOptions::default());
    declare(session, "plain", &[]);
    bind("plain", "meadow");
    bind("plain", "mist");
    declare(session, "levels", &[("x-max-priority", AMQPValue::LongInt(9))]);
    declare(session, "grave", &[]);
    let dead_to = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("grave"))];
    declare(session, "source", &dead_to);
    let limit = ("x-delivery-limit", AMQPValue::LongInt(2));
    declare(session, "limited", &[limit, dead_to[0].clone(), dead_to[1].clone()]);
    declare(session, "short-lived", &[("x-message-ttl", AMQPValue::LongInt(600_000))]);
    session.declare("transient");
}

/// Everything of a queue that outlives a process, before and after a stop.
#[test]
fn definitions_and_what_queues_know_of_messages_outlive_a_kill() {
    let node = start(tempfile::tempdir().expect("a temporary directory"));
    let session = Session::open(&node);
    declare_all(&session);
    let put = |queue: &str, number: u32, properties| {
        publish(&session, "", queue, &number.to_be_bytes(), properties);
    };
    publish(&session, "meadow", "field.east", &0_u32.to_be_bytes(), persistent());
    put("plain", 1, BasicProperties::default());
    put("plain", 2, persistent());
    for number in 0..6 {
        put("levels", number, persistent().with_priority((number % 3) as u8));
    }
    put("source", 7, persistent());
    let rejected = get(&session, "source", false).expect("a message");
    let options = BasicNackOptions { requeue: false, ..BasicNackOptions::default() };
    session.done(session.channel.basic_nack(rejected.delivery_tag, options));
    put("limited", 8, persistent());
    let back = || {
        let message = get(&session, "limited", false).expect("a message");
        let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        session.done(session.channel.basic_nack(message.delivery_tag, options));
    };
    back();
    back();
    put("short-lived", 9, persistent());
    put("transient", 10, persistent());
    // nothing is waited for but this: what came before is on the disk with it
    put("plain", 3, persistent());

    let node = killed_and_started(node);
    let session = Session::open(&node);
    assert_eq!(drain(&session, "plain"), [(0, true), (2, true), (3, true)]);
    let levels: Vec<u32> = drain(&session, "levels").into_iter().map(|(number, _)| number).collect();
    assert_eq!(levels, [2, 5, 1, 4, 0, 3]);
    let dead = get(&session, "grave", true).expect("the dead letter");
    assert_eq!(number(&dead), 7);
    let headers = dead.properties.headers().as_ref().expect("headers");
    let deaths = headers.inner().get("x-death").expect("x-death").as_array().expect("a list");
    assert_eq!(deaths.as_slice().len(), 1);
    // the third return is one too many
    let limited = get(&session, "limited", false).expect("a message");
    assert!(limited.redelivered);
    let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    session.done(session.channel.basic_nack(limited.delivery_tag, options));
    assert!(get(&session, "limited", true).is_none());
    assert_eq!(number(&get(&session, "grave", true).expect("the second dead letter")), 8);
    assert_eq!(number(&get(&session, "short-lived", true).expect("a message")), 9);
    // what is transient is gone, what is durable routes as before
    let passive = QueueDeclareOptions::default().passive();
    publish(&session, "meadow", "field.west", &11_u32.to_be_bytes(), persistent());
    assert_eq!(drain(&session, "plain"), [(11, false)]);
    assert_eq!(
        session.refused(session.channel.queue_declare("transient".into(), passive, FieldTable::default())),
        404
    );
}

#[test]
fn a_queue_that_was_deleted_or_purged_does_not_come_back() {
    let node = start(tempfile::tempdir().expect("a temporary directory"));
    let session = Session::open(&node);
    for queue in ["gone", "emptied"] {
        declare(&session, queue, &[]);
        publish(&session, "", queue, &1_u32.to_be_bytes(), persistent());
    }
    session.done(session.channel.queue_purge("emptied".into(), Default::default()));
    session.done(session.channel.queue_delete("gone".into(), Default::default()));
    publish(&session, "", "emptied", &2_u32.to_be_bytes(), persistent());
    let node = killed_and_started(node);
    let session = Session::open(&node);
    assert_eq!(drain(&session, "emptied"), [(2, true)]);
    let passive = QueueDeclareOptions::default().passive();
    assert_eq!(
        session.refused(session.channel.queue_declare("gone".into(), passive, FieldTable::default())),
        404
    );
}

/// `leveret store ...` on the data directory of a node that is not running.
/// A delivery that is held comes to the new home in front of messages with lower places, and bindings in front
/// of their queue.
#[test]
fn a_queue_that_moved_outlives_a_kill_of_its_new_home_with_its_bindings() {
    let mut old = Node::start(&[]);
    let new = Node::start(&[&old]);
    old.process.wait_for_members(vec![old.process.cluster(), new.process.cluster()]);
    let session = Session::open(&old);
    declare(&session, "burrow", &[("x-max-priority", AMQPValue::ShortShortUInt(9))]);
    let bind = QueueBindOptions::default();
    session.done(session.channel.queue_bind(
        "burrow".into(),
        "amq.direct".into(),
        "key".into(),
        bind,
        FieldTable::default(),
    ));
    for number in 0..6_u32 {
        let priority = u8::from(number == 5) * 9;
        publish(&session, "", "burrow", &number.to_be_bytes(), persistent().with_priority(priority));
    }
    assert_eq!(number(&get(&session, "burrow", false).expect("the first")), 5);
    assert_eq!(old.process.terminate(), Some(0), "{}", old.process.log());

    let Node { process, directory } = new;
    drop(process);
    let group = own_group(&old.directory);
    let process = Process::start(directory.path(), &["--shards", "2", "--group", &group]);
    let new = Node { process, directory };
    let session = Session::open(&new);
    publish(&session, "amq.direct", "key", &6_u32.to_be_bytes(), persistent());
    let numbers: Vec<u32> = drain(&session, "burrow").into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [5, 0, 1, 2, 3, 4, 6]);
}

fn store(words: &[&str], directory: &Path, more: &[&str]) -> String {
    let output = Command::new(LEVERET).arg("store").args(words).arg(directory).args(more).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn after_a_stop_the_deliveries_are_known_and_tools_read_the_directory() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut node = start_with(directory, &["--lifetime", "persistent"]);
    let session = Session::open(&node);
    declare(&session, "burrow", &[]);
    // what is transient is lost with the process, and that is no failure
    publish(&session, "", "burrow", &9_u32.to_be_bytes(), BasicProperties::default());
    assert!(get(&session, "burrow", true).is_some());
    session.declare("transient");
    publish(&session, "", "transient", &9_u32.to_be_bytes(), BasicProperties::default());
    (0..4_u32).for_each(|number| publish(&session, "", "burrow", &number.to_be_bytes(), persistent()));
    let held = get(&session, "burrow", false).expect("a message");
    assert_eq!(number(&held), 0);
    assert_eq!(node.process.terminate(), Some(0), "{}", node.process.log());
    let checked = store(&["check"], node.directory.path(), &[]);
    assert!(checked.contains("burrow"), "{checked}");
    let exported = store(&["export"], node.directory.path(), &["--queue", "burrow"]);
    assert_eq!(exported.lines().count(), 4, "{exported}");
    let node = killed_and_started(node);
    assert_eq!(
        drain(&Session::open(&node), "burrow"),
        [(0, true), (1, false), (2, false), (3, false)],
        "{}",
        node.process.log()
    );
}
