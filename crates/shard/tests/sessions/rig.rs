//! Nodes with sessions on, each of some shards, and their clients.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use leveret_auth::{Credential, Password, Permissions, Salt, User, Users};
use leveret_link::Batch;
use leveret_model::directory::{SessionPeer, ToShard};
use leveret_model::{Boot, ConnectionKey, Instant, Name, NodeId, Seed, ShardAddress, ShardId};
use leveret_sessions::{Bucket, Home, Rules};
use leveret_shard::{
    Caller, Effects, SessionConfig, SessionInterest, SessionMail, SessionReport, SessionShared, Shard,
    ShardConfig, Store,
};

/// 2026-11-29, 12:00 UTC.
pub(crate) const UNIX_MS: u64 = 1_795_953_600_000;
/// Of a node, unless a test says otherwise.
pub(crate) const SHARDS: u8 = 2;

/// Nodes that reach each other but for those that are cut off.
pub(crate) struct Rig {
    pub(crate) shards: Vec<Shard>,
    at: Vec<ShardAddress>,
    shared: Vec<Arc<SessionShared>>,
    counts: Vec<u8>,
    dead: BTreeSet<NodeId>,
    leaving: BTreeSet<NodeId>,
    pub(crate) now: Instant,
}

/// A connection of a shard, counted over all nodes.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    pub(crate) shard: usize,
    pub(crate) key: ConnectionKey,
}

const MEMORY_BYTES: u64 = 1 << 30;

fn users() -> Users {
    let mut users = Users::new([7; 32]);
    let user = User {
        credential: Credential::Unhashed(Password::new(b"secret")),
        loopback_only: false,
        permissions: [(Name::new("/"), Arc::new(Permissions::ALL))].into(),
    };
    users.put(Name::new("default"), user);
    users
}

fn start(own: ShardAddress, shards: u8, shared: &Arc<SessionShared>) -> Shard {
    let mut machine = Shard::new(ShardConfig {
        own,
        boot: Boot(1),
        seed: Seed(1),
        protocol: Arc::new(leveret_amqp::Config::new("0.1.0", "test")),
        users: users(),
        store: Store::Memory,
        reply_key: [0; 32],
    });
    let config = SessionConfig {
        home: home(own.node),
        name: Name::new(&format!("n{}", own.node.0)),
        address: Name::new(&format!("10.0.0.{}:6379", own.node.0)),
        shards,
        memory_bytes: shared.bytes_max(),
        value_bytes_max: 1 << 20,
        gone_for_ms: 300_000,
        rules: Rules::default(),
        copies: 1,
        shared: Arc::clone(shared),
    };
    machine.open_sessions(Seed(own.node.0 as u64 * 100 + u64::from(own.shard.0)), &config);
    machine
}

fn home(node: NodeId) -> Home {
    Home { node, boot: Boot(node.0 as u64) }
}

impl Rig {
    /// Nodes 1, 2, … of so many shards each.
    pub(crate) fn new(counts: &[u8]) -> Self {
        Self::with(counts, MEMORY_BYTES)
    }

    pub(crate) fn with(counts: &[u8], memory_bytes: u64) -> Self {
        let mut rig = Self {
            shards: Vec::new(),
            at: Vec::new(),
            shared: Vec::new(),
            counts: counts.to_vec(),
            dead: BTreeSet::new(),
            leaving: BTreeSet::new(),
            now: Instant::from_nanos(1_000_000_000),
        };
        for (index, &count) in counts.iter().enumerate() {
            let shared = Arc::new(SessionShared::new(count, memory_bytes));
            for shard in (0..count).map(ShardId) {
                let own = ShardAddress { node: NodeId(index as u128 + 1), shard };
                rig.shards.push(start(own, count, &shared));
                rig.at.push(own);
                rig.shared.push(Arc::clone(&shared));
            }
        }
        rig.begin_turn();
        rig.tell_peers();
        for node in rig.nodes() {
            for other in rig.nodes().into_iter().filter(|other| *other != node) {
                rig.each_of(node, |shard| {
                    shard.on_link_up(other);
                    shard.on_session_link_up(other, home(other).boot);
                });
            }
        }
        let nodes = rig.nodes();
        nodes.into_iter().for_each(|node| rig.lease(node, Instant::FAR));
        rig.settle();
        rig
    }

    fn nodes(&self) -> BTreeSet<NodeId> {
        self.at.iter().map(|at| at.node).filter(|node| !self.dead.contains(node)).collect()
    }

    fn each_of(&mut self, node: NodeId, mut call: impl FnMut(&mut Shard)) {
        let of = self.shards.iter_mut().zip(&self.at).filter(|(_, at)| at.node == node);
        of.for_each(|(shard, _)| call(shard));
    }

    /// Until when a node may speak for all.
    pub(crate) fn lease(&mut self, node: NodeId, until: Instant) {
        self.each_of(node, |shard| shard.on_control(ToShard::Lease { until }));
    }

    /// Membership, as every living node sees it.
    fn tell_peers(&mut self) {
        for node in self.nodes() {
            let others = self.nodes().into_iter().filter(|other| *other != node);
            let peers: Vec<SessionPeer> = others
                .map(|node| SessionPeer {
                    node,
                    boot: home(node).boot,
                    shards: self.counts[node.0 as usize - 1],
                    leaves: self.leaving.contains(&node),
                    surveys: true,
                })
                .collect();
            self.each_of(node, |shard| shard.on_control(ToShard::SessionPeers { peers: peers.clone() }));
        }
    }

