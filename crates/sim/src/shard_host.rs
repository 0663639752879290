//! A shard's thread: the real driver's turn in two halves, with other threads running between them.
//!
//! Read first: [`ShardHost::begin_turn`], then `shard_host/clients.rs`. First half: the clock is read and all
//! mail taken. Second half: links, sockets, time, end of turn, one write each.

mod clients;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::BytesMut;
use leveret_link::Batch;
use leveret_link::frame::{self, Frame};
use leveret_link::sessions::{Arrivals, SessionNumber};
use leveret_model::directory::ToShard;
use leveret_model::{Boot, ConnectionKey, Instant, NodeId, ShardAddress, ShardId};
use leveret_shard::{Effects, Pressure, Shard};

use self::clients::{Crowd, Socket};
use crate::control_host::ControlMail;
use crate::event::{Actor, End, HostId, ProcessId};
use crate::faults::FaultKind;
use crate::network::{Item, Owner};
use crate::stores::ShardStore;
use crate::world::Ways;

/// Mail to a shard's thread.
#[derive(Debug)]
pub(crate) enum ShardMail {
    Control(ToShard),
    Client(End),
    SessionUp { node: NodeId, boot: Boot, session: SessionNumber, links: Vec<(u8, End)> },
    SessionDown { node: NodeId },
    Ring { from: ShardId, batch: Batch },
    Relayed { from: ShardAddress, session: SessionNumber, batch: Batch },
}

/// How short of memory the node is, and what the shard was told of it.
#[derive(Debug, Default)]
pub(crate) struct PressureHere {
    pub(crate) now: Pressure,
    pub(crate) told: Pressure,
}

impl PressureHere {
    /// What the shard is to be told, if that is new.
    fn news(&mut self) -> Option<Pressure> {
        let before = std::mem::replace(&mut self.told, self.now);
        (before != self.now).then_some(self.now)
    }
}

/// A shard's thread.
#[derive(Debug)]
pub(crate) struct ShardHost {
    pub(crate) shard: Shard,
    pub(crate) mail: VecDeque<ShardMail>,
    /// Ends that something came to.
    pub(crate) ready: VecDeque<End>,
    process: ProcessId,
    own: ShardAddress,
    boot: Boot,
    sockets: BTreeMap<ConnectionKey, Socket>,
    keys: BTreeMap<End, ConnectionKey>,
    arrivals: Arrivals,
    /// The own data links to each node.
    links: BTreeMap<NodeId, BTreeMap<u8, End>>,
    nodes: BTreeMap<End, NodeId>,
    effects: Effects,
    store: ShardStore,
    now: Instant,
    pub(crate) pressure: PressureHere,
    /// A publisher with something to say was throttled while memory was short.
    pub(crate) stopped: bool,
    /// Connections whose client's kernel took less than it was given.
    full: BTreeSet<ConnectionKey>,
    /// What connections of the node may keep at their clients' will, what those of other shards do, and how
    /// much that is.
    pub(crate) clients_max: u64,
    pub(crate) kept_elsewhere: u64,
    crowd: Crowd,
    /// Turns one behind the other in which connections were closed for that.
    evictions: u32,
    /// The other shards are to look at that.
    pub(crate) tells_others: bool,
    /// What happened to clients, until it is counted.
    pub(crate) met: Vec<FaultKind>,
    /// To other threads of the process.
    pub(crate) to_shards: Vec<(u8, ShardMail)>,
    pub(crate) to_control: Vec<ControlMail>,
}

