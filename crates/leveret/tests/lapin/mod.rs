//! lapin, a client that knows nothing of us, against nodes as child processes. Read first: [`dialogues`].
//!
//! Each dialogue publishes through one connection and consumes through another; whether both lead to one node
//! or to two, the answers are the same. Nothing sleeps: what is waited for is a reply, a message or the end of
//! a process, and [`PATIENCE`] is only how long a test waits before it gives up.

use std::future::Future;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};

use lapin::message::{Delivery, DeliveryResult};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::node::{Node as Process, PATIENCE};

pub(crate) mod dialogues;

/// A node with a directory and a group of its own.
pub(crate) struct Node {
    pub(crate) process: Process,
    /// Its name is also the name of the cluster's group.
    pub(crate) directory: TempDir,
}

impl Node {
    /// Starts a node and reads its banner up to `ready`.
    pub(crate) fn start(seeds: &[&Self]) -> Self {
        let addresses: Vec<&str> = seeds.iter().map(|seed| seed.process.cluster()).collect();
        Self::start_with(&addresses, seeds.first().copied())
    }

    /// The same, with addresses as seeds, for a group that has a node.
    pub(crate) fn start_with(seeds: &[&str], of_group: Option<&Self>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Tests run side by side: a group of its own keeps each cluster to itself.
        let group = of_group.map_or_else(|| own_group(&directory), |seed| own_group(&seed.directory));
        let mut more = vec!["--shards", "2", "--group", &group];
        more.extend(seeds.iter().flat_map(|seed| ["--seed", seed]));
        let process = Process::start(directory.path(), &more);
        Self { process, directory }
    }
}

/// What `leveret status --json` says.
pub(crate) fn status(node: &Node) -> serde_json::Value {
    node.process.status()
}

/// Tests run side by side, each with a group of its own.
pub(crate) fn own_group(directory: &TempDir) -> String {
    let name = directory.path().file_name().expect("a name").to_string_lossy();
    format!("group{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}

/// A connection with a channel in confirm mode.
pub(crate) struct Session {
    runtime: Runtime,
    pub(crate) connection: Connection,
    pub(crate) channel: Channel,
}

/// What a consumer got.
pub(crate) struct Inbox(Receiver<DeliveryResult>);

impl Session {
    pub(crate) fn open(node: &Node) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let url = format!("amqp://{}/%2f", node.process.amqp());
        // Recovery is off by default; an end of the connection is to be seen.
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        let connection = runtime.block_on(in_time(connecting)).expect("connected");
        let channel = runtime.block_on(in_time(connection.create_channel())).expect("a channel");
        let session = Self { runtime, connection, channel };
        session.done(session.channel.confirm_select(ConfirmSelectOptions::default()));
        session
    }

    /// Waits for something that may be refused.
    pub(crate) fn wait<T>(&self, operation: impl Future<Output = lapin::Result<T>>) -> lapin::Result<T> {
        self.runtime.block_on(in_time(operation))
    }

    /// Waits for something that must succeed.
    pub(crate) fn done<T>(&self, operation: impl Future<Output = lapin::Result<T>>) -> T {
        self.wait(operation).expect("the broker does it")
    }

    /// Waits for something that must be refused; gives the reply code.
    pub(crate) fn refused<T>(&self, operation: impl Future<Output = lapin::Result<T>>) -> u16 {
        let Err(error) = self.wait(operation) else { panic!("the broker must refuse it") };
        match error.kind() {
            ErrorKind::ProtocolError(error) => error.get_id(),
            other => panic!("not the broker's word: {other:?}"),
        }
    }

    pub(crate) fn declare(&self, queue: &str) {
        let options = QueueDeclareOptions::default();
        self.done(self.channel.queue_declare(queue.into(), options, FieldTable::default()));
    }

    /// Ready messages of a queue.
    pub(crate) fn count(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions::default().passive();
        self.done(self.channel.queue_declare(queue.into(), options, FieldTable::default())).message_count()
    }

    /// Publishes to the queue of that name and waits for the answer.
    pub(crate) fn publish(&self, queue: &str, body: &[u8]) -> Confirmation {
        self.publish_to("", queue, body)
    }

    pub(crate) fn publish_to(&self, exchange: &str, key: &str, body: &[u8]) -> Confirmation {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default();
        let publish = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties);
        let answer = self.done(publish);
        self.done(answer)
    }

    /// Publishes numbers and waits for all answers.
    pub(crate) fn publish_numbers(&self, queue: &str, numbers: std::ops::Range<u32>) {
        let answers: Vec<_> = numbers
            .map(|number| {
                let options = BasicPublishOptions::default();
                let body = number.to_be_bytes();
                let properties = BasicProperties::default();
                self.done(self.channel.basic_publish("".into(), queue.into(), options, &body, properties))
            })
            .collect();
        for answer in answers {
            assert!(self.done(answer).is_ack());
        }
    }

    pub(crate) fn consume(&self, queue: &str, tag: &str) -> Inbox {
        let options = BasicConsumeOptions::default();
        let consume = self.channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default());
        let consumer = self.done(consume);
        let (sender, inbox) = channel();
        // The delegate is called in the order of arrival; what it returns would not be run in order.
        consumer.set_delegate(move |delivery: DeliveryResult| {
            let _ = sender.send(delivery);
            std::future::ready(())
        });
        Inbox(inbox)
    }

    pub(crate) fn cancel(&self, tag: &str) {
        self.done(self.channel.basic_cancel(tag.into(), BasicCancelOptions::default()));
    }

    pub(crate) fn ack(&self, delivery: &Delivery) {
        self.done(self.channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()));
    }
}

impl Inbox {
    /// The next message.
    pub(crate) fn message(&self) -> Delivery {
        match self.next() {
            Some(delivery) => delivery,
            None => panic!("the consumer was cancelled"),
        }
    }

    /// The numbers of the next messages, and whether each is marked as redelivered.
    pub(crate) fn numbers(&self, count: usize) -> Vec<(u32, bool)> {
        (0..count).map(|_| self.message()).map(|delivery| (number(&delivery), delivery.redelivered)).collect()
    }

    /// The next message; nothing if the broker cancelled the consumer.
    pub(crate) fn next(&self) -> Option<Delivery> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(delivery) => delivery.expect("the connection stands"),
            Err(RecvTimeoutError::Timeout) => panic!("no message within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("lapin dropped the consumer"),
        }
    }

    /// Nothing has come. Only telling behind an answer that came after it would have.
    pub(crate) fn assert_empty(&self) {
        match self.0.try_recv() {
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            Ok(delivery) => panic!("unexpected: {delivery:?}"),
        }
    }
}

pub(crate) fn number(delivery: &Delivery) -> u32 {
    u32::from_be_bytes(delivery.data.as_slice().try_into().expect("four bytes"))
}

async fn in_time<T>(operation: impl Future<Output = lapin::Result<T>>) -> lapin::Result<T> {
    match tokio::time::timeout(PATIENCE, operation).await {
        Ok(result) => result,
        Err(_) => panic!("no answer within {PATIENCE:?}"),
    }
}
