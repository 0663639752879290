//! Bytes in, bytes out through one shard or two, without sockets, for an instruction counter.
//!
//! `icount SCENARIO COUNT` publishes COUNT messages in blocks of 64 KiB, as a driver reads them, and drops the
//! output at the end of each turn. Run it under callgrind with N and with 2 N messages: the difference is what
//! N messages cost, start and logins aside. Where shards forward, the rings between them are the vectors of the
//! effects.

// xtask reads the list of scenarios from standard output
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use leveret_auth::{Credential, PasswordHash, Permissions, User, Users};
use leveret_client::Login;
use leveret_model::definition::{Binding, DestinationKind, QueueDefinition};
use leveret_model::directory::{Change, QueueRecord, ToShard};
use leveret_model::{
    Arguments, Boot, ConnectionKey, Instant, Name, NodeId, QueueId, RoutingKey, Seed, ShardAddress, ShardId,
    Ulid,
};
use leveret_shard::{Caller, Effects, Shard, ShardConfig, Store};
use leveret_wire::client::write_publish;
use leveret_wire::method::{BasicAck, BasicConsume, BasicPublish, ChannelOpen, ConfirmSelect};
use leveret_wire::{BasicProperties, Method, PROTOCOL_HEADER};

/// argon2id of "guest", with the least memory and passes that there are.
const GUEST: &str = "$argon2id$v=19$m=8,t=1,p=1$bGV2ZXJldC10ZXN0LXJpZw$50+0b+HbRFTQDfSt2c7/Vg";
const BLOCK_BYTES: usize = 64 * 1024;
const FRAME_MAX: u32 = 131_072;
const NODE: NodeId = NodeId(1);

/// What is counted.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    body_bytes: usize,
    /// Publisher confirms, and an ack for each delivery.
    confirmed: bool,
    /// Queues that each message goes to, by their name or, if there are several, by `amq.fanout`.
    queues: usize,
    /// The shards where they are in turn, each with a consumer of its own there; the publisher is on the first
    /// shard.
    homes: &'static [usize],
}

const ONE: Scenario =
    Scenario { name: "transient-16", body_bytes: 16, confirmed: false, queues: 1, homes: &[0] };
const SCENARIOS: [Scenario; 5] = [
    ONE,
    Scenario { name: "transient-1k", body_bytes: 1_024, ..ONE },
    Scenario { name: "confirmed-acked-1k", body_bytes: 1_024, confirmed: true, ..ONE },
    Scenario { name: "cross-shard-1k", body_bytes: 1_024, homes: &[1], ..ONE },
    Scenario { name: "fanout-50-of-16", queues: 50, homes: &[0, 1], ..ONE },
];

impl Scenario {
    fn queue(&self, at: usize) -> String {
        format!("perf-queue-{at}")
    }

    fn home(&self, at: usize) -> usize {
        self.homes[at % self.homes.len()]
    }

    /// One for each of its homes.
    fn shards(&self) -> usize {
        1 + self.homes.iter().max().copied().unwrap_or_default()
    }

    /// The frames of one message.
    fn message(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let queue = self.queue(0);
        let publish = if self.queues == 1 {
            BasicPublish { routing_key: queue.as_bytes(), ..Default::default() }
        } else {
            BasicPublish { exchange: b"amq.fanout", ..Default::default() }
        };
        let properties =
            BasicProperties { content_type: Some(b"application/octet-stream"), ..Default::default() };
        write_publish(&mut bytes, 1, &publish, &properties, &vec![b'x'; self.body_bytes], FRAME_MAX);
        bytes
    }
}

/// The shards of one node, with their clients and rings.
struct Machine {
    shards: Vec<Shard>,
    effects: Effects,
    written: u64,
}

impl Machine {
    fn new(count: u8) -> Self {
        let protocol = Arc::new(leveret_amqp::Config::new("0.1.0", "icount"));
        let shards = (0..count).map(|shard| {
            let config = ShardConfig {
                own: ShardAddress { node: NODE, shard: ShardId(shard) },
                boot: Boot(1),
                seed: Seed(u64::from(shard)),
                protocol: Arc::clone(&protocol),
                users: users(),
                store: Store::Driver,
                reply_key: [shard; 32],
            };
            let mut machine = Shard::new(config);
            machine.on_control(ToShard::Lease { until: Instant::FAR });
            machine
        });
        Self { shards: shards.collect(), effects: Effects::default(), written: 0 }
    }

    /// Offers bytes to a connection; the driver's part of them is whole frames.
    fn read(&mut self, shard: usize, key: ConnectionKey, bytes: &Bytes) {
        assert_eq!(self.shards[shard].on_bytes(key, bytes), bytes.len(), "whole frames are taken");
    }

