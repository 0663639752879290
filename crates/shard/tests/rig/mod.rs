//! A small cluster in one thread: shards, rings and links that the test holds back or cuts, a control machine
//! that agrees to everything, clients that speak frames. Time passes only when the test says so.
//!
//! Read first: [`Rig::run`]. Batches between nodes go through the bytes of a link frame, those between shards
//! as they are.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod disk;
mod stores;
mod users;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use leveret_auth::{PasswordHash, Users};
use leveret_link::record::Record;
use leveret_link::{Batch, frame};
use leveret_model::directory::ToShard;
use leveret_model::{Boot, Instant, Name, NodeId, Seed, ShardAddress, ShardId};
use leveret_shard::{Caller, Effects, ReadInterest, Shard, ShardConfig, Store, StoreRequest};

use client::Client;
use control::Control;
use users::{users, users_with};

/// The address of a shard.
pub(crate) fn at(node: u128, shard: u8) -> ShardAddress {
    ShardAddress { node: NodeId(node), shard: ShardId(shard) }
}

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) usize);

/// The password's salted SHA-256, behind the salt.
const GUEST_OF_RABBITMQ: &[u8] = b"salt\x34\x70\x32\xec\x38\x92\x03\x59\x86\x6d\x1c\x11\x8c\x75\x9b\x83\x40\x47\xa0\x42\x76\x99\x71\x0d\xd1\x5b\x9c\x38\xdb\x44\x82\xaa";

pub(crate) struct Rig {
    pub(crate) now: Instant,
    pub(crate) shards: BTreeMap<ShardAddress, Shard>,
    pub(crate) control: Control,
    pub(crate) clients: Vec<Client>,
    mail: BTreeMap<ShardAddress, VecDeque<ToShard>>,
    wires: BTreeMap<(ShardAddress, ShardAddress), VecDeque<Batch>>,
    /// Shards whose mail from the control machine waits.
    pub(crate) held_mail: BTreeSet<ShardAddress>,
    /// Wires whose batches wait.
    pub(crate) held_wires: BTreeSet<(ShardAddress, ShardAddress)>,
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Of shards that have one.
    pub(crate) disks: BTreeMap<ShardAddress, disk::Disk>,
    /// In each turn 5 ms go by, and shards with disks page out all that they can.
    pub(crate) is_short_of_memory: bool,
    /// Hashes that became better so far.
    pub(crate) hash_upgrades: usize,
    /// What shards handed to their stores and those have not answered.
    stores: BTreeMap<ShardAddress, Vec<StoreRequest>>,
}

impl Rig {
    /// Nodes 1, 2, … with so many shards each; links are up, leases last for ever.
    pub(crate) fn new(shards: &[u8]) -> Self {
        Self::with(shards, leveret_amqp::Config::new("0.1.0", "rig"))
    }

    pub(crate) fn with(shards: &[u8], protocol: leveret_amqp::Config) -> Self {
        Self::with_users(shards, protocol, users)
    }

    /// The same with a hash of `guest`'s password that RabbitMQ made.
    pub(crate) fn with_a_hash_of_rabbitmq(shards: &[u8]) -> Self {
        let hash = || PasswordHash::from_rabbitmq_sha256(GUEST_OF_RABBITMQ).expect("it is one");
        let protocol = leveret_amqp::Config::new("0.1.0", "rig");
        Self::with_users(shards, protocol, || users_with(hash()))
    }

    fn with_users(shards: &[u8], protocol: leveret_amqp::Config, users: impl Fn() -> Users) -> Self {
        Self::with_store(shards, protocol, users, Store::Memory)
    }

    fn with_store(
        shards: &[u8],
        protocol: leveret_amqp::Config,
        users: impl Fn() -> Users,
        store: Store,
    ) -> Self {
        let mut rig = Self {
            now: Instant::ZERO + Duration::from_secs(100),
            shards: BTreeMap::new(),
            control: Control::default(),
            clients: Vec::new(),
            mail: BTreeMap::new(),
            wires: BTreeMap::new(),
            held_mail: BTreeSet::new(),
            held_wires: BTreeSet::new(),
            cut: BTreeSet::new(),
            disks: BTreeMap::new(),
            is_short_of_memory: false,
            hash_upgrades: 0,
            stores: BTreeMap::new(),
        };
        let protocol = Arc::new(protocol);
        for (index, count) in shards.iter().enumerate() {
            for shard in 0..*count {
                let own = at(index as u128 + 1, shard);
                let seed = Seed(own.node.0 as u64 * 100 + u64::from(shard));
                let config = ShardConfig {
                    own,
                    boot: Boot(1),
                    seed,
                    protocol: Arc::clone(&protocol),
                    users: users(),
                    store,
                    reply_key: [shard + 16 * index as u8; 32],
                };
                let mut machine = Shard::new(config);
                machine.begin_turn(rig.now);
                machine.on_control(ToShard::Lease { until: Instant::FAR });
                rig.shards.insert(own, machine);
            }
        }
        rig.control.shards = rig.shards.keys().copied().collect();
        for (index, count) in shards.iter().enumerate() {
            let (node, name) = (NodeId(index as u128 + 1), Name::new(&format!("node-{}", index + 1)));
            for shard in rig.shards.values_mut() {
                let name = name.clone();
                shard.on_control(ToShard::NodeNamed { node, name, reply_shards: *count });
            }
        }
        for node in rig.nodes() {
            for other in rig.nodes() {
                if node != other {
                    rig.each_of(node, |shard| shard.on_link_up(other));
                }
            }
        }
        rig
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        self.shards.keys().map(|at| at.node).collect()
    }

