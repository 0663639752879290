//! Queues that hold more than the memory of their node: what is stored is paged out, and nobody waits
//! (docs/persistence.md).

#[allow(dead_code, reason = "its dialogues are for tests of one node or two")]
mod lapin;
mod node;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};

use ::lapin::message::{Delivery, DeliveryResult};
use ::lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions,
    QueueDeclareOptions,
};
use ::lapin::types::FieldTable;
use ::lapin::{BasicProperties, Channel};
use tempfile::TempDir;

use lapin::{Node, Session, own_group};
use node::{Node as Process, PATIENCE, unless_falsely_dead};

const MIB: usize = 1 << 20;
/// The smallest bound that a node takes.
const MEMORY: usize = 64 * MIB;
/// What is published in all.
const BYTES: usize = 3 * MEMORY;
/// Bytes that wait for their confirm at once: far less than what a node keeps free.
const WINDOW_BYTES: usize = 2 * MIB;
/// Operations within the patience of one wait.
const AT_ONCE: usize = 1_024;
const PREFETCH_MAX: usize = 500;

fn start(directory: TempDir) -> Node {
    start_beside(directory, &[])
}

/// One that joins others.
fn start_beside(directory: TempDir, others: &[&Node]) -> Node {
    let group = own_group(others.first().map_or(&directory, |other| &other.directory));
    let memory = MEMORY.to_string();
    let mut words = vec!["--shards", "2", "--memory", &memory, "--group", &group];
    words.extend(others.iter().flat_map(|other| ["--seed", other.process.cluster()]));
    let process = Process::start(directory.path(), &words);
    Node { process, directory }
}

/// kill -9, and another start on the same directory.
fn killed_and_started(node: Node) -> Node {
    let Node { process, directory } = node;
    drop(process);
    start(directory)
}

fn declare(session: &Session) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    session.done(session.channel.queue_declare("burrow".into(), options, FieldTable::default()));
}

/// A message of that size: its number, then bytes that tell it from others.
fn body(number: u32, bytes: usize) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(bytes, number as u8);
    body
}

/// Publishes persistent messages and waits for all confirms, with few of them under way at once.
async fn publish(channel: &Channel, numbers: std::ops::Range<u32>, bytes: usize) -> ::lapin::Result<()> {
    let mut waiting = VecDeque::new();
    for number in numbers {
        let (options, persistent) = (BasicPublishOptions::default(), BasicProperties::default());
        let (body, persistent) = (body(number, bytes), persistent.with_delivery_mode(2));
        let publish = channel.basic_publish("".into(), "burrow".into(), options, &body, persistent);
        waiting.push_back(publish.await?);
        if waiting.len() * bytes >= WINDOW_BYTES
            && let Some(answer) = waiting.pop_front()
        {
            assert!(answer.await?.is_ack());
        }
    }
    for answer in waiting {
        assert!(answer.await?.is_ack());
    }
    Ok(())
}

fn publish_all(session: &Session, numbers: std::ops::Range<u32>, bytes: usize) {
    let mut from = numbers.start;
    while from < numbers.end {
        let to = numbers.end.min(from + AT_ONCE as u32);
        session.done(publish(&session.channel, from..to, bytes));
        from = to;
    }
}

/// How many messages of that size a consumer holds.
fn prefetch(bytes: usize) -> u16 {
    (WINDOW_BYTES / bytes).min(PREFETCH_MAX) as u16
}

fn consume(session: &Session, bytes: usize) -> Receiver<DeliveryResult> {
    session.done(session.channel.basic_qos(prefetch(bytes), BasicQosOptions::default()));
    let options = BasicConsumeOptions::default();
    let consumer = session.channel.basic_consume("burrow".into(), "".into(), options, FieldTable::default());
    let consumer = session.done(consumer);
    let (sender, inbox) = channel();
    consumer.set_delegate(move |delivery: DeliveryResult| {
        let _ = sender.send(delivery);
        std::future::ready(())
    });
    inbox
}

fn next(inbox: &Receiver<DeliveryResult>) -> Delivery {
    let delivery = inbox.recv_timeout(PATIENCE).expect("a message");
    delivery.expect("the connection stands").expect("the consumer lives")
}

/// Takes these messages, in order and whole, and acknowledges them.
fn take(session: &Session, inbox: &Receiver<DeliveryResult>, numbers: std::ops::Range<u32>, bytes: usize) {
    let last = numbers.end - 1;
    for number in numbers {
        let delivery = next(inbox);
        assert!(delivery.data == body(number, bytes), "message {number} is next, and whole");
        if number % u32::from(prefetch(bytes) / 4) == 0 || number == last {
            let all = BasicAckOptions { multiple: true };
            session.done(session.channel.basic_ack(delivery.delivery_tag, all));
        }
    }
}

/// The most memory that the process had, bytes.
fn peak_bytes(node: &Node) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.process.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    let kib: usize = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// Three times the memory of the node, through a kill in the middle: nobody waits, nothing is missing, and the
/// order is kept.
fn fills_and_drains(bytes: usize) {
    let count = (BYTES / bytes) as u32;
    let node = start(tempfile::tempdir().expect("a temporary directory"));
    let session = Session::open(&node);
    declare(&session);
    publish_all(&session, 0..count / 2, bytes);
    assert_never_waited(&node);
    assert!(session.done(session.channel.basic_get("burrow".into(), BasicGetOptions::default())).is_some());

    let node = killed_and_started(node);
    let peak = peak_bytes(&node);
    assert!(peak < BYTES / 2, "a start keeps no bodies in memory beyond its bound: {} MiB", peak / MIB);
    let session = Session::open(&node);
    assert_eq!(session.count("burrow"), count / 2);
    publish_all(&session, count / 2..count, bytes);
    assert_never_waited(&node);
    let inbox = consume(&session, bytes);
    take(&session, &inbox, 0..count, bytes);
    assert_eq!(session.count("burrow"), 0);
    assert_never_waited(&node);
    let peak = peak_bytes(&node);
    assert!(peak < BYTES, "less than what was queued: {} MiB", peak / MIB);
}

fn assert_never_waited(node: &Node) {
    let log = node.process.log();
    assert!(!log.contains("publishers"), "a publisher waited: {log}");
}

/// More than either node has memory for moves when its home leaves.
#[test]
fn a_leaving_node_hands_over_more_than_the_memory() {
    unless_falsely_dead(|| {
        let bytes = 64 * 1_024;
        let count = (BYTES / 2 / bytes) as u32;
        let mut old = start(tempfile::tempdir().expect("a temporary directory"));
        let new = start_beside(tempfile::tempdir().expect("a temporary directory"), &[&old]);
        old.process.wait_for_members(vec![old.process.cluster(), new.process.cluster()]);
        let session = Session::open(&old);
        declare(&session);
        publish_all(&session, 0..count, bytes);
        assert_eq!(old.process.terminate(), Some(0), "{}", old.process.log());
        let session = Session::open(&new);
        assert_eq!(session.count("burrow"), count);
        let inbox = consume(&session, bytes);
        take(&session, &inbox, 0..count, bytes);
        assert_never_waited(&new);
    });
}

#[test]
fn a_queue_of_small_messages_holds_more_than_the_memory() {
    fills_and_drains(1_024);
}

#[test]
fn a_queue_of_large_messages_holds_more_than_the_memory() {
    fills_and_drains(64 * 1_024);
}