impl ShardHost {
    pub(crate) fn new(
        shard: Shard,
        (process, host): (ProcessId, HostId),
        own: ShardAddress,
        boot: Boot,
    ) -> Self {
        Self {
            shard,
            mail: VecDeque::new(),
            ready: VecDeque::new(),
            process,
            own,
            boot,
            sockets: BTreeMap::new(),
            keys: BTreeMap::new(),
            arrivals: Arrivals::default(),
            links: BTreeMap::new(),
            nodes: BTreeMap::new(),
            effects: Effects::default(),
            store: ShardStore::new(host),
            now: Instant::ZERO,
            pressure: PressureHere::default(),
            stopped: false,
            full: BTreeSet::new(),
            clients_max: u64::MAX,
            kept_elsewhere: 0,
            crowd: Crowd::Roomy,
            evictions: 0,
            tells_others: false,
            met: Vec::new(),
            to_shards: Vec::new(),
            to_control: Vec::new(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        self.shard.next_deadline().min(self.unread_at()).min(self.store.next_deadline())
    }

    /// The clock is read, mail is taken.
    pub(crate) fn begin_turn(&mut self, now: Instant, ways: &mut Ways<'_>) {
        self.now = now;
        self.shard.begin_turn(now);
        self.shard.set_unix_time(now.as_nanos() / 1_000_000_000);
        while let Some(mail) = self.mail.pop_front() {
            match mail {
                ShardMail::Control(mail) => self.shard.on_control(mail),
                ShardMail::Client(end) => self.take_client(end, ways),
                ShardMail::SessionUp { node, boot, session, links } => {
                    ways.oracle.losses.link_ended(ways.schedule.now, self.own.node, node);
                    self.links_up(node, links, ways);
                    for (from, batch) in self.arrivals.on_up(node, boot, session) {
                        self.take_batch(from, boot, session, &batch, ways);
                    }
                }
                ShardMail::SessionDown { node } => {
                    ways.oracle.losses.link_ended(ways.schedule.now, self.own.node, node);
                    self.links_down(node, ways);
                    self.arrivals.on_down(node);
                    self.shard.on_link_down(node);
                }
                ShardMail::Ring { from, batch } => {
                    let from = ShardAddress { node: self.own.node, shard: from };
                    self.take_batch(from, self.boot, SessionNumber::default(), &batch, ways);
                }
                ShardMail::Relayed { from, session, batch } => {
                    if let Some((boot, batch)) = self.arrivals.on_relayed(from, session, batch) {
                        self.take_batch(from, boot, session, &batch, ways);
                    }
                }
            }
        }
    }

    fn links_up(&mut self, node: NodeId, links: Vec<(u8, End)>, ways: &mut Ways<'_>) {
        let owner = Owner::Thread(self.process, Actor::Shard(self.own.shard.0));
        for (_, end) in &links {
            self.nodes.insert(*end, node);
            if ways.network.claim(*end, owner) {
                self.ready.push_back(*end);
            }
        }
        self.links.insert(node, links.into_iter().collect());
        ways.oracle.buffers.link_up(self.own, node);
        self.shard.on_link_up(node);
    }

    fn links_down(&mut self, node: NodeId, ways: &mut Ways<'_>) {
        for end in self.links.remove(&node).unwrap_or_default().into_values() {
            self.nodes.remove(&end);
            ways.network.close(ways.schedule, end);
        }
    }

    fn take_batch(
        &mut self,
        from: ShardAddress,
        boot: Boot,
        session: SessionNumber,
        batch: &Batch,
        ways: &mut Ways<'_>,
    ) {
        ways.oracle.buffers.processed(from, self.own, batch.cost());
        if let Err(error) = self.shard.on_batch(from, boot, batch) {
            let text = format!("a batch from {from:?} to {:?}: {error}", self.own);
            ways.oracle.violation(ways.schedule.now, "buffers", text);
            self.to_control.push(ControlMail::SessionLost { node: from.node, session });
        }
    }

    /// Links, sockets, time, end of turn. True if there is more to do at once.
    pub(crate) fn finish_turn(&mut self, ways: &mut Ways<'_>) -> bool {
        self.take_writable(ways);
        while let Some(end) = self.ready.pop_front() {
            if let Some(node) = self.nodes.get(&end).copied() {
                self.read_link(node, end, ways);
            } else if let Some(key) = self.keys.get(&end).copied() {
                self.read_socket(key, end, ways);
            }
        }
        self.offer_all(ways);
        if self.shard.next_deadline() <= self.now {
            self.shard.on_timer();
        }
        if let Some(mark) = self.store.synced(self.now, &mut ways.oracle.stores) {
            self.shard.on_stored(mark);
        }
        self.store.page(self.now, &mut self.shard, &mut ways.oracle.stores);
        self.tell_unread();
        let news = self.pressure.news();
        if let Some(pressure) = news {
            self.shard.on_memory(pressure);
        }
        let more = self.shard.end_turn(&mut self.effects);
        let more = self.carry_effects(ways) || more || news.is_some();
        self.note_clients(ways) || more
    }

    fn read_link(&mut self, node: NodeId, end: End, ways: &mut Ways<'_>) {
        while let Some(item) = ways.network.read(end) {
            match item {
                Item::Bytes(bytes) => {
                    let Ok(Some(Frame::Records { from, to, batch })) =
                        frame::decode(&mut BytesMut::from(&bytes[..]))
                    else {
                        ways.oracle.violation(ways.schedule.now, "buffers", "a frame of a data link".into());
                        continue;
                    };
                    let Some((boot, session)) = self.arrivals.current(node) else { continue };
                    let from = ShardAddress { node, shard: from };
                    if to == self.own.shard {
                        self.take_batch(from, boot, session, &batch, ways);
                    } else {
                        self.to_shards.push((to.0, ShardMail::Relayed { from, session, batch }));
                    }
                }
                Item::Close => {
                    if let Some((_, session)) = self.arrivals.current(node) {
                        self.to_control.push(ControlMail::SessionLost { node, session });
                    }
                }
                Item::Open(_) => {}
            }
        }
    }

    /// One write for each touched socket, ring and link.
    fn carry_effects(&mut self, ways: &mut Ways<'_>) -> bool {
        let mut more = false;
        let mut effects = std::mem::take(&mut self.effects);
        for routed in self.shard.take_routed() {
            if let Some(end) = self.end_of(routed.channel.connection) {
                ways.oracle.routed(end.pipe, &routed);
            }
        }
        if let Some(request) = effects.store.take() {
            self.store.take(&request, &self.shard, self.now, &mut ways.oracle.stores);
        }
        self.store.ask(&mut effects, self.now, &mut ways.oracle.stores);
        for key in effects.touched.drain(..) {
            more |= self.write_socket(key, ways);
        }
        for (to, batch) in effects.batches.drain(..) {
            ways.oracle.buffers.sent(self.own, to, batch.cost());
            if to.node == self.own.node {
                self.to_shards.push((to.shard.0, ShardMail::Ring { from: self.own.shard, batch }));
            } else {
                self.send_batch(to, batch, ways);
            }
        }
        for mail in effects.control.drain(..) {
            self.to_control.push(ControlMail::Shard(self.own.shard, mail));
        }
        for password in effects.passwords.drain(..) {
            let hashed = password.job.run(&leveret_auth::Salt::default());
            self.shard.on_password(password.connection, &password.mechanism, hashed);
            more = true;
        }
        // they would go to the other shards of the node
        assert!(effects.hash_upgrades.is_empty(), "the users of simulated nodes have hashes of ours");
        self.effects = effects;
        more
    }

    fn send_batch(&mut self, to: ShardAddress, batch: Batch, ways: &mut Ways<'_>) {
        let link = self.links.get(&to.node).and_then(|links| links.get(&self.own.shard.0));
        let Some(end) = link.copied() else { return };
        let mut chunks = Vec::new();
        match frame::encode_records(self.own.shard, to.shard, batch, &mut chunks) {
            Ok(_) => {
                let bytes = chunks.concat();
                ways.trace.bytes(&bytes);
                ways.network.send(ways.schedule, end, Item::Bytes(bytes.into()));
            }
            Err(error) => ways.oracle.violation(ways.schedule.now, "buffers", format!("a batch: {error}")),
        }
    }
}