    pub(crate) fn shard(&mut self, at: ShardAddress) -> &mut Shard {
        self.shards.get_mut(&at).expect("there is such a shard")
    }

    /// A call from outside, at the time of the rig.
    pub(crate) fn each_of(&mut self, node: NodeId, mut call: impl FnMut(&mut Shard)) {
        for (_, shard) in self.shards.iter_mut().filter(|(at, _)| at.node == node) {
            shard.begin_turn(self.now);
            call(shard);
        }
    }

    /// Mail from the control machine.
    pub(crate) fn tell(&mut self, to: ShardAddress, mail: ToShard) {
        self.mail.entry(to).or_default().push_back(mail);
    }

    /// The same for every shard of a node.
    pub(crate) fn tell_node(&mut self, node: u128, mail: &ToShard) {
        let shards: Vec<_> = self.shards.keys().copied().filter(|at| at.node == NodeId(node)).collect();
        for shard in shards {
            self.tell(shard, mail.clone());
        }
    }

    /// Every shard of a node routes until then.
    pub(crate) fn lease(&mut self, node: u128, until: Instant) {
        self.tell_node(node, &ToShard::Lease { until });
    }

    /// The links between two nodes break, with what is on them.
    pub(crate) fn cut(&mut self, a: u128, b: u128) {
        let (a, b) = (NodeId(a), NodeId(b));
        self.cut.insert((a.min(b), a.max(b)));
        self.wires
            .retain(|(from, to), _| (from.node.min(to.node), from.node.max(to.node)) != (a.min(b), a.max(b)));
        self.each_of(a, |shard| shard.on_link_down(b));
        self.each_of(b, |shard| shard.on_link_down(a));
    }

    /// New links.
    pub(crate) fn heal(&mut self, a: u128, b: u128) {
        let (a, b) = (NodeId(a), NodeId(b));
        if self.cut.remove(&(a.min(b), a.max(b))) {
            self.each_of(a, |shard| shard.on_link_up(b));
            self.each_of(b, |shard| shard.on_link_up(a));
        }
    }

    /// Turns until nothing is left to do.
    #[track_caller]
    pub(crate) fn run(&mut self) {
        let shards: Vec<_> = self.shards.keys().copied().collect();
        for _ in 0..100_000 {
            let mut busy = false;
            for at in &shards {
                busy |= self.turn(*at);
            }
            if !busy {
                return;
            }
        }
        panic!("the shards never rest");
    }