    /// Turns of all shards until nothing is left to do.
    fn run(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for at in 0..self.shards.len() {
                busy |= self.turn(at);
            }
        }
    }

    fn turn(&mut self, at: usize) -> bool {
        let shard = &mut self.shards[at];
        let mut busy = shard.end_turn(&mut self.effects);
        for key in self.effects.touched.drain(..) {
            if let Some(output) = shard.output(key)
                && !output.is_empty()
            {
                let len = output.len();
                self.written += len as u64;
                output.advance(len);
                busy = true;
            }
            busy |= shard.on_carried(key, 0);
        }
        for job in self.effects.passwords.drain(..) {
            shard.on_password(job.connection, &job.mechanism, job.job.run(&[1; 16]));
            busy = true;
        }
        let from = ShardAddress { node: NODE, shard: ShardId(at as u8) };
        for (to, batch) in self.effects.batches.drain(..) {
            let to = &mut self.shards[usize::from(to.shard.0)];
            to.on_batch(from, Boot(1), &batch).expect("our own batches are whole");
            busy = true;
        }
        self.effects.control.clear();
        busy
    }

    /// A client with an open channel 1.
    fn connect(&mut self, shard: usize) -> ConnectionKey {
        let key = self.shards[shard].accept(Caller { name: "icount".into(), loopback: true });
        let login = Login { frame_max: FRAME_MAX, ..Login::default() };
        let mut bytes = PROTOCOL_HEADER.to_vec();
        login.write_start_ok(&mut bytes);
        self.read(shard, key, &bytes.into());
        self.run();
        let mut bytes = Vec::new();
        login.write_open(FRAME_MAX, &mut bytes);
        say(&mut bytes, 1, ChannelOpen);
        self.read(shard, key, &bytes.into());
        self.run();
        key
    }

    fn put_queues(&mut self, scenario: Scenario) {
        let mut changes = Vec::new();
        for at in 0..scenario.queues {
            let id = QueueId { generation: 0, ulid: Ulid(1 + at as u128) };
            let definition = QueueDefinition::new(Name::new("/"), Name::new(&scenario.queue(at)));
            changes.push(Change::PutQueue(QueueRecord {
                definition: definition.into(),
                id,
                home: ShardAddress { node: NODE, shard: ShardId(scenario.home(at) as u8) },
                epoch: 0,
            }));
            changes.push(Change::PutBinding(Binding {
                vhost: Name::new("/"),
                source: Name::new("amq.fanout"),
                kind: DestinationKind::Queue,
                destination: Name::new(&scenario.queue(at)),
                key: RoutingKey::new(b""),
                arguments: Arguments::default(),
            }));
        }
        for shard in &mut self.shards {
            for (at, change) in changes.iter().enumerate() {
                let sequence = 1 + at as u64;
                shard.on_control(ToShard::Change { sequence, change: change.clone() });
            }
        }
        self.run();
    }
}

fn users() -> Users {
    let mut users = Users::new([7; 32]);
    let hash = PasswordHash::from_phc(GUEST).expect("it is one");
    let permissions = BTreeMap::from([(Name::new("/"), Arc::new(Permissions::ALL))]);
    let user = User { credential: Credential::Hashed(hash), loopback_only: false, permissions };
    users.put(Name::new("guest"), user);
    users
}

fn say<'m>(out: &mut Vec<u8>, channel: u16, method: impl Into<Method<'m>>) {
    method.into().encode_frame(channel, out);
}

fn run(scenario: Scenario, count: u64) -> u64 {
    let mut machine = Machine::new(scenario.shards() as u8);
    machine.put_queues(scenario);
    let publisher = machine.connect(0);
    let mut consumers = Vec::new();
    for at in 0..scenario.queues {
        let consumer = machine.connect(scenario.home(at));
        let mut bytes = Vec::new();
        let (queue, no_ack) = (scenario.queue(at), !scenario.confirmed);
        say(&mut bytes, 1, BasicConsume { queue: queue.as_bytes(), no_ack, ..Default::default() });
        machine.read(scenario.home(at), consumer, &bytes.into());
        consumers.push(consumer);
    }
    if scenario.confirmed {
        let mut bytes = Vec::new();
        say(&mut bytes, 1, ConfirmSelect { no_wait: true });
        machine.read(0, publisher, &bytes.into());
    }
    machine.run();
    let message = scenario.message();
    let in_block = (BLOCK_BYTES / message.len()) as u64;
    let block = Bytes::from(message.repeat(in_block as usize));
    let mut acks = Vec::new();
    let mut done = 0;
    while done < count {
        let now = in_block.min(count - done);
        machine.read(0, publisher, &block.slice(..now as usize * message.len()));
        machine.run();
        if scenario.confirmed {
            acks.clear();
            for tag in done + 1..=done + now {
                say(&mut acks, 1, BasicAck { delivery_tag: tag, multiple: false });
            }
            let acks = Bytes::copy_from_slice(&acks);
            for (at, consumer) in consumers.iter().enumerate() {
                machine.read(scenario.home(at), *consumer, &acks);
            }
        }
        done += now;
    }
    machine.run();
    for queue in machine.shards.iter().flat_map(|shard| shard.report().queues) {
        assert_eq!((queue.ready, queue.unacked), (0, 0), "all was delivered and settled");
    }
    let deliveries = count * scenario.queues as u64;
    assert!(machine.written > deliveries * scenario.body_bytes as u64, "the bodies were written");
    machine.written
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|name| name == "list") {
        for scenario in SCENARIOS {
            println!("{}", scenario.name);
        }
        return;
    }
    let scenario = arguments.get(1).and_then(|name| SCENARIOS.into_iter().find(|s| s.name == name));
    let count = arguments.get(2).and_then(|count| count.parse().ok());
    let (Some(scenario), Some(count)) = (scenario, count) else {
        let names = SCENARIOS.map(|scenario| scenario.name).join("|");
        eprintln!("usage: icount list, or icount {names} COUNT");
        std::process::exit(2);
    };
    std::hint::black_box(run(scenario, count));
}