    /// A node is gone for good, and everybody hears of it.
    pub(crate) fn kill(&mut self, node: NodeId) {
        self.begin_turn();
        self.dead.insert(node);
        for other in self.nodes() {
            self.each_of(other, |shard| shard.on_link_down(node));
        }
        self.tell_peers();
        self.settle();
    }

    /// A node begins to leave, and everybody hears of it.
    pub(crate) fn leave(&mut self, node: NodeId) {
        self.begin_turn();
        self.leaving.insert(node);
        self.tell_peers();
        self.each_of(node, Shard::leave_sessions);
    }

    /// It stays after all.
    pub(crate) fn stay(&mut self, node: NodeId) {
        self.begin_turn();
        self.leaving.remove(&node);
        self.tell_peers();
        self.each_of(node, Shard::stay_sessions);
        self.settle();
    }

    /// Every shard of a node says that nothing is left there, and that everything has its copy.
    pub(crate) fn has_left(&mut self, node: NodeId) -> bool {
        let mut over = true;
        self.each_of(node, |shard| over &= shard.session_handover().expect("sessions are on").over);
        over
    }

    /// Sessions whose home is there.
    pub(crate) fn at_home(&mut self, node: NodeId) -> usize {
        let mut found = 0;
        self.each_of(node, |shard| {
            let held = (0..=u8::MAX).flat_map(|bucket| shard.held_sessions(Bucket(bucket)));
            found += held.filter(|session| session.home.node == node).count();
        });
        found
    }

    pub(crate) fn begin_turn(&mut self) {
        let since = self.now.as_nanos() / 1_000_000;
        for (shard, shared) in self.shards.iter_mut().zip(&self.shared) {
            shared.set_wall_clock(self.now, UNIX_MS + since);
            shard.begin_turn(self.now);
        }
    }

    /// A client from this machine, or from another one.
    pub(crate) fn connect(&mut self, shard: usize, loopback: bool) -> Client {
        self.begin_turn();
        let name = "127.0.0.1:5 -> 127.0.0.1:6379".to_owned();
        let key = self.shards[shard].accept_session(Caller { name, loopback }).expect("sessions are on");
        Client { shard, key }
    }

    /// Sends bytes and lets nothing come of them yet.
    pub(crate) fn send(&mut self, client: Client, bytes: &str) {
        self.begin_turn();
        let mut received = BytesMut::from(bytes.as_bytes());
        self.shards[client.shard].on_session_bytes(client.key, &mut received);
    }

    /// The client's socket is gone.
    pub(crate) fn lose(&mut self, client: Client) {
        self.shards[client.shard].on_session_lost(client.key);
    }

    /// Sends bytes, and gives what comes back once all is quiet.
    pub(crate) fn ask(&mut self, client: Client, bytes: &str) -> String {
        self.begin_turn();
        let mut received = BytesMut::from(bytes.as_bytes());
        loop {
            let interest = self.shards[client.shard].on_session_bytes(client.key, &mut received);
            self.settle();
            let now = self.shards[client.shard].session_interest(client.key);
            let goes_on = interest == SessionInterest::Stop && matches!(now, SessionInterest::Read(_));
            if !goes_on || received.is_empty() {
                break;
            }
        }
        let out = self.shards[client.shard].session_output(client.key).expect("it is there");
        String::from_utf8(std::mem::take(out)).expect("text")
    }

    /// Ends turns, and carries mail, batches and password jobs until there is nothing.
    pub(crate) fn settle(&mut self) {
        while self.step() {}
    }

    /// Ends one turn of each shard and carries what it gave; false if that was nothing.
    pub(crate) fn step(&mut self) -> bool {
        let mut mail: Vec<(ShardAddress, SessionMail)> = Vec::new();
        let mut batches: Vec<(ShardAddress, ShardAddress, Batch)> = Vec::new();
        let mut jobs = Vec::new();
        for (index, at) in self.at.clone().into_iter().enumerate() {
            if self.dead.contains(&at.node) {
                continue;
            }
            let mut effects = Effects::default();
            self.shards[index].end_turn(&mut effects);
            let to = |shard| ShardAddress { node: at.node, shard };
            mail.extend(effects.session_mail.into_iter().map(|(shard, mail)| (to(shard), mail)));
            batches.extend(effects.batches.into_iter().map(|(to, batch)| (at, to, batch)));
            jobs.extend(effects.passwords.into_iter().map(|job| (index, job)));
        }
        if mail.is_empty() && jobs.is_empty() && batches.is_empty() {
            return false;
        }
        for (to, mail) in mail {
            self.shard(to).on_session_mail(mail);
        }
        for (from, to, batch) in batches {
            if !self.dead.contains(&to.node) {
                self.shard(to).on_batch(from, home(from.node).boot, &batch).expect("it is believed");
            }
        }
        for (index, job) in jobs {
            let hashed = job.job.run(&Salt::default());
            self.shards[index].on_password(job.connection, &job.mechanism, hashed);
        }
        true
    }

    fn shard(&mut self, at: ShardAddress) -> &mut Shard {
        let index = self.at.iter().position(|other| *other == at).expect("there is such a shard");
        &mut self.shards[index]
    }

    /// Time passes, and every timer that is due is run.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.begin_turn();
        for shard in &mut self.shards {
            while shard.next_deadline() <= self.now {
                shard.on_timer();
            }
        }
        self.settle();
    }

    /// Of all nodes that live.
    pub(crate) fn report(&self) -> SessionReport {
        let mut all = SessionReport::default();
        for (shard, at) in self.shards.iter().zip(&self.at) {
            if !self.dead.contains(&at.node) {
                all.add(&shard.session_report().expect("sessions are on"));
            }
        }
        all
    }
}

pub(crate) fn command(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}