    /// Time passes, and every deadline on the way is kept.
    #[track_caller]
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.run();
        loop {
            let next = self.shards.values().map(Shard::next_deadline).min().unwrap_or(Instant::FAR);
            if next > end {
                break;
            }
            assert!(next > self.now, "a deadline that is over was not kept");
            self.now = next;
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// A record that no shard of ours would send.
    pub(crate) fn forge(&mut self, from: ShardAddress, to: ShardAddress, record: &Record<'_>) {
        let mut batch = Batch::new();
        batch.push(record);
        let batch = over_link(from, to, batch);
        self.wires.entry((from, to)).or_default().push_back(batch);
    }

    /// One turn of one shard; true if something was done.
    pub(crate) fn turn(&mut self, at: ShardAddress) -> bool {
        let mut busy = false;
        if self.is_short_of_memory {
            self.now = self.now + Duration::from_millis(5);
        }
        let shard = self.shards.get_mut(&at).expect("there is such a shard");
        shard.begin_turn(self.now);
        if !self.held_mail.contains(&at) {
            for mail in self.mail.remove(&at).unwrap_or_default() {
                busy = true;
                shard.on_control(mail);
            }
        }
        let from: Vec<_> = self.wires.keys().copied().filter(|(_, to)| *to == at).collect();
        for wire in from.into_iter().filter(|wire| !self.held_wires.contains(wire)) {
            for batch in self.wires.remove(&wire).unwrap_or_default() {
                busy = true;
                shard.on_batch(wire.0, Boot(1), &batch).expect("our own batches are whole");
            }
        }
        for client in self.clients.iter_mut().filter(|client| client.at == at && !client.lost) {
            busy |= read(shard, client);
        }
        if let Some(disk) = self.disks.get_mut(&at) {
            busy |= disk.answer(shard);
        }
        if shard.next_deadline() <= self.now {
            busy = true;
            shard.on_timer();
        }
        if self.is_short_of_memory {
            shard.page_out(u64::MAX);
        }
        let mut effects = Effects::default();
        busy |= shard.end_turn(&mut effects);
        if let Some(disk) = self.disks.get_mut(&at) {
            busy |= effects.store.is_some() || !effects.reads.is_empty();
            disk.take(&mut effects, shard);
        }
        self.carry(at, effects) | busy
    }

    fn carry(&mut self, at: ShardAddress, effects: Effects) -> bool {
        let mut busy = !effects.batches.is_empty() || !effects.control.is_empty();
        for (to, batch) in effects.batches {
            let pair = (at.node.min(to.node), at.node.max(to.node));
            assert!(!self.cut.contains(&pair), "a batch for a link that is cut");
            let batch = if at.node == to.node { batch } else { over_link(at, to, batch) };
            self.wires.entry((at, to)).or_default().push_back(batch);
        }
        for mail in effects.control {
            for (to, mail) in self.control.on_mail(at, mail) {
                self.tell(to, mail);
            }
        }
        self.stores.entry(at).or_default().extend(effects.store);
        for upgrade in effects.hash_upgrades {
            self.hash_upgrades += 1;
            let others = self.shards.iter_mut().filter(|(other, _)| other.node == at.node && **other != at);
            others.for_each(|(_, shard)| shard.on_hash_upgrade(upgrade.clone()));
        }
        let shard = self.shards.get_mut(&at).expect("there is such a shard");
        for job in effects.passwords {
            busy = true;
            shard.on_password(job.connection, &job.mechanism, job.job.run(&[1; 16]));
        }
        for client in self.clients.iter_mut().filter(|client| client.at == at && !client.lost) {
            // only who was touched is written
            if effects.touched.contains(&client.key) || client.unwritten {
                busy |= write(shard, client);
            }
        }
        busy
    }

    /// Batches that wait on a wire.
    pub(crate) fn on_wire(&self, from: ShardAddress, to: ShardAddress) -> usize {
        self.wires.get(&(from, to)).map_or(0, VecDeque::len)
    }

    /// A socket, nothing said.
    pub(crate) fn accept(&mut self, at: ShardAddress) -> ClientId {
        let now = self.now;
        let shard = self.shard(at);
        shard.begin_turn(now);
        let key = shard.accept(Caller { name: "rig".into(), loopback: true });
        self.clients.push(Client::new(at, key));
        ClientId(self.clients.len() - 1)
    }

    /// The socket breaks, and all hear of it.
    pub(crate) fn lose(&mut self, id: ClientId) {
        self.break_socket(id);
        self.run();
    }

    /// The socket breaks; nothing is run.
    pub(crate) fn break_socket(&mut self, id: ClientId) {
        let (at, key) = (self.clients[id.0].at, self.clients[id.0].key);
        self.clients[id.0].lost = true;
        let now = self.now;
        let shard = self.shard(at);
        shard.begin_turn(now);
        shard.on_lost(key);
    }
}

/// Offers a client's bytes as a driver does.
fn read(shard: &mut Shard, client: &mut Client) -> bool {
    if client.unread.is_empty() || shard.read_interest(client.key) == ReadInterest::Stop {
        return false;
    }
    let most = client.unread.len().min(client.block);
    let offered = Bytes::copy_from_slice(&client.unread[..most]);
    let taken = shard.on_bytes(client.key, &offered);
    client.unread.drain(..taken);
    if taken == 0 {
        // the frame is larger than the block
        client.block *= 2;
    }
    true
}

/// Writes a client's output as a driver does.
fn write(shard: &mut Shard, client: &mut Client) -> bool {
    let Some(output) = shard.output(client.key) else { return false };
    let waiting = output.len();
    let most = waiting.min(client.takes);
    let mut bytes = Vec::new();
    for chunk in output.iter() {
        bytes.extend_from_slice(chunk);
    }
    output.advance(most);
    output.release_memory();
    client.receive(&bytes[..most]);
    client.unwritten = most < waiting;
    let goes_on = shard.on_carried(client.key, 0);
    if shard.is_finished(client.key) && !client.unwritten {
        client.lost = true;
        shard.on_lost(client.key);
    }
    most > 0 || goes_on
}

/// Through the bytes of a link.
fn over_link(from: ShardAddress, to: ShardAddress, batch: Batch) -> Batch {
    let mut pieces = Vec::new();
    frame::encode_records(from.shard, to.shard, batch, &mut pieces).expect("it fits");
    let mut received = BytesMut::new();
    pieces.iter().for_each(|piece| received.extend_from_slice(piece));
    match frame::decode(&mut received).expect("our own frames are frames") {
        Some(frame::Frame::Records { batch, .. }) => batch,
        other => panic!("{other:?}"),
    }
}
